"""Study 2's populations: trained to a threshold, kept, and measured before they are compared.

    python experiments/population.py --workdir=runs/population

Presets and settings: experiments/configs/population.py. The same command resumes.
"""

from pathlib import Path

import numpy as np

import rnnjax
from grids import named, task_options
from launch import Config, Study, checked_workdir, main
from rnnjax.parametrization import MuPAdam
from rnnjax.validate import one_of, positive_integer


def build_sweeps(config: Config) -> dict[str, rnnjax.Sweep]:
    """The sweep of every task that a config names; raises `ValueError` for what makes no sense."""
    tasks = named(config.tasks)
    for name in tasks:
        one_of("tasks", name, config.training)
    return {name: _sweep(config, name) for name in tasks}


def _sweep(config: Config, name: str) -> rnnjax.Sweep:
    training = config.training[name]
    rule = one_of("rule", config.rule, ("standard", "mup"))
    if rule == "mup":
        cell = rnnjax.cells.current(tau=training.tau, parametrization=MuPAdam())
    else:
        cell = rnnjax.cells.rate(alpha=1.0, bias=True, init="uniform")
    penalties = [p for p in ("l1", "nuclear") if tuple(config[p]) != (0.0,)]
    recipe = rnnjax.Recipe.until(
        training.threshold,
        epochs=training.epochs,
        steps_per_epoch=config.steps_per_epoch,
        batch=training.batch,
        clip=config.clip,
        schedule=training.schedule,
        penalties=tuple(penalties),
        patience=config.patience,
        validation_trials=config.validation_trials,
    )
    axes = {
        "hidden": config.hidden,
        "learning_rate": [config.mup_rate if rule == "mup" else training.learning_rate],
        "seed": range(positive_integer("seeds", config.seeds)),
    }
    if rule == "mup":
        axes["gamma"] = config.gammas
    elif tuple(config.gammas) != (1.0,):
        raise ValueError(f"gammas: expected 1.0 under rule='standard', got {config.gammas}")
    axes.update({penalty: config[penalty] for penalty in penalties})
    task = rnnjax.tasks.make(name, **task_options(config, name))
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


def run(
    config: Config,
    workdir: Path,
    *,
    dry_run: bool = False,
    command: str = "experiments.population.run(config, workdir)",
) -> None:
    workdir = checked_workdir(Path(workdir))
    for name, sweep in build_sweeps(config).items():
        rnnjax.run_sweep(
            sweep, workdir / "store" / name, progress=rnnjax.ProgressBar(name),
            wanted=chosen(sweep), keep_parameters=True,
        )  # fmt: skip


if __name__ == "__main__":
    main(Study("population", Path(__file__).parent / "configs" / "population.py", run))
