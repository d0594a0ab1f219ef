"""What the fits of study 1 say, in sentences; neutral where the data do not decide."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import xarray as xr

from rnnjax.plots.style import name_value, plain_number

__all__ = [
    "Finding",
    "describe",
    "exponent_text",
    "lead",
    "speed_text",
    "task_name",
    "with_interval",
]

_TASKS = {
    "delayed_cue": "delayed cue discrimination",
    "delayed_match": "delayed matching",
    "flip_flop": "the flip-flop task",
    "sine_wave": "sine-wave generation",
}


class Finding(NamedTuple):
    """One condition: its coordinates, its power law, and its critical rates over `hidden`."""

    labels: Mapping[str, object]
    fit: xr.Dataset
    critical: xr.Dataset

    @property
    def exponent(self) -> float:
        """The fitted exponent; NaN without a fit."""
        return float(self.fit["exponent"])

    @property
    def interval(self) -> tuple[float, float]:
        """Its 95% interval."""
        return float(self.fit["exponent_low"]), float(self.fit["exponent_high"])

    @property
    def started(self) -> bool:
        """Whether any run of the condition has ended."""
        return bool(self.critical["upper"].notnull().any())

    @property
    def fell(self) -> bool:
        """Whether the whole interval lies below zero."""
        return self.interval[1] < 0

    def censored(self, kind: str) -> int:
        """How many sizes are censored as `kind`, `"above"` or `"below"`."""
        return int((self.critical["censored"] == kind).sum())


def task_name(task: object) -> str:
    """A task's name within a sentence."""
    return _TASKS.get(str(task), str(task).replace("_", " "))


def where(labels: Mapping[str, object]) -> str:
    """A condition within a sentence: `delayed cue discrimination under Adam, init = xavier`."""
    parts = [task_name(labels["task"])] if "task" in labels else []
    if "optimizer" in labels:
        parts.append(f"under {name_value(labels['optimizer'])}")
    extra = [f"{k} = {v}" for k, v in labels.items() if k not in ("task", "optimizer")]
    return ", ".join([" ".join(parts) or "this sweep", *extra])


def number(value: float) -> str:
    """An exponent with two decimals; never minus zero."""
    return f"{round(value, 2) + 0.0:.2f}"


def exponent_text(fit: xr.Dataset) -> str:
    """`-0.97 (-1.35 to -0.57)`, or `no fit`."""
    if np.isnan(float(fit["exponent"])):
        return "no fit"
    return with_interval(
        *(float(fit[name]) for name in ("exponent", "exponent_low", "exponent_high"))
    )


def with_interval(middle: float, low: float, high: float) -> str:
    """`-0.97 (-1.35 to -0.57)`, or `-0.97 (no interval)`."""
    if np.isnan([low, high]).any():
        return f"{number(middle)} (no interval)"
    return f"{number(middle)} ({number(low)} to {number(high)})"


def _size(size: int) -> str:
    """`N = 10` that no line break can part."""
    return f"N\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}{size}"


def _ends(finding: Finding) -> str:
    """The critical rates at the smallest and the largest size of the fit."""
    rate = finding.critical["rate"]
    ends = [int(finding.fit["hidden_min"]), int(finding.fit["hidden_max"])]
    first, last = (
        f"{plain_number(float(rate.sel(hidden=end)), 2)} at {_size(end)}" for end in ends
    )
    return f"from {first} to {last}"


def _unfitted(finding: Finding) -> str:
    used, place = int(finding.fit["points_used"]), where(finding.labels)
    reasons = []
    if above := finding.censored("above"):
        reasons.append(f"{above} still trained at the largest rate tried")
    if below := finding.censored("below"):
        reasons.append(f"{below} trained at no rate tried")
    because = f": {', '.join(reasons)}" if reasons else ""
    total = used + int(finding.fit["points_censored"])
    return (
        f"In {place} the critical rate is bracketed at {used} of {total} sizes{because}; "
        "an exponent needs three."
    )


def describe(finding: Finding) -> str:
    """One sentence with the numbers of one condition."""
    place = where(finding.labels)
    if not finding.started:
        return f"In {place} no run has finished yet."
    if np.isnan(finding.exponent):
        return _unfitted(finding)
    low, high = (number(end) for end in finding.interval)
    numbers = f"exponent {number(finding.exponent)} (95% interval {low} to {high})"
    if np.isnan(finding.interval[0]):
        return f"In {place} the exponent is {number(finding.exponent)}, without a usable interval."
    if finding.fell or finding.interval[0] > 0:
        verb = "fell" if finding.fell else "rose"
        return f"In {place} the largest trainable learning rate {verb} {_ends(finding)}: {numbers}."
    return (
        f"In {place} the data do not decide whether the largest trainable learning rate depends on "
        f"size: {numbers}."
    )


def lead(findings: Sequence[Finding], partial: bool) -> str:
    """The finding in plain words: the clearest fall with its numbers, then how general it is."""
    prefix = "Partial results, the sweep is not complete. " if partial else ""
    started = [finding for finding in findings if finding.started]
    if not started:
        return prefix + "No run has finished yet."
    fitted = [finding for finding in started if not np.isnan(finding.exponent)]
    falling = [finding for finding in fitted if finding.fell]
    # The first in the sweep's own order: picking the steepest would flatter the result.
    first = (falling or fitted or started)[0]
    sentence = describe(first)
    if len(started) == 1:
        return prefix + sentence
    if not fitted:
        return prefix + sentence + f" None of the {len(started)} conditions gives an exponent."
    return (
        f"{prefix}{sentence} The interval lies below zero in {len(falling)} of {len(started)} "
        f"conditions{_missing_fits(len(started) - len(fitted))}."
    )


def _missing_fits(count: int) -> str:
    return f" ({count} could not be fitted)" if count else ""


def speed_text(speed: xr.Dataset) -> str:
    """Whether larger networks needed more steps at a fixed rate, counted over the fitted rates."""
    low, high = speed["exponent_low"], speed["exponent_high"]
    fits = int((speed["exponent"].notnull() & low.notnull()).sum())
    if not fits:
        return "No learning rate was reached by three sizes, so no exponent can be given."
    slower, faster = int((low > 0).sum()), int((high < 0).sum())
    return (
        f"At a fixed learning rate, {fits} lines could be fitted. Larger networks needed more "
        f"steps in {slower} of them and fewer in {faster} (whole 95% interval above or below "
        f"zero); the other {fits - slower - faster} do not decide."
    )
