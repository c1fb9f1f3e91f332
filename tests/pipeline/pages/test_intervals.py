"""Differences for the eye: what may be, where it ends, what speaks for a gain."""

import re
from xml.etree import ElementTree

import pytest

from pipeline.pages.intervals import Interval, intervals_svg
from pipeline.pages.plots import WIDTH

SVG = "{http://www.w3.org/2000/svg}"
NASTY = '<script>"a" & b'


def drawn(series: dict[str, Interval]) -> tuple[dict[str, float], list[tuple[str, list[float]]]]:
    """Places of the axis by their labels, and of each interval its colour with its ends and mean."""
    tree = ElementTree.fromstring(intervals_svg(series, "t"))
    labels = {
        text.text: float(text.get("x")) for text in tree.iter(f"{SVG}text") if text.get("text-anchor") == "middle"
    }
    paths = [path for path in tree.iter(f"{SVG}path") if path.get("stroke-width") == "2.5"]
    places = lambda path: [float(number) for number in re.split("[MHv ]", path.get("d")) if number]
    return labels, [(path.get("stroke"), [places(path)[i] for i in (0, 2, 3)]) for path in paths]


def test_ends_and_mean_stand_where_the_axis_says_and_every_name_is_text():
    labels, [(_, (low, high, mean))] = drawn({NASTY: Interval(1.0, -1.0, 3.0, (0.0, 2.0))})
    a_point = (labels["2"] - labels["0"]) / 2
    assert [low, mean, high] == pytest.approx([labels["0"] + n * a_point for n in (-1, 1, 3)], abs=0.2)
    assert "<script" not in intervals_svg({NASTY: Interval(1.0, -1.0, 3.0)}, NASTY)


def test_only_what_is_found_has_a_colour_though_the_interval_of_another_leaves_out_zero():
    alone = Interval(2, 1, 3)
    _, found = drawn({"a": alone, "b": alone._replace(found=True), "c": Interval(-2, -3, -1, found=True)})
    unsure, gain, loss = (colour for colour, _ in found)
    assert len({unsure, gain, loss}) == 3 and unsure == "#999"


@pytest.mark.parametrize("width", [20, 34, 75, 300])
def test_a_name_of_any_length_leaves_half_of_the_picture_to_the_intervals(width):
    name = f"{'a' * width}/dapt − {'b' * width}/dapt-control"
    labels, [(_, (low, high, _))] = drawn({name: Interval(1.0, -1.0, 3.0, (0.0, 2.0))})
    assert low < high and labels["0"] < labels["2"] and high - low > 0.4 * WIDTH
    texts = [text for text in ElementTree.fromstring(intervals_svg({name: Interval(1, 0, 2)}, "")).iter(f"{SVG}text")]
    names = [text for text in texts if text.get("text-anchor") == "end"]
    assert all(float(text.get("x")) - 7.5 * len(text.text) > 0 for text in names)
    assert (names[0].text[0], names[-1].text[-13:]) == ("a", "/dapt-control")
    assert " ".join(text.findtext(f"{SVG}title", text.text) for text in names) == name


def test_an_interval_that_knows_nothing_does_not_flatten_the_others():
    both = {"a": Interval(1, 0.5, 1.5), "b": Interval(0.5, -500, 500)}
    _, [(_, known), (_, unknown)] = drawn(both)
    assert unknown[1] - unknown[0] < 6 * (known[1] - known[0])
    paths = ElementTree.fromstring(intervals_svg(both, "t")).iter(f"{SVG}path")
    heads = [path for path in paths if path.get("stroke-width") == "2"]
    assert [path.get("d").split("L")[1].split(" ")[0] for path in heads] == [f"{end:.1f}" for end in unknown[:2]]
