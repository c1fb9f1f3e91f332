"""Raw files: every format gives the same rows, and what is broken is counted or refused."""

import gzip
import hashlib
import io
import json
import sys
from dataclasses import replace
from pathlib import Path

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fuzz import inputs
from hypothesis import given
from hypothesis import strategies as st

from corpora.cards import Card
from corpora.reading import formats, lines, sources
from corpora.reading.sources import documents, files_of, other_encodings
from corpora.schemas import InputError

TEXT_ONLY = {"text": "text"}
LABELLED = {"text": "text", "label": "label"}


def card(*files: str, fields=None, split="train", **more) -> Card:
    fields = fields or LABELLED
    return Card("toy", "Toy", "en", "none", "nowhere", fields, {split: files} if files else {}, **more)


def read(folder: Path, name: str, content: bytes | str = b"", fields=None, split="train"):
    """(rows, told) of one file: told holds (place, reason) of what was rejected."""
    if content:
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    told = []
    rows = list(documents(card(name, fields=fields, split=split), split, folder, lambda *what: told.append(what[:2])))
    return rows, told


def refusal(*args, **kwargs) -> str:
    with pytest.raises(InputError) as caught:
        read(*args, **kwargs)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_each_format_gives_the_same_rows(tmp_path):
    table = pa.table({"text": ["good film", "bad"], "label": ["1", "0"]})
    pq.write_table(table, tmp_path / "a.parquet")
    (tmp_path / "a.csv").write_text('text,label\n"good film",1\nbad,0\n')
    (tmp_path / "a.tsv").write_text("text\tlabel\ngood film\t1\nbad\t0\n")
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in table.to_pylist()))
    for name in ("a.parquet", "a.csv", "a.tsv", "a.jsonl"):
        rows, told = read(tmp_path, name)
        assert [(row["text"], row["label"]) for row in rows] == [("good film", "1"), ("bad", "0")] and not told


@pytest.mark.parametrize("name", ["a.txt", "a.txt.gz", "a.txt.zst", "a.jsonl", "a.csv", "a.parquet", "empty.txt"])
def test_bytes_are_told_as_they_are_read_and_in_the_end_all(tmp_path, name):
    texts = [f"text {number} {'x' * 1000}" for number in range(3000)]
    plain = "\n".join(texts).encode()
    {
        "a.txt": lambda path: path.write_bytes(plain),
        "a.txt.gz": lambda path: path.write_bytes(gzip.compress(plain)),
        "a.txt.zst": lambda path: path.write_bytes(pa.compress(plain, "zstd", asbytes=True)),
        "a.jsonl": lambda path: path.write_text("\n".join(json.dumps({"text": text}) for text in texts)),
        "a.csv": lambda path: path.write_text("\n".join(["text", *texts])),
        "a.parquet": lambda path: pq.write_table(pa.table({"text": texts}), path),
        "empty.txt": Path.touch,
    }[name](tmp_path / name)
    told, at = [], []
    for _ in documents(card(name, fields=TEXT_ONLY), "train", tmp_path, print, told.append):
        at.append(sum(told))
    size = (tmp_path / name).stat().st_size
    assert sum(told) == size and min(told) >= 0
    assert not at or at[0] < at[len(at) // 2] < size or size < 2**16  # of a small file all is read at once


def test_a_line_of_a_txt_file_is_a_document(tmp_path):
    rows, _ = read(tmp_path, "a.txt", "one\ntwo\u2028still two\n", TEXT_ONLY)
    assert [(row["text"], row["place"]) for row in rows] == [("one", "a.txt:1"), ("two\u2028still two", "a.txt:2")]


def test_gz_and_zst_are_read_as_what_they_hold(tmp_path):
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(b"one\ntwo"))
    with pa.output_stream(str(tmp_path / "a.jsonl.zst"), compression="zstd") as file:
        file.write(b'{"text": "one"}\n{"text": "two"}\n')
    for name in ("a.txt.gz", "a.jsonl.zst"):
        assert [row["text"] for row in read(tmp_path, name, fields=TEXT_ONLY)[0]] == ["one", "two"]


def test_a_folder_and_a_glob_give_their_files_in_order(tmp_path):
    (tmp_path / "in").mkdir()
    for name in ("b.txt", "a.txt", "notes.md"):
        (tmp_path / "in" / name).write_text(name)
    names = [[path.name for path in files_of(card(entry), "train", tmp_path)] for entry in ("in", "in/*.txt")]
    assert names == [["a.txt", "b.txt"], ["a.txt", "b.txt"]]


def test_files_are_found_beside_a_card_that_is_not_ours(tmp_path):
    (tmp_path / "a.txt").write_text("one")
    mine = card("a.txt", path=tmp_path / "toy.toml")
    assert files_of(mine, "train", tmp_path / "elsewhere") == [tmp_path / "a.txt"]


def test_an_absolute_path_is_taken_as_it_is(tmp_path):
    (tmp_path / "a.txt").write_text("one")
    assert files_of(card(str(tmp_path / "a.txt")), "train", Path("elsewhere")) == [tmp_path / "a.txt"]


def test_a_generated_corpus_needs_no_file(tmp_path, monkeypatch):
    monkeypatch.setattr(sources.demo, "rows", lambda corpus, split: iter([{"text": corpus, "label": split}]))
    made = card(generated="zh_task", generated_splits=("dev",))
    assert list(documents(made, "dev", tmp_path, print)) == [{"text": "zh_task", "label": "dev", "place": "toy/dev:1"}]


def test_roles_come_from_the_columns_the_card_names(tmp_path):
    rows, _ = read(tmp_path, "a.csv", "body,stars,id\ngood,5,x\n", {"text": "body", "label": "stars"})
    assert rows == [{"text": "good", "label": "5", "place": "a.csv:2"}]


def test_byte_order_mark_and_windows_line_ends_are_no_text(tmp_path):
    rows, _ = read(tmp_path, "a.csv", b"\xef\xbb\xbftext,label\r\ngood,1\r\n")
    assert [(row["text"], row["label"]) for row in rows] == [("good", "1")]
    rows, _ = read(tmp_path, "a.txt", b"\xef\xbb\xbfone\r\ntwo\r\n", TEXT_ONLY)
    assert [row["text"] for row in rows] == ["one", "two"]


def test_a_csv_field_may_hold_line_ends_and_a_megabyte(tmp_path):
    rows, _ = read(tmp_path, "a.csv", f'text,label\n"two\nlines",1\n{"x" * 2**20},0\n')
    assert [len(row["text"]) for row in rows] == [9, 2**20]
    assert [row["place"] for row in rows] == ["a.csv:2", "a.csv:4"]


def test_quotes_in_a_tsv_are_text(tmp_path):
    rows, told = read(tmp_path, "a.tsv", 'text\tlabel\n"open quote\t1\nnext\t0\n')
    assert [row["text"] for row in rows] == ['"open quote', "next"] and not told


def test_lists_are_lists_or_parted_by_a_bar(tmp_path):
    fields = {"text": "text", "labels": "topics"}
    by_bar, _ = read(tmp_path, "a.csv", "text,topics\ngood,a|b\n", fields)
    as_list, _ = read(tmp_path, "a.jsonl", '{"text": "good", "topics": ["a", "b"]}\n', fields)
    assert by_bar[0]["labels"] == as_list[0]["labels"] == ["a", "b"]


@pytest.mark.parametrize("name", ["a.txt", "a.jsonl", "a.csv"])
def test_a_line_that_is_no_utf8_is_counted_and_passed_over(tmp_path, name):
    lines = {
        "a.txt": b"one\ntw\xff\n",
        "a.jsonl": b'{"text": "one"}\n{"text": "\xff"}\n',
        "a.csv": b"text\none\n\xff\n",
    }
    rows, told = read(tmp_path, name, lines[name], TEXT_ONLY)
    assert [row["text"] for row in rows] == ["one"]
    assert told == [(f"{name}:{3 if name == 'a.csv' else 2}", "bad_utf8")]


@pytest.mark.parametrize("line", ['{"text": "cut', "[1]", "3", "[" * 100_000])
def test_a_json_line_that_holds_no_record_is_counted_and_passed_over(tmp_path, line):
    rows, told = read(tmp_path, "a.jsonl", f'{{"text": "one"}}\n{line}', TEXT_ONLY)
    assert [row["text"] for row in rows] == ["one"] and told == [("a.jsonl:2", "bad_json")]


def test_a_csv_row_with_another_number_of_columns_is_counted(tmp_path):
    assert read(tmp_path, "a.csv", "text,label\ngood,1,2\n\n")[1] == [("a.csv:2", "wrong_number_of_columns")]


def test_text_that_is_missing_or_no_string_is_counted(tmp_path):
    _, told = read(tmp_path, "a.jsonl", '{"text": 3}\n{"text": null}\n{"other": 1}\n', TEXT_ONLY)
    assert told == [("a.jsonl:1", "text_not_a_string"), ("a.jsonl:2", "no_text"), ("a.jsonl:3", "no_text")]


def test_a_pair_without_its_second_text_is_counted(tmp_path):
    fields = {"text": "text", "text_pair": "pair"}
    _, told = read(tmp_path, "a.jsonl", '{"text": "a", "pair": "b"}\n{"text": "a"}\n', fields)
    assert told == [("a.jsonl:2", "no_text_pair")]


def test_a_missing_file_is_refused_with_the_way_out(tmp_path):
    said = refusal(tmp_path, "gone.csv")
    assert "gone.csv" in said and "card toy" in said and "DATA=" in said


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.parquet"])
def test_a_wrong_column_is_refused_with_the_columns_there(tmp_path, name):
    pq.write_table(pa.table({"texts": ["a"], "label": ["1"]}), tmp_path / "a.parquet")
    content = {"a.csv": "texts,label\na,1\n", "a.jsonl": '{"texts": "a", "label": "1"}\n', "a.parquet": b""}[name]
    assert "no column 'text' for text" in (said := refusal(tmp_path, name, content))
    assert "did you mean texts?" in said and "it has texts, label" in said


NESTED = {"text": "{title}：{review.body}", "label": "review.stars"}


def test_nested_columns_are_read_from_jsonl_and_parquet_alike(tmp_path):
    rows = [{"title": "Hotel", "review": {"body": "good", "stars": 5, "by": "Li"}}, {"title": "Bar", "review": None}]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    for name in ("a.jsonl", "a.parquet"):
        found, told = read(tmp_path, name, fields=NESTED)
        assert [(row["text"], row["label"]) for row in found] == [("Hotel：good", "5")]
        assert told == [(f"{name}:2", "no_text")]


@pytest.mark.parametrize("name", ["a.jsonl", "a.parquet"])
def test_a_wrong_path_is_refused_with_those_there(tmp_path, name):
    row = {"title": "Hotel", "review": {"boddy": "good", "stars": 5}}
    (tmp_path / "a.jsonl").write_text(json.dumps(row))
    pq.write_table(pa.Table.from_pylist([row]), tmp_path / "a.parquet")
    said = refusal(tmp_path, name, fields=NESTED)
    assert "no column 'review.body' for text" in said and "did you mean review.boddy?" in said
    assert "it has title, review, review.boddy, review.stars" in said


def test_a_column_with_a_dot_in_its_name_is_read_from_parquet(tmp_path):
    pq.write_table(pa.table({"a.text": ["this"], "a": [{"text": "not this"}]}), tmp_path / "a.parquet")
    assert [row["text"] for row in read(tmp_path, "a.parquet", fields={"text": "a.text"})[0]] == ["this"]


def test_rows_of_one_group_are_known_by_a_name_that_other_cards_do_not_use(tmp_path):
    fields = {"text": "text", "group": "by"}
    rows, _ = read(tmp_path, "a.jsonl", '{"text": "a", "by": "Li"}\n{"text": "b", "by": 3}\n{"text": "c"}', fields)
    assert [row["group"] for row in rows] == ["toy/Li", "toy/3", None]
    assert "no column 'by' for group" in refusal(tmp_path, "a.csv", "text\ngood\n", fields, split="unlabeled")
    said = refusal(tmp_path, "a.jsonl", '{"text": "a", "by": ["Li"]}', fields)
    assert "group ['Li'] at a.jsonl:1 is neither a string nor a whole number: name another column" in said


def test_a_labelled_split_needs_its_label_and_an_unlabeled_one_does_not(tmp_path):
    assert "no column 'label' for label" in refusal(tmp_path, "a.csv", "text\ngood\n")
    assert read(tmp_path, "a.csv", "text\ngood\n", split="unlabeled")[0][0]["label"] is None


def test_a_format_nobody_knows_is_refused(tmp_path):
    assert "cannot tell the format" in refusal(tmp_path, "a.docx", "x")


def test_two_columns_of_one_name_are_refused(tmp_path):
    assert "two columns of one name" in refusal(tmp_path, "a.csv", "text,text\na,b\n")


def test_labels_of_two_types_are_refused_with_both_places(tmp_path):
    said = refusal(tmp_path, "a.jsonl", '{"text": "a", "label": 1}\n{"text": "b", "label": "x"}\n')
    assert "'x' at a.jsonl:2 is of type str, but 1 at a.jsonl:1 of type int" in said


def test_a_fraction_is_no_label(tmp_path):
    assert "label 0.5 at a.jsonl:1 is of type float" in refusal(tmp_path, "a.jsonl", '{"text": "a", "label": 0.5}')


def test_whole_numbers_become_strings_and_nan_no_label(tmp_path):
    rows, _ = read(tmp_path, "a.jsonl", '{"text": "a", "label": 1.0}\n{"text": "b", "label": NaN}\n')
    assert [row["label"] for row in rows] == ["1", None]


def test_a_parquet_file_cut_short_is_refused_by_name(tmp_path):
    pq.write_table(pa.table({"text": ["a"] * 1000, "label": ["1"] * 1000}), tmp_path / "a.parquet")
    whole = (tmp_path / "a.parquet").read_bytes()
    assert "a.parquet is not a whole Parquet file" in refusal(tmp_path, "a.parquet", whole[:-20])
    (tmp_path / "empty.parquet").touch()
    assert "empty.parquet is not a whole Parquet file" in refusal(tmp_path, "empty.parquet")


def test_a_parquet_file_of_one_huge_row_group_is_read_in_little_memory(tmp_path):
    pq.write_table(pa.table({"text": ["x" * 1000] * 100_000}), tmp_path / "a.parquet")
    assert (tmp_path / "a.parquet").stat().st_size < 20_000
    before = pa.total_allocated_bytes()
    rows = documents(card("a.parquet", fields=TEXT_ONLY), "train", tmp_path, print)
    held = [pa.total_allocated_bytes() - before for _ in rows]
    assert len(held) == 100_000 and max(held) < 10 * 2**20


def test_a_damaged_page_of_a_parquet_file_is_refused_by_name(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": ["good"] * 1000, "label": ["1"] * 1000}), path, write_page_checksum=True)
    whole = bytearray(path.read_bytes())
    whole[30] ^= 1
    assert "cannot read" in refusal(tmp_path, "a.parquet", bytes(whole))


def test_a_string_of_a_parquet_file_that_is_no_utf8_is_counted(tmp_path):
    raw = pa.array([b"one", b"tw\xff", b"three"]).view(pa.string())
    pq.write_table(pa.table({"text": raw}), tmp_path / "a.parquet")
    rows, told = read(tmp_path, "a.parquet", fields=TEXT_ONLY)
    assert [row["text"] for row in rows] == ["one", "three"] and told == [("a.parquet:2", "bad_utf8")]


PACKED = {
    "a.parquet": lambda file: pq.write_table(pa.table({"text": ["good"] * 50, "more": [{"a": "x"}] * 50}), file),
    "a.txt.gz": lambda file: file.write(gzip.compress(b"good\n" * 50)),
    "a.txt.zst": lambda file: file.write(pa.compress(b"good\n" * 50, "zstd", asbytes=True)),
}


@pytest.mark.parametrize("name", PACKED)
@given(damage=st.dictionaries(st.integers(0, 999), st.integers(0, 255), min_size=1), length=st.integers(0, 999))
def test_a_damaged_file_is_read_or_refused_in_one_line(damage, length, name, tmp_path_factory):
    PACKED[name](whole := io.BytesIO())
    content = bytearray(whole.getvalue())
    for place, byte in damage.items():
        content[place % len(content)] = byte
    try:
        read(tmp_path_factory.getbasetemp(), name, bytes(content[: length or None]), fields=TEXT_ONLY)
    except InputError as refused:
        assert "\n" not in str(refused)


def test_a_text_longer_than_any_document_is_counted_in_every_format(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "LONGEST", 10)
    pq.write_table(pa.table({"text": ["x" * 11, "x" * 10]}), tmp_path / "a.parquet")
    rows, told = read(tmp_path, "a.parquet", fields=TEXT_ONLY)
    assert [row["text"] for row in rows] == ["x" * 10] and told == [("a.parquet:1", "too_long")]


def test_a_table_of_countless_columns_is_refused_in_a_short_line(tmp_path):
    said = refusal(tmp_path, "a.csv", ",".join(f"c{number}" for number in range(10_000)) + "\n")
    assert "c29 and 9970 more; " in said and len(said) < 500


def test_a_gz_file_cut_short_is_refused_by_name(tmp_path):
    packed = gzip.compress("".join(f"line {number}\n" for number in range(1000)).encode())
    assert "cannot read" in (said := refusal(tmp_path, "a.txt.gz", packed[:-100], TEXT_ONLY)) and "a.txt.gz" in said


@pytest.fixture
def elsewhere():
    """Puts a file into memory; its URL and checksum."""
    system = fsspec.filesystem("memory")
    yield lambda name, content: (
        system.pipe(f"/texts/{name}", content),
        (f"memory:///texts/{name}", hashlib.sha256(content).hexdigest()),
    )[1]
    system.rm("/texts", recursive=True)


def test_files_elsewhere_are_read_by_their_urls_in_every_format(tmp_path, elsewhere):
    pq.write_table(pa.table({"text": ["d"]}), file := io.BytesIO())
    contents = {"a.txt.gz": gzip.compress(b"a"), "b.jsonl": b'{"text": "b"}', "c.csv": b"text\nc", "notes.md": b"x"}
    sums = dict(elsewhere(name, content) for name, content in (contents | {"d.parquet": file.getvalue()}).items())
    told = []
    for written in ("memory:///texts/*", "memory:///texts"):
        mine = card(written, fields=TEXT_ONLY, checksums=sums)
        rows = list(documents(mine, "train", tmp_path, print, told.append))
        assert [(row["text"], row["place"]) for row in rows] == [
            ("a", "memory:///texts/a.txt.gz:1"),
            ("b", "memory:///texts/b.jsonl:1"),
            ("c", "memory:///texts/c.csv:2"),
            ("d", "memory:///texts/d.parquet:1"),
        ]
    assert sum(told) == 2 * sum(map(len, [*contents.values(), file.getvalue()])) - 2 * len(contents["notes.md"])


def test_a_file_elsewhere_is_read_only_where_the_card_names_its_content(tmp_path, elsewhere):
    url, digest = elsewhere("a.txt", b"one")

    def read_it(written, sums):
        mine = card(written, fields=TEXT_ONLY, checksums=sums)
        return list(documents(mine, "train", tmp_path, print))

    assert len(read_it(url, {url: digest})) == 1
    for written, sums, said in (
        (
            url,
            {},
            "card toy has no checksum of memory:///texts/a.txt: what lies elsewhere may change; write",
        ),
        (url, {url: "0" * 64}, "memory:///texts/a.txt is not the file card toy describes"),
        ("memory://texts/gone.txt", {}, "no file memory://texts/gone.txt that can be read"),
        ("nowhere://texts/a.txt", {}, "cannot read nowhere://texts/a.txt .Protocol not known: nowhere"),
    ):
        with pytest.raises(InputError, match=said) as caught:
            read_it(written, sums)
        assert "\n" not in str(caught.value)


def test_a_protocol_whose_package_is_missing_is_told_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(InputError, match=r"cannot read s3://texts/a.txt \(.*s3fs.*\): .* package of its protocol"):
        files_of(card("s3://texts/a.txt"), "train", tmp_path)


def test_an_empty_file_gives_no_rows(tmp_path):
    for name in ("a.txt", "a.csv", "a.jsonl"):
        (tmp_path / name).touch()
        assert read(tmp_path, name, fields=TEXT_ONLY) == ([], [])


def test_a_file_with_another_checksum_is_refused(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"one")
    good = {"a.txt": hashlib.sha256(b"one").hexdigest()}
    assert list(documents(card("a.txt", fields=TEXT_ONLY, checksums=good), "train", tmp_path, print))
    (tmp_path / "a.txt").write_bytes(b"two")
    with pytest.raises(InputError, match="is not the file card toy describes"):
        list(documents(card("a.txt", fields=TEXT_ONLY, checksums=good), "train", tmp_path, print))


REVIEWS = [
    ("这家酒店的位置很好，房间也干净，就是早餐的种类少了一点。", "1"),
    ("服务员的态度不错，下次来还会住在这里！", "0"),
]
AS_TEXT = {
    "a.csv": "text,label\n" + "".join(f"{text},{label}\n" for text, label in REVIEWS),
    "a.tsv": "text\tlabel\n" + "".join(f"{text}\t{label}\n" for text, label in REVIEWS),
    "a.jsonl": "".join(json.dumps({"text": a, "label": b}, ensure_ascii=False) + "\n" for a, b in REVIEWS),
}


@pytest.mark.parametrize("encoding", ["gb18030", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("name", AS_TEXT)
def test_chinese_of_another_encoding_is_read_and_told(tmp_path, name, encoding):
    packed = gzip.compress(AS_TEXT[name].encode(encoding))
    rows, told = read(tmp_path, f"{name}.gz", packed)
    assert [(row["text"], row["label"]) for row in rows] == REVIEWS and not told
    seen = encoding.replace("utf-16", "utf-16-le") if encoding == "utf-16" else encoding
    said = list(other_encodings(card(f"{name}.gz"), ["train"], tmp_path))
    assert said == [f"toy: {name}.gz read as {seen}"]


def test_a_card_may_declare_the_encoding_of_what_is_too_little_to_tell(tmp_path):
    (tmp_path / "a.txt").write_bytes("好\n".encode("gbk"))
    said = refusal(tmp_path, "a.txt", fields=TEXT_ONLY)
    assert "cannot tell the encoding of" in said and "say which, as in predicted.encoding, of utf-8, gb18030" in said
    mine = card("a.txt", fields=TEXT_ONLY, path=tmp_path / "toy.toml")
    with pytest.raises(InputError, match=r"write encoding = … into .*toy.toml"):
        list(documents(mine, "train", tmp_path, print))
    rows = documents(replace(mine, encoding="gbk"), "train", tmp_path, print)
    assert [row["text"] for row in rows] == ["好"]


def test_files_of_a_split_are_told_in_one_line(tmp_path):
    for name in ("a.txt", "b.txt", "c.txt"):
        (tmp_path / name).write_text("good", encoding="utf-16" if name < "c" else "utf-8")
    assert list(other_encodings(card("*.txt"), ["train"], tmp_path)) == ["toy: a.txt and 1 more read as utf-16-le"]


def test_a_block_of_a_txt_file_is_a_document_where_its_card_says_so(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"\none\r\ntwo\n\n \nthree")
    rows = documents(card("a.txt", fields=TEXT_ONLY, documents="blocks"), "train", tmp_path, print)
    assert [(row["text"], row["place"]) for row in rows] == [("one\r\ntwo", "a.txt:2"), ("three", "a.txt:6")]


@pytest.mark.parametrize("name", AS_TEXT)
def test_a_line_longer_than_any_document_is_counted(tmp_path, monkeypatch, name):
    for module in (lines, formats):
        monkeypatch.setattr(module, "LONGEST", 100)
    before, after = AS_TEXT[name].splitlines(keepends=True)[-2:]
    head = AS_TEXT[name].removesuffix(before + after)
    rows, told = read(tmp_path, name, head + before + "x" * 1000 + "\n" + after)
    assert [(row["text"], row["label"]) for row in rows] == REVIEWS
    assert told == [(f"{name}:{3 if head else 2}", "too_long")]


def test_a_csv_row_of_any_number_of_lines_is_bounded(tmp_path, monkeypatch):
    for module in (lines, formats):
        monkeypatch.setattr(module, "LONGEST", 100)
    rows, told = read(tmp_path, "a.csv", 'text,label\n"' + 'x","y\n' * 30 + '"\ngood,1\n')
    assert told[0] == ("a.csv:2", "too_long") and rows[-1]["text"] == "good"
    assert len(rows) + len(told) < 30


def test_a_csv_without_a_first_line_that_can_be_read_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(formats, "LONGEST", 10)
    assert "names no columns (too_long)" in refusal(tmp_path, "a.csv", "text,label,and more\n")


def blank(line: bytes, name: str) -> bool:
    """Whether a line is passed over: nothing in a tsv, white space in a jsonl, in a txt it is a document."""
    if name == "a.tsv":
        return not line.strip(b"\r\n")
    return name == "a.jsonl" and not line.decode(errors="replace").strip()


@pytest.mark.parametrize("name", ["a.txt", "a.jsonl", "a.tsv"])
@given(found=st.lists(st.one_of(st.binary(max_size=9), st.text(max_size=9).map(str.encode)), max_size=20))
def test_every_line_of_any_bytes_is_a_row_or_counted(found, name, tmp_path_factory):
    content = b"text\n" + b"\n".join(found)
    expected = [line for line in io.BytesIO(content) if not blank(line, name)][name == "a.tsv" :]
    try:
        rows, told = read(tmp_path_factory.getbasetemp(), name, content, fields=TEXT_ONLY)
    except InputError as refused:
        assert "cannot tell the encoding" in str(refused) and "\n" not in str(refused)
    else:
        assert len(rows) + len(told) == len(expected)


@given(content=st.one_of(st.binary(), st.text().map(str.encode)))
def test_any_bytes_in_a_csv_are_read_or_refused_in_one_line(content, tmp_path_factory):
    try:
        read(tmp_path_factory.getbasetemp(), "a.csv", b"text,label\n" + content)
    except InputError as refused:
        assert "cannot tell the encoding" in str(refused)


def test_what_a_fuzzer_began_with_and_found_is_read_counted_or_refused(tmp_path):
    """`make fuzz` goes on from here."""
    for data in [*inputs.seeds(), *inputs.FOUND]:
        inputs.one(data, tmp_path)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ('"labels": 3', "labels_not_a_list"),
        ('"tokens": ["a", 2008]', "tokens_not_strings"),
        ('"keywords": {"a": 1}', "keywords_not_a_list"),
        ('"source": 3', "source_not_a_string"),
        ('"label": "\\ud800"', "lone_surrogate"),
        ('"tags": ["\\ud800"]', "lone_surrogate"),
    ],
)
def test_what_stands_beside_a_text_and_cannot_be_used_is_counted(tmp_path, row, reason):
    fields = {name: name for name in ("text", "label", "labels", "tokens", "tags", "keywords", "source")}
    rows, told = read(tmp_path, "a.jsonl", f'{{"text": "one"}}\n{{"text": "two", {row}}}\n', fields, "unlabeled")
    assert [one["text"] for one in rows] == ["one"] and told == [("a.jsonl:2", reason)]


def test_a_score_of_any_size_is_refused_with_its_place(tmp_path):
    said = refusal(
        tmp_path, "a.jsonl", '{"text": "one", "score": 1' + "0" * 400 + "}", {"text": "text", "score": "score"}
    )
    assert "at a.jsonl:1 is no number" in said and len(said) < 700


def test_a_long_file_is_read_line_by_line(tmp_path):
    (tmp_path / "a.txt").write_text("one\n" * 100_000)
    rows = documents(card("a.txt", fields=TEXT_ONLY), "train", tmp_path, print)
    assert next(rows)["text"] == "one"
