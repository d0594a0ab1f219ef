"""The long Python examples in the README and the docs run as they stand; links have targets."""

import functools
import re
from pathlib import Path

import pytest

from examples import PAGES, ROOT, SHORT, python_blocks, run_examples

LINKED = [
    *PAGES,
    *sorted(ROOT.glob("[CS]*.md")),
    *sorted((ROOT / "benchmarks").glob("*.md")),
    *sorted((ROOT / "docs").glob("*/**/*.md")),
]
LONG = [page for page in PAGES if page not in SHORT and python_blocks(page)]


@pytest.mark.slow
@pytest.mark.parametrize("page", LONG, ids=lambda p: p.name)
def test_examples_run(page, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    run_examples(page)


def prose(page: Path) -> str:
    """A page without its code blocks."""
    return re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)


@functools.cache
def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives to the headings of a page."""
    titles = re.findall(r"^#+ (.*)$", prose(page), re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", LINKED, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_resolve(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        path, _, anchor = target.partition("#")
        if "://" in path:
            continue
        file = page.parent / path if path else page
        assert file.exists(), f"{page.name} links to {target}"
        if anchor and (file.suffix == ".md") and file.name != "index.md":
            assert anchor in anchors(file), f"{page.name} links to {target}"


def test_the_gallery_names_the_command_of_every_figure():
    gallery = (ROOT / "docs" / "gallery.md").read_text(encoding="utf-8")
    entries = re.findall(
        r"!\[[^\]]+\]\(results/(\w+)/(figures/\w+\.png)\)(.*?)```bash\n(.*?)\n```", gallery, re.S
    )
    assert len(entries) == gallery.count("![") >= 15
    for run, figure, caption, command in entries:
        report = (ROOT / "docs" / "results" / run / "report.md").read_text(encoding="utf-8")
        assert f"({figure})" in report
        assert f"| command | {command} |" in report
        assert f"[Report](results/{run}/report.md)" in caption


def test_every_report_is_listed():
    results = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    for report in (ROOT / "docs" / "results").glob("*/report.md"):
        run = report.parent.name
        assert f"](results/{run}/report.md) |" in results  # the table
        assert f"<results/{run}/report>" in results  # the contents of the site
