"""Figures of width transfer show the losses, rates and slopes they were given."""

import numpy as np
import pytest
import xarray as xr

from drawings import EMPTY, drawn, panels, texts, titles
from populations import without
from rnnjax.analysis import Resampling, power_law
from rnnjax.plots import coordinate_check
from rnnjax.plots.style import name_condition, name_value
from rnnjax.studies.width_transfer.analysis import best_rate_scaling
from rnnjax.studies.width_transfer.figures import rates_against_width, transfer_curves
from width_sweeps import BLIND, QUARTER_DECADES, WIDTHS, Law, transfer_sweep


def legends(axes):
    return [text.get_text() for text in axes.get_legend().get_texts()]


def colored(axes, width):
    """The curves of one line width, and the positions of the markers without a line."""
    lines = [line for line in axes.lines if line.get_linewidth() == width]
    return [line for line in lines if line.get_linestyle() == "-"]


def marks(axes, marker):
    return [line for line in axes.lines if line.get_marker() == marker]


def quick_rates(data):
    best, critical = (
        best_rate_scaling(data, resampling=Resampling(resamples=20)),
        power_law(data, resampling=Resampling(resamples=20)),
    )
    return rates_against_width(data, best=best, critical=critical)


@pytest.fixture(scope="module")
def data():
    return transfer_sweep()


@pytest.fixture(scope="module")
def small(data):
    """Two rules."""
    return data.isel(cell=[1, 2])


@pytest.mark.parametrize("draw", [transfer_curves, quick_rates])
def test_before_the_first_run_every_panel_is_labelled_empty(draw, small):
    for axes in panels(drawn(draw(without(small, small["seed"] < 0)))):
        assert texts(axes) == [EMPTY]
        assert sum(len(line.get_xdata()) for line in axes.lines) == 0


def test_a_rule_without_runs_is_an_empty_panel_and_has_no_fit(small):
    half = without(small, small["cell"] == "mup_adam")
    without_runs, with_runs = panels(drawn(transfer_curves(half)))
    assert (texts(without_runs), texts(with_runs)) == ([EMPTY], [])
    assert len(colored(with_runs, 1.4)) == len(WIDTHS)
    for axes in panels(drawn(quick_rates(half))):
        without_fit, with_fit = legends(axes)
        assert without_fit == "Inverse width: no fit, 0 of 0 sizes"
        assert with_fit.startswith("muP Adam: β = ")


def test_a_sweep_without_rules_is_the_panel_of_its_rule(small):
    alone = drawn(transfer_curves(small.isel(cell=0, drop=True)))
    assert titles(alone) == []
    (axes,), (first, _) = panels(alone), panels(transfer_curves(small))
    for one, other in zip(colored(axes, 1.4), colored(first, 1.4), strict=True):
        np.testing.assert_array_equal(one.get_xdata(), other.get_xdata())
    assert len(panels(drawn(quick_rates(small.isel(cell=0, drop=True))))) == 3


@pytest.mark.slow
def test_tasks_are_rows(small):
    task = xr.Variable("task", ["delayed_cue", "flip_flop"])
    both = xr.concat([small, small], task, coords="minimal")
    tasks = [title.split(",")[0] for title in titles(drawn(transfer_curves(both)))]
    assert sorted(tasks) == ["Delayed cue", "Delayed cue", "Flip flop", "Flip flop"]
    assert len(panels(drawn(quick_rates(both)))) == 2 * 3


@pytest.mark.parametrize("draw", [transfer_curves, rates_against_width])
def test_a_missing_variable_is_a_clear_error(draw, data):
    with pytest.raises(ValueError, match="final_loss|accuracy_decision"):
        draw(data[["status"]])
    with pytest.raises(ValueError, match="dimension 'hidden'"):
        draw(data.isel(hidden=0))


def test_one_panel_per_rule_on_common_axes(data):
    figure = drawn(transfer_curves(data))
    assert titles(figure) == ["Standard", "Inverse width", "muP Adam", "Latent"]
    assert len({axes.get_xlim() for axes in figure.axes}) == 1
    assert len({axes.get_ylim() for axes in figure.axes}) == 1
    keys = [text.get_text() for text in figure.legends[0].get_texts()]
    assert keys[:5] == [f"N = {size}" for size in WIDTHS]


def test_a_curve_is_the_median_over_seeds(data):
    axes = transfer_curves(data).axes[0]
    curves = colored(axes, 1.4)
    assert len(curves) == 5
    for curve, size in zip(curves, WIDTHS, strict=True):
        loss = data["final_loss"].sel(cell="standard", hidden=size)
        np.testing.assert_allclose(curve.get_ydata(), loss.median("seed"))
    (blind,) = [line for line in axes.lines if line.get_linestyle() == ":"]
    np.testing.assert_allclose(blind.get_ydata(), BLIND)


@pytest.mark.slow
def test_circles_are_the_best_rates_and_open_where_they_fail(data):
    failed = data.copy(deep=True)
    failed["accuracy_decision"][{"cell": 0, "hidden": 1}] = 0.5
    circles = marks(transfer_curves(failed).axes[0], "o")
    best = best_rate_scaling(failed, resampling=Resampling(resamples=2))["rate"].sel(
        cell="standard"
    )
    np.testing.assert_array_equal([line.get_xdata().item() for line in circles], best)
    losses = failed["final_loss"].sel(cell="standard").mean("seed").min("learning_rate")
    np.testing.assert_allclose([line.get_ydata().item() for line in circles], losses)
    hollow = [line.get_markerfacecolor() == "white" for line in circles]
    assert hollow == [False, True, False, False, False]


def test_diverged_seeds_leave_the_top_and_are_marked(data):
    one = data.sel(cell=["mup_adam"], hidden=[32]).copy(deep=True)
    for place, seeds in ((-1, 6), (-2, 2)):
        at = {"learning_rate": place, "seed": slice(0, seeds)}
        one["final_loss"][at], one["status"][at] = np.nan, 3
    axes = transfer_curves(one).axes[0]
    some, most = marks(axes, "^")
    np.testing.assert_allclose(some.get_xdata(), QUARTER_DECADES[-2])
    np.testing.assert_allclose(most.get_xdata(), QUARTER_DECADES[-1])
    assert some.get_markerfacecolor() == "none" != most.get_markerfacecolor()
    top = axes.get_ylim()[1]
    np.testing.assert_allclose([some.get_ydata(), most.get_ydata()], top)
    (curve,) = colored(axes, 1.4)
    assert curve.get_ydata()[-1] > top > curve.get_ydata()[-2]
    assert not marks(transfer_curves(data.sel(cell=["latent"])).axes[0], "^")


@pytest.mark.slow
def test_an_exploded_loss_does_not_set_the_axis(data):
    wild = data.copy(deep=True)
    wild["final_loss"][{"cell": 0, "learning_rate": -1}] = 1e9
    assert transfer_curves(wild).axes[0].get_ylim()[1] < 20 * BLIND
    lucky = data.copy(deep=True)
    lucky["final_loss"][{"cell": 0, "hidden": 0, "learning_rate": 3, "seed": 0}] = 1e-12
    assert transfer_curves(lucky).axes[0].get_ylim()[0] > 1e-6


def test_rates_that_were_not_run_do_not_stretch_the_axis(small):
    few = without(small, small["learning_rate"] >= QUARTER_DECADES[4])
    low, high = transfer_curves(few).axes[0].get_xlim()
    assert QUARTER_DECADES[3] < low < QUARTER_DECADES[4]
    assert high > QUARTER_DECADES[-1]


@pytest.mark.slow
def test_every_rate_has_a_line_per_rule(data):
    figure = drawn(rates_against_width(data))
    assert titles(figure) == ["Best rate", "Critical rate", "Critical rate, to first failure"]
    for axes in figure.axes:
        assert [text.split(":")[0] for text in legends(axes)] == [
            "Standard",
            "Inverse width",
            "muP Adam",
            "Latent",
        ]
    assert figure.axes[0].get_ylim() == figure.axes[1].get_ylim()


@pytest.mark.slow
def test_given_fits_are_used(data):
    best, critical = (
        best_rate_scaling(data, resampling=Resampling(resamples=20)),
        power_law(data, resampling=Resampling(resamples=20)),
    )
    best["exponent"], critical["exponent"] = best["exponent"] * 0 + 7, critical["exponent"] * 0 - 3
    figure = rates_against_width(data, best=best, critical=critical, first=critical + 1)
    for axes, slope in zip(figure.axes, ("+7.00", "-3.00", "-2.00"), strict=True):
        assert all(f"β = {slope}" in text for text in legends(axes))


def test_points_are_the_best_rates_and_censored_ones_are_arrows():
    made = transfer_sweep({"rule": Law(0.5, -1.0, room=5.0, wander=0.0)}, noise=0.0)
    axes = quick_rates(made).axes[0]
    found = best_rate_scaling(made, resampling=Resampling(resamples=2)).isel(cell=0)
    inside = found["censored"].values == "none"
    (points,) = [line for line in marks(axes, "o") if len(line.get_xdata())]
    np.testing.assert_allclose(points.get_ydata(), found["rate"].values[inside])
    (arrows,) = marks(axes, "^")
    np.testing.assert_allclose(arrows.get_xdata(), found["hidden"].values[~inside])
    assert legends(axes)[0].endswith(f"{inside.sum()} of 5 sizes")


def test_sizes_that_do_not_train_count_as_run(data):
    failed = data.copy(deep=True)
    failed["accuracy_decision"][{"cell": 0, "hidden": 4}] = 0.5
    best, critical, _ = quick_rates(failed).axes
    assert legends(best)[0].endswith("4 of 5 sizes")
    assert legends(best)[2].endswith("5 of 5 sizes")
    assert legends(critical)[0].endswith("4 of 5 sizes")


def checked(slopes, seeds=4, steps=5):
    """A coordinate check of rules with the given slopes of every variable, over `cell`."""
    sizes = np.array([32, 64, 128, 256, 512])
    rng = np.random.default_rng(0)
    noise = rng.uniform(0.9, 1.1, (len(slopes), len(sizes), seeds, 1))
    size = (sizes / 64.0) ** np.array(list(slopes.values()))[:, None]
    grown = size[:, :, None, None] * noise * np.arange(steps + 1)
    variables = {}
    for name in ("activation", "activation_change", "output_change"):
        values = grown * 0 + 0.3 * noise if name == "activation" else grown
        fitted = np.polyfit(np.log10(sizes), np.log10(values[..., -1]).mean(-1).T, 1)[0]
        variables[name] = (("cell", "hidden", "seed", "step"), values)
        variables[f"{name}_slope"] = ("cell", fitted)
        variables[f"{name}_slope_error"] = ("cell", np.full(len(slopes), 0.03))
    coords = {"cell": list(slopes), "hidden": sizes, "seed": range(seeds), "step": range(steps + 1)}
    return xr.Dataset(variables, coords)


@pytest.fixture(scope="module")
def check():
    return checked({"standard": 0.5, "mup": 0.0})


def test_coordinate_check_has_a_line_per_rule_and_step(check):
    figure = drawn(coordinate_check(check))
    assert titles(figure) == ["Activation", "Change of activation", "Change of output"]
    activation, change, _ = figure.axes
    # Changes are zero before the first step and have no place on logarithmic axes.
    assert (len(activation.lines), len(change.lines)) == (2 * 6, 2 * 5)
    last = [line for line in change.lines if line.get_linewidth() == 1.6]
    expected = 10 ** np.log10(check["activation_change"].isel(step=-1)).mean("seed")
    for line, cell in zip(last, check["cell"].values, strict=True):
        np.testing.assert_allclose(line.get_ydata(), expected.sel(cell=cell))
    slope = float(check["activation_change_slope"][0])
    assert legends(change)[0] == f"Standard: slope {slope:+.2f} ± 0.03"


def test_coordinate_check_without_a_rule(check):
    figure = drawn(coordinate_check(check.isel(cell=0, drop=True)))
    assert legends(figure.axes[0])[0].startswith("slope ")


def test_coordinate_check_with_one_seed_has_no_error(check):
    single = check.isel(seed=[0])
    single["activation_slope_error"] = single["activation_slope_error"] * np.nan
    assert "±" not in legends(drawn(coordinate_check(single)).axes[0])[0]


def test_coordinate_check_leaves_out_what_is_not_finite(check):
    broken = check.copy(deep=True)
    broken["output_change"][{"cell": 0, "hidden": 4}] = np.inf
    broken["activation_change"][{"cell": 1}] = np.nan
    figure = drawn(coordinate_check(broken))
    thick = [[line for line in axes.lines if line.get_linewidth() == 1.6] for axes in figure.axes]
    assert [len(lines) for lines in thick] == [2, 1, 2]
    assert len(thick[2][0].get_xdata()) == 4
    one = check.copy(deep=True)
    one["output_change"][{"cell": 1, "hidden": 2, "seed": 0, "step": -1}] = np.nan
    seeds = check.sizes["seed"]
    standard, mup = legends(drawn(coordinate_check(one)).axes[2])
    assert f"1 of {seeds}" in mup and "without" not in standard
    diverged = check.copy(deep=True)
    diverged["output_change"][{"cell": 0, "step": -1}] = np.inf
    diverged["output_change_slope"][0] = np.nan
    axes = drawn(coordinate_check(diverged)).axes[2]
    thick, _ = (line for line in axes.lines if line.get_linewidth() == 1.6)
    assert (len(thick.get_xdata()), len(axes.lines)) == (0, 2 * 5)
    assert legends(axes)[0] == "Standard: no slope"
    nothing = check.copy(deep=True)
    for name in ("activation", "activation_change", "output_change"):
        nothing[name][:] = np.nan
    finite = [
        np.isfinite(line.get_ydata()).any()
        for axes in drawn(coordinate_check(nothing)).axes
        for line in axes.lines
    ]
    assert not any(finite)


def test_a_small_variation_spans_little_of_the_axis(check):
    low, high = coordinate_check(check).axes[0].get_ylim()
    assert high / low >= 9.99


def test_coordinate_check_names_what_is_missing(check):
    with pytest.raises(ValueError, match="activation_slope"):
        coordinate_check(check.drop_vars("activation_slope"))


def test_rules_are_named_for_readers():
    names = ["mup", "mup_adam", "inverse_width", "gru", "standard", "delayed_cue"]
    assert [name_value(name) for name in names] == [
        "muP",
        "muP Adam",
        "Inverse width",
        "GRU",
        "Standard",
        "Delayed cue",
    ]
    labels = {"cell": "mup_sgd", "optimizer": "sgd", "task": "delayed_cue", "init": "xavier"}
    assert name_condition(labels) == "Delayed cue, muP SGD, SGD, init = xavier"


@pytest.mark.slow
def test_legends_keep_clear_of_the_panels_below(data):
    task = xr.Variable("task", ["delayed_cue", "flip_flop"])
    figure = drawn(quick_rates(xr.concat([data, data], task, coords="minimal")))
    upper, lower = figure.axes[0], figure.axes[3]
    assert titles(figure)[3] == "Flip flop: best rate"
    assert upper.get_legend().get_window_extent().y0 > lower.get_tightbbox().y1
