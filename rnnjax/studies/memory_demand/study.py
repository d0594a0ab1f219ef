"""Memory demand of study 2's tasks: prediction of the next target from windows of the past."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from tqdm import tqdm

import rnnjax
from rnnjax.report import write_report
from rnnjax.store import describe
from rnnjax.studies.grids import cached, named, provenance, task_options
from rnnjax.studies.launch import Config, checked_workdir
from rnnjax.studies.memory_demand.analysis import checked_histories, memory_demand
from rnnjax.studies.memory_demand.config import get_config
from rnnjax.studies.memory_demand.page import memory_page
from rnnjax.studies.papers import MEMORY_DEMAND

VARIANTS = {
    "as printed": {"window": "inputs", "lead": 0},
    "with past targets": {"window": "targets", "lead": 0},
    "with next input": {"window": "inputs", "lead": 1},
    "silence before": {"window": "inputs", "lead": 0, "before": "silence"},
}
"""Kinds of window: the paper's own, one that holds past targets, one that holds the input that
the predicted target answers, and the paper's own with silence, not the first step, before the
trial."""

_OPTIONS = (
    "histories", "initializations", "units", "steps", "batch", "learning_rate", "trials",
    "tolerance", "seed",
)  # fmt: skip


def run(
    config: Config,
    workdir: Path,
    *,
    dry_run: bool = False,
    command: str = "rnnjax.studies.memory_demand.study.run(config, workdir)",
) -> xr.Dataset | None:
    """Trains the predictors that the workdir lacks and writes the report.

    With `dry_run` only says how many there are. Raises `ValueError` for a config that makes no
    sense and for a workdir that is something else.
    """
    workdir = checked_workdir(Path(workdir))
    tasks = {
        name: rnnjax.tasks.make(name, **task_options(config, name)) for name in named(config.tasks)
    }
    options = {name: config[name] for name in _OPTIONS}
    for task in tasks.values():
        checked_histories(task, config.histories)
    if dry_run:
        count = len(tasks) * len(VARIANTS)
        each = len(config.histories) * config.initializations
        print(f"{count} programs of {each} predictors x {config.steps:,} steps each")
        return None
    cache = workdir / "store" / "memory_demand.json"
    cases = [(name, variant) for name in tasks for variant in VARIANTS]
    found: dict[tuple[str, str], Any] = {}
    for name, variant in tqdm(cases, "predictors", mininterval=0.5, delay=1):
        asked = {"task": describe(tasks[name]), **describe(options), **VARIANTS[variant]}

        def compute(task=tasks[name], window=VARIANTS[variant]) -> dict[str, Any]:
            begin = time.time()
            measured = memory_demand(task, **options, **window)
            cache.parent.mkdir(parents=True, exist_ok=True)
            return {"seconds": time.time() - begin, **measured.to_dict()}

        found[name, variant] = cached(cache, f"{name} {variant}", asked, compute)
    seconds = sum(value["seconds"] for value in found.values())
    dataset = xr.combine_nested(
        [[xr.Dataset.from_dict(found[name, variant]) for variant in VARIANTS] for name in tasks],
        ["task", "variant"],
    ).assign_coords(task=list(tasks), variant=list(VARIANTS))
    ours = get_config()
    papers = [
        MEMORY_DEMAND.get(name, np.nan)
        if task_options(config, name) == task_options(ours, name)
        else np.nan
        for name in tasks
    ]
    dataset = dataset.assign_coords(paper=("task", papers))
    page = memory_page(dataset, provenance(config, command, seconds))
    write_report(page, workdir)
    print(f"Report: {workdir / 'report.html'}")
    return dataset
