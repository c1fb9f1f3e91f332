"""The layers of an encoder, one like the other: the units in which it is compiled, and divided among processes."""

import torch
from torch import nn
from transformers.modeling_layers import GradientCheckpointingLayer

from pipeline.run.processes import processes
from pipeline.run.progress import say
from pipeline.training.dropout import write_out


def layers_of(model: nn.Module) -> list[nn.Module]:
    """The layers, in their order: transformers marks them for gradient checkpointing."""
    return [module for module in model.modules() if isinstance(module, GradientCheckpointingLayer)]


def compile_layers(model: nn.Module) -> None:
    """Have torch.compile make each layer faster, for rows of any length; left out, and said, where it cannot."""
    if problem := _cannot_compile():
        say(f"! torch.compile does not work here ({problem}): going on without")
        return
    torch._dynamo.config.skip_nnmodule_hook_guards = False  # a hook tells the last layer from the others
    for layer in layers_of(model):
        write_out(layer, processes().device)
        for part in layer.children() if layer.gradient_checkpointing else [layer]:  # no compiling through a checkpoint
            part.compile(dynamic=True)


def _cannot_compile() -> str:
    """Why a function of one line cannot be compiled for this device, or "": a compiler of C++ may be missing."""
    try:
        torch.compile(lambda x: x + 1)(torch.zeros(2, device=processes().device))
    except RuntimeError as error:  # all of torch.compile's are
        return str(error).strip().partition("\n")[0]
    return ""
