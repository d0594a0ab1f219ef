"""The power law of critical rates against simulated networks whose law is known."""

import numpy as np
import pytest

from populations import HALF_DECADES, SIZES, from_success, successes, sweep, thresholds, without
from rnnjax.analysis import Resampling, critical_learning_rate, power_law
from rnnjax.analysis.bisection import next_rate

QUICK = {"resampling": Resampling(resamples=200)}


def experiments(count, sizes, rates, seeds, exponent, spread, intercept=0.0, rng=None):
    """`count` populations whose true critical rate follows one power law."""
    rng = rng or np.random.default_rng(1)
    runs = [
        successes(
            thresholds(rng, sizes, seeds, exponent, intercept + rng.uniform(0, 0.5), spread), rates
        )
        for _ in range(count)
    ]
    return from_success(runs, sizes, rates, experiment=np.arange(count))


def coverage(data, exponent, resamples=400):
    law = power_law(data, resampling=Resampling(resamples=resamples))
    inside = (law["exponent_low"] <= exponent) & (exponent <= law["exponent_high"])
    return float(inside.mean()), float((law["exponent_high"] - law["exponent_low"]).median())


def test_equals_polyfit_on_the_uncensored_points():
    data = sweep()
    law, found = power_law(data, point="lower", **QUICK), critical_learning_rate(data)
    for place in ({"task": "delayed_cue"}, {"task": "delayed_match"}):
        here = {**place, "optimizer": "adam"}
        points = found.sel(here)
        used = (points["censored"] == "none").values
        slope, start = np.polyfit(
            np.log10(points["hidden"].values[used]), np.log10(points["rate"].values[used]), 1
        )
        fit = law.sel(here)
        np.testing.assert_allclose([fit["exponent"], fit["intercept"]], [slope, start], rtol=1e-10)
        assert int(fit["points_used"]) == used.sum()
        assert int(fit["points_censored"]) == (~used).sum()


def test_middle_of_equal_brackets_moves_the_intercept_alone():
    data = sweep(optimizers=("adam",))
    low, middle = power_law(data, point="lower", **QUICK), power_law(data, **QUICK)
    np.testing.assert_allclose(low["exponent"], middle["exponent"], rtol=1e-10)
    np.testing.assert_allclose(middle["intercept"] - low["intercept"], 0.25, rtol=1e-10)


@pytest.mark.parametrize("seeds", [1, 2, 3])
def test_two_seeds_give_an_interval_and_one_none(seeds):
    data = sweep(tasks=("delayed_cue",), optimizers=("adam",), seeds=seeds)
    law = power_law(data, **QUICK).squeeze()
    if seeds == 1:
        assert law["exponent"].notnull()
        assert law["exponent_low"].isnull()
        assert law["exponent_high"].isnull()
    else:
        assert law["exponent_low"] < law["exponent"] < law["exponent_high"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("exponent", "intercept", "spread"),
    [(-1.0, 0.0, 0.1), (-1.0, 0.0, 0.2), (-0.3, -0.8, 0.1), (-0.3, -0.8, 0.2)],
)
def test_coverage_on_half_decades_with_four_seeds(exponent, intercept, spread):
    data = experiments(150, SIZES, HALF_DECADES, 4, exponent, spread, intercept)
    covered, width = coverage(data, exponent)
    assert covered >= 0.9
    assert width < 1.0


@pytest.mark.slow
@pytest.mark.parametrize(("exponent", "intercept"), [(-1.0, 0.0), (-0.3, -0.8)])
def test_coverage_on_whole_decades_with_ten_seeds(exponent, intercept):
    sizes = np.round(np.geomspace(10, 10000, 13)).astype(int)
    data = experiments(100, sizes, 10.0 ** np.arange(-6, 1), 10, exponent, 0.1, intercept)
    covered, width = coverage(data, exponent)
    assert covered >= 0.9
    assert width < 0.65


def test_coverage_on_a_fine_grid_where_seeds_decide():
    rates = 10.0 ** np.arange(-4, 0.1, 0.1)
    covered, width = coverage(experiments(100, SIZES, rates, 4, -1.0, 0.2), -1.0)
    assert covered >= 0.9
    assert width < 0.65


def test_coverage_under_a_ceiling():
    data = experiments(150, SIZES, HALF_DECADES, 4, -1.0, 0.15, intercept=1.0)
    law = power_law(data, resampling=Resampling(resamples=400))
    fitted = law.where(law["exponent"].notnull() & law["exponent_low"].notnull(), drop=True)
    assert (law["points_censored"] > 0).mean() > 0.9
    inside = (fitted["exponent_low"] <= -1) & (fitted["exponent_high"] >= -1)
    assert float(inside.mean()) >= 0.9


def test_counts_and_range_of_censored_fits():
    rates = [1e-3, 1e-2, 1e-1]
    learned = {10: (1, 1, 1), 20: (1, 1, 0), 40: (1, 1, 0), 80: (1, 0, 0), 160: (0, 0, 0)}
    runs = [[[value] * 4 for value in row] for row in learned.values()]
    law = power_law(from_success(runs, list(learned), rates), **QUICK)
    assert (int(law["points_used"]), int(law["points_censored"])) == (3, 2)
    assert (law["hidden_min"], law["hidden_max"]) == (20, 80)
    slope = np.polyfit(np.log10([20, 40, 80]), [-2, -2, -3], 1)[0]
    np.testing.assert_allclose(law["exponent"], slope)


def test_too_few_points_give_nan_with_the_counts():
    data = sweep(sizes=(10, 100))
    law = power_law(data, **QUICK)
    assert law["exponent"].isnull().all()
    assert law["exponent_low"].isnull().all()
    assert law["scatter_low"].isnull().all()
    assert (law["points_used"] + law["points_censored"] == 2).all()


def test_without_runs_all_counts_are_zero():
    data = sweep()
    law = power_law(without(data, data["seed"] < 0), **QUICK)
    assert (law["points_used"] == 0).all()
    assert (law["points_censored"] == 0).all()
    assert law["exponent"].isnull().all()


def bisected(success):
    """`success` [hidden, learning_rate, seed] with NaN at rates that a bisection does not train."""
    found = np.full_like(success, np.nan)
    for full, part in zip(success, found, strict=True):
        while (index := next_rate(part.mean(-1), 0.5, 5)) is not None:
            part[index] = full[index]
    return found


@pytest.mark.slow
@pytest.mark.parametrize("exponent", [-1.0, -0.3])
def test_a_bisected_grid_gives_the_exponent_of_the_full_one(exponent):
    rng, rates = np.random.default_rng(3), 10.0 ** np.round(np.arange(-4, 0.05, 0.1), 1)
    full = [
        successes(thresholds(rng, SIZES, 4, exponent, rng.uniform(-1.0, -0.5), 0.15), rates)
        for _ in range(60)
    ]
    coords = {"experiment": np.arange(60)}
    dense = from_success(full, SIZES, rates, **coords)
    sparse = from_success([bisected(run) for run in full], SIZES, rates, **coords)
    assert sparse["accuracy_decision"].isnull().mean() > 0.7
    np.testing.assert_array_less(np.abs(dense_gap(dense, sparse)), 0.25)
    covered, width = coverage(sparse, exponent)
    assert covered >= 0.9
    assert width < 0.5


def dense_gap(dense, sparse):
    """Difference of the exponents: not 0 only where success is not monotone in the rate."""
    return (power_law(dense, **QUICK)["exponent"] - power_law(sparse, **QUICK)["exponent"]).values


def test_brackets_of_resamples_do_not_span_a_gap_in_the_grid():
    sizes, rates = [10, 20, 40, 80], [1e-6, 1e-3, 2e-3, 1e-1]
    run = [[[1, 1, 1, 1], [1, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]] for _ in sizes]
    law = power_law(from_success(run, sizes, rates), resampling=Resampling(resamples=500))
    np.testing.assert_allclose(law["exponent"], 0, atol=1e-9)
    # Uncut, brackets of 3 decades below and 1.7 above would give intervals beyond +-2.
    assert -1.5 < law["exponent_low"] < 0 < law["exponent_high"] < 1.5


def test_a_condition_alone_gives_the_same_interval():
    data = sweep()
    whole = power_law(data, **QUICK).sel(task="delayed_match", optimizer="adam")
    alone = power_law(data.sel(task=["delayed_match"], optimizer=["adam"]), **QUICK).squeeze()
    np.testing.assert_array_equal(whole["exponent_samples"], alone["exponent_samples"])


def test_the_random_seed_fixes_the_interval():
    data = sweep(optimizers=("adam",))
    assert power_law(data, **QUICK).equals(power_law(data, **QUICK))
    other = power_law(data, resampling=Resampling(resamples=200, random_seed=1))
    assert not other["exponent_samples"].equals(power_law(data, **QUICK)["exponent_samples"])


def test_errors_name_what_is_wrong():
    data = sweep()
    with pytest.raises(ValueError, match="no dimension 'hidden'"):
        power_law(data.isel(hidden=0))
    with pytest.raises(ValueError, match="point"):
        power_law(data, point="upper")
    with pytest.raises(ValueError, match="^resampling: expected a Resampling"):
        power_law(data, resampling=500)
