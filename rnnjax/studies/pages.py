"""Parts that the pages of several studies share."""

import dataclasses
from collections.abc import Mapping, Sequence

import xarray as xr

from rnnjax.report.page import Page, Section, Table
from rnnjax.report.provenance import Provenance, runs_section, settings_section
from rnnjax.report.wording import bullets

__all__ = ["mark_partial", "setup_table", "sweep_page"]

NOTHING_YET = "No run has finished yet."


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
