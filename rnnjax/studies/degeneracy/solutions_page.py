"""The report on kinds of solutions."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from rnnjax.analysis import FEATURES
from rnnjax.analysis.trends import ALPHA
from rnnjax.plots import Representative, kind_shares, solution_gallery
from rnnjax.plots.style import plain_number
from rnnjax.report import Provenance
from rnnjax.report.page import Page, Picture, Section, Table
from rnnjax.report.provenance import settings_section
from rnnjax.report.wording import bullets

__all__ = ["solutions_page"]

_UNFINISHED = "searches that ended at no point, share; left out"


def _verdict(title: str, found: xr.Dataset) -> str:
    """One sentence on a task."""
    kinds, total = found.sizes["solution"], found.sizes["network"]
    if kinds == 1:
        if total == 1:
            return f"{title}: one network, which has no kinds to be divided into."
        return f"{title}: no stable division into kinds was found among {total} networks."
    sizes = ", ".join(str(int(n)) for n in found["count"].sum("levels").values)
    p, moved = found.attrs["p"], ""
    if not np.isnan(p):
        differ = "differ" if p <= ALPHA else "do not differ detectably"
        moved = f" Their shares {differ} between levels (p = {plain_number(p, 2)})."
    return f"{title}: {total} networks of {kinds} kinds ({sizes}).{moved}"


def _share_table(found: Mapping[str, xr.Dataset]) -> Table:
    """How often each kind occurs, a row per task and kind."""
    rows = []
    for title, one in found.items():
        for kind in range(one.sizes["solution"]):
            share, low, high = (
                float(one[name][kind]) for name in ("share", "share_low", "share_high")
            )
            by_level = zip(one["levels"].values, one["count"].values[kind], strict=True)
            counts = ", ".join(f"{level}: {int(count)}" for level, count in by_level)
            stability = f"{float(one['stability'][kind]):.2f}"
            rows.append(
                (
                    title, str(kind + 1), counts, f"{share:.0%} ({low:.0%} to {high:.0%})",
                    stability if one.sizes["solution"] > 1 else "-",
                )
            )  # fmt: skip
    caption = (
        "Networks of each kind at each level; share of all with Wilson's interval for the "
        "effective number of independent networks, as those of one seed resemble each other; "
        "stability, the mean Jaccard similarity over resamples of networks."
    )
    columns = ("task", "kind", "networks by level", "share (95%)", "stability")
    return Table(columns, tuple(rows), caption, align="llrrr")


def _feature_table(title: str, one: xr.Dataset, setting: str) -> Table:
    """Features of the networks of each kind, or of each level where there is no division."""
    if one.sizes["solution"] > 1:
        parts, which = one["kind"].values, range(one.sizes["solution"])
        names = [f"kind {kind + 1}" for kind in which]
    else:
        parts, which = one["level"].values, one["levels"].values
        names = [f"{setting} {level}" for level in which]
    groups = [one.isel(network=parts == value) for value in which]
    rows = [
        (what, *(_median_range(group[name].values) for group in groups))
        for name, what in (*FEATURES.items(), ("unfinished", _UNFINISHED))
    ]
    counts = [
        f"{name} ({group.sizes['network']})" for name, group in zip(names, groups, strict=True)
    ]
    caption = f"{title}: median over networks; smallest and largest value where they differ."
    return Table(("feature", *counts), tuple(rows), caption)


def _median_range(values: np.ndarray) -> str:
    low, middle, high = (plain_number(f(values), 3) for f in (np.min, np.median, np.max))
    return middle if low == high else f"{middle} ({low} to {high})"


def _constant_input(settings: Mapping[str, Any]) -> str:
    """One sentence on the input under which networks are examined."""
    if settings.get("fingerprint", {}).get("inputs") == "zero":
        return "The constant input is zero; under another one networks can behave differently."
    return (
        "The constant input is the median over the task's trials, one of many where trials differ "
        "in it."
    )


def solutions_page(
    found: Mapping[str, xr.Dataset],
    galleries: Mapping[str, Mapping[str, Representative]],
    about: Provenance,
    lost: Sequence[str] = (),
    setting: str = "gamma",
) -> Page:
    """The page on kinds of solutions by task, with one network of each kind; `lost` is listed."""
    unfinished = max(float(one["unfinished"].max()) for one in found.values())
    pictures = (
        Picture(
            kind_shares(found, setting),
            "kind_shares",
            "Share of each kind at every level, with the number of networks.",
        ),
        Picture(
            solution_gallery(galleries),
            "gallery",
            "The network of each kind that is nearest to the others of it, in the plane of the two "
            "leading components of the states that it visits in the task: stable, unstable and "
            "slow points under the constant input, and where its runs end if they still move. "
            "Where states lie on a line, both axes have the same scale.",
        ),
    )
    return Page(
        "Kinds of solutions",
        " ".join(_verdict(title, one) for title, one in found.items()),
        (
            Section("Which kinds, how often", bullets(lost), (_share_table(found),), pictures),
            Section(
                "What the networks do",
                "Features under a constant input, by kind, or by level where no division into "
                "kinds was found. Networks that are not divided can differ all the same.",
                tuple(_feature_table(title, one, setting) for title, one in found.items()),
            ),
            Section("Limitations", bullets([
                "A kind is what these features tell apart. Networks of one kind can differ in "
                "others, such as their weights.",
                "Kinds are found where they are stable, well separated, and differ in at least one "
                "feature. Networks that vary gradually can be divided too, and kinds that differ "
                "in few of the features can be missed: compare the features.",
                "Intervals of shares take kinds as known. They account for networks that share a "
                "seed and hence similar initial weights. Numbers of points depend on the number of "
                "searches.",
                f"Searches for points can end without one: up to {unfinished:.0%} of those of a "
                "network, which are left out.",
                f"{_constant_input(about.settings)} Moving runs whose period does not fit twice "
                "into the time watched count as moving and not as cycles.",
            ])),
            settings_section(about.settings),
        ),
        provenance=about.rows("training"),
    )  # fmt: skip
