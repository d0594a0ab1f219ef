"""A Dask scheduler and a worker, each a process of its own: the store is that of one process."""

import dataclasses
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import chex
import distributed
import numpy as np
import pytest
import xarray as xr

import tiny
from rnnjax import Engine, load_results, run_sweep
from rnnjax.jobs import JobError, Workers
from rnnjax.store import load_weights
from rnnjax.store.attempts import left_attempts
from rnnjax.studies.executors import open_executor

PAIRS = Engine(block_runs=2, devices=1)
COLLECTOR = """
import sys
from test_dask import grid, PAIRS
import dataclasses, distributed
from rnnjax import run_sweep
client = distributed.Client(scheduler_file=sys.argv[1], set_as_default=False)
engine = dataclasses.replace(PAIRS, executor=client)
run_sweep(grid(), sys.argv[2], engine=engine, keep_parameters=True)
"""
PATH = os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parents[1]), *sys.path])

pytestmark = pytest.mark.slow


def grid(**axes):
    return tiny.sweep("delayed_match", {"learning_rate": (0.3,), "seed": range(6), **axes})


def fail(*_):
    raise OSError(28, "No space left on device")


def wait_for(condition, process):
    """Waits until something is the case, before the process ends."""
    deadline = time.monotonic() + 120
    while not condition():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture(scope="module")
def scheduler(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cluster")
    file = folder / "scheduler.json"
    environment = {**os.environ, "PYTHONPATH": PATH, "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}

    def start(*options):
        return subprocess.Popen(
            [sys.executable, "-m", "dask", *options, "--scheduler-file", file, "--no-dashboard"],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment,
        )  # fmt: skip

    processes = [
        start("scheduler", "--port", "0"),
        start("worker", "--nthreads", "1", "--local-directory", folder, "--no-nanny"),
    ]
    try:
        wait_for(file.exists, processes[0])
        yield file
    finally:
        for process in reversed(processes):
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("whole") / "store"
    return run_sweep(grid(), path, engine=PAIRS, keep_parameters=True), path


def attempts(store):
    return {path.name for path in store.glob("attempts/*")}


def test_a_killed_process_goes_on_with_what_is_running(scheduler, whole, tmp_path):
    store, seen, done = tmp_path / "store", set(), threading.Event()
    first = subprocess.Popen(
        [sys.executable, "-c", COLLECTOR, scheduler, store],
        env={**os.environ, "PYTHONPATH": PATH}, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        wait_for(lambda: attempts(store), first)
    finally:
        first.kill()
        first.wait()
    seen |= attempts(store)

    def watch():
        while not done.wait(0.005):
            seen.update(attempts(store))

    watching = threading.Thread(target=watch, daemon=True)
    watching.start()
    with open_executor(f"dask:{scheduler}") as client:
        engine = dataclasses.replace(PAIRS, executor=client)
        result = run_sweep(grid(), store, engine=engine, keep_parameters=True)
    done.set()
    watching.join()
    xr.testing.assert_identical(result.drop_vars("seconds"), whole[0].drop_vars("seconds"))
    cells = np.argwhere(whole[0]["status"].values > 0).tolist()
    chex.assert_trees_all_equal(load_weights(store, cells), load_weights(whole[1], cells))
    assert len(seen) == len({name.partition(".")[0] for name in seen}) == 3  # none twice
    assert not (store / "attempts").exists()


def test_a_stop_in_order_leaves_what_has_not_begun(scheduler, tmp_path):
    store = tmp_path / "store"

    def stop(found):
        raise KeyboardInterrupt

    with open_executor(f"dask:{scheduler}") as client:
        engine = dataclasses.replace(PAIRS, executor=client)
        with pytest.raises(KeyboardInterrupt):
            run_sweep(grid(seed=range(240)), store, engine=engine, after_block=stop)
        before: set[str] = set()
        deadline = time.monotonic() + 120
        while left_attempts(store) or attempts(store) != before:
            assert time.monotonic() < deadline
            before = attempts(store)
            time.sleep(0.3)
        assert len(before) < 100  # of 119 blocks


def test_futures_of_dask_are_tried_again_and_named(scheduler, tmp_path):
    with distributed.Client(scheduler_file=str(scheduler), set_as_default=False) as client:
        workers = Workers(client, retries=1)
        assert workers.call(os.path.basename, "a/b") == "b"
        with pytest.raises(JobError, match=r"1 of 1 jobs failed.*No space left"):
            workers.call(fail)
        path = tmp_path / "store"
        engine = dataclasses.replace(PAIRS, executor=client.get_executor(pure=False))
        run_sweep(grid(seed=(0, 1)), path, engine=engine)
        assert (load_results(path)["status"].values > 0).all()
