"""Look into what was made: runs, their artifacts, and every corpus, score and mask in them, in a browser.

    make browse                      # http://127.0.0.1:8787, until Ctrl-C
    make browse PORT=9000

Serves this machine alone, answers GET alone, writes nothing. Pages begin in the language that the browser asks for;
reports are shown as they were written. Rows are read where they are asked for: a corpus may be of any size. A search
looks at 50,000 rows at a time, and says where it goes on.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from http.server import ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, quote, unquote, urlencode, urlsplit

import numpy as np
from transformers import PreTrainedTokenizerBase

from corpora.browsing import Found, has, labelled, rows_from
from corpora.parquet import count_rows, shards
from pipeline.masking.pages import Drawn, pieces_as_written, text_of
from pipeline.models import load_tokenizer
from pipeline.pages.html import page
from pipeline.pages.parts import Cell, Link, Masks, Part, Points, Said, Search, Section, Strong, Table, Words
from pipeline.pages.plain import in_a_line
from pipeline.pages.serving import ASKING, WRITTEN, Served, handler
from pipeline.run.artifact import MANIFEST, read_manifest
from pipeline.run.progress import clock

ROWS = 20
"""Of a page."""
TITLE = Said("Runs", "运行")

Row = Mapping[str, object]


@dataclass(frozen=True)
class Asked:
    """A path below the runs, and what is asked about it."""

    parts: tuple[str, ...]
    query: str = ""
    label: str = ""
    first: int = 0

    @classmethod
    def of(cls, url: str) -> "Asked":
        """From a request's address."""
        split = urlsplit(url)
        given = {name: values[0] for name, values in parse_qs(split.query).items()}
        parts = tuple(unquote(part) for part in split.path.split("/") if part)
        first = given.get("from", "0")
        return cls(
            parts, in_a_line(given.get("q", "")), given.get("label", ""), int(first) if first.isdecimal() else 0
        )

    def after(self, first: int) -> str:
        """The address of the same question from another row on."""
        given = {"q": self.query, "label": self.label, "from": first}
        return "?" + urlencode({name: value for name, value in given.items() if value})


def answer(runs: Path, asked: Asked, language: str = "en") -> str | None:
    """The page, beginning in "zh" or "en"; None where there is no such thing."""
    folder = _folder(runs, asked.parts)
    if folder is None:
        return None
    trail = [TITLE, *asked.parts]
    links = [_link(name, runs.joinpath(*asked.parts[:depth]), runs) for depth, name in enumerate(trail[:-1])]
    above = [part for link in links for part in (link, " / ")]
    title = Said(asked.parts[-1], asked.parts[-1]) if asked.parts else TITLE
    return page(title, _sections(runs, folder, asked), language, [above] if above else [])


def written(runs: Path, asked: Asked) -> str | None:
    """A page that an artifact holds, as its stage wrote it; None where there is no such thing."""
    folder = _folder(runs, asked.parts[:-1])
    if folder is None or not asked.parts or asked.parts[-1] not in [path.name for path in _pages(folder)]:
        return None
    return (folder / asked.parts[-1]).read_text(encoding="utf-8")


def _folder(runs: Path, parts: Sequence[str]) -> Path | None:
    """Only names that a folder lists are followed."""
    folder = runs
    for name in parts:
        if name not in {path.name for path in _folders(folder)}:
            return None
        folder /= name
    return folder


def _sections(runs: Path, folder: Path, asked: Asked) -> list[Section]:
    link = lambda path: _link(path.name, path, runs)
    if not asked.parts:
        made = [path for path in _folders(folder) if _artifacts(path)]
        rows = [[link(path), ", ".join(one.name for one in _artifacts(path)), _read(path, runs)] for path in made]
        return [_listed(TITLE, [Said("run", "运行"), Said("artifacts", "产物"), Said("to read", "阅读")], rows)]
    if len(asked.parts) == 1:
        return [_listed(Said("Artifacts", "产物"), ARTIFACT, [[link(p), *_artifact(p)] for p in _artifacts(folder)])]
    sections = [_made(folder, runs)] if (folder / MANIFEST).exists() else []
    if any(folder.glob("part-*.parquet")):
        return [*sections, _rows(runs / asked.parts[0], folder, asked)]
    inside = [path for path in _folders(folder) if any(path.rglob("part-*.parquet"))]
    rows = [[link(path), f"{count_rows(path):,}"] for path in inside]
    return [*sections, _listed(Said("Corpora", "语料"), [Said("folder", "目录"), Said("rows", "行数")], rows)]


# ---- what there is --------------------------------------------------------------------------------------------------

ARTIFACT = [Said("artifact", "产物"), Said("finished", "完成于"), Said("time", "用时"), Said("found", "结果")]


def _folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _artifacts(folder: Path) -> list[Path]:
    return [path for path in _folders(folder) if (path / MANIFEST).exists()]


def _pages(folder: Path) -> list[Path]:
    """Those that a finished artifact holds."""
    return sorted(folder.glob("*.html")) if (folder / MANIFEST).exists() else []


def _read(run: Path, runs: Path) -> Cell:
    """The pages of a run by the names of their artifacts."""
    links = [_link(artifact.name, path, runs) for artifact in _artifacts(run) for path in _pages(artifact)]
    return [part for link in links for part in (link, " ")][:-1]


def _link(text: Words, folder: Path, runs: Path) -> Link:
    return Link(text, "/" + "/".join(map(quote, folder.relative_to(runs).parts)))


def _listed(title: Said, head: list[Said], rows: list[list[Cell]]) -> Section:
    return Section(
        title, [Table(head, rows, worded=len(head)) if rows else Said("Nothing is here.", "这里什么都没有。")]
    )


def _artifact(folder: Path) -> list[Cell]:
    made = read_manifest(folder)
    found = [f"{name} {value:.4g}" for name, value in list(made["metrics"].items())[:4]]
    finished = str(made["provenance"]["finished"])[:16].replace("T", " ")
    return [finished, clock(made["provenance"]["seconds"]), ", ".join(found)]


def _made(folder: Path, runs: Path) -> Section:
    """What an artifact says of itself."""
    made = read_manifest(folder)
    rows: list[list[Cell]] = [[name, f"{value:,.4g}"] for name, value in made["metrics"].items()]
    told = Said(f"`{made['provenance']['command']}`", f"`{made['provenance']['command']}`")
    pages = [Points([_link(path.name, path, runs) for path in _pages(folder)])] if _pages(folder) else []
    return Section(Said("What it found", "结果"), [*pages, told, Table([Said("measure", "指标"), ""], rows)])


# ---- rows -----------------------------------------------------------------------------------------------------------


def _rows(run: Path, folder: Path, asked: Asked) -> Section:
    """A page of rows: those that have the words and the label, with a link to the next."""
    sample = rows_from(folder, 0, 1, lambda _: True).rows
    base = run / "base"
    tokenizer = _tokenizer(base, _made_at(base / MANIFEST)) if sample and "input_ids" in sample[0][1] else None
    found = rows_from(folder, asked.first, ROWS, lambda row: _wanted(row, asked, tokenizer))
    of_task = bool(sample and {"label", "labels", "tags"} & set(sample[0][1]))
    labels = _labels(folder, _made_at(shards(folder)[0])) if of_task else []
    parts: list[Part] = [Search(asked.query, asked.label, labels)]
    if found.rows:
        parts.append(_masks(found, tokenizer) if tokenizer else _texts(found, asked))
    else:
        parts.append(Said("No row here has that.", "这里没有符合的行。"))
    if found.next is not None:
        parts.append(
            Points(
                [Link(Said(f"on from row {found.next:,} →", f"从第 {found.next:,} 行继续 →"), asked.after(found.next))]
            )
        )
    count = count_rows(folder)
    return Section(Said(f"{count:,} rows", f"{count:,} 行"), parts)


def _wanted(row: Row, asked: Asked, tokenizer: PreTrainedTokenizerBase | None) -> bool:
    if asked.label and not labelled(row, asked.label):
        return False
    if not asked.query:
        return True
    seen = {"id": row["id"], "text": text_of(np.array(row["input_ids"]), tokenizer)} if tokenizer else row
    as_shown = {name: in_a_line(value) if isinstance(value, str) else value for name, value in seen.items()}
    return has(as_shown, asked.query)


def _made_at(path: Path) -> int:
    """What is kept of a folder is kept of this time of it: it may be made again while somebody looks."""
    return path.stat().st_mtime_ns if path.exists() else 0


@lru_cache(maxsize=8)
def _tokenizer(base: Path, made_at: int) -> PreTrainedTokenizerBase:
    return load_tokenizer(base)


@lru_cache(maxsize=64)
def _labels(folder: Path, made_at: int) -> list[str]:
    """The labels of the first rows."""
    seen = rows_from(folder, 0, 2000, lambda _: True).rows
    names = {name for _, row in seen for name in (row.get("label"), *(row.get("labels") or ()))}
    names |= {tag.partition("-")[2] for _, row in seen for tag in row.get("tags") or ()}
    return sorted(filter(None, names))


def _masks(found: Found, tokenizer: PreTrainedTokenizerBase) -> Masks:
    """Importance as heat, and what is predicted at the first visit, or which words are keywords."""
    sequences = []
    for number, row in found.rows:
        ids, words = (np.array(row[name]) for name in ("input_ids", "word_ids"))
        strengths = np.array(row.get("importance") or np.zeros(len(ids)), dtype=float)
        if "keyword" in row:  # scores are of any scale
            strengths = np.where(row["keyword"], 255, 127 * strengths / max(np.abs(strengths).max(), 1e-9)).clip(0)
        line = lambda chosen, s=strengths, i=ids, w=words: pieces_as_written(i, w, s.astype(int), tokenizer, chosen)
        draws = [("visit 0", line(np.array(row["masked"])))] if "masked" in row else []
        sequences.append(Drawn(f"{number:,}  {row['id']}", [("importance", line(None))], draws))
    return Masks(sequences)


def _texts(found: Found, asked: Asked) -> Table:
    """Every column that has something in it, with the words asked for made strong."""
    columns = [name for name in found.rows[0][1] if any(row[name] not in (None, [], "") for _, row in found.rows)]
    columns.sort(key=lambda name: (name not in ("text", "source"), name == "origin", name == "id"))
    rows = [[*(_shown(row[name], asked.query) for name in columns), f"{number:,}"] for number, row in found.rows]
    return Table([*columns, Said("row", "行")], rows, worded=len(columns))


def _shown(value: object, query: str) -> Cell:
    text = "" if value is None else " ".join(map(_short, value)) if isinstance(value, list) else _short(value)
    if not query or query.casefold() not in text.casefold():
        return text
    parts, low, size = [], text.casefold(), len(query.casefold())
    if len(low) != len(text):  # folding changed lengths: what is found cannot be pointed at
        return text
    while (at := low.find(query.casefold())) >= 0:
        parts += [text[:at], Strong(text[at : at + size])]
        text, low = text[at + size :], low[at + size :]
    return [*parts, text]


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else in_a_line(str(value))


# ---- the server -----------------------------------------------------------------------------------------------------


def served(runs: Path, url: str, language: str) -> Served | None:
    """What a browser is shown: a page that lies there as it is, else one of rows and folders."""
    asked = Asked.of(url)
    if (found := written(runs, asked)) is not None:
        return Served(found, WRITTEN)
    found = answer(runs, asked, language)
    return Served(found, ASKING) if found else None


def main() -> None:
    """Serve until Ctrl-C."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--port", type=int, default=8787)
    args = parser.parse_args()
    if not args.runs.is_dir():
        print(f"browse: nothing was made in {args.runs} yet: run make dapt, or set RUNS=", file=sys.stderr)
        sys.exit(2)
    try:
        server = ThreadingHTTPServer(
            ("127.0.0.1", args.port), handler(partial(served, args.runs.resolve()), args.port)
        )
    except OSError as error:
        print(f"browse: port {args.port} cannot be used ({error.strerror}): set PORT=", file=sys.stderr)
        sys.exit(2)
    print(f"http://127.0.0.1:{args.port}/  (Ctrl-C ends it)", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        print()


if __name__ == "__main__":
    main()
