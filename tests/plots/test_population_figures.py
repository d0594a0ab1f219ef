"""Figures of populations and of memory demand show the numbers they were given."""

import io

import numpy as np
import pytest
import xarray as xr

from rnnjax import tasks
from rnnjax.plots import answers, level_measures, threshold_curves
from rnnjax.studies.memory_demand.figures import memory_curves
from rnnjax.tasks import Trial
from trained_levels import made

GAMMAS = [{"gamma": value} for value in (0.5, 1.0, 2.0)]


def drawn(figure):
    figure.savefig(io.BytesIO(), format="png", dpi=40)
    return figure


def test_a_line_per_network_and_the_threshold():
    data = xr.concat([made(GAMMAS), made([{}], task="sine_wave")], "condition")
    figure = drawn(threshold_curves(data))
    first, second = figure.axes
    assert len(first.lines) == 3 * 4 + 1
    assert len(second.lines) == 4 + 1
    np.testing.assert_array_equal(first.lines[0].get_ydata(), data["held_out"][0, 0])
    assert set(first.lines[-1].get_ydata()) == {0.02}
    assert [text.get_text() for text in first.get_legend().get_texts()] == ["0.5", "1", "2"]
    assert second.get_legend() is None


def test_a_panel_of_diverged_networks_says_so():
    data = made([{}])
    figure = drawn(threshold_curves(data.assign(held_out=np.nan * data["held_out"])))
    assert "nothing to show yet" in [text.get_text() for text in figure.axes[0].texts]


def test_levels_show_converged_networks_mean_and_error():
    data = made(GAMMAS, missed=2)
    figure = drawn(level_measures(data, ("weight_change", "epochs")))
    dots = figure.axes[0].lines[:]
    by_level = [line.get_ydata() for line in dots if line.get_marker() == "."]
    want = data["weight_change"].values
    np.testing.assert_allclose(by_level[0], want[0])
    np.testing.assert_allclose(by_level[2], want[2, 2:])
    means = [container[0].get_ydata()[0] for container in figure.axes[0].containers]
    np.testing.assert_allclose(means[0], want[0].mean())
    with pytest.raises(ValueError, match="expected conditions that differ"):
        level_measures(made([{}]))
    with pytest.raises(ValueError, match="no variable 'rank'"):
        level_measures(data, ("rank",))


def test_answers_lie_over_their_targets():
    import jax

    task = tasks.flip_flop(2, 0.3, 9)
    trial = Trial(*(np.asarray(part) for part in task.sample(jax.random.key(0))))
    outputs = np.random.default_rng(0).normal(size=(3, 9, 2))
    figure = drawn(answers(trial, outputs, "Flip flop"))
    assert len(figure.axes) == 3
    for channel, axes in enumerate(figure.axes[1:]):
        lines = [line.get_ydata() for line in axes.lines]
        np.testing.assert_array_equal(lines, [trial.targets[:, channel], *outputs[..., channel]])


def demand():
    error = np.arange(1, 25, dtype=float).reshape(2, 2, 3, 2)
    return xr.Dataset(
        {"error": (("task", "variant", "history", "initialization"), error),
         "demand": (("task", "variant"), [[1, 3], [5, 1]]),
         "variance": (("task", "variant"), np.ones((2, 2)))},
        {"task": ["flip_flop", "sine_wave"], "variant": ["as printed", "other"],
         "history": [1, 3, 5]},
    )  # fmt: skip


def test_memory_curves_ring_the_demand():
    data = demand()
    figure = drawn(memory_curves(data))
    lines = figure.axes[0].lines
    np.testing.assert_array_equal(lines[0].get_ydata(), data["error"][0, 0].mean("initialization"))
    assert lines[1].get_xdata() == 1
    assert lines[3].get_xdata() == 3
    with pytest.raises(ValueError, match="no variable 'demand'"):
        memory_curves(data.drop_vars("demand"))
