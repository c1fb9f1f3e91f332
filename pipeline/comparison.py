"""Arms beside their controls: all comparisons of a page corrected for being many, each with a sentence bound to it."""

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.significance import Difference, Sample, difference, holm


@dataclass(frozen=True)
class Named:
    """An arm by the name people see."""

    name: str
    sample: Sample


@dataclass(frozen=True)
class Compared:
    """An arm to its control; `p` is corrected for all comparisons of the page."""

    arm: str
    control: str
    found: Difference
    p: float

    @property
    def verdict(self) -> str:
        """`better`, `worse` or `same`: the last where no difference was found, which is not that there is none."""
        if self.p >= 1 - self.found.confidence:
            return "same"
        return "better" if self.found.mean > 0 else "worse"

    @property
    def shown(self) -> str:
        """`+1.3 [+0.5, +2.1]`."""
        return f"{self.found.mean:+.1f} [{self.found.low:+.1f}, {self.found.high:+.1f}]"


def compared(pairs: Sequence[tuple[Named, Named]], confidence: float = 0.95) -> list[Compared]:
    """Every (arm, control), p values corrected together (Holm 1979)."""
    found = [difference(arm.sample, control.sample, confidence) for arm, control in pairs]
    ps = holm([one.p for one in found])
    return [Compared(arm.name, control.name, one, p) for (arm, control), one, p in zip(pairs, found, ps, strict=True)]


def sentence(one: Compared, measure: str) -> str:
    """What may be said of it, in one sentence of Markdown."""
    how = f"{one.found.mean:+.1f} {measure}"
    if one.found.seeds < 2:
        return f"**{one.arm} against {one.control}**: {how}; one seed says nothing about noise (finetuned.seeds)."
    interval = f"{one.found.confidence:.0%} interval [{one.found.low:+.1f}, {one.found.high:+.1f}] over {_over(one)}"
    if one.verdict != "same":
        return f"**{one.arm} is {one.verdict} than {one.control}**: {how}, {interval}, {_p(one)}."
    least = f"with so many, {one.found.detectable:.1f} would be found four times in five"
    return f"**No difference found between {one.arm} and {one.control}**: {how}, {interval}, {_p(one)}; {least}."


def _over(one: Compared) -> str:
    rows = f" and {one.found.rows:,} rows" if one.found.rows else ""
    return f"{one.found.seeds} seeds{rows}"


def _p(one: Compared) -> str:
    return f"p {p_shown(one.p)}"


def p_shown(p: float) -> str:
    """`0.032`, `< 0.001`."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"
