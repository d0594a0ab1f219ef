"""Means over pairs and over networks, with errors that know which networks the pairs share.

A mean over S (S - 1) / 2 pairs rests on S networks. With theta the statistic of all networks and
theta_(s) that without network s, the pseudo-values

    p_s = S theta - (S - 1) theta_(s)

behave like S independent values (Tukey 1958): their mean is the jackknife's estimate (theta itself
for a mean over pairs), and their standard deviation over sqrt(S) its standard error. Tests between
conditions permute networks, by their pseudo-values; for a standard deviation, whose pseudo-values
are too skewed for that, by their distances from the condition's median (Brown and Forsythe 1974).
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple, TypeAlias, get_args

import numpy as np
from scipy import stats

from rnnjax import validate

__all__ = [
    "Estimate",
    "Statistic",
    "Trend",
    "estimate",
    "factor_trend",
    "pooled_trend",
    "pseudo_values",
]

Statistic: TypeAlias = Literal["pairs", "mean", "spread"]
"""The mean over pairs of [S, S] distances; the mean of [S] values; their standard deviation."""

ALPHA = 0.05
"""Above this p value a trend has no arrow."""


class Estimate(NamedTuple):
    """A statistic of a condition."""

    value: float
    error: float
    """Jackknife standard error; NaN below three networks."""
    networks: int


class Trend(NamedTuple):
    """How a statistic moves from level to level of a factor."""

    slope: float
    """Least squares over the levels' order, per level."""
    low: float
    high: float
    p: float
    """Two-sided, of the permutation of networks between levels; of a spread, of its deviations."""
    networks: tuple[int, ...]
    """That entered, by level."""
    relative: float
    """The slope over the mean of the levels' values."""
    verdict: str
    """`rises`, `falls`, `no arrow` (p above 0.05, or a spread whose deviations move the other way)
    or `too few networks` (fewer than two levels with three)."""


def _known(kind: Statistic, values: object) -> np.ndarray:
    """The part of `values` that is there; networks left out are NaN."""
    validate.one_of("kind", kind, get_args(Statistic))
    given = np.asarray(values, float)
    if kind == "pairs":
        if given.ndim != 2 or given.shape[0] != given.shape[1]:
            raise ValueError(f"values: expected shape [S, S], got {given.shape}")
        there = np.flatnonzero(np.isfinite(np.diag(given)))
        given = given[np.ix_(there, there)]
    elif given.ndim != 1:
        raise ValueError(f"values: expected shape [S], got {given.shape}")
    else:
        given = given[np.isfinite(given)]
    if not np.isfinite(given).all():
        raise ValueError("values: expected finite distances between networks that are there")
    return given


def _statistic(kind: Statistic, values: np.ndarray) -> float:
    if kind == "pairs":
        count = len(values)
        return float((values.sum() - np.trace(values)) / (count * (count - 1)))
    return float(values.std() if kind == "spread" else values.mean())


def _without_each(kind: Statistic, values: np.ndarray) -> np.ndarray:
    """The statistic without each network in turn, [S]."""
    count = len(values)
    if kind == "pairs":
        off = values - np.diag(np.diag(values))
        return (off.sum() - off.sum(0) - off.sum(1)) / ((count - 1) * (count - 2))
    rows = np.broadcast_to(values, (count, count))[~np.eye(count, dtype=bool)]
    rows = rows.reshape(count, count - 1)
    return rows.std(-1) if kind == "spread" else rows.mean(-1)


def pseudo_values(kind: Statistic, values: object) -> np.ndarray:
    """Jackknife pseudo-values of the networks that are there, [S'].

    Args:
        kind: the statistic (`Statistic`).
        values: [S, S] for `pairs`, else [S]; NaN (for pairs: on the diagonal) for a network that
            was left out.

    Raises:
        ValueError: another shape, or distances that are not finite; with fewer than three networks
            there are none, and the result is empty.
    """
    known = _known(kind, values)
    if len(known) < 3:
        return np.zeros(0)
    return len(known) * _statistic(kind, known) - (len(known) - 1) * _without_each(kind, known)


def estimate(kind: Statistic, values: object) -> Estimate:
    """The statistic and its jackknife error over networks; arguments as `pseudo_values`."""
    known = _known(kind, values)
    if len(known) < (1 if kind == "mean" else 2):
        return Estimate(np.nan, np.nan, len(known))
    pseudo = pseudo_values(kind, values)
    error = float(pseudo.std(ddof=1) / np.sqrt(len(pseudo))) if len(pseudo) else np.nan
    return Estimate(_statistic(kind, known), error, len(known))


def factor_trend(
    kind: Statistic,
    levels: Sequence[object],
    *,
    draws: int = 9999,
    seed: int = 0,
    confidence: float = 0.95,
) -> Trend:
    """Whether a statistic rises or falls over the levels of a factor, in their order.

    The slope over the levels' order (0, 1, 2, ...) of their statistics; its standard error from
    the jackknife errors of the levels; an interval by Student's distribution with the
    Welch-Satterthwaite degrees of freedom; and a permutation test of the slope over its error, in
    which networks, by their pseudo-values, change levels. Two levels make the comparison of two
    conditions. Levels with fewer than three networks are passed over.

    A spread is tested by how far networks are from their level's median. One network far away
    moves the standard deviation more than that: an arrow asks that both move the same way.

    Levels count as independent. Where networks of one seed begin alike at all of them and stay
    alike in what is measured, interval and test are wider than they need be, so that "no arrow"
    says less.

    Args:
        kind: the statistic.
        levels: per level, values as in `pseudo_values`.
        draws: random permutations.
        seed: of these.
        confidence: of the interval.

    Raises:
        ValueError: fewer than two levels, a number out of range, or what `pseudo_values` refuses.
    """
    if len(levels) < 2:
        raise ValueError(f"levels: expected at least 2, got {len(levels)}")
    validate.positive_integer("draws", draws)
    validate.fraction("confidence", confidence, open_below=True)
    known = [_known(kind, values) for values in levels]
    counts = tuple(map(len, known))
    used = [place for place, count in enumerate(counts) if count >= 3]
    if len(used) < 2:
        nan = np.nan
        return Trend(nan, nan, nan, nan, counts, nan, "too few networks")
    known, sizes = [known[place] for place in used], [counts[place] for place in used]
    pseudo = [pseudo_values(kind, values) for values in known]
    # What the levels are, not the jackknife's estimate of it: they differ for a spread.
    means = np.array([_statistic(kind, values) for values in known])
    order = np.array(used) - np.mean(used)
    weights = order / (order @ order)
    slope = float(weights @ means)
    parts = weights**2 * np.array([p.var(ddof=1) / len(p) for p in pseudo])
    error = float(np.sqrt(parts.sum()))
    relative = float(slope / abs(means.mean())) if means.mean() else np.nan
    if not error > 0:  # all networks alike at every level
        verdict = "rises" if slope > 0 else "falls" if slope < 0 else "no arrow"
        return Trend(slope, slope, slope, float(slope == 0), counts, relative, verdict)
    freedom = parts.sum() ** 2 / (parts**2 / (np.array(sizes) - 1)).sum()
    half = error * float(stats.t.ppf((1 + confidence) / 2, freedom))
    moved = [np.abs(v - np.median(v)) for v in known] if kind == "spread" else pseudo
    p = _permuted(np.concatenate(moved), sizes, weights, draws, seed)
    agrees = slope * float(weights @ [values.mean() for values in moved]) > 0
    verdict = "no arrow" if p > ALPHA or not agrees else "rises" if slope > 0 else "falls"
    return Trend(slope, slope - half, slope + half, p, counts, relative, verdict)


def pooled_trend(trends: Sequence[Trend]) -> Trend:
    """One trend of several series: the mean of their relative slopes.

    Its interval is that of the mean, from the series' own; its p value is Stouffer's, of the
    series' p values with the signs of their slopes. Series count as independent. Those with too
    few networks are passed over; `networks` is how many series there were.

    Raises:
        ValueError: no series.
    """
    if not trends:
        raise ValueError("trends: expected at least one, got none")
    some = [t for t in trends if np.isfinite(t.p) and np.isfinite(t.relative)]
    count = (len(some),)
    nan = np.nan
    if not some:
        return Trend(nan, nan, nan, nan, count, nan, "too few networks")
    slopes = np.array([t.relative for t in some])
    units = np.array([t.relative / t.slope if t.slope else 0.0 for t in some])
    halves = units * np.array([(t.high - t.low) / 2 for t in some])
    mean, half = float(slopes.mean()), float(np.sqrt((halves**2).sum()) / len(some))
    scores = np.sign(slopes) * stats.norm.isf(np.clip([t.p for t in some], 1e-16, 1) / 2)
    p = float(2 * stats.norm.sf(abs(scores.sum()) / np.sqrt(len(some))))
    agrees = mean * scores.sum() > 0
    verdict = "no arrow" if p > ALPHA or not agrees else "rises" if mean > 0 else "falls"
    return Trend(mean, mean - half, mean + half, p, count, mean, verdict)


def _permuted(
    values: np.ndarray, counts: Sequence[int], weights: np.ndarray, draws: int, seed: int
) -> float:
    """Two-sided p value of the studentized slope; the first row is what was seen."""
    rng = np.random.default_rng(seed)
    rows = np.concatenate([values[None], rng.permuted(np.tile(values, (draws, 1)), axis=1)])
    groups = np.split(rows, np.cumsum(counts)[:-1], axis=1)
    slopes = sum(w * group.mean(1) for w, group in zip(weights, groups, strict=True))
    variance = sum(
        w**2 * group.var(1, ddof=1) / group.shape[1]
        for w, group in zip(weights, groups, strict=True)
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        size = np.abs(slopes / np.sqrt(variance))
    return float(np.mean(size >= size[0] * (1 - 1e-12)))
