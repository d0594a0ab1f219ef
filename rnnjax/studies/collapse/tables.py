"""Tables of the page on the learning-rate collapse."""

from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr

from rnnjax.analysis import Resampling, iterate_conditions, power_law
from rnnjax.plots.style import plain_number, signed
from rnnjax.report.page import Table
from rnnjax.report.wording import exponent_text, number
from rnnjax.studies.fits import Finding, row_name
from rnnjax.studies.papers import paper_best_rate, paper_exponent

__all__ = [
    "FIRST_PASSAGE",
    "best_rate_table",
    "exponent_table",
    "literal_table",
    "paper_table",
    "speed_table",
]

FIRST_PASSAGE = (
    "A run reaches it where running means over its training batches first pass; whether it has "
    "learned, in the other sections, is read from held-out trials at its end, and can differ."
)
"""How steps to the criterion are counted."""

DEFINITIONS = ("decision", "matching", "pearson")


def _range(low: float, high: float) -> str:
    return "none" if np.isnan(low) else f"{int(low)} to {int(high)}"


def _interval(low: float, high: float) -> str:
    return "none" if np.isnan(low) else f"{number(low)} to {number(high)}"


def _model_text(model: xr.Dataset) -> str:
    reason = str(model["reason"].item())
    return f"none: {reason}" if reason else exponent_text(model)


def exponent_table(findings: Sequence[Finding], models: Sequence[xr.Dataset]) -> Table:
    """Exponent, both intervals, sizes used and censored, range of the fit; the model's exponent."""
    rows = []
    for finding, model in zip(findings, models, strict=True):
        fit = finding.fit
        missing = np.isnan(finding.exponent)
        rows.append(
            (
                row_name(finding.labels),
                "no fit" if missing else number(finding.exponent),
                _interval(*finding.interval),
                _interval(float(fit["scatter_low"]), float(fit["scatter_high"])),
                str(int(fit["points_used"])),
                f"{finding.censored('above')} / {finding.censored('below')}",
                "none" if missing else _range(float(fit["hidden_min"]), float(fit["hidden_max"])),
                _model_text(model) if finding.started else "not run yet",
            )
        )
    columns = (
        "condition",
        "exponent",
        "95% interval",
        "from scatter",
        "sizes used",
        "censored above / below",
        "N of the fit",
        "model of all seeds",
    )
    caption = (
        "Exponent of Eq. 6, critical rate against size. The 95% interval covers seeds and grid "
        "spacing; “from scatter” is Student's interval from the residuals of the line alone (none "
        "where the points lie on it). Censored sizes do not enter the fit: above, enough seeds "
        "still learned at the largest rate tried; below, they learned at none. “Model of all "
        "seeds”: the exponent and 95% interval of a model of every seed's largest trainable rate, "
        "sizes censored above included and scatter between sizes allowed for; the line is biased "
        "where rates are coarse or censored, and its interval too narrow where sizes scatter."
    )
    return Table(columns, tuple(rows), caption)


def paper_table(findings: Sequence[Finding]) -> Table:
    """Exponents of the paper beside ours."""
    rows = []
    for finding in findings:
        reported = paper_exponent(finding.labels)
        low, high = finding.interval
        if reported is None or np.isnan(low):
            inside = ""
        else:
            # At the precision that is printed.
            inside = "yes" if round(low, 2) <= round(-reported, 2) <= round(high, 2) else "no"
        rows.append(
            (
                row_name(finding.labels),
                "" if reported is None else number(-reported),
                exponent_text(finding.fit) if finding.started else "not run yet",
                inside,
            )
        )
    caption = (
        "The paper prints absolute values (Fig. 3); here they have the sign of its text, β < 0. "
        "It gives no intervals."
    )
    columns = ("condition", "paper", "here (95% interval)", "paper's value in our interval")
    return Table(columns, tuple(rows), caption)


def literal_table(dataset: xr.Dataset, level: float, resampling: Resampling) -> Table:
    """Exponents with accuracy alone as the criterion: above the task's threshold, and above 0.5."""
    present = [name for name in DEFINITIONS if f"accuracy_{name}" in dataset]
    fits = [power_law(dataset, level, name, 0.5, resampling=resampling) for name in present]
    if "decision" in present:
        criterion = dataset["criterion"]
        fits.insert(0, power_law(dataset, level, "decision", criterion, resampling=resampling))
    rows = []
    for parts in zip(*(list(iterate_conditions(fit, ("resample",))) for fit in fits), strict=True):
        cells = []
        for _, fit in parts:
            used = int(fit["points_used"])
            total = used + int(fit["points_censored"])
            cells.append(f"{exponent_text(fit)}, {used} of {total}" if total else "not run yet")
        rows.append((row_name(parts[0][0]), *cells))
    caption = (
        "Exponent (95% interval), sizes used of sizes run. A size drops out where enough seeds "
        "“succeed” at the largest rate tried, or at none."
    )
    names = [f"{name} > 0.5" for name in present]
    if "decision" in present:
        names.insert(0, "decision > criterion")
    columns = ("condition", *names)
    return Table(columns, tuple(rows), caption)


def _rate_cell(best: xr.Dataset, labels: Mapping[str, object]) -> str:
    rate = float(best["rate"])
    if np.isnan(rate):
        return "none"
    mark = "" if bool(best["trained"]) else " †"
    reported = paper_best_rate(labels, int(best["hidden"]))
    beside = "" if reported is None else f" [{plain_number(reported)}]"
    return plain_number(rate, 2) + mark + beside


def best_rate_table(best: xr.Dataset) -> Table:
    """Best rates in the form of the paper's Table 1: a row per size, a column per condition."""
    parts = list(iterate_conditions(best, ("hidden",)))
    rows = tuple(
        (str(size), *(_rate_cell(part.sel(hidden=size), labels) for labels, part in parts))
        for size in best["hidden"].values.tolist()
    )
    caption = (
        "Of the rates run, the one with the lowest held-out loss, averaged over seeds; a diverged "
        "seed rules a rate out. † lowest among failures: too few of the seeds learned at "
        "that rate. In brackets, the paper's Table 1 where it has that size; its rate of 0.1 for "
        "delayed matching under Adam at N = 3162 may be such a lowest among failures. “none”: "
        "not run, or a seed diverged at every rate."
    )
    return Table(("N", *(row_name(labels) for labels, _ in parts)), rows, caption)


def speed_table(speed: xr.Dataset) -> Table:
    """Exponents of the steps to the criterion, at each rate with a fit."""
    rows = []
    for labels, part in iterate_conditions(speed, ("hidden",)):
        if np.isnan(float(part["exponent"])):
            continue
        low, high = float(part["exponent_low"]), float(part["exponent_high"])
        place = {name: value for name, value in labels.items() if name != "learning_rate"}
        rows.append(
            (
                row_name(place),
                plain_number(float(part["learning_rate"]), 2),
                signed(float(part["exponent"])),
                "none" if np.isnan(low) else f"{signed(low)} to {signed(high)}",
                f"{int(part['points_used'])} / {int(part['points_missing'])}",
                _range(float(part["hidden_min"]), float(part["hidden_max"])),
            )
        )
    columns = ("condition", "rate", "exponent", "95% interval", "sizes used / not", "N of the fit")
    caption = (
        f"Steps until enough seeds reached the criterion, against size. {FIRST_PASSAGE} Positive: "
        "larger networks are slower. The interval covers seeds only. Sizes at which too few "
        "reached it are left out: if these are the large and slow ones, the exponent is biased "
        "toward 0."
    )
    return Table(columns, tuple(rows), caption)
