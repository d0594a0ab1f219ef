"""The page on populations: counts, tables and curves follow planted measures."""

import pytest

from rnnjax.report import Provenance, render_markdown
from rnnjax.studies.degeneracy.population_page import population_page
from trained_levels import made

MADE = Provenance("python experiments/population.py", {"seeds": 4}, {"jax": "0.10.2"}, 30.0)
THREE = [{}, {}, {}]


def table(page, heading, number=0):
    return next(part for part in page.sections if part.heading == heading).tables[number]


def test_the_lead_counts_networks():
    page = population_page(made(THREE, missed=1), MADE)
    assert page.lead.startswith("11 of 12 ")
    assert dict(page.provenance)["training took"] == "30.0 s"
    assert {picture.name for s in page.sections for picture in s.figures} == {"threshold_curves"}


def test_networks_that_missed_their_threshold_are_named_and_left_out():
    page = population_page(made(THREE, missed=1), MADE)
    (line,) = [line for line in page.sections[0].text.splitlines() if line.startswith("- ")]
    assert "seed 0 (took all its steps)" in line
    assert line.endswith("loss 6")
    rows = table(page, "To the threshold").rows
    assert " 5 consecutive epochs" in table(page, "To the threshold").caption
    assert [row[2] for row in rows] == ["4 of 4", "4 of 4", "3 of 4"]
    assert rows[0][5] == "5"  # held-out loss
    assert rows[1][6].startswith("3.5, sd 0.0")  # stretched loss
    measured = table(page, "What training changed")
    assert "(below 0.2/√N)" in measured.caption
    first = [cell.split(" ")[0] for cell in measured.rows[0][2:]]
    assert [round(float(cell)) for cell in first] == [6, 1, 11, 9, 10]
    nobody = population_page(made(THREE, missed=4), MADE)
    assert table(nobody, "To the threshold").rows[-1][3] == "none"
    assert " nan" not in render_markdown(nobody).lower()


def test_a_missing_variable_is_named():
    with pytest.raises(ValueError, match="no variable 'held_out'"):
        population_page(made(THREE).drop_vars("held_out"), MADE)
