"""Arms beside their controls: all comparisons of a page corrected for being many."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

from pipeline.pages.intervals import Interval
from pipeline.results.significance import Difference, Sample, difference, holm


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
    many: int = 1
    """Comparisons that it is one of, without those in which something else was found: it is corrected for so many."""

    @property
    def verdict(self) -> str:
        """`better`, `worse` or `same`: the last where no difference was found, which is not that there is none."""
        if self.p >= 1 - self.found.confidence:
            return "same"
        return "better" if self.found.mean > 0 else "worse"

    @property
    def detectable(self) -> float:
        """The true difference that would have been found four times in five, among so many."""
        return self.found.detectable(self.many)

    @property
    def interval(self) -> Interval:
        """The difference and where it may be, for this comparison alone."""
        return Interval(self.found.mean, self.found.low, self.found.high, found=self.verdict != "same")

    @property
    def shown(self) -> str:
        """`+1.3 [+0.5, +2.1]`."""
        return self.interval.shown


def compared(pairs: Sequence[tuple[Named, Named]], confidence: float = 0.95) -> list[Compared]:
    """Every (arm, control), p values corrected together (Holm 1979)."""
    found = [difference(arm.sample, control.sample, confidence) for arm, control in pairs]
    ps = holm([one.p for one in found])
    clear = [p < 1 - confidence for p in ps]
    others = [len(clear) - sum(clear) + mine for mine in clear]
    return [
        Compared(arm.name, control.name, *one) for (arm, control), *one in zip(pairs, found, ps, others, strict=True)
    ]


def size_shown(size: float) -> str:
    """`1.3`; of more than all points there are `> 100`, of none known –."""
    return "–" if not isfinite(size) else f"{size:.1f}" if size <= 100 else "> 100"


def p_shown(p: float) -> str:
    """`0.032`, `< 0.001`."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"
