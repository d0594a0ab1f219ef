"""The page on coverage and the counts of README follow from the committed results."""

import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def coverage():
    spec = importlib.util.spec_from_file_location("coverage", ROOT / "docs" / "coverage.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_that_of_the_committed_results(coverage):
    written = (ROOT / "docs" / "coverage.md").read_text(encoding="utf-8")
    assert written == coverage.page()  # else: python docs/coverage.py


def test_readme_counts_as_the_page_does(coverage):
    readme = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    assert coverage.summary(coverage.rows()) in readme
    words = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
    ours, theirs, charts = (words[count] for count in coverage.table1_counts())
    (found,) = re.findall(
        r"(\w+) of the twelve arrows.*?by its own formulas (\w+).*?(\w+) of the four arrows are",
        readme,
    )
    assert found == (ours, theirs, charts)


def test_rows_count_networks_once(coverage):
    rows = {row.item: row for every in coverage.rows().values() for row in every}
    # Conditions that two series share: the default of discrimination, no penalty.
    assert rows["Fig. 4"].networks == 4 * 8
    assert rows["Fig. 8"].networks == 5 * 8
    assert rows["Fig. 3"].asked == 50 * 11
