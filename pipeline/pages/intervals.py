"""Differences with how sure they are, one below the other, for the eye (a forest plot)."""

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import NamedTuple

from pipeline.pages.plots import COLOURS, TOP, WIDTH, axis, picture, safe, span
from pipeline.pages.tables import shown_width

ROW = 22
"""Height of a line of the picture."""


class Interval(NamedTuple):
    """A difference, where it may be, and the single differences it is the mean of, where they are to be seen."""

    mean: float
    low: float
    high: float
    single: Sequence[float] = ()

    @property
    def shown(self) -> str:
        """`+1.3 [+0.5, +2.1]`; without limits, as that of a single run is, the difference alone."""
        return f"{self.mean:+.1f}" + (f" [{self.low:+.1f}, {self.high:+.1f}]" if isfinite(self.low) else "")

    @property
    def colour(self) -> str:
        """Grey where 0 is among what may be, else that of a gain or of a loss."""
        return "#999" if self.low <= 0 <= self.high else COLOURS[self.mean < 0]


def intervals_svg(series: Mapping[str, Interval], title: str) -> str:
    """A row for each name: a line over its interval, a bar at the mean, dots; what reaches out of the picture is cut,
    and ends in the head of an arrow.

    The picture is as wide as all means, dots and 0, and as much again of the intervals.
    """
    inner = [0.0, *(value for one in series.values() for value in (one.mean, *one.single))]
    room = max(inner) - min(inner)
    ends = [end for one in series.values() for end in one[1:3] if min(inner) - room <= end <= max(inner) + room]
    low, high = span([*inner, *ends])
    left, bottom = 24 + 8 * max(map(shown_width, series)), TOP + ROW * len(series)
    x = lambda value: left + (min(max(value, low), high) - low) / (high - low) * (WIDTH - left - 20)
    parts = [*axis(low, high, x, bottom), f'<path d="M{x(0):.1f} {TOP}V{bottom}" stroke="#888" stroke-width="1.5"/>']
    for row, (name, one) in enumerate(series.items()):
        y = TOP + ROW * row + ROW // 2
        parts.append(f'<text x="{left - 12}" y="{y + 4}" text-anchor="end">{safe(name)}</text>')
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
