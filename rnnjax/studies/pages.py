"""Parts that the pages of several studies share."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr

from rnnjax.report.page import Page, Section, Table
from rnnjax.report.provenance import Provenance, runs_section, settings_section
from rnnjax.report.wording import bullets

__all__ = ["mark_partial", "rates_tried", "setup_table", "spacing_of", "sweep_page"]

NOTHING_YET = "No run has finished yet."


def spacing_of(rates: np.ndarray) -> str:
    """`0.25 decades`, `one decade` or, of an uneven grid, `0.3 to 2 decades`."""
    steps = np.diff(np.log10(np.sort(rates)))
    least, most = f"{steps.min():.2g}", f"{steps.max():.2g}"
    if least == most:
        return "one decade" if most == "1" else f"{most} decades"
    return f"{least} to {most} decades"


def rates_tried(rates: np.ndarray) -> str:
    """The start of a sentence on the grid of learning rates."""
    if len(rates) < 2:
        return "One rate was tried"
    return f"Rates were tried in steps of {spacing_of(rates)}"


def mark_partial(page: Page, missing: Sequence[str] = ()) -> Page:
    """The page marked as partial in subtitle and lead, which lists what is `missing`."""
    named = f"Missing: {', '.join(missing)}. " if missing else ""
    return dataclasses.replace(
        page,
        lead=f"Partial results, the study is not complete. {named}{page.lead}",
        subtitle=f"{page.subtitle} (partial results)".strip(),
    )


def sweep_page(
    title: str,
    lead: str,
    sections: Sequence[Section],
    dataset: xr.Dataset,
    provenance: Provenance,
    *,
    subtitle: str,
    caveats: Sequence[str],
    partial: bool,
) -> Page:
    """A page on a sweep: its own sections, then caveats, how the runs ended, and the settings.

    Args:
        title: heading of the page.
        lead: the finding; empty before the first run has ended.
        sections: figures and tables of the study.
        dataset: results of the sweep.
        provenance: how the results were computed.
        subtitle: line below the title.
        caveats: limits of the numbers, one line each.
        partial: whether runs are missing; subtitle and lead then state it.
    """
    page = Page(
        title,
        lead or NOTHING_YET,
        (
            *sections,
            Section("Limitations", bullets(caveats)),
            runs_section(dataset),
            settings_section(provenance.settings),
        ),
        subtitle=subtitle,
        provenance=provenance.rows(),
    )
    return mark_partial(page) if partial else page


def setup_table(paper: Mapping[str, str], ours: Mapping[str, str], heading: str = "setup") -> Table:
    """The setup of a paper beside ours, row by row; empty where `ours` has no such row."""
    rows = tuple((name, value, ours.get(name, "")) for name, value in paper.items())
    return Table((heading, "paper", "here"), rows, align="lll")
