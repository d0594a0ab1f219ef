"""After kill -9 the store resumes exactly, and a dead process holds no lock."""

import json
import random
import signal
import time

import numpy as np
import pytest

import forked
import rnnjax
from rnnjax import StoreError, load_results
from rnnjax.store import ResultStore
from rnnjax.sweep import FIELDS

SETTINGS = """
import jax
jax.config.update("jax_num_cpu_devices", 2)
jax.config.update("jax_disable_most_optimizations", True)  # as in other tests
"""
"""The beginning of every script."""

SWEEP = """
import rnnjax
sweep = rnnjax.Sweep(
    rnnjax.tasks.delayed_cue(2, 3, 2), rnnjax.cells.rate(5),
    rnnjax.Recipe("sgd", epochs=400, batch=4),
    {"learning_rate": (0.01, 0.02, 0.03, 0.05, 0.1, 0.15, 0.2, 0.3), "seed": range(8)},
    evaluation_trials=12,
)
rnnjax.run_sweep(sweep, path, engine=rnnjax.Engine(block_runs=4))
"""
BLOCKS = 16

POPULATION = """
import rnnjax
rnnjax.train_population(
    rnnjax.tasks.delayed_cue(2, 3, 2), rnnjax.cells.rate(5),
    rnnjax.Recipe.until(1e-3, epochs=40, steps_per_epoch=10, batch=4, validation_trials=4),
    learning_rate=0.01, seeds=12, store=path, evaluation_trials=12,
    engine=rnnjax.Engine(block_runs=2),
)
"""

BLOCK = """
import rnnjax
from rnnjax.sweep import checkpoints
if how == "often":
    checkpoints.free_memory = lambda: 0  # training waits until a checkpoint is on disk
sweep = rnnjax.Sweep(
    rnnjax.tasks.delayed_cue(2, 3, 2), rnnjax.cells.rate(5),
    rnnjax.Recipe("sgd", epochs=2000, batch=4),
    {"learning_rate": (0.03, 0.3), "seed": (0, 1)}, evaluation_trials=12,
)
minutes = 1e-9 if how == "often" else None
minutes = 10 if how == "on" else minutes
open(path + ".steps", "w").close()
engine = rnnjax.Engine(checkpoint_minutes=minutes, segment=10)
class Progress:
    def begin(self, *_): pass
    compile = end = begin
    def advance(self, block, segment):
        with open(path + ".steps", "a") as file:
            print(segment.step, file=file)
rnnjax.run_sweep(sweep, path, engine=engine, progress=Progress())
"""

HOLDER = """
import time
from pathlib import Path
import xarray as xr
from rnnjax.store import ResultStore
with ResultStore(path, xr.Dataset({"status": ("seed", [0, 0])}), {"a": 1}):
    Path(path + ".held").touch()
    time.sleep(60)
"""


def launch(text, path, how=None):
    """Compiled programs come from the suite's cache."""
    return forked.start(SETTINGS + text, path=str(path), how=how)


def kill(process):
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL  # it had not finished by itself


def markers(path):
    return {file.name: file.read_text() for file in (path / "blocks").glob("*.json")}


def finish(process):
    assert forked.ended(process) == 0


@pytest.mark.slow
def test_a_sweep_killed_three_times_equals_an_uninterrupted_one(tmp_path):
    with launch(SWEEP, tmp_path / "unbroken") as process:
        finish(process)
    unbroken = load_results(tmp_path / "unbroken")
    assert len(markers(tmp_path / "unbroken")) == BLOCKS

    path, moments = tmp_path / "killed", random.Random(0)
    kept: dict[str, str] = {}
    for least in (0, 1, 9):
        with launch(SWEEP, path) as process:
            if least == 0:  # while the store is being made
                forked.wait_for(lambda: (path / "results.zarr").exists(), process)
                time.sleep(moments.uniform(0, 0.02))
            else:  # somewhere in one of the blocks that follow
                forked.wait_for(lambda n=least: len(markers(path)) >= n, process)
                time.sleep(moments.uniform(0, 0.06))
            kill(process)
        found = markers(path)
        assert {name: found[name] for name in kept} == kept
        kept = found
    assert 9 <= len(kept) < BLOCKS
    with launch(SWEEP, path) as process:
        finish(process)
    found = markers(path)
    assert {name: found[name] for name in kept} == kept  # finished blocks were not computed again
    assert set(found) == set(markers(tmp_path / "unbroken"))
    times = {name: json.loads(text)["finished"] for name, text in found.items()}
    assert min(times[n] for n in found if n not in kept) > max(times[n] for n in kept)

    resumed = load_results(path)
    for name in (*FIELDS, "loss"):
        if name != "seconds":
            np.testing.assert_array_equal(resumed[name], unbroken[name], err_msg=name)
    assert np.all(resumed["seconds"] > 0)


@pytest.mark.slow
def test_a_killed_population_equals_an_uninterrupted_one(tmp_path):
    path, unbroken = tmp_path / "killed", tmp_path / "unbroken"
    with launch(POPULATION, unbroken) as process:
        finish(process)
    with launch(POPULATION, path) as process:
        forked.wait_for(lambda: len(markers(path)) >= 2, process)
        kill(process)
    kept = markers(path)
    assert 2 <= len(kept) < 6
    partial = rnnjax.load_population(path)
    assert len(partial) == 2 * len(kept)
    with launch(POPULATION, path) as process:
        finish(process)
    assert {name: markers(path)[name] for name in kept} == kept
    resumed, whole = rnnjax.load_population(path), rnnjax.load_population(unbroken)
    assert resumed.seeds.tolist() == list(range(12))
    for name in whole.params:
        np.testing.assert_array_equal(resumed.params[name], whole.params[name])
        np.testing.assert_array_equal(resumed.initial[name], whole.initial[name])
    for name in whole.results.data_vars:
        if name != "seconds":
            np.testing.assert_array_equal(resumed.results[name], whole.results[name])


@pytest.mark.slow
def test_a_block_killed_twice_goes_on_from_its_checkpoints(tmp_path):
    path, unbroken = tmp_path / "killed", tmp_path / "unbroken"

    def first_step(store):
        return int(store.with_suffix(".steps").read_text().split()[0])

    with launch(BLOCK, unbroken, "never") as process:
        finish(process)
    assert first_step(unbroken) == 10

    def newest():
        return max([0, *(int(file.name[:8]) for file in path.glob("running/[!.]*/*.npz"))])

    for least in (20, 60):
        with launch(BLOCK, path, "often") as process:
            forked.wait_for(lambda n=least: newest() >= n, process)
            kill(process)
        assert not markers(path)
    begun = newest()
    with launch(BLOCK, path, "on") as process:
        finish(process)
    assert first_step(path) == begun + 10
    assert not (path / "running").exists()
    resumed, whole = load_results(path), load_results(unbroken)
    for name in (*FIELDS, "loss"):
        if name != "seconds":
            np.testing.assert_array_equal(resumed[name], whole[name], err_msg=name)


@pytest.mark.slow
def test_two_processes_and_a_lock_left_by_a_killed_one(tmp_path):
    import xarray as xr

    path = tmp_path / "store"
    template = xr.Dataset({"status": ("seed", [0, 0])})
    with launch(HOLDER, path) as process:
        forked.wait_for((tmp_path / "store.held").exists, process)
        begun = time.monotonic()
        with (
            pytest.raises(StoreError, match=f"^store: {path} is already open for writing, "),
            ResultStore(path, template, {"a": 1}),
        ):
            pass
        assert time.monotonic() - begun < 5  # refused, not waited for
        kill(process)
        assert (path / "lock").exists()
        with ResultStore(path, template, {"a": 1}) as store:
            assert not store.finished().any()
