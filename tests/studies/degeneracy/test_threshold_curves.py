"""The curves to the threshold show the losses they were given."""

import numpy as np
import pytest
import xarray as xr

from drawings import EMPTY, drawn, panels, texts, titles
from rnnjax.plots.style import CONDITION_COLORS
from rnnjax.studies.degeneracy.population_figures import threshold_curves

EPOCHS = np.arange(1, 7)


def held_out(tasks_and_sizes=(("flip_flop", 8), ("flip_flop", 16), ("sine_wave", 8)), seeds=4):
    """Held-out losses that reach the threshold 0.02 in the fifth epoch, the last one recorded."""
    shape = (len(tasks_and_sizes), seeds, len(EPOCHS))
    factor = 1 + 0.1 * np.arange(np.prod(shape[:2])).reshape(shape[:2])
    losses = factor[..., None] * np.geomspace(1, 0.01, len(EPOCHS))
    losses[..., -1] = np.nan
    names, sizes = zip(*tasks_and_sizes, strict=True)
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


def test_a_panel_of_diverged_networks_is_labelled_empty():
    data = held_out()
    data["held_out"][1] = np.nan
    figure = drawn(threshold_curves(data))
    assert [texts(axes) for axes in panels(figure)] == [[], [EMPTY], []]


def test_a_missing_variable_is_named():
    with pytest.raises(ValueError, match="no variable 'held_out'"):
        threshold_curves(held_out().drop_vars("held_out"))
