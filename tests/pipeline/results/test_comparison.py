"""What is said of a comparison is what its numbers say."""

import numpy as np
import pytest

from pipeline.pages.parts import Said
from pipeline.results.comparison import Compared, Named, compared, p_shown, size_shown
from pipeline.results.differences import verdict
from pipeline.results.significance import Difference, Sample


def arm(name: str, *scores: float) -> Named:
    return Named(name, Sample({(0, seed): score for seed, score in enumerate(scores)}))


def said(one: Compared, measure: str = "accuracy") -> str:
    return verdict(one, Said(measure, measure)).en


BASE = arm("base", 70, 72, 71, 73, 69)


def test_a_clear_gain_is_called_better_and_a_clear_loss_worse():
    better, worse = compared([(arm("dapt", 80, 82.1, 81, 83, 79.2), BASE), (arm("tapt", 60, 61, 61, 62, 60), BASE)])
    assert said(better, "accuracy").startswith("**dapt is better than base**: +10.1 accuracy, 95% interval [+")
    assert "over 5 seeds, p < 0.001." in said(better, "accuracy")
    assert said(worse, "accuracy").startswith("**tapt is worse than base**: -10.2")


def test_where_none_is_found_it_says_what_would_have_been():
    [one] = compared([(arm("dapt", 71, 72, 70, 74, 69), BASE)])
    assert said(one, "F1").startswith("**No difference found between dapt and base**: +0.2 F1")
    assert f"one of {one.detectable:.1f} would be found four times in five" in said(one, "F1")
    assert one.detectable > one.found.high


def test_among_many_a_detectable_difference_is_a_larger_one_and_is_found_four_times_in_five():
    """One true difference among five of none, in 400 worlds of five seeds: the deviation of the share is 2 %."""
    rng, known = np.random.default_rng(3), Difference(0, 1 / np.sqrt(5), 4, 0.95, 1, 5, 0, 0, 1)
    found = lambda gain: np.mean(
        [_verdict_of_the_first(rng.normal(size=(6, 5)), gain) == "better" for _ in range(400)]
    )
    assert 0.72 < found(known.detectable(6)) < 0.88 and found(known.detectable()) < 0.6


def _verdict_of_the_first(differences: np.ndarray, gain: float) -> str:
    pairs = [
        (arm(f"a{i}", *(row + gain * (i == 0))), arm("base", *(0.0 for _ in row))) for i, row in enumerate(differences)
    ]
    return compared(pairs)[0].verdict


def test_what_was_found_beside_it_asks_no_more_of_a_difference():
    clear = arm("clear", 80, 82.1, 81, 83, 79.2)
    same, other = arm("same", 71, 72, 70, 74, 69), arm("other", 70, 73, 70, 74, 69)
    sizes = [[one.detectable for one in compared([(one, BASE) for one in some])] for some in
             ([same], [same, clear], [same, other, clear])]  # fmt: skip
    assert sizes[0][0] == sizes[1][0] < sizes[2][0] and sizes[1][0] == compared([(same, BASE)])[0].found.detectable(1)


def test_runs_that_are_all_alike_are_said_to_be():
    [one] = compared([(arm("dapt", 50, 50, 50), arm("base", 50, 50, 50))])
    assert said(one).endswith("their runs are all alike.") and "four times" not in said(one)


def test_what_one_of_many_would_show_alone_is_no_difference():
    """p = 0.016 alone; six times that among six."""
    lucky, others = arm("lucky", 71.2, 73, 71.3, 75, 70), [arm(f"o{i}", 70, 72, 71, 73, 69 + i / 10) for i in range(5)]
    assert compared([(lucky, BASE)])[0].verdict == "better"
    among = compared([(one, BASE) for one in (lucky, *others)])[0]
    assert among.verdict == "same" and among.interval.low > 0 and not among.interval.found  # no gain in the picture


def test_one_seed_gets_no_verdict():
    [one] = compared([(arm("dapt", 90), arm("base", 10))])
    assert one.verdict == "same" and "one seed says nothing" in said(one, "accuracy")


@pytest.mark.parametrize(("size", "shown"), [(1.26, "1.3"), (135.2, "> 100"), (np.inf, "–")])
def test_a_detectable_difference_is_no_larger_than_the_scale(size, shown):
    assert size_shown(size) == shown


@pytest.mark.parametrize(("p", "shown"), [(0.0321, "0.032"), (0.0002, "< 0.001"), (1.0, "1.000")])
def test_a_p_is_never_shown_as_zero(p, shown):
    assert p_shown(p) == shown
