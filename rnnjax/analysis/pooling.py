"""One trend of several series of conditions, some of which may belong to several series."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from rnnjax import validate
from rnnjax.analysis.trends import (
    ALPHA,
    Statistic,
    Trend,
    assess_contrast,
    compare_conditions,
    describe_slope,
    drop_left_out,
    match_seeds,
)
from rnnjax.arrays import members

__all__ = ["Pooled", "pool_trends"]


class Pooled(NamedTuple):
    """The mean trend of several series, and how far the series differ."""

    trend: Trend
    """Of the mean over series of their relative slopes (of a spread, of the slopes of its
    logarithm); `networks` is the number of series."""
    tau: float
    """Standard deviation between the series' own slopes, beyond that of their errors, in the unit
    of `relative`; NaN for one series."""
    inconsistency: float
    """I^2, the share of tau^2 in the variance between the slopes found."""


def pool_trends(
    kind: Statistic,
    series: Sequence[Sequence[object]],
    *,
    seeds: Sequence[Sequence[object]] | None = None,
    confidence: float = 1 - ALPHA,
) -> Pooled:
    """The mean over series of the relative slopes of `factor_trend`, with its interval and test.

    The mean slope is one sum of weights times the statistics of all different conditions, each
    taken once: a condition of several series enters with the sum of its weights, so that the
    standard error contains the covariance that it brings. As in `factor_trend`, it is that over
    seeds where all conditions share most of them, which covers every other correlation of networks
    of one seed too; otherwise conditions are independent. The mean of each series' levels, over
    which slopes are taken, counts as known.

    The mean is that of these series. How far they differ is `tau` by the method of moments
    (Hedges 1983): the variance between their slopes, less the mean variance of their differences
    by sampling.

    Args:
        kind: the statistic.
        series: of every series its levels, each with values as in `pseudo_values`. Levels of
            different series with equal values and seeds are one condition. Levels with fewer than
            three networks, and series with fewer than two others, are left out.
        seeds: of every series, per level, the seed of every network of its values.
        confidence: coverage of the interval, between 0 and 1.

    Raises:
        ValueError: no series, or as `factor_trend`.
    """
    validate.fraction("confidence", confidence, open_below=True)
    series = [members("series", levels) for levels in members("series", series)]
    if not series:
        raise ValueError("series: expected at least one, got none")
    seeds = None if seeds is None else [members("seeds", some) for some in members("seeds", seeds)]
    if seeds is not None and list(map(len, seeds)) != list(map(len, series)):
        raise ValueError(f"seeds: expected those of {list(map(len, series))} levels by series")
    found = _Conditions([], [], [])
    for place, levels in enumerate(series):
        found.add(kind, levels, None if seeds is None else seeds[place])
    if not found.slopes:
        nan = np.nan
        return Pooled(Trend(nan, nan, nan, nan, (0,), nan, "too few networks"), nan, nan)
    return _pool(kind, found, seeds is not None, confidence)


class _Conditions(NamedTuple):
    """Every different condition once, and the series' slopes as sums over them."""

    values: list[object]
    seeds: list[object]
    slopes: list[dict[int, float]]
    """Of each series, the weights of its conditions by their place in `values`."""

    def add(self, kind: Statistic, levels: Sequence[object], seeds: Sequence[object] | None):
        """Adds a series, if two of its levels have three networks."""
        used = [i for i, values in enumerate(levels) if len(drop_left_out(kind, values)) >= 3]
        if len(used) < 2:
            return
        order = np.array(used) - np.mean(used)
        places = [self._find(levels[i], None if seeds is None else seeds[i]) for i in used]
        weights = order / (order @ order)
        self.slopes.append(dict(zip(places, map(float, weights), strict=True)))

    def _find(self, values: object, seeds: object) -> int:
        """The place of a condition, which is added if it is new."""
        for place, (known, others) in enumerate(zip(self.values, self.seeds, strict=True)):
            same = np.array_equal(np.asarray(known), np.asarray(values), equal_nan=True)
            if same and (seeds is None or np.array_equal(np.asarray(others), np.asarray(seeds))):
                return place
        self.values.append(values)
        self.seeds.append(seeds)
        return len(self.values) - 1


def _pool(kind: Statistic, found: _Conditions, with_seeds: bool, confidence: float) -> Pooled:
    places = range(len(found.values))
    shared = match_seeds(kind, found.values, found.seeds, places) if with_seeds else None
    known = [drop_left_out(kind, v) for v in found.values] if shared is None else shared
    compared = compare_conditions(kind, known)
    weights = np.zeros((len(found.slopes), len(known)))
    for row, slope in zip(weights, found.slopes, strict=True):
        row[list(slope)] = list(slope.values())
        if not compared.logarithmic:
            row /= abs(compared.statistics[list(slope)].mean()) or np.nan
    weights = weights[np.isfinite(weights).all(1)]
    count, paired = (len(weights),), shared is not None
    if not len(weights):
        nan = np.nan
        return Pooled(Trend(nan, nan, nan, nan, count, nan, "no arrow", paired), nan, nan)
    mean = weights.mean(0)
    slope = float(mean @ compared.statistics)
    tested = assess_contrast(slope, compared.pseudo, mean, paired=paired, confidence=confidence)
    trend = describe_slope(
        slope, tested, 0.0 if compared.logarithmic else 1.0, count, paired=paired
    )
    tau, share = _difference(weights @ compared.statistics, compared.pseudo, weights, paired)
    return Pooled(trend, float(np.expm1(tau)) if compared.logarithmic else tau, share)


def _difference(
    slopes: np.ndarray, pseudo: Sequence[np.ndarray], weights: np.ndarray, paired: bool
) -> tuple[float, float]:
    """Standard deviation between series beyond their errors, and its share of the variance."""
    if len(slopes) < 2:
        return np.nan, np.nan
    if paired:
        own = np.stack(pseudo, axis=1) @ weights.T
        covariance = np.cov(own, rowvar=False) / len(own)
    else:
        covariance = weights @ np.diag([p.var(ddof=1) / len(p) for p in pseudo]) @ weights.T
    between = float(slopes.var(ddof=1))
    count = len(slopes)
    sampling = (np.trace(covariance) - covariance.sum() / count) / (count - 1)
    excess = max(between - float(sampling), 0.0)
    return float(np.sqrt(excess)), excess / between if between else 0.0
