"""The report on arrows along training: trends over factors at falling losses, and their change."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from rnnjax.analysis import Comparison, Trend, measure_difference, measure_estimate, measure_trend
from rnnjax.analysis.comparison import chart_trends
from rnnjax.analysis.measures import MEASURES
from rnnjax.plots import ArrowCurve, arrow_curves, stage_levels
from rnnjax.report.page import Page, Picture, Section, Table
from rnnjax.report.provenance import Provenance, settings_section
from rnnjax.report.wording import bullets
from rnnjax.studies.degeneracy.arrows import ARROW_TEXT, ARROWS, arrow_measures, series_title
from rnnjax.studies.degeneracy.fixed_points import FixedPointSummary
from rnnjax.studies.degeneracy.page import caveats, degeneracy_page, left_out_text
from rnnjax.studies.pages import PARTIAL
from rnnjax.studies.papers import DEGENERACY_ARROWS, DEGENERACY_PAPER
from rnnjax.training import Status

__all__ = ["study_page"]

_REPRESENTATION = "svcca"


class _Series(NamedTuple):
    """One factor of one task at every stage, in order of training."""

    study: str
    stages: tuple[Comparison, ...]

    @property
    def title(self) -> str:
        """`Flip flop, bits`."""
        return series_title(self.stages[0])

    @property
    def measures(self) -> dict[str, str]:
        """The measure of every level of comparison."""
        return {**arrow_measures(self.study), "representation": _REPRESENTATION}

    @property
    def losses(self) -> tuple[float, ...]:
        """Losses over the threshold, falling."""
        return tuple(float(c.stage or 0.0) for c in self.stages)

    def trends(self, measure: str) -> tuple[Trend, ...]:
        """The trend over the factor at every stage."""
        return tuple(measure_trend(c.data, measure) for c in self.stages)

    def change(self, measure: str) -> Trend:
        """The trend at the last stage less that at the first."""
        return measure_difference(self.stages[0].data, self.stages[-1].data, measure)


def study_page(
    study: str,
    comparisons: Sequence[Comparison],
    provenance: Provenance,
    *,
    fixed_points: FixedPointSummary | None = None,
    partial: bool = False,
) -> Page:
    """The report of a degeneracy study: on arrows along training where comparisons have stages.

    Arguments and errors as in `degeneracy_page`.
    """
    if not any(c.stage is not None for c in comparisons):
        return degeneracy_page(
            study, comparisons, provenance, fixed_points=fixed_points, partial=partial
        )
    series = _series(comparisons)
    return Page(
        "Degeneracy: arrows along training",
        (PARTIAL if partial else "") + _lead(series),
        (
            _arrow_section(series),
            _level_section(series),
            _chart_section(series),
            Section("Networks", left_out_text(_named(comparisons)), (_network_table(series),)),
            Section("Limitations", _limitations(comparisons)),
            settings_section(provenance.settings),
        ),
        subtitle=f"Beyond “{DEGENERACY_PAPER}”" + (" (partial results)" if partial else ""),
        provenance=provenance.rows("training and measuring"),
    )


def _series(comparisons: Sequence[Comparison]) -> list[_Series]:
    """The comparisons of at least two levels by factor and task, those of all stages together."""
    found: dict[tuple[str, str], list[Comparison]] = {}
    for comparison in comparisons:
        study = next(name for name in DEGENERACY_ARROWS if comparison.name.startswith(name))
        if len(comparison.data) > 1:
            found.setdefault((study, series_title(comparison)), []).append(comparison)
    return [_Series(study, tuple(stages)) for (study, _), stages in found.items()]


def _named(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """The comparisons with their stages in the titles, each condition once."""
    return [c._replace(setting=f"{c.setting}, {c.stage:g} x the threshold") for c in comparisons]


_SIGNS = {"rises": "↑", "falls": "↓"}


def _lead(series: Sequence[_Series]) -> str:
    if not series:
        return "No factor with two levels is measured yet."
    losses = ", ".join(f"{loss:g}" for loss in series[0].losses)
    there, kept, changed, count = 0, 0, 0, 0
    for one in series:
        for measure in one.measures.values():
            trends = one.trends(measure)
            arrow = trends[-1].verdict in _SIGNS
            there += arrow
            kept += arrow and trends[0].verdict == trends[-1].verdict
            changed += one.change(measure).verdict in _SIGNS
            count += 1
    return (
        f"Networks are compared where their loss first falls below {losses} times the threshold. "
        f"Of {count} trends, {there} are arrows at the last loss; {kept} of these are there at the "
        f"first loss already, with the same sign. {changed} slopes change detectably in between."
    )


def _percent(value: float) -> str:
    digits = 1 if abs(value) < 0.1 else 0
    return f"{100 * value:+.{digits}f}" if abs(value) < 100 else f"{100 * value:+.0e}"


def _cell(trend: Trend) -> str:
    """`↑ +5.3 (4.1 to 6.5)`; without an arrow the sign is missing."""
    if np.isnan(trend.relative):
        return ARROWS.get(trend.verdict, "none")
    low, high = _percent(trend.relative_low), _percent(trend.relative_high)
    sign = _SIGNS.get(trend.verdict, "")
    return f"{sign} {_percent(trend.relative)} ({low} to {high})".strip()


def _stage_columns(series: Sequence[_Series]) -> tuple[str, ...]:
    """`30 x`, `10 x`, ..., of the series with most stages."""
    longest = max(series, key=lambda one: len(one.stages)).losses
    return tuple(f"{loss:g} x" for loss in longest)


def _padded(cells: Sequence[str], columns: Sequence[str]) -> tuple[str, ...]:
    return (*cells, *["not yet"] * (len(columns) - len(cells)))


def _arrow_section(series: Sequence[_Series]) -> Section:
    columns = _stage_columns(series) if series else ()
    rows, curves = [], []
    for one in series:
        for level, measure in one.measures.items():
            trends = one.trends(measure)
            paper = DEGENERACY_ARROWS[one.study].get(level, "")
            change = one.change(measure)
            rows.append(
                (
                    one.title, MEASURES[measure].title, ARROWS.get(paper, "-"),
                    *_padded([_cell(trend) for trend in trends], columns),
                    _cell(change), f"{change.p:.2g}" if np.isfinite(change.p) else "none",
                )
            )  # fmt: skip
            first = one.stages[0]
            note = f"paper: {ARROWS[paper]}" if paper else ""
            curves.append(ArrowCurve(level, first.setting, first.title, one.losses, trends, note))
    caption = (
        "Slope per level of the factor in percent of the levels' mean, with its 95% interval (of "
        "an sd, growth per level of the robust one), where losses first fall below so many times "
        "the threshold. Last two columns: the slope at the last loss less that at the first, "
        "compared network by network (of an sd, the ratio of growths, less 1), and its p value."
    )
    heads = ("series", "measure", "paper", *columns, "last less first", "p")
    table = Table(heads, tuple(rows), caption, align="lll" + "l" * (len(columns) + 1) + "r")
    pictures = ()
    if curves:
        caption = (
            "Slopes per level of each factor along training, from left to right, with 95% "
            "intervals. Filled marks: an arrow; open marks: none. The axis is logarithmic beyond "
            "10%."
        )
        pictures = (Picture(arrow_curves(curves), "arrow_curves", caption),)
    return Section("Arrows along training", ARROW_TEXT, (table,), pictures)


def _level_section(series: Sequence[_Series]) -> Section:
    text = (
        "The same measures level by level: an arrow can appear because one level moves, or vanish "
        "because all come to the same value."
    )
    if not series:
        return Section("Measures along training", text)
    names = [tuple(one.measures.values()) for one in series]
    caption = "Measures at each level along training, with 95% intervals over networks."
    picture = Picture(stage_levels([one.stages for one in series], names), "stage_levels", caption)
    return Section("Measures along training", text, (), (picture,))


def _chart_section(series: Sequence[_Series]) -> Section:
    """Trends of dynamical distances at one number of components and delays for all."""
    text = (
        "Above, components k and delays L are chosen for every condition, so that a change of the "
        "distance along training can be one of k and L. Here they are the same for all levels and "
        "losses."
    )
    columns, rows = _stage_columns(series) if series else (), []
    for one in series:
        charts = [chart_trends(c.data) for c in one.stages]
        for i, component in enumerate(charts[0]["component"].values):
            for j, delay in enumerate(charts[0]["delay"].values):
                cells = [_place(chart.isel(component=i, delay=j)) for chart in charts]
                place = f"({component}, {delay})"
                if set(cells) != {"none"}:
                    rows.append((one.title, place, *_padded(cells, columns)))
    caption = "Slope per level in percent of the mean, with its arrow."
    table = Table(
        ("series", "(k, L)", *columns), tuple(rows), caption, align="ll" + "l" * len(columns)
    )
    return Section("Dynamics at one number of components and delays", text, (table,))


def _place(trend) -> str:
    """`↓ -61.0`, of one place of a chart."""
    slope = float(trend["relative"])
    if np.isnan(slope):
        return "none"
    return f"{_SIGNS.get(str(trend['verdict'].values), '')} {_percent(slope)}".strip()


def _network_table(series: Sequence[_Series]) -> Table:
    columns = _stage_columns(series) if series else ()
    rows = []
    for one in series:
        for place, level in enumerate(one.stages[0].levels):
            cells = []
            for comparison in one.stages:
                data = comparison.data[place]
                good = data["status"].values == Status.CONVERGED
                epochs = data["epochs"].values[good]
                loss = measure_estimate(data, "held_out_loss").value
                about = data["dsa"].attrs
                cells.append(
                    f"{good.sum()}; {np.median(epochs):g}; {loss:.2g}; "
                    f"({about['components']}, {about['delays']})"
                    if good.any()
                    else "0"
                )
            trained = str(one.stages[0].data[place].sizes["seed"])
            rows.append((one.title, level, trained, *_padded(cells, columns)))
    caption = (
        "Networks that reached the loss; their median epoch; the mean of their held-out losses at "
        "its end; components and delays of the dynamical distance."
    )
    return Table(
        ("series", "level", "networks", *columns), tuple(rows), caption,
        align="llr" + "l" * len(columns),
    )  # fmt: skip


def _limitations(comparisons: Sequence[Comparison]) -> str:
    return (
        bullets(
            [
                "The networks of a stage are those of the next one, earlier: its trends are not "
                "independent of each other. The change from first to last allows for that.",
                "Networks are below the loss of a stage by up to what one epoch brings; the table "
                "of networks lists the losses reached.",
            ]
        )
        + "\n"
        + caveats(comparisons)
    )
