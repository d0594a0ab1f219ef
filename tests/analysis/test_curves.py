"""Learning curves: moving averages, steps to a loss, and comparisons of sizes."""

import numpy as np
import pytest
import xarray as xr

from learning_curves import START, decay, latent, planted
from rnnjax.analysis import (
    Resampling,
    curve_distance,
    loss_ratio,
    loss_scaling,
    smoothed_loss,
    steps_to_loss,
)
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


def test_loss_ratio():
    data = planted({"torch": 0.5, "scaled": 0.0}, rates=(0.1, 1.0), noise=0, jitter=0.01)
    found = loss_ratio(data, [1000], window=20, resampling=Resampling(resamples=100)).squeeze()
    assert (found["ratio"].sel(hidden=500, learning_rate=0.1) == 1).all()
    expected = decay(1000, 20 * 10) / decay(1000, 20 * 10**0.5)
    last = found.sel(hidden=5000, learning_rate=0.1)
    np.testing.assert_allclose(last["ratio"], [expected, 1], rtol=0.03)
    assert (last["ratio_low"] < last["ratio"]).all() and (last["ratio"] < last["ratio_high"]).all()
    late = loss_ratio(data, resampling=Resampling(resamples=10))
    np.testing.assert_allclose(late["step"], [1975.5 / 16, 1975.5 / 4, 1975.5], atol=2)
    # Half of the seeds have diverged by then.
    assert late["ratio"].sel(learning_rate=1.0).isel(step=-1).isnull().all()


def test_loss_scaling_without_arms():
    found = loss_scaling(
        latent(0.3), targets=[0.1], of_blind=True, window=10, resampling=Resampling(resamples=200)
    )
    np.testing.assert_allclose(found["exponent"], 0.3, atol=0.06)
    assert (found["exponent_low"] > 0).all()
    assert (found["points_used"] == 4).all()
    absolute = loss_scaling(
        latent(0.3), targets=[0.1 * START], window=10, resampling=Resampling(resamples=20)
    )
    np.testing.assert_allclose(found["exponent"].squeeze(), absolute["exponent"].squeeze())


def test_curves_that_coincide_are_within_chance():
    same = curve_distance(latent(0.0), window=10, resampling=Resampling(resamples=300))
    assert float((same["factor"] <= same["chance"]).mean()) >= 0.75
    apart = curve_distance(latent(0.3), window=10, resampling=Resampling(resamples=300)).isel(
        step=-1
    )
    assert (apart["factor"] > apart["chance"]).all()
    expected = decay(495.5, 15 * 10**0.6) / decay(495.5, 15)
    np.testing.assert_allclose(apart["factor"].sel(learning_rate=0.1), expected, rtol=0.2)
    assert (apart["sizes"] == 4).all()


def test_curve_distance_by_hand():
    losses = np.array([[0.1, 0.1], [0.2, 0.2], [0.05, 0.0125]])[:, None, :, None]
    names = ["hidden", "learning_rate", "seed", "step"]
    data = xr.Dataset({"loss": (names, losses)}, {"hidden": [1, 2, 4], "step": [1]})
    found = curve_distance(data, [1], window=1, resampling=Resampling(resamples=50)).squeeze()
    np.testing.assert_allclose(found["factor"], 4)
    np.testing.assert_allclose(found["seed_spread"], np.log10(4) / np.sqrt(2) / np.sqrt(3))
    data["loss"][2, 0, 1] = np.nan
    one = curve_distance(data, [1], window=1, resampling=Resampling(resamples=50)).squeeze()
    np.testing.assert_allclose(one["factor"], 2)
    assert np.isnan(one["chance"])
    data["loss"][1:] = np.nan
    assert np.isnan(curve_distance(data, [1], window=1)["factor"].item())


def test_errors_name_what_is_wrong():
    data = planted({"torch": 0.4, "scaled": 0.0}, rates=(0.1,), seeds=2, total=100)
    with pytest.raises(ValueError, match="variable 'loss'"):
        steps_to_loss(data.drop_vars("loss"), 1)
    with pytest.raises(ValueError, match="window"):
        smoothed_loss(data, 0)
