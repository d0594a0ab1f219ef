"""Measured memory of four blocks beside the estimate that `--dry_run` prints, each in a process.

    python benchmarks/peak_memory.py

Linux only. A block trains twice: the first time compiles its programs, and is not counted.
"""

import ctypes
import gc
import os
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np

import rnnjax
from rnnjax.cells import Cell, fitted, gru, latent, rate
from rnnjax.devices import available_cores, default_layout
from rnnjax.sweep import cost
from rnnjax.sweep.block import train_block
from rnnjax.sweep.sizing import segment_steps
from rnnjax.tasks import Task, delayed_cue, flip_flop
from rnnjax.training import Hyper, Setup

STEPS = rnnjax.Recipe("adam", epochs=3)
EPOCHS = rnnjax.Recipe.until(1e-9, epochs=3, steps_per_epoch=2)
CASES: dict[str, tuple[Task, Cell, rnnjax.Recipe, int]] = {
    "rate N=512": (delayed_cue(), rate(512), STEPS, 16),
    "latent N=100,000": (delayed_cue(), latent(100_000, rank=2), STEPS, 8),
    "population with epochs, N=256": (flip_flop(3, p=0.3), rate(256, bias=True), EPOCHS, 16),
    "GRU N=256": (delayed_cue(), gru(256), STEPS, 8),
}


def bytes_of(entry: str) -> int:
    """A line of the kernel's account of this process, in bytes."""
    return 1024 * int(Path("/proc/self/status").read_text().partition(entry)[2].split()[0])


def compare(name: str) -> None:
    """Trains the block of a case and prints its memory, measured and estimated."""
    task, cell, recipe, runs = CASES[name]
    setup, layout = Setup(task, fitted(cell, task), recipe), default_layout()
    hyper = Hyper(np.full(runs, 1e-3), np.arange(runs))
    segment = segment_steps(setup, runs, layout)
    before = 0
    for _ in range(2):
        gc.collect()
        ctypes.CDLL("libc.so.6").malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")  # resets the peak
        before = bytes_of("VmRSS:")
        train_block(setup, hyper, layout, size=runs, segment=segment)
    peak = bytes_of("VmHWM:") - before
    estimate = cost.block_bytes(setup, runs, layout)
    print(
        f"{name}, {runs} networks: {peak / 1e6:.0f} MB measured, {estimate / 1e6:.0f} MB estimated "
        f"({estimate / peak:.2f})",
        flush=True,
    )


if __name__ == "__main__":
    if len(sys.argv) > 1:
        jax.config.update("jax_num_cpu_devices", available_cores())
        compare(sys.argv[1])
    else:
        # Freed blocks return to the system at once, so that the peak is that of what is in use.
        environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "131072"}
        for case in CASES:
            subprocess.run([sys.executable, __file__, case], env=environment, check=True)
