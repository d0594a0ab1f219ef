"""Kills of the processes of a Dask cluster while a sweep trains on it, with counts.

    python tests/drills/cluster.py --kills=30

A scheduler and two workers run as on a cluster. At random moments a worker's process, its nanny,
the scheduler, or the process that collects the blocks is killed, and what is missing is started
again, as a batch system or a user would. Every sweep must end in the store of an undisturbed run,
bit for bit, with no lock held and no temporary file. Prints a table; exits with 1 if anything
differs.
"""

import argparse
import collections
import contextlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import xarray as xr

import rnnjax
from rnnjax import Engine, ProgressBar, Sweep, load_results, run_sweep
from rnnjax.store import load_weights
from rnnjax.studies.status import damages

VICTIMS = ("worker", "nanny", "scheduler", "collector")
PER_SWEEP = 3
"""Kills of one sweep before it may finish."""
PATIENCE = 180
"""Seconds within which a sweep must end after the last kill."""


def sweep() -> Sweep:
    """Twelve blocks of about a second each."""
    return Sweep(
        rnnjax.tasks.delayed_cue(3, 10, 3), rnnjax.cells.rate(32), rnnjax.Recipe(epochs=1500),
        axes={"learning_rate": (0.01, 0.1), "seed": range(12)}, evaluation_trials=50,
    )  # fmt: skip


def collect(store: Path, scheduler: Path) -> None:
    """Trains on the cluster; runs in a process of its own."""
    import distributed

    try:
        with distributed.Client(scheduler_file=str(scheduler), timeout="20s") as client:
            engine = Engine(block_runs=2, devices=1, executor=client)
            run_sweep(sweep(), store, engine=engine, keep_parameters=True, progress=ProgressBar())
    except (OSError, RuntimeError, ValueError) as error:  # the scheduler is gone
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


class Cluster:
    """A scheduler, and workers that are started again when they are lost."""

    def __init__(self, folder: Path, workers: int = 2):
        self.folder, self.file, self.workers = folder, folder / "scheduler.json", workers
        self._log = open(folder / "cluster.log", "a")  # noqa: SIM115 - open while it runs
        self.scheduler: subprocess.Popen | None = None
        self.nannies: list[subprocess.Popen] = []

    def repair(self) -> None:
        """Starts what is not running."""
        if self.scheduler is None or self.scheduler.poll() is not None:
            self.stop()
            self.file.unlink(missing_ok=True)
            self.scheduler = self._start("scheduler", "--port", "0", "--no-dashboard")
            while not self.file.exists():
                time.sleep(0.1)
        self.nannies = [nanny for nanny in self.nannies if nanny.poll() is None]
        while len(self.nannies) < self.workers:
            self.nannies.append(
                self._start(
                    "worker", "--nthreads", "1", "--no-dashboard", "--death-timeout", "60",
                    "--local-directory", str(self.folder),
                )
            )  # fmt: skip

    def _start(self, kind: str, *options: str) -> subprocess.Popen:
        return subprocess.Popen(
            [sys.executable, "-m", "dask", kind, "--scheduler-file", str(self.file), *options],
            stdout=self._log, stderr=self._log, start_new_session=True,
        )  # fmt: skip

    def kill(self, victim: str) -> bool:
        """Kills one process of a kind; returns whether there was one."""
        if victim == "scheduler":
            assert self.scheduler is not None
            return _kill(self.scheduler.pid)
        nanny = random.choice(self.nannies)
        return _kill(nanny.pid) if victim == "nanny" else any(map(_kill, children(nanny.pid)))

    def stop(self) -> None:
        """Ends all processes."""
        for process in (*self.nannies, *([self.scheduler] if self.scheduler else [])):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        self.nannies, self.scheduler = [], None


def _kill(process: int) -> bool:
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, signal.SIGKILL)
        return True
    return False


def children(process: int) -> list[int]:
    """The worker processes of a nanny, without helpers of Python."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == process and b"spawn_main" in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
    return found


def start_collector(store: Path, cluster: Cluster) -> subprocess.Popen:
    command = [sys.executable, __file__, "--collect", str(store), str(cluster.file)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def differences(store: Path, whole: xr.Dataset, kept: Path) -> list[str]:
    """How a store differs from an undisturbed one."""
    found = []
    results = load_results(store)
    if not results.drop_vars("seconds").identical(whole.drop_vars("seconds")):
        found.append("results differ")
    cells = np.argwhere(whole["status"].values > 0).tolist()
    one, other = (load_weights(path, cells).trained for path in (store, kept))
    found += [f"weights differ: {n}" for n in other if not np.array_equal(one[n], other[n])]
    names = {path.name for path in kept.iterdir()}
    found += [f"left over: {path.name}" for path in store.iterdir() if path.name not in names]
    return found + list(damages(store))


def drill(kills: int, seed: int) -> int:
    """Runs sweeps until this many processes were killed; returns the exit code."""
    random.seed(seed)
    counts: collections.Counter[str] = collections.Counter()
    problems: list[str] = []
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        kept = place / "whole"
        once = time.monotonic()
        whole = run_sweep(sweep(), kept, engine=Engine(block_runs=2), keep_parameters=True)
        usual = time.monotonic() - once
        cluster = Cluster(place)
        number = 0
        try:
            while sum(counts.values()) < kills:
                number += 1
                store = place / f"store{number}"
                problems += disturbed(store, cluster, counts, kills, usual)
                problems += differences(store, whole, kept)
        finally:
            cluster.stop()
    listed = ", ".join(f"{counts[victim]} of a {victim}" for victim in VICTIMS)
    print(f"{sum(counts.values())} kills in {number} sweeps ({listed}): {len(problems)} problems")
    for problem in problems:
        print(problem)
    print(f"{time.monotonic() - begin:.0f} s")
    return 1 if problems else 0


def disturbed(
    store: Path, cluster: Cluster, counts: collections.Counter[str], kills: int, usual: float
) -> list[str]:
    """Trains one sweep while processes are killed; returns what went wrong."""
    left, problems = PER_SWEEP, []
    while True:
        cluster.repair()
        collector = start_collector(store, cluster)
        deadline = time.monotonic() + PATIENCE
        while collector.poll() is None:
            if left and sum(counts.values()) < kills:
                time.sleep(random.uniform(0, 2 * usual))
                victim = random.choice(VICTIMS)
                done = _kill(collector.pid) if victim == "collector" else cluster.kill(victim)
                if done:
                    counts[victim] += 1
                    left -= 1
                    deadline = time.monotonic() + PATIENCE
                if victim in ("worker", "nanny"):
                    cluster.repair()
            elif time.monotonic() > deadline:
                problems.append(f"{store.name}: no end within {PATIENCE} s")
                collector.kill()
            time.sleep(0.1)
        assert collector.stderr is not None
        printed = collector.stderr.read()
        if "Traceback" in printed and collector.returncode >= 0:
            problems.append(f"{store.name}: traceback\n{printed[-3000:]}")
        if collector.returncode == 0 or len(problems) > 5:
            return problems


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--collect", nargs=2, type=Path)
    given = parser.parse_args()
    if given.collect:
        collect(*given.collect)
    else:
        sys.exit(drill(given.kills, given.seed))
