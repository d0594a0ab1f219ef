"""The figures of the population study show the numbers they were given."""

import jax
import numpy as np
import pytest
import xarray as xr

from drawings import EMPTY, drawn, panels, texts, titles
from rnnjax import tasks
from rnnjax.plots.style import CONDITION_COLORS
from rnnjax.studies.degeneracy.population_figures import answers, threshold_curves
from rnnjax.tasks import Trial

EPOCHS = np.arange(1, 7)


def held_out(conditions=(("flip_flop", 8), ("flip_flop", 16), ("sine_wave", 8)), seeds=4):
    """Held-out losses that reach the threshold 0.02 in the fifth epoch, the last one recorded."""
    shape = (len(conditions), seeds, len(EPOCHS))
    factor = 1 + 0.1 * np.arange(np.prod(shape[:2])).reshape(shape[:2])
    losses = factor[..., None] * np.geomspace(1, 0.01, len(EPOCHS))
    losses[..., -1] = np.nan
    names, sizes = zip(*conditions, strict=True)
    return xr.Dataset(
        {"held_out": (("condition", "seed", "epoch"), losses)},
        {
            "task": ("condition", list(names)),
            "hidden": ("condition", list(sizes)),
            "threshold": ("condition", [0.02] * len(names)),
            "seed": np.arange(seeds),
            "epoch": EPOCHS,
        },
    )


def test_a_panel_per_condition_a_line_per_network_and_the_threshold():
    data = held_out()
    figure = drawn(threshold_curves(data))
    assert titles(figure) == ["Flip flop, N = 8", "Flip flop, N = 16", "Sine wave, N = 8"]
    for number, axes in enumerate(panels(figure)):
        *networks, threshold = axes.lines
        values = [line.get_ydata() for line in networks]
        np.testing.assert_array_equal(values, data["held_out"][number])
        assert {line.get_color() for line in networks} == {CONDITION_COLORS[0]}
        assert set(threshold.get_ydata()) == {0.02}
        assert threshold.get_linestyle() == "--"
        assert axes.get_xlim() == (0, 6)  # one epoch beyond the last one with a loss
        assert axes.get_yscale() == "log"
        assert all(float(tick).is_integer() for tick in axes.get_xticks())
    first, second, other = (axes.get_ylim() for axes in panels(figure))
    assert first == second != other  # those of one task


def test_a_panel_of_diverged_networks_is_labelled_empty():
    data = held_out()
    data["held_out"][1] = np.nan
    figure = drawn(threshold_curves(data))
    assert [texts(axes) for axes in panels(figure)] == [[], [EMPTY], []]


def test_a_missing_variable_is_named():
    with pytest.raises(ValueError, match="no variable 'held_out'"):
        threshold_curves(held_out().drop_vars("held_out"))


@pytest.mark.slow
def test_answers_lie_over_their_targets():
    task = tasks.flip_flop(2, 0.3, 9)
    trial = Trial(*(np.asarray(part) for part in task.sample(jax.random.key(0))))
    outputs = np.random.default_rng(0).normal(size=(3, 9, 2))
    inputs, *others = panels(drawn(answers(trial, outputs, "Flip flop")))
    np.testing.assert_array_equal([line.get_ydata() for line in inputs.lines], trial.inputs.T)
    assert len(others) == 2
    for channel, axes in enumerate(others):
        lines = [line.get_ydata() for line in axes.lines]
        np.testing.assert_array_equal(lines, [trial.targets[:, channel], *outputs[..., channel]])
        assert axes.lines[0].get_color() == "black"
        assert {line.get_drawstyle() for line in axes.lines} == {"steps-mid"}
        assert axes.get_ylabel() == f"output {channel + 1}"
