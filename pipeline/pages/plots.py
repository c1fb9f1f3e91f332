"""Plots, each a picture that stands by itself (SVG); one of them for a terminal as well."""

from collections.abc import Callable, Iterable, Sequence
from html import escape
from math import ceil, floor, isnan, log10

from pipeline.pages.plain import visible
from pipeline.pages.tables import cut, shown_width

STYLE = (
    "<style>text{font:13px system-ui,sans-serif;fill:#444}.a{stroke:#bbb}@media screen and (prefers-color-scheme:dark)"
    "{text{fill:#ccc}.a{stroke:#666}}</style>"
)
COLOURS = ["#4c78a8", "#e45756", "#54a24b", "#b279a2", "#f58518", "#72b7b2", "#9d755d", "#bab0ac"]
DASHES = ["", "6 3", "2 3"]
WIDTH, TOP = 640, 30
COLUMN, WIDEST = 8, 37
"""What a letter takes, and how many of them a name may have before a row: half of the picture."""
CELL = 24
"""Of a matrix, at least: a number of two digits stands in it."""


def dots_svg(series: dict[str, Sequence[float]], title: str, colours: Sequence[int] = ()) -> str:
    """A row for each name: a dot for each value, a bar at their mean; `colours`: the number of each row's."""
    low, high = span([value for values in series.values() for value in values])
    left = margin(series)
    x = lambda value: left + (value - low) / (high - low) * (WIDTH - left - 20)
    parts = axis(low, high, x, TOP + 34 * len(series))
    for row, (name, values) in enumerate(series.items()):
        y, colour = TOP + 34 * row + 17, COLOURS[(colours[row] if colours else row) % len(COLOURS)]
        mean = sum(values) / len(values)
        parts.append(label(name, left, y + 4))
        parts += [f'<circle cx="{x(v):.1f}" cy="{y}" r="5" fill="{colour}" fill-opacity=".7"/>' for v in values]
        parts.append(f'<path d="M{x(mean):.1f} {y - 11}v22" stroke="{colour}" stroke-width="3"/>')
    return picture(parts, title, TOP + 34 * len(series) + 30)


Points = Sequence[tuple[float, float]]
"""(x, y), in the order in which they are joined."""


def lines_svg(series: dict[str, Sequence[Points]], title: str, marks: Sequence[float] = ()) -> str:
    """The lines of each name, all drawn alike, that have at least two points, there must be one.

    `marks`: what is written below; the two ends where nothing is.
    """
    looks = _looks(series)  # as in the other plots of these names
    series = _with_lines(series, least=2)
    drawn = [point for lines in series.values() for points in lines for point in points]
    low, high = span([y for _, y in drawn])
    last, width, height = max(x for x, _ in drawn), WIDTH - 75 - _room(series), 220
    place = lambda p: (60 + p[0] / last * width, TOP + (high - p[1]) / (high - low) * height)
    parts = []
    for value in (low, (low + high) / 2, high):
        y = place((0, value))[1]
        parts.append(f'<path class="a" d="M60 {y:.1f}h{width}" stroke-opacity=".6"/>')
        parts.append(f'<text x="52" y="{y + 4:.1f}" text-anchor="end">{value:.2f}</text>')
    for x, anchor in [(x, "middle") for x in marks] or [(0, "start"), (last, "end")]:
        at = f'x="{place((x, low))[0]:.1f}" y="{TOP + height + 20}" text-anchor="{anchor}"'
        parts.append(f"<text {at}>{x:,.0f}</text>")
    for name, lines in series.items():
        for points in lines:
            path = " ".join(f"{x:.1f},{y:.1f}" for x, y in map(place, points))
            parts.append(f'<polyline points="{path}" fill="none" {_stroke(looks[name])}/>')
    parts += _legend({name: looks[name] for name in series})
    return picture(parts, title, TOP + max(height + 30, 24 + 18 * len(series)))


def reliability_svg(series: dict[str, Sequence[tuple[float, float, int]]], title: str) -> str:
    """Of each name (mean prediction, share that came true, count) of bins: points as large as their count.

    On the diagonal a prediction can be believed; the line of a name joins its points.
    """
    left, side = 60, 300
    place = lambda predicted, true: (left + predicted * side, TOP + (1 - true) * side)
    frame = f"M{left} {TOP}h{side}v{side}h-{side}zM{left} {TOP + side}l{side} -{side}"
    parts = [f'<path class="a" fill="none" d="{frame}"/>']
    for value in (0.0, 0.5, 1.0):
        parts.append(f'<text x="{left - 8}" y="{place(0, value)[1] + 4}" text-anchor="end">{value}</text>')
        parts.append(f'<text x="{place(value, 0)[0]}" y="{TOP + side + 18}" text-anchor="middle">{value}</text>')
    for row, (name, bins) in enumerate(series.items()):
        colour, total = COLOURS[row % len(COLOURS)], sum(count for *_, count in bins)
        points = [(*place(predicted, true), 3 + 15 * (count / total) ** 0.5) for predicted, true, count in bins]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y, _ in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-opacity=".5"/>')
        dot = f'fill="{colour}" fill-opacity=".55"'
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}" {dot}/>' for x, y, radius in points]
        at = f'x="{left + side + 24}" y="{TOP + 16 + 18 * row}"'
        parts.append(f'<text {at} style="fill:{colour}">{safe(name)}</text>')
    return picture(parts, title, TOP + side + 30)


def matrix_svg(names: Sequence[str], values: Sequence[Sequence[float]], title: str) -> str:
    """A square of cells, row by column: the number, on blue as strong as it is, or on red where it is below 0.

    With many cells and long names the picture is wider than others.
    """
    left = margin(names or [""])
    size = min(max((WIDTH - left - 10) / max(len(names), 1), CELL), 90)
    bottom, parts = TOP + len(names) * size, []
    for i, name in enumerate(names):
        x, y = left + (i + 0.5) * size, TOP + i * size
        parts.append(label(name, left, round(y + size / 2 + 4, 1)))
        turned = f'transform="translate({x + 4:.1f} {bottom + 8:.1f}) rotate(-60)" text-anchor="end"'
        parts.append(written(name, WIDEST, turned))
        for j, value in enumerate(values[i]):
            parts += _cell(left + j * size, y, size, value)
    return picture(parts, title, round(bottom + 0.9 * left), max(WIDTH, round(left + len(names) * size) + 10))


def rates_svg(points: Sequence[tuple[float, float, float]], marks: dict[str, float], title: str) -> str:
    """(rate, loss, smoothed loss) by the logarithm of the rate: dots and a line; what is marked has a line across."""
    first, last, height = log10(points[0][0]), log10(points[-1][0]), 220
    top = 1.3 * points[0][2]  # what diverges would flatten all that is to be seen
    low, high = span([min(smooth for *_, smooth in points), top])
    x = lambda rate: 60 + (log10(rate) - first) / (last - first) * (WIDTH - 90)
    y = lambda loss: TOP + (high - min(loss, high)) / (high - low) * height
    parts = [
        f'<text x="52" y="{y(v) + 4:.1f}" text-anchor="end">{v:.2f}</text>' for v in (low, (low + high) / 2, high)
    ]
    for decade in range(ceil(first - 1e-9), floor(last + 1e-9) + 1):
        at = f'x="{x(10**decade):.1f}" y="{TOP + height + 18}" text-anchor="middle"'
        parts.append(f"<text {at}>1e{decade}</text>")
    parts += [
        f'<circle cx="{x(rate):.1f}" cy="{y(loss):.1f}" r="2" fill="{COLOURS[0]}" fill-opacity=".4"/>'
        for rate, loss, _ in points
    ]
    path = " ".join(f"{x(rate):.1f},{y(smooth):.1f}" for rate, _, smooth in points)
    parts.append(f'<polyline points="{path}" fill="none" stroke="{COLOURS[0]}" stroke-width="2"/>')
    for number, (name, rate) in enumerate(marks.items()):
        colour, down = COLOURS[number + 1], TOP + 14 + 16 * number
        parts.append(f'<path d="M{x(rate):.1f} {TOP}v{height}" stroke="{colour}"/>')
        parts.append(f'<text x="{x(rate) + 6:.1f}" y="{down}" style="fill:{colour}">{safe(name)} {rate:.1e}</text>')
    return picture(parts, title, TOP + height + 30)


def rates_text(points: Sequence[tuple[float, float, float]], marks: dict[str, float], lines: int = 20) -> str:
    """The same for a terminal: a line for every so many rates, a bar as long as the smoothed loss."""
    every = -(-len(points) // lines)
    shown = points[every // 2 :: every]
    longest = max(min(smooth, 1.3 * points[0][2]) for *_, smooth in shown)
    rows = []
    for rate, _, smooth in shown:
        near = [
            name for name, at in marks.items() if abs(log10(at / rate)) < abs(log10(shown[1][0] / shown[0][0])) / 2
        ]
        bar = "█" * round(40 * min(smooth / longest, 1.0))
        rows.append(f"{rate:8.1e}  {smooth:7.3f}  {bar}{'  ← ' if near else ''}{', '.join(near)}")
    told = ", ".join(f"{name} {rate:.1e}" for name, rate in marks.items())
    return "\n".join(["    rate     loss", *rows, "", told])


def path_svg(points: Sequence[tuple[str, float, float]], marked: str, axes: tuple[str, str], title: str) -> str:
    """(name, x, y) in the order of a way, each a dot with its name; the marked one is larger."""
    place, parts = _plane([point[1:] for point in points], axes, WIDTH - 90)
    way = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(*point[1:]) for point in points))
    parts.append(f'<polyline points="{way}" fill="none" stroke="{COLOURS[0]}" stroke-opacity=".5"/>')
    for name, *at in points:
        (x, y), colour = place(*at), COLOURS[name == marked]
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{6 if name == marked else 4}" fill="{colour}"/>')
        parts.append(f'<text x="{x + 9:.1f}" y="{y - 6:.1f}">{safe(name)}</text>')
    return picture(parts, title, TOP + 350)


def paths_svg(series: dict[str, Sequence[Points]], axes: tuple[str, str], title: str) -> str:
    """The ways of each name that has some, there must be one: from a ring over dots to a larger one at its end."""
    looks = _looks(series)  # as in the other plots of these names
    series = _with_lines(series, least=1)
    width = WIDTH - 85 - _room(series)
    place, parts = _plane([point for ways in series.values() for way in ways for point in way], axes, width)
    for name, ways in series.items():
        for way in ways:
            parts += _way([place(*point) for point in way], looks[name])
    parts += _legend({name: looks[name] for name in series})
    begun = {place(*way[0]) for ways in series.values() for way in ways}
    rings = [f'<circle class="a" cx="{x:.1f}" cy="{y:.1f}" r="6" fill="none" stroke-width="2"/>' for x, y in begun]
    return picture([*parts, *sorted(rings)], title, TOP + max(350, 24 + 18 * len(series)))


def _way(places: Points, look: "Look") -> list[str]:
    """A line, dots between its ends and a larger one at the last."""
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    dots = [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{look[0]}"/>' for x, y in places[1:-1]]
    x, y = places[-1]
    end = f'<circle cx="{x:.1f}" cy="{y:.1f}" r="6" fill="{look[0]}"/>'
    return [f'<polyline points="{line}" fill="none" {_stroke(look)}/>', *dots, end]


def _with_lines(series: dict[str, Sequence[Points]], least: int) -> dict[str, list[Points]]:
    """What has lines of so many points at least, without the others."""
    long = {name: [points for points in lines if len(points) >= least] for name, lines in series.items()}
    return {name: lines for name, lines in long.items() if lines}


Look = tuple[str, str]
"""A colour and a pattern of dashes."""


def _looks(names: Iterable[str]) -> dict[str, Look]:
    """How each name is drawn: eight colours, then the same in dashes, then in dots."""
    return {name: (COLOURS[i % len(COLOURS)], DASHES[i // len(COLOURS) % len(DASHES)]) for i, name in enumerate(names)}


def _stroke(look: Look) -> str:
    return f'stroke="{look[0]}" stroke-width="2"' + (f' stroke-dasharray="{look[1]}"' if look[1] else "")


def margin(names: Iterable[str]) -> int:
    """What names before rows take, with the air around them."""
    return 24 + COLUMN * min(max(map(shown_width, names)), WIDEST)


def label(name: str, left: int, y: float) -> str:
    """A name that ends before `left`."""
    return written(name, WIDEST, f'x="{left - 12}" y="{y}" text-anchor="end"')


def written(name: str, columns: int, at: str) -> str:
    """A name in so many columns: of a longer one both ends, and all of it for who points at it."""
    shown = cut(visible(name), columns)
    whole = f"<title>{safe(name)}</title>" if shown != visible(name) else ""
    return f"<text {at}>{escape(shown)}{whole}</text>"


def _room(names: Iterable[str]) -> int:
    """What a legend takes, with the air before it; half of a picture at most."""
    return min(60 + 7 * max(map(shown_width, names)), WIDTH // 2)


def _legend(looks: dict[str, Look]) -> list[str]:
    left, parts = WIDTH + 16 - _room(looks), []
    for row, (name, look) in enumerate(looks.items()):
        y = TOP + 16 + 18 * row
        parts.append(f'<path d="M{left} {y - 4}h18" {_stroke(look)}/>')
        parts.append(written(name, (_room(looks) - 60) // 7, f'x="{left + 25}" y="{y}" style="fill:{look[0]}"'))
    return parts


Place = Callable[[float, float], tuple[float, float]]


def _plane(points: Sequence[Sequence[float]], axes: tuple[str, str], width: int) -> tuple[Place, list[str]]:
    """Where x, y stand in a picture that holds all points, and its axes: named, with three numbers each."""
    left, height = 70, 300
    (west, east), (south, north) = (span([point[axis] for point in points]) for axis in (0, 1))
    place = lambda x, y: (left + (x - west) / (east - west) * width, TOP + (north - y) / (north - south) * height)
    parts = [f'<path class="a" fill="none" d="M{left} {TOP}v{height}h{width}"/>']
    for share in (0.1, 0.5, 0.9):
        x, y = west + share * (east - west), south + share * (north - south)
        parts.append(f'<text x="{left - 8}" y="{place(x, y)[1] + 4:.1f}" text-anchor="end">{y:.2f}</text>')
        parts.append(f'<text x="{place(x, y)[0]:.1f}" y="{TOP + height + 18}" text-anchor="middle">{x:.2f}</text>')
    parts.append(f'<text x="{left + width}" y="{TOP + height + 38}" text-anchor="end">{safe(axes[0])} →</text>')
    parts.append(f'<text x="{left + width}" y="{TOP + 12}" text-anchor="end">↑ {safe(axes[1])}</text>')
    return place, parts


def _cell(x: float, y: float, size: float, value: float) -> list[str]:
    """A square with a number of -1 to 1, or – where there is none."""
    known = not isnan(value)
    colour, strength = COLOURS[value < 0], abs(value) * 0.9 if known else 0.0
    square = f'<rect x="{x:.1f}" y="{y:.1f}" width="{size:.1f}" height="{size:.1f}"'
    number = f"{round(value, 2) + 0.0:.2f}".replace("0.", ".").replace("1.00", "1") if known else "–"
    at = f'x="{x + size / 2:.1f}" y="{y + size / 2 + 4:.1f}"'
    light = ' style="fill:#fff"' if strength > 0.5 else ""
    return [
        f'{square} fill="{colour}" fill-opacity="{strength:.2f}"/>',
        f'<text {at} text-anchor="middle"{light}>{number}</text>',
    ]


def safe(text: str) -> str:
    """A name as it may stand in a picture."""
    return escape(visible(text))


def span(values: Sequence[float]) -> tuple[float, float]:
    """Lowest and highest with a little air; never of width 0."""
    air = (max(values) - min(values)) * 0.08 or 1.0
    return min(values) - air, max(values) + air


def axis(low: float, high: float, x: Callable[[float], float], bottom: float) -> list[str]:
    """Lines from top to bottom with their values below: whole steps of 1, 2 or 5, 0 among them where it is inside."""
    step = min((unit * 10.0**k for k in range(-3, 7) for unit in (1, 2, 5)), key=lambda s: abs((high - low) / s - 5))
    marks = [step * i for i in range(ceil(low / step), floor(high / step) + 1)]
    lines = [f'<line class="a" x1="{x(m):.1f}" x2="{x(m):.1f}" y1="{TOP}" y2="{bottom}"/>' for m in marks]
    return lines + [f'<text x="{x(m):.1f}" y="{bottom + 18}" text-anchor="middle">{m:.4g}</text>' for m in marks]


def picture(parts: Sequence[str], title: str, height: int, width: int = WIDTH) -> str:
    """A picture; without a title, for a page that has its own, it begins where the title would have ended."""
    top = 0 if title else TOP - 14
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 {top} {width} {height - top}" width="{width}" role="img">'
    )
    said = [f'<text x="12" y="18" style="font-weight:600">{safe(title)}</text>'] if title else []
    return "\n".join([head, STYLE, *said, *parts, "</svg>\n"])
