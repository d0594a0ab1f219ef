"""Lines, intervals and packed fits against numpy, scipy and loops."""

import chex
import numpy as np
import pytest
import xarray as xr
from scipy import stats

from rnnjax.analysis import Resampling
from rnnjax.analysis.regression import (
    Line,
    bracketed_interval,
    consistent_slopes,
    fit_conditions,
    fit_lines,
    line_summary,
    percentile_interval,
    residual_interval,
    seed_weights,
)
from rnnjax.spacing import log_rates

SIZES = np.array([10, 20, 40, 80, 160])


def test_masked_lines_equal_polyfit():
    rng = np.random.default_rng(0)
    x, y = np.arange(7.0), rng.normal(size=(5, 7))
    y[rng.random(y.shape) < 0.2] = np.nan
    lines = fit_lines(x, y)
    for row, slope, start in zip(y, *lines, strict=True):
        used = ~np.isnan(row)
        np.testing.assert_allclose([slope, start], np.polyfit(x[used], row[used], 1), rtol=1e-10)


def test_residual_interval_equals_linregress():
    x = np.array([0.0, 1, 2, 3, 4])
    y = np.array([0.1, 0.9, np.nan, 3.2, 3.9])
    used = ~np.isnan(y)
    line = stats.linregress(x[used], y[used])
    half = stats.t.ppf(0.975, 2) * line.stderr
    expected = (line.slope - half, line.slope + half)
    np.testing.assert_allclose(residual_interval(x, y, 0.95), expected)
    assert np.isnan(residual_interval(x, 2 * x, 0.95)).all()


def test_rates_of_a_grid_on_one_line_have_no_interval_from_scatter():
    x, rates = np.arange(4.0), log_rates(1e-3, 1.0, per_decade=4)[1::3]
    assert np.ptp(np.diff(np.log10(rates))) > 1e-6  # five digits
    assert np.isnan(residual_interval(x, np.log10(rates), 0.95)).all()
    off = np.log10(rates) + np.array([0.0, 0.01, 0.0, 0.0])
    assert np.isfinite(residual_interval(x, off, 0.95)).all()


def test_consistent_slopes_equal_a_search_over_lines():
    x = np.array([1.0, 1.5, 2.0, 3.0])
    low = np.array([-1.0, -1.5, -1.5, -2.5])
    high = low + 0.5
    slopes = np.linspace(-3, 1, 4001)
    # A line of given slope exists if one intercept fits all brackets.
    room = (high - slopes[:, None] * x).min(-1) - (low - slopes[:, None] * x).max(-1)
    allowed = slopes[room >= 0]
    least, most = consistent_slopes(x, low, high)
    np.testing.assert_allclose([least, most], allowed[[0, -1]], atol=2e-3)
    assert consistent_slopes(x, np.array([0.0, 5, 0, 5]), np.array([0.1, 5.1, 0.1, 5.1])) == (
        np.inf,
        -np.inf,
    )


def test_seed_weights_have_the_variance_of_a_mean():
    values = np.array([0.0, 1.0, 4.0, 9.0])
    finished = np.array([[1, 1, 1, 1], [1, 0, 1, 1], [0, 1, 0, 1], [0, 0, 1, 0]], bool)
    weights = seed_weights(np.random.default_rng(0), 20000, finished)
    np.testing.assert_allclose(weights.sum(-1), 1)
    for size, done in enumerate(finished):
        assert not weights[:, size, ~done].any()
        own, count = values[done], done.sum()
        wanted = own.var(ddof=1) / count if count > 1 else 0.0
        np.testing.assert_allclose((weights[:, size] @ values).var(), wanted, rtol=0.05)
    both = seed_weights(np.random.default_rng(0), 20000, np.ones((1, 2), bool))[:, 0]
    np.testing.assert_allclose((both @ values[:2]).var(), values[:2].var(ddof=1) / 2, rtol=0.05)


def test_weights_of_complete_sizes_do_not_depend_on_the_others():
    every = np.ones((3, 5), bool)
    fewer = every & (np.arange(3)[:, None] != 1) | (np.arange(5) < 3)
    complete, partial = (seed_weights(np.random.default_rng(1), 50, x) for x in (every, fewer))
    np.testing.assert_array_equal(partial[:, [0, 2]], complete[:, [0, 2]])
    assert not partial[:, 1, 3:].any()


def test_percentiles_need_half_of_the_samples():
    samples = np.array([1.0, 2.0, np.nan, np.nan])
    assert percentile_interval(samples, 1.0) == (1.0, 2.0)
    assert np.isnan(percentile_interval(np.array([1.0, np.nan, np.nan]), 0.95)).all()


def test_brackets_widen_the_percentiles_to_every_slope_that_fits_them():
    x, slopes = np.log10(SIZES), np.linspace(-1.1, -0.9, 201)
    low = -x - 0.2
    least, most = consistent_slopes(x, low, low + 0.4)
    assert least < -1.1 and most > -0.9
    assert bracketed_interval(slopes, x, low, low + 0.4, 0.95) == (least, most)
    narrow = bracketed_interval(slopes, x, low + 0.199, low + 0.201, 0.95)
    assert narrow == percentile_interval(slopes, 0.95)


def test_a_summary_holds_line_intervals_range_and_refits():
    y = np.log10(3.0) + 0.5 * np.log10(SIZES) + np.array([0.01, -0.02, 0.0, np.nan, 0.01])
    used = ~np.isnan(y)
    refits = Line(np.linspace(0.4, 0.6, 101), np.zeros(101))
    found = line_summary(SIZES, y, refits, 0.9)
    slope, intercept = np.polyfit(np.log10(SIZES[used]), y[used], 1)
    assert found["exponent"] == pytest.approx(slope)
    assert found["intercept"] == pytest.approx(intercept)
    assert (found["exponent_low"], found["exponent_high"]) == pytest.approx((0.41, 0.59))
    scatter = residual_interval(np.log10(SIZES), y, 0.9)
    assert (found["scatter_low"], found["scatter_high"]) == scatter
    assert (found["points_used"], found["hidden_min"], found["hidden_max"]) == (4, 10, 160)
    chex.assert_trees_all_equal(found["exponent_samples"], refits.slope)


def test_a_summary_of_too_few_points_is_nan_with_the_counts():
    y = np.array([1.0, np.nan, np.nan, 2.0, np.nan])
    found = line_summary(SIZES, y, Line(np.ones(10), np.ones(10)), 0.95)
    assert (found["points_used"], found["hidden_min"], found["hidden_max"]) == (2, 10, 80)
    counts = ("points_used", "hidden_min", "hidden_max")
    assert all(np.isnan(value).all() for name, value in found.items() if name not in counts)
    nothing = line_summary(SIZES, np.full(5, np.nan), Line(np.ones(10), np.ones(10)), 0.95)
    assert nothing["points_used"] == 0
    assert np.isnan(nothing["hidden_max"])


def test_fits_of_conditions_are_packed_by_kind():
    values = np.arange(24.0).reshape(2, 3, 4)
    data = xr.DataArray(values, dims=("task", "hidden", "seed"), coords={"task": ["a", "b"]})

    def fit(part):
        chex.assert_shape(part, (3, 4))
        return {"mean": part.mean(), "points_used": 3, "lowest": part.min(-1), "draws": part[0]}

    found = fit_conditions(
        fit,
        [data],
        [["hidden", "seed"]],
        scalars=["points_used", "mean"],
        by_size=["lowest"],
        samples=["draws"],
    )
    assert list(found) == ["points_used", "mean", "lowest", "draws"]
    assert found["points_used"].dtype == int
    assert found["mean"].dtype == float
    np.testing.assert_array_equal(found["mean"], values.mean((1, 2)))
    assert found["lowest"].dims == ("task", "hidden")
    np.testing.assert_array_equal(found["lowest"], values.min(-1))
    assert found["draws"].dims == ("task", "resample")


@pytest.mark.parametrize(
    "options", [{"resamples": 0}, {"confidence": 1}, {"confidence": 0}, {"random_seed": -1}]
)
def test_invalid_settings_are_named(options):
    with pytest.raises(ValueError, match=f"^{next(iter(options))}: "):
        Resampling(**options)


def test_generators_repeat_with_the_random_seed():
    one, same, other = (Resampling(random_seed=seed).generator().random(4) for seed in (1, 1, 2))
    chex.assert_trees_all_equal(one, same)
    assert not np.array_equal(one, other)
