"""Compiled programs for the activity of a population, and the memory that they need."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from rnnjax.cells import Cell
from rnnjax.rollout import Trajectory, rollout
from rnnjax.sweep import Layout, cost, default_layout
from rnnjax.tasks import Task, Trial
from rnnjax.training import Setup, accuracy
from rnnjax.typing import Array, Key, Params, Scalar

__all__ = [
    "activity",
    "all_devices",
    "draw_trials",
    "group_size",
    "losses",
    "outputs",
    "probe",
    "require_memory",
]


def all_devices() -> Layout:
    """All local devices; whoever has too few was told so when training."""
    return default_layout(len(jax.local_devices()))


def group_size(layout: Layout) -> int:
    """Networks per call of a program."""
    return layout.padded(1) if layout.map_width == 1 else 8 * layout.lanes


def require_memory(
    setup: Setup, task: Task, trials: int, networks: int, numbers: int, layout: Layout
) -> None:
    """Raises `ValueError` unless `numbers` per network, trial and step fit into memory.

    The devices compute one group of networks after another; the host keeps all results.
    """
    group = min(networks, group_size(layout))
    results = 4 * trials * task.steps * numbers
    in_flight = min(group, layout.side_by_side or group)
    device = in_flight * cost.evaluation_bytes(setup.cell, task, trials) + group * results
    host = networks * results
    on_cpu = layout.devices[0].platform == "cpu"
    needs = {"memory": (device + host, cost.free_memory())}
    if not on_cpu:
        needs = {
            "device memory": (device, cost.memory_budget(layout, 1.0)),
            "memory": (host, cost.free_memory()),
        }
    for kind, (needed, free) in needs.items():
        if needed > free:
            raise ValueError(
                f"trials: expected activity that fits into the {free / 2**30:.1f} GiB of free "
                f"{kind}, got {networks} networks of {setup.cell.hidden} units in {trials} trials "
                f"of {task.steps} steps, {needed / 2**30:.1f} GiB"
            )


@functools.partial(jax.jit, static_argnames=("task", "count"))
def draw_trials(task: Task, key: Key, count: int) -> Trial:
    """`task.batch` as one program, so that an accelerator compiles one in place of many."""
    return task.batch(key, count)


def _run(setup: Setup, params: Params, trial: Trial, scale: Scalar) -> Trajectory:
    with jax.default_matmul_precision("float32"):
        return rollout(setup.cell, params, trial.inputs, output_scale=scale)


@functools.partial(jax.jit, static_argnames=("setup", "layout"))
def activity(setup: Setup, layout: Layout, params: Params, trial: Trial, scale: Scalar):
    """Rates [S, B, T, N] and outputs [S, B, T, O]."""

    def one(params: Params) -> tuple[Array, Array]:
        cell = setup.cell
        run, rest = _run(setup, params, trial, scale), cell.initial_state(params)
        rates = jax.vmap(cell.rates, (None, 0, 0, None))(params, run.states, trial.inputs, rest)
        return rates, run.outputs

    return layout.map(one, params)


@functools.partial(jax.jit, static_argnames=("setup", "layout"))
def outputs(setup: Setup, layout: Layout, params: Params, trial: Trial, scale: Scalar):
    """Outputs [S, B, T, O]."""
    return layout.map(lambda one: _run(setup, one, trial, scale).outputs, params)


@functools.partial(jax.jit, static_argnames=("setup", "layout"))
def losses(setup: Setup, layout: Layout, params: Params, trial: Trial, scale: Scalar):
    """Losses [S]."""

    def one(params: Params) -> Array:
        outputs = _run(setup, params, trial, scale).outputs
        return accuracy.mean_squared_error(outputs, trial.targets, setup.recipe.reduction)

    return layout.map(one, params)


@functools.lru_cache(maxsize=64)
def probe(cell: Cell, scale: float, times: tuple[int, ...]) -> Callable[[Any, Array], Array]:
    """Function of the outputs at some steps; cached, so that its programs are compiled once."""

    def apply(params: Params, inputs: Array) -> Array:
        return rollout(cell, params, inputs, output_scale=scale).outputs[:, np.array(times)]

    return apply
