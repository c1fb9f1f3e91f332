"""What masking does is shown as it is, and what a corpus contains can do no harm to the page."""

import re
from typing import get_args

import numpy as np
import pytest

from pipeline.batches import MaskedBatches, Sequences
from pipeline.masking.config import MaskingConfig, Policy
from pipeline.masking.pages import (
    MASKED,
    UNTOUCHED,
    Drawn,
    Piece,
    in_markdown,
    in_terminal,
    pieces,
    pieces_as_written,
    sequences_html,
)
from pipeline.masking.replacement import Vocabulary
from pipeline.pages.plain import visible
from pipeline.tokens import Frame, encode, replaceable_ids

TEXT = ["我爱北京的天气。", "a fine day"]


@pytest.fixture
def drawn(tokenizer):
    """Two sequences and one visit of each."""
    spans = lambda text: np.array([[i, i + 1] for i, c in enumerate(text) if not c.isspace()])
    rows = [Frame.of(tokenizer).around(tokens) for tokens in encode(tokenizer, TEXT, spans)]
    flat = lambda name: np.concatenate([getattr(row, name) for row in rows])
    sequences = Sequences(
        id=np.array([b"one", b"two"]),
        offsets=np.cumsum([0, *(len(row.input_ids) for row in rows)]),
        input_ids=flat("input_ids"),
        word_ids=flat("word_ids"),
        importance=np.where(flat("word_ids") >= 0, 200, 0).astype(np.uint8),
    )
    vocabulary = Vocabulary(tokenizer.mask_token_id, replaceable_ids(tokenizer))
    batches = MaskedBatches(sequences, MaskingConfig(mask_rate=0.4), vocabulary, tokenizer.pad_token_id)
    return batches.visit(np.arange(2), np.zeros(2, dtype=int))


def test_pieces_are_the_text_and_say_what_was_predicted(drawn, tokenizer):
    for row, text in enumerate(TEXT):
        found = pieces(drawn, row, tokenizer)
        read = "".join(piece.written for piece in found)
        assert set(read.replace("[UNK]", "").replace(" ", "")) <= set(text)
        assert sum(piece.state != UNTOUCHED for piece in found) >= 1
        assert all(piece.text == piece.written for piece in found if piece.state == UNTOUCHED)
        assert not {"[CLS]", "[SEP]"} & {piece.written for piece in found}


def test_a_sequence_as_written_is_cut_where_words_importance_or_choice_change(tokenizer):
    ids = np.array(tokenizer("我爱很好吃。")["input_ids"])
    words, importance = np.array([-1, 0, 1, 2, 2, 2, 3, -1]), np.array([0, 1, 200, 200, 9, 9, 1, 0])
    found = pieces_as_written(ids, words, importance, tokenizer, np.array([0, 0, 1, 0, 0, 1, 1, 0], dtype=bool))
    assert [(one.text, one.importance, one.state == MASKED, one.goes_on) for one in found] == [
        ("我", 1, False, False),
        ("爱", 200, True, False),
        ("很", 200, False, False),
        ("好", 9, False, True),
        ("吃", 9, True, True),
        ("[UNK]", 1, True, False),
    ]


def test_markdown_marks_what_is_important_and_what_is_predicted_and_escapes_the_rest():
    line = [("*好", 200, UNTOUCHED), ("吃", 255, MASKED), ("`的`", 0, MASKED), ("|\u202e", 0, UNTOUCHED)]
    shown = in_markdown([Piece(text, text, importance, state) for text, importance, state in line])
    assert shown == r"**\*好** **`[吃]`** `['的']` \|⟨202E⟩"


def test_what_acts_instead_of_being_seen_is_spelled_out():
    assert visible("a\u202eb\x1b[31mc\u200bd") == "a⟨202E⟩b⟨001B⟩[31mc⟨200B⟩d"
    assert visible("中文 é 🙂") == "中文 é 🙂"
    joined = "👨\u200d👩\u200d👧 🧑🏽\u200d🚀 ❤\ufe0f\u200d🔥"
    assert visible(joined) == joined and visible("\u200da\u200db👩\u200d") == "⟨200D⟩a⟨200D⟩b👩⟨200D⟩"


def test_sequences_escape_what_a_corpus_contains(drawn, tokenizer):
    evil = '<script>alert("1")</script>\u202e'
    line = [piece.__class__(evil, evil, 200, piece.state) for piece in pieces(drawn, 0, tokenizer)]
    html = sequences_html([Drawn(evil, [(evil, line)] * 2, [(evil, line)])])
    assert "<script" not in html and "\u202e" not in sequences_html([Drawn(evil, [("x", line)], [("x", line)])])
    text = in_terminal([Drawn(evil, [("x", line)], [("x", line)])], colour=False)
    assert "\u202e" not in text and "⟨202E⟩" in text


def test_a_page_names_policies_and_what_became_of_words_in_both_languages(drawn, tokenizer):
    line = pieces(drawn, 0, tokenizer)
    names = [*get_args(Policy), "visit"]
    html = sequences_html([Drawn("one", [("random 1", line)] * 2, [(f"{name} 1", line) for name in names])])
    assert html.count('<span class="zh" lang="zh">') == len(names) and "<th>random 1</th>" in html  # a run's own name
    assert '<span class="en" lang="en">whole_word 1</span><span class="zh" lang="zh">整词 1</span>' in html
    assert all(re.search("[一-龥]", told) for told in re.findall('title="(.*?)"', html)) and "title=" in html


def test_the_terminal_shows_each_draw_on_a_line(drawn, tokenizer):
    one = Drawn("one", [("importance", pieces(drawn, 0, tokenizer))], [("selective 1", pieces(drawn, 0, tokenizer))])
    for colour in (False, True):
        lines = in_terminal([one], colour).splitlines()
        assert lines[1] == "one" and lines[2].lstrip().startswith("importance") and "[" in lines[3]
