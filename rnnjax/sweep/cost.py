"""Cost model of a block of runs: floating-point operations, memory, and time.

The products and the stored numbers of a time step are attributes of the cell.
"""

import math
import time
from typing import NamedTuple

import jax
import jax.numpy as jnp

from rnnjax.cells import Cell
from rnnjax.devices import Layout, memory_budget
from rnnjax.lanes import Lanes
from rnnjax.tasks import Task
from rnnjax.training import Recipe, Setup

__all__ = [
    "Machine",
    "block_bytes",
    "evaluation_bytes",
    "kept_copies",
    "measure_machine",
    "memory_budget",
    "nominal_machine",
    "out_of_memory",
    "require_memory",
    "runs_that_fit",
    "step_flops",
    "step_seconds",
    "too_large",
]

_WORD = 4  # bytes of a float32


def step_flops(setup: Setup) -> int:
    """Operations of one training step of one run; 6 B T N (N + I + O) for dense networks.

    The backward pass counts as two forward passes, a multiply-add as two operations.
    """
    cell, visits = setup.cell, setup.recipe.batch * setup.task.steps
    return 6 * (visits * cell.products + cell.products_per_batch)


def _parameter_bytes(setup: Setup, layout: Lanes) -> int:
    """Memory of the weights of one run; each device of shared units has those of its units only."""
    shared, copies = setup.cell.unit_axes, 1
    if layout.share == "units":
        copies = layout.count
    return _WORD * sum(
        math.prod(leaf.shape) * (1 if name in shared else copies)
        for name, leaf in setup.cell.leaves().items()
    )


def _step_bytes(setup: Setup, layout: Lanes) -> int:
    """Memory of the trials of one training step of one run."""
    cell, batch = setup.cell, setup.recipe.batch
    numbers = cell.kept + _channels(cell)
    if layout.share == "units" and cell.unit_axes:
        # Every device has the states of all units, for the gradient of the weights out of them.
        numbers += (layout.count - 1) * (cell.hidden + _channels(cell))
    return _WORD * (batch * setup.task.steps * numbers + cell.in_use(batch))


def evaluation_bytes(cell: Cell, task: Task, trials: int) -> int:
    """Memory of one network in a batch of trials, without a gradient."""
    kept = trials * task.steps * (cell.visited + _channels(cell))
    return _WORD * (kept + cell.in_use(trials))


def _channels(cell: Cell) -> int:
    return 2 * cell.inputs + 6 * cell.outputs


def block_bytes(setup: Setup, runs: int, layout: Lanes, kept: int = 0) -> int:
    """Memory of a block, within a factor of 1.5 on CPU: its weights and moments, and its trials.

    A program that maps runs one after another writes their new states beside the old ones. The
    losses of all steps, the snapshots, and what is `kept` for a store are in the host's memory:
    so many copies of the weights (`kept_copies`).
    """
    return sum(_parts(setup, runs, layout, kept).values())


def kept_copies(recipe: Recipe, keep_parameters: bool, keep_state: bool) -> int:
    """Copies of the weights that a trained block holds for its store, besides snapshots.

    Those of before and after training, and a whole state of training.
    """
    return 2 * keep_parameters + _state_copies(recipe) * keep_state


def _state_copies(recipe: Recipe) -> int:
    """Numbers per weight in a state of training: the weight, its moments, its best value."""
    return 1 + 2 * (recipe.optimizer == "adam") + (recipe.stop == "threshold")


def _parts(setup: Setup, runs: int, layout: Lanes, kept: int = 0) -> dict[str, int]:
    """The memory of a block, by the setting that it grows with."""
    recipe, size = setup.recipe, layout.padded(runs)
    active = min(layout.side_by_side or size, size)
    weights, copies = _parameter_bytes(setup, layout), _state_copies(recipe)
    held = (len(recipe.snapshots) + kept) * runs * weights if layout.on_cpu else 0
    losses = _WORD * runs * recipe.steps if layout.on_cpu else 0
    training = weights  # the gradient is as large as the weights
    if recipe.penalties:  # W, its slope, and the powers of the nuclear norm
        training += 5 * _WORD * setup.cell.hidden**2
    trials = _step_bytes(setup, layout)
    found = {"hidden": active * training, "batch": active * trials}
    if recipe.validates:
        validation = evaluation_bytes(setup.cell, setup.task, recipe.validation_trials)
        if validation > training + trials:
            found = {"validation_trials": active * validation}
    beside = (size + active) * copies * weights if active < size else 0
    evaluation = active * evaluation_bytes(setup.cell, setup.task, setup.evaluation_trials)
    if evaluation > sum(found.values()) + beside:
        found, beside = {"evaluation_trials": evaluation}, 0
    found["hidden"] = found.get("hidden", 0) + beside + size * copies * weights + held
    return {**found, "epochs": losses}


def require_memory(setup: Setup, layout: Lanes) -> None:
    """Raises `ValueError` unless the smallest block fits into the free memory."""
    needed, free = block_bytes(setup, 1, layout), memory_budget(layout, 1.0)
    if needed > free:
        raise too_large(setup, layout, f"{needed:,} bytes, with {free:,} bytes free")


def too_large(setup: Setup, layout: Lanes, reason: str) -> ValueError:
    """The error of networks that do not fit into memory even one by one.

    It names first the setting that most of the memory grows with.
    """
    parts, recipe = _parts(setup, 1, layout), setup.recipe
    trials = [f"{recipe.batch} trials per step", f"{setup.evaluation_trials} in the evaluation"]
    if recipe.validates:
        trials.insert(1, f"{recipe.validation_trials} in the validation")
    return ValueError(
        f"{max(parts, key=parts.__getitem__)}: expected networks that fit into memory, got "
        f"{setup.cell.hidden} units in trials of {setup.task.steps} steps ({', '.join(trials)}), "
        f"{recipe.steps} training steps: {reason}"
    )


def out_of_memory(error: Exception) -> bool:
    """Whether memory was lacking; on CPU the error's code is not RESOURCE_EXHAUSTED."""
    text = str(error).lower()
    return any(one in text for one in ("resource_exhausted", "out of memory", "out_of_memory"))


def runs_that_fit(setup: Setup, runs: int, layout: Lanes, budget: int, kept: int = 0) -> int:
    """Size of the largest block within `budget` bytes, for blocks of about equal size.

    It is at most `runs`, and at least one run per lane even if the budget is smaller. `kept` is
    that of `block_bytes`.
    """
    most = runs
    while most > layout.lanes and block_bytes(setup, most, layout, kept) > budget:
        most = max(layout.lanes, most // 2)
    blocks = -(-runs // most)
    return -(-runs // blocks)


class Machine(NamedTuple):
    """Two numbers that predict the time of a step within a factor of 2."""

    flops: float
    """Rate of matrix products of all devices together, float32 operations per second."""
    step_overhead: float
    """Time of a step of the recurrence apart from its products, forward and backward, seconds."""


_HOST, _ACCELERATOR = Machine(1e11, 1e-5), Machine(2e13, 4e-5)
"""Nominal values, of all cores together and of one accelerator."""


def nominal_machine(layout: Lanes) -> Machine:
    """Nominal values for the kind of device, for choices that must not depend on a measurement."""
    if layout.on_cpu:
        return _HOST
    return _ACCELERATOR._replace(flops=_ACCELERATOR.flops * layout.count)


def measure_machine(layout: Layout, size: int = 1024) -> Machine:
    """Measures the rate of matrix products on all devices, in less than a second.

    Each of them has a product of its own; other processes count as fast as this one.
    """
    here = tuple(d for d in layout.devices if layout.processes == 1 or d in jax.local_devices())
    runs = Layout(here, layout.map_width)

    @jax.jit
    def product(x):
        return runs.map(lambda one: one @ one, x)

    ones = jax.device_put(jnp.ones((len(here), size, size), jnp.float32), runs.sharding())
    product(ones).block_until_ready()
    best = math.inf
    for _ in range(5):
        begin = time.perf_counter()
        product(ones).block_until_ready()
        best = min(best, time.perf_counter() - begin)
    overhead = nominal_machine(layout).step_overhead
    return Machine(2 * size**3 * len(layout.devices) / best, overhead)


def step_seconds(setup: Setup, runs: int, layout: Lanes, machine: Machine) -> float:
    """Estimated time of one training step of `runs` runs, seconds; right within a factor of 2.

    Wide networks reach half of the rate of matrix products; the overhead of a time step occurs
    once per group of runs that a device maps side by side.
    """
    groups = -(-runs // (layout.side_by_side or runs))
    arithmetic = runs * step_flops(setup) / (0.5 * machine.flops)
    return arithmetic + groups * setup.task.steps * machine.step_overhead
