"""Memory curves show the errors and demands they were given."""

import numpy as np
import pytest
import xarray as xr

from drawings import drawn, titles
from rnnjax.studies.memory_demand.figures import memory_curves


@pytest.fixture
def demand():
    error = np.arange(1, 25, dtype=float).reshape(2, 2, 3, 2)
    return xr.Dataset(
        {"error": (("task", "variant", "history", "initialization"), error),
         "demand": (("task", "variant"), [[1, 3], [5, 1]]),
         "variance": (("task", "variant"), np.ones((2, 2)))},
        {"task": ["flip_flop", "sine_wave"], "variant": ["as printed", "other"],
         "history": [1, 3, 5]},
    )  # fmt: skip


@pytest.mark.slow
def test_memory_curves_ring_the_demand(demand):
    figure = drawn(memory_curves(demand))
    assert titles(figure) == ["Flip flop", "Sine wave"]
    lines = figure.axes[0].lines
    means = demand["error"].mean("initialization")
    np.testing.assert_array_equal(lines[0].get_ydata(), means[0, 0])
    assert lines[1].get_xdata() == 1
    assert lines[3].get_xdata() == 3


def test_rings_of_one_point_all_show_and_an_unknown_demand_has_none(demand):
    demand["demand"] = demand["demand"].where(demand["task"] == "flip_flop")
    demand["demand"][0] = 3
    first, second = drawn(memory_curves(demand)).axes
    rings = [line.get_markersize() for line in first.lines if line.get_markerfacecolor() == "none"]
    assert len(set(rings)) == 2
    assert len(second.lines) == 2
    assert len({line.get_linestyle() for line in second.lines}) == 2


def test_a_missing_variable_is_named(demand):
    with pytest.raises(ValueError, match="no variable 'demand'"):
        memory_curves(demand.drop_vars("demand"))
