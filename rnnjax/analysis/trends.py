"""Means over pairs and over networks with jackknife errors, and their trends over conditions.

A mean over S (S - 1) / 2 pairs rests on S networks. With theta the statistic of all networks and
theta_(s) that without network s, the pseudo-values

    p_s = S theta - (S - 1) theta_(s)

behave like S independent values (Tukey 1958): their mean is the jackknife's estimate (theta itself
for a mean over pairs), and their standard deviation over sqrt(S) its standard error. Tests between
conditions permute pseudo-values; for a standard deviation, whose pseudo-values are too skewed for
that, distances from the condition's median (Brown and Forsythe 1974).
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple, TypeAlias, get_args

import numpy as np

from rnnjax import validate
from rnnjax.analysis.regression import Resampling
from rnnjax.arrays import array, members, symmetric

__all__ = [
    "Estimate",
    "Statistic",
    "Trend",
    "estimate",
    "factor_trend",
    "pseudo_values",
]

Statistic: TypeAlias = Literal["pairs", "mean", "spread"]
"""The mean over pairs of [S, S] distances; the mean of [S] values; their standard deviation."""

ALPHA = 0.05
"""Above this p value a trend has no arrow."""


PERMUTATIONS = Resampling(resamples=9999)
"""Default permutations of a trend."""


class Estimate(NamedTuple):
    """A statistic of a condition."""

    value: float
    error: float
    """Jackknife standard error; NaN below three networks."""
    networks: int


class Trend(NamedTuple):
    """Change of a statistic over the levels of a factor."""

    slope: float
    """Least squares over the levels' order, per level."""
    low: float
    high: float
    p: float
    """Two-sided, of the permutation test; of a spread, of the distances from the median."""
    networks: tuple[int, ...]
    """Networks that entered, by level."""
    relative: float
    """The slope over the mean of the levels' values."""
    verdict: str
    """`rises`, `falls`, `no arrow` (p above 0.05, or a spread whose deviations move the other way)
    or `too few networks` (fewer than two levels with three)."""
    paired: bool = False
    """Whether networks of one seed were compared with each other across levels."""


def _drop_left_out(kind: Statistic, values: object) -> np.ndarray:
    """`values` without the networks left out, which are NaN."""
    validate.one_of("kind", kind, get_args(Statistic))
    given = _read(kind, values)
    there = np.flatnonzero(_find_present(kind, given))
    given = given[np.ix_(there, there)] if kind == "pairs" else given[there]
    if not np.isfinite(given).all():
        raise ValueError("values: expected finite distances between networks that are not left out")
    return symmetric("values", given) if kind == "pairs" else given


def _read(kind: Statistic, values: object) -> np.ndarray:
    """`values` [S, S] or [S], NaN for networks left out, in double precision."""
    axes = "S S" if kind == "pairs" else "S"
    return array("values", values, axes, gaps="missing").astype(np.float64, copy=False)


def _find_present(kind: Statistic, values: np.ndarray) -> np.ndarray:
    """Which networks are not left out, [S]."""
    if kind == "pairs":
        return np.isfinite(np.diag(values))
    return np.isfinite(values)


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
    """Jackknife pseudo-values of the networks that are not left out, [S'].

    Args:
        kind: the statistic (`Statistic`).
        values: [S, S] for `pairs`, else [S]; NaN (for pairs: on the diagonal) for a network that
            was left out.

    Raises:
        ValueError: another shape, or distances that are not finite; with fewer than three networks
            there are none, and the result is empty.
    """
    known = _drop_left_out(kind, values)
    if len(known) < 3:
        return np.zeros(0)
    return len(known) * _statistic(kind, known) - (len(known) - 1) * _without_each(kind, known)


def estimate(kind: Statistic, values: object) -> Estimate:
    """The statistic and its jackknife error over networks; arguments as `pseudo_values`."""
    known = _drop_left_out(kind, values)
    if len(known) < (1 if kind == "mean" else 2):
        return Estimate(np.nan, np.nan, len(known))
    pseudo = pseudo_values(kind, values)
    error = float(pseudo.std(ddof=1) / np.sqrt(len(pseudo))) if len(pseudo) else np.nan
    return Estimate(_statistic(kind, known), error, len(known))


def factor_trend(
    kind: Statistic,
    levels: Sequence[object],
    *,
    seeds: Sequence[object] | None = None,
    resampling: Resampling = PERMUTATIONS,
) -> Trend:
    """Slope of a statistic over the levels of a factor, with its interval and a permutation test.

    The slope is the least-squares slope over the levels' order (0, 1, 2, ...). Levels with fewer
    than three networks are left out. With two levels it compares two conditions.

    With `seeds`, and where the seeds that all levels share are more than half of the networks of
    each, the trend is *paired*: it is that of the shared seeds. Every seed s has a slope
    b_s = sum_l w_l p_sl of its pseudo-values p over the levels; the standard error is that of the
    mean of b, the interval Student's over seeds, and the test permutes the levels within each seed.
    Otherwise levels are independent: the standard error combines the levels' jackknife errors, the
    interval has Welch and Satterthwaite's degrees of freedom, and the test permutes networks
    between levels. Both tests compare the slope over its standard error.

    A spread is tested by the distances of its networks from their level's median. One network far
    away moves the standard deviation more than those distances: an arrow needs both to move the
    same way.

    Args:
        kind: the statistic.
        levels: per level, values as in `pseudo_values`.
        seeds: per level, the seed of every network of its values.
        resampling: confidence of the interval; number and seed of the permutations.

    Raises:
        ValueError: fewer than two levels, seeds that do not fit the levels or repeat within one, or
            values that `pseudo_values` rejects.
    """
    validate.instance_of("resampling", resampling, Resampling)
    levels = members("levels", levels)
    seeds = None if seeds is None else members("seeds", seeds)
    if len(levels) < 2:
        raise ValueError(f"levels: expected at least 2, got {len(levels)}")
    known = [_drop_left_out(kind, values) for values in levels]
    used = [place for place, values in enumerate(known) if len(values) >= 3]
    counts = tuple(map(len, known))
    if len(used) < 2:
        nan = np.nan
        return Trend(nan, nan, nan, nan, counts, nan, "too few networks")
    shared = None if seeds is None else _match_seeds(kind, levels, seeds, used)
    if shared is not None:
        counts = tuple(
            len(shared[0]) if place in used else count for place, count in enumerate(counts)
        )
    chosen = [known[place] for place in used] if shared is None else shared
    order = np.array(used) - np.mean(used)
    weights = order / (order @ order)
    found = _Levels(kind, chosen, weights, paired=shared is not None)
    return _trend(found, counts, resampling)


def _match_seeds(
    kind: Statistic, levels: Sequence[object], seeds: Sequence[object], used: Sequence[int]
) -> list[np.ndarray] | None:
    """The values at the `used` levels of the seeds that all have; None where these are too few."""
    if len(seeds) != len(levels):
        raise ValueError(f"seeds: expected {len(levels)} levels, got {len(seeds)}")
    rows: list[dict[object, int]] = []
    for place in used:
        labels = np.asarray(seeds[place]).tolist()
        there = _find_present(kind, _read(kind, levels[place]))
        if len(labels) != len(there) or len(set(labels)) < len(labels):
            raise ValueError(
                f"seeds: expected {len(there)} different ones at level {place}, got {labels}"
            )
        rows.append({label: row for row, label in enumerate(labels) if there[row]})
    common = sorted(set.intersection(*map(set, rows)))  # pyright: ignore[reportArgumentType]
    if len(common) < 3 or any(2 * len(common) <= len(row) for row in rows):
        return None
    found = []
    for place, row in zip(used, rows, strict=True):
        chosen = [row[label] for label in common]
        values = _read(kind, levels[place])[chosen]
        found.append(values[:, chosen] if kind == "pairs" else values)
    return found


class _Levels(NamedTuple):
    """The levels that enter a trend."""

    kind: Statistic
    values: list[np.ndarray]
    """Of each level, without the networks left out; paired ones in one order of the seeds."""
    weights: np.ndarray
    """The slope is the sum of these times the levels' statistics."""
    paired: bool


def _trend(levels: _Levels, counts: tuple[int, ...], resampling: Resampling) -> Trend:
    kind, known, weights, paired = levels
    pseudo = [pseudo_values(kind, values) for values in known]
    # The statistics themselves, not the jackknife's estimates of them: these differ for a spread.
    means = np.array([_statistic(kind, values) for values in known])
    slope = float(weights @ means)
    relative = float(slope / abs(means.mean())) if means.mean() else np.nan
    error, freedom = _paired_error(pseudo, weights) if paired else _error(pseudo, weights)
    if not error > 0:  # all networks alike at every level
        verdict = "rises" if slope > 0 else "falls" if slope < 0 else "no arrow"
        return Trend(slope, slope, slope, float(slope == 0), counts, relative, verdict, paired)
    from scipy import stats  # slow to import

    half = error * float(stats.t.ppf((1 + resampling.confidence) / 2, freedom))
    moved = [np.abs(v - np.median(v)) for v in known] if kind == "spread" else pseudo
    test = _permute_within_seeds if paired else _permute_between_levels
    p = test(moved, weights, resampling)
    agrees = slope * float(weights @ [values.mean() for values in moved]) > 0
    verdict = "no arrow" if p > ALPHA or not agrees else "rises" if slope > 0 else "falls"
    return Trend(slope, slope - half, slope + half, p, counts, relative, verdict, paired)


def _error(pseudo: Sequence[np.ndarray], weights: np.ndarray) -> tuple[float, float]:
    """Standard error of the slope of independent levels, and its degrees of freedom."""
    parts = weights**2 * np.array([p.var(ddof=1) / len(p) for p in pseudo])
    sizes = np.array([len(p) for p in pseudo])
    total = parts.sum()
    shares = np.ldexp(parts, -np.frexp(total)[1])  # exact, and their squares do not overflow
    freedom = shares.sum() ** 2 / ((shares**2 / (sizes - 1)).sum() or 1.0)
    return float(np.sqrt(total)), float(freedom)


def _paired_error(pseudo: Sequence[np.ndarray], weights: np.ndarray) -> tuple[float, float]:
    """The same for levels whose networks share their seeds."""
    slopes = np.stack(pseudo, axis=1) @ weights
    return float(slopes.std(ddof=1) / np.sqrt(len(slopes))), float(len(slopes) - 1)


def _permute_between_levels(
    values: Sequence[np.ndarray], weights: np.ndarray, resampling: Resampling
) -> float:
    """Two-sided p value of the studentized slope when networks are exchanged between levels."""
    rng, ends = resampling.generator(), np.cumsum([len(v) for v in values])[:-1]
    joined = np.concatenate(values)
    drawn = rng.permuted(np.tile(joined, (resampling.resamples, 1)), axis=1)
    groups = np.split(np.concatenate([joined[None], drawn]), ends, axis=1)
    slopes = sum(w * group.mean(1) for w, group in zip(weights, groups, strict=True))
    variance = sum(
        w**2 * group.var(1, ddof=1) / group.shape[1]
        for w, group in zip(weights, groups, strict=True)
    )
    return _two_sided(np.asarray(slopes), np.sqrt(variance))


def _permute_within_seeds(
    values: Sequence[np.ndarray], weights: np.ndarray, resampling: Resampling
) -> float:
    """The same when levels are exchanged within every seed."""
    table = np.stack(values, axis=1)  # [S, levels]
    copies = np.broadcast_to(table, (resampling.resamples, *table.shape))
    drawn = resampling.generator().permuted(copies, axis=2)
    slopes = np.concatenate([table[None], drawn]) @ weights
    return _two_sided(slopes.mean(1), slopes.std(1, ddof=1))


def _two_sided(slopes: np.ndarray, errors: np.ndarray) -> float:
    """Share of the permutations whose slope over its error is as far from 0 as the first one's."""
    with np.errstate(divide="ignore", invalid="ignore"):
        size = np.abs(slopes / errors)
    return float(np.mean(size >= size[0] * (1 - 1e-12)))
