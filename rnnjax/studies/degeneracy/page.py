"""The report on one factor of degeneracy: arrows beside the paper's, and the measures behind."""

from collections.abc import Mapping, Sequence

import numpy as np

from rnnjax.analysis import Comparison, measure_estimate, measure_trend
from rnnjax.analysis.measures import measures_at
from rnnjax.analysis.trends import ALPHA
from rnnjax.metrics.base import Level
from rnnjax.plots import (
    degeneracy_levels,
    dynamics_charts,
    network_maps,
    stretched_losses,
)
from rnnjax.report.page import Page, Picture, Section, Table
from rnnjax.report.provenance import Provenance, settings_section
from rnnjax.report.wording import bullets
from rnnjax.studies.degeneracy.arrows import (
    ARROW_TEXT,
    against_chart,
    arrow_measures,
    chart_counts,
    estimate_text,
    left_out_text,
    matched_table,
    series_title,
    shown_measures,
    trend_table,
)
from rnnjax.studies.degeneracy.common_config import without
from rnnjax.studies.degeneracy.config import ARROW_SETTINGS
from rnnjax.studies.degeneracy.endings import epochs_text
from rnnjax.studies.degeneracy.fixed_points import FixedPointSummary, fixed_point_section
from rnnjax.studies.pages import mark_partial
from rnnjax.studies.papers import DEGENERACY_ARROWS, DEGENERACY_PAPER
from rnnjax.training import Status
from rnnjax.validate import one_of

__all__ = ["caveats", "degeneracy_page"]

_STUDIES = (*DEGENERACY_ARROWS, "training_stages")

_ASPECTS: tuple[Level, ...] = ("dynamics", "weights", "behavior", "representation")


def _behind(study: str) -> list[str]:
    """The measures of all aspects that the first table does not show."""
    shown = (*shown_measures(study), "loss")  # the loss is in the table of matched networks
    return [name for aspect in _ASPECTS for name in measures_at(aspect) if name not in shown]


def _condition_table(comparisons: Sequence[Comparison]) -> Table:
    rows = []
    for comparison in comparisons:
        for level, data in zip(comparison.levels, comparison.data, strict=True):
            status = data["status"].values
            good = status == Status.CONVERGED
            about = data["dsa"].attrs
            wanted, kept = about["wanted_components"], about["components"]
            rows.append(
                (
                    series_title(comparison),
                    level,
                    f"{good.sum()} of {(status != Status.PENDING).sum()}",
                    epochs_text(data["epochs"].values[good]),
                    estimate_text(measure_estimate(data, "held_out_loss")),
                    f"{kept}" if wanted == kept else f"{kept} of {wanted} wanted",
                    f"{about['delays']} of {about['longest_tried']}",
                    *(_certainty(data[name].attrs) for name in ("dsa", "pif")),
                )
            )
    columns = (
        "series", "level", "converged", "epochs", "held-out loss", "k", "L", "DSA", "PIF",
    )  # fmt: skip
    caption = (
        "Networks that met the stopping rule, of those trained; their epochs, median and range; "
        "mean of their lowest held-out losses; principal components k and delays L of the "
        "dynamical distances, with the largest number of delays tried, within the bound on their "
        "product; mean distance of DSA and PIF above their proven lower bounds, in percent, and "
        "the share of pairs whose solver stopped before a stationary point."
    )
    return Table(columns, tuple(rows), caption, align="llrrrrrrr")


def _certainty(about: Mapping[str, float]) -> str:
    if np.isnan(about["above_bound"]):
        return "none"
    return f"{about['above_bound']:.0%}, {about['unsettled']:.0%}"


def _left_out_text(comparisons: Sequence[Comparison]) -> str:
    every = [left_out_text(one, place) for one in comparisons for place in range(len(one.data))]
    named = list(filter(None, every))
    if not named:
        return "Every network trained reached its threshold."
    return "Left out, since they did not reach their threshold:\n\n" + bullets(named)


def _chart_text(comparisons: Sequence[Comparison]) -> str:
    lines = []
    for comparison in comparisons:
        if len(comparison.data) < 2:
            continue
        texts = []
        for variable, name in (("dsa_chart", "DSA"), ("eigenvalue_chart", "eigenvalues")):
            falls, rises, places = chart_counts(comparison, variable)
            texts.append(f"{name}: falls at {falls} and rises at {rises} of {places} places")
        lines.append(f"{series_title(comparison)}. {'; '.join(texts)}; {_places_taken(comparison)}")
    return (
        "The sign of a dynamics arrow can depend on how many components k and delays L are kept: "
        "small k compares the coarse dynamics; large k gives directions of little variance the "
        "weight of the leading ones. Trust a trend where its color holds across the chart.\n\n"
        + bullets(lines)
    )


def _places_taken(comparison: Comparison) -> str:
    """Components and delays of the arrow above, by level."""
    taken, longest, fewer = [], [], []
    for level, data in zip(comparison.levels, comparison.data, strict=True):
        about = data["dsa"].attrs
        if not about["components"]:  # no networks to compare
            taken.append("none")
            continue
        taken.append(f"({about['components']}, {about['delays']})")
        if about["delays"] == about["longest_tried"]:
            longest.append(level)
        if about["components"] < about["wanted_components"]:
            fewer.append(level)
    text = f"the arrow above has (k, L) = {', '.join(taken)} by level"
    if longest:
        text += f"; L is the longest tried at level {', '.join(longest)}"
    if fewer:
        text += f"; k is below what the variance requires at level {', '.join(fewer)}"
    return f"{text}."


def _shown(verdict: str) -> str:
    return {"rises": "↑", "falls": "↓", "no arrow": "undecided"}.get(verdict, verdict)


def _lead(study: str, comparisons: Sequence[Comparison]) -> str:
    parts = []
    for comparison in comparisons:
        if len(comparison.data) < 2:
            continue
        here = []
        for aspect, measure in arrow_measures(study).items():
            trend = measure_trend(comparison.data, measure)
            paper = DEGENERACY_ARROWS.get(study, {}).get(aspect, trend.verdict)
            notes = [] if trend.verdict == paper else [f"paper: {_shown(paper)}"]
            if aspect == "dynamics":
                notes += filter(None, [against_chart(trend.verdict, chart_counts(comparison))])
            said = f" ({'; '.join(notes)})" if notes else ""
            here.append(f"{aspect} {_shown(trend.verdict)}{said}")
        falling = study == "training_stages"  # its levels are losses
        title = f"{comparison.title}, as the loss falls" if falling else series_title(comparison)
        parts.append(f"{title}: {', '.join(here)}.")
    alone = "One condition" if len(comparisons) == 1 else "One condition in each series"
    return " ".join(parts) or f"{alone}, no comparison."


def caveats(comparisons: Sequence[Comparison]) -> str:
    """What to keep in mind with all degeneracy studies, as a list."""
    networks = max(data.sizes["seed"] for c in comparisons for data in c.data)
    return bullets(
        [
            f"Intervals and tests count networks ({networks} per condition), not pairs. Levels are "
            "compared seed by seed (“paired”) where they share more than half of their seeds, else "
            "as independent samples.",
            "The paper's dynamical distance is |A - C B C^{T}|, here “DSA, raw”. It grows with the "
            "order of the operators, which differs between conditions; the arrow is that of the "
            "angle.",
            "DSA compares linear predictions one step ahead. At full rank it is invariant to "
            "linear mixing of the states, and it cannot detect differences in regions that the "
            "trials never visit. Its values are upper bounds of a minimum.",
            "The paper does not state how components and delays of different conditions are "
            "compared, the trials of the distances, or how epochs are validated; gradient clipping "
            "is an addition. The choices made here are among the settings.",
            "PIF grows with the norm of the weights and with N; compare it with the distance "
            "divided by the norm, and with that of untrained networks.",
            "A stretched trial can be easier per step than the trained one, where only the first "
            "steps are hard; the spread of its loss then reflects the moment at which training "
            "stopped. The spread of the difference is listed too.",
            "A loss averages over outputs: with more channels its spread falls for that reason "
            "alone, and an auxiliary output changes its scale.",
            "The standard deviation of a few skewed losses is dominated by outliers, so no "
            "interval for it is reliable. Trends of a spread, their intervals and arrows, are "
            "those of a robust standard deviation: the geometric mean of the differences between "
            "networks.",
            f"Arrows are drawn at p ≤ {ALPHA:g} each, without correction for their number.",
        ]
    )


def degeneracy_page(
    study: str,
    comparisons: Sequence[Comparison],
    provenance: Provenance,
    *,
    fixed_points: FixedPointSummary | None = None,
    partial: bool = False,
) -> Page:
    """The report on one factor of degeneracy.

    Args:
        study: a key of `DEGENERACY_ARROWS`, or `training_stages`, which the paper has not.
        comparisons: the factor's series (`rnnjax.analysis.Comparison`).
        provenance: origin of the data.
        fixed_points: those of some networks, if they were searched.
        partial: whether conditions are missing; subtitle and lead then state it.

    Raises:
        ValueError: an unknown study, or no comparisons.
    """
    one_of("study", study, _STUDIES)
    if not comparisons:
        raise ValueError("comparisons: expected at least one, got none")
    several = [c for c in comparisons if len(c.data) > 1]
    sections = (
        _arrow_section(study, comparisons),
        *([_chart_section(comparisons, several)] if several else []),
        _behind_section(study, comparisons),
        _behavior_section(comparisons),
        _feature_section(study, comparisons),
        *([fixed_point_section(fixed_points)] if fixed_points and fixed_points.rows else []),
        Section("Networks", _left_out_text(comparisons), (_condition_table(comparisons),)),
        Section("Limitations", caveats(comparisons)),
        settings_section(_used_settings(study, provenance.settings)),
    )
    page = Page(
        f"Degeneracy: {study.replace('_', ' ')}",
        _lead(study, comparisons),
        sections,
        subtitle=_subtitle(study, provenance.changed()),
        provenance=provenance.rows("training and measuring"),
    )
    return mark_partial(page) if partial else page


def _subtitle(study: str, changed: str) -> str:
    """The paper, and in what the study differs from others of its name."""
    text = f"{'After' if study in DEGENERACY_ARROWS else 'Beyond'} “{DEGENERACY_PAPER}”"
    return f"{text}; {changed}" if changed else text


def _used_settings(study: str, settings: Mapping[str, object]) -> Mapping[str, object]:
    """The settings but those that only arrows along training use, whose page is another one."""
    return without(settings, ARROW_SETTINGS) if study == "training_stages" else settings


def _arrow_section(study: str, comparisons: Sequence[Comparison]) -> Section:
    table = trend_table(
        study, comparisons, shown_measures(study),
        "Values with jackknife errors over networks, by level (for a standard deviation, sd, the "
        "robust estimate is given as well, with its 95% interval); slope per level in percent of "
        "the mean (for an sd, growth per level of the robust one), with its interval and p value; "
        "networks by level, or the number of seeds paired across all levels; arrows. Mean over the "
        "chart: over the components and delays of the next section that all levels have.",
    )  # fmt: skip
    picture = Picture(
        degeneracy_levels(comparisons, tuple(arrow_measures(study).values())),
        "levels",
        "The measure that decides the arrow of each aspect, with 95% intervals over networks; of a "
        "standard deviation (sd), the robust one.",
    )
    if study not in DEGENERACY_ARROWS:  # levels are losses: no networks match across them
        return Section("Arrows", ARROW_TEXT, (table,), (picture,))
    tables, title = (table, matched_table(study, comparisons)), "Arrows: paper versus here"
    return Section(title, ARROW_TEXT, tables, (picture,))


def _chart_section(comparisons: Sequence[Comparison], several: Sequence[Comparison]) -> Section:
    picture = Picture(
        dynamics_charts(several),
        "dynamics_charts",
        "Slope of the mean distance per level, over its mean, at every number of components and "
        "delays. Triangles: p ≤ 0.05; dots: no arrow; grey: left out, since components times "
        "delays exceed the bound or components the units, or since too few networks converged.",
    )
    text = _chart_text(comparisons)
    return Section("Dynamics: by components and delays", text, (), (picture,))


def _behind_section(study: str, comparisons: Sequence[Comparison]) -> Section:
    table = trend_table(
        study, comparisons, _behind(study),
        "Measures beside those of the paper: the distance of eigenvalues; weights over their norm, "
        "of trained and of untrained networks; the stretched loss less that of the task itself; "
        "representations. Slopes in percent of the mean; of an sd, growth of the robust one.",
    )  # fmt: skip
    picture = Picture(
        network_maps(comparisons),
        "network_maps",
        "Networks placed so that distances in the plane approximate their dynamical distances "
        "(multidimensional scaling); one scale per row.",
    )
    return Section("Behind the arrows", "", (table,), (picture,))


def _behavior_section(comparisons: Sequence[Comparison]) -> Section:
    picture = Picture(
        stretched_losses(comparisons),
        "stretched_losses",
        "Loss of every network on the stretched task; below, the robust standard deviation (sd) "
        "of each level against its mean.",
    )
    return Section("Behavior in detail", "", (), (picture,))


def _feature_section(study: str, comparisons: Sequence[Comparison]) -> Section:
    names = measures_at("features")
    table = trend_table(
        study, comparisons, names,
        "Mean over converged networks. Stronger feature learning: larger weight change; lower "
        "kernel alignment (all weights; recurrent weights) and representation alignment.",
    )  # fmt: skip
    picture = Picture(
        degeneracy_levels(comparisons, ("weight_change", "kernel_alignment")),
        "features",
        "Weight change and alignment of tangent kernels before and after training, with 95% "
        "intervals over networks.",
    )
    return Section("Feature learning", "", (table,), (picture,))
