"""Pooled trends against one series, against the seeds' own slopes, and against false positives."""

import numpy as np
import pytest
from scipy import stats

from rnnjax.analysis import factor_trend, pool_trends, trend_difference

SHARED = ([0, 1, 2], [3, 4], [3, 5, 6], [3, 7])
"""Three series with one baseline, and one on its own."""


def series(levels, layout=SHARED):
    return [[levels[place] for place in places] for places in layout]


def labels(networks, layout=SHARED):
    return [[range(networks)] * len(places) for places in layout]


def test_one_series_pools_to_its_own_relative_slope():
    rng = np.random.default_rng(0)
    levels = [10 + place + rng.normal(size=8) for place in range(3)]
    for seeds in (None, [range(8)] * 3):
        alone = factor_trend("mean", levels, seeds=seeds)
        found = pool_trends("mean", [levels], seeds=None if seeds is None else [seeds])
        trend = found.trend
        assert trend.relative == pytest.approx(alone.relative)
        assert (trend.relative_low, trend.relative_high, trend.p) == pytest.approx(
            (alone.relative_low, alone.relative_high, alone.p)
        )
        assert (trend.networks, trend.paired) == ((1,), seeds is not None)
        assert np.isnan(found.tau)
    spread = pool_trends("spread", [levels]).trend
    assert spread[:4] == pytest.approx(factor_trend("spread", levels)[:4])


def linearized(function, means, table):
    """The values [S] whose mean is `function(means)` to first order, of values [conditions, S]."""
    step = 1e-5 * np.abs(means).max()
    slopes = [
        (function(means + shift) - function(means - shift)) / (2 * step)
        for shift in step * np.eye(len(means))
    ]
    return function(means) + np.array(slopes) @ (table - means[:, None])


def relative_slope(means):
    return np.polyfit(range(len(means)), means, 1)[0] / np.mean(means)


def test_paired_series_pool_to_the_mean_slope_with_its_linearized_error():
    rng = np.random.default_rng(1)
    levels = [10 + 4 * (place % 3) + rng.normal(size=8) for place in range(8)]
    found = pool_trends("mean", series(levels), seeds=labels(8))

    def slopes(means):
        return np.array([relative_slope(means[list(places)]) for places in SHARED])

    table = np.stack(levels)
    means = table.mean(1)
    own = linearized(lambda means: slopes(means).mean(), means, table)
    limits = stats.ttest_1samp(own, 0).confidence_interval()
    assert found.trend.relative == pytest.approx(slopes(means).mean())
    assert (found.trend.low, found.trend.high) == pytest.approx((limits.low, limits.high))
    each = [linearized(lambda means, k=k: slopes(means)[k], means, table) for k in range(4)]
    sampling = np.cov(each) / 8
    excess = slopes(means).var(ddof=1) - (np.trace(sampling) - sampling.mean() * 4) / 3
    assert found.tau == pytest.approx(np.sqrt(excess))


def test_seeds_that_a_condition_lacks_leave_the_pooled_mean():
    rng = np.random.default_rng(6)
    levels = [10 + place % 3 + rng.normal(size=8) for place in range(8)]
    gap = [values.copy() for values in levels]
    gap[3][2] = np.nan
    found = pool_trends("mean", series(gap), seeds=labels(8))
    kept = [np.delete(values, 2) for values in levels]
    assert found.trend == pool_trends("mean", series(kept), seeds=labels(7)).trend
    assert (found.seeds, pool_trends("mean", series(gap)).seeds) == (7, 0)


def test_equal_levels_of_one_series_are_levels():
    rng = np.random.default_rng(7)
    first, last = 10 + rng.normal(size=8), 12 + rng.normal(size=8)
    for levels in ([first] * 2, [first] * 4, [first, first, last], [first, last, first]):
        seeds = [range(8)] * len(levels)
        found = pool_trends("mean", [levels], seeds=[seeds]).trend
        alone = factor_trend("mean", levels, seeds=seeds)
        assert (found.verdict, found.p) == (alone.verdict, pytest.approx(alone.p))
        assert found.relative == pytest.approx(alone.relative)


def test_a_shared_condition_brings_its_covariance():
    rng = np.random.default_rng(2)
    base, *others = (10 + rng.normal(size=50) for _ in range(5))
    found = pool_trends("mean", [[base, other] for other in others]).trend
    # Equal means: the derivative of a relative slope is 1 over the mean.
    variance = (base.var(ddof=1) + np.mean([x.var(ddof=1) for x in others]) / 4) / 50 / 100
    error = (found.high - found.low) / 2 / stats.t.ppf(0.975, 60)
    assert error == pytest.approx(np.sqrt(variance), rel=0.05)
    copies = [[np.array(base), other] for other in others]  # equal values are one condition
    assert pool_trends("mean", copies).trend == found


def test_heterogeneity_is_what_errors_leave():
    rng = np.random.default_rng(3)

    def tried(slopes, networks=400):
        made = [
            [10 * (1 + slope * x) + rng.normal(size=networks) for x in (-0.5, 0.5)]
            for slope in slopes
        ]
        return pool_trends("mean", made)

    apart = tried([0.1, 0.2, 0.3])
    assert apart.tau == pytest.approx(0.1, rel=0.15)
    assert apart.inconsistency > 0.95
    assert apart.trend.relative == pytest.approx(0.2, rel=0.1)
    shares = [tried([0.2] * 4, 10).inconsistency for _ in range(50)]
    assert np.mean(shares) < 0.3
    assert np.mean(np.array(shares) == 0) > 0.3


def test_series_and_levels_that_cannot_be_used():
    rng = np.random.default_rng(4)
    good, few = [rng.normal(size=8) + x for x in (5, 9)], [np.ones(2), np.ones(8)]
    found = pool_trends("mean", [good, few])
    assert found.trend == pool_trends("mean", [good]).trend
    assert pool_trends("mean", [few]).trend.verdict == "too few networks"
    other = [[range(8), range(8, 16)]]
    assert pool_trends("mean", [good], seeds=other).trend == pool_trends("mean", [good]).trend
    with pytest.raises(ValueError, match="^series: expected at least one"):
        pool_trends("mean", [])
    with pytest.raises(ValueError, match="^seeds: "):
        pool_trends("mean", [good], seeds=[[range(8)]])
    with pytest.raises(ValueError, match="^confidence: "):
        pool_trends("mean", [good], confidence=1)


def test_the_difference_of_two_trends_is_tested_by_its_linearization():
    rng = np.random.default_rng(6)
    first, second = ([10 + s * x + rng.normal(size=8) for x in range(3)] for s in (0.5, 2.0))
    table = np.stack([*first, *second])
    means = table.mean(1)

    def difference(means):
        return relative_slope(means[3:]) - relative_slope(means[:3])

    own = linearized(difference, means, table)
    seeds = [[range(8)] * 3] * 2
    found = trend_difference("mean", [first, second], seeds=seeds)
    wanted = stats.ttest_1samp(own, 0)
    limits = wanted.confidence_interval()
    assert found.relative == pytest.approx(difference(means))
    assert (found.low, found.high, found.p) == pytest.approx(
        (limits.low, limits.high, wanted.pvalue)
    )
    assert (found.networks, found.paired) == ((8,) * 6, True)
    assert found.verdict == "rises"
    assert trend_difference("mean", [second, first], seeds=seeds).verdict == "falls"
    same = trend_difference("mean", [first, [np.array(x) for x in first]], seeds=seeds)
    assert (same.relative, same.p, same.verdict) == (0.0, 1.0, "no arrow")
    grown = [x * 3.0**place for place, x in enumerate(first)]
    ratio = trend_difference("spread", [first, grown], seeds=seeds)
    assert ratio.relative == pytest.approx(2.0)  # a growth per level three times as large
    with pytest.raises(ValueError, match="^series: expected 2, got 3"):
        trend_difference("mean", [first] * 3)
    few = [np.ones(2), np.ones(8)]
    assert trend_difference("mean", [first, few]).verdict == "too few networks"


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["pairs", "mean", "spread"])
@pytest.mark.parametrize("scales", [(1, 1, 1, 1), (1, 3, 3, 9)])
def test_differences_of_trends_keep_their_level(kind, scales):
    """Two series of two correlated conditions each, as of networks earlier and later."""
    rng, draws, claims = np.random.default_rng(7), 1000, 0
    for _ in range(draws):
        shared = rng.normal(size=(12, 3))
        points = np.sqrt(0.7) * shared + np.sqrt(0.3) * rng.normal(size=(4, 12, 3))
        if kind == "pairs":
            made = [s * np.linalg.norm(x[:, None] - x[None], axis=-1)
                    for s, x in zip(scales, points, strict=True)]  # fmt: skip
        elif kind == "mean":
            made = [10 * s + x for s, x in zip(scales, points[..., 0], strict=True)]
        else:
            made = [s * x for s, x in zip(scales, points[..., 0], strict=True)]
        trend = trend_difference(kind, [made[:2], made[2:]], seeds=[[range(12)] * 2] * 2)
        claims += trend.verdict != "no arrow"
    assert 0.01 * draws <= claims <= 0.075 * draws  # 50 expected


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["pairs", "mean"])
@pytest.mark.parametrize("paired", [False, True])
def test_intervals_of_pooled_steep_trends_hold_their_mean(kind, paired):
    rng, draws, held = np.random.default_rng(8), 500, 0
    sizes = np.array([1.0, 3.0, 9.0, 1.0, 0.5, 2.0, 4.0, 0.7])
    true = np.mean([relative_slope(sizes[places]) for places in SHARED])
    seeds = labels(8) if paired else None
    for _ in range(draws):
        points = rng.normal(size=(8, 8, 3))
        if kind == "pairs":
            levels = [s * np.linalg.norm(x[:, None] - x[None], axis=-1)
                      for s, x in zip(sizes, points, strict=True)]  # fmt: skip
        else:
            levels = list(sizes[:, None] * (1 + 0.3 * points[..., 0]))
        trend = pool_trends(kind, series(levels), seeds=seeds).trend
        held += trend.relative_low <= true <= trend.relative_high
    assert 0.915 * draws <= held <= 0.98 * draws


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["pairs", "mean", "spread"])
@pytest.mark.parametrize("paired", [False, True])
def test_pooled_trends_of_series_with_one_baseline_keep_their_level(kind, paired):
    rng, draws, claims = np.random.default_rng(5), 1000, 0
    for _ in range(draws):
        if kind == "pairs":
            points = rng.normal(size=(8, 8, 3))
            levels = [np.linalg.norm(x[:, None] - x[None], axis=-1) for x in points]
        else:
            levels = list(10 + rng.normal(size=(8, 8)))
        seeds = labels(8) if paired else None
        trend = pool_trends(kind, series(levels), seeds=seeds).trend
        claims += trend.verdict != "no arrow"
        assert (trend.verdict == "no arrow") == (trend.low <= 0 <= trend.high)
    assert 0.015 * draws <= claims <= 0.07 * draws  # 50 expected
