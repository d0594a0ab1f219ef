"""Blocks that train on workers: the same store as in one process, whatever fails on the way."""

import concurrent.futures
import dataclasses
import multiprocessing
import os
import shutil
import threading

import chex
import jax
import numpy as np
import pytest
import xarray as xr

import rnnjax
import tiny
from rnnjax import Engine, Sweep, load_results, run_sweep
from rnnjax.commands import main
from rnnjax.devices import available_cores, default_layout
from rnnjax.jobs import JobError, Workers
from rnnjax.lanes import Resources, remote_lanes
from rnnjax.processes import LocalExecutor
from rnnjax.store import StoreInUse, load_weights
from rnnjax.store.attempts import (
    Report,
    attempt_folder,
    failed_attempts,
    left_attempts,
    new_attempt,
)
from rnnjax.studies.status import damages
from rnnjax.sweep import MemoryStore, plan, remote
from rnnjax.tasks import DelayedCue

PAIRS = Engine(block_runs=2)


def grid(**axes):
    return tiny.sweep("delayed_match", {"learning_rate": (0.3,), "seed": range(6), **axes})


@dataclasses.dataclass(frozen=True)
class Poison(DelayedCue):
    """A task that ends the worker process in which it is compiled."""

    def sample(self, key):
        if multiprocessing.parent_process() is not None:
            os._exit(1)
        return super().sample(key)


def compile_fast():
    """As in the processes that run the tests."""
    jax.config.update("jax_disable_most_optimizations", True)


def same(path, whole, kept):
    """Checks results, markers and weights against a store that one process made."""
    xr.testing.assert_identical(load_results(path).drop_vars("seconds"), whole.drop_vars("seconds"))
    names = [sorted(file.name for file in (at / "blocks").iterdir()) for at in (path, kept)]
    assert names[0] == names[1]
    cells = np.argwhere(whole["status"].values > 0).tolist()
    chex.assert_trees_all_equal(load_weights(path, cells), load_weights(kept, cells))
    assert not (path / "attempts").exists()
    assert list(damages(path)) == []


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("whole") / "store"
    return run_sweep(grid(), path, engine=PAIRS, keep_parameters=True), path


def in_threads(executor=None, **how):
    executor = executor or concurrent.futures.ThreadPoolExecutor(2)
    return dataclasses.replace(PAIRS, executor=Workers(executor, **how))


@pytest.mark.slow
def test_threads_give_the_same_store(whole, tmp_path, monkeypatch):
    steps, seen, freed = [], [], []
    monkeypatch.setattr(remote, "free_programs", lambda: freed.append(True))

    class Counter:
        def begin(self, blocks, finished, found):
            pass

        def compile(self, block):
            raise AssertionError("nothing is compiled here")

        def advance(self, block, segment):
            steps.append((segment.steps, segment.done))

        def end(self):
            pass

    run_sweep(
        grid(), tmp_path / "store", engine=in_threads(), keep_parameters=True, progress=Counter(),
        after_block=lambda found: seen.append(int((found["status"] > 0).sum())),
    )  # fmt: skip
    same(tmp_path / "store", *whole)
    assert steps == [(40, 40)] * 3
    assert seen == [2, 4, 6]
    assert len(freed) == 3  # after every block


@pytest.mark.slow
def test_what_fails_on_a_worker_is_tried_again(whole, tmp_path, monkeypatch, capsys):
    compute, calls = remote.compute_parts, []

    def fails_first(block, *arguments):
        calls.append(block.name)
        if calls.count(block.name) == 1:
            raise OSError(28, "No space left on device")
        return compute(block, *arguments)

    monkeypatch.setattr(remote, "compute_parts", fails_first)
    path = tmp_path / "store"
    with pytest.raises(JobError, match=r"3 of 3 jobs failed.*No space left.*finished blocks"):
        run_sweep(grid(), path, engine=in_threads(retries=0), keep_parameters=True)
    assert len(failed_attempts(path)) == 3
    attempt_folder(path, "a-block", new_attempt("0a" * 32)).mkdir()  # a worker has just begun
    assert main(["status", str(path)]) == 0
    printed = capsys.readouterr().out
    assert printed.count("failed on a worker: block ") == 3
    assert "No space left on device" in printed
    assert "begun by a worker: block a-block\n" in printed
    calls.clear()
    run_sweep(grid(), path, engine=in_threads(), keep_parameters=True)
    assert len(calls) == 6
    shutil.rmtree(attempt_folder(path, "a-block", new_attempt("0a" * 32)).parent)
    same(path, *whole)


def abandoned(path, monkeypatch, **how):
    """The attempts in a store whose process ended when the first block came back."""

    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("rnnjax.store.results.ResultStore.adopt", stop)
    with (
        concurrent.futures.ThreadPoolExecutor(1) as threads,
        pytest.raises(KeyboardInterrupt) as stopped,  # keeps all frames
    ):
        run_sweep(grid(), path, engine=in_threads(threads), **{"keep_parameters": True, **how})
    monkeypatch.undo()
    assert left_attempts(path) == []  # threads finish what they have begun
    left = sorted((path / "attempts").iterdir())
    assert 1 <= len(left) < 3  # and begin no other block
    assert stopped.traceback
    return left


@pytest.mark.slow
@pytest.mark.parametrize("long_ago", [False, True])
def test_blocks_that_workers_left_are_found(long_ago, whole, tmp_path, monkeypatch):
    """As after the end of the process that collects them: whole ones count, others do not."""
    path, trained = tmp_path / "store", []
    left = abandoned(path, monkeypatch)
    for folder in left if long_ago else ():
        os.utime(folder, (0, 0))
    run_sweep(
        grid(), path, engine=PAIRS, keep_parameters=True,
        after_block=lambda found: trained.append(1),
    )  # fmt: skip
    assert len(trained) == 3 - len(left)
    same(path, *whole)


@pytest.mark.slow
def test_damaged_reports_and_weights_are_trained_again(whole, tmp_path, monkeypatch):
    path = tmp_path / "store"
    first, *others = abandoned(path, monkeypatch)
    report = first / "report.npz"
    content = bytearray(report.read_bytes())
    content[len(content) // 2] ^= 1
    report.write_bytes(content)
    for folder in others:
        file = max((f for f in folder.rglob("*") if f.is_file()), key=lambda f: f.stat().st_size)
        if file.name != "report.npz":
            file.write_bytes(file.read_bytes()[:-1])
    run_sweep(grid(), path, engine=PAIRS, keep_parameters=True)
    xr.testing.assert_identical(
        load_results(path).drop_vars("seconds"), whole[0].drop_vars("seconds")
    )
    assert list(damages(path)) == []


@pytest.mark.slow
def test_a_worker_does_not_train_what_another_has_left(whole, tmp_path, monkeypatch):
    """As where the other one ends after the store was opened."""
    path, compute, calls = tmp_path / "store", remote.compute_parts, []
    left = abandoned(path, monkeypatch)

    def count(block, *arguments):
        calls.append(block.name)
        return compute(block, *arguments)

    monkeypatch.setattr(remote, "compute_parts", count)
    monkeypatch.setattr("rnnjax.store.results.ResultStore.adopt_left", lambda *_: None)
    run_sweep(grid(), path, engine=in_threads(), keep_parameters=True)
    assert len(calls) == 3 - len(left)
    same(path, *whole)


@pytest.mark.slow
def test_blocks_of_other_work_are_left_alone(whole, tmp_path, monkeypatch):
    """A worker that kept no weights has not done the work of a call that keeps them."""
    path = tmp_path / "store"
    left = abandoned(path, monkeypatch, keep_parameters=False)
    run_sweep(grid(), path, engine=in_threads(), keep_parameters=True)
    assert sorted((path / "attempts").iterdir()) == left
    for folder in left:
        os.utime(folder, (0, 0))  # for longer than a week
    run_sweep(grid(), path, engine=PAIRS, keep_parameters=True)
    same(path, *whole)


@pytest.mark.slow
def test_nothing_is_moved_from_elsewhere(whole, tmp_path, monkeypatch):
    path, elsewhere = tmp_path / "store", tmp_path / "elsewhere"
    left = abandoned(path, monkeypatch)
    for number, folder in enumerate(left):
        (folder / "parameters").rename(elsewhere.with_suffix(f".{number}"))
        (folder / "parameters").symlink_to(elsewhere.with_suffix(f".{number}"))
    before = sorted(tmp_path.glob("elsewhere.*/*/*"))
    run_sweep(grid(), path, engine=PAIRS, keep_parameters=True)
    assert sorted(tmp_path.glob("elsewhere.*/*/*")) == before != []
    same(path, *whole)


@pytest.mark.slow
def test_a_part_that_is_missing_finishes_no_block(tmp_path, monkeypatch):
    path, save = tmp_path / "store", remote.save_attempt

    def lose(folder, block, report, weights, states):
        content = save(folder, block, report, weights, states)
        shutil.rmtree(folder / "parameters")
        return content

    monkeypatch.setattr(remote, "save_attempt", lose)
    monkeypatch.setattr("rnnjax.store.attempts._PAUSE", 0.0)
    with pytest.raises(OSError, match="a worker has left a block without it"):
        run_sweep(grid(), path, engine=in_threads(), keep_parameters=True)
    assert not list((path / "blocks").iterdir())


@pytest.mark.slow
def test_processes_of_this_machine_and_a_poison_block(whole, tmp_path):
    tasks = {"good": tiny.TASKS["delayed_match"], "bad": Poison(2, 3, 2)}
    path = tmp_path / "both"
    both = Sweep(
        cell=tiny.CELL, recipe=tiny.recipe(), evaluation_trials=tiny.TRIALS,
        axes={"task": tasks, "learning_rate": (0.3,), "seed": range(4)},
    )  # fmt: skip
    with LocalExecutor(2) as executor:
        engine = dataclasses.replace(PAIRS, executor=Workers(executor, retries=1))
        run_sweep(grid(), tmp_path / "store", engine=engine, keep_parameters=True)
        with pytest.raises(JobError, match="2 of 4 jobs failed: 'bad-.*worker was ended") as error:
            run_sweep(both, path, engine=engine)
    assert all(name.startswith("bad") for name in error.value.errors)
    same(tmp_path / "store", *whole)
    finished = load_results(path)["status"].values > 0
    assert finished.all(axis=(1, 2)).tolist() == [True, False]


@pytest.mark.slow
def test_a_spawned_pool_gives_the_same_store(whole, tmp_path):
    spawn = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, spawn, compile_fast) as executor:
        few = rnnjax.train_population(
            tiny.TASKS["delayed_match"], tiny.CELL, tiny.recipe(), seeds=6, learning_rate=0.3,
            evaluation_trials=tiny.TRIALS, store=tmp_path / "store",
            engine=dataclasses.replace(PAIRS, executor=executor),
        )  # fmt: skip
    assert len(few) == 6
    same(tmp_path / "store", *whole)


def test_wrong_uses_are_named(tmp_path):
    threads = concurrent.futures.ThreadPoolExecutor(1)
    for store, got in ((None, "none"), (MemoryStore(), "a MemoryStore")):
        with pytest.raises(ValueError, match=f"^executor: expected a folder as store.*got {got}"):
            run_sweep(grid(), store, engine=Engine(executor=threads))
    small = Workers(threads, resources=Resources("cpu", 1, 1000))
    with pytest.raises(
        ValueError, match=r"^evaluation_trials: expected networks that fit.* 1,000 bytes free"
    ):
        run_sweep(grid(), tmp_path / "small", engine=Engine(executor=small))
    with pytest.raises(ValueError, match="^devices: expected at most 1 on a worker, got 2"):
        run_sweep(grid(), tmp_path / "few", engine=Engine(executor=small, devices=2))
    two = Resources("gpu", 2, 1000)
    assert remote_lanes(two, 1).free_bytes == 500
    for options, named in (
        ({"devices": 0}, "devices: .* at least 1"),
        ({"devices": "1"}, "devices: .* at least 1"),
        ({"devices": 3}, "devices: expected at most 2"),
        ({"share": "unit"}, "share: .*did you mean 'units'"),
    ):
        with pytest.raises(ValueError, match=f"^{named}"):
            remote_lanes(two, **options)
    with pytest.raises(ValueError, match="^executor: expected an executor"):
        Engine(executor="local:2")
    with pytest.raises(ValueError, match="^workers: expected at most"):
        LocalExecutor(10_000)


def test_a_store_in_use_is_refused_to_workers_too(tmp_path):
    path = tmp_path / "store"
    with concurrent.futures.ThreadPoolExecutor(1) as threads:
        engine = dataclasses.replace(PAIRS, executor=threads)

        def again(found):
            with pytest.raises(StoreInUse):
                run_sweep(grid(), path, engine=engine)
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            run_sweep(grid(), path, engine=engine, after_block=again)


def test_the_progress_of_a_block_has_its_last_losses():
    """Of long trainings few losses are kept; diverged runs have none at the end."""
    (block,) = plan(grid(seed=range(3)), default_layout(), Engine())
    losses = np.array([[3.0, 1.0], [2.0, np.nan], [np.nan, np.nan]])
    values = {"loss": losses, "steps_taken": np.array([1000, 400, 0])}
    found = remote._whole(block, Report(block.cells, values, {}, ""))
    assert (found.step, found.steps, found.loss) == (1000, 1400, 1.5)
    assert np.isnan(found.held_out_loss)
    values["held_out_loss"] = np.array([[5.0, 4.0], [7.0, np.nan], [np.nan, np.nan]])
    assert remote._whole(block, Report(block.cells, values, {}, "")).held_out_loss == 5.5
    assert found.done == block.runs * block.setup.recipe.steps


@pytest.mark.slow
def test_a_worker_that_is_used_again_keeps_all_of_its_devices(tmp_path):
    cores = available_cores()
    with LocalExecutor(1) as executor:
        for devices in (1, None, cores):
            assert executor.submit(remote.worker_resources, devices).result().devices == cores
            assert executor.submit(_lanes, devices).result() == (devices or cores)
        with pytest.raises(ValueError, match=f"^devices: expected at most {cores} on a worker"):
            run_sweep(grid(), tmp_path / "new", engine=Engine(executor=executor, devices=cores + 1))
    spawn = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, spawn) as executor:  # one device by default
        for devices in (cores, None):
            found = executor.submit(remote.worker_resources, devices).result()
            assert found.devices == executor.submit(_lanes, devices).result() == (devices or 1)


def _lanes(devices):
    return remote._local_layout(devices).count


def test_a_process_that_starts_while_its_executor_ends_is_ended_too(monkeypatch):
    ends, threads = [], []

    class Pool:
        def __init__(self, *_):
            threads.append(threading.Thread(target=executor._slots[0].end, args=(True,)))
            threads[0].start()
            threads[0].join(0.2)

        def submit(self, function):
            future = concurrent.futures.Future()
            future.set_result(0)
            return future

        def shutdown(self, **_):
            ends.append(1)

    monkeypatch.setattr("concurrent.futures.ProcessPoolExecutor", Pool)
    with LocalExecutor(1) as executor:
        executor._slots[0].call(print, (), {})
        threads[0].join()
        assert ends == [1]


def test_a_shutdown_that_does_not_wait_lets_all_jobs_run(monkeypatch):
    class Pool(concurrent.futures.ThreadPoolExecutor):
        def __init__(self, *_):
            super().__init__(1)

        def submit(self, function, *arguments):
            return super().submit(*((int,) if function is os.getpid else (function, *arguments)))

    monkeypatch.setattr("concurrent.futures.ProcessPoolExecutor", Pool)
    executor, goes_on = LocalExecutor(1), threading.Event()
    jobs = [executor.submit(goes_on.wait, 10), *(executor.submit(abs, -n) for n in range(3))]
    executor.shutdown(wait=False)
    goes_on.set()
    assert [job.result(10) for job in jobs] == [True, 0, 1, 2]


@pytest.mark.parametrize("known", [True, False], ids=["pinned", "not pinned"])
def test_seven_cores_are_shared_by_two_workers(known, monkeypatch):
    if known:
        monkeypatch.setattr(os, "sched_getaffinity", lambda process: range(7), raising=False)
    else:  # as on macOS
        monkeypatch.delattr(os, "sched_getaffinity", raising=False)
        monkeypatch.setattr(os, "cpu_count", lambda: 7)
    with LocalExecutor(2) as executor:  # starts no process before a job
        cores, devices = zip(*(slot._arguments[:2] for slot in executor._slots), strict=True)
    assert devices == (3, 3)
    assert cores == (([0, 1, 2], [3, 4, 5, 6]) if known else ([], []))
