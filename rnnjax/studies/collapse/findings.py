"""The fitted exponents in sentences, neutral where the data are undecided."""

from collections.abc import Sequence

import numpy as np
import xarray as xr

from rnnjax.plots.style import plain_number
from rnnjax.report.wording import number, size_text
from rnnjax.studies.fits import Finding, condition_text
from rnnjax.validate import counted

__all__ = ["describe", "lead", "speed_text"]


def _ends(finding: Finding) -> str:
    """The critical rates at the smallest and the largest size of the fit."""
    rate = finding.critical["rate"]
    ends = [int(finding.fit["hidden_min"]), int(finding.fit["hidden_max"])]
    first, last = (
        f"{plain_number(float(rate.sel(hidden=end)), 2)} at {size_text(end)}" for end in ends
    )
    return f"from {first} to {last}"


def _unfitted_text(finding: Finding) -> str:
    used, place = int(finding.fit["points_used"]), condition_text(finding.labels)
    reasons = []
    if above := finding.censored("above"):
        reasons.append(f"{above} could still be trained at the largest rate tried")
    if below := finding.censored("below"):
        reasons.append(f"{below} could not be trained at any rate tried")
    because = f": {', '.join(reasons)}" if reasons else ""
    total = used + int(finding.fit["points_censored"])
    return (
        f"In {place} the critical rate is bracketed at {used} of {total} sizes{because}; "
        "an exponent needs three."
    )


def describe(finding: Finding) -> str:
    """One sentence with the numbers of one condition."""
    place = condition_text(finding.labels)
    if not finding.started:
        return f"In {place} no run has finished yet."
    if np.isnan(finding.exponent):
        return _unfitted_text(finding)
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


def lead(findings: Sequence[Finding]) -> str:
    """The first fall with its numbers, then how many conditions agree; empty before any run."""
    started = [finding for finding in findings if finding.started]
    if not started:
        return ""
    fitted = [finding for finding in started if not np.isnan(finding.exponent)]
    falling = [finding for finding in fitted if finding.fell]
    # The first in the order of the sweep: choosing the steepest would exaggerate the result.
    first = (falling or fitted or started)[0]
    sentence = describe(first)
    if len(started) == 1:
        return sentence
    if not fitted:
        return f"{sentence} None of the {len(started)} conditions gives an exponent."
    return (
        f"{sentence} The interval lies below zero in {len(falling)} of {len(started)} "
        f"conditions{_missing_fits(len(started) - len(fitted))}."
    )


def _missing_fits(count: int) -> str:
    return f" ({count} could not be fitted)" if count else ""


def speed_text(speed: xr.Dataset) -> str:
    """Number of fitted rates at which larger networks needed more steps, and fewer."""
    low, high = speed["exponent_low"], speed["exponent_high"]
    lines = int(speed["exponent"].notnull().sum())
    fits = int((speed["exponent"].notnull() & low.notnull()).sum())
    if not lines:
        return "At no learning rate did three sizes reach the criterion, so there is no exponent."
    slower, faster = int((low > 0).sum()), int((high < 0).sum())
    with_interval = "all with an interval" if fits == lines else f"{fits} with an interval"
    return (
        f"A power law could be fitted at {counted(lines, 'learning rate')}, {with_interval}: "
        f"larger networks needed more steps at {slower} and fewer at {faster} of them (whole 95% "
        f"interval above or below zero); undecided: {lines - slower - faster}."
    )
