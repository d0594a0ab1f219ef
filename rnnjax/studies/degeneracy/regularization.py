"""Degeneracy against structural regularization, L1 and nuclear norm."""

from pathlib import Path
from typing import Any

import xarray as xr

from rnnjax.plots.style import name_value
from rnnjax.report import Provenance
from rnnjax.studies.degeneracy.conditions import Factor, ascending, condition
from rnnjax.studies.degeneracy.config import REGULARIZATION
from rnnjax.studies.degeneracy.reporting import report_study
from rnnjax.studies.degeneracy.study import run_study
from rnnjax.studies.grids import split_names
from rnnjax.studies.launch import Config

_PENALTIES = {"l1": "L1 strength", "nuclear": "nuclear strength"}


def factors(config: Config) -> list[Factor]:
    """The factors that a config compares; raises `ValueError` for invalid settings."""
    found = []
    for task in split_names("tasks", config.tasks):
        for penalty, setting in _PENALTIES.items():
            strengths = ascending(penalty, config[penalty])
            if strengths:
                # Without either penalty the network is one for both series.
                tried = tuple(
                    condition(config, task, settings={penalty: value} if value else {})
                    for value in strengths
                )
                levels = tuple(f"{value:g}" for value in strengths)
                found.append(Factor(f"{task}_{penalty}", name_value(task), setting, levels, tried))
    return found


def run(
    config: Config,
    workdir: Path,
    *,
    dry_run: bool = False,
    command: str = "rnnjax.studies.degeneracy.regularization.run(config, workdir)",
    executor: Any = None,
) -> dict[str, xr.Dataset] | None:
    """Trains the conditions that the workdir lacks and writes the report; see `run_study`."""
    return run_study(
        "regularization",
        factors(config),
        config,
        workdir,
        dry_run=dry_run,
        command=command,
        executor=executor,
    )


def report(workdir: Path, about: Provenance) -> Path:
    """Writes the report of the conditions that are measured; see `report_study`."""
    return report_study("regularization", REGULARIZATION, factors, workdir, about)
