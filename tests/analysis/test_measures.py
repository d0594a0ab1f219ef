"""The table of measures: every entry reduces its variable as its name says."""

import numpy as np
import pytest

from compared_levels import condition
from rnnjax.analysis import MEASURES
from rnnjax.analysis.comparison import measure_estimate


@pytest.mark.parametrize("name", MEASURES)
def test_measures_by_hand(name):
    """Distances are averaged over pairs, spreads are standard deviations, others are means."""
    data = condition(np.random.default_rng(3), networks=7, missed=2)
    values = data[MEASURES[name].variable].values
    if values.ndim == 2:
        expected = np.mean([values[i, j] for i in range(5) for j in range(i)])
    elif name.endswith("_spread"):
        expected = np.std(values[:5])
    else:
        expected = np.mean(values[:5])
    np.testing.assert_allclose(measure_estimate(data, name).value, expected)


def test_a_dataset_without_distances_has_no_estimate_of_them():
    found = measure_estimate(condition(np.random.default_rng(3)).drop_dims("other"), "pif")
    assert np.isnan(found.value) and found.networks == 0


def test_networks_that_did_not_converge_have_no_part():
    data = condition(np.random.default_rng(3), networks=7, missed=2)
    changed = data.copy(deep=True)
    changed["ood_loss"][5:] = 1e9
    for name in ("ood_mean", "ood_spread"):
        assert measure_estimate(changed, name) == measure_estimate(data, name)
