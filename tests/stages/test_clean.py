"""`clean` and `prepare` together: however the work is divided, killed and ordered, the corpus is the same."""

import gzip
import hashlib
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from corpora import slices
from corpora.cleaning.languages import Tongue
from corpora.cleaning.near import Met
from corpora.cleaning.quality import Rules
from corpora.config import CorpusConfig
from corpora.reading import formats
from corpora.reading.raw import Part
from corpora.slices import slices_of, write_missing
from stages.clean import clean, submit, task_of
from stages.prepare import prepare

CARD = """name = "{name}"
language = "zh"
[fields]
text = "text"
{more}
[files]
{split} = {files}
"""
HELD = "这是一段只在测试集里出现的文字它比二十四个字要长一些所以无论在哪里都会被找到"
ASKED = CorpusConfig(
    general=("wiki.toml",),
    domain=("shop.toml", "shop.toml:unlabeled", "wiki.toml"),
    task="task.toml",
    strip_markup=True,
    mask_private=True,
    simplify=True,
    repeated_lines=5,
    quality_rules=True,
    drop_near_duplicates=True,
    drop_other_languages=True,
    max_chars=400,
    dev_documents=9,
    dev_share=0.2,
    shard_rows=40,
)


def sentence(number: int) -> str:
    return "".join(chr(0x4E00 + (number * 7919 + place * place * 31) % 900) for place in range(40)) + "的是。"


def text(number: int) -> str:
    """Of all that cleaning is about something."""
    body = f"{sentence(number % 140)}第{number % 140}号<b>{sentence(number)}</b>"
    kinds = [
        body,
        f"{body}\n首页 相关推荐\n{sentence(number + 1)}",
        f"漢字電話 13812345678 {body}",
        "Deutsche Kuehe geben ihrem Bauern jeden Morgen frische Milch und wollen dafuer nur auf die gruene Weide.",
        f"{body} {HELD}",
        "好好好" * 60,
        "".join(map(sentence, range(number, number + 12))),
        "…" if number % 2 else "",
    ]
    return kinds[number % len(kinds)]


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """Files of every kind, damage in each."""
    data = tmp_path_factory.mktemp("data")
    rows = [json.dumps({"text": text(n), "label": n % 3, "by": n % 4}, ensure_ascii=False) for n in range(260)]
    lines = [row.encode() for row in rows]
    lines[3], lines[70], lines[150], lines[151] = b'{"text": "cut', b"\xff\xfe bad", b"", b'{"text": 5, "label": 1}'
    (data / "a.jsonl").write_bytes("\ufeff".encode() + b"\n".join(lines[:200]) + b"\n")
    (data / "b.jsonl.gz").write_bytes(gzip.compress(b"\n".join(lines[180:])))
    table = pa.table({"text": [text(n) for n in range(300, 560)], "label": [0] * 260, "by": ["x"] * 260})
    pq.write_table(table, data / "c.parquet", row_group_size=90)
    (data / "d.txt").write_bytes(
        b"\n".join(text(n).replace("\n", " ").encode() for n in range(500, 640)) + b"\n\xe4\xb8"
    )
    (data / "e.txt").write_text("\n".join(sentence(n) for n in range(3)), encoding="utf-16")
    (data / "task.jsonl").write_text(
        "\n".join(
            json.dumps({"text": f"{HELD}{sentence(n)}" if n == 1 else sentence(1000 + n), "label": str(n % 2)})
            for n in range(30)
        )
    )
    more = 'label = "label"\ngroup = "by"'
    card = CARD.format(name="shop", more=more, split="unlabeled", files='["a.jsonl", "b.jsonl.gz", "c.parquet"]')
    (data / "shop.toml").write_text(card)
    (data / "wiki.toml").write_text(CARD.format(name="wiki", more="", split="unlabeled", files='["d.txt", "e.txt"]'))
    (data / "task.toml").write_text(
        CARD.format(name="task", more='label = "label"', split="train", files='"task.jsonl"')
    )
    return data


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    monkeypatch.setattr(formats, "PART_BYTES", 2**12)


def made(config: CorpusConfig, data: Path, out: Path, slices: Path | None = None) -> tuple[dict, dict[str, bytes]]:
    """What `prepare` says, and every byte it writes."""
    said = prepare(config, data, out, slices)
    files = {path.relative_to(out).as_posix(): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}
    return said, files


@pytest.fixture(scope="module")
def alone(data, tmp_path_factory):
    return made(ASKED, data, tmp_path_factory.mktemp("alone"))


def refuse(*_: object) -> None:
    raise AssertionError("asked again for what a slice knows")


def test_one_task_and_three_of_which_one_was_killed_make_the_corpus_that_none_makes(
    data, alone, tmp_path, monkeypatch
):
    assert len(alone[0]) > 15 and alone[0]["rejected/near_duplicate"] and alone[0]["repaired/lines_taken_out"]
    count = len(slices_of(ASKED, data))
    assert count > 20 and clean(ASKED, data, tmp_path / "one") == count
    assert made(ASKED, data, tmp_path / "by one", tmp_path / "one") == alone

    folder, judged = tmp_path / "three", slices._judged
    monkeypatch.setattr(slices, "_judged", killed_after(5, judged))
    with pytest.raises(KeyboardInterrupt):
        clean(ASKED, data, folder, task=Part(2, 3))
    monkeypatch.setattr(slices, "_judged", judged)
    assert made(ASKED, data, tmp_path / "by a part", folder) == alone  # what is not there is read
    write_missing(None, 2, 3, ASKED, data, folder)
    assert sum(clean(ASKED, data, folder, task=Part(number, 3)) for number in (2, 1, 0)) == count * 2 // 3
    assert made(ASKED, data, tmp_path / "by three", folder) == alone
    assert {path.name: path.read_bytes() for path in folder.glob("*.parquet")} == {
        path.name: path.read_bytes() for path in (tmp_path / "one").glob("*.parquet")
    }


def killed_after(count: int, judged):
    """Instead of `_judged`: the next slice after so many stops in its middle."""
    begun = iter(range(count + 1))

    def judge(events, config):
        killed = next(begun) == count
        for number, row in enumerate(judged(events, config)):
            if killed and number == 5:
                raise KeyboardInterrupt
            yield row

    return judge


def test_two_processes_write_the_slices_and_nothing_is_asked_twice(data, alone, tmp_path, monkeypatch):
    config = CorpusConfig(**{**vars(ASKED), "repeated_lines": 0, "max_chars": 0})
    expected = made(config, data, tmp_path / "alone")
    monkeypatch.setattr(formats, "PART_BYTES", 2**22)  # that of the other processes
    assert clean(config, data, tmp_path / "slices", workers=2) == 5
    for place, name in ((Tongue, "other"), (Rules, "fault"), (Met, "_minima")):
        monkeypatch.setattr(place, name, refuse)
    assert made(config, data, tmp_path / "out", tmp_path / "slices") == expected


def test_only_what_changed_is_read_again_and_what_is_stale_goes(data, tmp_path):
    for path in data.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    folder, count = tmp_path / "slices", clean(ASKED, tmp_path, tmp_path / "slices")
    other = CorpusConfig(**{**vars(ASKED), "repeated_lines": 0, "task": "", "max_chars": 0})
    assert clean(other, tmp_path, folder) == 0
    (tmp_path / "e.txt").write_text("一行新的文字\n", encoding="utf-8")
    assert clean(ASKED, tmp_path, folder) == 1 and len(list(folder.glob("*.parquet"))) == count + 1
    made(ASKED, tmp_path, tmp_path / "out", folder)
    assert len(list(folder.glob("*.parquet"))) == count


def test_what_is_refused_without_slices_is_refused_with_them(tmp_path):
    for name, label in (("a", '"1"'), ("b", "1")):
        (tmp_path / f"{name}.jsonl").write_text(f'{{"text": "{sentence(1)}", "label": {label}}}\n' * 2)
    card = CARD.format(name="shop", more='label = "label"', split="unlabeled", files='["a.jsonl", "b.jsonl"]')
    config, said = CorpusConfig(domain=("shop.toml",)), []
    for more, match in (("", "of type int, but"), (f'[checksums]\n"a.jsonl" = "{"0" * 64}"', "is not the file card")):
        (tmp_path / "shop.toml").write_text(card + more)
        for folder in (None, tmp_path / "slices"):
            with pytest.raises(ValueError, match=match) as refused:
                prepare(config, tmp_path, tmp_path / "out", folder)
            said.append(str(refused.value))
            if not (tmp_path / "slices").exists():
                assert clean(config, tmp_path, tmp_path / "slices") == 2
    assert said[0] == said[1] and said[2] == said[3]


def test_text_that_lies_elsewhere_has_slices_too(tmp_path):
    content = "\n".join(map(sentence, range(30))).encode()
    fsspec.filesystem("memory").pipe("/slices/far.txt", content)
    more = f'[checksums]\n"memory:///slices/far.txt" = "{hashlib.sha256(content).hexdigest()}"'
    card = CARD.format(name="far", more="", split="unlabeled", files='"memory:///slices/far.txt"')
    (tmp_path / "far.toml").write_text(card + more)
    config = CorpusConfig(domain=("far.toml",))
    assert clean(config, tmp_path, tmp_path / "slices") == 1
    assert made(config, tmp_path, tmp_path / "one") == made(config, tmp_path, tmp_path / "other", tmp_path / "slices")


def test_a_task_is_named_by_its_number_and_how_many_there_are():
    assert task_of("2/4") == Part(1, 4)
    for written in ("0/4", "5/4", "2", "a/b"):
        with pytest.raises(ValueError, match="say which of how many"):
            task_of(written)
    with pytest.raises(ValueError, match="at least one is needed"):
        clean(ASKED, Path(), Path(), workers=0)


def test_a_launch_file_names_an_executor_of_datatrove_that_is_given_the_tasks(data, tmp_path, monkeypatch):
    launch, called = tmp_path / "two.toml", []
    launch.write_text('executor = "local"\ntasks = 2\n')

    class InOrder:
        """Calls its steps as datatrove does."""

        def __init__(self, pipeline, logging_dir, skip_completed, tasks):
            self.steps, self.tasks = pipeline, tasks
            assert Path(logging_dir) == tmp_path / "slices" / "logs" and not skip_completed

        def run(self):
            called.extend(step(None, rank, self.tasks) for rank in range(self.tasks) for step in self.steps)

    executors = SimpleNamespace(LocalPipelineExecutor=InOrder)
    monkeypatch.setitem(sys.modules, "datatrove", SimpleNamespace(executor=executors))
    monkeypatch.setattr(formats, "PART_BYTES", 2**16)
    monkeypatch.setenv("PYTHONPATH", "")
    submit(launch, ASKED, data, tmp_path / "slices")
    assert len(called) == 2 and clean(ASKED, data, tmp_path / "slices") == 0

    for line, said in (('executor = "here"', "must be one of local"), ('executor = "local"\nworker = 3', "worker")):
        launch.write_text(line)
        with pytest.raises(ValueError, match=said):
            submit(launch, ASKED, data, tmp_path / "slices")
    monkeypatch.setitem(sys.modules, "datatrove", None)
    with pytest.raises(ValueError, match=r"requirements-scale\.txt"):
        submit(launch, ASKED, data, tmp_path / "slices")
