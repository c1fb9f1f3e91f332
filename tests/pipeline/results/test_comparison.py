"""What is said of a comparison is what its numbers say."""

import pytest

from pipeline.pages.parts import Said
from pipeline.results.comparison import Compared, Named, compared, p_shown
from pipeline.results.differences import verdict
from pipeline.results.significance import Sample


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
    assert f"one of {one.found.detectable:.1f} would be found four times in five" in said(one, "F1")
    assert one.found.detectable > one.found.high


def test_what_one_of_many_would_show_alone_is_no_difference():
    """p = 0.016 alone; six times that among six."""
    lucky, others = arm("lucky", 71.2, 73, 71.3, 75, 70), [arm(f"o{i}", 70, 72, 71, 73, 69 + i / 10) for i in range(5)]
    assert compared([(lucky, BASE)])[0].verdict == "better"
    among = compared([(one, BASE) for one in (lucky, *others)])[0]
    assert among.verdict == "same" and among.interval.low > 0 and not among.interval.found  # no gain in the picture


def test_one_seed_gets_no_verdict():
    [one] = compared([(arm("dapt", 90), arm("base", 10))])
    assert one.verdict == "same" and "one seed says nothing" in said(one, "accuracy")


@pytest.mark.parametrize(("p", "shown"), [(0.0321, "0.032"), (0.0002, "< 0.001"), (1.0, "1.000")])
def test_a_p_is_never_shown_as_zero(p, shown):
    assert p_shown(p) == shown
