"""The pages on degeneracy: arrows, tables and counts follow planted data."""

import re
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from compared_levels import comparison
from rnnjax.analysis import (
    factor_trend,
    measure_difference,
    measure_estimate,
    measure_interval,
    measure_trend,
)
from rnnjax.analysis.attractors import Attractors
from rnnjax.dynamics import FixedPoints
from rnnjax.plots import degeneracy_levels
from rnnjax.plots.stages import ArrowCurve, arrow_curves, stage_levels
from rnnjax.plots.style import plain_number
from rnnjax.report import Provenance, render_html, render_markdown
from rnnjax.report.wording import TIMES
from rnnjax.studies.degeneracy import stages_page
from rnnjax.studies.degeneracy.arrows import (
    against_chart,
    effect_text,
    level_text,
    matched_table,
)
from rnnjax.studies.degeneracy.fixed_points import (
    FixedPointRow,
    FixedPointSummary,
    fixed_point_section,
    summarize,
)
from rnnjax.studies.degeneracy.page import _lead, degeneracy_page
from rnnjax.studies.degeneracy.solutions_page import _constant_input, _share_table, _verdict
from rnnjax.studies.degeneracy.stages_page import _cell, study_page
from rnnjax.studies.degeneracy.table1 import (
    _difference,
    _pooled_table,
    find_arrows,
    table1_page,
)
from rnnjax.studies.papers import DEGENERACY_ARROWS

RESULTS = Path(__file__).parents[3] / "docs" / "results"
MADE = Provenance(
    "python experiments/task_complexity.py", {"seeds": 10}, {"jax": "0.10.2"}, seconds=65.0
)


def part(page, heading):
    return next(section for section in page.sections if section.heading == heading)


def verdicts(lead):
    """Level -> verdict, of the first series of a lead."""
    clauses = lead.split(": ", 1)[1].split(", ")
    return {c.split(" ", 1)[0]: c.split(" ", 1)[1].split(" (")[0].rstrip(".") for c in clauses}


def test_a_slope_without_an_interval_has_none_in_tables():
    ties = factor_trend("spread", [[1.0, 1.0, 1.0, 0.98], [2.0, 3.0, 5.0, 9.0]])
    assert np.isfinite(ties.relative) and np.isnan(ties.p)
    slope, interval, p = effect_text(ties, "ood_spread")
    assert (interval, p) == ("none", "none") and float(slope) > 0
    assert "nan" not in _cell(ties, "ood_spread")
    signed = factor_trend("mean", [[-3.0, -2.0, -2.5], [1.0, 1.5, 2.0]])  # has no mean to divide by
    slope, interval, p = effect_text(signed, "pif_gain")
    assert float(slope.split()[0]) == pytest.approx(4) and signed.p < 0.05
    assert [float(end) for end in interval.split(" to ")] == pytest.approx(
        [signed.low, signed.high], rel=0.1
    )
    loose = factor_trend("mean", [[1.0, 0.0, 9.0], [2.0, 0.1, 20.0]])  # a mean that may be 0
    assert effect_text(loose, "weight_change")[1] == "none"
    assert all("nan" not in _cell(trend, "pif_gain") for trend in (signed, loose))
    assert _cell(signed, "pif_gain").startswith("↑ +4 ")
    tied = tied_level()
    assert level_text(tied, "ood_spread") == f"{np.std([1.0] * 9 + [0.98]):.3g}"


def test_an_interval_of_a_spread_beyond_a_factor_of_a_hundred_is_not_printed():
    few = [[1.0, 1.1, 1.5], [1.0, 1.001, 3.0]]
    wide = factor_trend("spread", few)
    assert (1 + wide.relative_high) / (1 + wide.relative_low) > 100
    assert effect_text(wide, "ood_spread")[1] == "no usable interval"
    assert _cell(wide, "ood_spread").endswith("(no usable interval)")
    assert " to " in effect_text(wide, "dsa")[1]  # a slope over a mean has no factor
    (data, *_) = comparison().data
    values = np.full(10, np.nan)
    values[:3] = few[1]
    assert measure_interval(data.assign(ood_loss=("seed", values)), "ood_spread").low > 0
    three = data.assign(ood_loss=("seed", values))
    assert level_text(three, "ood_spread").endswith("(no usable interval)")
    assert "usable" not in level_text(data, "ood_spread")


def tied_level():
    """A condition whose stretched losses have two values only."""
    (data, *_) = comparison().data
    return data.assign(ood_loss=("seed", [1.0] * 9 + [0.98]))


def test_unknown_intervals_are_not_drawn():
    tied, *known = (tied_level(), *comparison().data[1:])
    trends = [measure_trend(levels, "ood_spread") for levels in ((tied, *known), tuple(known))]
    curve = ArrowCurve("behavior", "bits", "Flip flop", (3.0, 1.0), tuple(trends))
    stages = [
        comparison()._replace(stage=stage, data=(data, *known))
        for stage, data in ((3.0, tied), (1.0, comparison().data[0]))
    ]
    for figure in (arrow_curves([curve]), stage_levels([stages], [["ood_spread"]])):
        bars = figure.axes[0].containers[0].lines[2][0].get_paths()
        heights = [np.ptp(bar.vertices[:, 1]) if len(bar.vertices) else np.nan for bar in bars]
        assert np.isnan(heights[0]) and heights[1] > 0


@pytest.mark.slow
def test_arrows_stand_beside_the_papers():
    page = degeneracy_page("task_complexity", [comparison(networks=20)], MADE)
    assert verdicts(page.lead) == {"dynamics": "↑", "weights": "↑", "behavior": "↑"}
    assert page.lead.count("(paper: ↓)") == 2
    rows = part(page, "Arrows: paper versus here").tables[0].rows
    # Dynamics by the angle, the paper's formula and the chart; weights, behavior.
    assert [row[-2:] for row in rows] == [("↓", "↑")] * 3 + [("↑", "↑"), ("↓", "↑")]
    assert rows[0][6] == "20 paired"
    low, high = (float(x) for x in rows[0][4].split(" to "))
    assert low < float(rows[0][3]) < high
    assert rows[0][5] == plain_number(measure_trend(comparison(networks=20).data, "dsa").p, 2)
    falling = degeneracy_page("task_complexity", [comparison((4.0, 2.0, 1.0))], MADE)
    assert verdicts(falling.lead)["weights"] == "↓"
    counts = part(falling, "Dynamics: by components and delays").text
    assert [int(n) for n in re.findall(r"DSA: falls at (\d+) .* (\d+) of (\d+)", counts)[0]] == [
        3, 0, 3
    ]  # fmt: skip
    assert dict(page.provenance)["training and measuring took"] == "1 min 5 s"


def test_the_figure_of_a_spread_has_the_robust_one_with_its_interval():
    one = comparison(networks=20)
    figure = degeneracy_levels([one], ("dsa", "ood_spread"))
    for axes, of in zip(figure.axes, (measure_estimate, measure_interval), strict=True):
        measure = "dsa" if of is measure_estimate else "ood_spread"
        expected = [of(data, measure) for data in one.data]
        np.testing.assert_allclose(axes.lines[0].get_ydata(), [found.value for found in expected])
    ends = np.array([bar[:, 1] for bar in axes.collections[0].get_segments()])
    np.testing.assert_allclose(ends, [(found.low, found.high) for found in expected])


@pytest.mark.slow
def test_no_arrow_is_shown_as_such():
    page = degeneracy_page("network_size", [comparison((1.0, 1.0, 1.0))], MADE)
    assert verdicts(page.lead)["dynamics"] == "undecided"
    few = degeneracy_page("network_size", [comparison((1.0, 2.0), missed=8)], MADE)
    assert verdicts(few.lead)["dynamics"] == "too few networks"
    text = render_markdown(few)
    assert "Flip flop, bits 3: seed 2 (took all its steps), seed 3 (took" in text
    assert "2 of 10" in text
    assert " nan" not in text.lower()


@pytest.mark.slow
def test_one_condition_alone_makes_a_page():
    page = degeneracy_page("regularization", [comparison((1.0,))], MADE)
    assert not any(verdict in page.lead for verdict in ("↑", "↓", "undecided"))
    assert "Dynamics: by components and delays" not in [s.heading for s in page.sections]
    assert " nan" not in render_html(page).lower()


@pytest.mark.slow
def test_a_condition_of_which_none_converged_makes_a_page():
    one = comparison(missed=10)
    one.data[0]["dsa"].attrs.update(components=0, delays=0, longest_tried=0)
    page = degeneracy_page("regularization", [one], MADE)
    text = render_markdown(page)
    assert (
        "(k, L) = none, (4, 2), (4, 2) by level"
        in part(page, "Dynamics: by components and delays").text
    )
    assert "0 of 10" in text
    assert " nan" not in text.lower()


def attractors(stable):
    points = np.random.default_rng(0).normal(size=(4, 3))
    here = np.arange(4) < stable
    values = np.where(here[:, None], 0.9, 1.2) * np.ones((4, 3), complex)
    found = FixedPoints(points, np.full(4, 1e-25), values, np.ones(4, bool), here, np.ones(4))
    return Attractors(
        np.array([7]), [found], np.eye(3)[None], np.zeros((1, 3)), points[None],
        np.full((1, 3), 1 / 3), [np.array([[1.0, 1], [1, -1], [-1, 1], [-1, -1]])],
    )  # fmt: skip


def test_memories_are_the_choices_that_the_task_reads():
    four = attractors(4)
    assert four.memories(0) == 4
    assert four._replace(decision="argmax").memories(0) == 2
    assert attractors(0).memories(0) == attractors(0)._replace(decision="argmax").memories(0) == 0


@pytest.mark.slow
def test_fixed_points_are_counted_against_the_memories():
    def page(stable):
        return degeneracy_page(
            "task_complexity", [comparison()], MADE,
            fixed_points=summarize({"2 bits": attractors(stable)}, {"2 bits": 4}),
        )  # fmt: skip

    full = part(page(4), "Fixed points")
    assert full.tables[0].rows[0][:6] == ("2 bits", "7", "4", "4 of 4", "0", "0")
    assert "seed 7" not in full.text
    short = part(page(3), "Fixed points")
    assert short.tables[0].rows[0][2:5] == ("3", "3 of 4", "1")
    (line,) = [line for line in short.text.splitlines() if "seed 7" in line]
    assert "3 of 4 memories" in line


def test_the_summary_counts_series_and_names_what_differs():
    falling, rising = comparison((4.0, 2.0, 1.0)), comparison()
    still = comparison((1.0, 1.0, 1.0))
    studies = {
        "task_complexity": [falling, falling],  # dynamics and behavior as in the paper
        "feature_learning": [rising, falling],  # mixed
        "network_size": [falling],  # all as in the paper
        "regularization": [still],  # nothing
    }
    sources = dict.fromkeys(DEGENERACY_ARROWS, "python experiments/some.py")
    about = Provenance("python experiments/summary.py")
    page = table1_page(studies, about, sources=sources)
    assert page.lead.startswith("5 of 12 arrows")
    rows = page.sections[0].tables[0].rows
    assert list(rows[0]) == ["task complexity", "↓ / ↓ / ↓", "↑ / ↓ / ↓", "↓ / ↓ / ↓", "↓ / ↓"]
    assert rows[1][1] == "↓ / no arrow (mixed: 1 ↓, 1 ↑ of 2) / no arrow"
    assert rows[3][1] == "↓ / no arrow / no arrow"
    assert "feature learning, dynamics (1 ↓, 1 ↑ of 2)" in page.lead
    assert "chart" not in page.lead
    pooled = {row[:2]: row for row in page.sections[0].tables[1].rows}
    assert len(pooled) == 12 + 8 + 1  # two more of DSA by factor, PIF per parameter across sizes
    angle = "DSA, angular"
    mixed, alone = pooled["feature learning", angle], pooled["network size", angle]
    assert mixed[6:9] == ("99%", "10", "1 ↓, 1 ↑ of 2")
    assert (alone[5], alone[8]) == ("none", "1 ↓, 0 ↑ of 1")
    differing = [line for line in page.sections[0].text.splitlines() if line.startswith("- ")]
    assert len(differing) == 12 - 5
    assert any(
        line.startswith("- feature learning, dynamics") and "undecided (rises in 1" in line
        for line in differing
    )
    assert page.sections[1].tables[0].rows[0][-2:] == ("3 ↓, 0 ↑ of 3", "90%")
    # Where the two formulas give different arrows, each count follows its own.
    split = [c._replace(data=tuple(d.assign(dsa_raw=d["dsa_raw"] * 10**k)
             for k, d in enumerate(c.data))) for c in [falling]]  # fmt: skip
    page = table1_page({**studies, "network_size": split}, about, sources=sources)
    assert page.sections[0].tables[0].rows[2][1] == "↓ / ↓ / ↑"
    assert [int(n) for n in re.findall(r"\d+", page.lead.split(" Mixed")[0])] == [
        5, 12, 1, 3, 4, 2, 2,
    ]  # fmt: skip
    # An arrow that the charts of its series contradict, which have the other sign at more places.
    page = table1_page({**studies, "network_size": [against()]}, about, sources=sources)
    assert page.sections[0].tables[0].rows[2][1] == (
        "↓ / ↑ (against the chart: 3 ↓, 0 ↑ of 3 places) / ↑"
    )
    assert page.sections[0].tables[0].rows[2][4] == "↓ / ↓"
    assert "etwork size, dynamics, ↑ against the chart: 3 ↓, 0 ↑ of 3 places" in page.lead
    some = {k: studies[k] for k in ("task_complexity", "feature_learning")}
    with pytest.raises(ValueError, match="^studies: .*none of network_size, regularization"):
        table1_page(some, about, sources=sources)


def test_the_summary_counts_the_series_that_are_pooled():
    few = comparison((1.0, 2.0), missed=8)  # two networks at its last level
    series = [comparison(), comparison((4.0, 2.0, 1.0)), few]
    found = [
        find_arrows({"feature_learning": some}, lambda _: {"weights": "pif"}, {})[0]
        for some in (series, series[:2], [few])
    ]
    assert [arrow.pooled.trend.networks for arrow in found] == [(2,), (2,), (0,)]
    counts = [row[8] for row in _pooled_table(found).rows]
    assert counts == ["1 ↓, 1 ↑ of 3, 2 pooled", "1 ↓, 1 ↑ of 2", "0 ↓, 0 ↑ of 1, 0 pooled"]
    assert ["of 3 series, 2 pooled" in _difference(arrow) for arrow in found] == [
        True,
        False,
        False,
    ]


def against():
    """A factor whose dynamical distance rises, and falls at every place of its chart."""
    rising, falling = comparison(), comparison((4.0, 2.0, 1.0))
    both = zip(rising.data, falling.data, strict=True)
    return rising._replace(data=tuple(up.assign(dsa_chart=down["dsa_chart"]) for up, down in both))


def test_an_arrow_against_its_chart_is_marked():
    assert against_chart("rises", (11, 0, 22)) == "against the chart: 11 ↓, 0 ↑ of 22 places"
    assert against_chart("falls", (3, 4, 22)) == "against the chart: 3 ↓, 4 ↑ of 22 places"
    for verdict, counts in (("rises", (4, 4, 22)), ("falls", (1, 0, 22)), ("no arrow", (9, 0, 9))):
        assert against_chart(verdict, counts) == ""
    lead = _lead("regularization", [against()])
    assert "dynamics ↑ (paper: ↓; against the chart: 3 ↓, 0 ↑ of 3 places), weights" in lead
    assert lead.count("chart") == 1
    staged = [against()._replace(name="network_size_flip_flop", stage=stage) for stage in (3, 1)]
    series = stages_page._series(staged)
    assert "↑ against the chart: 3 ↓, 0 ↑ of 3 places" in stages_page._lead(series, (3, 1))
    plain = [c._replace(data=comparison().data) for c in staged]
    assert "chart" not in stages_page._lead(stages_page._series(plain), (3, 1))


@pytest.mark.slow
def test_sizes_are_compared_by_weights_over_their_norm():
    page = degeneracy_page("network_size", [comparison()], MADE)
    rows = part(page, "Arrows: paper versus here").tables[0].rows
    shown = {row[1]: row[-2] for row in rows}
    assert shown["PIF over mean norm"] == shown["PIF per parameter"] == "↓"
    assert shown["PIF over norm, less untrained"] == "-"
    assert "PIF" not in shown
    elsewhere = part(page, "Behind the arrows").tables[0].rows
    assert {row[1] for row in elsewhere} >= {"PIF", "PIF over norm, untrained"}


def test_unknown_studies_are_refused():
    with pytest.raises(ValueError, match="^study: expected one of task_complexity"):
        degeneracy_page("depth", [comparison()], MADE)
    with pytest.raises(ValueError, match="^comparisons: expected at least one"):
        degeneracy_page("regularization", [], MADE)


def stages(growth, study, setting):
    """A factor with two levels at three losses; the second level's degeneracy is `growth` times
    that of the first."""
    found = []
    for stage, scale in zip((30.0, 3.0, 1.0), growth, strict=True):
        made = comparison((1.0, scale), networks=20)
        name = f"{study}_flip_flop_{stage:g}"
        found.append(made._replace(name=name, setting=setting, stage=stage))
    return found


@pytest.mark.slow
def test_arrows_along_training_and_their_change():
    made = [
        *stages((1.0, 3.0, 9.0), "task_complexity", "bits"),
        *stages((9.0, 9.0, 9.0), "network_size", "units"),
    ]
    page = study_page("training_stages", made, MADE)
    table = part(page, "Arrows along training").tables[0]
    assert table.columns[3:6] == tuple(f"{loss}{TIMES}" for loss in (30, 3, 1))
    rows = {row[:2]: row[2:] for row in table.rows}
    grows = rows["Flip flop, bits", "PIF"]
    assert [cell[0] for cell in grows[1:4]][1:] == ["↑", "↑"]
    assert not grows[1].startswith(("↑", "↓"))
    assert (grows[0], grows[4][0]) == ("↑", "↑")
    change = measure_difference(made[0].data, made[2].data, "pif")
    assert change.p < 0.05 and grows[5] == plain_number(change.p, 2)
    stays = rows["Flip flop, units", "PIF over mean norm"]
    assert stays[1] == stays[2] == stays[3]
    assert stays[4:] == ("+0.0 (+0.0 to +0.0)", "1", "20 paired")
    # Four trends each; those of the second factor stand from the first loss on.
    numbers = re.findall(r"(\d+) of (?:8 trends|these)|between: (\d+)", page.lead)
    assert [int(a or b) for a, b in numbers] == [8, 4, 4]
    networks = part(page, "Networks").tables[0].rows
    assert [row[:3] for row in networks[:2]] == [
        ("Flip flop, bits", "2", "20"), ("Flip flop, bits", "3", "20")
    ]  # fmt: skip
    assert networks[0][3].startswith("20; ")
    assert {p.name for s in page.sections for p in s.figures} == {"arrow_curves", "stage_levels"}
    assert "nan" not in render_markdown(page).split("## Settings")[0].lower()
    # Of an unfinished study, stages that lack a level are left out.
    missing = made[1]._replace(levels=made[1].levels[:1], data=made[1].data[:1])
    some = study_page("training_stages", [made[0], missing, *made[3:]], MADE, partial=True)
    assert "(partial results)" in render_markdown(some)
    row = part(some, "Arrows along training").tables[0].rows[0]
    assert row[4:7] == ("not yet",) * 3
    assert part(some, "Networks").tables[0].rows[0][4:] == ("not yet",) * 2
    assert re.findall(r"of (\d+) trends", some.lead) == ["4"]  # of the second factor


def test_the_committed_report_along_training_says_how_intervals_treat_the_mean():
    lines = stages_page._limitations([comparison()]).splitlines()
    (about,) = [line for line in lines if "divided by the mean" in line]
    assert "Fieller" in about and "first order" in about and "known" not in about
    report = RESULTS / "training_stages_arrows" / "report.md"
    assert about in report.read_text(encoding="utf-8").splitlines()


def test_comparisons_without_stages_have_the_page_of_their_factor():
    given = {"seeds": 10, "flip_flop": {"bits": 3, "steps": 5}, "gammas": (1.0,), "stages": (3.0,)}
    page = study_page("training_stages", [comparison()], Provenance("python", given))
    assert page.title == "Degeneracy: training stages"
    assert page.lead.startswith("Flip flop, as the loss falls: dynamics")
    # Without those that only arrows use.
    shown = [row[0] for row in part(page, "Settings").tables[0].rows]
    assert shown == ["seeds", "flip_flop.steps", "stages"]


def test_a_lead_without_comparisons_counts_conditions():
    one = comparison((1.0,))
    alone, several = (_lead("regularization", series) for series in ([one], [one, one]))
    assert alone.startswith("One condition,")
    assert several.startswith("One condition in each")


def test_series_without_shared_losses_are_named():
    together = comparison()
    apart = together._replace(
        title="Sine", data=tuple(d.assign(loss=d["loss"] * 0 + k) for k, d in enumerate(
            together.data)),
    )  # fmt: skip
    table = matched_table("task_complexity", [together, apart])
    assert {row[0] for row in table.rows} == {"Flip flop, bits"}
    assert table.caption.endswith("Sine, bits.")
    assert "Flip flop" not in table.caption
    # Of a series that keeps two networks at all levels but one, no slope is computed.
    few = together._replace(title="Cue", data=tuple(
        d.assign(loss=d["loss"] * 0 + (d["seed"] > 1) * k) for k, d in enumerate(together.data)
    ))  # fmt: skip
    table = matched_table("task_complexity", [together, few, apart])
    assert {row[-1] for row in table.rows if row[0] == "Cue, bits"} == {"too few"}
    named = [part for part in table.caption.split(".") if "bits" in part]
    assert [part.split(": ")[1] for part in named] == ["Sine, bits", "Cue, bits"]


def test_memories_are_claimed_for_tasks_with_a_fixed_number_of_them():
    full = FixedPointRow("2 bits", 0, 4, 0, 0, 4, 4, 0.0, ())
    other = full._replace(population="discrimination", held=None, expected=None)
    picture = summarize({"2 bits": attractors(4)}, {"2 bits": 4}).picture
    texts = [fixed_point_section(FixedPointSummary(rows, picture)).text
             for rows in ([full], [full, other], [other])]  # fmt: skip
    assert "fixed number" not in texts[0] != ""
    assert "fixed number" in texts[1]
    assert texts[2] == ""


def test_the_subtitle_has_the_settings_that_differ_from_the_preset():
    command = "rnnjax network_size --config=paper --config.tasks=a,b '--config.gammas=()' --dry_run"
    one = comparison((1.0,))
    page = degeneracy_page("network_size", [one], Provenance(command))
    assert page.subtitle.endswith("; config = paper; tasks = a, b; gammas = ()")
    assert degeneracy_page("network_size", [one], MADE).subtitle.endswith("”")


def test_networks_that_are_not_divided_are_not_called_of_one_kind():
    found = xr.Dataset({"count": (("solution", "levels"), [[5]])}, {"network": range(5)})
    assert "no stable division into kinds was found among 5 networks" in _verdict("A", found)
    assert "one network" in _verdict("A", found.isel(network=[0]))


def test_the_networks_of_a_kind_are_counted_beside_their_level():
    one = np.ones(2)
    found = xr.Dataset(
        {"count": (("solution", "levels"), [[3, 0], [0, 5]]),
         **dict.fromkeys(("share", "share_low", "share_high", "stability"), ("solution", one))},
        {"levels": ["1", "4"]},
    )  # fmt: skip
    assert [row[2] for row in _share_table({"A": found}).rows] == ["1: 3, 4: 0", "1: 0, 4: 5"]


def test_the_input_of_the_examined_networks_is_that_of_the_settings():
    texts = [_constant_input({"fingerprint": {"inputs": kind}}) for kind in ("zero", "median")]
    assert ["median" in text for text in texts] == [False, True]
    assert ["zero" in text for text in texts] == [True, False]
