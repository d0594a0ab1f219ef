"""The table of measures: every entry reduces its variable as its name says."""

import numpy as np
import pytest
import xarray as xr

from compared_levels import comparison, condition
from rnnjax.analysis import MEASURES
from rnnjax.analysis.comparison import (
    at_shared_places,
    measure_estimate,
    measure_pooled,
    measure_trend,
)


@pytest.mark.parametrize("name", MEASURES)
def test_measures_by_hand(name):
    """Distances are averaged over pairs, spreads are standard deviations, others are means."""
    data = condition(np.random.default_rng(3), networks=7, missed=2)
    values = data[MEASURES[name].variable].values
    if values.ndim == 4:  # a chart, one of whose four places is beyond the bound
        values = (values[0, 0] + values[0, 1] + values[1, 0]) / 3
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


def test_charts_are_averaged_over_the_places_that_all_levels_share():
    first, second = comparison().data, comparison((3.0, 1.0, 2.0)).data
    lacking = first[1].copy(deep=True)
    lacking["dsa_chart"][0, 1] = np.nan
    lost = xr.full_like(first[1]["dsa_chart"], np.nan)  # of a level of which none converged
    levels = [first[0], lacking, first[2], first[1].assign(dsa_chart=lost)]

    def by_hand(data):
        chart = data["dsa_chart"]
        return data.assign(dsa=(chart[0, 0] + chart[1, 0]) / 2)

    given, expected = at_shared_places(levels), [by_hand(d) for d in levels]
    for one, other in zip(given, expected, strict=True):
        want = measure_estimate(other, "dsa")
        np.testing.assert_allclose(measure_estimate(one, "dsa_chart"), want, equal_nan=True)
    for measured, want in (
        (measure_trend(levels, "dsa_chart"), measure_trend(expected, "dsa")),
        (
            measure_pooled([levels, second], "dsa_chart").trend,
            measure_pooled([expected, [by_hand(d) for d in second]], "dsa").trend,
        ),
    ):
        assert (measured.verdict, measured.networks) == (want.verdict, want.networks)
        np.testing.assert_allclose(measured.relative, want.relative)
        np.testing.assert_allclose(measured.p, want.p)
    # One network has no distance, so that the places it lacks do not count.
    alone = lacking.isel(seed=[0], other=[0])
    for one, other in zip(at_shared_places([*first, alone]), first, strict=False):
        assert measure_estimate(one, "dsa_chart") == measure_estimate(other, "dsa_chart")
    plain = [d.drop_vars("dsa_chart") for d in first]
    assert measure_trend(plain, "dsa_chart").verdict == "too few networks"
    with pytest.raises(ValueError, match="^datasets: expected charts over the same"):
        measure_trend([first[0], first[1].assign_coords(delay=[1, 3])], "dsa_chart")
