"""Table 1 of the degeneracy paper from the four studies: every arrow with effect and interval."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rnnjax.analysis import MEASURES, Comparison, Trend, measure_trend
from rnnjax.analysis.trends import ALPHA
from rnnjax.report import Provenance, write_report
from rnnjax.report.page import Page, Section, Table
from rnnjax.report.wording import bullets
from rnnjax.studies.degeneracy.arrows import (
    ARROW_TEXT,
    ARROWS,
    arrow_measures,
    chart_counts,
    effect_text,
    networks_text,
    series_title,
)
from rnnjax.studies.degeneracy.study import read_study
from rnnjax.studies.grids import provenance
from rnnjax.studies.launch import Config
from rnnjax.studies.papers import DEGENERACY_ARROWS, DEGENERACY_PAPER

__all__ = ["pooled_trend", "run", "table1_page"]


def run(
    config: Config,
    workdir: Path,
    *,
    dry_run: bool = False,
    command: str = "rnnjax.studies.degeneracy.table1.run(config, workdir)",
) -> None:
    """Writes the table; raises a `ValueError` that names every missing study."""
    workdir = Path(workdir)
    if workdir.exists() and not workdir.is_dir():
        raise ValueError(f"workdir: expected a folder, got the file {workdir}")
    if (workdir / "store").exists() or (workdir / "study.json").exists():
        raise ValueError(
            f"workdir: expected a folder for the summary alone, got a study's: {workdir}"
        )
    studies, sources, missing = {}, {}, []
    for study in DEGENERACY_ARROWS:
        try:
            sources[study], studies[study] = read_study(study, Path(config[study]))
        except ValueError as error:
            missing.append(str(error))
    if missing:
        raise ValueError("; ".join(missing))
    if dry_run:
        print("Nothing to train: the four studies are complete.")
        return
    page = table1_page(studies, provenance(config, command, None), sources=sources)
    write_report(page, workdir)
    print(f"Report: {workdir / 'report.html'}")


def pooled_trend(trends: Sequence[Trend]) -> Trend:
    """One trend of several series: the mean of their relative slopes.

    Its interval is that of the mean, from the series' own; its p value is Stouffer's, of the
    series' p values with the signs of their slopes. Series count as independent. Those with too
    few networks are left out; `networks` is the number of the others.

    Raises:
        ValueError: no series.
    """
    if not trends:
        raise ValueError("trends: expected at least one, got none")
    some = [t for t in trends if np.isfinite(t.p) and np.isfinite(t.relative)]
    count = (len(some),)
    nan = np.nan
    if not some:
        return Trend(nan, nan, nan, nan, count, nan, "too few networks")
    slopes = np.array([t.relative for t in some])
    units = np.array([t.relative / t.slope if t.slope else 0.0 for t in some])
    halves = units * np.array([(t.high - t.low) / 2 for t in some])
    mean, half = float(slopes.mean()), float(np.sqrt((halves**2).sum()) / len(some))
    from scipy import stats

    scores = np.sign(slopes) * stats.norm.isf(np.clip([t.p for t in some], 1e-16, 1) / 2)
    p = float(2 * stats.norm.sf(abs(scores.sum()) / np.sqrt(len(some))))
    agrees = mean * scores.sum() > 0
    verdict = "no arrow" if p > ALPHA or not agrees else "rises" if mean > 0 else "falls"
    return Trend(mean, mean - half, mean + half, p, count, mean, verdict)


class _Arrow(NamedTuple):
    """One cell of the table: a factor at a level, over all of its series."""

    study: str
    level: str
    measure: str
    trends: list[Trend]

    @property
    def paper(self) -> str:
        return DEGENERACY_ARROWS[self.study][self.level]

    @property
    def pooled(self) -> Trend:
        return pooled_trend(self.trends)


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
    arrows = [
        _Arrow(study, level, measure, [measure_trend(c.data, measure) for c in series])
        for study, series in compared.items()
        for level, measure in arrow_measures(study).items()
    ]
    differing = [arrow for arrow in arrows if arrow.pooled.verdict != arrow.paper]
    text = ARROW_TEXT
    if differing:
        text += "\n\nThey differ here:\n\n" + bullets([_difference(a) for a in differing])
    made = bullets([f"{_readable(study)}: {sources[study]}" for study in DEGENERACY_ARROWS])
    return Page(
        "What shapes solution degeneracy",
        f"{len(arrows) - len(differing)} of {len(arrows)} arrows are as in the paper's Table 1.",
        (
            Section("Table 1, paper versus here", text, (_overall_table(arrows),)),
            Section("Every series", "", (_series_table(arrows, compared),)),
            Section("Sources", made),
        ),
        subtitle=f"After “{DEGENERACY_PAPER}”",
        provenance=provenance.rows(),
    )


def _readable(name: str) -> str:
    return name.replace("_", " ")


def _difference(arrow: _Arrow) -> str:
    return (
        f"{_readable(arrow.study)}, {arrow.level}: the paper's degeneracy {arrow.paper}, here "
        f"{arrow.pooled.verdict} ({_count_verdicts(arrow.trends)})"
    )


def _overall_table(arrows: Sequence[_Arrow]) -> Table:
    rows = []
    for study in DEGENERACY_ARROWS:
        here = [arrow for arrow in arrows if arrow.study == study]
        cells = [
            f"{ARROWS[arrow.paper]} / {ARROWS[arrow.pooled.verdict]} ({_mean(arrow.pooled)})"
            for arrow in here
        ]
        rows.append((_readable(study), *cells))
    caption = (
        "The paper's arrow / the arrow here, and the mean slope per level over the series, in "
        "percent of each one's mean, with its 95% interval and Stouffer's p value. Series, which "
        "may share a condition, count as independent. Weights: PIF, across sizes over the mean "
        "norm."
    )
    return Table(("factor", "dynamics", "weights", "behavior"), tuple(rows), caption, align="llll")


def _series_table(arrows: Sequence[_Arrow], compared: Mapping[str, Sequence[Comparison]]) -> Table:
    rows = tuple(
        (
            _readable(arrow.study),
            series_title(comparison),
            MEASURES[arrow.measure].title,
            *effect_text(trend),
            networks_text(trend),
            ARROWS[arrow.paper],
            ARROWS[trend.verdict],
            _chart_share(comparison) if arrow.level == "dynamics" else "",
        )
        for arrow in arrows
        for comparison, trend in zip(compared[arrow.study], arrow.trends, strict=True)
    )
    columns = (
        "factor", "series", "measure", "% per level", "95% interval", "p", "networks", "paper",
        "here", "chart",
    )  # fmt: skip
    caption = (
        "Slope per level in percent of the mean, with its interval, the p value of a permutation "
        "test, and networks by level, or the number of seeds paired across all levels; for "
        "dynamics, places of the chart over components and delays at which DSA falls, rises, of "
        "all."
    )
    return Table(columns, rows, caption, align="lllrrrrlll")


def _mean(trend: Trend) -> str:
    effect, interval, p = effect_text(trend)
    return "no data" if trend.verdict == "too few networks" else f"{effect}, {interval}; p = {p}"


def _count_verdicts(trends: Sequence[Trend]) -> str:
    verdicts = [trend.verdict for trend in trends]
    counts = (f"{name} in {verdicts.count(name)}" for name in dict.fromkeys(verdicts))
    return f"{', '.join(counts)} of {len(verdicts)} series"


def _chart_share(comparison: Comparison) -> str:
    falls, rises, compared = chart_counts(comparison)
    return f"{falls} ↓, {rises} ↑ of {compared}"
