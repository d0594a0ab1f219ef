"""Training a population, and loading one from a store."""

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from rnnjax import validate
from rnnjax.cells import Cell, fitted
from rnnjax.population.condition import condition_sweep, require_condition
from rnnjax.population.members import Population
from rnnjax.store import (
    StoreError,
    Weights,
    axis_position,
    load_results,
    load_weights,
    read_manifest,
    read_settled,
)
from rnnjax.sweep import (
    Engine,
    LossRecord,
    MemoryStore,
    Progress,
    Sweep,
    load_sweep,
    run_sweep,
    sweep_config,
)
from rnnjax.tasks import Task
from rnnjax.training import SETTINGS, Hyper, Recipe, Setup, Status, check_settings
from rnnjax.validate import instance_of, one_of, path_of, positive_integer

__all__ = ["load_population", "train_population"]


def train_population(
    task: Task,
    cell: Cell,
    recipe: Recipe,
    *,
    seeds: int | Sequence[int],
    store: str | Path | None = None,
    evaluation_trials: int = 200,
    progress: Progress | None = None,
    engine: Engine | None = None,
    **settings: float,
) -> Population:
    """Trains networks that differ in their seeds only.

    For example, fifty networks, each trained until its held-out loss stays below a threshold:

        population = rnnjax.train_population(
            rnnjax.tasks.flip_flop(3, p=0.3),
            rnnjax.cells.rate(64, alpha=1, bias=True, init="uniform"),
            rnnjax.Recipe.until(0.001),
            learning_rate=1e-3, seeds=50, store="runs/flip_flop",
        )

    A store keeps finished blocks of networks: the same call after an interruption continues where
    it stopped, and the call with more seeds trains only those that are missing. At map width 1
    every network equals, to the last bit, that of `train_one`.

    Args:
        task: the task to learn.
        cell: the network; its inputs and outputs are set to fit the task.
        recipe: the training recipe; with `snapshots` the population has weights along training too
            (`Population.at_loss`).
        seeds: the number of networks, with seeds from 0, or the seeds themselves.
        store: folder of the population; without one it stays in memory.
        evaluation_trials: held-out trials on which every network is evaluated at the end.
        progress: called after every segment of steps, such as `rnnjax.ProgressBar()`.
        engine: settings of the computation; the defaults fit the machine.
        settings: traced settings, as in `train_one`; `learning_rate` is required.

    Raises:
        ValueError: a setting that is unknown, missing, invalid, or that the width rule or the
            recipe does not support, networks that do not fit into memory, or a store that is in
            use, damaged or of another config (`StoreError`).
    """
    instance_of("task", task, Task)
    instance_of("recipe", recipe, Recipe)
    engine = Engine() if engine is None else instance_of("engine", engine, Engine)
    arguments = ("seeds", "store", "evaluation_trials", "progress", "engine")
    values = check_settings(settings, arguments)
    hyper = Hyper(seed=_check_seeds(seeds), **values)
    setup = Setup(task, fitted(cell, task), recipe, evaluation_trials)
    setup.require_settings(hyper)
    sweep = condition_sweep(setup, hyper)
    _check_store(store, engine)
    kept = MemoryStore() if store is None else store
    if store is not None:
        require_condition(store, sweep_config(sweep, engine))
    run_sweep(sweep, kept, keep_parameters=True, progress=progress, engine=engine)
    labels = {axis.name: axis.values[0] for axis in sweep.dimensions if axis.name != "seed"}
    return load_population(kept, seeds=hyper.seed.tolist(), **labels)


def _check_store(store: Any, engine: Engine) -> None:
    """Raises `ValueError` for what is no folder, or for none where the engine needs one."""
    if store is not None:
        path_of("store", store)
    needs = {"executor": engine.executor is not None, "keep_state": engine.keep_state}
    if store is None and any(needs.values()):
        given = " and ".join(name for name, is_set in needs.items() if is_set)
        raise ValueError(f"store: expected a folder for the engine's {given}, got none")


def _check_seeds(seeds: Any) -> np.ndarray:
    if isinstance(seeds, Iterable) and not isinstance(seeds, str) and getattr(seeds, "ndim", 1):
        given = validate.sequence("seeds", seeds)
        if not given:
            raise ValueError("seeds: expected at least one, got none")
        seeds = [validate.seed("seeds", seed) for seed in given]
        if len(set(seeds)) < len(seeds):
            twice = next(seed for seed in seeds if seeds.count(seed) > 1)
            raise ValueError(f"seeds: expected distinct seeds, but {twice} appears twice")
        return np.array(seeds)
    return np.arange(positive_integer("seeds", seeds))


def load_population(
    store: str | Path | MemoryStore, *, seeds: int | Sequence[int] | None = None, **labels: Any
) -> Population:
    """The population of one condition, from a store that keeps weights.

    Args:
        store: the store given to `train_population`, or to `run_sweep` with `keep_parameters`.
        seeds: only these networks, in this order; all finished ones by default.
        labels: the condition's labels on the sweep's axes, such as `hidden=64, gamma=2.0`; axes of
            one value need none.

    Raises:
        ValueError: labels that are not on the axes, or a store that is damaged, kept no weights,
            holds no finished network of the condition or of a seed, or holds specs whose class is
            not imported (`StoreError`).
    """
    if isinstance(store, MemoryStore):
        held = store.sweep, store.recorded, store.read()
        return _population("this MemoryStore", *held, store.load_weights, seeds, labels)
    path = path_of("store", store)

    def read() -> Population:
        load = functools.partial(load_weights, path)
        return _population(str(path), *_read(path), load, seeds, labels)

    return read_settled(path, read)  # results and weights of the same axes


def _population(
    name: str,
    sweep: Sweep,
    recorded: LossRecord,
    results: xr.Dataset,
    load: Callable[[Sequence[Sequence[int]]], Weights],
    seeds: int | Sequence[int] | None,
    labels: Mapping[str, Any],
) -> Population:
    """The population of one condition of a sweep, whose weights `load(cells)` returns."""
    others = [axis for axis in sweep.dimensions if axis.name != "seed"]
    for label in labels:
        one_of("labels", label, [*(axis.name for axis in others), "seeds"])
    place = {a.name: axis_position(a.name, np.array(a.labels), labels) for a in others}
    here = results.isel(place)
    finished = np.flatnonzero(here["status"].values != Status.PENDING).tolist()
    if not finished:
        raise StoreError(f"store: {name} holds no finished network of this condition yet")
    if seeds is not None:
        finished = _chosen(name, sweep.axis("seed").values, finished, _check_seeds(seeds))
    weights = load([[*place.values(), row] for row in finished])
    settings = {n: sweep.axis(n).values[i] for n, i in place.items() if n in SETTINGS}
    return Population(
        setup=dict(sweep.setups())[tuple(place[axis.name] for axis in sweep.static_axes)],
        hyper=Hyper(seed=np.array(sweep.axis("seed").values)[finished], **settings),
        initial=weights.initial,
        params=weights.trained,
        results=here.isel(seed=finished),
        recorded=recorded,
        snapshots=weights.snapshots,
    )


def _read(store: str | Path) -> tuple[Sweep, LossRecord, xr.Dataset]:
    """Sweep, recorded losses and results of a folder."""
    sweep, results = load_sweep(store), load_results(store)
    config = read_manifest(store)["config"]
    if results["status"].shape != sweep.shape:
        raise StoreError(f"store: {store} is damaged: its results have other axes")
    return sweep, LossRecord(config["points"], config["spacing"]), results


def _chosen(
    store: str, held: Sequence[int], finished: Sequence[int], seeds: np.ndarray
) -> list[int]:
    """Positions of the `seeds` on their axis, of which those in `finished` count."""
    rows = {held[row]: row for row in finished}
    missing = [seed for seed in seeds.tolist() if seed not in rows]
    if missing:
        raise StoreError(
            f"store: {store} holds no finished network of this condition with the seeds {missing}"
        )
    return [rows[seed] for seed in seeds.tolist()]
