"""What is read of a row, id by id."""

from itertools import pairwise

import numpy as np
import pytest
from conftest import TEXTS, WORDS

from pipeline.batches import IGNORE
from pipeline.finetuning.inputs import InputConfig, Reader
from pipeline.finetuning.split import Split, cut_of
from pipeline.finetuning.tags import Tags
from pipeline.run.errors import InputError

ZH = "我们爱这家店的菜很好吃难味道服务不错差太"
FAMILIES = ["wordpiece", "byte-level", "byte-level trimmed", "metaspace"]


def ids(text: str) -> list[int]:
    return [WORDS.index(word) for word in text]


CLS, SEP = 2, 3


def read(tokenizer, row: dict, max_length: int = 12, **settings) -> list[int]:
    row = {"text": None, "text_pair": None, **row}
    return next(Reader(tokenizer, max_length, InputConfig(**settings)).texts([row])).input_ids.tolist()


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("pair", [False, True])
def test_short_texts_are_read_as_the_tokenizer_reads_them(families, family, pair):
    tokenizer = families[family]
    rows = [{"text": text, "text_pair": TEXTS[0] if pair else None} for text in [*TEXTS, "[MASK] a"]]
    for row, one in zip(rows, Reader(tokenizer, 100, InputConfig()).texts(rows), strict=True):
        wanted = tokenizer(row["text"], row["text_pair"], split_special_tokens=True)
        assert one.input_ids.tolist() == wanted["input_ids"] and one.lost == 0
        assert one.types.tolist() == wanted.get("token_type_ids", [0] * len(one.input_ids))


@pytest.mark.parametrize(("long", "wanted"), [("head", ZH[:10]), ("tail", ZH[-10:]), ("head_tail", ZH[:3] + ZH[-7:])])
def test_a_long_text_is_read_at_its_ends(tokenizer, long, wanted):
    assert read(tokenizer, {"text": ZH}, long=long, head_share=0.3) == [CLS, *ids(wanted), SEP]


def test_a_long_text_becomes_two_segments(tokenizer):
    found = read(tokenizer, {"text": ZH}, max_length=13, long="two_segments", head_share=0.3)
    assert found == [CLS, *ids(ZH[:3]), SEP, *ids(ZH[-7:]), SEP]
    assert read(tokenizer, {"text": ZH[:11]}, max_length=13, long="two_segments") == [CLS, *ids(ZH[:11]), SEP]


def test_windows_overlap_and_cover_all_of_a_text(tokenizer):
    one = next(
        Reader(tokenizer, 10, InputConfig(long="windows", overlap=0.25)).texts([{"text": ZH, "text_pair": None}])
    )
    windows = np.split(one.input_ids, range(10, len(one.input_ids), 10))
    assert [list(w) for w in windows] == [[CLS, *ids(ZH[i : i + 8]), SEP] for i in (0, 6, 12)]
    assert one.lost == 0 and one.whole == len(ZH)


def test_windows_past_the_last_one_allowed_are_lost(tokenizer):
    config = InputConfig(long="windows", overlap=0.25, max_windows=2)
    one = next(Reader(tokenizer, 10, config).texts([{"text": ZH, "text_pair": None}]))
    assert len(one.input_ids) == 20 and one.lost == len(ZH) - 14


def test_of_a_pair_the_longer_text_is_cut_first(tokenizer):
    pair = {"text": ZH, "text_pair": "味道"}
    assert read(tokenizer, pair) == [CLS, *ids(ZH[:7]), SEP, *ids("味道"), SEP]
    assert read(tokenizer, {"text": "味道", "text_pair": ZH}) == [CLS, *ids("味道"), SEP, *ids(ZH[:7]), SEP]
    assert read(tokenizer, {"text": ZH, "text_pair": ZH}) == [CLS, *ids(ZH[:5]), SEP, *ids(ZH[:4]), SEP]


def test_windows_slide_over_the_first_text_beside_the_whole_second(tokenizer):
    found = read(tokenizer, {"text": ZH[:10], "text_pair": "味道"}, long="windows", overlap=0.0)
    assert found == [CLS, *ids(ZH[:7]), SEP, *ids("味道"), SEP, CLS, *ids(ZH[7:10]), SEP, *ids("味道"), SEP]


def test_fields_are_read_in_the_order_asked_for(tokenizer):
    row = {"text": "我们", "text_pair": "味道"}
    assert read(tokenizer, row, fields=("text_pair", "text")) == [CLS, *ids("味道"), SEP, *ids("我们"), SEP]
    assert read(tokenizer, row, fields=("text",)) == [CLS, *ids("我们"), SEP]
    assert read(tokenizer, {"text": "我们"}, fields=("text_pair", "text")) == [CLS, *ids("我们"), SEP]


def test_nothing_of_two_texts_is_two_segments(tokenizer):
    with pytest.raises(InputError, match="makes a pair of one text, and these rows have two"):
        read(tokenizer, {"text": "我", "text_pair": "们"}, long="two_segments")


def test_settings_that_mean_nothing_are_refused():
    for settings in (
        {"fields": ()},
        {"fields": ("label",)},
        {"overlap": 1.0},
        {"head_share": -0.1},
        {"max_windows": 0},
    ):
        with pytest.raises(ValueError, match=next(iter(settings))):
            InputConfig(**settings)


# ---- tags ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_every_token_that_has_an_id_has_its_tag_at_the_first_of_them(families, family):
    tokenizer, task = families[family], Tags(("O", "B-X", "I-X"))
    tokens = ["the", "played", "好", "吃", "unable", "\u200b", "zq", "!"]
    tags = ["O", "B-X", "B-X", "I-X", "O", "O", "B-X", "O"]
    split = Split.of([{"tokens": tokens, "tags": tags}], Reader(tokenizer, 64, InputConfig()), task)
    row, labels = split.batches.input_ids[0], split.batches.labels[0]
    assert [task.names[tag] for tag in labels[labels != IGNORE]] == [tags[word] for word in split.batches.words[0]]
    assert len(split.batches.words[0]) >= 7  # a character no one sees may be nothing to a tokenizer
    places = [*np.flatnonzero(labels != IGNORE), len(row) - 1]
    for word, (start, end) in zip(split.batches.words[0], pairwise(places), strict=True):
        known = tokenizer.unk_token_id not in row[start:end]
        assert not known or tokenizer.decode(row[start:end]).strip() == tokens[word]


def test_tokens_that_are_cut_off_still_count(tokenizer):
    task = Tags(("O", "B-X", "I-X"))
    row = {"tokens": list(ZH), "tags": ["B-X"] * len(ZH)}
    split = Split.of([row], Reader(tokenizer, 12, InputConfig()), task)
    assert split.batches.words[0].tolist() == list(range(10)) and split.truth.tolist() == [1] * len(ZH)
    assert split.lengths.tolist() == [len(ZH)] and split.lost.tolist() == [len(ZH) - 10]
    assert cut_of(
        {"train": split}
    ) == f"rows of {len(ZH)} ids, the longest of {len(ZH)}; cut are of train 100.0%, " + (
        f"{1 - 10 / len(ZH):.1%} of all ids"
    )
