"""The pages on populations and on memory demand say what the data say."""

import pytest
import xarray as xr

from rnnjax.report import render_html, render_markdown
from rnnjax.studies.degeneracy.population_page import population_page
from rnnjax.studies.memory_demand.page import memory_page
from trained_levels import made

MADE = {"settings": {"seeds": 4}, "command": "python experiments/population.py",
        "versions": {"jax": "0.10.2"}}  # fmt: skip
GAMMAS = [{"gamma": value} for value in (0.5, 1.0, 2.0)]


def table(page, heading, number=0):
    return next(part for part in page.sections if part.heading == heading).tables[number]


def test_lead_counts_and_judges():
    page = population_page(made(GAMMAS, missed=1), elapsed_seconds=30.0, **MADE)
    assert page.lead.startswith("11 of 12 networks reached their threshold.")
    assert "weight change |W - W₀| rises (study 2: rises)" in page.lead
    assert "kernel alignment falls (study 2: falls)" in page.lead
    assert ("training took", "30.0 s") in page.provenance
    against = population_page(made(GAMMAS, slope=-0.5), **MADE)
    assert "weight change |W - W₀| falls (study 2: rises)" in against.lead
    still = population_page(made(GAMMAS, slope=0.0), **MADE)
    assert "undecided (study 2: rises)" in still.lead


def test_those_who_missed_are_named_and_left_out():
    page = population_page(made(GAMMAS, missed=1), **MADE)
    text = page.sections[0].text
    assert "gamma 2, seed 0: EXHAUSTED, lowest held-out loss 6" in text
    rows = table(page, "To the threshold").rows
    assert "at 5 ends of epochs in a row" in table(page, "To the threshold").caption
    assert rows[0][6] == "5"  # held-out loss
    assert rows[1][7].startswith("3.5, sd 0.0")  # stretched loss
    measured = table(page, "What training changed", 1)
    assert "(below 0.2/√N)" in measured.caption
    first = [cell.split(" ")[0] for cell in measured.rows[0][3:]]
    assert [round(float(cell)) for cell in first] == [6, 1, 11, 9, 10]
    assert [row[3] for row in rows] == ["4 of 4", "4 of 4", "3 of 4"]
    nobody = population_page(made(GAMMAS, missed=4), **MADE)
    assert table(nobody, "To the threshold").rows[-1][4:5] == ("none",)
    assert " nan" not in render_markdown(nobody).lower()


def test_trends_stand_beside_the_paper():
    page = population_page(made([{"l1": 0.0}, {"l1": 1e-5}]), **MADE)
    rows = table(page, "What training changed").rows
    (sparse,) = [row for row in rows if "near-zero" in row[1]]
    assert sparse[0] == "Flip flop, N = 8, L1 strength"
    assert sparse[2].startswith("+0.5") or sparse[2].startswith("+0.4")
    assert sparse[-2:] == ("rises", "rises")
    assert "10⁻⁵" in render_html(page)
    alone = population_page(made([{}]), **MADE)
    assert len(next(s for s in alone.sections if s.heading == "What training changed").tables) == 1
    with pytest.raises(ValueError, match="no variable 'held_out'"):
        population_page(made(GAMMAS).drop_vars("held_out"), **MADE)


def test_memory_demand_beside_the_papers():
    data = xr.Dataset(
        {"error": (("task", "variant", "history", "initialization"),
                   [[[[0.5, 0.7], [0.1, 0.1]]], [[[0.2, 0.2], [0.3, 0.3]]]]),
         "demand": (("task", "variant"), [[2], [1]]),
         "censored": (("task", "variant"), [[True], [False]]),
         "variance": (("task", "variant"), [[1.0], [0.5]])},
        {"task": ["flip_flop", "path_integration"], "variant": ["as printed"], "history": [1, 2],
         "paper": ("task", [2.0, 1.0])},
    )  # fmt: skip
    page = memory_page(data, **MADE)
    assert "is the paper's in path integration 1 (paper 1)" in page.lead
    assert "differs from it in the flip-flop task at least 2 (paper 2)" in page.lead
    assert page.sections[0].tables[0].rows[0] == ("Flip flop", "2", "at least 2 (0.6 → 0.1)", "1")
    other = memory_page(data.assign_coords(paper=("task", [float("nan")] * 2)), **MADE)
    assert "is, where the paper has no number, the flip-flop task at least 2, path" in other.lead
    with pytest.raises(ValueError, match="expected the variant 'as printed'"):
        memory_page(data.assign_coords(variant=["other"]), **MADE)
