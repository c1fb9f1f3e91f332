"""One file that loads nothing, says everything in both languages, and shows a corpus' text without obeying it."""

import re
from html.parser import HTMLParser

import pytest

from pipeline.masking.pages import MASKED, Drawn, Piece
from pipeline.pages.html import write_html
from pipeline.pages.markdown import write_markdown
from pipeline.pages.parts import Code, Masks, Picture, Points, Said, Section, Strong, Table
from pipeline.pages.plots import dots_svg

EVIL = "<script>alert(1)</script>\u202e"
LINE = [Piece(EVIL, EVIL, 200, MASKED)]
SECTIONS = [
    Section(Said("Verdict", "结论"), [Said(f"**{EVIL}** is *better*, see `x`", f"**{EVIL}** 更好")]),
    Section(
        Said("Rows", "数据"),
        [
            Table([Said("text", "文本"), "F1"], [[[EVIL, Strong(EVIL)], "1.0"], [EVIL, EVIL]]),
            Points([EVIL, Said("said", "说")]),
            Masks([Drawn(EVIL, [(EVIL, LINE)], [(EVIL, LINE)])]),
            Code([EVIL]),
            Picture("scores", Said("Seeds", "种子"), lambda title: dots_svg({EVIL: [1.0]}, title)),
        ],
    ),
]
VOID = {"meta", "input", "br", "hr", "img", "link"}


class Reader(HTMLParser):
    """Notes every tag and attribute, and that tags close in the order they opened."""

    def __init__(self) -> None:
        super().__init__()
        self.tags, self.attributes, self.open, self.text = [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag, f"</{tag}> closes {self.open}"

    def handle_data(self, data):
        self.text.append(data)


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("page") / "report.html"
    write_html(path, Said("Did it help?", "有帮助吗？"), SECTIONS, "zh", [EVIL])
    return path.read_text(encoding="utf-8")


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    reader.close()
    return reader


def test_every_tag_that_opens_is_closed_in_order(page):
    assert not read(page).open


def test_nothing_is_loaded_and_the_policy_says_so(page):
    found = read(page)
    assert not {"script", "link", "img", "iframe", "object", "form"} & set(found.tags)
    loads = [value for name, value in found.attributes if name in ("src", "href", "srcset", "action", "data")]
    assert all(value.startswith("#") for value in loads) and not re.search(r"url\(|@import", page)
    assert "default-src 'none'; style-src 'unsafe-inline'; img-src data:" in dict(found.attributes)["content"] + page
    assert page.index("Content-Security-Policy") < page.index("<style>")
    assert not [name for name, _ in found.attributes if name.startswith("on")]


def test_what_a_corpus_contains_is_text_and_nothing_else(page):
    assert "<script" not in page and "\u202e" not in page
    shown = "".join(read(page).text)
    assert shown.count("<script>alert(1)</script>⟨202E⟩") >= 8  # wherever it was given, that is what can be read


def test_both_languages_are_there_and_it_begins_in_that_of_the_corpus(page):
    assert (
        '<html lang="zh">' in page and re.search(r'id="zh" checked', page) and not re.search(r'id="en" checked', page)
    )
    assert '<span class="en" lang="en">Rows</span><span class="zh" lang="zh">数据</span>' in page
    assert "<em>better</em>" in page and "<code>x</code>" in page


def test_of_several_verdicts_each_has_its_heading_and_one_stands_under_the_title(tmp_path):
    found = []
    for count in (1, 2):
        leads = [Section(Said(f"Verdict {i}", f"结论 {i}"), [Said("so", "是")], leads=True) for i in range(count)]
        write_markdown(tmp_path / "report.md", Said("Did it help?", "有帮助吗？"), leads)
        found.append((tmp_path / "report.md").read_text().count("## Verdict"))
    assert found == [0, 2]


def test_markdown_tells_the_same_and_keeps_text_from_being_markup(tmp_path):
    write_markdown(tmp_path / "report.md", Said("Did it help?", "有帮助吗？"), SECTIONS)
    page = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert page.startswith("# Did it help?\n\n**") and "## Rows" in page and "![scores](scores.svg)" in page
    assert (
        "| \\<script>alert(1)\\</script>⟨202E⟩ |" in page and "**&#60;script>alert(1)&#60;/script>⟨202E⟩** is" in page
    )
    outside = re.sub(r"^```\n.*?\n```$", "", page, flags=re.M | re.S)
    assert outside.count("script") == 12 and not re.search(r"(?<!\\)<script", outside) and "\u202e" not in page
    assert (tmp_path / "scores.svg").read_text(encoding="utf-8").startswith("<svg")


def test_what_is_put_into_words_of_markdown_begins_no_tag_and_no_link_and_ends_no_fence(tmp_path):
    table = Table([Said("\\<b>", ""), Said("`</b>", ""), Said("a\\|b", "")], [[Said("1 < 2\n3", ""), "![x](y)", ""]])
    told = [Said("`a` ``<!--", ""), Said("\\[x](y)", ""), Code(["````", "\x1b[2J"])]
    write_markdown(tmp_path / "a.md", Said("<a>", ""), [Section(Said("<b>", ""), [table, *told], leads=True)] * 2)
    page = (tmp_path / "a.md").read_text(encoding="utf-8")
    assert page.startswith("# &#60;a>\n\n## &#60;b>\n\n| &#92;&#60;b> | `&#60;/b> | a&#92;\\|b |")
    assert "\n| 1 < 2 3 | ![x\\](y) |  |\n\n`a` ``&#60;!--\n\n&#92;[x&#93;(y)\n\n" in page
    assert page.endswith("`````\n````\n⟨001B⟩[2J\n`````\n")
