"""Least squares with missing points, for many lines at once, and intervals of their slopes."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from rnnjax.validate import confidence, positive_integer, whole

__all__ = [
    "LINE_SAMPLES",
    "LINE_VARIABLES",
    "Line",
    "Resampling",
    "bracketed_interval",
    "consistent_slopes",
    "fit_conditions",
    "fit_lines",
    "line_summary",
    "percentile_interval",
    "residual_interval",
    "seed_weights",
    "seeds_vary",
]

LINE_VARIABLES = (
    "exponent",
    "intercept",
    "exponent_low",
    "exponent_high",
    "scatter_low",
    "scatter_high",
)
"""Variables of a fitted power law, one number per condition."""

LINE_SAMPLES = ("exponent_samples", "intercept_samples")
"""Variables of its refits, along `resample`."""

LEAST_POINTS = 3
"""Fewest points of a fit: a line through two points leaves no residual."""

_ON_THE_LINE = 1e-4
"""Largest residual in log10 of points on a line: learning rates are rounded to five digits."""


@dataclasses.dataclass(frozen=True)
class Resampling:
    """Settings of a resampled interval or test.

    Raises `ValueError` for a confidence that does not lie between 0 and 1, fewer than one resample
    or a negative seed.
    """

    confidence: float = 0.95
    """Coverage of the interval."""
    resamples: int = 2000
    """Number of resamples or permutations."""
    random_seed: int = 0
    """Seed of their random numbers."""

    def __post_init__(self):
        confidence("confidence", self.confidence)
        positive_integer("resamples", self.resamples)
        whole("random_seed", self.random_seed)

    def generator(self) -> np.random.Generator:
        """A new random number generator from `random_seed`."""
        return np.random.default_rng(self.random_seed)


class Line(NamedTuple):
    """Lines `y = intercept + slope * x`, one per leading index; NaN where points are too few."""

    slope: np.ndarray
    intercept: np.ndarray


def fit_lines(x: np.ndarray, y: np.ndarray) -> Line:
    """Ordinary least squares of `y` `[..., M]` on `x` `[M]`; NaN entries of `y` are left out."""
    used = ~np.isnan(y)
    count = used.sum(-1)
    enough = count >= LEAST_POINTS
    share = np.where(enough, count, 1)
    x_mean = (used * x).sum(-1) / share
    y_used = np.where(used, y, 0.0)
    y_mean = y_used.sum(-1) / share
    centered = used * (x - x_mean[..., None])
    spread = (centered**2).sum(-1)
    good = enough & (spread > 0)
    slope = np.where(good, (centered * y_used).sum(-1) / np.where(good, spread, 1.0), np.nan)
    return Line(slope, y_mean - slope * x_mean)


def percentile_interval(samples: np.ndarray, confidence: float) -> tuple[float, float]:
    """Central interval of the samples that are not NaN; NaN if these are fewer than half."""
    kept = samples[~np.isnan(samples)]
    if 2 * len(kept) < len(samples) or not len(kept):
        return np.nan, np.nan
    low, high = np.quantile(kept, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def consistent_slopes(x: np.ndarray, low: np.ndarray, high: np.ndarray) -> tuple[float, float]:
    """Range of the slopes of all lines that pass through every bracket `[low, high]`, each `[M]`.

    Eliminating the intercept leaves `(low_i - high_j) / (x_i - x_j) <= slope <= (high_i - low_j) /
    (x_i - x_j)` for every pair with `x_i > x_j`. (inf, -inf) where no line passes through all.
    """
    used = ~np.isnan(low)
    x, low, high = x[used], low[used], high[used]
    i, j = np.nonzero(x[:, None] > x[None, :])
    least = np.max((low[i] - high[j]) / (x[i] - x[j]), initial=-np.inf)
    most = np.min((high[i] - low[j]) / (x[i] - x[j]), initial=np.inf)
    return (float(least), float(most)) if least <= most else (np.inf, -np.inf)


def bracketed_interval(
    slopes: np.ndarray, x: np.ndarray, low: np.ndarray, high: np.ndarray, confidence: float
) -> tuple[float, float]:
    """Percentiles of the refitted `slopes`, widened to every slope that fits all brackets `[M]`."""
    least, most = consistent_slopes(x, low, high)
    start, end = percentile_interval(slopes, confidence)
    return np.minimum(start, least), np.maximum(end, most)


def residual_interval(x: np.ndarray, y: np.ndarray, confidence: float) -> tuple[float, float]:
    """Student's t interval of the slope from the residuals of `y` `[M]`, NaN entries left out.

    `y` is a log10; NaN where all points lie on the line but for the rounding of a grid.
    """
    line, used = fit_lines(x, y), ~np.isnan(y)
    freedom = int(used.sum()) - 2
    if freedom < 1 or np.isnan(line.slope):
        return np.nan, np.nan
    residual = y[used] - line.intercept - line.slope * x[used]
    # Points on a grid can fall on one line: what its rounding leaves carries no information.
    if np.allclose(residual, 0.0, atol=_ON_THE_LINE):
        return np.nan, np.nan
    spread = ((x[used] - x[used].mean()) ** 2).sum()
    from scipy import stats  # slow to import

    half = stats.t.ppf((1 + confidence) / 2, freedom) * np.sqrt(
        (residual**2).sum() / freedom / spread
    )
    return float(line.slope - half), float(line.slope + half)


def seed_weights(rng: np.random.Generator, resamples: int, finished: np.ndarray) -> np.ndarray:
    """Random weights of the `finished` `[H, S]` seeds of each size, `[resamples, H, S]`.

    A Bayesian bootstrap (Rubin 1981): Dirichlet weights instead of whole-number counts. With four
    seeds the ordinary bootstrap gives only densities of 0, 1/4, ..., and ties at one half raise
    every critical rate. Concentration `1 - 2/n` for n finished seeds, instead of Rubin's 1, makes
    the variance of a mean unbiased, `s^2 / n`; with 1 it is too small by the factor `(n - 1) / (n +
    1)`, 0.6 for four seeds. With two seeds this is all weight on one of them.

    Sizes are independent of each other. Where all seeds finished, weights do not depend on which
    other sizes lack some.
    """
    sizes, seeds = finished.shape
    raw = _concentrated(rng, (resamples, sizes, seeds), np.ones(seeds, bool))
    for size, (own, done) in enumerate(zip(rng.spawn(sizes), finished, strict=True)):
        if 0 < done.sum() < seeds:
            raw[:, size] = _concentrated(own, (resamples, seeds), done)
    return raw / raw.sum(-1, keepdims=True)


def _concentrated(rng: np.random.Generator, shape: tuple[int, ...], done: np.ndarray) -> np.ndarray:
    """Weights of `shape` `[..., S]` before their sum is made 1; 0 for seeds that are not `done`."""
    count = int(done.sum())
    raw = rng.gamma(max(1 - 2 / count, 1 / count), size=shape) * done
    return np.where(raw == raw.max(-1, keepdims=True), 1.0, 0.0) if count == 2 else raw


def seeds_vary(run: np.ndarray, used: np.ndarray) -> bool:
    """Whether every size `used` `[H]` has at least two of the seeds that were `run` `[H, S]`.

    Resamples of a single seed are all the same, an interval without width.
    """
    return bool((run[used].sum(-1) >= 2).all())


def line_summary(
    sizes: np.ndarray,
    y: np.ndarray,
    refits: Line,
    confidence: float,
    brackets: tuple[np.ndarray, np.ndarray] | None = None,
) -> dict[str, Any]:
    """Variables of the fit `y = intercept + exponent * log10 sizes` at one condition.

    Args:
        sizes: network sizes `[H]`.
        y: log10 of the fitted quantity `[H]`; NaN where a size is left out.
        refits: lines of the resamples `[R]`.
        confidence: coverage of the intervals.
        brackets: lower and upper bounds of `y`, which widen the interval of the refits.

    Returns:
        `exponent`, `intercept`, `exponent_low` and `exponent_high` from the refits, `scatter_low`
        and `scatter_high` from the residuals, `points_used`, `hidden_min` and `hidden_max` of the
        sizes used, and the refits as `exponent_samples` and `intercept_samples`.
    """
    x, used = np.log10(sizes.astype(float)), ~np.isnan(y)
    line = fit_lines(x, y)
    slopes = np.where(np.isnan(line.slope), np.nan, refits.slope)
    if brackets is None:
        low, high = percentile_interval(slopes, confidence)
    else:
        low, high = bracketed_interval(slopes, x, *brackets, confidence)
    scatter_low, scatter_high = residual_interval(x, y, confidence)
    return {
        "exponent": line.slope,
        "intercept": line.intercept,
        "exponent_low": low,
        "exponent_high": high,
        "scatter_low": scatter_low,
        "scatter_high": scatter_high,
        "points_used": used.sum(),
        "hidden_min": sizes[used].min() if used.any() else np.nan,
        "hidden_max": sizes[used].max() if used.any() else np.nan,
        "exponent_samples": slopes,
        "intercept_samples": np.where(np.isnan(slopes), np.nan, refits.intercept),
    }


def fit_conditions(
    fit: Callable[..., Mapping[str, Any]],
    arrays: Sequence[xr.DataArray],
    inputs: Sequence[Sequence[str]],
    *,
    scalars: Sequence[str],
    by_size: Sequence[str] = (),
    samples: Sequence[str] = (),
) -> xr.Dataset:
    """Applies `fit` to every condition and packs its results into a Dataset.

    Args:
        fit: maps the arrays of one condition to a mapping from variable to value.
        arrays: data of all conditions.
        inputs: dimensions of each array that `fit` takes; the other dimensions are conditions.
        scalars: variables that are one number per condition; `points_...` are integers.
        by_size: variables along `hidden`.
        samples: variables along `resample`.
    """
    names = (*scalars, *by_size, *samples)
    outputs = [[]] * len(scalars) + [["hidden"]] * len(by_size) + [["resample"]] * len(samples)

    def ordered(*parts: np.ndarray) -> tuple:
        found = fit(*parts)
        return tuple(found[name] for name in names)

    results = xr.apply_ufunc(
        ordered,
        *arrays,
        input_core_dims=inputs,
        output_core_dims=outputs,
        output_dtypes=[int if name.startswith("points_") else float for name in names],
        vectorize=True,
    )
    return xr.Dataset(dict(zip(names, results, strict=True)))
