"""Tables that line up and pictures that are well-formed, whatever is in them."""

import re
from xml.etree import ElementTree

import pytest

from pipeline.pages.plots import (
    COLOURS,
    WIDEST,
    dots_svg,
    lines_svg,
    matrix_svg,
    path_svg,
    paths_svg,
    rates_svg,
    rates_text,
    reliability_svg,
)
from pipeline.pages.tables import cut, markdown_table, plus_minus, shown_width, terminal_table

NASTY = ["<script>alert(1)</script>", 'a "b" & <c>', "餐馆 ]]> --", "plain"]
SVG = "{http://www.w3.org/2000/svg}"


def test_a_bar_in_a_cell_does_not_end_it():
    assert markdown_table(["a|b", "c"], [["1", "|"]]).splitlines() == ["| a\\|b | c |", "| --- | --- |", "| 1 | \\| |"]


def test_columns_line_up_with_wide_characters_in_them():
    table = terminal_table(["名字", "F1"], [["a", "10.0"], ["适应后", "9.5"]])
    assert table.splitlines() == ["名字      F1", "──────  ────", "a       10.0", "适应后   9.5"]


def test_what_is_too_wide_keeps_both_its_ends():
    assert [cut("reviews/dapt", 12), cut("reviews/dapt", 9)] == ["reviews/dapt", "revi…dapt"]
    assert [cut("餐馆评论领域", 8), cut("餐馆", 1)] == ["餐…域", "…"]


def test_a_mean_is_shown_with_its_deviation_where_it_has_one():
    assert [plus_minus(81.25, 1.449), plus_minus(81.25, None)] == ["81.2 ± 1.4", "81.2"]


def texts(svg: str) -> list[str]:
    return [element.text for element in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def test_dots_are_well_formed_and_every_name_is_text():
    svg = dots_svg({name: [50.0, 60.0] for name in NASTY}, NASTY[0])
    assert set(NASTY) < set(texts(svg)) and texts(svg)[0] == NASTY[0]
    assert len(list(ElementTree.fromstring(svg).iter(f"{SVG}circle"))) == 8
    assert "<script" not in svg


def test_rows_of_one_number_share_a_colour():
    circles = ElementTree.fromstring(dots_svg({"a": [1], "a-2": [2], "b": [3]}, "t", [1, 1, 2])).iter(f"{SVG}circle")
    assert [one.get("fill") for one in circles] == [COLOURS[1], COLOURS[1], COLOURS[2]]


def test_a_way_is_well_formed_and_its_better_points_lie_to_the_left_and_below():
    svg = path_svg([(NASTY[0], 1.0, 4.0), ("b", 2.0, 3.0)], "b", (NASTY[1], NASTY[2]), NASTY[3])
    assert all(any(name in text for text in texts(svg)) for name in NASTY) and "<script" not in svg
    dots = list(ElementTree.fromstring(svg).iter(f"{SVG}circle"))
    (x, y, small), (right, below, large) = ([float(dot.get(name)) for name in ("cx", "cy", "r")] for dot in dots)
    assert x < right and y < below and small < large


def test_ways_lead_from_a_ring_to_a_large_dot_each_in_its_own_colour():
    ways = {NASTY[0]: [[(2.0, 1.0), (1.5, 3.0), (1.0, 2.0)]], "none": [], NASTY[1]: [[(2.0, 1.0), (3.0, 0.5)]]}
    svg = paths_svg(ways, (NASTY[2], NASTY[3]), "t")
    assert all(any(name in text for text in texts(svg)) for name in NASTY) and "<script" not in svg
    dots = [dot.attrib for dot in ElementTree.fromstring(svg).iter(f"{SVG}circle")]
    assert [dot["r"] for dot in dots] == ["3", "6", "6", "6"] and dots[-1]["fill"] == "none"
    between, end, other, ring = ((float(dot["cx"]), float(dot["cy"])) for dot in dots)
    assert end[0] < between[0] < ring[0] < other[0] and between[1] < end[1] < ring[1] < other[1]
    assert dots[0]["fill"] == dots[1]["fill"] == COLOURS[0] and dots[2]["fill"] == COLOURS[2]


def test_lines_are_well_formed_and_every_name_is_text():
    svg = lines_svg({name: [[(1, 5.0), (10, 4.0)]] for name in NASTY}, NASTY[1])
    assert set(NASTY) < set(texts(svg)) and "<script" not in svg
    assert len(list(ElementTree.fromstring(svg).iter(f"{SVG}polyline"))) == 4


@pytest.mark.parametrize("draw", [lines_svg, lambda series, title: paths_svg(series, ("x", "y"), title)])
def test_lines_of_one_name_are_drawn_alike_and_named_once(draw):
    svg = draw({"base": [], "dapt": [[(0, 5.0), (9, 4.0)], [(0, 5.0), (9, 3.0)]]}, "t")
    lines = list(ElementTree.fromstring(svg).iter(f"{SVG}polyline"))
    assert [line.get("stroke") for line in lines] == [COLOURS[1]] * 2 and texts(svg).count("dapt") == 1


@pytest.mark.parametrize("draw", [lines_svg, lambda series, title: paths_svg(series, ("x", "y"), title)])
def test_of_many_names_no_two_are_drawn_alike_and_none_is_cut(draw):
    names = [f"reviews@integrated_gradients{i}/dapt" for i in range(20)]
    tree = ElementTree.fromstring(draw({name: [[(0, 5.0), (9, 4.0)]] for name in names}, "t"))
    lines = [(line.get("stroke"), line.get("stroke-dasharray")) for line in tree.iter(f"{SVG}polyline")]
    assert len(set(lines)) == 20
    _, top, width, height = map(float, tree.get("viewBox").split())
    ends = {
        text.text: (float(text.get("x")) + 6.5 * len(text.text), float(text.get("y")))
        for text in tree.iter(f"{SVG}text")
    }
    assert all(ends[name][0] <= width and ends[name][1] <= top + height for name in names)


@pytest.mark.parametrize("values", [[5.0], [5.0, 5.0], [0.0, 100.0]])
def test_dots_of_any_spread_stay_in_the_picture(values):
    for circle in ElementTree.fromstring(dots_svg({"a": values}, "t")).iter(f"{SVG}circle"):
        assert 20 < float(circle.get("cx")) < 640


def test_on_a_page_with_a_caption_a_picture_has_no_title_and_no_room_for_one():
    with_title, without = (lines_svg({"base": [[(0, 2.0), (9, 1.0)]]}, title) for title in ("losses", ""))
    assert "losses" in texts(with_title) and "" not in texts(without)
    heights = [float(ElementTree.fromstring(svg).get("viewBox").split()[3]) for svg in (with_title, without)]
    assert heights[1] < heights[0]


def test_reliability_is_well_formed_and_the_larger_bin_the_larger_point():
    svg = reliability_svg({name: [(0.1, 0.0, 900), (0.9, 1.0, 100)] for name in NASTY}, NASTY[1])
    assert set(NASTY) < set(texts(svg)) and "<script" not in svg
    radii = [float(circle.get("r")) for circle in ElementTree.fromstring(svg).iter(f"{SVG}circle")]
    assert len(radii) == 8 and radii[0] > radii[1]


def test_a_matrix_is_well_formed_and_shows_every_number():
    svg = matrix_svg(NASTY, [[1.0, -0.25, 0.5, 0.0]] * 4, NASTY[2])
    assert set(NASTY) < set(texts(svg)) and {"1", "-.25", ".50", ".00"} < set(texts(svg)) and "<script" not in svg
    fills = [cell.get("fill") for cell in ElementTree.fromstring(svg).iter(f"{SVG}rect")]
    assert len(fills) == 16 and fills[1] != fills[0] == fills[2]


LONG = ["no", "card_payment_wrong_exchange_rate", "n" * 100, "类" * 50]


def rows_of(svg: str, names: list[str]) -> ElementTree.Element:
    """The picture, after a look at its names: each is there to be read, and none begins left of it."""
    tree = ElementTree.fromstring(svg)
    texts = [text for text in tree.iter(f"{SVG}text") if text.get("x") and text.get("text-anchor") == "end"]
    assert [text.findtext(f"{SVG}title", text.text) for text in texts] == names
    assert all(float(text.get("x")) >= 7.5 * shown_width(text.text) for text in texts)
    assert all(("…" in text.text) == (shown_width(name) > WIDEST) for text, name in zip(texts, names, strict=True))
    return tree


@pytest.mark.parametrize("name", LONG)
def test_dots_have_half_of_the_picture_whatever_the_names(name):
    tree = rows_of(dots_svg({name: [0.0, 1.0]}, ""), [name])
    left, right = (float(circle.get("cx")) for circle in tree.iter(f"{SVG}circle"))
    assert right - left > 200


@pytest.mark.parametrize("count", [2, 20])
@pytest.mark.parametrize("name", LONG)
def test_a_matrix_has_room_for_its_names_and_its_cells_for_their_numbers(count, name):
    names = [f"{name}{number}" for number in range(count)]
    tree = rows_of(matrix_svg(names, [[0.25] * count] * count, ""), names)
    _, top, width, height = map(float, tree.get("viewBox").split())
    for text in (text for text in tree.iter(f"{SVG}text") if text.get("transform")):  # by 60 degrees
        x, y = map(float, re.findall(r"[\d.]+", text.get("transform"))[:2])
        assert x >= 3.75 * shown_width(text.text) and y + 6.5 * shown_width(text.text) <= top + height
    *_, cell = tree.iter(f"{SVG}rect")
    assert float(cell.get("width")) >= 24 and float(cell.get("x")) + float(cell.get("width")) <= width


RISING = [(10.0 ** (-6 + i / 10), 1.0 + (i - 20) ** 2 / 100, 1.0 + (i - 20) ** 2 / 100) for i in range(41)]


def test_losses_by_rate_have_a_point_each_and_their_marks():
    svg = rates_svg(RISING, {NASTY[0]: 1e-4}, NASTY[1])
    assert f"{NASTY[0]} 1.0e-04" in texts(svg) and {"1e-6", "1e-4", "1e-2"} <= set(texts(svg))
    assert len(list(ElementTree.fromstring(svg).iter(f"{SVG}circle"))) == 41 and "<script" not in svg


def test_in_the_terminal_the_bar_of_the_lowest_loss_is_the_shortest_and_is_marked():
    lines = rates_text(RISING, {"lowest": 1e-4}).splitlines()[1:-2]
    shortest = min(lines, key=lambda line: line.count("█"))
    assert len(lines) <= 20 and [line for line in lines if "lowest" in line] == [shortest]
