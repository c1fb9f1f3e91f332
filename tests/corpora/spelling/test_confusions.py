"""Confusion sets: read from files, and those of pypinyin."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pypinyin import lazy_pinyin

from corpora.schemas import InputError
from corpora.spelling.confusions import Confusions, common_characters, read_confusions, same_sound


def test_lines_of_characters_and_parquet_of_lists_are_read_alike(tmp_path):
    (tmp_path / "set.tsv").write_text("\ufeff门\t们\t闷问\n好\t好\n\n长字\t短\n未\t末\n", encoding="utf-8")
    table = {
        "char": ["门", "好", "长字", "未"],
        "near": [["们"], ["好"], ["短"], None],
        "far": [["闷", "问"], None, None, ["末"]],
    }
    pq.write_table(pa.table(table), tmp_path / "set.parquet")
    wanted = {"门": ("们", "闷", "问"), "未": ("末",)}
    assert read_confusions(tmp_path / "set.tsv") == read_confusions(tmp_path / "set.parquet") == wanted


@pytest.mark.parametrize("content", [b"", "词语\t短语\n".encode(), b"\xff\xfe\x00"])
def test_a_file_without_a_set_is_refused_in_a_line(tmp_path, content):
    (tmp_path / "set.tsv").write_bytes(content)
    with pytest.raises(InputError, match=r"^[^\n]*write [^\n]*$"):
        read_confusions(tmp_path / "set.tsv")


def test_what_sounds_alike_is_common_and_never_the_character_itself():
    common, sounds = set(common_characters()), same_sound()
    assert len(common) == 3755 and {"的", "一", "门"} <= common
    for char, others in sounds.items():
        assert others and char not in others and {char, *others} <= common
    for char in "门他事":
        assert {lazy_pinyin(other)[0] for other in sounds[char]} == {lazy_pinyin(char)[0]}


def test_of_each_kind_there_are_the_candidates_of_that_kind():
    confusions = Confusions({"门": ("们",)}, {"未": ("末",)}, ("一", "二"))
    found = [confusions.of(kind, char) for kind in ("sound", "shape", "any") for char in "门未"]
    assert found == [("们",), (), (), ("末",), ("一", "二"), ("一", "二")]
