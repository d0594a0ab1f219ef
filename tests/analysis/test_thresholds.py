"""The model of the seeds' thresholds against slow likelihoods and sweeps of known exponent."""

import numpy as np
import pytest
from scipy import special

from populations import HALF_DECADES, SIZES, from_success, successes, without
from rnnjax.analysis import Resampling, power_law, threshold_model
from rnnjax.analysis.regression import residual_interval
from rnnjax.analysis.thresholds import Brackets, Model, seed_brackets

WHOLE_DECADES = 10.0 ** np.arange(-5, 0)
PAPER_SIZES = np.round(np.geomspace(10, 10_000, 13)).astype(int)
NUMBERS = ("exponent", "exponent_low", "exponent_high", "seed_scatter", "size_scatter")


def limits(rng, sizes, seeds, exponent, first, seed_scatter=0.1, size_scatter=0.0):
    """log10 thresholds `[hidden, seed]`; `first` is that of the line at the smallest size."""
    line = first + exponent * np.log10(np.asarray(sizes) / sizes[0])[:, None]
    own = seed_scatter * rng.normal(size=(len(sizes), seeds))
    return line + size_scatter * rng.normal(size=(len(sizes), 1)) + own


def sweep(limit, rates, sizes=SIZES):
    return from_success(successes(limit, rates), sizes, rates)


@pytest.fixture(scope="module")
def half():
    return limits(np.random.default_rng(0), SIZES, 4, -1.0, -0.2, 0.15, 0.1)


def numbers(fit):
    return np.array([float(fit[name]) for name in NUMBERS])


def slow_likelihood(brackets, x, parameters):
    """A sum over a dense grid of medians for every size, a product over its seeds."""
    level, exponent, scale, jitter = parameters[0], parameters[1], *np.exp(parameters[2:])
    total = 0.0
    for lower, upper, count, place in zip(*brackets, x, strict=True):
        mean = level + exponent * place
        m = np.linspace(mean - 8 * jitter, mean + 8 * jitter, 20_001)
        density = np.exp(-(((m - mean) / jitter) ** 2) / 2) / (jitter * np.sqrt(2 * np.pi))
        for low, high, seeds in zip(lower, upper, count, strict=True):
            inside = special.expit((high - m) / scale) - special.expit((low - m) / scale)
            density = density * inside**seeds
        total += np.log(density.sum() * (m[1] - m[0]))
    return total


BRACKETS = Brackets(
    np.array([[-2.0, -1.0], [-2.0, -3.0], [-3.0, -np.inf], [-np.inf, -np.inf]]),
    np.array([[-1.0, np.inf], [-1.0, -2.0], [-2.0, -2.0], [-3.0, np.inf]]),
    np.array([[3.0, 2.0], [4.0, 1.0], [2.0, 1.0], [5.0, 0.0]]),
)
PLACES = np.array([-1.0, -0.3, 0.2, 1.1])


@pytest.mark.parametrize(("scale", "jitter"), [(0.05, 0.3), (0.3, 0.02), (0.1, 0.1)])
def test_likelihood_and_gradient_equal_slow_ones(scale, jitter):
    parameters = np.array([-2.0, -0.9, np.log(scale), np.log(jitter)])
    value, gradient = Model(BRACKETS, PLACES).loss(parameters)
    np.testing.assert_allclose(-value, slow_likelihood(BRACKETS, PLACES, parameters), atol=2e-3)
    for index, step in enumerate(1e-4 * np.eye(4)):
        ends = [slow_likelihood(BRACKETS, PLACES, parameters + sign * step) for sign in (1, -1)]
        slope = (ends[0] - ends[1]) / 2e-4
        np.testing.assert_allclose(-gradient[index], slope, rtol=1e-2, atol=2e-2)


def test_brackets_of_seeds_by_a_loop_over_the_rates():
    rng = np.random.default_rng(2)
    success = rng.integers(0, 2, (5, 6, 4)).astype(float)
    success[rng.random((5, 6)) < 0.3] = np.nan
    success[3], success[4] = 0.0, np.nan
    rates = np.arange(6.0)
    low, high = seed_brackets(success, rates, "last", "below")
    for size in range(4):
        run = [k for k in range(6) if not np.isnan(success[size, k]).all()]
        best = max(run, key=lambda k: (success[size, k].mean(), -k))
        for seed in range(4):
            passed = [k for k in run if success[size, k, seed]]
            if passed:
                later = [k for k in run if k > passed[-1]]
                expected = passed[-1], (later[0] if later else np.inf)
            else:
                expected = -np.inf, (best if success[size, best].mean() >= 0.5 else run[0])
            assert (low[size, seed], high[size, seed]) == expected
    assert np.isnan(low[4]).all() and np.isnan(high[4]).all()
    left_out = np.isnan(seed_brackets(success, rates, "last", "excluded")[0]).all(1)
    most = [max(row.mean(-1)[~np.isnan(row).all(-1)], default=0) for row in success]
    assert left_out.tolist() == [share < 0.5 for share in most]
    assert left_out[3] and not left_out[0]


def test_equals_least_squares_and_students_interval_on_a_fine_grid():
    rates = 10.0 ** np.arange(-4, 0, 0.002)
    limit = limits(np.random.default_rng(3), SIZES, 4, -1.0, -0.7, 0.0, 0.2)
    fit = threshold_model(sweep(limit, rates)).squeeze()
    x, y = np.log10(SIZES), limit[:, 0]
    slope, start = np.polyfit(x, y, 1)
    np.testing.assert_allclose([fit["exponent"], fit["intercept"]], [slope, start], atol=5e-3)
    ends = [float(fit["exponent_low"]), float(fit["exponent_high"])]
    np.testing.assert_allclose(ends, residual_interval(x, y, 0.95), atol=0.01)


def test_a_factor_of_all_rates_moves_the_intercept_alone(half):
    fit = threshold_model(sweep(half, HALF_DECADES))
    moved = threshold_model(sweep(half, HALF_DECADES).assign_coords(learning_rate=HALF_DECADES * 5))
    np.testing.assert_allclose(numbers(moved), numbers(fit), rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(moved["intercept"] - fit["intercept"], np.log10(5), atol=2e-3)


def test_sizes_far_above_the_largest_rate_change_nothing(half):
    fit = threshold_model(sweep(half, HALF_DECADES))
    more = np.concatenate([np.full((2, 4), 5.0), half])
    wider = threshold_model(sweep(more, HALF_DECADES, (1e-4, 1e-3, *SIZES)))
    assert int(wider["points_censored"]) == int(fit["points_censored"]) + 2
    np.testing.assert_allclose(numbers(wider)[:3], numbers(fit)[:3], atol=2e-3)


def test_failures_for_want_of_steps_change_nothing(half):
    data = sweep(half, HALF_DECADES)
    slow = data["learning_rate"] < 10 ** (half.min() - 1)
    data["accuracy_decision"] = data["accuracy_decision"].where(~slow, 0.0)
    data["final_loss"] = data["final_loss"].where(~slow, 11.0)
    changed = threshold_model(data)
    np.testing.assert_array_equal(
        numbers(changed), numbers(threshold_model(sweep(half, HALF_DECADES)))
    )


def test_a_size_without_success_is_left_out_or_below(half):
    lower = np.concatenate([half, np.full((1, 4), -9.0)])
    data = sweep(lower, HALF_DECADES, (*SIZES, 1000))
    fit, below = threshold_model(data), threshold_model(data, untrained="below")
    assert (int(fit["points_untrained"]), int(below["points_untrained"])) == (1, 0)
    assert int(below["points_censored"]) == int(fit["points_censored"]) + 1
    np.testing.assert_array_equal(numbers(fit), numbers(threshold_model(sweep(half, HALF_DECADES))))
    assert below["exponent"] < fit["exponent"]


def test_data_without_a_slope_give_a_reason():
    rates = [1e-3, 1e-2, 1e-1, 1.0]
    places = {
        "all above": (5.0,) * 4,
        "two sizes": (5.0, 5.0, -1.5, -2.5),
        "one bracket": (-1.5, -1.5, -1.5, -1.5),
        "one rate": (-0.9, -0.8, -1.2, -1.3),
    }
    runs = [
        successes(np.full((4, 3), np.array(place)[:, None]), rates) for place in places.values()
    ]
    data = from_success(runs, (10, 20, 40, 80), rates, case=list(places))
    fit = threshold_model(data)
    assert fit["exponent"].isnull().all() and fit["exponent_low"].isnull().all()
    assert "" not in fit["reason"].values
    assert fit["points_used"].values.tolist() == [0, 2, 4, 4]
    few, few_too, divided, divided_too = fit["reason"].values
    assert few == few_too != divided == divided_too


def test_without_runs_all_counts_are_zero(half):
    data = sweep(half, HALF_DECADES)
    fit = threshold_model(without(data, data["seed"] < 0))
    counts = [int(fit[f"points_{name}"]) for name in ("used", "censored", "untrained")]
    assert counts == [0, 0, 0]
    assert fit["exponent"].isnull()


def test_errors_name_what_is_wrong(half):
    data = sweep(half, HALF_DECADES)
    for name, value in {"edge": "lowest", "untrained": "above", "confidence": 1.0}.items():
        with pytest.raises(ValueError, match=f"^{name}: expected"):
            threshold_model(data, **{name: value})
    with pytest.raises(ValueError, match="no dimension 'hidden'"):
        threshold_model(data.isel(hidden=0))


def simulated(sizes, rates, seeds, exponent, first, size_scatter, count=100):
    rng = np.random.default_rng(7)
    runs = []
    for _ in range(count):
        start = first + rng.uniform(-0.5, 0.5)
        limit = limits(rng, sizes, seeds, exponent, start, 0.1, size_scatter)
        runs.append(successes(limit, rates))
    return from_success(runs, sizes, rates, sweep=np.arange(count))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("exponent", "first", "size_scatter", "least", "most"),
    [(-1.0, 0.0, 0.2, 0.91, 0.99), (-1.34, 0.0, 0.0, 0.97, 1.0)],
)
def test_bias_and_coverage_on_whole_decades_with_a_ceiling(
    exponent, first, size_scatter, least, most
):
    data = simulated(PAPER_SIZES, WHOLE_DECADES, 10, exponent, first, size_scatter)
    fit = threshold_model(data)
    assert (fit["reason"] == "").mean() > 0.95 and (fit["points_censored"] > 0).mean() > 0.5
    assert abs(float(fit["exponent"].mean()) - exponent) < 0.05
    inside = (fit["exponent_low"] <= exponent) & (exponent <= fit["exponent_high"])
    assert least <= float(inside.where(fit["exponent"].notnull()).mean()) <= most
    # The line through the critical rates alone is biased upward.
    assert (
        float(power_law(data, resampling=Resampling(resamples=5))["exponent"].mean()) - exponent
        > 0.05
    )


@pytest.mark.slow
def test_coverage_on_half_decades_where_sizes_scatter():
    fit = threshold_model(simulated(SIZES, HALF_DECADES, 4, -0.66, -0.5, 0.2))
    assert float(fit["exponent"].mean()) + 0.66 == pytest.approx(0, abs=0.05)
    inside = (fit["exponent_low"] <= -0.66) & (fit["exponent_high"] >= -0.66)
    assert 0.91 <= float(inside.where(fit["exponent"].notnull()).mean()) <= 0.99
