"""Embeddings whose gradients are added up in order are embeddings."""

import pytest
import torch
from torch import nn
from torch.nn.functional import embedding

from pipeline.training.ordered import Embedding, in_order, lookup, order_embeddings


@pytest.mark.parametrize("padding_id", [None, 2])
def test_a_lookup_and_its_gradient_are_those_of_torch(padding_id):
    weight, ids = torch.randn(7, 3, requires_grad=True), torch.tensor([[1, 2, 2], [6, 1, 1]])
    wanted, found = embedding(ids, weight, padding_idx=padding_id), lookup(weight, ids, padding_id)
    factors = torch.randn_like(wanted)
    gradients = [torch.autograd.grad((out * factors).sum(), weight)[0] for out in (wanted, found)]
    assert torch.equal(found, wanted)
    torch.testing.assert_close(*gradients)


def test_the_mode_of_the_process_is_on_for_a_moment_only():
    with pytest.raises(ValueError), in_order():
        assert torch.are_deterministic_algorithms_enabled() and not torch.utils.deterministic.fill_uninitialized_memory
        raise ValueError
    assert not torch.are_deterministic_algorithms_enabled() and torch.utils.deterministic.fill_uninitialized_memory


def test_a_model_keeps_its_weights_their_names_and_what_is_tied(new_model):
    model = new_model()
    before = {name: tensor.data_ptr() for name, tensor in model.state_dict().items()}
    order_embeddings(model)
    assert {name: tensor.data_ptr() for name, tensor in model.state_dict().items()} == before
    assert model.get_input_embeddings().weight is model.get_output_embeddings().weight
    assert not any(type(module) is nn.Embedding for module in model.modules())
    assert sum(isinstance(module, Embedding) for module in model.modules()) == 3
