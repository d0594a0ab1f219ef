"""Steps to the criterion against network size show the medians and exponents of the fit."""

import numpy as np
import pytest

from drawings import EMPTY, drawn, labels, legends, panels, texts, titles
from populations import sweep, without
from rnnjax.analysis import steps_scaling
from rnnjax.studies.collapse.figures import MOST_RATES, steps_to_criterion

THIRTEEN = np.round(np.geomspace(10, 10000, 13)).astype(int)


@pytest.fixture(scope="module")
def data():
    return sweep()


def points(axes):
    """The lines of points, without the entries of the legend."""
    return [line for line in axes.lines if line.get_marker() == "o" and len(line.get_xdata())]


@pytest.mark.slow
def test_points_are_the_steps_of_every_rate(data):
    figure = drawn(steps_to_criterion(data))
    assert len(titles(figure)) == 4
    axes, fit = panels(figure)[0], steps_scaling(data).isel(task=0, optimizer=0)
    learned = fit.isel(learning_rate=fit["steps"].notnull().any("hidden").values)
    found = [line.get_ydata() for line in points(axes)]
    np.testing.assert_array_equal(found, learned["steps"].transpose("learning_rate", "hidden"))
    assert len(axes.get_legend().get_texts()) == learned.sizes["learning_rate"]
    assert axes.get_xscale() == axes.get_yscale() == "log"
    handles = axes.get_legend_handles_labels()[0]
    assert [handle.get_marker() for handle in handles] == ["o"] * len(handles)
    assert len({axes.get_ylim() for axes in panels(figure)}) == 1


def test_the_legend_states_exponent_and_interval(data):
    fit = steps_scaling(data)
    fit["exponent"] = fit["exponent"] * 0 + 7
    assert any(": +7.00 [" in entry for entry in legends(steps_to_criterion(data, fit=fit)))


def test_rates_of_a_fine_grid_have_the_digits_of_the_tables():
    fine = sweep(("delayed_cue",), ("adam",), rates=10.0 ** np.arange(-3.2, -0.7, 0.2), seeds=2)
    fit = steps_scaling(fine)
    fit["exponent"] = fit["exponent"].where(np.isclose(fit["learning_rate"], 10**-1.8))
    entries = legends(steps_to_criterion(fine, fit=fit))
    assert [entry.split(":")[0] for entry in entries] == ["0.016"]


def test_a_fine_grid_without_an_exponent_is_not_called_empty():
    fine = sweep(("delayed_cue",), ("adam",), rates=10.0 ** np.arange(-3.2, -0.7, 0.2), seeds=2)
    fit = steps_scaling(fine)
    assert fit["steps"].notnull().any() and fit.sizes["learning_rate"] > MOST_RATES
    fit["exponent"] = fit["exponent"] * np.nan
    (axes,) = panels(drawn(steps_to_criterion(fine, fit=fit)))
    assert texts(axes) == ["no exponent at any rate"]


def test_an_unlabelled_sweep_is_one_panel(data):
    one = data.sel(task="delayed_cue", optimizer="adam", drop=True).assign_coords(criterion=0.75)
    figure = drawn(steps_to_criterion(one))
    assert titles(figure) == []
    assert len(points(panels(figure)[0])) == len(points(panels(steps_to_criterion(data))[0]))


def test_thirteen_sizes_are_every_second_tick():
    wide = sweep(tasks=("delayed_cue",), sizes=THIRTEEN, rates=10.0 ** np.arange(-5, 0))
    for axes in panels(drawn(steps_to_criterion(wide))):
        assert labels(axes) == [str(size) for size in THIRTEEN[::2]]


@pytest.mark.parametrize("tasks", [["delayed_cue"], []])
def test_panels_without_runs_are_labelled_empty(tasks, data):
    figure = drawn(steps_to_criterion(without(data, data["task"].isin(tasks))))
    for axes, title in zip(panels(figure), titles(figure), strict=True):
        assert (EMPTY in texts(axes)) == ("cue" not in title or not tasks), title


def test_a_missing_variable_is_named(data):
    with pytest.raises(ValueError, match="variable 'steps_to_criterion'"):
        steps_to_criterion(data[["status"]])
    with pytest.raises(ValueError, match="dimension 'hidden'"):
        steps_to_criterion(data.isel(hidden=0))
