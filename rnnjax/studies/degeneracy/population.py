"""Populations trained to their thresholds: the epochs they need, and their outputs."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import xarray as xr

import rnnjax
from rnnjax.analysis import measure_population
from rnnjax.plots.style import name_value
from rnnjax.report import Page, Picture, Provenance, write_report
from rnnjax.report.wording import task_name
from rnnjax.stopping import until_due
from rnnjax.studies.costs import cost_text
from rnnjax.studies.degeneracy.conditions import measurable, threshold_recipe
from rnnjax.studies.degeneracy.population_config import POPULATION
from rnnjax.studies.degeneracy.population_figures import answers
from rnnjax.studies.degeneracy.population_page import population_page
from rnnjax.studies.degeneracy.tasks import TASKS
from rnnjax.studies.grids import (
    provenance,
    require_usable,
    run_seconds,
    split_names,
    task_options,
    unfinished_runs,
    write_study_report,
)
from rnnjax.studies.launch import Config
from rnnjax.studies.pages import mark_partial
from rnnjax.studies.progress import StudyProgress
from rnnjax.studies.workdir import checked_workdir, claim_workdir
from rnnjax.validate import counted, one_of, positive_integer

__all__ = ["build_sweeps", "report", "run"]


def build_sweeps(config: Config) -> dict[str, rnnjax.Sweep]:
    """The sweep of every task that a config names; raises `ValueError` for invalid settings."""
    tasks = split_names("tasks", config.tasks, least=1)
    for name in tasks:
        one_of("tasks", name, config.training)
    for name in ("measured_trials", "probe_trials", "probe_times"):
        positive_integer(name, config[name])
    return {name: _sweep(config, name) for name in tasks}


def _sweep(config: Config, name: str) -> rnnjax.Sweep:
    training = config.training[name]
    task = measurable(config, rnnjax.tasks.make(name, **task_options(config, name)))
    return rnnjax.Sweep(
        task,
        rnnjax.cells.rate(alpha=1.0, bias=True, init="uniform"),
        threshold_recipe(config, training),
        {
            "hidden": config.hidden,
            "learning_rate": [training.learning_rate],
            "seed": range(positive_integer("seeds", config.seeds)),
        },
        config.evaluation_trials,
    )


def _measure(config: Config, name: str, population: rnnjax.Population) -> xr.Dataset:
    """A population's measures and held-out losses, labelled by its condition."""
    key = jax.random.fold_in(jax.random.key(0), TASKS[name].stream)
    found = measure_population(
        population, key, stretch=config.stretch, trials=config.measured_trials,
        probe_trials=config.probe_trials, probe_times=config.probe_times,
    )  # fmt: skip
    found["held_out"] = population.results["held_out_loss"].reset_coords(drop=True)
    recipe, labels = population.recipe, {"task": name, "hidden": population.cell.hidden}
    labels |= {"threshold": recipe.threshold, "patience": recipe.patience}
    coords = {coordinate: ("condition", [value]) for coordinate, value in labels.items()}
    return found.expand_dims("condition").assign_coords(coords)


def _answers(name: str, population: rnnjax.Population) -> Picture:
    """One trial and the outputs of the first networks of a population."""
    key, first = jax.random.key(1), population[:6]
    outputs = first.outputs(key, 1)[:, 0]
    trial = jax.tree.map(lambda part: part[0], population.task.batch(key, 1))
    caption = (
        f"{name_value(name)}, N = {population.cell.hidden}: one trial, its target (black) and the "
        f"outputs of {counted(len(first), 'network')}."
    )
    return Picture(answers(trial, outputs, name_value(name)), f"answers_{name}", caption)


def run(
    config: Config,
    workdir: Path,
    *,
    dry_run: bool = False,
    command: str = "rnnjax.studies.degeneracy.population.run(config, workdir)",
    executor: Any = None,
) -> xr.Dataset | None:
    """Trains and measures the populations that the workdir lacks, and writes the report.

    With `dry_run` only prints the cost. Raises `ValueError` for invalid settings and for a workdir
    that is in use, damaged, or of another config.
    """
    workdir, sweeps = checked_workdir(workdir, "population"), build_sweeps(config)
    if dry_run:
        for name, sweep in sweeps.items():
            wanted = unfinished_runs(workdir / "store" / name, sweep)
            print(f"{name}:\n{cost_text(sweep, wanted=wanted, keep_parameters=True)}")
        return None
    for name, sweep in sweeps.items():
        require_usable(workdir / "store" / name, sweep)
    claim_workdir(workdir, "population", provenance(config, command, None))
    for name, sweep in until_due("tasks", list(sweeps.items())):
        store = workdir / "store" / name
        progress = StudyProgress(name)
        rnnjax.run_sweep(
            sweep, store, progress=progress, keep_parameters=True,
            engine=rnnjax.Engine(executor=executor),
        )  # fmt: skip
        progress.close()
    about = provenance(config, command, None)
    page, dataset, about = _page(config, workdir, sweeps, about)
    write_study_report("population", workdir, page, about)
    return dataset


def report(workdir: Path, about: Provenance) -> Path:
    """Measures the networks that the workdir has and writes the report; nothing is trained.

    Returns the HTML file. Raises `ValueError` if no task has a trained network of every size.
    """
    config = POPULATION.restored(about.settings)
    sweeps = build_sweeps(config)
    trained = {
        name: sweep
        for name, sweep in sweeps.items()
        if _every_size(workdir / "store" / name, sweep)
    }
    if not trained:
        raise ValueError(f"workdir: no task has a trained network of every size in {workdir} yet")
    page = _page(config, workdir, trained, about)[0]
    lacking = [
        name for name, sweep in sweeps.items() if not _complete(workdir / "store" / name, sweep)
    ]
    if lacking:
        page = mark_partial(page, [f"networks of {task_name(name)}" for name in lacking])
    return write_report(page, workdir)


def _finished(store: Path, sweep: rnnjax.Sweep) -> xr.DataArray | None:
    """Which of the networks of a sweep that a store has are finished; None without a store."""
    if not (store / "manifest.json").exists():
        return None
    status = rnnjax.load_results(store)["status"]
    for axis in sweep.dimensions:
        status = status.sel({axis.name: status[axis.name].isin(axis.labels)})
    return status != rnnjax.Status.PENDING


def _every_size(store: Path, sweep: rnnjax.Sweep) -> bool:
    """Whether a store has a finished network of every size of a sweep."""
    done = _finished(store, sweep)
    if done is None:
        return False
    done = done.any([name for name in done.dims if name != "hidden"])
    return done.size == len(sweep.axis("hidden").labels) and bool(done.all())


def _complete(store: Path, sweep: rnnjax.Sweep) -> bool:
    """Whether a store has all networks of a sweep."""
    done = _finished(store, sweep)
    return done is not None and int(done.sum()) == sweep.size


def _page(
    config: Config, workdir: Path, sweeps: Mapping[str, rnnjax.Sweep], about: Provenance
) -> tuple[Page, xr.Dataset, Provenance]:
    """The page of the trained networks, their measures, and how they were made."""
    parts, pictures, used = [], [], []
    for name in sweeps:
        store = workdir / "store" / name
        chosen = {"learning_rate": config.training[name].learning_rate}
        loaded = [rnnjax.load_population(store, hidden=width, **chosen) for width in config.hidden]
        populations = [one.where(one.seeds < config.seeds) for one in loaded]
        parts += [_measure(config, name, population) for population in populations]
        used += populations
        pictures.append(_answers(name, populations[0]))
    dataset: xr.Dataset = xr.concat(  # pyright: ignore[reportAssignmentType]
        parts, "condition", join="outer", fill_value={"status": 0}
    )
    seconds = sum(run_seconds(population.results) for population in used)
    about = dataclasses.replace(about, seconds=seconds)
    return population_page(dataset, about, pictures=tuple(pictures)), dataset, about
