"""Differences with how sure they are, one below the other, for the eye (a forest plot)."""

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import NamedTuple

from pipeline.pages.plots import COLOURS, TOP, WIDEST, WIDTH, axis, label, margin, picture, span
from pipeline.pages.tables import shown_width

LINE, AIR = 16, 6
"""Height of a line of a name, and what is between two names."""
BETWEEN = " − "
"""Where a name may go on in a second line: before what is subtracted."""


class Interval(NamedTuple):
    """A difference, where it may be, and the single differences it is the mean of, where they are to be seen."""

    mean: float
    low: float
    high: float
    single: Sequence[float] = ()
    found: bool = False
    """Whether it is told as a difference: one of several comparisons is not where its own interval leaves out 0."""

    @property
    def shown(self) -> str:
        """`+1.3 [+0.5, +2.1]`; without limits, as that of a single run is, the difference alone."""
        return f"{self.mean:+.1f}" + (f" [{self.low:+.1f}, {self.high:+.1f}]" if isfinite(self.low) else "")

    @property
    def colour(self) -> str:
        """That of a gain or of a loss, grey where no difference was found."""
        return COLOURS[self.mean < 0] if self.found else "#999"


def intervals_svg(series: Mapping[str, Interval], title: str) -> str:
    """A row for each name: a line over its interval, a bar at the mean, dots; what reaches out of the picture is cut,
    and ends in the head of an arrow.

    The picture is as wide as all means, dots and 0, and as much again of the intervals.
    """
    inner = [0.0, *(value for one in series.values() for value in (one.mean, *one.single))]
    room = max(inner) - min(inner)
    ends = [end for one in series.values() for end in one[1:3] if min(inner) - room <= end <= max(inner) + room]
    low, high = span([*inner, *ends])
    lines = {name: _lines(name) for name in series}
    left = margin(line for some in lines.values() for line in some)
    height = AIR + LINE * max(map(len, lines.values()))
    bottom = TOP + height * len(series)
    x = lambda value: left + (min(max(value, low), high) - low) / (high - low) * (WIDTH - left - 20)
    parts = [*axis(low, high, x, bottom), f'<path d="M{x(0):.1f} {TOP}V{bottom}" stroke="#888" stroke-width="1.5"/>']
    for row, (name, one) in enumerate(series.items()):
        y = TOP + height * row + height // 2
        first = y + 4 - LINE * (len(lines[name]) - 1) // 2
        parts += [label(line, left, first + LINE * number) for number, line in enumerate(lines[name])]
        parts += [
            f'<circle cx="{x(v):.1f}" cy="{y}" r="3.5" fill="{one.colour}" fill-opacity=".5"/>' for v in one.single
        ]
        line = f'd="M{x(one.low):.1f} {y}H{x(one.high):.1f}M{x(one.mean):.1f} {y - 7}v14"'
        parts.append(f'<path {line} stroke="{one.colour}" stroke-width="2.5"/>')
        for cut, end, back in ((one.low < low, x(low), 7), (one.high > high, x(high), -7)):
            if cut:
                head = f"M{end + back:.1f} {y - 5}L{end:.1f} {y}l{back} 5"
                parts.append(f'<path d="{head}" fill="none" stroke="{one.colour}" stroke-width="2"/>')
    return picture(parts, title, bottom + 30)


def _lines(name: str) -> list[str]:
    """In two where one would be wider than its margin may be."""
    arm, _, control = name.rpartition(BETWEEN)
    return [arm, f"{BETWEEN.lstrip()}{control}"] if arm and shown_width(name) > WIDEST else [name]
