"""Arrows of degeneracy: the measures that decide them, and tables of trends beside the paper's."""

import re
from collections.abc import Sequence

import numpy as np
import xarray as xr

from rnnjax.analysis import MEASURES
from rnnjax.analysis.comparison import (
    Comparison,
    at_shared_places,
    chart_trends,
    matched,
    measure_estimate,
    measure_interval,
    measure_trend,
)
from rnnjax.analysis.trends import ALPHA, Estimate, Trend
from rnnjax.plots.style import plain_number
from rnnjax.report.page import Table
from rnnjax.report.wording import with_error
from rnnjax.studies.degeneracy.endings import ENDS
from rnnjax.studies.papers import DEGENERACY_ARROWS

__all__ = [
    "ARROWS",
    "ARROW_TEXT",
    "CHART_MEASURES",
    "against_chart",
    "arrow_measures",
    "chart_counts",
    "chart_text",
    "effect_text",
    "estimate_text",
    "interval_text",
    "left_out_text",
    "matched_table",
    "networks_text",
    "p_text",
    "paper_measures",
    "percent_text",
    "series_title",
    "shown_measures",
    "trend_table",
]

ARROWS = {"rises": "↑", "falls": "↓", "no arrow": "no arrow", "too few networks": "too few"}

UNUSABLE = "no usable interval"
"""In place of the interval of a spread, such as that of three networks, that leaves all open."""

CHART_MEASURES = {"dynamics": "dsa_chart"}
"""Dynamics at the same components and delays for all levels: the mean over the chart."""

_WIDEST = 100
"""Largest factor that such an interval may span."""

ARROW_TEXT = (
    f"An arrow (↑ rise, ↓ fall) is drawn where the {1 - ALPHA:.0%} interval of a measure's slope "
    f"over the levels excludes 0, that is, where p is at most {ALPHA:g}. Otherwise the trend is "
    f"undecided: “no arrow”. “{UNUSABLE[0].upper()}{UNUSABLE[1:]}”: that of a standard deviation "
    f"spans more than a factor of {_WIDEST}. “None” and “no interval”: the mean over the levels "
    "may be 0, so that no percentage is excluded, or too few networks differ."
)
"""What an arrow is, and which intervals are not printed."""


def arrow_measures(study: str) -> dict[str, str]:
    """The measure that decides on the arrow of each aspect.

    Across sizes raw distances of weights grow, and those per parameter fall, by the number of
    entries alone; there the distance over the norm decides.
    """
    weights = "pif_relative" if study == "network_size" else "pif"
    return {"dynamics": "dsa", "weights": weights, "behavior": "ood_spread"}


def paper_measures(study: str) -> dict[str, str]:
    """The measure of each aspect by the paper's own formulas.

    Sections 2.3.2 and 2.3.3: |A - C B C^T| for dynamics, PIF for weights, which across sizes is
    divided by the number of weights.
    """
    weights = "pif_per_parameter" if study == "network_size" else "pif"
    return {"dynamics": "dsa_raw", "weights": weights, "behavior": "ood_spread"}


def shown_measures(study: str) -> tuple[str, ...]:
    """Measures of the first table, with the paper's own formulas where these differ.

    Dynamics also at the same components and delays for all levels.
    """
    across = ("pif_gain", "pif_per_parameter") if study == "network_size" else ()
    chosen = arrow_measures(study)
    dynamics = (chosen["dynamics"], "dsa_raw", "dsa_chart")
    return (*dynamics, chosen["weights"], *across, chosen["behavior"])


def series_title(comparison: Comparison) -> str:
    """`Flip flop, bits`."""
    return f"{comparison.title}, {comparison.setting}"


def estimate_text(found: Estimate) -> str:
    """`7.27 ± 0.06`, the value alone where the error is not known, or `none`."""
    return "none" if np.isnan(found.value) else with_error(found.value, found.error)


def level_text(data: xr.Dataset, measure: str) -> str:
    """The measure of a condition with its jackknife error.

    A spread has no such error: `0.0071, robust 0.0049 (0.003 to 0.008)` is its standard deviation,
    and the robust one with its interval where that is of use.
    """
    found = measure_estimate(data, measure)
    if MEASURES[measure].statistic != "spread" or np.isnan(found.error):
        return estimate_text(found)
    value, low, high = measure_interval(data, measure)
    if np.isnan(low):
        return plain_number(found.value, 3)
    limits = " to ".join(plain_number(end, 3) for end in (low, high))
    return (
        f"{plain_number(found.value, 3)}, robust {plain_number(value, 3)} "
        f"({limits if _is_usable(low, high) else UNUSABLE})"
    )


def effect_text(trend: Trend, measure: str) -> tuple[str, str, str]:
    """Slope per level in percent of the mean (of a spread, growth), its interval, the p value.

    `+0.02 absolute` where the values differ in sign, so that there is no percentage.
    """
    if np.isnan(trend.slope) or not trend.slope:
        return "none", "none", "none"
    if np.isnan(trend.relative):
        limits = "none" if np.isnan(trend.p) else f"{trend.low:+.2g} to {trend.high:+.2g}"
        return f"{trend.slope:+.2g} absolute", limits, p_text(trend.p)
    slope = percent_text(trend.relative)
    return slope, interval_text(trend, measure) or "none", p_text(trend.p)


def interval_text(trend: Trend, measure: str) -> str:
    """The interval of a slope in percent; empty without one, `UNUSABLE` of a growth too uncertain.

    There is none where the mean of the levels does not differ from 0.

    `measure` tells a slope from the growth of a spread.
    """
    if np.isnan(trend.relative_low):
        return ""
    low, high = trend.relative_low, trend.relative_high
    if MEASURES[measure].statistic == "spread" and not _is_usable(1 + low, 1 + high):
        return UNUSABLE
    return f"{percent_text(low)} to {percent_text(high)}"


def _is_usable(low: float, high: float) -> bool:
    """Whether the limits of a spread, or of its growth, are close enough to be worth printing."""
    return high <= _WIDEST * low


def p_text(p: float) -> str:
    """A p value with two digits, or `none`."""
    return "none" if np.isnan(p) else plain_number(p, 2)


def percent_text(value: float) -> str:
    """In percent, with a digit where it would round to 0, so that its sign is seen."""
    shown = 100 * value
    if not np.isfinite(shown) or not shown or 0.05 <= abs(shown) < 1e4:
        return f"{shown:+.1f}"
    return f"{'+' if shown > 0 else '-'}{plain_number(abs(shown))}"


def left_out_text(comparison: Comparison, place: int) -> str:
    """`Flip flop, bits 3: seed 7 (took all its steps)`, or empty where no network is left out."""
    found = comparison.data[place].attrs["left_out"]
    named = re.sub(
        r"(seed \d+): (\w+)", lambda match: f"{match[1]} ({ENDS.get(match[2], match[2])})", found
    )
    return found and f"{series_title(comparison)} {comparison.levels[place]}: {named}"


def networks_text(trend: Trend) -> str:
    """`8 paired`, or the networks of every level: `8 / 7 / 8`."""
    if trend.paired and len(set(trend.networks)) == 1:
        return f"{trend.networks[0]} paired"
    counts = " / ".join(map(str, trend.networks))
    return f"{counts}, paired" if trend.paired else counts


def _paper(study: str, measure: str) -> str:
    """The paper's arrow, for the measures of the first table."""
    shown = measure in shown_measures(study) and measure != "pif_gain"
    arrows = DEGENERACY_ARROWS.get(study, {})
    return arrows.get(MEASURES[measure].level, "") if shown else ""


def _trend_rows(
    study: str, comparison: Comparison, measures: Sequence[str]
) -> list[tuple[str, ...]]:
    rows = []
    if len(comparison.data) < 2:
        return rows
    levels = comparison.data
    if "dsa_chart" in measures:
        levels = at_shared_places(levels)
    for measure in measures:
        if all(np.isnan(measure_estimate(data, measure).value) for data in levels):
            continue  # a cell without such weights, or data older than the measure
        trend = measure_trend(levels, measure)
        paper = _paper(study, measure)
        rows.append(
            (
                series_title(comparison),
                MEASURES[measure].title,
                " | ".join(level_text(data, measure) for data in levels),
                *effect_text(trend, measure),
                networks_text(trend),
                ARROWS.get(paper, "-"),
                ARROWS[trend.verdict],
            )
        )
    return rows


_COLUMNS = (
    "series", "measure", "by level", "% per level", "95% interval", "p", "networks", "paper",
    "here",
)  # fmt: skip
_ALIGN = "lllrrrrll"


def trend_table(
    study: str, comparisons: Sequence[Comparison], measures: Sequence[str], caption: str
) -> Table:
    """Measures by level, slopes with intervals, and arrows; a row per series and measure."""
    rows = [row for c in comparisons for row in _trend_rows(study, c, measures)]
    return Table(_COLUMNS, tuple(rows), caption, align=_ALIGN)


def matched_table(study: str, comparisons: Sequence[Comparison]) -> Table:
    """The arrows among networks at matched losses."""
    alike = [c._replace(data=tuple(matched(c.data))) for c in comparisons if len(c.data) > 1]
    caption = (
        "The same for networks at matched losses on the task, within the range of losses that all "
        "levels share; the row “mean loss” shows the difference that remains. Levels with fewer "
        "than three networks do not enter slopes."
    )
    apart, few = [], []
    for c in alike:
        if not any(data.sizes["seed"] for data in c.data):
            apart.append(series_title(c))
        elif measure_trend(c.data, "loss").verdict == "too few networks":
            few.append(series_title(c))
    if apart:
        caption += f" Without losses that all levels share: {'; '.join(apart)}."
    if few:
        caption += f" With too few networks at such losses for any slope: {'; '.join(few)}."
    return trend_table(study, alike, (*arrow_measures(study).values(), "loss"), caption)


def chart_counts(comparison: Comparison, variable: str = "dsa_chart") -> tuple[int, int, int]:
    """Numbers of places of a chart at which distances fall, rise, and were compared at all."""
    trends = chart_trends(comparison.data, variable)
    verdicts = trends["verdict"].values
    compared = int(np.isfinite(trends["relative"].values).sum())
    return int((verdicts == "falls").sum()), int((verdicts == "rises").sum()), compared


def against_chart(verdict: str, counts: tuple[int, int, int]) -> str:
    """`against the chart: 11 ↓, 0 ↑ of 22 places`, of an arrow; empty where they agree.

    An arrow goes against a chart (`chart_counts`) where more of its places have the other sign than
    have that of the arrow. Components and delays are chosen per level, so that the arrow can be one
    of their choice.
    """
    falls, rises, _ = counts
    same, other = {"rises": (rises, falls), "falls": (falls, rises)}.get(verdict, (0, 0))
    return f"against the chart: {chart_text(counts)} places" if other > same else ""


def chart_text(counts: tuple[int, int, int]) -> str:
    """`11 ↓, 0 ↑ of 22`, of `chart_counts`."""
    falls, rises, compared = counts
    return f"{falls} ↓, {rises} ↑ of {compared}"
