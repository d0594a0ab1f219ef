"""Writes docs/coverage.md: which figures of both papers have a result here, and at which scale.

    python docs/coverage.py

Numbers of what was run come from the committed results (the measures of the degeneracy studies,
`results.nc` or the settings of the other reports), those of the degeneracy paper's figures from the
presets `paper`. The lists below hold the other numbers of the papers, what each figure claims, and
why a result is smaller or differs.
"""

import functools
import importlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from rnnjax.analysis import Comparison, measure_trend
from rnnjax.studies.catalog import STUDIES
from rnnjax.studies.degeneracy.arrows import CHART_MEASURES, arrow_measures, paper_measures
from rnnjax.studies.degeneracy.conditions import all_conditions
from rnnjax.studies.degeneracy.study import read_study
from rnnjax.studies.degeneracy.table1 import count_charts, find_arrows
from rnnjax.studies.papers import DEGENERACY_ARROWS
from rnnjax.studies.results_file import NAME, read_results
from rnnjax.training import Status

DOCS = Path(__file__).parent
RESULTS = DOCS / "results"


class Row(NamedTuple):
    """One figure or table."""

    item: str
    shows: str
    tasks: str
    sizes: str
    networks: int
    asked: int
    """Networks of the paper, or 0 where it trained none and states no scale."""
    steps: str
    verdict: str
    why: str
    reports: tuple[str, ...]
    as_large: bool = True
    """Whether networks and training are as large and as long as there."""

    @property
    def scale(self) -> str:
        """How the result compares with the paper's in size."""
        if not self.reports:
            return "not run"
        if not self.asked:
            return "unstated"
        return "full" if self.as_large and self.networks >= self.asked else "smaller"


# Sweeps


class Sweep(NamedTuple):
    """A figure or table of the collapse paper, and the reports that show it."""

    item: str
    shows: str
    study: str
    asked: int
    reports: tuple[str, ...]
    verdict: str
    why: str


_PAPER = "; with the paper's steps, seeds and rates, N to 177"
_ADAM_SGD = f"400 steps, two tasks, N to 178, half decades{_PAPER}"
_THREE_TASKS = (
    f"400 or 800 steps, N to 100, 178 or 316, half decades or bisected to 0.1 decade{_PAPER}"
)
SWEEPS = (
    Sweep("Fig. 1B, Table 1", "best rate against N", "lr_collapse", 3900,
          ("laptop", "cue_match_paper", "flip_flop_paper"),
          "falls with N as there, in 400 steps and, on delayed cue and the flip-flop, in 5,000; "
          "single rates differ",
          _ADAM_SGD),
    Sweep("Fig. 2, Table 2", "which rates train which sizes", "lr_collapse", 3900,
          ("laptop", "cue_match_paper", "flip_flop_paper"),
          "the largest rate that trains falls with N under SGD in 400 steps; in 5,000 steps 177 "
          "units fail on all three tasks at a rate that trains fewer",
          _ADAM_SGD),
    Sweep("Fig. 3, Eq. 6", "exponents of the critical rate", "lr_collapse", 3900,
          ("laptop", "bisect", "bisect_flip_flop", "bisect_gaussian", "bisect_gaussian_adam",
           "cue_match_paper", "flip_flop_paper"),
          "established on delayed cue, and on the flip-flop under Adam, with `xavier` weights; not "
          "with `gaussian` ones; with the paper's rates on the flip-flop under Adam alone, by a "
          "model of all seeds", _THREE_TASKS),
    Sweep("Fig. 4, Table 3", "weights W/N", "rescaling", 60, ("rescaling",),
          "differs: larger networks are slower only at some rates and losses, and Adam's epsilon "
          "accounts for part or all of it; rate 1 trains",
          "N = 125 to 2000, 250 steps, batch 16, trials of 40 steps"),
    Sweep("Fig. 5, Table 4", "latent training", "latent", 60, ("latent_paper",),
          "as there at rate 0.01; at 0.1 curves differ by up to 6.6 times after 500 steps (seeds "
          "alone: up to 6.1); at both the steps to a loss hardly depend on N",
          "the task is not stated there"),
)  # fmt: skip


def _settings(run: str) -> dict[str, str]:
    """The settings that a report lists."""
    text = (RESULTS / run / "report.md").read_text(encoding="utf-8")
    table = text.split("\n## Settings\n")[1].split("\n## ")[0]
    return dict(re.findall(r"^\| ([\w.]+) \| (.*) \|$", table, re.M))


def _listed(settings: dict[str, str], name: str) -> list[str]:
    return [value.strip() for value in settings[name].split(",")]


class _Found(NamedTuple):
    tasks: list[str]
    sizes: list[int]
    networks: int
    steps: int


def _sweep(run: str) -> _Found:
    settings = _settings(run)
    named = next((name for name in ("tasks", "task") if name in settings), None)
    tasks = _listed(settings, named) if named else ["flip_flop"]
    sizes, steps = [int(n) for n in _listed(settings, "hidden")], int(settings["epochs"])
    return _Found(tasks, sizes, _finished(run), steps)


def _finished(run: str) -> int:
    """Runs that are not pending, from the results or else from the report's table of runs."""
    if (RESULTS / run / NAME).exists():
        return int((read_results(RESULTS / run)["status"] != Status.PENDING).sum())
    text = (RESULTS / run / "report.md").read_text(encoding="utf-8")
    header, _, *lines = re.findall(
        r"^\| (.*) \|$", text.split("\n## Runs\n")[1].split("\n## ")[0], re.M
    )
    names = header.split(" | ")
    return sum(
        int(value.replace(",", ""))
        for line in lines
        for name, value in zip(names, line.split(" | "), strict=True)
        if name not in ("condition", "pending")
    )


def _as_large(study: str, found: Sequence[_Found]) -> bool:
    """Whether some report has the paper's largest size, and its steps."""
    config = STUDIES[study].settings.config("paper")
    return any(
        max(each.sizes) >= max(config.hidden) and each.steps >= config.epochs for each in found
    )


def sweep_row(one: Sweep) -> Row:
    """The row of a figure of the collapse paper."""
    found = [_sweep(run) for run in one.reports]
    tasks = list(dict.fromkeys(task for each in found for task in each.tasks))
    sizes = sorted({size for each in found for size in each.sizes})
    return Row(
        one.item, one.shows, _named(tasks), f"{sizes[0]} to {sizes[-1]}",
        sum(each.networks for each in found), one.asked,
        ", ".join(str(n) for n in sorted({each.steps for each in found})) + " steps",
        one.verdict, one.why, one.reports, _as_large(one.study, found),
    )  # fmt: skip


# Degeneracy studies


class Figure(NamedTuple):
    """A figure of the degeneracy paper: its study, series, and the arrows that it shows."""

    item: str
    shows: str
    study: str
    series: str
    """Pattern of the names of its series, such as `.*_mup`."""
    claims: dict[str, str]
    """Direction by measure."""
    folders: tuple[str, ...] = ()
    """Those of its results, if not that of the study."""


_COMPLEXITY = ".*_(bits|channels|dimensions)"


def _levels(study: str, *levels: str) -> dict[str, str]:
    measures = arrow_measures(study)
    return {measures[level]: DEGENERACY_ARROWS[study][level] for level in levels}


_THREE = ("dynamics", "weights", "behavior")
_LEARNING = {"weight_change": "rises", "kernel_alignment": "falls"}
_STABLE = {"kernel_alignment": "no arrow"}
MORE = {
    "feature_learning": ("feature_learning_sine", "feature_learning_path"),
    "network_size": ("network_size_sine", "network_size_path"),
}
"""Folders with other tasks of a study."""


def _folders(study: str) -> tuple[str, ...]:
    """The folders of a study: its own, and those of other tasks."""
    return (study, *MORE.get(study, ()))


FIGURES = (
    Figure("Fig. 3", "degeneracy against channels", "task_complexity", _COMPLEXITY,
           _levels("task_complexity", *_THREE)),
    Figure("Fig. 4", "against memory and auxiliary loss", "task_complexity",
           "delayed_discrimination_(delay|auxiliary)", _levels("task_complexity", *_THREE)),
    Figure("Fig. 5", "feature learning against channels", "task_complexity", _COMPLEXITY,
           _LEARNING),
    Figure("Fig. 6", "degeneracy against gamma, muP", "feature_learning", ".*_mup",
           _levels("feature_learning", *_THREE)),
    Figure("Fig. 7", "degeneracy against N, muP", "network_size", ".*_mup",
           _levels("network_size", *_THREE)),
    Figure("Fig. 8", "degeneracy against penalties", "regularization", "delayed_discrimination_.*",
           _levels("regularization", *_THREE)),
    Figure("Fig. 11", "stretched losses against complexity", "task_complexity", ".*", {}),
    Figure("Fig. 12", "stretched losses against gamma, muP", "feature_learning", ".*_mup", {}),
    Figure("Fig. 13", "stretched losses against N, muP", "network_size", ".*_mup", {}),
    Figure("Fig. 14", "stretched losses against the nuclear norm", "regularization", ".*_nuclear",
           {}),
    Figure("Fig. 15", "stretched losses against L1", "regularization", ".*_l1", {}),
    *(
        Figure(f"Fig. {number}", "feature learning against gamma, muP", "feature_learning",
               f"{task}_mup", _LEARNING)
        for number, task in zip(
            (16, 17, 18, 19),
            ("flip_flop", "delayed_discrimination", "sine_wave", "path_integration"), strict=True,
        )
    ),
    *(
        Figure(f"Fig. {number}", "feature learning against N, muP", "network_size", f"{task}_mup",
               _STABLE)
        for number, task in zip(
            (20, 21, 22, 23),
            ("flip_flop", "delayed_discrimination", "sine_wave", "path_integration"), strict=True,
        )
    ),
    Figure("Fig. 24", "against the nuclear norm, other tasks", "regularization",
           "(?!delayed).*_nuclear", _levels("regularization", *_THREE)),
    Figure("Fig. 25", "against L1, other tasks", "regularization", "(?!delayed).*_l1",
           _levels("regularization", *_THREE)),
    Figure("Fig. 26", "degeneracy against gamma, standard", "feature_learning", ".*_gamma_trick",
           _levels("feature_learning", "dynamics", "weights"), ("gamma_trick",)),
    Figure("Fig. 27", "feature learning against gamma, standard", "feature_learning",
           ".*_gamma_trick", {**_LEARNING, "representation_alignment": "falls"}, ("gamma_trick",)),
    Figure("Fig. 28", "degeneracy against N, standard", "network_size", ".*_standard",
           _levels("network_size", "dynamics", "weights"), ("network_size_standard",)),
    Figure("Fig. 29", "feature learning against N, standard", "network_size",
           "(?!flip_flop).*_standard", _STABLE, ("network_size_standard",)),
)  # fmt: skip


def _series(study: str, *folders: str) -> list[Comparison]:
    chosen = folders or _folders(study)
    return [one for folder in chosen for one in read_study(study, RESULTS / folder)[1]]


def _asked(study: str, pattern: str) -> int:
    """Networks that the paper's preset trains for these series."""
    config = STUDIES[study].settings.config("paper")
    factors = importlib.import_module(STUDIES[study].run).factors(config)
    chosen = [f for f in factors if re.fullmatch(pattern, f.name)]
    return config.seeds * len(all_conditions(chosen))


def _trained(series: Sequence[Comparison]) -> int:
    """Networks of the series; those of conditions that series share once."""
    distinct = {data["weight_change"].values.tobytes(): data for c in series for data in c.data}
    return sum(int((data["status"] != Status.PENDING).sum()) for data in distinct.values())


def figure_row(one: Figure) -> Row:
    """The row of a figure of the degeneracy paper."""
    by_folder = {
        folder: [c for c in _series(one.study, folder) if re.fullmatch(one.series, c.name)]
        for folder in one.folders or _folders(one.study)
    }
    folders = tuple(folder for folder, series in by_folder.items() if series)
    chosen = [comparison for series in by_folder.values() for comparison in series]
    asked = _asked(one.study, one.series)
    if not chosen:
        return Row(one.item, one.shows, "", "", 0, asked, "", "not run", "", ())
    parts = []
    for measure, paper in one.claims.items():
        text = f"{_MEASURES.get(measure, measure)} {_agreeing(chosen, measure, paper)}"
        if measure == "dsa":
            text += f" (over the chart {_agreeing(chosen, CHART_MEASURES['dynamics'], paper)})"
        parts.append(text)
    verdict = "as there in " + ", ".join(parts) if parts else _SHOWN
    tasks = list(dict.fromkeys(_task(c) for c in chosen))
    sizes = sorted({int(data["hidden"]) for c in chosen for data in c.data if "hidden" in data})
    settings = _settings(folders[0])
    shown = sizes or [int(n) for n in _listed(settings, _WIDTHS.get(one.study, "hidden"))]
    text = f"{shown[0]}" if len(shown) == 1 else f"{shown[0]} to {shown[-1]}"
    networks = max(len(data["seed"]) for c in chosen for data in c.data)
    why = f"{networks} networks per condition, {_WHY.get(one.study, 'N = 64, fewer levels')}"
    return Row(
        one.item, one.shows, _named(tasks), text, _trained(chosen), asked, "to threshold", verdict,
        why, folders,
    )  # fmt: skip


def _agreeing(series: Sequence[Comparison], measure: str, paper: str) -> str:
    """How many of the series have the paper's arrow."""
    verdicts = [measure_trend(c.data, measure).verdict for c in series]
    return f"{verdicts.count(paper)} of {len(verdicts)}"


_SHOWN = "shown; no direction is claimed"
_WHY = {"network_size": "N = 32 to 128 for 64 to 256"}
_WIDTHS = {"network_size": "widths"}
_MEASURES = {
    "dsa": "dynamics", "pif": "weights", "pif_relative": "weights", "ood_spread": "behavior",
    "weight_change": "weight change", "kernel_alignment": "kernel alignment",
    "representation_alignment": "representation alignment",
}  # fmt: skip

TASKS = ("flip_flop", "delayed_discrimination", "sine_wave", "path_integration", "delayed_cue",
         "delayed_match")  # fmt: skip
_SHORT = {"delayed_discrimination": "discrimination", "path_integration": "path integration",
          "sine_wave": "sine wave", "flip_flop": "flip-flop", "delayed_cue": "delayed cue",
          "delayed_match": "delayed matching"}  # fmt: skip


def _task(comparison: Comparison) -> str:
    return next(task for task in TASKS if comparison.name.startswith(task))


def _named(tasks: Sequence[str]) -> str:
    return ", ".join(_SHORT[task] for task in tasks)


def table1_counts() -> tuple[int, int, int]:
    """Arrows of Table 1 that are the paper's: by our measures, by its formulas, over the chart."""
    compared = {
        study: [c for c in _series(study) if len(c.data) > 1] for study in DEGENERACY_ARROWS
    }
    rules = (arrow_measures, paper_measures, lambda _: CHART_MEASURES)
    counts = count_charts(compared)
    ours, theirs, charts = (
        sum(arrow.agrees for arrow in find_arrows(compared, rule, counts)) for rule in rules
    )
    return ours, theirs, charts


def table1_row() -> Row:
    """The row of Table 1 of the degeneracy paper."""
    ours, theirs, charts = table1_counts()
    verdict = (
        f"{ours} of 12 as there, {theirs} by its own formulas; dynamics averaged over the same "
        f"components and delays for all levels {charts} of 4"
    )
    return _overall_row("Table 1", "twelve arrows", verdict, "summary")


def _overall_row(item: str, shows: str, verdict: str, *reports: str) -> Row:
    """A row over all series of all studies."""
    series = {study: _series(study) for study in DEGENERACY_ARROWS}
    tasks = list(dict.fromkeys(_task(c) for every in series.values() for c in every))
    return Row(
        item, shows, _named(tasks), "32 to 128",
        sum(_trained(every) for every in series.values()), 3400, "to threshold", verdict,
        "8 networks per condition, N = 64, fewer levels",
        (*reports, *(folder for study in series for folder in _folders(study))),
    )  # fmt: skip


def memory_row() -> Row:
    """The row of Fig. 9."""
    text = (RESULTS / "memory_demand" / "report.md").read_text(encoding="utf-8")
    lead = next(line for line in text.splitlines() if line.startswith("**"))
    return Row(
        "Fig. 9", "memory demand", _named(TASKS[:4]), "64 (predictors)", 0, 0, "5000 steps",
        lead.strip("*"), "", ("memory_demand",),
    )  # fmt: skip


@functools.cache  # it takes several seconds
def rows() -> dict[str, list[Row]]:
    """All rows, by paper."""
    figures = [figure_row(one) for one in FIGURES]
    place = next(i for i, row in enumerate(figures) if row.item == "Fig. 11")
    fig10 = _overall_row("Fig. 10", "representation (SVCCA) against all four", _SHOWN)
    return {
        "Learning-rate collapse": [sweep_row(one) for one in SWEEPS],
        "Solution degeneracy": [
            *figures[:place], memory_row(), table1_row(), fig10, *figures[place:],
        ],
    }  # fmt: skip


def summary(found: dict[str, list[Row]]) -> str:
    """One sentence on all rows."""
    scales = [row.scale for every in found.values() for row in every]
    smaller, full, none = (scales.count(name) for name in ("smaller", "full", "not run"))
    words = ("none", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
    at_scale = words[full] if full < len(words) else full
    return (
        f"Of the {len(scales)} figures and tables (or groups of them) with results in both papers, "
        f"{'all' if not none else len(scales) - none} have a run here: {smaller} at a smaller "
        f"scale than the paper's, {at_scale} at the paper's scale, and one, the memory "
        f"demand, whose scale the paper does not state{f'; {none} have not been run' * (none > 0)}."
    )


def page() -> str:
    """The text of docs/coverage.md."""
    found = rows()
    lines = [
        "# Coverage of both papers",
        "",
        "Made by `python docs/coverage.py` from the committed results. *As there in dynamics 2 of",
        "4*: two of four series have the paper's arrow; *over the chart*: averaged over",
        "components and delays that are the same for all levels. *Networks*: number trained here,",
        "of the number in the paper.",
        "",
        summary(found),
    ]
    for paper, every in found.items():
        lines += [
            "", f"## {paper}", "",
            "| | shows | tasks | N | networks | training | verdict | smaller or different |",
            "|---|---|---|---|---|---|---|---|",
        ]  # fmt: skip
        for row in every:
            networks = f"{row.networks:,} of {row.asked:,}" if row.asked else "none trained"
            links = ", ".join(f"[{name}](results/{name}/report.md)" for name in row.reports)
            item = f"{row.item}<br>{links}" if links else row.item
            cells = (
                item,
                row.shows,
                row.tasks,
                row.sizes,
                networks,
                row.steps,
                row.verdict,
                row.why,
            )
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Writes the page."""
    (DOCS / "coverage.md").write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
