"""Page on the learning-rate collapse: does the largest trainable rate fall with network size?"""

from collections.abc import Mapping

import numpy as np
import xarray as xr

from rnnjax.analysis import (
    Resampling,
    best_learning_rates,
    critical_learning_rate,
    iterate_conditions,
    power_law,
    steps_scaling,
    threshold_model,
)
from rnnjax.plots import critical_rates, loss_curves, success_maps
from rnnjax.plots.style import plain_number
from rnnjax.report.page import Page, Picture, Section
from rnnjax.report.provenance import Provenance, criterion_text, incomplete, steps_taken
from rnnjax.report.wording import bullets
from rnnjax.studies.collapse.figures import MOST_RATES, steps_to_criterion
from rnnjax.studies.collapse.findings import describe, lead, speed_text
from rnnjax.studies.collapse.tables import (
    FIRST_PASSAGE,
    best_rate_table,
    exponent_table,
    literal_table,
    paper_table,
    speed_table,
)
from rnnjax.studies.fits import Finding
from rnnjax.studies.pages import setup_table, spacing_of, sweep_page
from rnnjax.studies.papers import COLLAPSE_PAPER, COLLAPSE_SETUP

__all__ = ["collapse_page"]


def _findings(dataset: xr.Dataset, fit: xr.Dataset, critical: xr.Dataset) -> list[Finding]:
    within = ("hidden", "resample")
    both = zip(iterate_conditions(fit, within), iterate_conditions(critical, within), strict=True)
    return [Finding(labels, law, rates) for (labels, law), (_, rates) in both]


def _ours(dataset: xr.Dataset, steps: str) -> dict[str, str]:
    """Our setup, under the row names of the paper's."""
    sizes, rates = dataset["hidden"].values, np.sort(dataset["learning_rate"].values)
    grid = plain_number(float(rates[0]))
    if len(rates) > 1:
        highest = plain_number(float(rates[-1]))
        grid = f"{spacing_of(rates)} apart, from {grid} to {highest}"
    return {
        "network sizes": f"{len(sizes)}, from {sizes.min()} to {sizes.max()}",
        "learning rates": f"{len(rates)}, {grid}",
        "seeds": str(dataset.sizes["seed"]),
        "training steps": steps,
        "success": f"finite, {criterion_text(dataset)}, and"
        " a held-out loss below that of the best output that ignores the input",
    }


def _collapse_section(
    findings: list[Finding], model: xr.Dataset, figure: Picture, level: float
) -> Section:
    text = (
        f"The critical learning rate is the largest at which at least {level:.0%} of the seeds "
        "learn. A power law, rate = 10^{a} · N^{β}, is fitted to it (Eq. 6 of the paper).\n\n"
    )
    text += bullets([describe(finding) for finding in findings])
    table = exponent_table(findings, [part for _, part in iterate_conditions(model, ())])
    return Section("Largest trainable learning rate", text, (table,), (figure,))


def _caveats(steps: str) -> list[str]:
    return [
        f"The critical rate depends on the number of steps ({steps} here): a network that fails "
        "at a high rate may recover later, and one that learns slowly at a low rate may succeed.",
        "The exponent depends on the grid. Whole decades and a ceiling on the rates bias it, in "
        "either direction; censored sizes are therefore left out and counted.",
        "The intervals cover seeds and grid spacing under a power law. They do not cover the "
        "choice of initialization, task timing, loss reduction or success criterion.",
        "An exponent holds for the sizes it was fitted to; the slope may change beyond them.",
        "The two intervals answer different questions: where the one from scatter is much "
        "wider, a power law describes the points badly.",
    ]


def collapse_page(
    dataset: xr.Dataset,
    provenance: Provenance,
    *,
    pending: bool = False,
    level: float = 0.5,
    resampling: Resampling = Resampling(),
) -> Page:
    """The page on a sweep over sizes and rates, beside the numbers of the paper.

    Args:
        dataset: results of the sweep.
        provenance: how they were computed.
        pending: whether the sweep is still running; a size without a finished run also marks the
            page as partial.
        level: fraction of seeds that must learn at the critical rate.
        resampling: settings of the intervals.

    Raises `ValueError` for missing variables or dimensions.
    """
    dataset = dataset.sortby(["hidden", "learning_rate"])
    fit = power_law(dataset, level, resampling=resampling)
    findings = _findings(dataset, fit, critical_learning_rate(dataset, level))
    speed = steps_scaling(dataset, level, resampling=resampling)
    steps = steps_taken(dataset)
    sections = (
        _collapse_section(
            findings, threshold_model(dataset), _fit_picture(dataset, level, fit), level
        ),
        _map_section(dataset, level),
        _curve_section(dataset, level),
        Section(
            "Larger networks at a fixed rate",
            speed_text(speed),
            (speed_table(speed),) if bool(speed["exponent"].notnull().any()) else (),
            (_speed_picture(dataset, level, speed),),
        ),
        _paper_section(findings, _ours(dataset, steps)),
        _literal_section(dataset, level, resampling),
    )
    return sweep_page(
        "Learning-rate collapse", lead(findings), sections, dataset, provenance,
        subtitle=f"After “{COLLAPSE_PAPER}”", caveats=_caveats(steps),
        partial=pending or incomplete(dataset),
    )  # fmt: skip


def _fit_picture(dataset: xr.Dataset, level: float, fit: xr.Dataset) -> Picture:
    return Picture(
        critical_rates(dataset, level=level, fit=fit),
        "critical_rates",
        "Critical learning rate against network size. Bars: from the largest rate at which enough "
        "seeds learned to the next larger rate tried, with a point at the geometric middle. "
        "Open arrows: censored, beyond the rates tried; crosses: trained at no rate tried; neither "
        "is fitted. Lines: power law with the 95% band of its refits, over the sizes fitted. "
        "(Paper: Fig. 3.)",
    )


def _speed_picture(dataset: xr.Dataset, level: float, speed: xr.Dataset) -> Picture:
    many = speed.sizes["learning_rate"] > MOST_RATES
    fewer = "; rates at which fewer did are not drawn" if many else ""
    return Picture(
        steps_to_criterion(dataset, level=level, fit=speed),
        "steps_to_criterion",
        "Training steps until enough seeds reached the criterion of success, where enough did, "
        f"with a power law at each rate at which at least three sizes did{fewer}. {FIRST_PASSAGE}",
    )


def _map_section(dataset: xr.Dataset, level: float) -> Section:
    picture = Picture(
        success_maps(dataset, level=level),
        "success_maps",
        "Fraction of seeds that learned, by network size and learning rate. The bar lies on top of "
        "the critical rate. (Paper: Fig. 2.)",
    )
    return Section("Which rates train which sizes", "", (), (picture,))


def _curve_notes(best: xr.Dataset) -> str:
    """What dotted curves and missing sizes mean, where there are any."""
    failed = bool((best["rate"].notnull() & ~best["trained"]).any())
    dotted = "Dotted: best among failures. " if failed else ""
    missing = "Without sizes that were not run, or where a seed diverged at every rate. "
    return dotted + (missing if bool(best["rate"].isnull().any()) else "")


def _curve_section(dataset: xr.Dataset, level: float) -> Section:
    best = best_learning_rates(dataset, level)
    picture = Picture(
        loss_curves(dataset, level=level),
        "loss_curves",
        "Training loss at each size's best learning rate: mean over seeds, and their range. "
        f"{_curve_notes(best)}(Paper: Fig. 1B.)",
    )
    table = best_rate_table(best)
    return Section("Learning at the best rate", "", (table,), (picture,))


def _paper_section(findings: list[Finding], ours: Mapping[str, str]) -> Section:
    setup = setup_table(COLLAPSE_SETUP, ours, heading="")
    return Section("Paper versus here", "", (paper_table(findings), setup))


def _literal_section(dataset: xr.Dataset, level: float, resampling: Resampling) -> Section:
    text = (
        "The paper calls a run successful if its accuracy exceeds 0.5. That criterion is unsafe: "
        "of networks that have learned nothing, half exceed it by chance when accuracy is that of "
        "decisions. "
    )
    if "delayed_cue" in np.atleast_1d(dataset["task"].values if "task" in dataset.coords else []):
        text += (
            "In delayed cue discrimination, a network that ignores the cue scores above 0.5 when "
            "accuracy is a correlation (pearson) or is taken over all time steps (matching). A "
            "higher threshold does not help there: a network that has learned nothing responds "
            "differently to two cues, and by chance answers both correctly with probability 1/4, "
            "so that failed networks often have accuracy 1. "
        )
    text += (
        "Here a run must also beat the best output that ignores the input. From the same runs "
        "accuracy alone would give:"
    )
    return Section(
        "Accuracy alone as the criterion", text, (literal_table(dataset, level, resampling),)
    )
