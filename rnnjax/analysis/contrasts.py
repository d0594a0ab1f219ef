"""Student's tests and intervals of weighted sums of the statistics of conditions.

Conditions are given by their pseudo-values (`rnnjax.analysis.trends`), whose means are the
statistics. Networks of different conditions may share their seeds, which makes the conditions
paired; otherwise they are independent.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

__all__ = ["Tested", "assess_contrast", "ratio_limits"]


class Tested(NamedTuple):
    """Student's interval and test of a sum of weighted means."""

    half: float
    """Half the width of the interval."""
    p: float
    significant: bool
    """Whether the interval excludes 0."""


def assess_contrast(
    value: float,
    pseudo: Sequence[np.ndarray],
    weights: np.ndarray,
    *,
    paired: bool,
    confidence: float,
) -> Tested:
    """Tests the sum `value` of weighted statistics of conditions from their pseudo-values."""
    from scipy import special  # slow to import

    variance, freedom = _covariance(pseudo, weights[None], paired=paired)
    error = float(np.sqrt(variance[0, 0]))
    if np.isnan(error):
        return Tested(np.nan, np.nan, False)
    # Rounding of pseudo-values, which are S times their statistics less about as much.
    size = float(np.abs(weights) @ [np.abs(p).mean() for p in pseudo])
    noise = 16 * max(map(len, pseudo)) * np.finfo(float).eps * size
    if not error > noise:  # all networks alike at every level
        same = abs(value) <= noise
        return Tested(0.0, float(same), not same)
    p = float(2 * special.stdtr(freedom, -abs(value) / error))
    half = error * float(special.stdtrit(freedom, (1 + confidence) / 2))
    return Tested(half, p, p <= 1 - confidence)


def ratio_limits(
    ratio: float,
    pseudo: Sequence[np.ndarray],
    weights: np.ndarray,
    *,
    paired: bool,
    confidence: float,
) -> tuple[float, float]:
    """Fieller's (1954) interval of the ratio of two sums, the second of which is 1.

    It holds every r for which the first sum less r times the second does not differ from 0, so
    that it contains 0 exactly where `assess_contrast` finds the first sum not significant. The
    limits are NaN where the second sum does not differ from 0: any ratio would do.

    Args:
        ratio: the first sum.
        pseudo: of every condition.
        weights: of both sums, [2, conditions].
        paired: whether conditions share their seeds.
        confidence: coverage of the interval.
    """
    from scipy import special  # slow to import

    covariance, freedom = _covariance(pseudo, weights, paired=paired)
    if not freedom:  # the first sum is exact
        covariance, freedom = _covariance(pseudo, weights[::-1], paired=paired)
        covariance = covariance[::-1, ::-1]
    if not freedom:
        return ratio, ratio
    above, both, below = covariance[[0, 0, 1], [0, 1, 1]] * (
        special.stdtrit(freedom, (1 + confidence) / 2) ** 2
    )
    lead, middle, last = 1 - below, ratio - both, ratio**2 - above
    if not lead > 0:
        return np.nan, np.nan
    root = np.sqrt(max(middle**2 - lead * last, 0.0))
    return float((middle - root) / lead), float((middle + root) / lead)


def _covariance(
    pseudo: Sequence[np.ndarray], weights: np.ndarray, *, paired: bool
) -> tuple[np.ndarray, float]:
    """Covariance of sums with weights [sums, conditions], and degrees of freedom of the first.

    Of independent conditions, an exact sum has no degrees of freedom.
    """
    if paired:
        own = np.stack(pseudo, axis=1) @ weights.T
        return np.atleast_2d(np.cov(own, rowvar=False)) / len(own), float(len(own) - 1)
    variances = np.array([p.var(ddof=1) / len(p) for p in pseudo])
    sizes = np.array([len(p) for p in pseudo])
    parts = weights[0] ** 2 * variances
    shares = np.ldexp(parts, -np.frexp(parts.sum())[1])  # exact, and their squares do not overflow
    freedom = shares.sum() ** 2 / ((shares**2 / (sizes - 1)).sum() or 1.0)
    return (weights * variances) @ weights.T, float(freedom)
