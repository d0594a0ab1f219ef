"""Study 2's populations: trained to a threshold, kept, and measured before they are compared.

    python experiments/population.py --workdir=runs/population

Presets and settings: experiments/configs/population.py. The same command resumes.
"""

from collections.abc import Iterator
from pathlib import Path

import jax
import numpy as np
import xarray as xr

import rnnjax
from configs.trained import TASKS
from grids import cost_text, device_name, named, task_options, threshold_recipe, training_seconds
from launch import Config, Study, checked_workdir, main
from rnnjax.analysis import measure_population
from rnnjax.parametrization import MuPAdam
from rnnjax.plots import answers
from rnnjax.plots.style import name_value
from rnnjax.report import Picture, population_page, write_report
from rnnjax.store import versions
from rnnjax.validate import one_of, positive_integer


def build_sweeps(config: Config) -> dict[str, rnnjax.Sweep]:
    """The sweep of every task that a config names; raises `ValueError` for what makes no sense."""
    tasks = named(config.tasks)
    for name in tasks:
        one_of("tasks", name, config.training)
    for name in ("measured_trials", "probe_trials", "probe_times"):
        positive_integer(name, config[name])
    return {name: _sweep(config, name) for name in tasks}


def _sweep(config: Config, name: str) -> rnnjax.Sweep:
    training = config.training[name]
    rule = one_of("rule", config.rule, ("standard", "mup"))
    if rule == "mup":
        cell = rnnjax.cells.current(tau=training.tau, parametrization=MuPAdam())
    else:
        cell = rnnjax.cells.rate(alpha=1.0, bias=True, init="uniform")
    if 0.0 not in config.l1 or 0.0 not in config.nuclear:
        missing = "nuclear" if 0.0 in config.l1 else "l1"
        raise ValueError(
            f"{missing}: expected strengths with 0 among them, at which the other series is run, "
            f"got {config[missing]}"
        )
    penalties = [p for p in ("l1", "nuclear") if tuple(config[p]) != (0.0,)]
    recipe = threshold_recipe(config, training, penalties)
    axes = {
        "hidden": config.hidden,
        "learning_rate": [training.mup_rate if rule == "mup" else training.learning_rate],
        "seed": range(positive_integer("seeds", config.seeds)),
    }
    if rule == "mup":
        axes["gamma"] = config.gammas
    elif tuple(config.gammas) != (1.0,):
        raise ValueError(f"gammas: expected 1.0 under rule='standard', got {config.gammas}")
    axes.update({penalty: config[penalty] for penalty in penalties})
    task = rnnjax.tasks.make(name, **task_options(config, name))
    task.stretched(config.stretch)  # refused now, not after the training
    return rnnjax.Sweep(task, cell, recipe, axes, config.evaluation_trials)


def chosen(sweep: rnnjax.Sweep) -> np.ndarray:
    """Which runs a study trains: of two series of penalties, only one at a time."""
    wanted = np.ones(sweep.shape, bool)
    names = [axis.name for axis in sweep.dimensions]
    if "l1" in names and "nuclear" in names:
        strengths = np.meshgrid(*(axis.values for axis in sweep.traced_axes), indexing="ij")
        both = np.ones(strengths[0].shape, bool)
        for axis, values in zip(sweep.traced_axes, strengths, strict=True):
            if axis.name in ("l1", "nuclear"):
                both &= values > 0
        wanted &= ~both
    return wanted


def conditions(sweep: rnnjax.Sweep, store: Path) -> Iterator[rnnjax.Population]:
    """The populations of a store, those of `chosen` only."""
    wanted = chosen(sweep).any(-1)  # over seeds, the last axis
    axes = sweep.dimensions[:-1]
    for place in np.argwhere(wanted):
        labels = {axis.name: axis.labels[i] for axis, i in zip(axes, place, strict=True)}
        yield rnnjax.load_population(store, **labels)


def measured(config: Config, name: str, population: rnnjax.Population) -> xr.Dataset:
    """A population's measures, its held-out losses, and which condition it is of."""
    key = jax.random.fold_in(jax.random.key(0), TASKS.index(name))
    found = measure_population(
        population, key, stretch=config.stretch, trials=config.measured_trials,
        probe_trials=config.probe_trials, probe_times=config.probe_times,
    )  # fmt: skip
    found["held_out"] = population.results["held_out_loss"].reset_coords(drop=True)
    hyper, label = population.hyper, {"task": name, "hidden": population.cell.hidden}
    label |= {setting: float(getattr(hyper, setting)) for setting in ("gamma", "l1", "nuclear")}
    label |= {"threshold": population.recipe.threshold, "patience": population.recipe.patience}
    coords = {coordinate: ("condition", [value]) for coordinate, value in label.items()}
    return found.expand_dims("condition").assign_coords(coords)


def pictured(name: str, population: rnnjax.Population) -> Picture:
    """One trial and what the first networks of a population answer."""
    key, first = jax.random.key(1), population[:6]
    outputs = first.outputs(key, 1)[:, 0]
    trial = jax.tree.map(lambda part: part[0], population.task.batch(key, 1))
    caption = (
        f"One trial: its target (black) and the outputs of {len(first)} networks of "
        f"{population.cell.hidden} units."
    )
    return Picture(answers(trial, outputs, name_value(name)), f"answers_{name}", caption)


def run(
    config: Config,
    workdir: Path,
    *,
    dry_run: bool = False,
    command: str = "experiments.population.run(config, workdir)",
) -> xr.Dataset | None:
    """Trains what the workdir lacks, measures it and writes the report.

    With `dry_run` only says the cost. Raises `ValueError` for a config that makes no sense and for
    a workdir that is in use, damaged, or of another config.
    """
    workdir, sweeps = checked_workdir(Path(workdir)), build_sweeps(config)
    if dry_run:
        for name, sweep in sweeps.items():
            print(f"{name}:\n{cost_text(sweep, wanted=chosen(sweep))}")
        return None
    parts, pictures = [], []
    for name, sweep in sweeps.items():
        store = workdir / "store" / name
        rnnjax.run_sweep(
            sweep, store, progress=rnnjax.ProgressBar(name), wanted=chosen(sweep),
            keep_parameters=True,
        )  # fmt: skip
        for number, population in enumerate(conditions(sweep, store)):
            parts.append(measured(config, name, population))
            if number == 0:
                pictures.append(pictured(name, population))
    dataset: xr.Dataset = xr.concat(  # pyright: ignore[reportAssignmentType]
        parts, "condition", join="outer", fill_value={"status": 0}
    )
    page = population_page(
        dataset, settings=config.to_dict(), command=command, pictures=tuple(pictures),
        versions={"devices": device_name(), **versions()},
        elapsed_seconds=sum(training_seconds(workdir / "store" / name) for name in sweeps),
    )  # fmt: skip
    write_report(page, workdir)
    print(f"Report: {workdir / 'report.html'}")
    return dataset


if __name__ == "__main__":
    main(Study("population", Path(__file__).parent / "configs" / "population.py", run))
