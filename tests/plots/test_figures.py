"""Figures of sweeps: critical rates, loss curves and success maps."""

from pathlib import Path

import numpy as np
import pytest

import rnnjax.plots
from drawings import EMPTY, drawn, labels, legends, panels, texts, titles
from populations import sweep, without
from rnnjax.analysis import (
    Resampling,
    best_learning_rates,
    critical_learning_rate,
    power_law,
    success_density,
)
from rnnjax.plots import critical_rates, loss_curves, success_maps

FIGURES = (critical_rates, loss_curves, success_maps)
THIRTEEN = np.round(np.geomspace(10, 10000, 13)).astype(int)


@pytest.fixture(scope="module")
def data():
    return sweep()


def test_critical_rates_lie_within_their_brackets(data):
    first, second = panels(drawn(critical_rates(data)))
    assert first.get_ylim() == second.get_ylim()
    assert first.get_xscale() == first.get_yscale() == "log"
    for axes, task in ((first, "delayed_cue"), (second, "delayed_match")):
        assert len(axes.containers) == 2  # an optimizer each
        for bars, optimizer in zip(axes.containers, ("adam", "sgd"), strict=True):
            found = critical_learning_rate(data.sel(task=task, optimizer=optimizer))
            found = found.isel(hidden=(found["censored"] == "none").values)
            middle = np.sqrt(found["lower"] * found["upper"])
            np.testing.assert_allclose(bars[0].get_ydata(), middle)


def test_a_size_that_trained_at_no_rate_is_a_cross_that_does_not_stretch_the_axis(data):
    one = data.sel(task=["delayed_cue"], optimizer=["adam"])
    failed = one.copy(deep=True)
    failed["accuracy_decision"][:, :, 0] = 0.5
    law = power_law(failed, resampling=Resampling(resamples=20))
    (axes,) = panels(drawn(critical_rates(failed, fit=law)))
    cross, _ = (line for line in axes.lines if line.get_marker() == "x")
    np.testing.assert_allclose(cross.get_xdata(), data["hidden"][:1])
    bottom = axes.transAxes.inverted().transform(
        cross.get_transform().transform(cross.get_xydata())
    )
    assert 0 < bottom[0, 1] < 0.1
    critical = critical_learning_rate(one)["lower"].values[..., 1:]
    assert axes.get_ylim()[0] > critical.min() / 3 > float(one["learning_rate"].min())
    assert not [line for line in axes.lines if line.get_marker() == "v"]
    assert legends(axes.figure)[-1] == "trained at no rate tried"


def test_without_a_rate_in_any_panel_the_axis_of_rates_is_blank(data):
    failed = data.sel(optimizer=["adam"]).copy(deep=True)
    failed["accuracy_decision"][:] = 0.5
    law = power_law(failed, resampling=Resampling(resamples=20))
    for axes in panels(drawn(critical_rates(failed, fit=law))):
        assert labels(axes, "y") == []


def test_long_entries_of_a_legend_stay_within_their_panel(data):
    small = data.isel(task=[0, 1], optimizer=[0]).expand_dims(init=["orthogonal_with_a_long_name"])
    law = power_law(small, resampling=Resampling(resamples=20))
    figure = drawn(critical_rates(small, fit=law))
    middle = figure.get_window_extent().width / 2
    first, second = (axes.get_legend().get_window_extent() for axes in panels(figure))
    assert first.x1 < middle and second.x1 < 2 * middle
    assert second.y0 > 0


def test_loss_curves_are_means_over_seeds_at_the_best_rates(data):
    best = best_learning_rates(data)
    figure = drawn(loss_curves(data))
    for axes, title in zip(panels(figure), titles(figure), strict=True):
        assert len(axes.lines) == len(axes.collections) == data.sizes["hidden"]
        task = "delayed_cue" if "cue" in title else "delayed_match"
        here = {"task": task, "optimizer": "adam" if "Adam" in title else "sgd"}
        rate = float(best["rate"].sel(here).isel(hidden=0))
        curve = data["loss"].sel(here).isel(hidden=0).sel(learning_rate=rate).mean("seed")
        line = axes.lines[0]
        np.testing.assert_allclose(line.get_ydata()[0], curve[0], rtol=1e-5)
        assert line.get_xdata()[0] == data["step"][0]
        assert line.get_ydata()[-1] < line.get_ydata()[0]
    assert len({(axes.get_xlim(), axes.get_ylim()) for axes in panels(figure)}) == 1


@pytest.mark.slow
def test_maps_keep_the_densities_and_mark_the_critical_rates(data):
    axes = panels(drawn(success_maps(data)))[0]
    here = {"task": "delayed_cue", "optimizer": "adam"}
    want = success_density(data.sel(here)).transpose("learning_rate", "hidden")
    np.testing.assert_array_equal(axes.get_images()[0].get_array(), want)
    rates = critical_learning_rate(data.sel(here))["rate"].values
    rows = [np.flatnonzero(data["learning_rate"] == rate)[0] for rate in rates]
    assert [line.get_ydata()[0] for line in axes.lines] == [row + 0.5 for row in rows]


@pytest.mark.parametrize("draw", FIGURES)
def test_one_condition_is_one_panel_without_a_title(draw, data):
    one = data.sel(task="delayed_cue", optimizer="adam", drop=True).assign_coords(criterion=0.75)
    figure = drawn(draw(one))
    (axes,) = panels(figure)
    assert titles(figure) == []
    same = panels(draw(data.sel(task=["delayed_cue"], optimizer=["adam"])))[0]
    assert len(axes.lines) == len(same.lines) > 0
    for line, other in zip(axes.lines, same.lines, strict=True):
        np.testing.assert_array_equal(line.get_xydata(), other.get_xydata())


@pytest.fixture(scope="module")
def wide():
    return sweep(tasks=("delayed_cue",), sizes=THIRTEEN, rates=10.0 ** np.arange(-5, 0))


def test_thirteen_sizes_are_every_second_tick_of_a_log_axis(wide):
    (axes,) = panels(drawn(critical_rates(wide)))
    assert labels(axes) == [str(size) for size in THIRTEEN[::2]]
    assert axes.get_xlim()[0] < 10 < 10000 < axes.get_xlim()[1]


@pytest.mark.slow
def test_thirteen_sizes_have_a_curve_and_a_column_each(wide):
    for axes in panels(drawn(loss_curves(wide))):
        named = [text.get_text().split(":")[0] for text in axes.get_legend().get_texts()]
        assert named == [str(size) for size in THIRTEEN]
    for axes in panels(drawn(success_maps(wide))):
        assert labels(axes) == [str(size) for size in THIRTEEN]
        assert axes.get_images()[0].get_array().shape == (5, 13)


@pytest.mark.parametrize("draw", [critical_rates, loss_curves])
@pytest.mark.parametrize("tasks", [["delayed_cue"], []])
def test_panels_without_runs_are_labelled_empty(draw, tasks, data):
    figure = drawn(draw(without(data, data["task"].isin(tasks))))
    for axes, title in zip(panels(figure), titles(figure), strict=True):
        assert (EMPTY in texts(axes)) == ("cue" not in title or not tasks), title


@pytest.mark.parametrize("tasks", [["delayed_cue"], []])
def test_rates_that_were_not_run_stay_hatched(tasks, data):
    figure = drawn(success_maps(without(data, data["task"].isin(tasks))))
    for axes, title in zip(panels(figure), titles(figure), strict=True):
        run = "cue" in title and tasks
        assert np.ma.getmaskarray(axes.get_images()[0].get_array()).all() == (not run)
        assert axes.patches[0].get_hatch() == "////"
    assert "not run" in [text.get_text() for text in figure.legends[0].get_texts()]


@pytest.mark.slow
def test_an_extra_dimension_is_a_condition(data):
    small = data.isel(task=[0], optimizer=[0]).expand_dims(init=["gaussian", "xavier"])
    assert titles(success_maps(small))[1] == "Delayed cue, Adam, init = xavier"
    assert any(text.startswith("Adam, init = xavier: β") for text in legends(critical_rates(small)))


@pytest.mark.parametrize("draw", FIGURES)
def test_a_missing_variable_is_a_clear_error(draw, data):
    with pytest.raises(ValueError, match=r"no variable|no dimension"):
        draw(data[["status"]])
    with pytest.raises(ValueError, match="dimension 'hidden'"):
        draw(data.isel(hidden=0))


def test_a_sweep_without_tasks_is_a_clear_error(data):
    with pytest.raises(ValueError, match="^dataset: .* got none along task"):
        success_maps(data.isel(task=[]))


def test_panels_are_named_task_by_task(data):
    assert titles(success_maps(data)) == [
        "Delayed cue, Adam",
        "Delayed match, Adam",
        "Delayed cue, SGD",
        "Delayed match, SGD",
    ]
    assert titles(critical_rates(data)) == ["Delayed cue", "Delayed match"]


def test_critical_rates_state_exponent_interval_and_points(data):
    entries = legends(critical_rates(data))
    assert any(entry.startswith("Adam: β = -") and "of 6 sizes" in entry for entry in entries)


def test_curves_name_size_and_rate_and_mark_failures(data):
    failed = data.sel(task=["delayed_cue"], optimizer=["adam"]).copy(deep=True)
    failed["accuracy_decision"][:, :, 0] = 0.5
    figure = loss_curves(failed)
    entries = legends(figure)
    assert entries[0].startswith("10: ")
    marked = [entry.endswith("(failed)") for entry in entries]
    assert marked == [True] + [False] * 5
    assert [line.get_linestyle() == ":" for line in panels(figure)[0].lines] == marked


def test_a_given_fit_is_used(data):
    law = power_law(data, resampling=Resampling(resamples=50))
    law["exponent"] = law["exponent"] * 0 + 7
    assert any("β = +7.00" in text for text in legends(critical_rates(data, fit=law)))


def test_pyplot_is_left_alone():
    sources = Path(rnnjax.plots.__file__).parent.glob("*.py")
    assert not [path.name for path in sources if "matplotlib.pyplot" in path.read_text()]
