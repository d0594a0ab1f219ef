"""Table 1 of the degeneracy paper from the four studies: every arrow with effect and interval."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from rnnjax.analysis import (
    MEASURES,
    Comparison,
    Pooled,
    Trend,
    measure_pooled,
    measure_trend,
)
from rnnjax.report import Provenance, write_report
from rnnjax.report.page import Page, Section, Table
from rnnjax.report.wording import bullets
from rnnjax.studies.degeneracy.arrows import (
    ARROW_TEXT,
    ARROWS,
    CHART_MEASURES,
    against_chart,
    arrow_measures,
    chart_counts,
    chart_text,
    effect_text,
    networks_text,
    paper_measures,
    series_title,
)
from rnnjax.studies.degeneracy.study import read_study
from rnnjax.studies.grids import provenance, split_names
from rnnjax.studies.launch import Config
from rnnjax.studies.papers import DEGENERACY_ARROWS, DEGENERACY_PAPER
from rnnjax.studies.workdir import checked_workdir, claim_workdir, read_index, record_run
from rnnjax.validate import expanded

__all__ = ["count_charts", "find_arrows", "run", "table1_page"]


def run(
    config: Config,
    workdir: Path,
    *,
    dry_run: bool = False,
    command: str = "rnnjax.studies.degeneracy.table1.run(config, workdir)",
) -> None:
    """Writes the table; raises a `ValueError` that names every missing study."""
    workdir = checked_workdir(workdir, "summary")
    if (workdir / "store").exists():
        raise ValueError(
            f"workdir: expected a folder for the summary alone, got a study's: {workdir}"
        )
    studies, sources, missing = {}, {}, []
    for study in DEGENERACY_ARROWS:
        try:
            folders = split_names(study, [config[study]])
            sources[study], studies[study] = _read_folders(study, folders)
        except ValueError as error:
            missing.append(str(error))
    if missing:
        raise ValueError("; ".join(missing))
    if dry_run:
        print("Nothing to train: the four studies are complete.")
        return
    about = provenance(config, command, None)
    claim_workdir(workdir, "summary", about)
    write_report(table1_page(studies, about, sources=sources), workdir)
    record_run(workdir, "summary", about)
    print(f"Report: {workdir / 'report.html'}")


def _read_folders(study: str, folders: Sequence[str]) -> tuple[str, list[Comparison]]:
    """The commands of the runs of one study, and the series of all of them."""
    places = [expanded(study, folder) for folder in folders]
    found = [read_study(study, place) for place in places]
    _require_alike(study, places)
    series = [comparison for _, comparisons in found for comparison in comparisons]
    names = [comparison.name for comparison in series]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"{study}: expected each series in one folder, got {twice!r} twice")
    return "; ".join(command for command, _ in found), series


_MEASURING = ("measured_trials", "probe_times", "probe_trials", "samples", "stretch")
"""Settings of the measures beside those of DSA."""


def _require_alike(study: str, folders: Sequence[Path]) -> None:
    """Raises `ValueError` for a setting of the measures that differs between folders.

    One that an older folder does not name counts as equal.
    """
    known: dict[str, tuple[Any, Path]] = {}
    for folder in folders:
        settings = (read_index(folder) or {}).get("settings", {})
        found = {name: settings[name] for name in _MEASURING if name in settings}
        found |= {f"dsa.{name}": value for name, value in settings.get("dsa", {}).items()}
        for name, value in found.items():
            first, place = known.setdefault(name, (value, folder))
            if value != first:
                raise ValueError(
                    f"{study}: expected folders measured with the same {name}, got {first} in "
                    f"{place} and {value} in {folder}"
                )


class _Arrow(NamedTuple):
    """One cell of the table: a factor and an aspect, over all of its series."""

    study: str
    aspect: str
    measure: str
    trends: list[Trend]
    pooled: Pooled
    charts: Sequence[tuple[int, int, int]]
    """Of dynamics, `chart_counts` of every series; else none."""

    @property
    def paper(self) -> str:
        return DEGENERACY_ARROWS[self.study][self.aspect]

    @property
    def verdict(self) -> str:
        return self.pooled.trend.verdict

    @property
    def agrees(self) -> bool:
        return self.verdict == self.paper

    @property
    def mixed(self) -> bool:
        """Whether single series have arrows of both signs."""
        return {"falls", "rises"} <= {trend.verdict for trend in self.trends}

    @property
    def against(self) -> str:
        """`against the chart: ...` where the charts of all series together have the other sign."""
        falls, rises, compared = np.sum(self.charts or [(0, 0, 0)], axis=0).tolist()
        return against_chart(self.verdict, (falls, rises, compared))

    @property
    def pooled_text(self) -> str:
        """`, 5 pooled` where the mean leaves out a series, as one with too few networks."""
        (pooled,) = self.pooled.trend.networks
        return "" if pooled == len(self.trends) else f", {pooled} pooled"

    @property
    def name(self) -> str:
        return f"{_readable(self.study)}, {self.aspect}"


def count_charts(
    compared: Mapping[str, Sequence[Comparison]],
) -> dict[str, list[tuple[int, int, int]]]:
    """`chart_counts` of every series, by study."""
    return {study: [chart_counts(c) for c in series] for study, series in compared.items()}


def find_arrows(
    compared: Mapping[str, Sequence[Comparison]],
    measures: Callable[[str], Mapping[str, str]],
    charts: Mapping[str, Sequence[tuple[int, int, int]]],
) -> list[_Arrow]:
    """The arrows by the measures that `measures(study)` gives for each aspect.

    `charts` are those of `count_charts`.
    """
    return [
        _Arrow(
            study, aspect, measure, [measure_trend(c.data, measure) for c in series],
            measure_pooled([c.data for c in series], measure),
            charts[study] if aspect == "dynamics" else [],
        )
        for study, series in compared.items()
        for aspect, measure in measures(study).items()
    ]  # fmt: skip


def table1_page(
    studies: Mapping[str, Sequence[Comparison]],
    provenance: Provenance,
    *,
    sources: Mapping[str, str],
) -> Page:
    """The arrows of all four factors, each with effect, interval, p value and networks.

    Args:
        studies: the series of every study in `DEGENERACY_ARROWS`.
        provenance: origin of the page.
        sources: the command that made each study.

    Raises:
        ValueError: a study is missing, or has no series of several levels; the error names it.
    """
    compared = {
        name: [c for c in studies.get(name, ()) if len(c.data) > 1] for name in DEGENERACY_ARROWS
    }
    missing = [name for name, series in compared.items() if not series]
    if missing:
        raise ValueError(f"studies: expected all four, got none of {', '.join(missing)}")
    counts = count_charts(compared)
    arrows = find_arrows(compared, arrow_measures, counts)
    printed = find_arrows(compared, paper_measures, counts)
    over_chart = find_arrows(compared, lambda _: CHART_MEASURES, counts)
    charts = {arrow.study: arrow for arrow in over_chart}
    # Behavior, and weights at one size, have one measure; those of several stand together.
    every = [
        one
        for here, theirs in zip(arrows, printed, strict=True)
        for one in (
            here,
            *([theirs] if theirs.measure != here.measure else []),
            *([charts[here.study]] if here.aspect == "dynamics" else []),
        )
    ]
    differing = [arrow for arrow in arrows if not arrow.agrees]
    text = ARROW_TEXT
    if differing:
        text += "\n\nArrows that are not as in the paper, or undecided:\n\n" + bullets(
            [_difference(a) for a in differing]
        )
    made = bullets([f"{_readable(study)}: {sources[study]}" for study in DEGENERACY_ARROWS])
    return Page(
        "What shapes solution degeneracy",
        _lead(arrows, printed, charts),
        (
            Section(
                "Table 1, paper versus here",
                text,
                (_overall_table(arrows, printed, charts), _pooled_table(every)),
            ),
            Section("Every series", "", (_series_table(every, compared),)),
            Section("Sources", made),
        ),
        subtitle=f"After “{DEGENERACY_PAPER}”",
        provenance=provenance.rows(),
    )


def _readable(name: str) -> str:
    return name.replace("_", " ")


def _lead(arrows: Sequence[_Arrow], printed: Sequence[_Arrow], charts: Mapping[str, _Arrow]) -> str:
    text = (
        f"{sum(arrow.agrees for arrow in arrows)} of {len(arrows)} arrows are as in the paper's "
        f"Table 1; by the paper's own formulas {sum(arrow.agrees for arrow in printed)}. Of the "
        f"{len(charts)} arrows of dynamics, {sum(here.agrees for here in arrows if here.charts)} "
        "agree with components and delays chosen per level, and "
        f"{sum(chart.agrees for chart in charts.values())} averaged over the same ones for all "
        "levels."
    )
    mixed = [f"{arrow.name} ({_count_arrows(arrow)})" for arrow in arrows if arrow.mixed]
    if mixed:
        text += f" Mixed, with single series of both signs: {'; '.join(mixed)}."
    against = [f"{arrow.name}, {ARROWS[arrow.verdict]} {arrow.against}" for arrow in arrows
               if arrow.against]  # fmt: skip
    return text + "".join(f" {line[0].upper()}{line[1:]}." for line in against)


def _difference(arrow: _Arrow) -> str:
    words = {"no arrow": "it is undecided", "too few networks": "there are too few networks"}
    here = words.get(arrow.verdict, f"it {arrow.verdict}")
    return (
        f"{arrow.name}: in the paper degeneracy {arrow.paper}, here {here} "
        f"({'; '.join(filter(None, [_count_verdicts(arrow), arrow.against]))})"
    )


def _overall_table(
    arrows: Sequence[_Arrow], printed: Sequence[_Arrow], charts: Mapping[str, _Arrow]
) -> Table:
    rows = []
    for study in DEGENERACY_ARROWS:
        cells = [
            f"{ARROWS[here.paper]} / {ARROWS[here.verdict]}{_notes(here)} / "
            f"{ARROWS[theirs.verdict]}"
            for here, theirs in zip(arrows, printed, strict=True)
            if here.study == study
        ]
        chart = charts[study]
        over_chart = f"{ARROWS[chart.paper]} / {ARROWS[chart.verdict]}{_notes(chart)}"
        rows.append((_readable(study), *cells, over_chart))
    caption = (
        "The paper's arrow / the arrow here / that by the paper's own formulas. Dynamics: the "
        "angle of DSA, in the paper |A - C B C^{T}|. Weights: PIF; across sizes over the mean "
        "norm, in the paper per parameter. Behavior: standard deviation of the stretched loss. "
        "“Mixed”: single series have arrows of both signs. “Against the chart”: in the charts of "
        "all series, over components and delays, more places have the other sign than the arrow's. "
        "Dynamics over the chart: the angle averaged over the components and delays that all "
        "levels have, of all series where these are pooled; the paper has no such formula."
    )
    columns = ("factor", "dynamics", "weights", "behavior", "dynamics over the chart")
    return Table(columns, tuple(rows), caption, align="lllll")


def _notes(arrow: _Arrow) -> str:
    """Where an arrow hides series or places of the other sign, how many these are."""
    notes = [f"mixed: {_count_arrows(arrow)}"] if arrow.mixed else []
    notes += [arrow.against] if arrow.against else []
    return f" ({'; '.join(notes)})" if notes else ""


def _pooled_table(arrows: Sequence[_Arrow]) -> Table:
    rows = tuple(
        (
            _readable(arrow.study),
            MEASURES[arrow.measure].title,
            *effect_text(arrow.pooled.trend, arrow.measure),
            *_difference_text(arrow.pooled),
            str(arrow.pooled.seeds or "not paired"),
            _count_arrows(arrow),
            ARROWS[arrow.paper],
            ARROWS[arrow.verdict],
        )
        for arrow in arrows
    )
    columns = (
        "factor", "measure", "% per level", "95% interval", "p", "tau", "I²", "seeds", "series",
        "paper", "here",
    )  # fmt: skip
    caption = (
        "Slopes per level, as a percentage of each series' mean (behavior: growth), averaged over "
        "series. One Student's t-test of this average gives the interval and p value, and decides "
        "the arrow. A condition that several series share enters once. Mean and errors are those "
        "over the seeds that all conditions share, if these are most of each; a single series may "
        "rest on more. tau, in percent, is the standard deviation between series beyond their "
        "errors, and I² its share of their variance: where they are large, the mean is that of "
        "these series and of no others. Arrows of the single series are counted beside it."
    )
    return Table(columns, rows, caption, align="llrrrrrrlll")


def _difference_text(pooled: Pooled) -> tuple[str, str]:
    """How far series differ, or `none` of one."""
    if np.isnan(pooled.tau):
        return "none", "none"
    return f"{100 * pooled.tau:.1f}", f"{pooled.inconsistency:.0%}"


def _count_arrows(arrow: _Arrow) -> str:
    """`3 ↓, 1 ↑ of 6`, with the number of series pooled where it is another."""
    verdicts = [trend.verdict for trend in arrow.trends]
    parts = (f"{verdicts.count(name)} {ARROWS[name]}" for name in ("falls", "rises"))
    return f"{', '.join(parts)} of {len(verdicts)}{arrow.pooled_text}"


def _series_table(arrows: Sequence[_Arrow], compared: Mapping[str, Sequence[Comparison]]) -> Table:
    rows = tuple(
        (
            _readable(arrow.study),
            series_title(comparison),
            MEASURES[arrow.measure].title,
            *effect_text(trend, arrow.measure),
            networks_text(trend),
            ARROWS[arrow.paper],
            ARROWS[trend.verdict],
            chart_text(arrow.charts[place]) if arrow.charts else "",
            _settled(comparison, arrow.measure),
        )
        for arrow in arrows
        for place, (comparison, trend) in enumerate(
            zip(compared[arrow.study], arrow.trends, strict=True)
        )
    )
    columns = (
        "factor", "series", "measure", "% per level", "95% interval", "p", "networks", "paper",
        "here", "chart", "settled",
    )  # fmt: skip
    caption = (
        "Slope per level in percent of the mean (for a standard deviation, sd, growth per level of "
        "the robust one), "
        "with its interval and p value, and networks by level, or the number of seeds paired "
        "across all levels; for dynamics, places of the chart over components and delays at which "
        "DSA falls, rises, of all; smallest share over the levels of pairs whose solver reached a "
        "stationary point."
    )
    return Table(columns, rows, caption, align="lllrrrrlllr")


def _count_verdicts(arrow: _Arrow) -> str:
    verdicts = [trend.verdict for trend in arrow.trends]
    counts = (f"{name} in {verdicts.count(name)}" for name in dict.fromkeys(verdicts))
    return f"{', '.join(counts)} of {len(verdicts)} series{arrow.pooled_text}"


def _settled(comparison: Comparison, measure: str) -> str:
    """Share of the pairs whose distance a solver settled, at the level where it is smallest."""
    variable = MEASURES[measure].variable
    shares = [data[variable].attrs.get("unsettled", np.nan) for data in comparison.data]
    known = [share for share in shares if not np.isnan(share)]
    return f"{1 - max(known):.0%}" if known else ""
