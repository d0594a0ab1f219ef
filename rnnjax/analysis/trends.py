"""Means over pairs and over networks with jackknife errors, and their trends over conditions.

A mean over S (S - 1) / 2 pairs rests on S networks. With theta the statistic of all networks and
theta_(s) that without network s, the pseudo-values

    p_s = S theta - (S - 1) theta_(s)

behave like S independent values (Tukey 1958): their mean is the jackknife's estimate (theta itself
for a mean over pairs), and their standard deviation over sqrt(S) its standard error. Student's t
of these errors gives intervals and tests, so that they never contradict each other.

The jackknife of a standard deviation fails where a few values lie far away. Intervals and trends of
a spread are therefore those of a robust standard deviation, the geometric mean over pairs of
|x_i - x_j| times exp(gamma / 2), with gamma = 0.577 (Euler's): for normal values it estimates their
standard deviation, and its logarithm is a mean over pairs. Equal values have no logarithm: they
count as the closest different ones, and fewer than three different values give no interval and no
test.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple, TypeAlias, get_args

import numpy as np

from rnnjax import validate
from rnnjax.analysis.contrasts import Tested, assess_contrast, ratio_limits
from rnnjax.arrays import array, members, symmetric

__all__ = [
    "ALPHA",
    "Estimate",
    "Interval",
    "Statistic",
    "Trend",
    "estimate",
    "factor_trend",
    "interval",
    "pseudo_values",
]

Statistic: TypeAlias = Literal["pairs", "mean", "spread"]
"""The mean over pairs of [S, S] distances; the mean of [S] values; their standard deviation."""

ALPHA = 0.05
"""Above this p value a trend has no arrow; 1 - ALPHA is the default confidence."""


class Estimate(NamedTuple):
    """A statistic of a condition."""

    value: float
    error: float
    """Jackknife standard error; NaN below three networks."""
    networks: int


class Interval(NamedTuple):
    """A statistic of a condition with its interval."""

    value: float
    """As in `Estimate`, but of a spread the robust standard deviation."""
    low: float
    high: float


class Trend(NamedTuple):
    """Change of a statistic over the levels of a factor."""

    slope: float
    """Least squares over the levels' order, per level; of a spread, that of the logarithm of the
    robust standard deviation."""
    low: float
    high: float
    p: float
    """Two-sided, of Student's test; at most 1 - confidence where the interval excludes 0."""
    networks: tuple[int, ...]
    """Networks that entered, by level; of a level that was left out, those that it has."""
    relative: float
    """The slope over the absolute mean of the levels' values, NaN where these differ in sign; of a
    spread, the growth per level, that is exp(slope) - 1."""
    verdict: str
    """`rises`, `falls`, `no arrow` (the interval contains 0 or is NaN) or `too few networks` (fewer
    than two levels with three)."""
    paired: bool = False
    """Whether networks of one seed were compared with each other across levels."""
    relative_low: float = np.nan
    """Limits of `relative`: Fieller's, as the mean has an error too. They are NaN where the mean
    does not differ from 0, and contain 0 exactly where `low` and `high` do."""
    relative_high: float = np.nan


def read_values(kind: Statistic, values: object) -> np.ndarray:
    """Checked `values` of `pseudo_values` in double precision, NaN for networks left out."""
    validate.one_of("kind", kind, get_args(Statistic))
    axes = "S S" if kind == "pairs" else "S"
    given = array("values", values, axes, gaps="missing").astype(np.float64, copy=False)
    if kind == "pairs":
        known = drop_left_out(kind, given)
        if not np.isfinite(known).all():
            raise ValueError(
                "values: expected finite distances between networks that are not left out"
            )
        symmetric("values", known)
    return given


def drop_left_out(kind: Statistic, given: np.ndarray) -> np.ndarray:
    """Checked values without the networks left out; infinity becomes NaN."""
    there = _find_present(kind, given)
    known = given if there.all() else given[there]
    if kind != "pairs":
        return _hide_infinity(known)
    return known if there.all() else known[:, there]


def _read_known(kind: Statistic, values: object) -> np.ndarray:
    return drop_left_out(kind, read_values(kind, values))


def _hide_infinity(values: np.ndarray) -> np.ndarray:
    """NaN in place of infinity, so that statistics are NaN too."""
    return np.where(np.isfinite(values), values, np.nan)


def _find_present(kind: Statistic, values: np.ndarray) -> np.ndarray:
    """Which networks are not left out, [S]."""
    return ~np.isnan(np.diag(values) if kind == "pairs" else values)


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
            was left out. An infinite value, such as a loss that overflows, is not left out:
            statistics, errors, limits and p are then NaN.

    Raises:
        ValueError: another shape, or distances that are not finite; with fewer than three networks
            there are none, and the result is empty.
    """
    return _pseudo_values(kind, _read_known(kind, values))


def _pseudo_values(kind: Statistic, known: np.ndarray) -> np.ndarray:
    """`pseudo_values` of checked values without gaps."""
    if len(known) < 3:
        return np.zeros(0)
    return len(known) * _statistic(kind, known) - (len(known) - 1) * _without_each(kind, known)


def estimate(kind: Statistic, values: object) -> Estimate:
    """The statistic and its jackknife error over networks; arguments as `pseudo_values`."""
    return _estimate(kind, _read_known(kind, values))


def _estimate(kind: Statistic, known: np.ndarray) -> Estimate:
    """`estimate` of checked values without gaps."""
    if len(known) < (1 if kind == "mean" else 2):
        return Estimate(np.nan, np.nan, len(known))
    pseudo = _pseudo_values(kind, known)
    error = float(pseudo.std(ddof=1) / np.sqrt(len(pseudo))) if len(pseudo) else np.nan
    return Estimate(_statistic(kind, known), error, len(known))


def interval(kind: Statistic, values: object, *, confidence: float = 1 - ALPHA) -> Interval:
    """Student's interval of a statistic over networks; for a spread it is computed on a log scale.

    The limits are NaN with fewer than three networks. For a spread, equal values count as the
    closest different ones, and the limits are NaN with fewer than three different values.

    The interval of a mean over pairs is too narrow where networks are of two kinds far apart, most
    where these are equally frequent: all networks then have nearly the same mean distance to the
    others, and the error of first order, which the jackknife estimates, vanishes.

    Args:
        kind: the statistic; of a spread, the robust standard deviation.
        values: as in `pseudo_values`.
        confidence: coverage, above 0 and below 1.

    Raises:
        ValueError: as `pseudo_values`, or another confidence.
    """
    from scipy import special  # slow to import

    validate.confidence("confidence", confidence)
    known = _read_known(kind, values)
    if kind != "spread":
        value, error, count = _estimate(kind, known)
    elif len(known) > 1 and not np.ptp(known):
        return Interval(0.0, np.nan, np.nan)
    else:
        value, error, count = _estimate("pairs", log_gaps([known])[0])
        value += np.euler_gamma / 2
        error = error if _several(known) else np.nan
    half = error * special.stdtrit(count - 1, (1 + confidence) / 2) if count > 2 else np.nan
    limits = np.array([value, value - half, value + half])
    return Interval(*map(float, np.exp(limits) if kind == "spread" else limits))


def _several(values: np.ndarray) -> bool:
    """Whether there are three different values, which the error of a spread requires."""
    return len(np.unique(values)) > 2


def log_gaps(known: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Logarithms of the differences between values of each condition, [S, S].

    Equal values count as the closest different ones: of their condition, or, where a condition has
    one value alone, of all.
    """
    gaps = [np.abs(values[:, None] - values[None]) for values in known]
    least = [gap[gap > 0].min(initial=np.inf) for gap in gaps]
    some = [size for size in least if np.isfinite(size)]
    floors = np.where(np.isfinite(least), least, min(some, default=1.0))
    return [np.log(np.maximum(gap, floor)) for gap, floor in zip(gaps, floors, strict=True)]


def factor_trend(
    kind: Statistic,
    levels: Sequence[object],
    *,
    seeds: Sequence[object] | None = None,
    confidence: float = 1 - ALPHA,
) -> Trend:
    """Slope of a statistic over the levels of a factor, with Student's interval and test.

    The slope is the least-squares slope over the levels' order (0, 1, 2, ...). Levels with fewer
    than three networks are left out. With two levels it compares two conditions.

    With `seeds`, and where the seeds that all levels share are more than half of the networks of
    each, the trend is *paired*: it is that of the shared seeds. Every seed s has a slope
    b_s = sum_l w_l p_sl of its pseudo-values p over the levels, and the standard error is that of
    the mean of b, with a degree of freedom less than there are seeds. Otherwise levels are
    independent: the standard error combines their jackknife errors, with Welch and Satterthwaite's
    degrees of freedom.

    A spread is compared by the logarithm of its robust standard deviation (`interval`). Limits and
    p are NaN, and there is no arrow, where a level has fewer than three different values.

    Args:
        kind: the statistic.
        levels: per level, values as in `pseudo_values`.
        seeds: per level, the seed of every network of its values.
        confidence: coverage of the interval, above 0 and below 1.

    Raises:
        ValueError: fewer than two levels, another confidence, seeds that do not fit the levels or
            repeat within one, or values that `pseudo_values` rejects.
    """
    validate.confidence("confidence", confidence)
    levels = members("levels", levels)
    seeds = None if seeds is None else members("seeds", seeds)
    if len(levels) < 2:
        raise ValueError(f"levels: expected at least 2, got {len(levels)}")
    given = [read_values(kind, values) for values in levels]
    known = [drop_left_out(kind, values) for values in given]
    used = [place for place, values in enumerate(known) if len(values) >= 3]
    counts = tuple(map(len, known))
    if len(used) < 2:
        nan = np.nan
        return Trend(nan, nan, nan, nan, counts, nan, "too few networks")
    shared = None if seeds is None else match_seeds(kind, given, seeds, used)
    if shared is not None:
        counts = tuple(
            len(shared[0]) if place in used else count for place, count in enumerate(counts)
        )
    chosen = [known[place] for place in used] if shared is None else shared
    order = np.array(used) - np.mean(used)
    weights = order / (order @ order)
    compared = compare_conditions(kind, chosen)
    slope, paired = float(weights @ compared.statistics), shared is not None
    tested = assess_contrast(slope, compared.pseudo, weights, paired=paired, confidence=confidence)
    if compared.logarithmic:
        relative = growth(slope, tested.half)
    else:
        relative = _over_mean(slope, tested, compared, weights, paired, confidence)
    return describe_slope(slope, tested, relative, counts, paired=paired)


def _over_mean(
    slope: float,
    tested: Tested,
    compared: "Compared",
    weights: np.ndarray,
    paired: bool,
    confidence: float,
) -> tuple[float, float, float]:
    """A slope over the absolute mean of the levels' statistics, with Fieller's limits."""
    unit = mean_size(compared.statistics)
    if np.isnan([unit, tested.half]).any():
        return slope / unit, np.nan, np.nan
    mean = np.full_like(weights, np.sign(compared.statistics.sum()) / len(weights))
    sums = np.stack([weights, mean]) / unit
    limits = ratio_limits(slope / unit, compared.pseudo, sums, paired=paired, confidence=confidence)
    return slope / unit, *limits


def mean_size(statistics: np.ndarray) -> float:
    """The absolute mean of statistics of one sign; NaN where signs differ or all are 0."""
    mean, same = abs(float(statistics.mean())), (statistics >= 0).all() or (statistics <= 0).all()
    return mean if same and mean else np.nan


def match_seeds(
    kind: Statistic, levels: Sequence[np.ndarray], seeds: Sequence[object], used: Sequence[int]
) -> list[np.ndarray] | None:
    """Checked values at the `used` levels of the seeds that all have; None if these are too few."""
    if len(seeds) != len(levels):
        raise ValueError(f"seeds: expected {len(levels)} levels, got {len(seeds)}")
    rows: list[dict[object, int]] = []
    for place in used:
        labels = np.asarray(seeds[place]).tolist()
        there = _find_present(kind, levels[place])
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
        values = levels[place][chosen]
        found.append(values[:, chosen] if kind == "pairs" else _hide_infinity(values))
    return found


class Compared(NamedTuple):
    """Conditions that enter a trend."""

    statistics: np.ndarray
    """Of each condition; of a spread, the logarithm of the robust standard deviation."""
    pseudo: list[np.ndarray]
    """Pseudo-values of each; NaN for a spread of fewer than three different values."""
    logarithmic: bool


def compare_conditions(kind: Statistic, known: Sequence[np.ndarray]) -> Compared:
    """What a trend compares of conditions whose values are [S] or [S, S], without gaps."""
    logarithmic = kind == "spread"
    numbers = log_gaps(known) if logarithmic else known
    scale: Statistic = "pairs" if logarithmic else kind
    statistics = np.array([_statistic(scale, values) for values in numbers])
    pseudo = [_pseudo_values(scale, values) for values in numbers]
    if logarithmic:
        pseudo = [p if _several(v) else p * np.nan for p, v in zip(pseudo, known, strict=True)]
    return Compared(statistics, pseudo, logarithmic)


def describe_slope(
    slope: float,
    tested: Tested,
    relative: tuple[float, float, float],
    networks: tuple[int, ...],
    *,
    paired: bool,
) -> Trend:
    """The trend of a tested slope; `relative` is it with its limits in another unit."""
    if not tested.half and not tested.significant:
        slope, relative = 0.0, (0.0, 0.0, 0.0)  # without what rounding leaves
    low, high = slope - tested.half, slope + tested.half
    verdict = "no arrow" if not tested.significant else "rises" if slope > 0 else "falls"
    value, *limits = relative
    return Trend(slope, low, high, tested.p, networks, value, verdict, paired, *limits)


def growth(slope: float, half: float) -> tuple[float, float, float]:
    """The growth per level of a slope of logarithms, with its limits."""
    with np.errstate(over="ignore"):
        value, low, high = np.expm1([slope, slope - half, slope + half]).tolist()
    return value, low, high
