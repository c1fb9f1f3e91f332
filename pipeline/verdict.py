"""Should a base be adapted to a domain? What the facts say, in words bound to their numbers and errors."""

from collections.abc import Mapping

ENOUGH = 10
"""Domain documents for each of the task from which on there is enough to adapt to."""

HARD = 1.1
"""Tokens a word of the domain over those of general text from which on new words are worth a thought: below, even a
vocabulary made for the domain would save less than a tenth of the tokens, of sequences and time."""

UNKNOWN = 0.01
"""Share of unknown tokens from which on a base does not read a text well enough."""

WEAK = 0.6
"""Of the loss of a blind guess: a base that has not come below it on general text knows little of anything."""

PROOF = "The proof is make dapt with its seeds: losses and overlaps are noisy signs (Gururangan et al. 2020, app. E)."

Facts = Mapping[str, float]
"""`blind` (the loss of a guess among all entries of the vocabulary); `domain/loss`, `domain/loss_error`,
`domain/documents`, `domain/duplicates`, `domain/unknown`, `contaminated`; where there is such text `general/loss` and
its error, `task/documents`, the overlaps `task/domain` and `task/general`, and `tokens_per_word` of domain and
general text."""


def verdict(facts: Facts) -> list[str]:
    """A sentence for each thing that speaks for or against it, with its numbers; the last one says what to do."""
    said = [
        _news(facts),
        _weakness(facts),
        _nearness(facts),
        _amount(facts),
        _unreadable(facts),
        _fertility(facts),
        _dropped(facts),
        _advice(facts),
    ]
    return [line for line in said if line]


def is_new(facts: Facts) -> bool | None:
    """Whether the domain is harder for the base than general text, beyond two standard errors; None: nobody knows."""
    gap, error = _gap(facts)
    return None if gap is None else gap > 2 * error


def is_near(facts: Facts) -> bool | None:
    """Whether the task shares more frequent words with the domain than with general text; None: nobody knows."""
    known = "task/domain" in facts and "task/general" in facts
    return facts["task/domain"] > facts["task/general"] if known else None


def _gap(facts: Facts) -> tuple[float | None, float]:
    """Loss on the domain over that on general text, and its standard error."""
    if "general/loss" not in facts:
        return None, 0.0
    error = (facts["domain/loss_error"] ** 2 + facts["general/loss_error"] ** 2) ** 0.5
    return facts["domain/loss"] - facts["general/loss"], error


def _ratio(facts: Facts) -> float | None:
    return facts["domain/documents"] / facts["task/documents"] if facts.get("task/documents") else None


def _news(facts: Facts) -> str:
    gap, error = _gap(facts)
    if gap is None:
        return "How new the domain is to the base nobody can say without general text: name some in corpus.general."
    if abs(gap) <= 2 * error:
        how = "no harder for the base, beyond noise, than"
    else:
        how = "harder for the base than" if gap > 0 else "easier for the base than"
    found = f"{gap:+.2f} nats for a masked word, ± {2 * error:.2f} (two standard errors)"
    return f"The domain is {how} general text: {found}."


def is_weak(facts: Facts) -> bool:
    """Whether the base has learned little yet: then nothing is harder for it than anything else."""
    return facts.get("general/loss", facts["domain/loss"]) > WEAK * facts["blind"]


def _weakness(facts: Facts) -> str:
    if not is_weak(facts):
        return ""
    loss = facts.get("general/loss", facts["domain/loss"])
    return f"The base has learned little yet: {loss:.2f} nats, where a blind guess has {facts['blind']:.2f}."


def _nearness(facts: Facts) -> str:
    near = is_near(facts)
    if near is None:
        return ""
    told = "nearer" if near else "NOT nearer"
    shares = f"{facts['task/domain']:.0%} of its frequent words with it, {facts['task/general']:.0%} with general text"
    return f"The domain is {told} to the task than general text is: the task shares {shares}."


def _amount(facts: Facts) -> str:
    ratio = _ratio(facts)
    if ratio is None:
        return ""
    told = "enough" if ratio >= ENOUGH else "little"
    return f"There is {told} of it: {facts['domain/documents']:,.0f} documents, {ratio:,.0f} for each of the task."


def _unreadable(facts: Facts) -> str:
    if facts["domain/unknown"] <= UNKNOWN:
        return ""
    way_out = "choose one that knows its script, or add what it lacks (base.vocabulary.words)"
    return f"{facts['domain/unknown']:.1%} of its tokens are unknown to the base: {way_out}."


def _fertility(facts: Facts) -> str:
    domain, general = facts.get("domain/tokens_per_word", 0.0), facts.get("general/tokens_per_word", 0.0)
    if not general or domain < HARD * general:
        return ""
    found = f"{domain:.2f} tokens a word, where general text has {general:.2f}"
    return f"The base reads it in {found}: base.vocabulary.words gives it words of the domain (docs/vocabulary.md)."


def _dropped(facts: Facts) -> str:
    share = facts["domain/duplicates"] / max(facts["domain/documents"] + facts["domain/duplicates"], 1)
    lost = f"{facts['contaminated']:,.0f} documents that are in dev or test"
    return f"Dropped from it were {share:.1%} as duplicates; from all text {lost}."


def _advice(facts: Facts) -> str:
    new, near, ratio = is_new(facts), is_near(facts), _ratio(facts)
    if near is False:
        return f"Do not expect much of this domain: look for text nearer to the task, or try make tapt. {PROOF}"
    if new is False and not is_weak(facts):
        return f"The base knows text like this: a gain would be small; try make tapt first. {PROOF}"
    if ratio is not None and ratio < ENOUGH:
        return f"Worth a try, with more domain text if there is any; make dapt-tapt uses all there is. {PROOF}"
    if new and near:
        return f"Worth adapting: new to the base, and near to the task. {PROOF}"
    return f"Worth a try. {PROOF}"
