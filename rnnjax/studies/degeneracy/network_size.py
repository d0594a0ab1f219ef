"""Degeneracy against network size, at a fixed strength of feature learning."""

from pathlib import Path

import xarray as xr

from rnnjax.plots.style import name_value
from rnnjax.studies.degeneracy.conditions import Factor, ascending, condition
from rnnjax.studies.degeneracy.study import run_study
from rnnjax.studies.grids import named
from rnnjax.studies.launch import Config


def factors(config: Config) -> list[Factor]:
    """What a config compares; raises `ValueError` for what makes no sense."""
    tasks = named(config.tasks)
    return [
        *(_factor(config, task, "mup", gamma=config.gamma) for task in tasks),
        *(
            _factor(config, task, "standard")
            for task in named(config.standard_tasks)
            if task in tasks
        ),
    ]


def _factor(config: Config, task: str, rule: str, **settings: float) -> Factor:
    widths = ascending("widths", config.widths)
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
) -> dict[str, xr.Dataset] | None:
    """Trains what the workdir lacks, compares it and writes the report; see `run_study`."""
    return run_study(
        "network_size", factors(config), config, workdir, dry_run=dry_run, command=command
    )
