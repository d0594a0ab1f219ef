"""Page on sharpness: does curvature before training predict the largest learning rate?"""

from collections.abc import Sequence

import numpy as np
import xarray as xr

from rnnjax.plots.style import name_value, plain_number
from rnnjax.report.page import Page, Picture, Section, Table
from rnnjax.report.provenance import Provenance, criterion_text, steps_taken
from rnnjax.report.wording import bullets, exponent_text, number, with_interval
from rnnjax.studies.pages import rates_tried, sweep_page
from rnnjax.studies.sharpness.analysis import Prediction, compare_rates
from rnnjax.studies.sharpness.figures import predicted_rates, sharpness_curves

__all__ = ["sharpness_page"]

_WORDS = {
    "agrees": "as predicted",
    "differs": "not as predicted",
    "undecided": "undecided",
    "unfitted": "no comparison",
}


def _name(prediction: Prediction) -> str:
    labels = prediction.labels
    return f"{name_value(str(labels['cell']))}, {labels['activation']}"


MARGIN = 0.5
"""Decades per decade of N within which exponents count as equal, as in width transfer."""


def _lead(found: Sequence[Prediction]) -> str:
    """The verdict on every condition, those that agree first."""
    parts = []
    for verdict, words in _WORDS.items():
        names = _joined([one for one in found if one.verdict(MARGIN) == verdict])
        if names:
            parts.append(f"{words}: {'; '.join(names)}")
    lead = ". ".join(f"{part[:1].upper()}{part[1:]}" for part in parts)
    return (
        "How does the largest stable rate change with N, and does the curvature of the loss before "
        f"training predict it? {lead}."
    )


def _joined(found: Sequence[Prediction]) -> list[str]:
    """Names of conditions; those whose exponents are all printed alike are one finding.

    With linear units some rules define the same network and the same steps (docs/sharpness.md).
    """
    groups: dict[tuple[str, ...], list[str]] = {}
    for one in found:
        texts = tuple(exponent_text(fit) for fit in (one.predicted, one.stable, one.learned))
        alone = (*texts, _name(one)) if "no fit" in texts else texts
        groups.setdefault(alone, []).append(_name(one))
    return [
        names[0] if len(names) == 1 else f"{' and '.join(names)} (one finding, with equal numbers)"
        for names in groups.values()
    ]


def _fit_cell(fit: xr.Dataset) -> str:
    reason = str(fit["reason"].item()) if "reason" in fit else ""
    return f"none: {reason}" if reason else exponent_text(fit)


def _difference_cell(one: Prediction) -> str:
    middle, low, high = one.difference
    if np.isnan([low, high]).any():
        return "none" if np.isnan(middle) else with_interval(middle, low, high)
    ends = " to ".join(_end(end) for end in (low, high))
    return f"{number(middle)} ({ends})"


def _end(value: float) -> str:
    """An end of an interval; one that would round to 0 keeps a digit, so that its sign is seen."""
    return number(value) if abs(value) >= 0.005 else f"{value:.1g}"


def _ratio_cell(ratio: xr.DataArray) -> str:
    known = ratio.values[np.isfinite(ratio.values)]
    if not len(known):
        return "none"
    middle = plain_number(float(np.exp(np.log(known).mean())), 2)
    low, high = (plain_number(float(end), 2) for end in (known.min(), known.max()))
    return f"{middle} ({low} to {high})"


def _table(found: Sequence[Prediction]) -> Table:
    rows = tuple(
        (
            _name(one),
            exponent_text(one.predicted),
            _fit_cell(one.stable),
            _fit_cell(one.learned),
            _difference_cell(one),
            _WORDS[one.verdict(MARGIN)],
            _ratio_cell(one.ratio),
        )
        for one in found
    )
    caption = (
        "Exponents in N with 95% intervals: of 2 over the sharpness before training (Student's, "
        "over seeds), of the largest rate at which training is stable and of the largest that "
        "learns (models of all seeds). Difference: stable less predicted. “As predicted”: its "
        f"interval lies within ±{MARGIN:g}; “not as predicted”: it does not, and excludes 0. Last "
        "column: the largest stable rate over the predicted one, geometric mean over sizes and "
        "their range."
    )
    columns = (
        "condition", "predicted", "stable", "learns", "difference", "stable against N",
        "stable / predicted",
    )  # fmt: skip
    return Table(columns, rows, caption)


def _start_text(results: xr.Dataset, below: float, above: float) -> str:
    rates = results["learning_rate"]
    return (
        "Gradient descent at rate eta is locally stable while eta times the largest curvature of "
        "the loss, the sharpness, is below 2; networks may survive larger rates where a step takes "
        "them to a flatter place. Learning-rate factors that a width rule applies to single weight "
        "matrices are included. The "
        "prediction is 2 over the sharpness of the initial network. Training is stable if the loss "
        "stays finite and ends below that of the initial network; it learns with "
        f"{criterion_text(results)} and a loss below "
        "that of the best output that ignores the input. For both, only rates below the first "
        f"failure count. Rates were tried from {number(below)} decades below to {number(above)} "
        "decades above the median prediction of each size, as far as the grid reaches, which goes "
        f"from {plain_number(float(rates.min()), 2)} to {plain_number(float(rates.max()), 2)}."
    )


def _edge_text(curves: xr.Dataset, steps: int) -> str:
    """Shares of runs that are sharper than 2 over their rate at start, and at the last step."""
    last = int(curves["step"][-1])
    place = "at the end" if last == steps else f"at step {last}"
    product = (curves["sharpness"] * curves["learning_rate"]).transpose(..., "step")
    lines = []
    for activation in curves["activation"].values:
        loss = curves["loss"].sel(activation=activation).isel(step=-1)
        many, begun = int(np.isfinite(loss).sum()), loss.size
        ends = product.sel(activation=activation).isel(step=-1).values
        known = ends[np.isfinite(ends)]
        start = product.sel(activation=activation).isel(step=0)
        if many and not len(known):
            lines.append(
                f"{activation}: of {many} runs that stayed finite the sharpness is not known."
            )
            continue
        if not many:
            lines.append(f"{activation}: none of {begun} runs stayed finite.")
            continue
        those = "stayed finite" if len(known) == many else "have a known one"
        lines.append(
            f"{activation}: rate times sharpness was above 2 in {int((start > 2).sum())} of "
            f"{begun} runs at the start, and in {int((known > 2).sum())} of the {len(known)} that "
            f"{those} {place}, where its median is {number(float(np.median(known)))} and its "
            f"largest {number(float(known.max()))}."
        )
    return (
        f"Networks of {int(curves.attrs['hidden'])} units in training at multiples of the "
        "predicted rate. A run that starts above 2 may diverge or move to a flatter place; one "
        "that starts below 2 may become sharper until it reaches 2, the edge of stability "
        "(Cohen et al. 2021).\n\n" + bullets(lines)
    )


def _caveats(results: xr.Dataset) -> list[str]:
    return [
        "The prediction holds for gradient descent without momentum and clipping, near the start; "
        "it says nothing about Adam.",
        f"{rates_tried(results['learning_rate'].values)}, with {results.sizes['seed']} seeds and "
        f"{steps_taken(results)} steps. A rate that is stable for these steps may not be so "
        "later.",
        "Batches are fresh trials: the curvature of a batch differs from that of the held-out "
        "trials, little on tasks with few distinct trials.",
        f"Exponents count as equal where the interval of their difference lies within ±{MARGIN:g}, "
        "a margin that was chosen, not measured.",
        "Predictions and trained networks share their first seeds, so that the interval of the "
        "difference is rather too wide than too narrow.",
        "A power law is fitted to sizes whose initial networks may differ in kind: in small ones "
        "random weights vary more.",
    ]


def sharpness_page(
    results: xr.Dataset,
    provenance: Provenance,
    *,
    sharpness: xr.Dataset,
    curves: xr.Dataset | None,
    below: float,
    above: float,
    pending: bool = False,
) -> Page:
    """The page on predicted and measured rates.

    Args:
        results: results of the sweep, with `cell` and `activation`.
        provenance: how they were computed.
        sharpness: `sharpness` and `largest_rate` before training, over (cell, activation, hidden,
            seed).
        curves: sharpness along training, as `sharpness_curves` takes it, if measured.
        below: decades below the prediction that were tried.
        above: decades above.
        pending: whether the sweep is still running.

    Raises `ValueError` for missing variables or dimensions.
    """
    results = results.sortby(["hidden", "learning_rate"])
    found = compare_rates(results, sharpness)
    started = bool(results["final_loss"].notnull().any())
    picture = Picture(
        predicted_rates(results, sharpness),
        "predicted_rates",
        "Largest learning rates against network size. Dots: 2 over the sharpness of each seed "
        "before training; line: their median. Bars: from the largest rate at which half of the "
        "seeds are stable (or learn), up to the first failure, to the next larger rate tried; open "
        "arrows: no larger rate was tried. Sizes at which too few were stable (or learned) at any "
        "rate have no mark.",
    )
    text = _start_text(results, below, above)
    sections = [Section("Predicted and measured rates", text, (_table(found),), (picture,))]
    if curves is not None:
        drawn = Picture(
            sharpness_curves(curves),
            "sharpness_curves",
            "Learning rate times sharpness along training: one curve per seed; color: learning "
            "rate. Dashed: 2, above which a parabola is unstable. Curves end where a run diverged, "
            "and leave the panel where sharpness explodes.",
        )
        steps = int(steps_taken(results))
        sections.append(
            Section("Sharpness along training", _edge_text(curves, steps), (), (drawn,))
        )
    return sweep_page(
        "Sharpness", _lead(found) if started else "", sections, results, provenance,
        subtitle="Does curvature before training predict the largest learning rate?",
        caveats=_caveats(results), partial=pending or not started,
    )  # fmt: skip
