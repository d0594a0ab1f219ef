"""Least squares on masked points, many lines at once, and the intervals built on them."""

import dataclasses
from typing import NamedTuple

import numpy as np
from scipy import stats

from rnnjax.validate import fraction, positive_integer, whole

__all__ = [
    "Line",
    "Resampling",
    "consistent_slopes",
    "fit_lines",
    "percentile_interval",
    "residual_interval",
    "seed_weights",
]

LEAST_POINTS = 3
"""A line through two points has no residual: fewer than three points give no exponent."""


@dataclasses.dataclass(frozen=True)
class Resampling:
    """Settings of a resampled interval or test.

    Raises `ValueError` for a confidence outside (0, 1], fewer than one resample or a negative seed.
    """

    confidence: float = 0.95
    """Coverage of the interval."""
    resamples: int = 2000
    """Number of resamples or permutations."""
    random_seed: int = 0
    """Seed of their random numbers."""

    def __post_init__(self):
        fraction("confidence", self.confidence, open_below=True)
        positive_integer("resamples", self.resamples)
        whole("random_seed", self.random_seed)

    def generator(self) -> np.random.Generator:
        """A new random number generator from `random_seed`."""
        return np.random.default_rng(self.random_seed)


class Line(NamedTuple):
    """Lines `y = intercept + slope * x`, one per leading index; NaN where points were too few."""

    slope: np.ndarray
    intercept: np.ndarray


def fit_lines(x: np.ndarray, y: np.ndarray) -> Line:
    """Ordinary least squares of `y` `[..., M]` on `x` `[M]`, leaving out the NaN entries of `y`."""
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
    """Central interval of the samples that are not NaN; NaN if fewer than half of them remain."""
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


def residual_interval(x: np.ndarray, y: np.ndarray, confidence: float) -> tuple[float, float]:
    """Student's interval of the slope from the scatter of `y` `[M]` about its line, NaN apart."""
    line, used = fit_lines(x, y), ~np.isnan(y)
    freedom = int(used.sum()) - 2
    if freedom < 1 or np.isnan(line.slope):
        return np.nan, np.nan
    residual = y[used] - line.intercept - line.slope * x[used]
    # Points rounded to a grid can fall on one line exactly; their scatter then tells nothing.
    if np.allclose(residual, 0.0, atol=1e-9):
        return np.nan, np.nan
    spread = ((x[used] - x[used].mean()) ** 2).sum()
    half = stats.t.ppf((1 + confidence) / 2, freedom) * np.sqrt(
        (residual**2).sum() / freedom / spread
    )
    return float(line.slope - half), float(line.slope + half)


def seed_weights(rng: np.random.Generator, resamples: int, groups: int, seeds: int) -> np.ndarray:
    """Random weights of the seeds, `[resamples, groups, seeds]`, independent between groups.

    A Bayesian bootstrap (Rubin 1981): Dirichlet weights instead of whole-number counts. With four
    seeds the ordinary bootstrap knows densities of 0, 1/4, ... only, and ties at one half lift
    every critical rate. Concentration `1 - 2/n` instead of Rubin's 1 makes the variance of a mean
    unbiased, `s^2 / n`; with 1 it is too small by `(n - 1) / (n + 1)`, 40 % at four seeds.
    """
    concentration = max(1 - 2 / seeds, 1 / seeds)
    raw = rng.gamma(concentration, size=(resamples, groups, seeds))
    return raw / raw.sum(-1, keepdims=True)
