"""What a browser is shown of runs, and what it is refused."""

import json
import os
import urllib.error
import urllib.request
from functools import partial
from http.server import ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from corpora.parquet import write_corpus
from corpora.schemas import DOCUMENTS, SCORES
from pipeline.pages.serving import handler, language_of
from pipeline.run.artifact import MANIFEST
from stages.browse import Asked, answer, served, written

TEXTS = [
    "<script>alert(1)</script> tea",
    *(f"tea number {i}" for i in range(45)),
    "\u3000cof\tfee\r\nand\n\n👨\u200d👩",
]


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    runs = tmp_path_factory.mktemp("runs")
    rows = [
        dict.fromkeys(DOCUMENTS.names) | {"id": f"d{i}", "text": text, "label": "hot" if i % 2 else "cold"}
        for i, text in enumerate(TEXTS)
    ]
    corpus = runs / "demo" / "corpus"
    write_corpus(corpus / "task" / "train", DOCUMENTS, rows)
    made = {
        "metrics": {"task/train": 47},
        "provenance": {"finished": "2026-01-02T03:04", "seconds": 61, "command": "make"},
    }
    (corpus / MANIFEST).write_text(json.dumps({"digest": "", "files": {}, **made}))
    report = runs / "demo" / "report"
    report.mkdir()
    for name in ("report.html", "report.md"):
        (report / name).write_text(f"<!doctype html>{name}")
    (report / MANIFEST).write_text(json.dumps({"digest": "", "files": {}, **made}))
    (runs / "secret").mkdir()
    (runs / "secret" / "page.html").touch()
    (runs / "damaged" / "corpus").mkdir(parents=True)
    (runs / "damaged" / "corpus" / MANIFEST).write_text("{")
    return runs


def shown(runs: Path, url: str) -> str | None:
    return answer(runs, Asked.of(url))


def test_runs_lead_to_artifacts_and_artifacts_to_rows(runs):
    assert '<a href="/demo">demo</a>' in shown(runs, "/") and "secret" not in shown(runs, "/")
    assert '<a href="/demo/corpus">' in shown(runs, "/demo") and "2026-01-02 03:04" in shown(runs, "/demo")
    assert '<a href="/demo/corpus/task">' in shown(runs, "/demo/corpus")
    assert "tea number 3" in shown(runs, "/demo/corpus/task/train")


def test_words_and_labels_are_found_and_a_link_goes_on_where_the_page_ends(runs):
    page = shown(runs, "/demo/corpus/task/train?q=TEA&label=hot")
    assert page.count("<strong>tea</strong>") == 20 and "?q=TEA&amp;label=hot&amp;from=40" in page
    assert "<strong>fee and</strong> 👨\u200d👩<" in shown(runs, "/demo/corpus/task/train?q=fee+and")  # as it is shown
    assert "No row here has that" in shown(runs, "/demo/corpus/task/train?q=milk")


def test_what_a_corpus_contains_is_text_and_nothing_else(runs):
    page = shown(runs, "/demo/corpus/task/train?q=<script>")
    assert "<script" not in page and "&lt;script&gt;" in page
    assert "form-action 'self'" in page and "default-src 'none'" in page


@pytest.mark.parametrize(
    "url", ["/nope", "/demo/../secret", "/demo/%2e%2e/secret", "/demo/corpus/manifest.json", "/report.html"]
)
def test_only_what_is_listed_can_be_asked_for(runs, url):
    assert shown(runs, url) is None and written(runs, Asked.of(url)) is None


def test_labels_of_a_corpus_that_is_made_again_are_read_again(tmp_path):
    row = dict.fromkeys(DOCUMENTS.names) | {"id": "d0", "text": "tea"}
    for label in ("hot", "cold"):
        write_corpus(tmp_path / "run" / "corpus" / "task", DOCUMENTS, [row | {"label": label}])
        assert f"<option>{label}</option>" in shown(tmp_path, "/run/corpus/task")


def test_a_tokenizer_is_loaded_once_and_again_when_base_is_made_again(tmp_path, tokenizer, monkeypatch):
    loaded = []
    monkeypatch.setattr("stages.browse.load_tokenizer", lambda place: loaded.append(place) or tokenizer)
    row = dict.fromkeys(SCORES.names) | {"id": "d0", "keyword": [False], "importance": [0.0]}
    write_corpus(tmp_path / "run" / "scores", SCORES, [row | {"input_ids": [7], "word_ids": [0]}])
    (tmp_path / "run" / "base").mkdir()
    for time in (1, 1, 2):
        (tmp_path / "run" / "base" / MANIFEST).touch()
        os.utime(tmp_path / "run" / "base" / MANIFEST, (time, time))
        assert "d0" in shown(tmp_path, "/run/scores/")
    assert loaded == [tmp_path / "run" / "base"] * 2


@pytest.mark.parametrize(
    ("accepted", "language"), [("zh-CN,zh;q=0.9,en;q=0.8", "zh"), ("de, en-GB;q=0.8, zh;q=0.5", "en"), ("", "en")]
)
def test_a_page_begins_in_the_language_that_a_browser_asks_for(runs, accepted, language):
    assert language_of(accepted) == language
    assert f'<html lang="{language}">' in answer(runs, Asked.of("/"), language_of(accepted))


def test_a_report_is_linked_and_shown_as_it_was_written(runs):
    assert all('href="/demo/report/report.html"' in shown(runs, url) for url in ("/", "/demo/report"))
    assert "report.md" not in shown(runs, "/demo/report")
    assert written(runs, Asked.of("/demo/report/report.html")) == "<!doctype html>report.html"
    nothing = ("/", "/demo/report/report.md", "/secret/page.html", "/demo/report/../report/report.html")
    assert [written(runs, Asked.of(url)) for url in nothing] == [None] * 4


def test_the_server_answers_get_to_this_machine_by_its_own_name_alone(runs):
    server = ThreadingHTTPServer(("127.0.0.1", 0), None)
    port = server.server_address[1]
    server.RequestHandlerClass = handler(partial(served, runs), port)
    Thread(target=server.serve_forever, daemon=True).start()
    ask = lambda path="/demo", **more: urllib.request.urlopen(
        urllib.request.Request(f"http://127.0.0.1:{port}{path}", **more)
    )
    with ask() as found, ask("/demo/report/report.html") as report:
        policies = [one.headers["Content-Security-Policy"] for one in (found, report)]
        assert found.status == 200 and all("default-src 'none'" in policy for policy in policies)
        assert ["sandbox" in policy for policy in policies] == [False, True] and b"report.html" in report.read()
    broken = {"path": "/damaged/corpus"}
    for refused, code in (({"headers": {"Host": "evil.example"}}, 403), ({"data": b"x"}, 501), (broken, 500)):
        with pytest.raises(urllib.error.HTTPError) as error:
            ask(**refused)
        assert error.value.code == code
    server.shutdown()
