import pytest
import xarray as xr

from learning_curves import planted
from populations import without
from rnnjax.analysis import Resampling
from rnnjax.report import Provenance, render_html, render_markdown
from rnnjax.report.wording import number
from rnnjax.studies.rescaling.analysis import slowdown
from rnnjax.studies.rescaling.page import _main_target, rescaling_page

MADE = {
    "provenance": Provenance(
        "python experiments/rescaling.py", {"cell": {"alpha": 0.5}}, {"jax": "0.10.2"}, 452.0
    ),
    "resampling": Resampling(resamples=200),
}


def sweep(torch, scaled, **options):
    arms = {"torch": torch, "scaled": scaled}
    return planted(arms, total=1000, points=250, first=6, noise=0.03, jitter=0.03, **options)


def table(page, heading, number=0):
    section = next(part for part in page.sections if part.heading == heading)
    return section.tables[number]


@pytest.fixture(scope="module")
def data():
    return sweep(0.4, 0.0)


@pytest.fixture(scope="module")
def page(data):
    return rescaling_page(data, **MADE)


def test_lead_answers_with_numbers(page, data):
    fit = slowdown(data, targets=[0.06], resampling=Resampling(resamples=200)).sel(
        target=0.06, learning_rate=0.1
    )
    sentences = page.lead.split("At learning rate ")[1:]
    assert [sentence.split()[0] for sentence in sentences] == ["0.01", "0.1", "1"]
    middle, last = sentences[1:]
    assert "due to Adam's eps" in middle
    assert "N = 500 to 5000" in middle
    for label in ("torch", "scaled"):
        assert f"N^{{{number(float(fit['exponent'].sel(eps_scaling=label)))}}} (" in middle
    assert f"difference of {float(fit['difference']):.2f} (" in middle
    assert "cannot be compared" in last
    assert "Partial" not in page.lead


@pytest.mark.slow
@pytest.mark.parametrize(
    ("slopes", "verdict", "words"),
    [
        ((0.4, 0.4), "structural in part", "structural, at least in part"),
        ((0.6, 0.3), "both", "partly structural"),
        ((0.0, 0.0), "none", "below N^{0.05}"),
    ],
)
def test_lead_follows_the_data(slopes, verdict, words):
    page = rescaling_page(sweep(*slopes, rates=(0.1,)), **MADE)
    assert words in page.lead
    assert table(page, "Steps to a loss").rows[-1][-1] == verdict


@pytest.mark.slow
def test_sections_figures_and_provenance(page):
    assert [part.heading for part in page.sections] == [
        "Learning curves",
        "Steps to a loss",
        "The same number of steps",
        "Paper versus here",
        "Limitations",
        "Runs",
        "Settings",
    ]
    names = [picture.name for part in page.sections for picture in part.figures]
    assert names == ["rescaling_curves", "slowdown"]
    assert ("training took", "7 min 32 s") in page.provenance
    assert "figures/slowdown.png" in render_markdown(page)
    assert "Partial" not in render_html(page)


def test_every_rate_and_loss_has_its_verdict(page):
    found = table(page, "Steps to a loss")
    assert [row[1:3] for row in found.rows[:3]] == [("0.01", "0.3"), ("0.01", "0.1"),
                                                   ("0.01", "0.06")]  # fmt: skip
    assert [row[-1] for row in found.rows] == ["eps"] * 6 + ["unfitted"] * 3
    assert found.rows[-1][3:8] == ("no fit", "no fit", "none", "0", "4 / 4")


def test_the_main_loss_is_the_lowest_that_most_sizes_reach(data):
    hard = data["loss"].where((data["hidden"] < 3000) | (data["loss"] > 0.08), 0.08)
    hard = data.assign(loss=hard.transpose(*data["loss"].dims))
    page = rescaling_page(hard.sel(learning_rate=[0.1]), **MADE)
    assert "a loss of 0.1 " in page.lead
    assert "0.06" not in page.lead


def test_paper_versus_here(page):
    claims = {row[0]: row[1:] for row in table(page, "Paper versus here").rows}
    reached = "eps fixed: {0} of 20, eps scaled with N: {0} of 20"
    assert claims["runs at rate 0.1 that reach 0.06"] == ("trains", reached.format(20))
    assert claims["runs at rate 1 that reach 0.06"] == ("fails at every size", reached.format(0))
    assert claims["larger networks slower, eps fixed"][1].endswith("interval above zero in 2 of 2")
    setup = {row[0]: row[1:] for row in table(page, "Paper versus here", 1).rows}
    assert setup["network sizes"] == ("500, 1000, 3000, 5000", "500, 1000, 3000, 5000")
    assert setup["training steps"] == ("2000 epochs", "1000")


def test_accuracy_near_the_papers_loss(data):
    near = data.sel(learning_rate=[0.1]).copy(deep=True)
    near["final_loss"][0, 0, 0, 0] = 0.06
    near["accuracy_decision"][0, 0, 0, 0] = 0.93
    near["final_loss"][0, 0, 0, 1] = 0.2
    near["accuracy_decision"][0, 0, 0, 1] = 0.11
    row = table(rescaling_page(near, **MADE), "Paper versus here").rows[-1]
    assert "0.93" in row[2]
    assert "0.11" not in row[2]


def test_losses_after_the_same_steps(page):
    rows = table(page, "The same number of steps").rows
    at_end = next(row for row in rows if row[1] == "0.1" and float(row[2]) > 900)
    assert float(at_end[3].split()[0]) > 3
    assert float(at_end[4].split()[0]) < 1.2
    assert rows[-1][3:] == ("none", "none")  # rate 1, after seeds diverged


@pytest.mark.slow
def test_a_sweep_in_progress_is_marked_partial(data):
    data = data.sel(learning_rate=[0.1])
    half = rescaling_page(without(data, data["eps_scaling"] == "torch"), **MADE)
    assert half.lead.startswith("Partial results")
    assert {row[-1] for row in table(half, "Steps to a loss").rows} == {"unfitted"}
    assert "(partial results)" in half.subtitle
    none = rescaling_page(without(data, data["seed"] < 0), **MADE)
    assert none.lead.endswith("No run has finished yet.")
    assert rescaling_page(data, pending=True, **MADE).lead.startswith("Partial results")


@pytest.mark.slow
def test_conditions_are_counted_and_a_split_is_named(data):
    two = xr.concat([data, sweep(0.4, 0.4)], xr.Variable("init", ["a", "b"]))
    page = rescaling_page(two.sel(learning_rate=[0.1]), **MADE)
    assert "init = a" in page.lead
    assert "init = b" not in page.lead
    assert page.lead.endswith("eps 1, structural 1.")


def test_verdicts_that_depend_on_the_loss_are_named(data):
    late = data["loss"].where(data["loss"] > 0.2, data["loss"].isel(eps_scaling=1, drop=True))
    mixed = data.assign(loss=late.transpose(*data["loss"].dims)).sel(learning_rate=[0.01])
    page = rescaling_page(mixed, **MADE)
    verdicts = {row[-1] for row in table(page, "Steps to a loss").rows}
    assert len(verdicts) > 1
    text = next(part.text for part in page.sections if part.heading == "Steps to a loss")
    assert "rate 0.01 the verdict depends" in text


def test_a_missing_variable_is_a_clear_error(data):
    with pytest.raises(ValueError, match="'accuracy_decision'"):
        rescaling_page(data.drop_vars("accuracy_decision"), **MADE)
    with pytest.raises(ValueError, match="no 'torch'"):
        rescaling_page(data.isel(eps_scaling=[1]), **MADE)


def test_the_papers_arm_alone_makes_a_page(data):
    page = rescaling_page(data.sel(eps_scaling=["torch"]), **MADE)
    text = render_markdown(page)
    assert "larger networks learn more slowly" in page.lead and "difference" not in page.lead
    exponents = table(page, "Steps to a loss")
    assert {row[-1] for row in exponents.rows} == {"slower", "unfitted"}
    assert all(len(row) == len(exponents.columns) == 7 for row in exponents.rows)
    assert "eps scaled" not in text.split("## How this page was made")[0]
    assert "both arms" not in text
    assert " nan" not in text.lower()


def test_the_main_target_has_an_interval_if_one_has():
    fit = xr.Dataset(
        {
            "points_used": (("target", "eps_scaling"), [[3, 3], [3, 3], [2, 2]]),
            "verdict": ("target", ["eps", "unfitted", "unfitted"]),
        },
        {"target": [0.3, 0.1, 0.06]},
    )
    assert float(_main_target(fit, "eps_scaling")["target"]) == 0.3
    none = fit.assign(verdict=("target", ["unfitted"] * 3))
    assert float(_main_target(none, "eps_scaling")["target"]) == 0.1
