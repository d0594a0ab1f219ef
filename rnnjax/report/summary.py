"""Table 1 of study 2, paper versus here."""

from collections.abc import Mapping, Sequence

from rnnjax.analysis.degeneracy import MEASURES, Comparison, chart_trends, level_trends
from rnnjax.report.common import bullets, provenance
from rnnjax.report.degeneracy import ARROWS, PRIMARY, effect_text, series_title
from rnnjax.report.page import Page, Section, Table
from rnnjax.report.reference import DEGENERACY_ARROWS, DEGENERACY_PAPER

__all__ = ["overall_arrow", "summary_page"]


def overall_arrow(verdicts: Sequence[str]) -> str:
    """One verdict of several series: that of all that have an arrow, `mixed`, or `no arrow`."""
    arrows = {verdict for verdict in verdicts if verdict in ("rises", "falls")}
    if len(arrows) > 1:
        return "mixed"
    return arrows.pop() if arrows else "no arrow"


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
        ValueError: a study is missing, naming it.
    """
    missing = [name for name in DEGENERACY_ARROWS if not studies.get(name)]
    if missing:
        raise ValueError(f"studies: expected all four, got none of {', '.join(missing)}")
    overall, rows, differing = [], [], []
    for study in DEGENERACY_ARROWS:
        cells = []
        for level, measure in PRIMARY.items():
            paper, verdicts = DEGENERACY_ARROWS[study][level], []
            for comparison in studies[study]:
                if len(comparison.data) < 2:
                    continue
                trend = level_trends(comparison.data, measure)
                verdicts.append(trend.verdict)
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
            here = overall_arrow(verdicts)
            agreeing = verdicts.count(paper)
            cells.append(
                f"{ARROWS[paper]} / {ARROWS.get(here, here)} ({agreeing} of {len(verdicts)})"
            )
            if here != paper:
                differing.append(
                    f"{study.replace('_', ' ')}, {level}: the paper's degeneracy {paper}, here "
                    f"{_counted(verdicts)}"
                )
        overall.append((study.replace("_", " "), *cells))
    table = Table(
        ("factor", "dynamics", "weights", "behavior"),
        tuple(overall),
        "The paper's arrow / the arrow here (series that agree with the paper, of all). An arrow "
        "here needs series with p < 0.05 that do not contradict each other.",
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


def _counted(verdicts: Sequence[str]) -> str:
    counts = (f"{name} in {verdicts.count(name)}" for name in dict.fromkeys(verdicts))
    return f"{', '.join(counts)} of {len(verdicts)} series"


def _chart_share(comparison: Comparison) -> str:
    verdicts = chart_trends(comparison.data)["verdict"].values
    falls, rises = int((verdicts == "falls").sum()), int((verdicts == "rises").sum())
    return f"{falls} ↓, {rises} ↑ of {int((verdicts != 'left out').sum())}"
