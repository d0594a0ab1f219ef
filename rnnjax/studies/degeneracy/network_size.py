"""Degeneracy against network size, at a fixed strength of feature learning."""

from pathlib import Path
from typing import Any

import xarray as xr

from rnnjax.plots.style import name_value
from rnnjax.report import Provenance
from rnnjax.studies.degeneracy.conditions import Factor, ascending, condition
from rnnjax.studies.degeneracy.config import NETWORK_SIZE
from rnnjax.studies.degeneracy.reporting import report_study
from rnnjax.studies.degeneracy.study import run_study
from rnnjax.studies.degeneracy.tasks import TASKS
from rnnjax.studies.grids import split_names
from rnnjax.studies.launch import Config
from rnnjax.validate import one_of, positive_integer


def factors(config: Config) -> list[Factor]:
    """The factors that a config compares; raises `ValueError` for invalid settings."""
    tasks = split_names("tasks", config.tasks)
    return [
        *(
            _factor(config, task, "mup", gamma=config.gamma)
            for task in tasks
            if config.gamma is not None
        ),
        *(
            _factor(config, task, "standard")
            for task in split_names("standard_tasks", config.standard_tasks)
            if one_of("standard_tasks", task, TASKS) in tasks
        ),
    ]


def _factor(config: Config, task: str, rule: str, **settings: float) -> Factor:
    widths = ascending("widths", config.widths)
    for width in widths:
        positive_integer("widths", width)
    tried = tuple(
        condition(config, task, rule=rule, hidden=width, settings=settings) for width in widths
    )
    title = name_value(task) + (" (standard)" if rule == "standard" else "")
    return Factor(f"{task}_{rule}", title, "units", tuple(map(str, widths)), tried)


def run(
    config: Config,
    workdir: Path,
    *,
    dry_run: bool = False,
    command: str = "rnnjax.studies.degeneracy.network_size.run(config, workdir)",
    executor: Any = None,
) -> dict[str, xr.Dataset] | None:
    """Trains the conditions that the workdir lacks and writes the report; see `run_study`."""
    return run_study(
        "network_size",
        factors(config),
        config,
        workdir,
        dry_run=dry_run,
        command=command,
        executor=executor,
    )


def report(workdir: Path, about: Provenance) -> Path:
    """Writes the report of the conditions that are measured; see `report_study`."""
    return report_study("network_size", NETWORK_SIZE, factors, workdir, about)
