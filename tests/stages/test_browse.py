"""What a browser is shown of runs, and what it is refused."""

import json
import urllib.error
import urllib.request
from http.server import ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from corpora.parquet import write_corpus
from corpora.schemas import DOCUMENTS
from pipeline.run.artifact import MANIFEST
from stages.browse import Asked, answer, handler

TEXTS = ["<script>alert(1)</script> tea", *(f"tea number {i}" for i in range(45)), "coffee"]


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
    (runs / "secret").mkdir()
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
    assert "coffee" in shown(runs, "/demo/corpus/task/train?q=coffee")
    assert "No row here has that" in shown(runs, "/demo/corpus/task/train?q=milk")


def test_what_a_corpus_contains_is_text_and_nothing_else(runs):
    page = shown(runs, "/demo/corpus/task/train?q=<script>")
    assert "<script" not in page and "&lt;script&gt;" in page
    assert "form-action 'self'" in page and "default-src 'none'" in page


@pytest.mark.parametrize("url", ["/nope", "/demo/../secret", "/demo/%2e%2e/secret", "/demo/corpus/manifest.json"])
def test_only_what_is_listed_can_be_asked_for(runs, url):
    assert shown(runs, url) is None


def test_the_server_answers_get_to_this_machine_by_its_own_name_alone(runs):
    server = ThreadingHTTPServer(("127.0.0.1", 0), None)
    port = server.server_address[1]
    server.RequestHandlerClass = handler(runs, port)
    Thread(target=server.serve_forever, daemon=True).start()
    ask = lambda **more: urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.1:{port}/demo", **more))
    with ask() as found:
        assert found.status == 200 and "default-src 'none'" in found.headers["Content-Security-Policy"]
    for refused, code in (({"headers": {"Host": "evil.example"}}, 403), ({"data": b"x"}, 501)):
        with pytest.raises(urllib.error.HTTPError) as error:
            ask(**refused)
        assert error.value.code == code
    server.shutdown()
