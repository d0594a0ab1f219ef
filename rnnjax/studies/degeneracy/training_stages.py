"""Degeneracy along training: networks of the same seeds, compared at the losses that they reach.

Networks are trained once and kept at the end of the first epoch below the loss of each stage; the
report lists the losses that they had reached. By default the stages of each task's
training are compared with each other; with `arrows`, at every stage the levels of each factor of
other studies.
"""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import xarray as xr

from rnnjax.plots.style import name_value
from rnnjax.report import Provenance
from rnnjax.studies.degeneracy import (
    feature_learning,
    network_size,
    regularization,
    task_complexity,
)
from rnnjax.studies.degeneracy.conditions import (
    Condition,
    Factor,
    ascending,
    at_losses,
    condition,
)
from rnnjax.studies.degeneracy.config import TRAINING_STAGES
from rnnjax.studies.degeneracy.reporting import report_study
from rnnjax.studies.degeneracy.study import run_study
from rnnjax.studies.degeneracy.tasks import TASKS
from rnnjax.studies.grids import split_names
from rnnjax.studies.launch import Config
from rnnjax.validate import counted, finite_positive, one_of, sequence

_STUDIES = {
    "task_complexity": task_complexity,
    "feature_learning": feature_learning,
    "network_size": network_size,
    "regularization": regularization,
}


def factors(config: Config) -> list[Factor]:
    """The factors that a config compares; raises `ValueError` for invalid settings."""
    stages = [finite_positive("stages", stage) for stage in sequence("stages", config.stages)]
    if not stages:
        raise ValueError("stages: expected at least one loss, got none")
    studies = split_names("arrows", config.arrows)
    if studies:
        return [
            stage
            for study in studies
            for factor in _STUDIES[one_of("arrows", study, _STUDIES)].factors(config)
            if len(factor.levels) > 1
            for stage in _at_stages(study, factor, stages)
        ]
    found = []
    for task in split_names("tasks", config.tasks):
        counts = ascending(f"channels.{one_of('tasks', task, TASKS)}", config.channels[task])
        found += [_factor(config, task, count, stages, several=len(counts) > 1) for count in counts]
    return found


def _at_stages(study: str, factor: Factor, stages: Sequence[float]) -> list[Factor]:
    """A study's factor where losses first fall below so many times the threshold."""
    tried = [_stages_of(condition, stages) for condition in factor.conditions]
    return [
        factor._replace(
            name=f"{study}_{factor.name}_{stage:g}",
            conditions=tuple(stages[place] for stages in tried),
            stage=stage,
        )
        for place, stage in enumerate(stages)
    ]


def _stages_of(trained: Condition, stages: Sequence[float]) -> list[Condition]:
    """The condition at so many times its threshold."""
    end = trained.recipe.threshold
    assert end is not None
    losses = [float(f"{stage * end:.3g}") for stage in stages]  # as files name them
    if any(later >= earlier for earlier, later in itertools.pairwise(losses)):
        raise ValueError(
            "stages: expected losses that fall within their first three digits, got "
            f"{', '.join(map(str, stages))}"
        )
    return at_losses(trained, losses)


def _factor(config: Config, task: str, count: int, stages: list[float], *, several: bool) -> Factor:
    """A task of so many channels at every stage of its training."""
    field = TASKS[task].channels
    options: dict[str, Any] = {field: count}
    tried = tuple(_stages_of(condition(config, task, **options), stages))
    channels = f", {counted(count, field.removesuffix('s'))}" if several else ""
    title = name_value(task) + channels
    return Factor(f"{task}_{count}", title, "loss", tuple(f"{c.loss:g}" for c in tried), tried)


def _require_used(config: Config) -> None:
    """Raises `ValueError` for a number of channels that is set where `channels` decides on it."""
    if split_names("arrows", config.arrows):
        return
    for name, task in TASKS.items():
        default, value = task.options[task.channels], config[name][task.channels]
        if value != default:
            raise ValueError(
                f"{name}.{task.channels}: expected {default}, as it is used for arrows only and "
                f"channels.{name} decides here, got {value}"
            )


def run(
    config: Config,
    workdir: Path,
    *,
    dry_run: bool = False,
    command: str = "rnnjax.studies.degeneracy.training_stages.run(config, workdir)",
    executor: Any = None,
) -> dict[str, xr.Dataset] | None:
    """Trains the conditions that the workdir lacks and writes the report; see `run_study`."""
    _require_used(config)
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
