import numpy as np
import pytest

from learning_curves import cost, latent
from populations import without
from rnnjax.analysis import Resampling
from rnnjax.report import Provenance, render_html, render_markdown
from rnnjax.report.wording import size_text
from rnnjax.studies.latent.page import latent_page

MADE = {
    "provenance": Provenance(
        "python experiments/latent.py", {"cell": {"rank": 1}}, {"jax": "0.10.2"}, 30.0
    ),
    "resampling": Resampling(resamples=200),
}


def table(page, heading, number=0):
    section = next(part for part in page.sections if part.heading == heading)
    return section.tables[number]


@pytest.fixture(scope="module")
def data():
    return latent(0.0)


@pytest.fixture(scope="module")
def small(data):
    """One rate, and no dimension of tasks."""
    return data.isel(task=0, drop=True).sel(learning_rate=[0.1]).assign_coords(criterion=0.9)


@pytest.fixture(scope="module")
def page(data):
    return latent_page(data, cost(), **MADE)


@pytest.mark.slow
def test_lead_is_in_numbers(page):
    rows = table(page, "Learning curves").rows
    widest = max(rows, key=lambda row: float(row[3]))
    place = "the flip-flop task" if widest[0] == "Flip flop" else "delayed cue discrimination"
    curves, steps, epochs = page.lead.rstrip(".").split(". ")
    assert f"{size_text(1000)} to 100000" in curves
    assert f"factor {widest[3]} " in curves
    assert f"in {place}, at rate {widest[1]}, step {widest[2]}," in curves
    assert curves.endswith(widest[4])
    assert "of 12 fits" in steps
    assert f"21.5 ms at {size_text(1000)} and 170 ms at {size_text(100000)}" in epochs


def test_curves_that_part_are_called_beyond_chance():
    page = latent_page(latent(0.3), cost(), **MADE)
    last = [row for row in table(page, "Learning curves").rows if row[2] == "496"]
    assert [row[5] for row in last] == ["yes"] * 4
    assert "above zero in 12 of 12 fits" in page.lead
    assert "12 of 12" in table(page, "Paper versus here").rows[0][2]


@pytest.mark.slow
def test_sections_figures_and_provenance(page):
    assert [part.heading for part in page.sections] == [
        "Learning curves",
        "Steps to a loss",
        "Accuracy",
        "Time and memory",
        "Paper versus here",
        "Limitations",
        "Runs",
        "Settings",
    ]
    names = [picture.name for part in page.sections for picture in part.figures]
    assert names == ["latent_curves", "latent_accuracy", "latent_cost"]
    assert ("training took", "30.0 s") in page.provenance
    assert "figures/latent_cost.png" in render_markdown(page)
    assert "Partial" not in render_html(page)


@pytest.mark.slow
def test_tables_cover_every_condition_rate_and_loss(page):
    rows = table(page, "Steps to a loss").rows
    assert len(rows) == 2 * 2 * 3
    assert {row[2] for row in rows} == {"50%", "20%", "10%"}
    assert all(row[5] == "4 / 0" for row in rows)
    assert table(page, "Time and memory").rows[-1] == (
        "100000", "170 ms", "1 min 25 s", "4.00 GiB"
    )  # fmt: skip


def test_paper_versus_here(page):
    claims = {row[0]: row[1:] for row in table(page, "Paper versus here").rows}
    assert claims["time per epoch"] == ("about 250 ms; more at N = 100000", "21.5 ms to 170 ms")
    assert claims["training at N = 100000"][1] == f"100 epochs at {size_text(100000)}: 17.0 s"
    setup = {row[0]: row[1:] for row in table(page, "Paper versus here", 1).rows}
    assert setup["network sizes"][1] == "1000, 3000, 10000, 100000"
    assert setup["training steps"] == ("500 epochs", "500")
    assert setup["task"][1] == "the flip-flop task, delayed cue discrimination"


def test_one_task_without_a_dimension(small):
    page = latent_page(small, cost((1000,)), **MADE)
    assert "apart at rate 0.1, step" in page.lead
    assert f"21.5 ms at {size_text(1000)} (paper" in page.lead


def test_the_lead_names_the_sizes_that_are_compared_and_the_runs_that_diverged(small):
    gone = small.copy(deep=True)
    gone["status"][{"hidden": -1}] = 3
    for name in ("final_loss", "loss"):
        gone[name][{"hidden": -1}] = np.nan
    page = latent_page(gone, cost(), **MADE)
    assert f"{size_text(1000)} to 10000 learning" in page.lead
    assert (
        "5 of 20 runs diverged" in page.lead
        and "diverged" not in latent_page(small, cost(), **MADE).lead
    )
    claim = table(page, "Paper versus here").rows[0][2]
    assert f"{size_text(1000)} to 10000" in claim and "100000" not in claim


def test_nothing_measured(small):
    page = latent_page(small, cost() * np.nan, **MADE)
    assert "An epoch" not in page.lead
    assert table(page, "Time and memory").rows[0] == ("1000", "not measured", "", "not measured")


@pytest.mark.slow
def test_a_sweep_in_progress_is_marked_partial(small):
    half = latent_page(without(small, small["hidden"] < 10000), cost(), **MADE)
    assert half.lead.startswith("Partial results")
    assert f"{size_text(1000)} to 3000" in half.lead
    assert {row[3] for row in table(half, "Steps to a loss").rows} == {"no fit"}
    none = latent_page(without(small, small["seed"] < 0), cost(), **MADE)
    assert none.lead.endswith("No run has finished yet.")
    assert latent_page(small, cost(), pending=True, **MADE).lead.startswith("Partial results")


def test_a_missing_variable_is_a_clear_error(data):
    with pytest.raises(ValueError, match="'blind_loss'"):
        latent_page(data.drop_vars("blind_loss"), cost(), **MADE)
    with pytest.raises(ValueError, match="'seconds_per_epoch'"):
        latent_page(data, cost().drop_vars("seconds_per_epoch"), **MADE)
