"""What is said is what the numbers say."""

import pytest

from pipeline.verdict import verdict

FACTS = {
    "blind": 9.0, "general/loss": 2.0, "general/loss_error": 0.03, "domain/loss": 2.5, "domain/loss_error": 0.04,
    "domain/documents": 5000, "domain/duplicates": 1000, "domain/unknown": 0.001, "contaminated": 7,
    "task/documents": 100, "task/domain": 0.6, "task/general": 0.3,
}  # fmt: skip


def said(**changed: float) -> str:
    return "\n".join(verdict(FACTS | {name.replace("__", "/"): value for name, value in changed.items()}))


def test_new_and_near_is_worth_it():
    assert verdict(FACTS)[-1].startswith("Worth adapting: new to the base, and near to the task.")
    assert "+0.50 nats for a masked word, ± 0.10" in said() and "60% of its frequent words with it, 30% with" in said()
    assert "enough of it: 5,000 documents, 50 for each" in said()
    assert "16.7% as duplicates; from all text 7 documents" in said()


@pytest.mark.parametrize(
    ("loss", "told"), [(2.09, "no harder for the base, beyond noise"), (2.2, "harder"), (1.5, "easier for the base")]
)
def test_a_difference_within_two_standard_errors_is_none(loss, told):
    """Two standard errors are 0.1."""
    assert f"The domain is {told}" in said(domain__loss=loss)


@pytest.mark.parametrize(
    ("changed", "advice"),
    [
        ({"task__domain": 0.2}, "Do not expect much of this domain"),
        ({"domain__loss": 2.0}, "a gain would be small"),
        ({"domain__documents": 900}, "Worth a try, with more domain text"),
        ({"domain__loss": 7.0, "general__loss": 7.0}, "Worth a try. The proof"),
    ],
)
def test_advice_follows_the_facts(changed, advice):
    assert advice in said(**changed).splitlines()[-1]


def test_a_base_that_has_learned_little_is_not_said_to_know_a_text():
    assert "learned little yet: 7.00 nats, where a blind guess has 9.00" in said(domain__loss=7.0, general__loss=7.0)
    assert "learned little" not in said()


def test_a_script_it_cannot_read_is_named():
    assert "5.0% of its tokens are unknown to the base" in said(domain__unknown=0.05) and "unknown" not in said()


@pytest.mark.parametrize(("tokens", "told"), [(1.52, True), (1.36, False)])
def test_a_text_read_in_many_pieces_is_named(tokens, told):
    """A tenth more a word than general text has."""
    found = said(domain__tokens_per_word=tokens, general__tokens_per_word=1.35)
    assert (f"reads it in {tokens} tokens a word, where general text has 1.35: base.vocabulary.words" in found) == told


def test_what_is_not_there_is_not_spoken_of():
    only = {name: value for name, value in FACTS.items() if not name.startswith(("general", "task"))}
    lines = verdict(only)
    assert "name some in corpus.general" in lines[0] and len(lines) == 3 and lines[-1].startswith("Worth a try.")
