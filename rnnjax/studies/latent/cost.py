"""Cost of one training epoch of one network, measured in a separate process."""

import concurrent.futures
import dataclasses
import multiprocessing
import time
from pathlib import Path
from typing import TypedDict

import jax
import numpy as np

from rnnjax.devices import default_layout
from rnnjax.studies.launch import run_in_parallel_on_cpu
from rnnjax.sweep.block import Transfer, train_block
from rnnjax.training import Hyper, Setup

__all__ = ["EpochCost", "epoch_cost"]


class EpochCost(TypedDict):
    """Seconds per epoch of every repeat, and the peak memory of the process in bytes."""

    seconds: list[float]
    peak_bytes: int


def epoch_cost(setup: Setup, *, repeats: int, epochs: int) -> EpochCost:
    """Times `repeats` times `epochs` epochs of one network on all devices.

    Runs in a new process, so that the memory is that of this network alone.
    """
    spawn = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=spawn) as pool:
        return pool.submit(_measure, setup, repeats, epochs).result()


def _measure(setup: Setup, repeats: int, epochs: int) -> EpochCost:
    run_in_parallel_on_cpu()
    # The first segment compiles and is not counted.
    recipe = dataclasses.replace(setup.recipe, epochs=(repeats + 1) * epochs)
    hyper = Hyper(np.array([0.01]), np.array([0]), np.array([1.0]))
    times = []
    train_block(
        dataclasses.replace(setup, recipe=recipe), hyper, default_layout(share="units"),
        size=1, segment=epochs * recipe.steps_per_epoch, transfer=Transfer(weights=False),
        on_segment=lambda _: times.append(time.perf_counter()),
    )  # fmt: skip
    return EpochCost(seconds=[float(s) / epochs for s in np.diff(times)], peak_bytes=_peak_bytes())


def _peak_bytes() -> int:
    """Peak memory of the accelerator, or of this process, in bytes."""
    device = jax.local_devices()[0]
    if device.platform != "cpu":
        return int((device.memory_stats() or {}).get("peak_bytes_in_use", 0))
    # The kernel's count for this process alone; getrusage would include its parent's.
    status = Path("/proc/self/status")
    if status.exists():
        return 1024 * int(status.read_text().partition("VmHWM:")[2].split()[0])
    import resource  # not on every system

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
