"""The state of a block in training, on disk: the resumed block equals the undisturbed one."""

import contextlib
import hashlib
import io
import json
import os
import threading
import time
import types
import zipfile

import chex
import jax
import numpy as np
import pytest

import tiny
from alike import same
from rnnjax import Engine, Sweep, cells, run_sweep, stopping
from rnnjax.devices import Layout, default_layout
from rnnjax.store import ResultStore, StoreError, limits, load_weights
from rnnjax.store.running import (
    RunningBlock,
    read_checkpoint,
    saved_checkpoints,
    underway,
    write_checkpoint,
)
from rnnjax.studies.status import damages
from rnnjax.sweep import (
    OutOfTime,
    block,
    checkpoints,
    empty_results,
    plan,
    sweep_config,
    time_limit,
)

OFTEN = Engine(checkpoint_minutes=1e-9, segment=5)


class DiedError(Exception):
    """Stands for a process that dies."""


class DiesAfter:
    """A progress that raises after so many segments."""

    def __init__(self, segments):
        self.left, self.steps = segments, []

    def begin(self, blocks, finished, found):
        pass

    def compile(self, block):
        pass

    def advance(self, block, segment):
        self.steps.append(segment.step)
        self.left -= 1
        if self.left < 0:
            raise DiedError

    def end(self):
        pass


def saved(path):
    return sorted((path / "running").glob("[!.]*/*.npz"))


@pytest.fixture
def at_once(monkeypatch):
    """Every checkpoint is on disk before the next segment: there is no memory for a copy."""
    monkeypatch.setattr(checkpoints, "free_memory", lambda: 0)


@pytest.fixture
def fresh(monkeypatch):
    """All arrays of runs before their first step."""
    leaves, start = [], block.start_block

    def started(*arguments):
        runs = start(*arguments)
        leaves.extend(jax.tree.leaves(runs))
        return runs

    monkeypatch.setattr(block, "start_block", started)
    return leaves


def same_weights(one, other, results):
    cells = np.argwhere(results["status"].values > 0).tolist()
    chex.assert_trees_all_equal(load_weights(one, cells), load_weights(other, cells))


def same_states(one, other):
    for file in (one / "states").iterdir():
        with np.load(file) as here, np.load(other / "states" / file.name) as there:
            assert here.files == there.files
            for name in here.files:
                np.testing.assert_array_equal(here[name], there[name], err_msg=name)


VALIDATED = {"epochs": 4, "steps_per_epoch": 5, "validation_trials": 4, "stop": "threshold"}
VALIDATED |= {"threshold": 0.2435, "patience": 1}  # 3, 3 and 1 of 8 runs meet it, epoch by epoch
KEEPS = {"keep_parameters": True}
CASES = {
    "plain": ({"optimizer": "adam"}, {}, {}),
    "states": ({"optimizer": "adam"}, {"keep_state": True}, KEEPS),
    "validated": (VALIDATED, {"keep_state": True}, KEEPS),
    "snapshots": (
        {**VALIDATED, "snapshots": (0.25, 0.2435)}, {"compact": True, "map_width": "all"}, KEEPS
    ),
    "shrunk": (VALIDATED, {"keep_state": True, "compact": True, "map_width": "all"}, KEEPS),
}  # fmt: skip


def interrupted(sweep, path, engine, segments, **options):
    """Trains until the process dies, in that many segments."""
    progress = DiesAfter(segments)
    with pytest.raises(DiedError):
        run_sweep(sweep, path, engine=engine, progress=progress, **options)
    return progress.steps


def engine_of(**options):
    return Engine(**{"checkpoint_minutes": 1e-9, "segment": 5, **options})


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_a_block_that_resumes_equals_the_undisturbed_one(case, at_once, tmp_path):
    recipe, settings, options = CASES[case]
    sweep = tiny.sweep("delayed_match", {"seed": range(4)}, **recipe)
    engine, path = engine_of(**settings), tmp_path / "store"
    whole = run_sweep(sweep, tmp_path / "whole", engine=engine, **options)
    assert not (tmp_path / "whole" / "running").exists()
    first = interrupted(sweep, path, engine, 2, **options)
    assert len(saved(path)) == 2
    with np.load(saved(path)[-1]) as state:
        assert len(state["members"]) == (2 if case in ("shrunk", "snapshots") else 8)
    second = interrupted(sweep, path, engine, 0, **options)
    assert second == first[-1:]  # from the last checkpoint, which is that after the second segment
    same(run_sweep(sweep, path, engine=engine, **options), whole)
    if options:
        same_weights(path, tmp_path / "whole", whole)
    if case == "snapshots":
        kept = load_weights(path, np.argwhere(whole["status"].values > 0).tolist()).snapshots
        below = whole["held_out_loss"].values.reshape(8, 4)[..., None] < np.array([0.25, 0.2435])
        assert 0 < below.any(1).sum() < below.any(1).size
        for leaf in kept.values():
            there = np.isfinite(leaf).reshape(8, 2, -1)
            np.testing.assert_array_equal(there.all(-1), below.any(1))
            np.testing.assert_array_equal(there.any(-1), below.any(1))
    if engine.keep_state:
        same_states(path, tmp_path / "whole")
    assert not (path / "running").exists()


@pytest.mark.slow
def test_units_that_devices_share(at_once, tmp_path):
    axes = {"learning_rate": (0.03, 0.3), "seed": (0, 1)}
    cell = cells.latent(21, rank=2)
    sweep = Sweep(tiny.TASKS["delayed_cue"], cell, tiny.recipe("adam"), axes, tiny.TRIALS)
    engine = engine_of(share="units")
    whole = run_sweep(sweep, engine=engine)
    interrupted(sweep, tmp_path, engine, 2)
    assert interrupted(sweep, tmp_path, engine, 0) == [15]
    assert interrupted(sweep, tmp_path, engine_of(), 0) == [5]  # sums of another order
    same(run_sweep(sweep, tmp_path, engine=engine), whole)


@pytest.mark.slow
def test_runs_that_go_on_from_fewer_epochs(at_once, fresh, tmp_path):
    """They take the place of new runs, whose memory is freed."""
    engine = engine_of(keep_state=True)
    for place in ("store", "whole"):
        run_sweep(tiny.sweep("delayed_match", epochs=10), tmp_path / place, engine=engine)
    sweep = tiny.sweep("delayed_match")
    assert interrupted(sweep, tmp_path / "store", engine, 1) == [15, 20]
    assert all(leaf.is_deleted() for leaf in fresh)
    assert [file.name[:8] for file in saved(tmp_path / "store")] == ["00000015"]
    assert interrupted(sweep, tmp_path / "store", engine, 0) == [20]
    assert all(leaf.is_deleted() for leaf in fresh)
    whole = run_sweep(sweep, tmp_path / "whole", engine=engine)
    same(run_sweep(sweep, tmp_path / "store", engine=engine), whole)
    same_states(tmp_path / "store", tmp_path / "whole")


@pytest.mark.slow
def test_damaged_checkpoints_are_skipped(at_once, tmp_path, recwarn):
    path, sweep = tmp_path / "store", tiny.sweep("delayed_match")
    whole = run_sweep(sweep, engine=OFTEN)
    interrupted(sweep, path, OFTEN, 3)
    older, newest = saved(path)
    assert [file.name[:8] for file in (older, newest)] == ["00000010", "00000015"]
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 1
    newest.write_bytes(content)
    assert interrupted(sweep, path, OFTEN, 0) == [15]
    assert [str(newest) in str(one.message) for one in recwarn.list].count(True) == 1
    assert saved(path) == [older]
    older.write_bytes(older.read_bytes()[:-100])
    recwarn.clear()
    assert interrupted(sweep, path, OFTEN, 0) == [5]
    assert [str(older) in str(one.message) for one in recwarn.list].count(True) == 1
    assert not saved(path)
    same(run_sweep(sweep, path, engine=OFTEN), whole)
    assert not (path / "running").exists()


@pytest.mark.slow
def test_a_block_of_other_settings_starts_over(at_once, tmp_path):
    path, sweep = tmp_path / "store", tiny.sweep("delayed_match")
    interrupted(sweep, path, OFTEN, 2)
    kept = saved(path)
    for other in (engine_of(map_width="all"), engine_of(keep_state=True)):
        assert interrupted(sweep, path, other, 0) == [5]
    every = tmp_path / "side by side"
    interrupted(sweep, every, engine_of(map_width="all"), 1)
    assert interrupted(sweep, every, engine_of(map_width=2), 0) == [5]
    assert saved(path) == kept  # those of the first call can still be used
    assert interrupted(sweep, path, engine_of(devices=1), 0) == [15]  # has no effect on a bit
    assert underway(path)[0][1:4] == (4, 10, tiny.STEPS)
    assert not list(damages(path))
    content = bytearray(kept[0].read_bytes())
    content[-9] ^= 1
    kept[0].write_bytes(content)
    (found,) = damages(path)
    assert str(kept[0]) in found


@pytest.mark.slow
def test_two_attempts_keep_their_files_apart_and_take_the_newest(at_once, tmp_path):
    path, sweep = tmp_path / "store", tiny.sweep("delayed_match")
    slow, fast = engine_of(segment=1), OFTEN  # at map width 1 without an effect
    interrupted(sweep, path, fast, 1)
    ahead = saved(path)
    one = run_sweep(sweep, tmp_path / "other", engine=Engine())
    for file in ahead:  # as if the first attempt were still computing
        file.rename(file.with_suffix(".away"))
    interrupted(sweep, path, slow, 1)
    for file in ahead:
        file.with_suffix(".away").rename(file)
    assert len({file.name[9:17] for file in saved(path)}) == 2
    assert interrupted(sweep, path, slow, 2) == [6, 7, 8]
    assert [file.name[:8] for file in saved(path)] == ["00000006", "00000007"]
    same(run_sweep(sweep, path, engine=slow), one)


@pytest.mark.slow
def test_what_finished_blocks_leave_is_removed_and_what_can_be_used_is_not(at_once, tmp_path):
    path, sweep = tmp_path / "store", tiny.sweep("delayed_match")
    interrupted(sweep, path, OFTEN, 2)
    left = path / "away"
    (path / "running").rename(left)
    run_sweep(sweep, path, engine=OFTEN)
    left.rename(path / "running")  # of a process that died before it removed them
    grown = sweep.with_axes(seed=(5, 0, 1))
    interrupted(grown, path, OFTEN, 2)
    (folder,) = (path / "running").iterdir()
    assert json.loads((folder / "about.json").read_text())["steps"] == tiny.STEPS
    (folder / ".5-abcdef01.12345678.partial").write_text("half")
    os.utime(folder / ".5-abcdef01.12345678.partial", (0, 0))
    run_sweep(sweep, path, engine=OFTEN)
    assert len(saved(path)) == 2 and not list(folder.glob(".*"))
    assert interrupted(grown, path, OFTEN, 0) == [15]
    whole = run_sweep(grown, engine=engine_of(block_runs=4))  # of the size above
    same(run_sweep(grown, path, engine=OFTEN), whole)
    assert not (path / "running").exists()


@pytest.mark.slow
def test_links_and_arrays_that_declare_too_much_are_refused(at_once, tmp_path, recwarn):
    path, sweep = tmp_path / "store", tiny.sweep("delayed_match")
    interrupted(sweep, path, OFTEN, 1)
    (folder,) = (path / "running").iterdir()
    (file,) = saved(path)
    declared, larger = b"(4, 5), }           ", b"(4, 555555555555), }"  # 9 terabytes
    forged = io.BytesIO()
    with zipfile.ZipFile(file) as whole, zipfile.ZipFile(forged, "w") as archive:
        assert declared in whole.read("losses.npy")
        for member in whole.namelist():
            archive.writestr(member, whole.read(member).replace(declared, larger))
    content = forged.getvalue()
    name = f"{file.name[:18]}{hashlib.sha256(content).hexdigest()}.npz"
    file.unlink()
    (folder / name).write_bytes(content)
    assert interrupted(sweep, path, OFTEN, 0) == [5]
    assert [name in str(one.message) for one in recwarn.list].count(True) == 1
    (tmp_path / "target").write_bytes(content)
    (folder / name).symlink_to(tmp_path / "target")
    with pytest.raises(StoreError, match="expected plain files"):
        run_sweep(sweep, path, engine=OFTEN)


@pytest.mark.slow
def test_a_thread_writes_while_training_goes_on_and_leaves_nothing(tmp_path, monkeypatch):
    def slow(*arguments):
        time.sleep(0.1)
        write(*arguments)

    write = checkpoints.write_checkpoint
    monkeypatch.setattr(checkpoints, "write_checkpoint", slow)
    path, sweep = tmp_path / "store", tiny.sweep("delayed_match")
    whole, written = run_sweep(sweep, engine=OFTEN), []
    watched = DiesAfter(99)
    watched.advance = lambda block, segment: written.append(len(saved(path)))
    same(run_sweep(sweep, path, engine=engine_of(segment=1), progress=watched), whole)
    assert len(written) == tiny.STEPS
    assert all(thread.name != "checkpoint" for thread in threading.enumerate())
    assert not (path / "running").exists()
    same(run_sweep(sweep, tmp_path / "none", engine=Engine(checkpoint_minutes=None)), whole)
    with pytest.raises(ValueError, match="^checkpoint_minutes: expected"):
        Engine(checkpoint_minutes=0)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError(28, "No space left on device"), "No space left"),
        (MemoryError(), "MemoryError"),
        (StoreError("store: expected plain files"), "plain files"),
    ],
)
def test_what_keeps_a_checkpoint_from_being_written_does_not_cost_the_block(
    error, reason, at_once, tmp_path, monkeypatch
):
    def full(*arguments):
        raise error

    monkeypatch.setattr(checkpoints, "write_checkpoint", full)
    path, sweep = tmp_path / "store", tiny.sweep("delayed_match")
    with pytest.warns(UserWarning, match=reason):
        found = run_sweep(sweep, path, engine=OFTEN)
    same(found, run_sweep(sweep, engine=OFTEN))


@pytest.mark.slow
def test_a_time_limit_stops_between_segments_and_the_same_call_goes_on(at_once, tmp_path):
    path, sweep = tmp_path / "store", tiny.sweep("delayed_match", {"seed": range(4)})
    engine = Engine(block_runs=4, segment=5)  # two blocks of four segments
    whole = run_sweep(sweep, engine=engine)
    steps, left = [], []
    for _ in range(3):
        progress = DiesAfter(99)
        progress.advance = lambda block, segment: (
            steps.append(segment.step),
            stopping.request_stop(OutOfTime()) if len(steps) % 2 == 0 else None,
        )
        with pytest.raises(OutOfTime):
            run_sweep(sweep, path, engine=engine, progress=progress)
        left.append(stopping.left()["blocks"])
        stopping.withdraw()
    assert steps == [5, 10, 15, 20, 5, 10]
    assert left == [2, 1, 1]
    with pytest.raises(OutOfTime), time_limit(1e-6):
        run_sweep(sweep, path, engine=engine)
    same(run_sweep(sweep, path, engine=engine), whole)
    with pytest.raises(OutOfTime):
        run_sweep(sweep, engine=engine, progress=progress)  # in memory too
    stopping.withdraw()
    assert steps[6:] == [5, 10]
    with time_limit(60):
        same(run_sweep(sweep, engine=engine), whole)
    with pytest.raises(ValueError, match="^seconds: expected"), time_limit(0):
        pass


@pytest.mark.parametrize(("limit", "segments"), [(35.0, 3), (41.0, 4)])
def test_a_segment_that_would_exceed_the_limit_is_not_begun(limit, segments, monkeypatch):
    """Without a folder too; each of four segments takes ten seconds."""
    now = [0.0]
    monkeypatch.setattr(stopping, "time", types.SimpleNamespace(monotonic=lambda: now[0]))
    progress = DiesAfter(99)

    def advance(block, segment):
        now[0] += 10.0
        progress.steps.append(segment.step)

    progress.advance = advance
    sweep, engine = tiny.sweep("delayed_match"), Engine(segment=5)
    outcome = pytest.raises(OutOfTime) if segments < 4 else contextlib.nullcontext()
    with outcome, time_limit(limit):
        run_sweep(sweep, engine=engine, progress=progress)
    assert progress.steps == [5, 10, 15, 20][:segments]


def test_several_processes_refuse_a_time_limit(monkeypatch):
    monkeypatch.setattr(Layout, "processes", property(lambda _: 2))
    with pytest.raises(ValueError, match="^time_limit: expected no limit in 2"), time_limit(60):
        run_sweep(tiny.sweep())


def test_a_copy_of_the_losses_must_fit_into_the_memory(monkeypatch):
    written, losses = [], np.zeros((3, 1000), "f4")
    state = checkpoints.BlockState((), np.arange(3), np.arange(3), 100, losses, {}, None, None)
    monkeypatch.setattr(checkpoints, "free_memory", lambda: 2 * 3 * 100 * 4 - 1)
    one = checkpoints.BlockCheckpoints(None, 1.0)
    monkeypatch.setattr(one, "_write", lambda step, arrays: written.append(step))
    one._save(state)
    assert written == [100]
    assert one._writer is None


def test_a_finished_block_leaves_the_state_of_another_with_its_name(tmp_path):
    """Names tell the places of runs on the axes of a call, which other calls give other labels."""

    def opened(seeds):
        sweep, engine = tiny.sweep("delayed_match", {"seed": seeds}), Engine()
        (block,) = plan(sweep, default_layout(), engine)
        template = empty_results(sweep)
        shapes = {name: v.shape[len(sweep.shape) :] for name, v in template.data_vars.items()}
        values = {name: np.ones((block.runs, *shape)) for name, shape in shapes.items()}
        store = ResultStore(tmp_path, template, sweep_config(sweep, engine))
        return store, block, values

    def under_way(store, block):
        for identity in ("a" * 64, "b" * 64):  # of other settings, which are of no use either
            at = store.running().block(block.name, identity, block.cells, tiny.STEPS)
            write_checkpoint(at, 5, "0" * 8, [("state", np.zeros(3))])

    first, one, results = opened(range(4))
    with first:
        first.prepare()
        under_way(first, one)
    second, other, values = opened(range(4, 8))
    with second:
        assert other.name == one.name
        second.write(other.name, other.cells, values)
    assert len(saved(tmp_path)) == 2
    with first:
        first.write(one.name, one.cells, results)
    assert not (tmp_path / "running").exists()


def test_a_checkpoint_may_take_all_of_the_free_memory_but_not_more(tmp_path, monkeypatch):
    block = RunningBlock(tmp_path / "block", "a" * 64, {})
    write_checkpoint(block, 5, "0" * 8, [("state", np.arange(1000.0))])
    (one,) = saved_checkpoints(block)
    free = one.file.stat().st_size
    monkeypatch.setattr(limits, "_SMALL", 0)
    monkeypatch.setattr(limits, "free_memory", lambda: free)
    assert read_checkpoint(block, one)["state"].tolist() == list(range(1000))
    free -= 1
    with pytest.raises(StoreError, match="takes .* bytes, expected at most"):  # and no new start
        checkpoints.BlockCheckpoints(block, 1.0).load(None, None, {})
    assert one.file.exists()


def test_checkpoints_of_more_than_eight_digits_are_found(tmp_path):
    block = RunningBlock(tmp_path, "", {})
    for step in (5, 10**8 + 7):
        (tmp_path / f"{step:08d}-{'0' * 8}-{'a' * 64}.npz").touch()
    assert [one.step for one in saved_checkpoints(block)] == [10**8 + 7, 5]
