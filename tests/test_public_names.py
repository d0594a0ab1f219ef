"""Every public name has a docstring, and a place in the API reference of the site."""

import sys
from pathlib import Path

import pytest

import rnnjax

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "docs" / "_ext"))

from docstrings import to_rst  # noqa: E402
from public_names import PACKAGES, public_names  # noqa: E402


@pytest.mark.parametrize("package", PACKAGES)
def test_names_have_a_docstring_that_begins_with_a_sentence(package):
    for name in public_names()[package]:
        assert 15 < len(name.summary) < 200, f"{name.address}: {name.summary!r}"
        assert name.doc.split("\n\n")[0].endswith((".", ":")), f"{name.address}: {name.doc!r}"


def test_every_package_has_a_page_and_every_name_one_entry():
    pages = {file.stem for file in (ROOT / "docs" / "api").glob("*.rst")}
    assert pages == {package.removeprefix("rnnjax.") for package in PACKAGES}
    contents = (ROOT / "docs" / "api" / "index.md").read_text(encoding="utf-8").split()
    assert pages <= set(contents)
    names = [name for rows in public_names().values() for name in rows]
    values: dict[str, set[int]] = {}
    for name in names:
        values.setdefault(name.entry, set()).add(id(name.value))
    assert all(len(each) == 1 for each in values.values())  # an address has one meaning
    assert values.keys() <= {name.address for name in names}
    assert values["rnnjax.Recipe"] == {id(rnnjax.training.Recipe)}
    assert "rnnjax.training.Recipe" not in values


def test_docstrings_become_restructured_text():
    text = ["A `name` of `*x`s, |A - B| and W_ * 2.", "", "    r' = |x| * `r`", "", "- `a`: b."]
    assert to_rst(text) == [
        r"A `name` of ``*x``\ s, \|A - B\| and W\_ \* 2.",
        "", "::", "", "    r' = |x| * `r`", "", "- `a`: b.",
    ]  # fmt: skip
    assert to_rst(["|A - B| at the best."]) == [r"\|A - B\| at the best."]
    assert to_rst(["| a | b |", "|---|---|", "| c | `d` |"]) == [
        ".. list-table::", "   :header-rows: 1", "   :widths: auto", "",
        "   * - a", "     - b", "   * - c", "     - `d`",
    ]  # fmt: skip
    section = ["Args:", "    x: a `name`.", "        More.", "", "    y: |b|."]
    assert to_rst(section) == [*section[:4], r"    y: \|b\|."]
