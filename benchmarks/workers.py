"""Training on workers: throughput against one process, and the work of the process that collects.

    python benchmarks/workers.py

Run it on an idle machine. See benchmarks/README.md.
"""

import argparse
import concurrent.futures
import multiprocessing
import shlex
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import script
from machine import describe

import rnnjax
from rnnjax import Engine, Sweep, run_sweep
from rnnjax.devices import all_devices, available_cores
from rnnjax.processes import LocalExecutor
from rnnjax.store import versions
from rnnjax.store.attempts import Report, pack_report
from rnnjax.studies.launch import run_in_parallel_on_cpu
from rnnjax.sweep import FIELDS, remote
from rnnjax.sweep.compute import Computed
from rnnjax.validate import positive_integer

RUNS = 8
"""Runs per block that trains; with fewer, one process would not fill its cores."""
COLLECTED = (2, 50)
"""Runs per block that is only collected."""
TRAINING = 0.2
"""Seconds that a block takes for which workers only wait."""


def training(runs: int, epochs: int) -> Sweep:
    """Runs of 64 units."""
    return Sweep(
        rnnjax.tasks.flip_flop(3, p=0.3, steps=50), rnnjax.cells.rate(64),
        rnnjax.Recipe(epochs=epochs, batch=50),
        axes={"learning_rate": (1e-3,), "seed": range(runs)}, evaluation_trials=50,
    )  # fmt: skip


def seconds(sweep: Sweep, engine: Engine) -> float:
    """Time of a whole sweep into a new folder, whose programs are compiled already."""
    with tempfile.TemporaryDirectory() as folder:
        begin = time.perf_counter()
        run_sweep(sweep, Path(folder) / "store", engine=engine)
        return time.perf_counter() - begin


def throughput(repeats: int, blocks: int, epochs: int) -> dict[str, Any]:
    """One process with a device per core against one worker per core, in alternation."""
    sweep, cores = training(RUNS * blocks, epochs), available_cores()
    here = Engine(block_runs=RUNS)
    found: dict[str, list[float]] = {"here": [], "workers": []}
    with LocalExecutor(cores) as executor:
        there = Engine(block_runs=RUNS, executor=executor)
        for engine in (here, there):  # compiles; every worker takes part
            seconds(training(2 * RUNS * cores, epochs), engine)
        for _ in range(repeats):
            for name, engine in (("here", here), ("workers", there)):
                found[name].append(seconds(sweep, engine))
    one, many = (statistics.median(found[name]) for name in ("here", "workers"))
    print(f"{blocks} blocks: one process {one:.2f} s, {cores} workers {many:.2f} s: "
          f"{one / many:.2f} of its throughput")  # fmt: skip
    return {"blocks": blocks, "epochs": epochs, "workers": cores, "seconds": found,
            "ratio": one / many}  # fmt: skip


def ones(runs: int, steps: int) -> dict[str, np.ndarray]:
    """Results of some runs."""
    values: dict[str, np.ndarray] = {n: np.ones(runs, kind) for n, (kind, _) in FIELDS.items()}
    return {**values, "loss": np.ones((runs, steps), "f4")}


def pretend(wait: float, job: Callable, *inputs: Any) -> Any:
    """A job that waits instead of training."""

    def invent(block: Any, layout: Any, engine: Any, kept: Any, running: Any) -> Any:
        time.sleep(wait)
        yield block, Computed(ones(block.runs, len(kept.steps)), {"seconds": 0.0}, None, None)

    remote.compute_parts = invent
    return job(*inputs)


class Pretending(concurrent.futures.ProcessPoolExecutor):
    """Processes in which blocks take some time, and no work."""

    def __init__(self, workers: int, wait: float):
        spawn = multiprocessing.get_context("spawn")
        ready = spawn.Barrier(workers + 1)
        super().__init__(workers, spawn, initializer=ready.wait)
        self._wait = wait
        for _ in range(workers):  # each starts one process
            super().submit(int)
        ready.wait()

    def submit(self, job: Callable, /, *inputs: Any) -> concurrent.futures.Future:
        """As in the base class."""
        return super().submit(pretend, self._wait, job, *inputs)


def arrivals(blocks: int, runs: int, workers: int, wait: float) -> np.ndarray:
    """Times at which blocks, of one width each, are in the store: [blocks], seconds."""
    rates, moments = (1e-3,) if runs < 10 else (1e-4, 3e-4, 1e-3, 3e-3, 1e-2), []
    sweep = training(runs // len(rates), 500)
    with Pretending(workers, wait) as processes, tempfile.TemporaryDirectory() as folder:
        run_sweep(
            sweep.with_axes(hidden=range(64, 64 + blocks), learning_rate=rates),
            Path(folder) / "store",
            engine=Engine(block_runs=runs, executor=processes),
            after_block=lambda _: moments.append(time.perf_counter()),
        )  # fmt: skip
    return np.array(moments)


def collecting(blocks: int, runs: int) -> dict[str, Any]:
    """Time per block of the collecting process, with blocks that take no time to train."""
    moments = arrivals(blocks, runs, 1, 0.0)
    each, quarter = 1000 * np.diff(moments), max(blocks // 4, 1)
    first, last = float(np.median(each[:quarter])), float(np.median(each[-quarter:]))
    report = Report(np.zeros((runs, 2), int), ones(runs, 500), {}, "0" * 64)
    content = pack_report(report)
    print(f"{blocks} blocks of {runs} runs: {first:.1f} ms per block at first, {last:.1f} ms at "
          f"the end; {len(content) / runs:,.0f} bytes per network")  # fmt: skip
    return {
        "blocks": blocks, "runs": runs, "first_ms": first, "last_ms": last,
        "bytes_per_network": len(content) / runs,
    }  # fmt: skip


def scaling(blocks: int) -> list[dict[str, float]]:
    """Blocks per second of some workers, for which no core computes."""
    found = []
    for workers in (1, 2, 4, 8, 16):
        moments = arrivals(blocks, 2, workers, TRAINING)
        rate = float((blocks - 1 - workers) / (moments[-1] - moments[workers]))
        print(f"{workers} workers: {rate:.2f} blocks per second; "
              f"{workers / TRAINING:.0f} without any other work")  # fmt: skip
        found.append({"workers": workers, "blocks_per_second": rate})
    return found


def options() -> argparse.Namespace:
    """The command line."""
    parser = script.Parser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5, help="runs of each kind")
    parser.add_argument("--blocks", type=int, default=16, help="blocks of a timed run")
    parser.add_argument("--epochs", type=int, default=250, help="training steps of a run")
    parser.add_argument("--collected", type=int, default=2000, help="blocks that are collected")
    parser.add_argument("--out", type=Path, default=script.RESULTS, help="folder of the record")
    given = parser.parse_args()
    with script.refused_in_one_line(parser):
        for name in ("repeats", "blocks", "epochs", "collected"):
            positive_integer(name, getattr(given, name))
        script.writable_folder(given.out)
    return given


def main() -> None:
    """Measures, prints and writes the record."""
    given = options()
    run_in_parallel_on_cpu()
    record = {
        "benchmark": "workers", "command": shlex.join(["python", *sys.argv]),
        "machine": describe(all_devices()), "versions": versions(),
        "throughput": throughput(given.repeats, given.blocks, given.epochs),
        "collecting": [collecting(given.collected, runs) for runs in COLLECTED],
        "scaling": {"seconds_per_block": TRAINING, "found": scaling(200)},
    }  # fmt: skip
    print(f"Record: {script.save_record(record, given.out)}")


if __name__ == "__main__":
    script.run_main(main)
