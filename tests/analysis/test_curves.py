"""Learning curves: moving averages and steps to a loss."""

import numpy as np
import pytest
import xarray as xr

from learning_curves import START, decay, planted
from rnnjax.analysis import smoothed_loss, steps_to_loss
from rnnjax.sweep.results import recorded_steps, thinned


def curve(losses, steps=None):
    """One run whose loss at every step is given, recorded at `steps`."""
    losses = np.asarray(losses, float)
    steps = np.arange(1, len(losses) + 1) if steps is None else np.asarray(steps)
    return xr.Dataset({"loss": ("step", thinned(losses[None], steps)[0])}, {"step": steps})


def test_moving_average_by_hand():
    found = smoothed_loss(curve([9, 8, 7, 6, 2, 4, 5, 7, 3, 2, 1, 6, 9]), window=3)
    np.testing.assert_allclose(found, [9, 8, 7, 6, 4, 3, 4.5, 6, 5, 4, 2, 3, 16 / 3])
    np.testing.assert_allclose(found["step"], [1, 2, 3, 4, 4.5, 5.5, 6.5, 7.5, 8, 9, 10, 11, 12])


@pytest.mark.parametrize("steps", [recorded_steps(200, 40), [5, 10, 15, 60, 130, 200]])
def test_thinned_losses_are_averaged_as_if_constant_in_between(steps):
    data = curve(np.random.default_rng(0).random(200), steps)
    every = np.repeat(data["loss"].values, np.diff(steps, prepend=0))
    found = smoothed_loss(data, window=20)
    for step, before, middle, value in zip(
        steps, [0, *steps[:-1]], found["step"].values, found.values, strict=True
    ):
        length = max(min(20, -(-step // 4)), step - before)
        assert middle == step - (length - 1) / 2
        np.testing.assert_allclose(value, every[step - length : step].mean(), rtol=1e-5)


def test_a_huge_or_missing_loss_leaves_its_window():
    found = smoothed_loss(curve([1, 1, 1, 1, 1, 1e30, np.nan, 1, 1]), window=2)
    np.testing.assert_allclose(found, [1, 1, 1, 1, 1, 5e29, np.nan, np.nan, 1])


def test_steps_to_loss_of_a_known_curve():
    every = decay(np.arange(1, 1001), 30.0)
    exact = 30 * (np.sqrt(START / 0.06) - 1)
    for points in (1000, 125):
        data = curve(every, recorded_steps(1000, points))
        np.testing.assert_allclose(steps_to_loss(data, 0.06), exact, rtol=0.03)


def test_the_window_does_not_flatten_the_growth_of_few_steps():
    found = [float(steps_to_loss(curve(decay(np.arange(1, 401), tau)), 0.1)) for tau in (10, 40)]
    np.testing.assert_allclose(found, [20, 80], rtol=0.05)


def test_steps_to_loss_interpolates_and_censors():
    data = curve([4, 3, 1, 2, 0.5])
    assert steps_to_loss(data, 2, window=1) == 2.5
    assert steps_to_loss(data, 5, window=1) == 1
    assert np.isnan(steps_to_loss(data, 0.5, window=1))
    broken = curve([4, np.nan, 1])
    assert steps_to_loss(broken, 2, window=1) == 3


def test_errors_name_what_is_wrong():
    data = planted({"torch": 0.4, "scaled": 0.0}, rates=(0.1,), seeds=2, total=100)
    with pytest.raises(ValueError, match="variable 'loss'"):
        steps_to_loss(data.drop_vars("loss"), 1)
    for wrong in (np.nan, -1.0, "x", data["blind_loss"] - 1e9):
        with pytest.raises(ValueError, match="^loss: expected"):
            steps_to_loss(data, wrong)
    with pytest.raises(ValueError, match="window"):
        smoothed_loss(data, 0)
