"""Trends of several series of conditions, which may share some: their mean, and differences."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from rnnjax import validate
from rnnjax.analysis.contrasts import assess_contrast, ratio_limits
from rnnjax.analysis.trends import (
    ALPHA,
    Compared,
    Statistic,
    Trend,
    compare_conditions,
    describe_slope,
    drop_left_out,
    growth,
    match_seeds,
    mean_size,
    read_values,
)
from rnnjax.arrays import members

__all__ = ["Pooled", "pool_trends", "trend_difference"]


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
    seeds: int = 0
    """Seeds that all conditions share, on which a paired mean rests; 0 where it is not paired."""


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
    which slopes are taken, has an error too, which enters to first order (the delta method). Of one
    series the result is that of `factor_trend`.

    The mean is that of these series. How far they differ is `tau` by the method of moments
    (Hedges 1983): the variance between their slopes, less the mean variance of their differences
    by sampling.

    Args:
        kind: the statistic.
        series: of every series its levels, each with values as in `pseudo_values`. Levels of
            different series with equal values and seeds are one condition. Levels with fewer than
            three networks, and series with fewer than two others, are left out, and so are series
            whose levels' values differ in sign, which have no relative slope. An infinite value
            leaves no mean, and a spread of fewer than three different ones no interval.
        seeds: of every series, per level, the seed of every network of its values.
        confidence: coverage of the interval, above 0 and below 1.

    Raises:
        ValueError: no series, or as `factor_trend`.
    """
    validate.confidence("confidence", confidence)
    found = _collect(kind, series, seeds)
    if not found.slopes:
        return Pooled(_unknown(0), np.nan, np.nan)
    slopes = _Slopes.of(kind, found, seeds is not None)
    if np.isnan(slopes.compared.statistics).any():
        unknown = _unknown(len(slopes.weights), "no arrow", paired=slopes.paired)
        return Pooled(unknown, np.nan, np.nan)
    known = np.isfinite(slopes.weights).all(1)
    slopes = slopes._replace(weights=slopes.weights[known], levels=slopes.levels[known])
    count = len(slopes.weights)
    if not count:
        return Pooled(_unknown(0, "no arrow", paired=slopes.paired), np.nan, np.nan)
    trend = slopes.mean(confidence)
    tau, share = slopes.difference()
    shared = len(slopes.compared.pseudo[0]) if slopes.paired else 0
    tau = float(np.expm1(tau)) if slopes.compared.logarithmic else tau
    return Pooled(trend, tau, share, shared)


def trend_difference(
    kind: Statistic,
    series: Sequence[Sequence[object]],
    *,
    seeds: Sequence[Sequence[object]] | None = None,
    confidence: float = 1 - ALPHA,
) -> Trend:
    """The relative slope of the second of two series less that of the first.

    The error is that over seeds where all conditions share most of them: two series of the same
    networks, such as earlier and later in training, are compared network by network. Otherwise
    conditions are independent. The mean of each series' levels, over which slopes are taken, has
    an error too, which enters to first order (the delta method).

    There is none, and no arrow, where the levels of a series differ in sign. Of a spread it is the
    ratio of the growths per level, minus 1. `slope` is the difference itself,
    `networks` are those of every different condition, and the verdict `rises` means a larger slope
    in the second series.

    Args:
        kind: the statistic.
        series: two series of levels, as in `pool_trends`.
        seeds: as in `pool_trends`.
        confidence: coverage of the interval, above 0 and below 1.

    Raises:
        ValueError: another number of series, or as `pool_trends`.
    """
    validate.confidence("confidence", confidence)
    series = members("series", series)
    if len(series) != 2:
        raise ValueError(f"series: expected 2, got {len(series)}")
    found = _collect(kind, series, seeds)
    if len(found.slopes) < 2:
        return _unknown(len(found.slopes))
    slopes, parts = _Slopes.of(kind, found, seeds is not None), np.array([-1.0, 1.0])
    if not np.isfinite(slopes.weights).all():
        return _unknown(2, "no arrow", paired=slopes.paired)
    networks = tuple(map(len, slopes.compared.pseudo))
    return slopes.combine(parts, networks, confidence)


def _collect(
    kind: Statistic, series: Sequence[Sequence[object]], seeds: Sequence[Sequence[object]] | None
) -> "_Conditions":
    """The different conditions of checked series."""
    series = [members("series", levels) for levels in members("series", series)]
    if not series:
        raise ValueError("series: expected at least one, got none")
    seeds = None if seeds is None else [members("seeds", some) for some in members("seeds", seeds)]
    if seeds is not None and list(map(len, seeds)) != list(map(len, series)):
        raise ValueError(f"seeds: expected those of {list(map(len, series))} levels by series")
    found = _Conditions([], [], [])
    for place, levels in enumerate(series):
        found.add(kind, levels, None if seeds is None else seeds[place])
    return found


def _unknown(count: int, verdict: str = "too few networks", *, paired: bool = False) -> Trend:
    """The trend of series that do not determine one."""
    nan = np.nan
    return Trend(nan, nan, nan, nan, (count,), nan, verdict, paired)


class _Conditions(NamedTuple):
    """Every different condition once, and the series' slopes as sums over them."""

    values: list[np.ndarray]
    seeds: list[object]
    slopes: list[dict[int, float]]
    """Of each series, the weights of its conditions by their place in `values`."""

    def add(self, kind: Statistic, levels: Sequence[object], seeds: Sequence[object] | None):
        """Adds a series, if two of its levels have three networks."""
        given = [read_values(kind, values) for values in levels]
        used = [i for i, values in enumerate(given) if len(drop_left_out(kind, values)) >= 3]
        if len(used) < 2:
            return
        order = np.array(used) - np.mean(used)
        places: list[int] = []
        for i in used:
            places.append(self._find(given[i], None if seeds is None else seeds[i], places))
        weights = order / (order @ order)
        self.slopes.append(dict(zip(places, map(float, weights), strict=True)))

    def _find(self, values: np.ndarray, seeds: object, taken: Sequence[int]) -> int:
        """The place of a condition, which is added if it is new; none of those `taken`.

        Levels of one series stay apart, however alike.
        """
        for place, (known, others) in enumerate(zip(self.values, self.seeds, strict=True)):
            if place in taken:
                continue
            same = np.array_equal(known, values, equal_nan=True)
            if same and (seeds is None or np.array_equal(np.asarray(others), np.asarray(seeds))):
                return place
        self.values.append(values)
        self.seeds.append(seeds)
        return len(self.values) - 1


class _Slopes(NamedTuple):
    """Relative slopes of series as sums over conditions."""

    weights: np.ndarray
    """[series, conditions]; NaN for a series whose levels' mean is 0."""
    levels: np.ndarray
    """Which conditions are levels of which series, 0 or 1, [series, conditions]."""
    compared: Compared
    paired: bool

    @classmethod
    def of(cls, kind: Statistic, found: _Conditions, with_seeds: bool) -> "_Slopes":
        """The slopes of the collected series."""
        places = range(len(found.values))
        shared = match_seeds(kind, found.values, found.seeds, places) if with_seeds else None
        known = [drop_left_out(kind, v) for v in found.values] if shared is None else shared
        compared = compare_conditions(kind, known)
        weights = np.zeros((len(found.slopes), len(known)))
        levels = np.zeros_like(weights)
        for row, at, slope in zip(weights, levels, found.slopes, strict=True):
            row[list(slope)] = list(slope.values())
            at[list(slope)] = 1.0
            if not compared.logarithmic:
                row /= mean_size(compared.statistics[list(slope)])
        return cls(weights, levels, compared, shared is not None)

    def gradients(self) -> np.ndarray:
        """Derivatives of the slopes with respect to the statistics, [series, conditions]."""
        if self.compared.logarithmic:
            return self.weights
        statistics = self.compared.statistics
        shares = self.levels / self.levels.sum(1, keepdims=True)
        means = shares @ statistics
        return self.weights - (self.weights @ statistics / means)[:, None] * shares

    def mean(self, confidence: float) -> Trend:
        """The mean of the slopes; of a single one, that of `factor_trend`."""
        count = len(self.weights)
        if count > 1 or self.compared.logarithmic:
            return self.combine(np.full(count, 1 / count), (count,), confidence)
        (weights,), statistics = self.weights, self.compared.statistics
        options = {"paired": self.paired, "confidence": confidence}
        slope, pseudo = float(weights @ statistics), self.compared.pseudo
        tested = assess_contrast(slope, pseudo, weights, **options)
        over = self.levels[0] / (self.levels[0] @ statistics)
        limits = ratio_limits(slope, pseudo, np.stack([weights, over]), **options)
        return describe_slope(slope, tested, (slope, *limits), (1,), paired=self.paired)

    def combine(self, parts: np.ndarray, networks: tuple[int, ...], confidence: float) -> Trend:
        """The sum of `parts` times the slopes, with the error that its gradient gives."""
        compared = self.compared
        slope = float(parts @ self.weights @ compared.statistics)
        tested = assess_contrast(
            slope, compared.pseudo, parts @ self.gradients(), paired=self.paired,
            confidence=confidence,
        )  # fmt: skip
        same = (slope, slope - tested.half, slope + tested.half)
        relative = growth(slope, tested.half) if compared.logarithmic else same
        return describe_slope(slope, tested, relative, networks, paired=self.paired)

    def difference(self) -> tuple[float, float]:
        """Standard deviation between series beyond their errors, and its share of the variance."""
        weights, pseudo = self.gradients(), self.compared.pseudo
        slopes = self.weights @ self.compared.statistics
        if len(slopes) < 2:
            return np.nan, np.nan
        if self.paired:
            own = np.stack(pseudo, axis=1) @ weights.T
            covariance = np.cov(own, rowvar=False) / len(own)
        else:
            covariance = weights @ np.diag([p.var(ddof=1) / len(p) for p in pseudo]) @ weights.T
        between = float(slopes.var(ddof=1))
        count = len(slopes)
        sampling = (np.trace(covariance) - covariance.sum() / count) / (count - 1)
        excess = max(between - float(sampling), 0.0)
        return float(np.sqrt(excess)), excess / between if between else 0.0
