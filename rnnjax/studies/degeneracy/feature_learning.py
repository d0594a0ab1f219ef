"""Degeneracy against the strength of feature learning, gamma."""

from pathlib import Path
from typing import Any

import xarray as xr

from rnnjax.plots.style import name_value
from rnnjax.report import Provenance
from rnnjax.studies.degeneracy.conditions import Factor, ascending, condition
from rnnjax.studies.degeneracy.config import FEATURE_LEARNING
from rnnjax.studies.degeneracy.reporting import report_study
from rnnjax.studies.degeneracy.study import run_study
from rnnjax.studies.degeneracy.tasks import TASKS
from rnnjax.studies.grids import split_names
from rnnjax.studies.launch import Config
from rnnjax.validate import one_of


def factors(config: Config) -> list[Factor]:
    """The factors that a config compares; raises `ValueError` for invalid settings."""
    tasks = split_names("tasks", config.tasks)
    gammas = ascending("gammas", config.gammas)
    tricks = ascending("trick_gammas", config.trick_gammas)
    return [
        *(_factor(config, task, "mup", gammas) for task in tasks if gammas),
        *(
            _factor(config, task, "gamma_trick", tricks)
            for task in split_names("trick_tasks", config.trick_tasks)
            if one_of("trick_tasks", task, TASKS) in tasks and tricks
        ),
    ]


def _factor(config: Config, task: str, rule: str, gammas: tuple[float, ...]) -> Factor:
    tried = tuple(condition(config, task, rule=rule, settings={"gamma": gamma}) for gamma in gammas)
    title = name_value(task) + (" (gamma-trick)" if rule == "gamma_trick" else "")
    return Factor(f"{task}_{rule}", title, "gamma", tuple(f"{gamma:g}" for gamma in gammas), tried)


def run(
    config: Config,
    workdir: Path,
    *,
    dry_run: bool = False,
    command: str = "rnnjax.studies.degeneracy.feature_learning.run(config, workdir)",
    executor: Any = None,
) -> dict[str, xr.Dataset] | None:
    """Trains the conditions that the workdir lacks and writes the report; see `run_study`."""
    return run_study(
        "feature_learning",
        factors(config),
        config,
        workdir,
        dry_run=dry_run,
        command=command,
        executor=executor,
    )


def report(workdir: Path, about: Provenance) -> Path:
    """Writes the report of the conditions that are measured; see `report_study`."""
    return report_study("feature_learning", FEATURE_LEARNING, factors, workdir, about)
