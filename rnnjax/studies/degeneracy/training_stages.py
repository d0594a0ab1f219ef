"""Degeneracy along training: networks of the same seeds, compared at the losses that they reach.

A stage ends with the first epoch below its loss (with a `patience` above 1, with as many in a row),
so that networks end below it; the report lists the losses that they reached.
"""

import itertools
from pathlib import Path
from typing import Any

import xarray as xr

from rnnjax.plots.style import name_value
from rnnjax.report import Provenance
from rnnjax.studies.degeneracy.conditions import Factor, ascending, condition
from rnnjax.studies.degeneracy.config import TRAINING_STAGES
from rnnjax.studies.degeneracy.reporting import report_study
from rnnjax.studies.degeneracy.study import run_study
from rnnjax.studies.degeneracy.tasks import TASKS
from rnnjax.studies.grids import split_names
from rnnjax.studies.launch import Config
from rnnjax.validate import counted, finite_positive, one_of, sequence


def factors(config: Config) -> list[Factor]:
    """The factors that a config compares; raises `ValueError` for invalid settings."""
    stages = [finite_positive("stages", stage) for stage in sequence("stages", config.stages)]
    if any(later >= earlier for earlier, later in itertools.pairwise(stages)):
        raise ValueError(f"stages: expected losses that fall, got {', '.join(map(str, stages))}")
    found = []
    for task in split_names("tasks", config.tasks):
        counts = ascending(f"channels.{one_of('tasks', task, TASKS)}", config.channels[task])
        found += [_factor(config, task, count, stages, several=len(counts) > 1) for count in counts]
    return found


def _factor(config: Config, task: str, count: int, stages: list[float], *, several: bool) -> Factor:
    """A task of so many channels at every stage of its training."""
    end, field = config.training[task].threshold, TASKS[task].channels
    losses = [float(f"{stage * end:.3g}") for stage in stages]
    options: dict[str, Any] = {field: count}
    tried = tuple(condition(config, task, threshold=loss, **options) for loss in losses)
    channels = f", {counted(count, field.removesuffix('s'))}" if several else ""
    title = name_value(task) + channels
    return Factor(f"{task}_{count}", title, "loss", tuple(f"{loss:g}" for loss in losses), tried)


def run(
    config: Config,
    workdir: Path,
    *,
    dry_run: bool = False,
    command: str = "rnnjax.studies.degeneracy.training_stages.run(config, workdir)",
    executor: Any = None,
) -> dict[str, xr.Dataset] | None:
    """Trains the conditions that the workdir lacks and writes the report; see `run_study`."""
    return run_study(
        "training_stages",
        factors(config),
        config,
        workdir,
        dry_run=dry_run,
        command=command,
        executor=executor,
    )


def report(workdir: Path, about: Provenance) -> Path:
    """Writes the report of the conditions that are measured; see `report_study`."""
    return report_study("training_stages", TRAINING_STAGES, factors, workdir, about)
