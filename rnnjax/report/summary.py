"""Table 1 of study 2, paper versus here."""

from collections.abc import Mapping, Sequence

from rnnjax.analysis.comparison import MEASURES, Comparison, measure_trend
from rnnjax.analysis.estimates import Trend, pooled_trend
from rnnjax.report.arrows import (
    ARROWS,
    arrow_measures,
    chart_counts,
    effect_text,
    series_title,
)
from rnnjax.report.common import bullets, provenance
from rnnjax.report.page import Page, Section, Table
from rnnjax.report.reference import DEGENERACY_ARROWS, DEGENERACY_PAPER

__all__ = ["summary_page"]


def summary_page(
    studies: Mapping[str, Sequence[Comparison]],
    *,
    command: str,
    versions: Mapping[str, str],
    sources: Mapping[str, str],
) -> Page:
    """The arrows of all four factors, each with effect, interval, p value and networks.

    Args:
        studies: the series of every study in `DEGENERACY_ARROWS`.
        command, versions: how the page came about.
        sources: the command that made each study.

    Raises:
        ValueError: a study is missing, or has no series of several levels; names it.
    """
    compared = {
        name: [c for c in studies.get(name, ()) if len(c.data) > 1] for name in DEGENERACY_ARROWS
    }
    missing = [name for name, series in compared.items() if not series]
    if missing:
        raise ValueError(f"studies: expected all four, got none of {', '.join(missing)}")
    overall, rows, differing = [], [], []
    for study, series in compared.items():
        cells = []
        for level, measure in arrow_measures(study).items():
            paper, trends = DEGENERACY_ARROWS[study][level], []
            for comparison in series:
                trend = measure_trend(comparison.data, measure)
                trends.append(trend)
                rows.append(
                    (
                        study.replace("_", " "),
                        series_title(comparison),
                        MEASURES[measure].title,
                        *effect_text(trend),
                        " / ".join(map(str, trend.networks)),
                        ARROWS[paper],
                        ARROWS[trend.verdict],
                        _chart_share(comparison) if level == "dynamics" else "",
                    )
                )
            together = pooled_trend(trends)
            cells.append(f"{ARROWS[paper]} / {ARROWS[together.verdict]} ({_mean(together)})")
            if together.verdict != paper:
                differing.append(
                    f"{study.replace('_', ' ')}, {level}: the paper's degeneracy {paper}, here "
                    f"{together.verdict} ({_counted(trends)})"
                )
        overall.append((study.replace("_", " "), *cells))
    table = Table(
        ("factor", "dynamics", "weights", "behavior"),
        tuple(overall),
        "The paper's arrow / the arrow here, and the mean slope per level over the series, in "
        "percent of each one's mean, with its 95 % interval and Stouffer's p value. Series, which "
        "may share a condition, count as independent. Weights: PIF, across sizes over the mean "
        "norm.",
        align="llll",
    )
    details = Table(
        ("factor", "series", "measure", "% per level", "95% interval", "p", "networks", "paper",
         "here", "chart"),
        tuple(rows),
        "Slope per level in percent of the mean, with its interval, the p value of a permutation "
        "of networks, and networks by level; for dynamics, places of the chart over components "
        "and delays at which DSA falls, rises, of all.",
        align="lllrrrrlll",
    )  # fmt: skip
    made = bullets([f"{study.replace('_', ' ')}: {sources[study]}" for study in DEGENERACY_ARROWS])
    agreed = 3 * len(DEGENERACY_ARROWS) - len(differing)
    lead = f"{agreed} of {3 * len(DEGENERACY_ARROWS)} arrows are as in the paper's Table 1."
    text = "They differ here:\n\n" + bullets(differing) if differing else ""
    return Page(
        "What shapes solution degeneracy",
        lead,
        (
            Section("Table 1, paper versus here", text, (table,)),
            Section("Every series", "", (details,)),
            Section("From", made),
        ),
        subtitle=f"After “{DEGENERACY_PAPER}”",
        provenance=provenance(command, versions, None),
    )


def _mean(trend: Trend) -> str:
    effect, interval, p = effect_text(trend)
    return "no data" if trend.verdict == "too few networks" else f"{effect}, {interval}; p = {p}"


def _counted(trends: Sequence[Trend]) -> str:
    verdicts = [trend.verdict for trend in trends]
    counts = (f"{name} in {verdicts.count(name)}" for name in dict.fromkeys(verdicts))
    return f"{', '.join(counts)} of {len(verdicts)} series"


def _chart_share(comparison: Comparison) -> str:
    falls, rises, compared = chart_counts(comparison)
    return f"{falls} ↓, {rises} ↑ of {compared}"
