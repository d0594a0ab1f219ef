"""Training a population, and finding one in a store."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rnnjax import validate
from rnnjax.cells import Cell, fitted
from rnnjax.population.members import Population, condition_sweep
from rnnjax.store import StoreError, axis_position, load_results, load_weights
from rnnjax.sweep import Engine, Progress, load_sweep, run_sweep
from rnnjax.tasks import Task
from rnnjax.training import Hyper, Recipe, Setup, Status
from rnnjax.validate import instance_of, one_of, positive_integer

__all__ = ["load_population", "train_population"]


def train_population(
    task: Task,
    cell: Cell,
    recipe: Recipe,
    *,
    learning_rate: float,
    seeds: int | Sequence[int],
    gamma: float = 1.0,
    l1: float = 0.0,
    nuclear: float = 0.0,
    store: str | Path | None = None,
    evaluation_trials: int = 200,
    progress: Progress | None = None,
    engine: Engine | None = None,
) -> Population:
    """Trains networks that differ in nothing but their seeds.

    For example, fifty networks of study 2, each trained until it is good enough:

        population = rnnjax.train_population(
            rnnjax.tasks.flip_flop(3, p=0.3),
            rnnjax.cells.rate(64, alpha=1, bias=True, init="uniform"),
            rnnjax.Recipe.until(0.001),
            learning_rate=1e-3, seeds=50, store="runs/flip_flop",
        )

    With a store, finished blocks of networks are kept as they come, and the same call after an
    interruption goes on where it was. Each member is, at map width 1, to the last bit what
    `train_one` makes of its seed.

    Args:
        task: what they learn.
        cell: the network; its inputs and outputs follow the task.
        recipe: how they are trained.
        learning_rate: the optimizer's rate.
        seeds: how many networks, with seeds from 0, or the seeds themselves.
        gamma: strength of feature learning, under a rule that knows it.
        l1: strength of the penalty on the sum of |w|, in a recipe that has it.
        nuclear: strength of the penalty on the sum of singular values, likewise.
        store: folder of the population; without one it stays in memory.
        evaluation_trials: held-out trials on which every network is evaluated at the end.
        progress: hears after every segment, such as `rnnjax.ProgressBar()`.
        engine: how to compute; the defaults fit the machine.

    Raises:
        ValueError: a setting that is out of range, or that neither rule nor recipe knows, or a
            store that is in use, damaged or of another config (`StoreError`).
    """
    instance_of("task", task, Task)
    instance_of("recipe", recipe, Recipe)
    hyper = Hyper(
        learning_rate=validate.learning_rate("learning_rate", learning_rate),
        seed=_chosen_seeds(seeds),
        gamma=validate.learning_rate("gamma", gamma),
        l1=validate.nonnegative("l1", l1),
        nuclear=validate.nonnegative("nuclear", nuclear),
    )
    setup = Setup(task, fitted(cell, task), recipe, evaluation_trials)
    setup.require_settings(hyper)
    sweep = condition_sweep(setup, hyper)
    if store is not None:
        run_sweep(sweep, store, keep_parameters=True, progress=progress, engine=engine)
        return load_population(store)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "store"
        run_sweep(sweep, path, keep_parameters=True, progress=progress, engine=engine)
        return load_population(path)


def _chosen_seeds(seeds: Any) -> np.ndarray:
    if isinstance(seeds, np.ndarray):
        seeds = seeds.tolist()
    if isinstance(seeds, Sequence) and not isinstance(seeds, str):
        if not seeds:
            raise ValueError("seeds: expected at least one, got none")
        return np.array([validate.seed("seeds", seed) for seed in seeds])
    return np.arange(positive_integer("seeds", seeds))


def load_population(store: str | Path, **labels: Any) -> Population:
    """The population of one condition, from a store that keeps weights.

    Args:
        store: the folder given to `train_population`, or to `run_sweep` with `keep_parameters`.
        labels: the condition's labels on the sweep's axes, such as `hidden=64, gamma=2.0`; axes of
            one value need none.

    Raises:
        ValueError: labels that are not on the axes, or a store that is damaged, kept no weights,
            holds no finished network of the condition, or is of specs unknown here (`StoreError`).
    """
    sweep, results = load_sweep(store), load_results(store)
    others = [axis for axis in sweep.dimensions if axis.name != "seed"]
    for name in labels:
        one_of("labels", name, [axis.name for axis in others])
    place = {a.name: axis_position(a.name, np.array(a.labels), labels) for a in others}
    here = results.isel(place)
    finished = np.flatnonzero(here["status"].values != Status.PENDING).tolist()
    if not finished:
        raise StoreError(f"store: {store} holds no finished network of this condition yet")
    weights = load_weights(store, [[*place.values(), row] for row in finished])
    settings = {a.name: a.values[place[a.name]] for a in sweep.traced_axes if a.name != "seed"}
    return Population(
        setup=dict(sweep.setups())[tuple(place[axis.name] for axis in sweep.static_axes)],
        hyper=Hyper(seed=np.array(sweep.axis("seed").values)[finished], **settings),
        initial=weights.initial,
        params=weights.trained,
        results=here.isel(seed=finished),
    )
