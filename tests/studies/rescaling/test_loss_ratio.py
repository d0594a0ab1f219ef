"""Losses of each size over those of the smallest."""

import numpy as np
import pytest

from learning_curves import decay, planted
from rnnjax.analysis import Resampling
from rnnjax.studies.rescaling.analysis import loss_ratio


@pytest.mark.slow
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
