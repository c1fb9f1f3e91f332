"""A masked sequence for human eyes."""

import numpy as np

from pipeline.masking.preview import show


def test_a_shown_sequence_marks_what_is_important_and_what_is_masked():
    shown = show(
        ["[CLS]", "*好", "吃", "|"], np.array([0, 200, 255, 0], np.uint8), np.array([False, False, True, False])
    )
    assert shown == r"\[CLS\] **\*好** **`[吃]`** \|"
