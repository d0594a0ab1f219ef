"""Steps to the criterion, and their power law, against values by hand."""

import numpy as np
import pytest

from populations import from_success, sweep, without
from rnnjax.analysis import Resampling, steps_scaling, steps_to_learn


def one_rate(rows, sizes):
    """A sweep of one rate: `rows` [hidden, seed] of steps, infinite for never, NaN for not run."""
    rows = np.asarray(rows, float)[:, None, :]
    data = from_success(np.where(np.isnan(rows), np.nan, 1.0), sizes, [0.01])
    data["steps_to_criterion"] = data["accuracy_decision"].copy(
        data=np.where(np.isinf(rows), np.nan, rows)
    )
    return data


def test_half_of_the_seeds_by_hand():
    rows = [
        [4, 1, 3, 2],
        [5, np.inf, 1, np.inf],
        [1, np.inf, np.inf, np.inf],
        [7, np.nan, np.nan, 9],
    ]
    steps = steps_to_learn(one_rate(rows, [1, 2, 3, 4])).values[:, 0]
    np.testing.assert_array_equal(steps, [2, 5, np.nan, 7])


def test_odd_seeds_give_the_median():
    rows = [[30, 10, 20]]
    assert steps_to_learn(one_rate(rows, [10])).item() == np.median(rows)


def test_known_exponent_and_counts():
    sizes = [10, 20, 40, 80, 160]
    rows = [[3 * size**0.5] * 4 for size in sizes]
    rows[3] = [np.inf] * 4
    law = steps_scaling(one_rate(rows, sizes), resampling=Resampling(resamples=50)).isel(
        learning_rate=0
    )
    np.testing.assert_allclose(law["exponent"], 0.5)
    np.testing.assert_allclose(10 ** law["intercept"], 3)
    np.testing.assert_allclose([law["exponent_low"], law["exponent_high"]], 0.5)
    assert (int(law["points_used"]), int(law["points_missing"])) == (4, 1)
    assert (law["hidden_min"], law["hidden_max"]) == (10, 160)


@pytest.mark.slow
def test_interval_covers_the_exponent():
    rng = np.random.default_rng(0)
    sizes = np.array([10, 18, 32, 56, 100, 178])
    inside = []
    for _ in range(50):
        rows = 20 * sizes[:, None] ** 0.4 * np.exp(rng.normal(0, 0.2, (6, 4)))
        law = steps_scaling(one_rate(rows, sizes), resampling=Resampling(resamples=300))
        inside.append(bool((law["exponent_low"] <= 0.4) & (law["exponent_high"] >= 0.4)))
    assert np.mean(inside) >= 0.88


def test_over_a_whole_sweep():
    data = sweep()
    law = steps_scaling(data, resampling=Resampling(resamples=100))
    assert set(law["exponent"].dims) == {"task", "optimizer", "learning_rate"}
    slow = law.sel(task="delayed_cue", optimizer="sgd", learning_rate=0.01, method=None)
    np.testing.assert_allclose(slow["exponent"], 0.5, atol=0.05)
    highest = law.sel(optimizer="adam").isel(learning_rate=-1)
    assert highest["exponent"].isnull().all()


def test_pending_runs_are_neither_slow_nor_missing():
    data = sweep()
    law = steps_scaling(
        without(data, data["task"] == "delayed_cue"), resampling=Resampling(resamples=20)
    )
    assert (law.sel(task="delayed_match")["points_missing"] == 0).all()
    assert law.sel(task="delayed_match")["steps"].isnull().all()


def test_errors_name_what_is_wrong():
    with pytest.raises(ValueError, match="steps_to_criterion"):
        steps_scaling(sweep().drop_vars("steps_to_criterion"))
    with pytest.raises(ValueError, match="no dimension 'hidden'"):
        steps_scaling(sweep().isel(hidden=0))
    with pytest.raises(ValueError, match="level"):
        steps_to_learn(sweep(), level=2)
    with pytest.raises(ValueError, match="^resampling: expected a Resampling"):
        steps_scaling(sweep(), resampling=500)
