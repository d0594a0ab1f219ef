"""Learning rates and network sizes, evenly spaced on a logarithmic scale."""

import math
from collections.abc import Iterable
from typing import Any

from rnnjax.validate import finite_positive, positive_integer

__all__ = ["log_rates", "log_widths"]


_MOST = 100_000
"""Largest number of values; a sweep over more is a mistake."""


def log_rates(low: float, high: float, per_decade: int = 2) -> tuple[float, ...]:
    """Learning rates evenly spaced on a log scale, both ends included: `log_rates(1e-4, 1)`.

    Every rate is rounded to five digits.
    """
    low, high = finite_positive("low", low), finite_positive("high", high)
    positive_integer("per_decade", per_decade)
    ratio = high / low
    steps = math.log10(ratio) * per_decade if ratio > 0 else -math.inf
    _check_count(steps)
    if steps < -1e-6:
        raise ValueError(f"high: expected at least low = {low}, got {high}")
    if abs(steps - round(steps)) > 1e-6:
        raise ValueError(
            f"high: expected low times 10^(k/{per_decade}) for a whole number k, with low = {low}, "
            f"got {high}"
        )
    return _drop_repeats(
        float(f"{low * 10 ** (k / per_decade):.5g}") for k in range(round(steps) + 1)
    )


def log_widths(low: int, high: int, per_decade: int = 4) -> tuple[int, ...]:
    """Network sizes evenly spaced on a log scale from `low` up to `high`, rounded to integers."""
    positive_integer("low", low)
    positive_integer("high", high)
    positive_integer("per_decade", per_decade)
    if high < low:
        raise ValueError(f"high: expected at least low = {low}, got {high}")
    count = int(math.log10(high / low) * per_decade + 1e-9) + 1
    _check_count(count)
    return _drop_repeats(round(low * 10 ** (k / per_decade)) for k in range(count))


def _check_count(steps: float) -> None:
    if steps > _MOST:
        raise ValueError(
            f"per_decade: expected at most {_MOST} values in all, got about {steps:.0f}"
        )


def _drop_repeats(values: Iterable[Any]) -> tuple[Any, ...]:
    return tuple(dict.fromkeys(values))
