"""Page on width transfer: under which rule does one learning rate suit every width?"""

from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr

from rnnjax.analysis import Resampling, diverged, finished
from rnnjax.plots.style import name_value, plain_number
from rnnjax.report.page import Page, Picture, Section
from rnnjax.report.provenance import Provenance, criterion_text, steps_taken
from rnnjax.report.wording import bullets, number
from rnnjax.studies.fits import condition_text
from rnnjax.studies.pages import rates_tried, sweep_page
from rnnjax.studies.width_transfer.analysis import Fits, Rule, Transfer, find_rules, fit_rates
from rnnjax.studies.width_transfer.coordinates import coordinate_section
from rnnjax.studies.width_transfer.figures import rates_against_width, transfer_curves
from rnnjax.studies.width_transfer.tables import (
    best_table,
    difference_table,
    shift_text,
    sizes_used,
    slope_table,
)
from rnnjax.validate import counted

__all__ = ["transfer_page"]

_PLACES = {
    "standard": "under the standard rule",
    "inverse_width": "under the inverse-width rule",
    "latent": "in latent networks",
    "gru": "in GRUs",
    "lstm": "in LSTMs",
    "mgu": "in minimal gated units",
    "lru": "in linear recurrences",
    "attention": "in linear attention",
    "dale": "under Dale's law",
    "sparse": "with sparse weights",
    "blocks": "with blocks of units",
    "orthogonal": "with orthogonal weights",
    "antisymmetric": "with antisymmetric weights",
    "low_rank_plus_random": "with low-rank plus random weights",
}

_PLURAL = {
    "falls": "both rates fall",
    "rises": "both rates rise",
    "stays": "neither rate changes with size",
}


def _place(labels: Mapping[str, object]) -> str:
    """A condition within a sentence: `under muP`, `in GRUs, delayed matching under Adam`."""
    others = {name: value for name, value in labels.items() if name != "cell"}
    if "cell" not in labels:
        return f"in {condition_text(others)}"
    cell = str(labels["cell"])
    kind, mup, _ = cell.partition("_mup")
    rule = _PLACES.get(kind, f"under {name_value(kind)}") + (" under muP" if mup else "")
    return f"{rule}, {condition_text(others)}" if others else rule


def _unfitted_text(transfer: Transfer) -> str:
    """`no fit, 2 of 5 sizes usable: 3 beyond the rates tried`."""
    finding = transfer.finding
    beyond = finding.censored("above") + finding.censored("below")
    reasons = [f"{beyond} beyond the rates tried"] if beyond else []
    if transfer.untrained:
        reasons.append(f"at {counted(transfer.untrained, 'size')} too few seeds learned")
    because = f": {', '.join(reasons)}" if reasons else ""
    return f"no fit, {sizes_used(finding.fit)} sizes usable{because}"


def _numbers(transfer: Transfer) -> str:
    """`slope -0.83, 95% interval -1.04 to -0.57`, or why there is none."""
    finding = transfer.finding
    if not transfer.fitted:
        return _unfitted_text(transfer)
    low, high = (number(end) for end in finding.interval)
    if np.isnan(finding.interval[0]):
        return f"slope {number(finding.exponent)}, without a usable interval"
    return f"slope {number(finding.exponent)}, 95% interval {low} to {high}"


def _clause(name: str, transfer: Transfer) -> str:
    if transfer.verdict == "undecided":
        return f"it is undecided whether the {name} rate changes with size ({_numbers(transfer)})"
    verb = "does not change with size" if transfer.verdict == "stays" else transfer.verdict
    return f"the {name} rate {verb} ({_numbers(transfer)})"


def _verdict(rule: Rule) -> str:
    """One sentence on how the rates of a rule change with size."""
    place, (best, critical, first) = _place(rule.labels), rule
    if not rule.started:
        text = "no run has finished yet"
    elif best.verdict == critical.verdict and best.verdict in _PLURAL:
        both = f"best: {_numbers(best)}; critical: {_numbers(critical)}"
        text = f"{_PLURAL[best.verdict]} ({both})"
    else:
        text = f"{_clause('best', best)}, and {_clause('critical', critical)}"
    if rule.started and first.verdict != critical.verdict:
        text += f"; up to its first failure {_clause('critical', first)}"
    return f"{place[:1].upper()}{place[1:]} {text}."


_FEW = 5
"""Rules up to which the lead has a sentence, with numbers, on each."""

_ORDER = ("falls", "rises", "stays", "undecided")
"""Order of the verdicts in the lead on more rules."""


def _counts(rules: Sequence[Rule]) -> list[str]:
    """Two sentences: the rules by the verdict on their best, and on their critical rate."""
    sentences = []
    for place, title in enumerate(("Best rate", "Critical rate")):
        groups: dict[str, list[str]] = {}
        for rule in rules:
            verdict = rule[place].verdict if rule.started else "no run has finished yet"
            groups.setdefault(verdict, []).append(rule.name)
        parts = [
            f"{verdict} in {len(groups[verdict])} ({', '.join(groups[verdict])})"
            for verdict in sorted(groups, key=[*_ORDER, *groups].index)
        ]
        sentences.append(f"{title}, of {len(rules)} rules: {'; '.join(parts)}.")
    return [*sentences, "The table has every slope with its interval."]


def _lead(rules: Sequence[Rule], margin: float) -> str:
    if not any(rule.started for rule in rules):
        return ""
    sentences = [_verdict(rule) for rule in rules] if len(rules) <= _FEW else _counts(rules)
    if any(rate.verdict == "stays" for rule in rules for rate in rule):
        sentences.append(
            f"A rate counts as unchanged if a change of {margin:g} decades per decade of N is "
            "excluded."
        )
    return " ".join(sentences)


def _movement(name: str, transfer: Transfer) -> str:
    """The rate on the fitted line at the smallest and the largest size, and the decades between."""
    fit = transfer.finding.fit
    if not transfer.fitted:
        return f"{name} rate: {_unfitted_text(transfer)}"
    sizes = [int(fit["hidden_min"]), int(fit["hidden_max"])]
    line = float(fit["intercept"]) + float(fit["exponent"]) * np.log10(sizes)
    first, last = (plain_number(float(rate), 2) for rate in 10**line)
    return (
        f"{name} rate from {first} at N = {sizes[0]} to {last} at N = {sizes[1]} along its line, "
        f"{shift_text(transfer)} decades"
    )


def _transfer_section(
    dataset: xr.Dataset, fits: Fits, rules: Sequence[Rule], level: float, margin: float
) -> Section:
    success = (
        f"{criterion_text(dataset)}, and a held-out loss below that of the best output that "
        "ignores the input"
    )
    text = (
        "The best learning rate has the lowest held-out loss, averaged over seeds; the critical "
        f"rate is the largest at which at least {level:.0%} of the seeds learn ({success}); to "
        "first failure, the largest before the first one, above a rate that trains, at which fewer "
        "do, so that recoveries by luck at higher rates do not count. A power law, "
        "rate = 10^{a} · N^{slope}, is fitted to each. A rate falls or rises if the "
        "whole interval of its slope lies below or above zero; it stays if the interval contains "
        f"zero and lies within ±{margin:g}, so that a change of {margin:g} decades per decade of N "
        "is excluded; otherwise the data do not decide.\n\n"
    )
    text += bullets(
        [
            f"{rule.name}: {_movement('best', rule.best)}; {_movement('critical', rule.critical)}."
            for rule in rules
            if rule.started
        ]
    )
    differences = difference_table(fits)
    tables = (slope_table(rules), *([differences] if differences else []))
    figure = _rates_picture(dataset, level, fits)
    return Section("Does the learning rate carry over?", text, tables, (figure,))


def _loss_text(rules: Sequence[Rule]) -> str:
    """The rules in order of their lowest loss, at the largest size at which all have runs."""
    started = [rule for rule in rules if rule.started]
    losses = {rule.name: rule.best.finding.fit["loss"] for rule in started}
    known = [loss["hidden"].values[loss.notnull().values] for loss in losses.values()]
    common = set.intersection(*(set(sizes.tolist()) for sizes in known)) if known else set()
    if len(started) < 2 or not common:
        return ""
    size = max(common)
    ranked = sorted((float(loss.sel(hidden=size)), name) for name, loss in losses.items())
    listed = ", ".join(f"{name} {plain_number(loss, 2)}" for loss, name in ranked)
    return (
        "A rate may carry over to networks that learn less well. Lowest loss reached at N = "
        f"{size}, the best first: {listed}."
    )


def _caveats(dataset: xr.Dataset, margin: float) -> list[str]:
    return [
        f"Best and critical rates depend on the number of steps ({steps_taken(dataset)} here): a "
        "network that learns slowly at a low rate may succeed later, and one that fails at a high "
        "rate may recover.",
        f"{rates_tried(dataset['learning_rate'].values)}, with {dataset.sizes['seed']} seeds each. "
        "The intervals cover both under a power law, which the true dependence "
        "need not follow.",
        "One task, one initialization and one optimizer per condition; the sizes are those "
        "fitted, and a slope may change beyond them.",
        f"“Stays” means within ±{margin:g}, a margin chosen, not measured; a narrower margin "
        "needs more sizes, seeds or rates.",
        "The same learning rate means different step sizes under different rules: compare "
        "slopes, not rates.",
    ]


def transfer_page(
    dataset: xr.Dataset,
    provenance: Provenance,
    *,
    pending: bool = False,
    coordinates: xr.Dataset | None = None,
    level: float = 0.5,
    margin: float = 0.5,
    resampling: Resampling = Resampling(),
) -> Page:
    """The page on width transfer from a sweep with a width rule per `cell`.

    Args:
        dataset: results of the sweep.
        provenance: how they were computed.
        pending: whether the sweep is still running. A rule without a finished run also marks the
            page as partial; a size does not, since rules may be run at sizes of their own.
        coordinates: coordinate checks of the rules, along `cell`.
        level: fraction of seeds that must learn at the critical rate.
        margin: that of `transfer_verdict`.
        resampling: settings of the intervals.

    Raises `ValueError` for missing variables or dimensions.
    """
    dataset = dataset.sortby(["hidden", "learning_rate"])
    fits = fit_rates(dataset, level, resampling)
    rules = find_rules(dataset, fits, level, margin)
    curves = (_curves_picture(dataset, level),)
    sections = [
        _transfer_section(dataset, fits, rules, level, margin),
        Section("Loss against learning rate", _loss_text(rules), (best_table(rules),), curves),
    ]
    if coordinates is not None:
        sections.append(coordinate_section(coordinates))
    return sweep_page(
        "Width transfer", _lead(rules, margin), sections, dataset, provenance,
        subtitle="Best and critical learning rates against network size",
        caveats=_caveats(dataset, margin),
        partial=pending or not all(rule.started for rule in rules),
    )  # fmt: skip


def _rates_picture(dataset: xr.Dataset, level: float, fits: Fits) -> Picture:
    return Picture(
        rates_against_width(
            dataset, level=level, best=fits.best, critical=fits.critical, first=fits.first
        ),
        "rates_against_width",
        "Best and critical learning rate against network size. Bars: half a grid step on either "
        "side of the best rate; from a critical rate to the next larger rate tried. Open "
        "arrows: at the end of the rates tried, not fitted. Lines: power law with the 95% band "
        "of its refits, over the sizes fitted.",
    )


def _curves_picture(dataset: xr.Dataset, level: float) -> Picture:
    gone = bool((diverged(dataset) & finished(dataset)).any())
    return Picture(
        transfer_curves(dataset, level=level),
        "transfer_curves",
        "Held-out loss after training against learning rate: median over seeds, and their range. "
        "Circles: best rate of each size, at its mean over seeds, open where too few seeds "
        "learned. "
        + ("Triangles: seeds diverged. " if gone else "")
        + "Dotted: the best output that ignores the input.",
    )
