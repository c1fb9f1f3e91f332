"""What cards state of licences, and what of it a person has to settle."""

import pytest

from pipeline.publishing.licences import Source, concerns


@pytest.mark.parametrize(
    ("licence", "said"),
    [
        ("", "states no licence"),
        ("none stated in the repository", "nobody has allowed it"),
        ("repository under MIT; no separate statement for the data files", "nobody has allowed it"),
        ("the repository's licence section is empty", "nobody has allowed it"),
        ("internal", "not meant to leave the house"),
        ("CC BY-NC 4.0", "some uses only"),
        ("annotations CC BY-SA 3.0; messages follow Weibo's terms of service", "some uses only"),
        ("CC BY-SA 4.0", "same licence"),
    ],
)
def test_a_licence_that_stands_against_it_is_named_with_its_source(licence, said):
    [*_, line] = [line for line in concerns([Source("domain", "shop", (), licence=licence)], "") if said in line]
    assert "shop (domain)" in line and licence in line


@pytest.mark.parametrize("licence", ["Apache-2.0", "MIT", "CC0", "CC BY 4.0", "that of this program"])
def test_a_licence_that_allows_is_no_concern(licence):
    assert concerns([Source("domain", "shop", (), licence=licence)], "") == []


def test_a_base_hands_its_licence_on():
    assert "`hfl/base`" in concerns([], "hfl/base")[0]
