"""Why a document was dropped, for who reads Chinese."""

import re
from pathlib import Path

import pytest

from pipeline.results.reasons import in_words

LISTED = (Path(__file__).parents[3] / "docs" / "corpora.md").read_text(encoding="utf-8")
ROWS = LISTED.partition("## What is dropped")[2].partition("\n\n**")[0]
REASONS = [reason for row in ROWS.splitlines() for reason in re.findall(r"`([a-z_0-9]+)`", row.partition(" | ")[0])]


@pytest.mark.parametrize("reason", [*REASONS, "tags_not_strings", "target_too_long", "source_or_target_not_a_string"])
def test_every_reason_of_the_list_is_told_in_chinese(reason):
    assert in_words(reason).en == reason.replace("_", " ") and re.search("[一-龥]", in_words(reason).zh)


def test_a_reason_that_nobody_knows_here_is_told_as_it_is():
    assert in_words("blue_moon") == ("blue moon", "blue moon") and len(REASONS) > 25
