"""Cost model of a block: floating-point operations, bytes, and an estimate of time.

Cells define the number of multiply-adds of a step and of numbers stored for its gradient.
"""

import math
import time
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp

from rnnjax.cells import Cell
from rnnjax.devices import Layout
from rnnjax.tasks import Task
from rnnjax.training import Setup

__all__ = [
    "Machine",
    "block_bytes",
    "evaluation_bytes",
    "free_memory",
    "measure_machine",
    "memory_budget",
    "nominal_machine",
    "runs_that_fit",
    "step_flops",
    "step_seconds",
]

_WORD = 4  # bytes of a float32


def step_flops(setup: Setup) -> int:
    """Operations of one training step of one run; 6 B T N (N + I + O) for dense networks.

    The backward pass counts as two forward passes, a multiply-add as two operations.
    """
    return 6 * setup.recipe.batch * setup.task.steps * setup.cell.products


def _parameter_bytes(setup: Setup) -> int:
    return _WORD * sum(math.prod(leaf.shape) for leaf in setup.cell.leaves().values())


def _working_bytes(setup: Setup) -> int:
    """Bytes of one run in progress: gradient and update, and per time step the numbers that the
    cell stores, or the evaluation's trajectory."""
    cell, batch = setup.cell, setup.recipe.batch
    training = _WORD * (
        batch * setup.task.steps * (cell.kept + _channels(cell)) + cell.in_use(batch)
    )
    trials = max(setup.evaluation_trials, setup.recipe.validates * setup.recipe.validation_trials)
    evaluation = evaluation_bytes(cell, setup.task, trials)
    return 2 * _parameter_bytes(setup) + max(training, evaluation)


def evaluation_bytes(cell: Cell, task: Task, trials: int) -> int:
    """Bytes of one network in a batch of trials, without a gradient."""
    kept = trials * task.steps * (2 * cell.kept // 3 + _channels(cell))
    return _WORD * (kept + cell.in_use(trials))


def _channels(cell: Cell) -> int:
    return 2 * cell.inputs + 6 * cell.outputs


def block_bytes(setup: Setup, runs: int, layout: Layout) -> int:
    """Memory of a block: weights, moments and best weights of all runs, work of those in flight."""
    copies = 1 + 2 * (setup.recipe.optimizer == "adam") + (setup.recipe.stop == "threshold")
    at_rest = copies * _parameter_bytes(setup) * runs
    if layout.share == "units":  # every device holds all weights
        at_rest *= len(layout.devices)
    return at_rest + min(layout.side_by_side or runs, runs) * _working_bytes(setup)


def memory_budget(layout: Layout, share: float = 0.75) -> int:
    """Bytes that a block may take: a share of the devices' memory, or of the free host memory."""
    device = layout.devices[0]
    if device.platform != "cpu":
        stats = device.memory_stats() or {}
        if "bytes_limit" in stats:
            free = stats["bytes_limit"] - stats.get("bytes_in_use", 0)
            return int(share * free * len(layout.devices))
    return int(share * free_memory())


def free_memory() -> int:
    """Bytes of host memory that may be taken; 4 GiB where the system does not say."""
    try:
        text = Path("/proc/meminfo").read_text()
        return 1024 * int(text.partition("MemAvailable:")[2].split()[0])
    except (OSError, IndexError):
        return 4 * 2**30


def runs_that_fit(setup: Setup, runs: int, layout: Layout, budget: int) -> int:
    """The largest block of at most `runs` runs within `budget` bytes, as even blocks as can be.

    At least one run per lane is returned, whatever the budget: whether that fits only the
    device can say.
    """
    most = runs
    while most > layout.lanes and block_bytes(setup, most, layout) > budget:
        most = max(layout.lanes, most // 2)
    blocks = -(-runs // most)
    return -(-runs // blocks)


class Machine(NamedTuple):
    """Two numbers that predict the time of a training step within a factor of 2."""

    flops: float
    """Matrix-product rate of all devices together, float32 operations per second."""
    step_overhead: float
    """Seconds per time step of the recurrence that do not depend on width, forward and backward."""


_HOST, _ACCELERATOR = Machine(1e11, 1e-5), Machine(2e13, 4e-5)
"""Nominal rates of all cores together, and of each accelerator."""


def nominal_machine(layout: Layout) -> Machine:
    """Round numbers for the kind of device, for choices that must be reproducible."""
    if layout.devices[0].platform == "cpu":
        return _HOST
    return _ACCELERATOR._replace(flops=_ACCELERATOR.flops * len(layout.devices))


def measure_machine(layout: Layout, size: int = 1024) -> Machine:
    """Times a matrix product on every device; takes well under a second."""

    @jax.jit
    def product(x):
        return layout.map(lambda one: one @ one, x)

    ones = jax.device_put(jnp.ones((len(layout.devices), size, size)), layout.sharding())
    product(ones).block_until_ready()
    best = math.inf
    for _ in range(5):
        begin = time.perf_counter()
        product(ones).block_until_ready()
        best = min(best, time.perf_counter() - begin)
    overhead = nominal_machine(layout).step_overhead
    return Machine(2 * size**3 * len(layout.devices) / best, overhead)


def step_seconds(setup: Setup, runs: int, layout: Layout, machine: Machine) -> float:
    """Estimated seconds for one training step of each of `runs` runs, within a factor of 2.

    Wide networks reach about half of the matrix-product rate. The overhead of a time step counts
    once per group of runs that a device maps side by side.
    """
    groups = -(-runs // (layout.side_by_side or runs))
    arithmetic = runs * step_flops(setup) / (0.5 * machine.flops)
    return arithmetic + groups * setup.task.steps * machine.step_overhead
