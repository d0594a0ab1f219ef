"""Memory demand of a task: prediction of the next target from windows of the past."""

import dataclasses
import itertools
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from tqdm import tqdm

import rnnjax
from rnnjax.report import Page, Provenance, write_report
from rnnjax.report.wording import task_name
from rnnjax.store import describe
from rnnjax.store.locking import held
from rnnjax.studies.grids import (
    cached,
    cached_value,
    provenance,
    split_names,
    task_options,
    write_study_report,
)
from rnnjax.studies.launch import Config
from rnnjax.studies.memory_demand.analysis import (
    PredictorOptions,
    Window,
    checked_histories,
    memory_demand,
    with_demand,
)
from rnnjax.studies.memory_demand.config import SETTINGS
from rnnjax.studies.memory_demand.page import memory_page
from rnnjax.studies.pages import mark_partial
from rnnjax.studies.papers import MEMORY_DEMAND
from rnnjax.studies.progress import print_found
from rnnjax.studies.workdir import checked_workdir, claim_workdir
from rnnjax.tasks import Task

VARIANTS: Mapping[str, Mapping[str, Any]] = {
    "as printed": {"window": "inputs", "lead": 0},
    "with past targets": {"window": "targets", "lead": 0},
    "with next input": {"window": "inputs", "lead": 1},
    "silence before": {"window": "inputs", "lead": 0, "before": "silence"},
}
"""Kinds of window, by their names in cached values: that of the paper; with past targets; with the
input that the predicted target responds to; and that of the paper with silence before the trial."""

CACHE = Path("store", "memory_demand.json")
"""File of a workdir with the measured errors."""

_OPTIONS = tuple(field.name for field in dataclasses.fields(PredictorOptions))


def run(
    config: Config,
    workdir: Path,
    *,
    dry_run: bool = False,
    command: str = "rnnjax.studies.memory_demand.study.run(config, workdir)",
) -> xr.Dataset | None:
    """Trains the predictors that the workdir lacks and writes the report.

    With `dry_run`, only prints their number. `command` is the command that the report lists. Raises
    `ValueError` for invalid settings and for a workdir that is in use or holds other files.
    """
    workdir = checked_workdir(workdir, "memory_demand")
    tasks, options = _tasks(config), _options(config)
    for task in tasks.values():
        checked_histories(task, config.histories)
    if dry_run:
        count = len(_missing(tasks, config.histories, options, workdir))
        each = len(config.histories) * options.initializations
        text = f"{count} programs of {each} predictors x {options.steps:,} steps each"
        print(text if count else "Nothing to train: the folder has all predictors.")
        return None
    (workdir / "store").mkdir(parents=True, exist_ok=True)
    with held(workdir / "store"):
        claim_workdir(workdir, "memory_demand", provenance(config, command, None))
        dataset, seconds = measure_demands(tasks, config.histories, options, workdir)
        about = provenance(config, command, seconds)
        write_study_report("memory_demand", workdir, _page(config, dataset, about), about)
    return dataset


def report(workdir: Path, about: Provenance) -> Path:
    """Writes the report of the tasks whose demands the workdir has, with every kind of window.

    Returns the HTML file. Raises `ValueError` if there is none.
    """
    config = SETTINGS.restored(about.settings)
    tasks, options = _tasks(config), _options(config)
    lacking = {name for name, _ in _missing(tasks, config.histories, options, workdir)}
    there = {name: task for name, task in tasks.items() if name not in lacking}
    if not there:
        raise ValueError(f"workdir: no task is measured yet in {workdir}")
    dataset, seconds = measure_demands(there, config.histories, options, workdir)
    page = _page(config, dataset, dataclasses.replace(about, seconds=seconds))
    if lacking:
        page = mark_partial(page, [task_name(name) for name in tasks if name in lacking])
    return write_report(page, workdir)


def _missing(
    tasks: Mapping[str, Task], histories: Sequence[int], options: PredictorOptions, workdir: Path
) -> list[tuple[str, str]]:
    """Tasks and kinds of window whose errors the workdir lacks."""
    found = []
    for (name, task), kind in itertools.product(tasks.items(), VARIANTS):
        inputs = cache_inputs(task, histories, options, kind)
        if _known(workdir, name, kind, inputs, options) is None:
            found.append((name, kind))
    return found


def _known(
    workdir: Path, name: str, kind: str, inputs: dict[str, Any], options: PredictorOptions
) -> Any:
    """The errors of a task and a kind of window; earlier versions kept those of each tolerance."""
    file, case = workdir / CACHE, f"{name} {kind}"
    found = cached_value(file, case, inputs)
    if found is None:
        found = cached_value(file, case, {**inputs, "tolerance": options.tolerance})
    return found


def _tasks(config: Config) -> dict[str, Task]:
    names = split_names("tasks", config.tasks, least=1)
    return {name: rnnjax.tasks.make(name, **task_options(config, name)) for name in names}


def _options(config: Config) -> PredictorOptions:
    return PredictorOptions(**{name: config[name] for name in _OPTIONS})


def _page(config: Config, dataset: xr.Dataset, about: Provenance) -> Page:
    printed = _printed_demands(config, dataset["task"].values.tolist())
    return memory_page(dataset.assign_coords(paper=("task", printed)), about)


def cache_inputs(
    task: Task, histories: Sequence[int], options: PredictorOptions, variant: str
) -> dict[str, Any]:
    """Everything that the cached errors of a task and a kind of window depend on.

    The tolerance, which decides the demand once they are measured, is always the default one.
    """
    options = dataclasses.replace(options, tolerance=PredictorOptions.tolerance)
    settings = describe({"histories": histories, **dataclasses.asdict(options)})
    return {"task": describe(task), **settings, **VARIANTS[variant]}


def measure_demands(
    tasks: Mapping[str, Task], histories: Sequence[int], options: PredictorOptions, workdir: Path
) -> tuple[xr.Dataset, float]:
    """Errors and demands over `task` and `variant`, and the seconds they took.

    Values that the workdir holds are read.
    """
    cache = workdir / CACHE
    cases = [(name, variant) for name in tasks for variant in VARIANTS]
    found: dict[tuple[str, str], Any] = {}
    there = len(cases) - len(_missing(tasks, histories, options, workdir))
    print_found("memory_demand", there, len(cases), "kinds of window")
    for name, variant in tqdm(cases, "predictors", mininterval=0.5, delay=1):
        inputs = cache_inputs(tasks[name], histories, options, variant)

        def compute(task=tasks[name], chosen=VARIANTS[variant]) -> dict[str, Any]:
            begin = time.time()
            window = Window(chosen["window"], chosen["lead"], chosen.get("before", "first"))
            usual = dataclasses.replace(options, tolerance=PredictorOptions.tolerance)
            measured = memory_demand(task, histories, window, usual)
            cache.parent.mkdir(parents=True, exist_ok=True)
            return {"seconds": time.time() - begin, **measured.to_dict()}

        known = _known(workdir, name, variant, inputs, options)
        if known is None:
            known = cached(cache, f"{name} {variant}", inputs, compute)
        found[name, variant] = known
    rows = [
        [
            with_demand(xr.Dataset.from_dict(found[name, kind]), options.tolerance)
            for kind in VARIANTS
        ]
        for name in tasks
    ]
    dataset = xr.combine_nested(rows, ["task", "variant"])
    seconds = sum(value["seconds"] for value in found.values())
    return dataset.assign_coords(task=list(tasks), variant=list(VARIANTS)), seconds


def _printed_demands(config: Config, tasks: Sequence[str]) -> list[float]:
    """The paper's demands; NaN for a task with other options than those of `laptop`."""
    ours = SETTINGS.config()
    return [
        MEMORY_DEMAND.get(name, np.nan)
        if task_options(config, name) == task_options(ours, name)
        else np.nan
        for name in tasks
    ]
