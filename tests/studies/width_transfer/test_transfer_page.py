import numpy as np
import pytest
import xarray as xr

from populations import without
from rnnjax.analysis import Resampling, power_law
from rnnjax.report import Provenance, render_html, render_markdown
from rnnjax.studies.width_transfer.analysis import (
    best_rate_scaling,
    exponent_difference,
    rate_shift,
)
from rnnjax.studies.width_transfer.page import transfer_page
from width_sweeps import Law, transfer_sweep

MADE = {
    "provenance": Provenance(
        "python experiments/width_transfer.py",
        {"cells": ["standard", "mup"]},
        {"jax": "0.10.2"},
        4000.0,
    ),
    "resampling": Resampling(resamples=100),
}
CARRY = "Does the learning rate carry over?"


def section(page, heading):
    return next(part for part in page.sections if part.heading == heading)


def numbers(fit, cell):
    found = fit.sel(cell=cell)
    ends = ("exponent", "exponent_low", "exponent_high")
    return tuple(f"{round(float(found[name]), 2) + 0.0:.2f}" for name in ends)


@pytest.fixture(scope="module")
def data():
    return transfer_sweep()


@pytest.fixture(scope="module")
def fits(data):
    return best_rate_scaling(data, resampling=Resampling(resamples=100)), power_law(
        data, resampling=Resampling(resamples=100)
    )


@pytest.fixture(scope="module")
def page(data):
    return transfer_page(data, **MADE)


def test_lead_gives_the_verdict_of_every_rule_with_its_numbers(page, fits):
    verdicts = {"standard": "fall", "inverse-width": "fall", "muP": "neither", "latent": "neither"}
    sentences = page.lead.split("). ")
    assert len(sentences) == len(verdicts) + 1  # the last: the margin
    for (rule, verdict), sentence in zip(verdicts.items(), sentences, strict=False):
        assert rule in sentence
        assert verdict in sentence
    for cell, sentence in (("standard", sentences[0]), ("mup_adam", sentences[2])):
        for fit in fits:
            middle, low, high = numbers(fit, cell)
            assert f"slope {middle}, 95% interval {low} to {high}" in sentence
    assert "0.5 decades" in sentences[-1]
    assert "Partial" not in page.lead


@pytest.mark.slow
def test_sections_figures_and_tables_are_all_there(page):
    assert [part.heading for part in page.sections] == [
        CARRY,
        "Loss against learning rate",
        "Limitations",
        "Runs",
        "Settings",
    ]
    names = [picture.name for part in page.sections for picture in part.figures]
    assert names == ["rates_against_width", "transfer_curves"]
    assert ("training took", "1 h 6 min") in page.provenance
    assert "1000 here" in section(page, "Limitations").text
    render_html(page)
    assert "figures/transfer_curves.png" in render_markdown(page)


def test_slope_table_has_every_rate_of_every_rule(page, fits):
    table = section(page, CARRY).tables[0]
    kinds = ("best", "critical", "to first failure")
    assert [row[:2] for row in table.rows[:3]] == [("Standard", kind) for kind in kinds]
    assert [row[-1] for row in table.rows] == ["falls"] * 6 + ["stays"] * 6
    for row, fit in zip(table.rows[6:8], fits, strict=True):
        middle, low, high = numbers(fit, "mup_adam")
        assert row[2] == f"{middle} ({low} to {high})"
        moved = rate_shift(fit).sel(cell="mup_adam")
        assert row[4].startswith(f"{round(float(moved['shift']), 2) + 0.0:.2f} (")
        assert row[5:8] == ("5 of 5", "0 / 0", "0")


def test_differences_are_from_the_standard_rule(page, fits):
    table = section(page, CARRY).tables[1]
    assert [row[0] for row in table.rows] == ["Inverse width", "muP Adam", "Latent"]
    expected = exponent_difference(fits[0]).sel(cell="mup_adam")
    values = [float(expected[f"difference{end}"]) for end in ("", "_low", "_high")]
    assert table.rows[1][1] == "{:.2f} ({:.2f} to {:.2f})".format(*values)
    assert values[1] > 0


def test_best_rates_and_losses_by_size(page, fits):
    table = section(page, "Loss against learning rate").tables[0]
    assert table.columns == ("N", "Standard", "Inverse width", "muP Adam", "Latent")
    assert [row[0] for row in table.rows] == ["32", "64", "128", "256", "512"]
    assert table.rows[0][3].startswith("0.01: 0.003")


def test_a_rule_that_carries_over_may_learn_less_well(page):
    text = section(page, "Loss against learning rate").text
    assert "N = 512" in text
    assert text.rstrip(".").split(", ")[-1].startswith("Latent 0.02")


def test_an_undecided_rate_is_reported_as_undecided():
    rates = 10.0 ** np.arange(-4.5, 0.01, 0.5)
    page = transfer_page(transfer_sweep({"gru": Law(-2.0, -0.3)}, rates=rates), **MADE)
    (table,) = section(page, CARRY).tables  # no rule to compare with
    assert [row[-1] for row in table.rows[:2]] == ["undecided", "stays"]
    assert "undecided" in page.lead
    assert "critical rate does not change with size (slope 0.00, " in page.lead


@pytest.mark.slow
def test_a_slope_that_cannot_be_fitted_has_its_reasons(data):
    cut = data.sel(cell=["mup_adam"], learning_rate=slice(None, 0.012))
    page = transfer_page(cut, **MADE)
    row = section(page, CARRY).tables[0].rows[0]
    assert (row[2], row[5:8]) == ("no fit", ("0 of 5", "5 / 0", "0"))
    assert "no fit, 0 of 5 sizes" in page.lead
    failed = data.sel(cell=["latent"]).copy(deep=True)
    failed["accuracy_decision"][:] = 0.5
    page = transfer_page(failed, **MADE)
    row = section(page, CARRY).tables[0].rows[0]
    assert (row[2], row[5:8]) == ("no fit", ("0 of 5", "0 / 0", "5"))
    assert "at 5 sizes too few seeds" in page.lead
    marked = section(page, "Loss against learning rate").tables[0]
    assert all(row[1].endswith("†") for row in marked.rows)


@pytest.mark.slow
def test_censored_best_rates_are_marked(data):
    cut = data.sel(cell=["standard"], learning_rate=slice(None, 0.02))
    table = section(transfer_page(cut, **MADE), "Loss against learning rate").tables[0]
    assert table.rows[0][1].endswith("‡")
    assert not table.rows[-1][1].endswith("‡")


def test_a_margin_of_ones_own(data):
    page = transfer_page(data.sel(cell=["mup_adam"]), margin=0.05, **MADE)
    assert [row[-1] for row in section(page, CARRY).tables[0].rows] == ["undecided"] * 3
    assert "±0.05" in section(page, CARRY).text


@pytest.mark.slow
def test_a_sweep_in_progress_is_marked_partial(data):
    half = without(data, (data["cell"] == "standard") & (data["hidden"] < 512))
    page = transfer_page(half, **MADE)
    assert page.lead.startswith("Partial results")
    assert page.lead.count("no run has finished yet") == 3
    table = section(page, CARRY).tables[0]
    assert table.rows[0][5] == "4 of 4"
    assert [row[-1] for row in table.rows] == ["falls"] * 3 + ["not run yet"] * 9
    assert "(partial results)" in page.subtitle
    render_html(page)


def test_sizes_that_a_rule_is_not_run_at_do_not_make_the_page_partial(data):
    page = transfer_page(without(data, (data["cell"] != "latent") | (data["hidden"] < 200)), **MADE)
    assert "Partial" not in page.lead
    assert section(page, CARRY).tables[0].rows[-1][5] == "3 of 3"
    assert section(page, "Loss against learning rate").tables[0].rows[-1][-1] == "none"
    assert "N = 128" in section(page, "Loss against learning rate").text


def test_pending_marks_a_complete_grid_too(data):
    one = data.sel(cell=["latent"])
    assert transfer_page(one, pending=True, **MADE).lead.startswith("Partial results")


@pytest.mark.slow
def test_before_the_first_run(data):
    page = transfer_page(without(data, data["seed"] < 0), **MADE)
    assert page.lead.startswith("Partial results")
    assert page.lead.endswith("No run has finished yet.")
    render_html(page)


def test_other_dimensions_are_conditions(data):
    small = data.sel(cell=["standard", "mup_adam"])
    task = xr.Variable("task", ["delayed_cue", "delayed_match"])
    page = transfer_page(xr.concat([small, small], task, coords="minimal"), **MADE)
    assert page.lead.count("muP Adam, delayed matching") == 1
    rows = section(page, CARRY).tables[1].rows
    assert {row[0] for row in rows} == {"Delayed cue, muP Adam", "Delayed match, muP Adam"}


def test_a_sweep_without_rules(data):
    page = transfer_page(data.sel(cell="standard", drop=True), **MADE)
    assert [row[-1] for row in section(page, CARRY).tables[0].rows] == ["falls"] * 3
    assert "this sweep" in page.lead


def test_the_lead_on_many_rules_counts_them(data):
    twice = xr.concat(
        [data, data.assign_coords(cell=["gru", "lstm", "lru", "mgu"])], "cell", coords="minimal"
    )
    lead = transfer_page(twice, **MADE).lead
    assert (
        "Best rate, of 8 rules: falls in 4 (Standard, Inverse width, GRU, LSTM); stays in 4 ("
        in lead
    )
    assert lead.count("Latent") == 2
    assert "slope" not in lead.split("The table")[0]


def test_a_missing_variable_is_a_clear_error(data):
    with pytest.raises(ValueError, match="final_loss"):
        transfer_page(data.drop_vars("final_loss"), **MADE)


def test_other_cells_and_their_rules_are_named(data):
    names = ["gru_mup", "gru", "lru_mup", "mup"]
    lead = transfer_page(data.assign_coords(cell=names), **MADE).lead
    for place in (
        "In GRUs under muP ",
        "In GRUs ",
        "In linear recurrences under muP ",
        "Under muP ",
    ):
        assert place in lead
    assert lead.count("under muP") == 2
