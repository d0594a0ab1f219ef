from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr

from populations import HALF_DECADES, sweep, without
from rnnjax.analysis import Resampling, best_learning_rates, power_law, threshold_model
from rnnjax.report import Provenance, render_html, render_markdown
from rnnjax.report.wording import exponent_text, size_text
from rnnjax.studies.collapse.page import _curve_notes, _ours, collapse_page
from rnnjax.studies.collapse.tables import best_rate_table, paper_table
from rnnjax.studies.papers import (
    COLLAPSE_BEST_RATES,
    COLLAPSE_EXPONENTS,
    paper_best_rate,
    paper_exponent,
)

MADE = {
    "provenance": Provenance(
        "python experiments/lr_collapse.py",
        {"cell": {"alpha": 0.5, "init": "gaussian"}, "rates": [0.1, 1e-4]},
        {"jax": "0.10.2"},
        452.0,
    ),
    "resampling": Resampling(resamples=100),
}


def section(page, heading):
    return next(part for part in page.sections if part.heading == heading)


@pytest.fixture(scope="module")
def data():
    return sweep()


@pytest.fixture(scope="module")
def page(data):
    return collapse_page(data, **MADE)


@pytest.mark.slow
def test_lead_states_the_fall_with_numbers(page, data):
    law = power_law(data, resampling=Resampling(resamples=100)).sel(
        task="delayed_cue", optimizer="adam"
    )
    ends = [float(law[name]) for name in ("exponent", "exponent_low", "exponent_high")]
    for end in ends:
        assert f"{end:.2f}" in page.lead
    sizes = [int(law[name]) for name in ("hidden_min", "hidden_max")]
    assert [size_text(size) in page.lead for size in sizes] == [True, True]
    assert "fell" in page.lead
    assert "delayed cue discrimination under Adam" in page.lead
    assert "Partial" not in page.lead


def test_sections_figures_and_tables_are_all_there(page):
    assert [part.heading for part in page.sections] == [
        "Largest trainable learning rate",
        "Which rates train which sizes",
        "Learning at the best rate",
        "Larger networks at a fixed rate",
        "Paper versus here",
        "Accuracy alone as the criterion",
        "Limitations",
        "Runs",
        "Settings",
    ]
    names = [picture.name for part in page.sections for picture in part.figures]
    assert names == ["critical_rates", "success_maps", "loss_curves", "steps_to_criterion"]
    assert ("training took", "7 min 32 s") in page.provenance


def test_the_models_exponent_stands_beside_that_of_the_line(page, data):
    (table,) = section(page, "Largest trainable learning rate").tables
    models = threshold_model(data)
    for row, (task, optimizer) in zip(
        table.rows, np.ndindex(models["exponent"].shape), strict=True
    ):
        model = models.isel(task=task, optimizer=optimizer)
        reason = model["reason"].item()
        assert row[7] == (f"none: {reason}" if reason else exponent_text(model))
    assert table.rows[0][7] == exponent_text(models.isel(task=0, optimizer=0))


def test_paper_versus_here(page):
    ours, setup = section(page, "Paper versus here").tables
    assert ours.rows[0][:2] == ("Delayed cue, Adam", "-1.34")
    cells = {row[0]: row[2] for row in setup.rows}
    assert cells["network sizes"] == "6, from 10 to 178"
    assert cells["learning rates"] == "9, 0.5 decades apart, from 10⁻⁴ to 1"
    assert (cells["seeds"], cells["training steps"]) == ("4", "400")
    assert "0.75" in cells["success"]


@pytest.mark.parametrize(
    ("rates", "text"),
    [([1e-3, 1e-2, 1e-1], "3, one decade apart, from 0.001 to 0.1"), ([1e-2], "1, 0.01")],
)
def test_rates_of_other_grids(data, rates, text):
    other = data.isel(learning_rate=slice(len(rates))).assign_coords(learning_rate=rates)
    assert _ours(other, "400")["learning rates"] == text


def test_literal_criterion_has_every_definition(page):
    (table,) = section(page, "Accuracy alone as the criterion").tables
    literal = tuple(f"{name} > 0.5" for name in ("decision", "matching", "pearson"))
    assert table.columns == ("condition", "decision > criterion", *literal)
    # Every Adam network passes 0.5 by correlation, so all sizes are censored.
    assert table.rows[0][4] == "no fit, 0 of 6"


def test_cues_are_written_of_where_there_is_one(page, data):
    assert "cue" in section(page, "Accuracy alone as the criterion").text
    flip_flop = data.isel(task=[0]).assign_coords(task=["flip_flop"])
    text = section(collapse_page(flip_flop, **MADE), "Accuracy alone as the criterion").text
    assert "cue" not in text and "0.5" in text


def test_sizes_without_a_curve_are_explained():
    best = xr.Dataset({"rate": ("hidden", [0.1, np.nan]), "trained": ("hidden", [True, False])})
    assert "Dotted" not in _curve_notes(best) and "a seed diverged" in _curve_notes(best)
    failed = best.isel(hidden=[0]).assign(trained=("hidden", [False]))
    assert "Dotted" in _curve_notes(failed) and "diverged" not in _curve_notes(failed)


def test_settings_are_flattened(page):
    (table,) = section(page, "Settings").tables
    assert ("cell.alpha", "0.5") in table.rows
    assert ("rates", "0.1, 0.0001") in table.rows


def test_run_counts(page, data):
    (table,) = section(page, "Runs").tables
    assert sum(int(cell) for row in table.rows for cell in row[1:]) == data["status"].size


@pytest.mark.slow
def test_page_renders(page):
    assert "Partial results" not in render_html(page)
    assert "figures/critical_rates.png" in render_markdown(page)


@pytest.mark.slow
def test_a_sweep_in_progress_is_marked_partial(data):
    half = without(data, data["task"] == "delayed_cue")
    page = collapse_page(half, **MADE)
    assert page.lead.startswith("Partial results")
    assert "of 2 conditions" in page.lead
    largest, *_ = page.sections
    assert largest.text.count("no run has finished yet") == 2
    rows = {row[0]: row[2] for row in section(page, "Paper versus here").tables[0].rows}
    assert [name for name, cell in rows.items() if cell == "not run yet"] == [
        "Delayed match, Adam",
        "Delayed match, SGD",
    ]


@pytest.mark.slow
def test_pending_marks_a_complete_grid_too(data):
    one = data.isel(task=[0], optimizer=[0])
    assert collapse_page(one, pending=True, **MADE).lead.startswith("Partial results")


def test_before_the_first_run(data):
    one = data.isel(task=[0], optimizer=[0])
    page = collapse_page(without(one, one["seed"] < 0), **MADE)
    assert page.lead.startswith("Partial results")
    assert page.lead.endswith("No run has finished yet.")
    assert section(page, "Largest trainable learning rate").tables[0].rows[0][1] == "no fit"
    render_html(page)


@pytest.mark.slow
def test_a_flat_critical_rate_is_not_called_a_fall():
    data = sweep(tasks=("delayed_cue",), optimizers=("adam",))
    works = (data["learning_rate"] < 0.05).astype(float)
    data["accuracy_decision"] = data["accuracy_decision"] * 0 + works
    page = collapse_page(data, **MADE)
    assert "do not decide" in page.lead
    low, high = section(page, "Largest trainable learning rate").tables[0].rows[0][2].split(" to ")
    assert float(low) <= 0 <= float(high)


@pytest.mark.slow
def test_all_censored_gives_no_exponent():
    data = sweep(tasks=("delayed_cue",), optimizers=("adam",))
    data["accuracy_decision"][:] = 1.0
    data["final_loss"][:] = 0.0
    page = collapse_page(data, **MADE)
    assert "0 of 6 sizes" in page.lead
    (row,) = section(page, "Largest trainable learning rate").tables[0].rows
    assert row[1:6] == ("no fit", "none", "none", "0", "6 / 0")
    assert row[7] == f"none: {threshold_model(data)['reason'].item()}"


def test_best_among_failures_is_marked():
    data = sweep(tasks=("delayed_match",), optimizers=("adam",), sizes=(100, 3162))
    data["accuracy_decision"][:, :, 1] = 0.5
    rows = best_rate_table(best_learning_rates(data)).rows
    assert rows[0][1].endswith("[10⁻⁴]")
    assert " †" in rows[1][1]
    assert rows[1][1].endswith("[0.1]")


@pytest.mark.slow
def test_an_extra_dimension_and_an_unknown_task():
    data = sweep(tasks=("my_task",), optimizers=("adam",)).expand_dims(init=["gaussian", "xavier"])
    page = collapse_page(data, **MADE)
    assert "my task" in page.lead
    assert "init = gaussian" in page.lead
    assert section(page, "Paper versus here").tables[0].rows[0][1] == ""


def test_a_missing_variable_is_a_clear_error(data):
    with pytest.raises(ValueError, match="steps_to_criterion"):
        collapse_page(data.drop_vars("steps_to_criterion"), **MADE)


def test_reference_numbers():
    assert COLLAPSE_EXPONENTS[("delayed_cue", "adam")] == 1.34
    assert paper_exponent({"task": "other"}) is None
    assert paper_best_rate({"task": "delayed_match", "optimizer": "adam"}, 3162) == 0.1
    assert paper_best_rate({"task": "flip_flop", "optimizer": "sgd"}, 178) == 0.1
    assert paper_best_rate({"task": "flip_flop", "optimizer": "sgd"}, 10) is None
    assert all(len(rates) == 9 for rates in COLLAPSE_BEST_RATES.values())
    assert np.isclose(HALF_DECADES[-1], 1)


@pytest.mark.parametrize(("low", "inside"), [(-1.336, "yes"), (-1.334, "no")])
def test_the_papers_value_is_compared_as_it_is_printed(low, inside):
    fit = xr.Dataset({"exponent": 0.0, "exponent_low": low, "exponent_high": 1.0})
    finding = SimpleNamespace(
        labels={"task": "delayed_cue", "optimizer": "adam"},
        interval=(low, 1.0),
        fit=fit,
        started=True,
    )
    assert paper_table([finding]).rows[0][-1] == inside
