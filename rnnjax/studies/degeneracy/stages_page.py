"""The report on arrows along training: trends over factors at falling losses, and their change."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import xarray as xr

from rnnjax.analysis import Comparison, Trend, measure_difference, measure_estimate, measure_trend
from rnnjax.analysis.comparison import chart_trends
from rnnjax.analysis.measures import MEASURES
from rnnjax.plots import ArrowCurve, arrow_curves, stage_levels
from rnnjax.plots.style import plain_number
from rnnjax.report.page import Page, Picture, Section, Table
from rnnjax.report.provenance import Provenance, settings_section
from rnnjax.report.wording import TIMES, bullets
from rnnjax.studies.degeneracy.arrows import (
    ARROW_TEXT,
    ARROWS,
    against_chart,
    arrow_measures,
    chart_counts,
    effect_text,
    interval_text,
    left_out_text,
    networks_text,
    p_text,
    percent_text,
    series_title,
)
from rnnjax.studies.degeneracy.fixed_points import FixedPointSummary
from rnnjax.studies.degeneracy.page import caveats, degeneracy_page
from rnnjax.studies.pages import mark_partial
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
        """The measure of every aspect."""
        return {**arrow_measures(self.study), "representation": _REPRESENTATION}

    @property
    def losses(self) -> tuple[float, ...]:
        """Losses over the threshold, falling."""
        return tuple(float(c.stage or 0.0) for c in self.stages)

    def trends(self, measure: str) -> tuple[Trend, ...]:
        """The trend over the factor at every stage."""
        return tuple(measure_trend(c.data, measure) for c in self.stages)

    def cells(self, columns: Sequence[float], texts: Sequence[str]) -> list[str]:
        """The texts of its stages in the columns of all losses; `not yet` in the others."""
        known = dict(zip(self.losses, texts, strict=True))
        return [known.get(loss, "not yet") for loss in columns]

    def change(self, measure: str) -> Trend:
        """The trend at the last stage minus that at the first."""
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
    losses = tuple(sorted({c.stage for c in comparisons if c.stage is not None}, reverse=True))
    page = Page(
        "Degeneracy: arrows along training",
        _lead(series, losses),
        (
            _arrow_section(series, losses),
            _level_section(series),
            _chart_section(series, losses),
            Section("Networks", _missed(series), (_network_table(series, losses),)),
            Section("Limitations", _limitations(comparisons)),
            settings_section(provenance.settings),
        ),
        subtitle=f"Beyond “{DEGENERACY_PAPER}”",
        provenance=provenance.rows("training and measuring"),
    )
    return mark_partial(page) if partial else page


def _series(comparisons: Sequence[Comparison]) -> list[_Series]:
    """The comparisons of at least two levels by factor and task, those of all stages together.

    Of an unfinished study, the stages that have all levels that any has.
    """
    found: dict[tuple[str, str], list[Comparison]] = {}
    for comparison in comparisons:
        study = next(name for name in DEGENERACY_ARROWS if comparison.name.startswith(name))
        if len(comparison.data) > 1:
            found.setdefault((study, series_title(comparison)), []).append(comparison)
    whole = []
    for (study, _), stages in found.items():
        levels = max((c.levels for c in stages), key=len)
        whole.append(_Series(study, tuple(c for c in stages if c.levels == levels)))
    return whole


def _missed(series: Sequence[_Series]) -> str:
    """The networks that did not get below a loss, by condition."""
    found = {
        f"{comparison.stage:g} times the threshold: {text}"
        for one in series
        for comparison in one.stages
        for place in range(len(comparison.data))
        if (text := left_out_text(comparison, place))
    }
    if not found:
        return "Every network trained got below every loss."
    return "Left out, since they did not get below the loss:\n\n" + bullets(sorted(found))


_SIGNS = {"rises": "↑", "falls": "↓"}


def _lead(series: Sequence[_Series], losses: Sequence[float]) -> str:
    """How many arrows of the series that have all stages there are, at which loss, and changes."""
    finished = [one for one in series if one.losses == tuple(losses)]
    if not finished:
        return "No factor is measured at every loss yet."
    there, kept, changed, count, against = 0, 0, 0, 0, []
    for one in finished:
        last = measure_trend(one.stages[-1].data, one.measures["dynamics"])
        if note := against_chart(last.verdict, chart_counts(one.stages[-1])):
            against.append(f"{one.title}, {_SIGNS[last.verdict]} {note}")
        for measure in one.measures.values():
            trends = one.trends(measure)
            arrow = trends[-1].verdict in _SIGNS
            there += arrow
            kept += arrow and trends[0].verdict == trends[-1].verdict
            changed += len(trends) > 1 and one.change(measure).verdict in _SIGNS
            count += 1
    text = (
        "Networks are compared where their loss first falls below "
        f"{', '.join(f'{loss:g}' for loss in losses)} times the threshold. Arrows at the "
        f"last loss: {there} of {count} trends"
    )
    if len(losses) > 1:
        text += (
            f"; at the first loss already, with the same sign: {kept} of these. Slopes that "
            f"change detectably in between: {changed}"
        )
    if against:
        text += f". Dynamics at the last loss: {'; '.join(against)}"
    return f"{text}."


def _cell(trend: Trend, measure: str) -> str:
    """`↑ +5.3 (4.1 to 6.5)`; without an arrow the sign is missing."""
    if np.isnan(trend.slope):
        return ARROWS.get(trend.verdict, "none")
    if np.isnan(trend.relative):
        slope, limits, _ = effect_text(trend, measure)
        return f"{_SIGNS.get(trend.verdict, '')} {slope} ({limits})".strip()
    found = interval_text(trend, measure) or "no interval"
    return f"{_SIGNS.get(trend.verdict, '')} {percent_text(trend.relative)} ({found})".strip()


def _change_cells(measure: str, one: _Series, losses: Sequence[float]) -> tuple[str, str, str]:
    """The change from the first to the last loss, its p value, and the networks compared."""
    if len(losses) < 2:
        return "-", "", ""
    if one.losses != tuple(losses):
        return "not yet", "", ""
    change = one.change(measure)
    if not np.isfinite(change.p):
        return ARROWS.get(change.verdict, "none"), "", ""
    return _cell(change, measure), p_text(change.p), networks_text(change)


def _arrow_section(series: Sequence[_Series], losses: Sequence[float]) -> Section:
    rows, curves = [], []
    for one in series:
        for aspect, measure in one.measures.items():
            trends = one.trends(measure)
            paper = DEGENERACY_ARROWS[one.study].get(aspect, "")
            rows.append(
                (
                    one.title, MEASURES[measure].title, ARROWS.get(paper, "-"),
                    *one.cells(losses, [_cell(trend, measure) for trend in trends]),
                    *_change_cells(measure, one, losses),
                )
            )  # fmt: skip
            first = one.stages[0]
            note = f"paper: {ARROWS[paper]}" if paper else ""
            curves.append(ArrowCurve(aspect, first.setting, first.title, one.losses, trends, note))
    caption = (
        "Slope per level of the factor in percent of the levels' mean, with its 95% interval (for "
        "a standard deviation, sd, growth per level of the robust one), where losses first fall "
        "below so many times the threshold. Then the slope at the last loss minus that at the "
        "first (for an sd, the ratio of growths, minus 1), its p value, and the networks compared: "
        "earlier and later with each other where they are paired."
    )
    columns = tuple(f"{loss:g}{TIMES}" for loss in losses)
    heads = ("series", "measure", "paper", *columns, "last minus first", "p", "networks")
    table = Table(heads, tuple(rows), caption, align="lll" + "l" * len(columns) + "lrr")
    pictures = ()
    if curves:
        caption = (
            "Slopes per level of each factor, in percent of the levels' mean, along training, from "
            "left to right, with 95% intervals; for behavior, growth per level of the robust "
            "standard deviation. Filled marks: an arrow; open marks: none. The axis is logarithmic "
            "beyond 10%. Weights: PIF, across sizes over the mean norm; representation: SVCCA."
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
    caption = (
        "Measures at each level along training, with 95% intervals over networks; of a standard "
        "deviation (sd), the robust one."
    )
    picture = Picture(stage_levels([one.stages for one in series], names), "stage_levels", caption)
    return Section("Measures along training", text, (), (picture,))


def _chart_section(series: Sequence[_Series], losses: Sequence[float]) -> Section:
    """Trends of dynamical distances at one number of components and delays for all."""
    text = (
        "Above, components k and delays L are chosen for every condition, so that a change of the "
        "distance along training can be one of k and L. Here they are the same for all levels and "
        "losses."
    )
    columns, rows = tuple(f"{loss:g}{TIMES}" for loss in losses), []
    for one in series:
        charts = [chart_trends(c.data) for c in one.stages]
        for i, component in enumerate(charts[0]["component"].values):
            for j, delay in enumerate(charts[0]["delay"].values):
                cells = [_place_text(chart.isel(component=i, delay=j)) for chart in charts]
                place = f"({component}, {delay})"
                if set(cells) != {"none"}:
                    rows.append((one.title, place, *one.cells(losses, cells)))
    caption = "Slope per level in percent of the mean, with its arrow."
    table = Table(
        ("series", "(k, L)", *columns), tuple(rows), caption, align="ll" + "l" * len(columns)
    )
    return Section("Dynamics at one number of components and delays", text, (table,))


def _place_text(trend: xr.Dataset) -> str:
    """`↓ -61.0`, of one place of a chart."""
    slope = float(trend["relative"])
    if np.isnan(slope):
        return "none"
    return f"{_SIGNS.get(str(trend['verdict'].values), '')} {percent_text(slope)}".strip()


def _network_table(series: Sequence[_Series], losses: Sequence[float]) -> Table:
    columns, rows = tuple(f"{loss:g}{TIMES}" for loss in losses), []
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
                    f"{good.sum()}; {np.median(epochs):g}; {plain_number(loss, 2)}; "
                    f"({about['components']}, {about['delays']})"
                    if good.any()
                    else "0"
                )
            trained = str(one.stages[0].data[place].sizes["seed"])
            rows.append((one.title, level, trained, *one.cells(losses, cells)))
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
                "The same networks are measured at every loss: trends at different losses are not "
                "independent of each other. The change from first to last allows for that where "
                "networks are paired.",
                "A slope in percent is divided by the mean over levels, which has an error too. "
                "Intervals include it: those of slopes by Fieller's method, those of changes to "
                "first order, which is rough where the mean is uncertain.",
                "Networks are below the loss of a stage by up to what one epoch brings; the table "
                "of networks lists the losses reached.",
            ]
        )
        + "\n"
        + caveats(comparisons)
    )
