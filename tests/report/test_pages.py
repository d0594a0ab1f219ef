"""Pages as HTML and Markdown, and the files they are written to."""

import base64
import hashlib
import os
import re
import struct
from html.parser import HTMLParser

import pytest
from matplotlib.figure import Figure

from rnnjax.report import Page, Picture, Section, Table, render_html, render_markdown, write_report
from rnnjax.report import write as write_module
from rnnjax.report.page import TextBlock, text_blocks

PNG = b"\x89PNG\r\n\x1a\n" + b"0" * 16
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>1</script></svg>'


class Reader(HTMLParser):
    """Collects tags and links; checks that every tag is closed."""

    OPEN = frozenset({"meta", "img", "br", "link"})

    def __init__(self):
        super().__init__()
        self.stack, self.tags, self.links = [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name in ("src", "href")]
        if tag not in self.OPEN:
            self.stack.append(tag)

    def handle_endtag(self, tag):
        assert self.stack.pop() == tag


def read(html):
    reader = Reader()
    reader.feed(html)
    assert not reader.stack
    return reader


@pytest.fixture
def page():
    figure = Figure(figsize=(2, 1))
    figure.subplots().plot([0, 1])
    table = Table(("a", "b"), (("x | y", "1 < 2"),), caption="a table & more")
    text = "One\nline.\n\n- a\n- b\n\n    code <here>"
    return Page(
        "Title <b>",
        "The lead.",
        (
            Section("First", text, (table,), (Picture(figure, "plot", "seen"),)),
            Section("Second", "", (), (Picture(SVG, "drawing"),)),
        ),
        subtitle="under",
        provenance=(("command", "python x.py"),),
    )


def test_html_is_self_contained_and_well_formed(page):
    html = render_html(page)
    reader = read(html)
    assert all(link.startswith("data:image/") for link in reader.links)
    assert len(reader.links) == 2
    assert "script" not in reader.tags
    assert "http" not in html


def test_html_escapes_all_text(page):
    html = render_html(page)
    for text in ("Title &lt;b&gt;", "1 &lt; 2", "code &lt;here&gt;", "a table &amp; more"):
        assert text in html


def test_figures_are_rendered_at_twice_their_size(page):
    html = render_html(page)
    assert "width: 200px" in html
    data = re.search(r"data:image/png;base64,([^\"]+)", html)
    assert data is not None
    header = base64.b64decode(data[1])[:24]
    assert struct.unpack(">II", header[16:]) == (400, 200)
    assert render_html(page) == html


def test_markdown(page):
    text = render_markdown(page)
    assert text.startswith("# Title \\<b>\n\n*under*\n\n**The lead.**\n\n## First\n\n")
    assert "![seen](figures/plot.png)\n\n*seen*" in text
    assert "![drawing](figures/drawing.svg)" in text
    assert "*a table & more*\n\n| a | b |\n| --- | ---: |\n| x \\| y | 1 < 2 |" in text
    assert "python x.py" in text
    assert "\n\n```\ncode <here>\n```\n\n" in text


ODD = "a|b <img src=x> *c* `d` _e_ [f](g) &lt; \\ \n# h ~i~"
ESCAPED = r"a\|b \<img src=x> \*c\* \`d\` \_e\_ [f\](g) \&lt; \\ # h \~i\~"


def test_values_have_no_effect_as_markdown():
    table = Table((ODD, "b"), ((ODD, "1"),), caption=ODD)
    text = "\n\n".join(["# " + ODD.replace("\n", " "), "- 1. a_b\n- <b>", "    ```\n    <i>"])
    section = Section(ODD, text, (table,), (Picture(PNG, "p", ODD),))
    found = render_markdown(Page(ODD, ODD, (section,), ODD, (("command", ODD),)))
    lines = found.splitlines()
    assert found.count(ESCAPED) == 10
    assert lines.count(f"| {ESCAPED} | b |") == lines.count(f"| {ESCAPED} | 1 |") == 1
    assert f"\\# {ESCAPED}" in lines and r"- 1\. a_b" in lines and r"- \<b>" in lines
    start = lines.index("````")
    assert lines[start : start + 4] == ["````", "```", "<i>", "````"]


def test_superscripts_in_all_texts_and_in_no_code():
    power = "N^{-0.5} <b>"
    table = Table((power,), ((power,),), caption=power)
    section = Section(
        "s", f"{power}\n\n- {power}\n\n    {power}", (table,), (Picture(PNG, "p", power),)
    )
    page = Page("t", power, (section,))
    html, text = render_html(page), render_markdown(page)
    assert html.count("N<sup>-0.5</sup> &lt;b&gt;") == 7 and html.count("N^{-0.5}") == 1
    assert text.count("N<sup>-0.5</sup> \\<b>") == 7 and text.count("N^{-0.5}") == 1
    assert 'alt="N^-0.5 &lt;b&gt;"' in html and "![N^-0.5 \\<b>](figures/p.png)" in text


def test_the_alternative_of_a_picture_is_the_first_sentence_of_its_caption():
    assert Picture(PNG, "a_b", "Rates by size. Bars: more.").alternative == "Rates by size."
    assert Picture(PNG, "a_b", "DSA, angular: all.").alternative == "DSA, angular: all."
    assert Picture(PNG, "a_b").alternative == "a b"
    section = Section("s", "", (), (Picture(PNG, "p", "[x] y. z"),))
    assert r"![\[x\] y.](figures/p.png)" in render_markdown(Page("t", "l", (section,)))


def test_captions_of_tables_stand_above_them(page):
    html = render_html(page)
    assert html.index("a table &amp; more") < html.index("<table>")
    assert 'role="region"' in html and 'tabindex="0"' in html  # scrolls with the keyboard too


def test_text_blocks():
    assert text_blocks("one\ntwo\n\n- a\n- b\n\n    x\n     y\n") == (
        TextBlock("text", ("one two",)),
        TextBlock("list", ("a", "b")),
        TextBlock("code", ("x", " y")),
    )
    assert text_blocks("") == ()


def test_written_files(page, tmp_path):
    path = write_report(page, tmp_path / "new" / "folder")
    found = sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file())
    assert found == [
        "new/folder/figures/drawing.svg",
        "new/folder/figures/plot.png",
        "new/folder/report.html",
        "new/folder/report.md",
        "new/folder/report.sha256",
    ]
    for line in (path.parent / "report.sha256").read_text().splitlines():
        digest, name = line.split("  ")
        assert digest == hashlib.sha256((path.parent / name).read_bytes()).hexdigest()
    assert path.read_text() == render_html(page)
    assert (tmp_path / "new/folder/figures/drawing.svg").read_bytes() == SVG


def test_a_failing_write_leaves_the_old_page_unchanged(page, tmp_path, monkeypatch):
    path = write_report(page, tmp_path)
    before = path.read_bytes()

    def fail(*args):
        raise OSError("disk full")

    monkeypatch.setattr(write_module.os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write_report(Page("Other", "x"), tmp_path)
    assert path.read_bytes() == before
    assert not [name for name in os.listdir(tmp_path) if name.startswith(".")]


def test_a_page_that_cannot_be_rendered_writes_nothing(tmp_path, monkeypatch):
    def fail(*args):
        raise RuntimeError("broken")

    monkeypatch.setattr(write_module, "render_html", fail)
    with pytest.raises(RuntimeError, match="broken"):
        write_report(Page("t", "l"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_invalid_parts_are_rejected():
    with pytest.raises(ValueError, match="rows: expected 2 cells"):
        Table(("a", "b"), (("1",),))
    with pytest.raises(ValueError, match="align"):
        Table(("a", "b"), (), align="lc")
    with pytest.raises(ValueError, match="image"):
        Picture(b"GIF89a", "x")
    with pytest.raises(ValueError, match="name"):
        Picture(PNG, "../x")
    twice = Section("s", figures=(Picture(PNG, "a"), Picture(PNG, "a")))
    with pytest.raises(ValueError, match="a twice"):
        Page("t", "l", (twice,))
