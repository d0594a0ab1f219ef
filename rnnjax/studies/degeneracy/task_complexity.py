"""Degeneracy against task complexity: channels, memory demand, auxiliary loss."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import xarray as xr

import rnnjax
from rnnjax import Status
from rnnjax.plots.style import name_value
from rnnjax.report import Provenance
from rnnjax.studies.degeneracy.conditions import Factor, ascending, condition
from rnnjax.studies.degeneracy.config import TASK_COMPLEXITY
from rnnjax.studies.degeneracy.fixed_points import FixedPointSummary, search, summarize
from rnnjax.studies.degeneracy.reporting import report_study
from rnnjax.studies.degeneracy.study import run_study
from rnnjax.studies.degeneracy.tasks import TASKS
from rnnjax.studies.grids import split_names
from rnnjax.studies.launch import Config
from rnnjax.tasks.flip_flop import FlipFlop
from rnnjax.validate import one_of, positive_integer


def factors(config: Config) -> list[Factor]:
    """The factors that a config compares; raises `ValueError` for invalid settings."""
    found = []
    for task in split_names("tasks", config.tasks):
        setting = TASKS[one_of("tasks", task, TASKS)].channels
        counts = ascending(f"channels.{task}", config.channels[task])
        for count in counts:
            positive_integer(f"channels.{task}", count)
        tried = tuple(condition(config, task, **{setting: count}) for count in counts)
        title = name_value(task)
        found.append(Factor(f"{task}_{setting}", title, setting, tuple(map(str, counts)), tried))
        if task == "delayed_discrimination":
            if config.auxiliary and config.delayed_discrimination.auxiliary:
                raise ValueError(
                    "auxiliary: compares networks with and without that output, so expected "
                    "delayed_discrimination.auxiliary=False, got True"
                )
            if config.delays:
                delays = ascending("delays", config.delays)
                tried = tuple(_delayed_condition(config, delay) for delay in delays)
                levels = tuple(map(str, delays))
                found.append(Factor(f"{task}_delay", title, "longest delay", levels, tried))
            if config.auxiliary:
                tried = (_delayed_condition(config), _delayed_condition(config, auxiliary=True))
                levels = ("without", "with")
                found.append(Factor(f"{task}_auxiliary", title, "auxiliary loss", levels, tried))
    return found


def _delayed_condition(config: Config, delay: int | None = None, **options: Any):
    """The condition of one channel; without `delay` it is that of the default one."""
    changed = {} if delay in (None, config.delayed_discrimination.max_delay) else {
        "max_delay": delay
    }  # fmt: skip
    return condition(config, "delayed_discrimination", channels=1, **changed, **options)


def run(
    config: Config,
    workdir: Path,
    *,
    dry_run: bool = False,
    command: str = "rnnjax.studies.degeneracy.task_complexity.run(config, workdir)",
    executor: Any = None,
) -> dict[str, xr.Dataset] | None:
    """Trains the conditions that the workdir lacks and writes the report; see `run_study`."""
    for name, value in config.fixed_points.items():
        positive_integer(f"fixed_points.{name}", value)
    return run_study(
        "task_complexity", factors(config), config, workdir, dry_run=dry_run, command=command,
        executor=executor, search=lambda populations: _search(config, populations),
    )  # fmt: skip


def report(workdir: Path, about: Provenance) -> Path:
    """Writes the report of the conditions that are measured; see `report_study`."""
    return report_study("task_complexity", TASK_COMPLEXITY, factors, workdir, about)


def _search(
    config: Config, populations: Mapping[str, rnnjax.Population]
) -> FixedPointSummary | None:
    """Fixed points of flip-flops, and of discrimination with and without the auxiliary output.

    None if there are no such populations.
    """
    chosen, memories = {}, {}
    for factor in factors(config):
        for level, made in zip(factor.levels, factor.conditions, strict=True):
            population, name = populations[made.name], f"{factor.title}, {level}"
            if Status.CONVERGED not in population.status:
                continue
            if isinstance(made.task, FlipFlop):
                chosen[f"{name} bits"] = population
                memories[f"{name} bits"] = 2**made.task.bits
            elif factor.setting == "auxiliary loss":
                chosen[f"{name} auxiliary"] = population
    return summarize(search(config, chosen), memories) if chosen else None
