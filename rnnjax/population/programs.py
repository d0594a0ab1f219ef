"""Compiled programs that evaluate a population, and their memory.

They depend on the cell, and not on the recipe: populations of other recipes share them.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from rnnjax.cells import Cell
from rnnjax.cells.checking import require_real
from rnnjax.devices import Layout, free_memory, memory_budget
from rnnjax.sweep import cost
from rnnjax.tasks import Task, Trial
from rnnjax.tasks.checking import require_trial
from rnnjax.training import Setup, accuracy
from rnnjax.trajectory import Trajectory, rollout
from rnnjax.typing import Array, Key, Params, Scalar

__all__ = [
    "activity",
    "draw_trials",
    "losses",
    "outputs",
    "probe",
    "require_memory",
    "states",
]


def require_memory(
    setup: Setup, task: Task, trials: int, networks: int, numbers: int, layout: Layout
) -> None:
    """Raises `ValueError` unless a program that returns `numbers` values fits into memory.

    They are counted per network, trial and step.

    The devices evaluate a whole group at a time, of copies where networks are fewer; the host keeps
    the results of all, and of one group.
    """
    group = layout.group_size
    results = 4 * trials * task.steps * numbers
    active = min(group, layout.side_by_side or group)
    device = active * cost.evaluation_bytes(setup.cell, task, trials) + group * results
    host = (networks + group) * results
    needs = {"memory": (device + host, free_memory())}
    if not layout.on_cpu:
        needs = {
            "device memory": (device, memory_budget(layout, 1.0)),
            "memory": (host, free_memory()),
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
    """`task.batch` as one program: otherwise an accelerator compiles every operation."""
    return require_trial(task, task.batch(key, count), count)


def _run(cell: Cell, params: Params, trial: Trial, scale: Scalar) -> Trajectory:
    with jax.default_matmul_precision("float32"):
        return rollout(cell, params, trial.inputs, output_scale=scale)


@functools.partial(jax.jit, static_argnames=("cell", "layout"))
def activity(cell: Cell, layout: Layout, params: Params, trial: Trial, scale: Scalar):
    """Rates [S, B, T, N] and outputs [S, B, T, O]."""

    def one(params: Params) -> tuple[Array, Array]:
        run, rest = _run(cell, params, trial, scale), cell.initial_state(params)
        rates = jax.vmap(cell.rates, (None, 0, 0, None))
        with jax.default_matmul_precision("float32"):
            found = rates(params, run.states, trial.inputs, rest)
        require_real("rates", found)
        return found, run.outputs

    return layout.map(one, params)


@functools.partial(jax.jit, static_argnames=("cell", "layout"))
def outputs(cell: Cell, layout: Layout, params: Params, trial: Trial, scale: Scalar):
    """Outputs [S, B, T, O]."""
    return layout.map(lambda one: _run(cell, one, trial, scale).outputs, params)


@functools.partial(jax.jit, static_argnames=("cell", "layout"))
def states(cell: Cell, layout: Layout, params: Params, trial: Trial, scale: Scalar):
    """States [S, B, T, ...]."""
    return layout.map(lambda one: _run(cell, one, trial, scale).states, params)


@functools.partial(jax.jit, static_argnames=("cell", "layout", "reduction"))
def losses(
    cell: Cell, layout: Layout, params: Params, trial: Trial, scale: Scalar, *, reduction: str
):
    """Losses [S]."""

    def one(params: Params) -> Array:
        outputs = _run(cell, params, trial, scale).outputs
        return accuracy.mean_squared_error(outputs, trial.targets, reduction)

    return layout.map(one, params)


@functools.lru_cache(maxsize=64)
def probe(cell: Cell, scale: float, times: tuple[int, ...]) -> Callable[[Any, Array], Array]:
    """Function of the outputs at some steps; cached, so that its programs are compiled once."""

    def apply(params: Params, inputs: Array) -> Array:
        return rollout(cell, params, inputs, output_scale=scale).outputs[:, np.array(times)]

    return apply
