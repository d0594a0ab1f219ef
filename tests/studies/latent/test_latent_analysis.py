"""Learning curves of several sizes: their distance, and the growth of the steps to a loss."""

import numpy as np
import xarray as xr

from learning_curves import START, decay, latent
from rnnjax.analysis import Resampling
from rnnjax.studies.latent.analysis import curve_distance, loss_scaling


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
    assert [found[name].item() for name in ("smallest", "largest", "sizes")] == [1, 4, 3]
    data["loss"][2, 0, 1] = np.nan
    one = curve_distance(data, [1], window=1, resampling=Resampling(resamples=50)).squeeze()
    np.testing.assert_allclose(one["factor"], 2)
    assert np.isnan(one["chance"])
    data["loss"][2] = np.nan
    two = curve_distance(data, [1], window=1, resampling=Resampling(resamples=50)).squeeze()
    assert [two[name].item() for name in ("smallest", "largest", "sizes")] == [1, 2, 2]
    data["loss"][1:] = np.nan
    assert np.isnan(curve_distance(data, [1], window=1)["factor"].item())
