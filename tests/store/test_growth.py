"""Stores that grow, are read in part and join, with invented results; nothing is trained."""

import contextlib
import dataclasses
import json
import os
import shutil
import sys
import warnings
import zlib

import numpy as np
import pytest
import xarray as xr

import tiny
from rnnjax import StoreError, load_results
from rnnjax.cells import low_rank, rate, structured
from rnnjax.store import DamageError, ResultStore, Weights, growing, markers, merge
from rnnjax.store.layout import BACKUP
from rnnjax.studies import status
from rnnjax.studies.status import damages
from rnnjax.sweep import (
    FIELDS,
    Engine,
    LossRecord,
    MemoryStore,
    empty_results,
    stored,
    sweep_config,
)

CONDITION = ("task", "hidden", "learning_rate", "seed")
LABELS = {
    "task": list(tiny.TASKS),
    "hidden": [3, 4, 5],
    "learning_rate": [0.03, 0.1, 0.3],
    "seed": [0, 1, 2, 3, 7],
}


def sweep(task=("delayed_cue",), hidden=(3, 4), learning_rate=(0.1,), seed=(0, 1)):
    tasks = [tiny.TASKS[name] for name in task]
    axes = {"task": tasks, "hidden": hidden, "learning_rate": learning_rate, "seed": seed}
    return tiny.sweep(axes=axes)


def opened(path, sweep):
    return ResultStore(path, empty_results(sweep), sweep_config(sweep, Engine()))


def values_of(sweep, cells, shift=0.0):
    """Results that depend on a run's labels alone."""
    rows = []
    for cell in cells:
        run = [axis.labels[i] for axis, i in zip(sweep.dimensions, cell, strict=True)]
        named = sorted(zip(sweep.axes, map(str, run), strict=True))
        rng = np.random.default_rng(zlib.crc32(repr(named).encode()))
        row = {name: rng.uniform(1, 4) + shift for name in FIELDS}
        rows.append({**row, "loss": rng.normal(size=sweep.recipe.steps)})
    kinds = {**{name: kind for name, (kind, _) in FIELDS.items()}, "loss": np.dtype("f4")}
    return {name: np.array([row[name] for row in rows]).astype(kinds[name]) for name in kinds}


def fill(store, sweep, some=1.0, draw=None, **how):
    """Writes some of the runs that the store lacks, in blocks of at most three."""
    pending = np.argwhere(~store.finished())
    chosen = pending if draw is None else pending[draw.random(len(pending)) < some]
    for begin in range(0, len(chosen), 3):
        cells = chosen[begin : begin + 3]
        # Blocks hold runs of one program.
        for program in np.unique(cells[:, :-2], axis=0):
            part = cells[np.all(cells[:, :-2] == program, axis=1)]
            store.write(f"b{zlib.crc32(part.tobytes())}", part, values_of(sweep, part, **how))


def expected(sweep, done):
    dataset = empty_results(sweep)
    cells = np.argwhere(done)
    for name, values in values_of(sweep, cells).items() if len(cells) else ():
        dataset[name].values[tuple(cells.T)] = values
    return dataset


def filled(path, of):
    with opened(path, of) as store:
        fill(store, of)
    return path


def facts(path):
    """Times and contents of all markers."""
    files = sorted((path / "blocks").glob("*.json"))
    return {file.name: (file.stat().st_mtime_ns, file.read_text()) for file in files}


def snapshot(path):
    return {f: f.read_bytes() for f in sorted(path.rglob("*")) if f.is_file()}


@pytest.mark.slow
@pytest.mark.parametrize("case", range(3))
def test_growth_and_views_equal_the_whole(case, tmp_path):
    """Random requests, one after another, each with some of its missing runs computed."""
    draw, memory, path = np.random.default_rng(case), MemoryStore(), tmp_path / "store"
    ever = {name: set() for name in LABELS}
    finished = set()
    for _ in range(3):
        chosen = {
            name: draw.permutation(labels)[: draw.integers(1, len(labels) + 1)].tolist()
            for name, labels in LABELS.items()
        }
        asked = sweep(**chosen)
        before = facts(path)
        window = memory.open(asked, LossRecord())
        here = {run for run in finished if all(map(lambda n, v: v in chosen[n], CONDITION, run))}
        with opened(path, asked) as store:
            assert set(_runs(asked, store.finished())) == here
            np.testing.assert_array_equal(window.finished(), store.finished())
            window.prepare()
            fill(store, asked, 0.5, np.random.default_rng(case))
            fill(window, asked, 0.5, np.random.default_rng(case))
            done = store.finished()
            found = store.read()
        finished |= set(_runs(asked, done))
        for name, labels in chosen.items():
            ever[name] |= set(labels)
        xr.testing.assert_identical(found, expected(asked, done))
        xr.testing.assert_identical(window.read(), found)
        after = facts(path)
        assert {name: after[name] for name in before} == before
        whole = load_results(path)
        assert {n: set(whole[n].values.tolist()) for n in LABELS} == ever
        xr.testing.assert_identical(memory.read(), whole)
        assert int((whole["status"] > 0).sum()) == len(finished)


def _runs(sweep, mask):
    axes = sweep.dimensions
    return [
        tuple(a.labels[i] for a, i in zip(axes, cell, strict=True)) for cell in np.argwhere(mask)
    ]


@pytest.mark.slow
def test_axes_may_be_reordered_and_labels_interleaved(tmp_path):
    path = filled(tmp_path / "store", sweep(hidden=(5, 3), seed=(7, 2)))
    swapped = {"hidden": (3, 4, 5), "task": list(tiny.TASKS.values())[:1]}
    asked = tiny.sweep(axes={**swapped, "learning_rate": (0.3, 0.1), "seed": (0, 2, 1, 7)})
    with opened(path, asked) as store:
        assert store.finished().sum() == 4
        fill(store, asked)
        xr.testing.assert_identical(store.read(), expected(asked, np.ones(asked.shape, bool)))
    assert load_results(path)["seed"].values.tolist() == [0, 2, 1, 7]


def test_a_part_changes_no_file_and_does_not_shrink_the_store(tmp_path):
    path, part = filled(tmp_path / "store", sweep(seed=range(4))), sweep(hidden=(4,), seed=(3, 1))
    before = snapshot(path)
    with opened(path, part) as store:
        assert store.finished().all()
        xr.testing.assert_identical(store.read(), expected(part, np.ones(part.shape, bool)))
    assert snapshot(path) == before


@pytest.mark.slow
def test_labels_of_ascending_axes_stay_ascending(tmp_path):
    path = filled(tmp_path / "store", sweep(seed=(1, 5)))
    filled(path, sweep(seed=(3, 9)))
    assert load_results(path)["seed"].values.tolist() == [1, 3, 5, 9]
    filled(path, sweep(seed=(8, 2)))
    assert load_results(path)["seed"].values.tolist() == [1, 3, 5, 9, 8, 2]


@pytest.mark.slow
def test_rates_equal_in_single_precision_are_one(tmp_path):
    path = filled(tmp_path / "store", sweep(learning_rate=(0.1,)))
    near = sweep(learning_rate=(0.1 + 1e-12, 0.3))
    with opened(path, near) as store:
        assert store.finished()[:, :, 0].all()
        fill(store, near)
    assert load_results(path)["learning_rate"].values.tolist() == [0.1, 0.3]


@pytest.mark.slow
def test_results_open_in_xarray_without_a_warning(tmp_path):
    path = filled(tmp_path / "store", sweep())
    filled(path, sweep(seed=range(3)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        opened_by_xarray = xr.open_zarr(path / "results.zarr")
    np.testing.assert_array_equal(opened_by_xarray["loss"], load_results(path)["loss"])
    words = opened_by_xarray["status"].attrs["flag_meanings"].split()
    assert words[4] == "EXHAUSTED"


def scheduled(schedule, seed=(0, 1), epochs=3):
    """Runs of which those under `plateau` have held-out losses."""
    axes = {"schedule": schedule, "learning_rate": (0.1,), "seed": seed}
    return tiny.sweep(axes=axes, epochs=epochs, steps_per_epoch=2, validation_trials=4)


def with_held_out_loss(path, of, **states):
    with opened(path, of) as store:
        for cell in np.argwhere(~store.finished()):
            values = values_of(of, cell[None])
            if "held_out_loss" in empty_results(of):
                loss = 0.5 if of.axis("schedule").labels[cell[0]] == "plateau" else np.nan
                values["held_out_loss"] = np.full((1, of.recipe.epochs), loss, "f4")
            store.write("b" + "".join(map(str, cell)), cell[None], values, **states)
    return path


def test_epochs_stay_numbered_where_a_call_has_no_held_out_losses(tmp_path):
    one = with_held_out_loss(tmp_path / "one", scheduled(("plateau", "none")))
    two = with_held_out_loss(tmp_path / "two", scheduled(("none",), seed=(1, 5)))
    joined = merge(two, one, into=tmp_path / "joined")
    with_held_out_loss(one, scheduled(("none",), seed=(1, 5)))
    for found in (load_results(one), joined):
        assert found["held_out_loss"].dims[-1] == "epoch"
        assert found.sizes["seed"] == 3
        assert found["epoch"].values.tolist() == [1, 2, 3]


# --- refusals -------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("other", "named"),
    [
        (tiny.sweep(axes={"task": {"delayed_cue": tiny.TASKS["delayed_match"]}, "hidden": (3,)}),
         "axes.task.delayed_cue"),
        (tiny.sweep(axes={"task": {"cue": tiny.TASKS["delayed_cue"]}, "hidden": (3,)}),
         "labels.task is 'delayed_cue' in the store but 'cue'"),
        (tiny.sweep(axes={"task": [tiny.TASKS["delayed_cue"]], "alpha": (0.3,)}), "axes is"),
        (tiny.sweep(batch=5, axes={"task": [tiny.TASKS["delayed_cue"]], "hidden": (3,)}),
         "recipe.batch is 4 in the store but 5 in"),
    ],
)  # fmt: skip
def test_other_sweeps_are_refused(other, named, tmp_path):
    path = filled(tmp_path / "store", sweep())
    before = snapshot(path)
    with pytest.raises(StoreError, match=f"made with another config: {named}"), opened(path, other):
        pass
    assert snapshot(path) == before


def ranked(hidden, rank):
    made = dataclasses.replace(tiny.sweep(), cell=low_rank(64, rank=8))
    return made.with_axes(hidden=(hidden,), rank=(rank,))


def test_values_that_do_not_combine_are_refused(tmp_path):
    """Each sweep is valid, but not a rank of 32 in 8 units."""
    large, small = ranked(64, 32), ranked(8, 4)
    one, two = filled(tmp_path / "one", large), filled(tmp_path / "two", small)
    before = snapshot(one)
    with opened(one, small) as store, pytest.raises(StoreError, match="combine.*rank: .*got 32"):
        store.prepare()
    assert snapshot(one) == before
    with pytest.raises(StoreError, match="one and .*two that combine.*rank: .*got 32"):
        merge(one, two, into=tmp_path / "both")
    assert not (tmp_path / "both").exists()
    memory = MemoryStore()
    window = memory.open(large, LossRecord())
    window.prepare()
    fill(window, large)
    kept = memory.read().copy(deep=True)
    with pytest.raises(StoreError, match="combine.*rank: .*got 32"):
        memory.open(small, LossRecord()).prepare()
    assert memory.sweep == large and memory.finished().all()
    xr.testing.assert_identical(memory.open(large, LossRecord()).read(), kept)


def test_text_and_numbers_on_one_axis_do_not_combine(tmp_path):
    named = sweep().with_axes(hidden={"small": 4})
    one, two = filled(tmp_path / "one", named), filled(tmp_path / "two", sweep(hidden=(9,)))
    before = snapshot(one)
    with opened(one, sweep(hidden=(9,))) as store, pytest.raises(StoreError, match="all text or"):
        store.prepare()
    assert snapshot(one) == before
    with pytest.raises(StoreError, match="all text or"):
        merge(one, two, into=tmp_path / "both")


def test_stores_join_where_a_link_leads(tmp_path):
    one, two = filled(tmp_path / "one", sweep()), filled(tmp_path / "two", sweep(seed=(7,)))
    (tmp_path / "scratch").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "scratch")
    assert merge(one, two, into=tmp_path / "link").sizes["seed"] == 3
    assert (tmp_path / "link").is_symlink() and (tmp_path / "scratch/manifest.json").is_file()


def test_stores_whose_classes_are_not_imported_join(tmp_path, monkeypatch):
    one, two = filled(tmp_path / "one", sweep()), filled(tmp_path / "two", sweep(seed=(7,)))
    monkeypatch.setattr(stored, "_kinds", dict)
    assert merge(one, two, into=tmp_path / "both").sizes["seed"] == 3


def test_a_damaged_store_does_not_grow(tmp_path):
    path = filled(tmp_path / "store", sweep())
    file = next(f for f in (path / "results.zarr" / "loss" / "c").rglob("*") if f.is_file())
    file.write_bytes(file.read_bytes()[:-7])
    before = snapshot(path)
    with pytest.raises(StoreError, match="damaged|decoded"), opened(path, sweep(seed=range(5))):
        pass
    assert snapshot(path) == before


def test_a_copy_that_is_not_what_was_written_replaces_nothing(tmp_path, monkeypatch):
    path = filled(tmp_path / "store", sweep())
    before, write = snapshot(path), growing.write_group

    def write_another(folder, dataset, block_dims):
        write(folder, dataset.assign(final_loss=dataset["final_loss"] + 1), block_dims)

    monkeypatch.setattr(growing, "write_group", write_another)
    more, refused = opened(path, sweep(seed=(0, 1, 2))), pytest.raises(DamageError, match="damaged")
    with more as store, refused:
        store.prepare()
    assert snapshot(path) == before


def test_a_store_without_its_markers_does_not_grow(tmp_path):
    path = filled(tmp_path / "store", sweep())
    shutil.rmtree(path / "blocks")
    before = snapshot(path)
    with pytest.raises(StoreError, match="lost its folder blocks"), opened(path, sweep(seed=(9,))):
        pass
    assert snapshot(path) == before


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["lost", "cut"])
def test_the_manifest_of_a_grown_store_is_restored(damage, tmp_path):
    path = filled(tmp_path / "store", sweep())
    whole = sweep(seed=range(3), task=("delayed_match", "delayed_cue"))
    filled(path, whole)
    manifest = path / "manifest.json"
    content = manifest.read_text()
    manifest.write_text(content[:100])
    if damage == "lost":
        manifest.unlink()
    with pytest.raises(StoreError):
        load_results(path)
    with opened(path, whole) as store:
        assert store.finished().all()
    assert manifest.read_text() == content
    (path / BACKUP).unlink()
    with opened(path, whole):
        assert json.loads((path / BACKUP).read_text()) == json.loads(content)


@pytest.mark.parametrize(
    "call",
    [
        sweep(),
        sweep(hidden=(4, 9), seed=(1, 12)),
        sweep(task=("delayed_match", "delayed_cue"), seed=range(3)),
    ],
    ids=["a part", "in part", "the whole"],
)
def test_every_call_restores_the_metadata_of_a_grown_store(call, tmp_path):
    of = sweep(task=("delayed_match", "delayed_cue"), seed=range(3))
    path = filled(tmp_path / "store", sweep(task=("delayed_match", "delayed_cue")))
    filled(path, of)
    whole = load_results(path)
    file = path / "results.zarr" / "loss" / "zarr.json"
    content = file.read_bytes()
    file.write_text("{")
    with pytest.raises(DamageError) as error:
        load_results(path)
    assert error.value.restorable
    if len(call.axes["task"]) == 1:  # the criterion of each task is part of them
        call = call.with_axes(task=of.axes["task"])
    with opened(path, call):
        assert file.read_bytes() == content
    xr.testing.assert_identical(load_results(path), whole)


def test_a_call_without_some_variables_leaves_damaged_metadata_to_others(tmp_path):
    both = scheduled(("plateau", "none"))
    path = with_held_out_loss(tmp_path / "store", both)
    whole = load_results(path)
    (path / "results.zarr" / "loss" / "zarr.json").write_text("{")
    before = snapshot(path)
    refused = pytest.raises(DamageError, match="the call or command that made the store restores")
    with refused, opened(path, scheduled(("none",))):
        pass
    assert snapshot(path) == before
    with opened(path, both):
        xr.testing.assert_identical(load_results(path), whole)


# --- kill at every step ---------------------------------------------------------------------------

_WATCHED: list = []


def _hook(event, arguments):
    if _WATCHED and event in ("open", "os.rename", "os.mkdir", "os.rmdir", "os.remove"):
        _WATCHED[0](event, [str(argument) for argument in arguments[:2]])


sys.addaudithook(_hook)


@contextlib.contextmanager
def states(path, folder):
    """Copies of the store before every change of a file: what a killed process leaves there."""
    found, inside = [], []

    def look(event, named):
        changes = event != "open" or named[1] not in ("r", "rb", "None")
        if inside or not changes or not any(str(path) in name for name in named):
            return
        if "results.zarr/" in named[0] and len(found) % 25:  # variables are all alike
            found.append(None)
            return
        inside.append(True)
        with contextlib.suppress(shutil.Error, OSError):  # zarr writes in threads
            found.append(shutil.copytree(path, folder / str(len(found))))
        inside.clear()

    _WATCHED.append(look)
    try:
        yield found
    finally:
        _WATCHED.clear()


@pytest.mark.slow
def test_every_state_of_growth_is_the_old_or_the_new_store(tmp_path):
    old, new = sweep(hidden=(3,), seed=(0, 1)), sweep(hidden=(4, 3), seed=(1, 2, 0))
    path = filled(tmp_path / "store", old)
    (tmp_path / "states").mkdir()
    before = load_results(path)
    with states(path, tmp_path / "states") as found, opened(path, new) as store:
        store.prepare()
        after = store.read()
    left = [state for state in found if state is not None]
    assert len(left) > 15
    kept, sizes = facts(path), set()
    for number, state in enumerate(left):
        read = load_results(state)  # the state as a reader finds it
        sizes.add(read.sizes["seed"])
        xr.testing.assert_identical(read, before if read.sizes["seed"] == 2 else after)
        for name, (_, text) in kept.items():
            assert (state / "blocks" / name).read_text() == text
        if number % 6 == 0 or read.sizes["seed"] == 3:
            with opened(state, new) as store:
                store.prepare()
                xr.testing.assert_identical(store.read(), after)
            assert not [p for p in os.listdir(state) if p.startswith((".g", ".r", "growing"))]
    assert sizes == {2, 3}


# --- joining --------------------------------------------------------------------------------------


@pytest.mark.slow
def test_stores_join(tmp_path):
    one = filled(tmp_path / "one", sweep(seed=(0, 2)))
    filled(one, sweep(seed=(0, 2, 1)))  # has grown
    with opened(tmp_path / "two", sweep(hidden=(3, 5), seed=(1, 7))) as store:
        fill(store, sweep(hidden=(3, 5), seed=(1, 7)), shift=0.0)
    third = filled(tmp_path / "three", sweep(("delayed_match",), hidden=(4,), seed=(2,)))
    before = {path: snapshot(path) for path in (one, tmp_path / "two", third)}
    found = merge(one, tmp_path / "two", third, into=tmp_path / "all")
    assert {path: snapshot(path) for path in before} == before
    whole = sweep(("delayed_cue", "delayed_match"), (3, 4, 5), seed=(0, 2, 1, 7))
    xr.testing.assert_identical(found, expected(whole, found["status"].values > 0))
    assert int((found["status"] > 0).sum()) == 6 + 3 + 1
    with opened(tmp_path / "all", whole) as store:
        fill(store, whole)
        xr.testing.assert_identical(store.read(), expected(whole, np.ones(whole.shape, bool)))


@pytest.mark.slow
def test_runs_that_differ_do_not_join(tmp_path):
    one, other = filled(tmp_path / "one", sweep()), sweep(seed=(1, 2))
    with opened(tmp_path / "two", other) as store:
        fill(store, other, shift=1e-3)
    with pytest.raises(StoreError, match=r"two .* of .*hidden=3, .*seed=1, in .*one and"):
        merge(one, tmp_path / "two", into=tmp_path / "all")
    other = tiny.sweep(batch=5, axes={"task": [tiny.TASKS["delayed_cue"]], "hidden": (3,)})
    filled(tmp_path / "three", other)
    with pytest.raises(StoreError, match=r"recipe.batch = 4 in .*one and 5 in"):
        merge(one, tmp_path / "three", into=tmp_path / "all")
    with pytest.raises(StoreError, match="expected a new folder"):
        merge(one, one, into=tmp_path / "three")
    assert sorted(os.listdir(tmp_path)) == ["one", "three", "two"]


@pytest.mark.parametrize("part", Weights._fields)
def test_weights_that_differ_do_not_join(part, tmp_path):
    weights = Weights(*({"readout": np.full((1, 2, 3), k, "f4")} for k in range(3)))
    other = weights._replace(**{part: {"readout": np.full((1, 2, 3), 9, "f4")}})
    for name, seeds, kept in (("one", (0,), weights), ("same", (0, 1), weights),
                              ("two", (0, 1), other)):  # fmt: skip
        made = sweep(hidden=(3,), seed=seeds)
        with opened(tmp_path / name, made) as store:
            for cell in np.argwhere(~store.finished()):
                cells = cell[None]
                store.write(f"b{cell[-1]}", cells, values_of(made, cells), kept)
    merge(tmp_path / "one", tmp_path / "same", into=tmp_path / "joined")
    with pytest.raises(StoreError, match=f"got two {part} weights 'readout' of .*seed=0"):
        merge(tmp_path / "one", tmp_path / "two", into=tmp_path / "all")


@pytest.mark.parametrize("part", ["parameters", "states"])
@pytest.mark.parametrize("damage", ["changed", "lost"])
def test_damaged_weights_and_states_and_lost_weights_do_not_join(part, damage, tmp_path):
    one = with_states(tmp_path / "one", sweep(hidden=(3,), seed=(0, 1, 2)))
    other = filled(tmp_path / "other", sweep(hidden=(4,), seed=(0,)))
    before = [file for file in (one / part).rglob("*") if file.is_file()]
    merge(one, other, into=tmp_path / "whole")
    assert len([f for f in (tmp_path / "whole" / part).rglob("*") if f.is_file()]) == len(before)
    if damage == "lost":
        shutil.rmtree(one / part)
    else:
        file = max(before, key=lambda file: file.stat().st_size)
        file.write_bytes(file.read_bytes()[:-1])
    if (part, damage) == ("states", "lost"):  # which results do not need
        with pytest.warns(UserWarning, match=r"one/states/(one|two).npz is missing") as warned:
            found = merge(one, other, into=tmp_path / "all")
        assert len(warned) == 1
        xr.testing.assert_identical(found, load_results(tmp_path / "whole"))
        kept = [json.loads(f.read_text()) for f in (tmp_path / "all" / "blocks").iterdir()]
        assert kept and not any("state" in marker for marker in kept)
        return
    with pytest.raises(DamageError, match=f"one/{part}/(one|two)") as error:
        merge(one, other, into=tmp_path / "all")
    assert {file.parent.name for file in error.value.files} <= {"blocks", "states"}
    assert all(file.exists() for file in error.value.files)
    assert not (tmp_path / "all").exists()


def test_the_first_network_whose_weights_differ_is_named(tmp_path):
    made = sweep(hidden=(3,), seed=(0, 1, 2))
    cells = np.argwhere(np.ones(made.shape, bool))
    leaf = np.zeros((3, 2), "f4")
    other = leaf.copy()
    other[1:] = 1
    for name, trained in (("one", leaf), ("two", other)):
        with opened(tmp_path / name, made) as store:
            weights = Weights({"w": leaf}, {"w": trained})
            store.write("all", cells, values_of(made, cells), weights)
    with pytest.raises(StoreError, match="got two trained weights 'w' of .*seed=1"):
        merge(tmp_path / "one", tmp_path / "two", into=tmp_path / "all")


# --- more epochs ----------------------------------------------------------------------------------


STATES = {"states": {"losses": np.zeros((1, 6), "f4")}}


@pytest.mark.parametrize("finished", [True, False])
@pytest.mark.parametrize("schedule", [("plateau",), ("plateau", "none")])
def test_runs_with_held_out_losses_follow_those_without_to_more_epochs(
    schedule, finished, tmp_path, monkeypatch
):
    both = scheduled(("plateau", "none"))
    path = with_held_out_loss(tmp_path / "store", both, **STATES)
    first = longer(scheduled(("none",)), 5)
    if not finished:
        with opened(path, first) as store:
            store.prepare()
    else:
        with_held_out_loss(path, first, **STATES)
        before = load_results(path)
        with monkeypatch.context() as patch, opened(path, longer(both, 5)) as store:
            patch.setattr(growing, "write_checked", lambda *_: 1 / 0)  # as if it were killed
            with pytest.raises(ZeroDivisionError):
                store.prepare()
        xr.testing.assert_identical(load_results(path), before)
    asked = longer(scheduled(schedule), 5)
    with_held_out_loss(path, asked, **STATES)
    found = load_results(path)
    assert found["epoch"].values.tolist() == [1, 2, 3, 4, 5]
    assert (found["held_out_loss"].sel(schedule="plateau") == 0.5).all()
    assert found["status"].sel(schedule="plateau").values.all()
    with opened(path, asked) as store:
        assert store.finished().all()
        assert store.read().sizes["schedule"] == len(schedule)
    with_held_out_loss(path, longer(scheduled(("plateau", "none"), seed=(3,)), 5), **STATES)


def with_states(path, of):
    """A store whose runs have states of training."""
    with opened(path, of) as store:
        for name, cells in (("one", [[0, 0, 0, 0], [0, 0, 0, 1]]), ("two", [[0, 0, 0, 2]])):
            states = {"losses": np.array(cells, "f4") + 0.5}
            values = values_of(of, cells)
            weights = Weights(*[{"w": np.ones((len(cells), 2), "f4")}] * 2)
            store.write(name, np.array(cells), values, weights, states, seconds=1.0)
    return path


def longer(of, epochs):
    recipe = dataclasses.replace(of.recipe, epochs=epochs)
    return dataclasses.replace(of, recipe=recipe)


@pytest.mark.slow
def test_every_state_of_a_move_to_more_epochs_is_the_old_or_the_new_store(tmp_path):
    old = sweep(hidden=(3,), seed=(0, 1, 2))
    new = longer(sweep(hidden=(3,), seed=(2, 5, 0)), 30)
    path = with_states(tmp_path / "store", old)
    (tmp_path / "states").mkdir()
    before = load_results(path)
    with states(path, tmp_path / "states") as found, opened(path, new) as store:
        assert not store.finished().any()
        store.prepare()
        after = load_results(path)
    assert after["seed"].values.tolist() == [0, 1, 2, 5]
    sizes = set()
    for number, state in enumerate(state for state in found if state is not None):
        read = load_results(state)
        sizes.add(read.sizes["step"])
        xr.testing.assert_identical(read, before if read.sizes["step"] == tiny.STEPS else after)
        if number % 5 == 0 or read.sizes["step"] == 30:
            with opened(state, new) as store:
                store.prepare()
                cells = np.array([[0, 0, 0, 0], [0, 0, 0, 2]])
                assert store.epochs_before(np.array([[0, 0, 0, 0], [0, 0, 0, 1]])).tolist() == [
                    20,
                    0,
                ]
                taken = store.load_states(cells, 20)["losses"]
            assert taken[:, -1].tolist() == [2.5, 0.5]
            xr.testing.assert_identical(load_results(state / "earlier" / "epochs-20"), before)
            for part in ("blocks", "states", "parameters"):
                assert not list((state / part).iterdir())
    assert sizes == {tiny.STEPS, 30}


def test_more_epochs_of_fewer_runs_keep_the_place_of_the_others(tmp_path):
    old = sweep(hidden=(3,), seed=(0, 1, 2))
    path = with_states(tmp_path / "store", old)
    before = load_results(path)
    few = longer(sweep(hidden=(3,), learning_rate=(0.1, 0.3), seed=(2, 5)), 30)
    with opened(path, few) as store:
        store.prepare()
        assert dict(store.read().sizes) == dict(empty_results(few).sizes)
        cells = np.array([[0, 0, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0]])
        assert store.epochs_before(cells).tolist() == [20, 0, 0]
        assert store.load_states(cells[:1], 20)["losses"][:, -1].tolist() == [2.5]
    whole = load_results(path)
    assert whole["seed"].values.tolist() == [0, 1, 2, 5]
    assert whole.sizes["step"] == 30
    assert not whole["status"].values.any()
    every = longer(sweep(hidden=(3,), learning_rate=(0.1, 0.3), seed=(0, 1, 2, 5)), 30)
    xr.testing.assert_identical(whole, empty_results(every))
    with opened(path, longer(old, 30)) as store:  # the others go on later
        assert store.epochs_before(np.array([[0, 0, 0, 0], [0, 0, 0, 2]])).tolist() == [20, 20]
    xr.testing.assert_identical(load_results(path / "earlier" / "epochs-20"), before)


def test_the_error_of_more_epochs_names_the_states_that_are_left(tmp_path):
    old = sweep(hidden=(3,), seed=(0, 1, 2))
    path, new = with_states(tmp_path / "store", old), longer(old, 30)
    with opened(path, new) as store:
        fill(store, new)  # without states
    before = snapshot(path)
    with pytest.raises(StoreError, match=r"kept no state.*after 20 epochs.*earlier/epochs-20"):
        opened(path, longer(old, 40)).__enter__()
    assert snapshot(path) == before
    apart = tmp_path / "apart"  # as the error proposes
    shutil.copytree(path / "earlier" / "epochs-20", apart)
    with opened(apart, longer(old, 40)) as store:
        store.prepare()
        assert store.epochs_before(np.array([[0, 0, 0, 1]])).tolist() == [20]
    (path / "earlier" / "epochs-20" / "manifest.json").write_text("{")
    with pytest.raises(StoreError, match="kept no state") as error:
        opened(path, longer(old, 40)).__enter__()
    assert "epochs-20" not in str(error.value)


@pytest.mark.parametrize("damage", ["changed", "lost"])
def test_runs_with_a_damaged_state_start_over_as_the_error_proposes(damage, tmp_path):
    old = sweep(hidden=(3,), seed=(0, 1, 2))
    path = with_states(tmp_path / "store", old)
    assert not list(damages(path))
    state, marker = path / "states" / "one.npz", path / "blocks" / "one.json"
    state.write_bytes(state.read_bytes() + b"x")
    if damage == "lost":
        state.unlink()
    with pytest.raises(DamageError, match="one.npz is") as error:
        opened(path, longer(old, 30)).__enter__()
    files = [state, marker] if damage == "changed" else [marker]
    assert list(error.value.files) == files
    assert list(damages(path)) == [str(error.value)]
    for file in files:
        file.unlink()
    assert not list(damages(path))
    with opened(path, old) as store:
        assert store.finished().sum() == 1


def test_a_store_that_grows_while_it_is_checked_is_checked_again(tmp_path, monkeypatch):
    """Between the new manifest and its end a move to more epochs removes states and markers."""
    old = sweep(hidden=(3,), seed=(0, 1, 2))
    path = with_states(tmp_path / "store", old)
    load, calls = status.load_results, []

    def moves(store):
        calls.append(store)
        if len(calls) == 1:
            with opened(path, longer(old, 30)) as opened_store:
                opened_store.prepare()
            (path / "blocks" / "one.json").write_text("{")  # as if it had been read before
            with contextlib.suppress(StoreError):
                load(store)
            (path / "blocks" / "one.json").unlink()
            raise DamageError("store: gone", [path / "blocks" / "one.json"])
        return load(store)

    monkeypatch.setattr(status, "load_results", moves)
    assert not list(damages(path))
    assert len(calls) == 3  # once more, and the earlier store


def test_a_marker_that_is_removed_meanwhile_is_no_error(tmp_path, monkeypatch):
    path = filled(tmp_path / "store", sweep())
    read, first = markers.read_checked, sorted((path / "blocks").iterdir())[0]

    def removes(file):
        first.unlink(missing_ok=True)
        return read(file)

    monkeypatch.setattr(markers, "read_checked", removes)
    assert sorted(markers.read_markers(path)) == sorted(f.stem for f in (path / "blocks").iterdir())


@pytest.mark.parametrize("what", ["damaged", "a link", "links within"])
def test_earlier_stores_of_somebody_else_are_no_help(what, tmp_path):
    old = sweep(hidden=(3,), seed=(0, 1, 2))
    path, new = with_states(tmp_path / "store", old), longer(old, 30)
    with opened(path, new) as store:
        store.prepare()
    earlier, away = path / "earlier" / "epochs-20", tmp_path / "away"
    if what == "damaged":
        (earlier / "manifest.json").write_text("{")
    else:
        part = earlier if what == "a link" else earlier / "states"
        part.rename(away)
        part.symlink_to(away)
        assert any("plain files and folders" in line for line in damages(path))
        with opened(path, new) as store, pytest.raises(StoreError, match="plain files and folders"):
            store.epochs_before(np.array([[0, 0, 0, 0]]))
    with opened(path, new) as store:
        fill(store, new)
    with pytest.raises(StoreError, match="another config: recipe.epochs is 30") as error:
        opened(path, old).__enter__()
    assert "results of this one" not in str(error.value)


def test_another_difference_than_more_epochs_is_named(tmp_path):
    path = with_states(tmp_path / "store", sweep(hidden=(3,), seed=(0, 1, 2)))
    new = longer(sweep(hidden=(3,)), 30)
    other = ResultStore(path, empty_results(new), sweep_config(new, Engine(points=3)))
    with pytest.raises(StoreError, match="another config: points is"):
        other.__enter__()
    batch = longer(tiny.sweep(batch=5, axes={"task": [tiny.TASKS["delayed_cue"]]}), 30)
    with pytest.raises(StoreError, match="another config: recipe.batch is 4 in the store but 5 in"):
        opened(path, batch).__enter__()


def test_damaged_states_are_named(tmp_path):
    old, new = sweep(hidden=(3,), seed=(0, 1, 2)), longer(sweep(hidden=(3,), seed=(0, 1)), 30)
    path = with_states(tmp_path / "store", old)
    with opened(path, new) as store:
        store.prepare()
        file = path / "earlier" / "epochs-20" / "states" / "one.npz"
        file.write_bytes(file.read_bytes()[:-5])
        cells = np.array([[0, 0, 0, 0]])
        with pytest.raises(DamageError, match="is not what was written") as error:
            store.load_states(cells, 20)
        assert error.value.files == (file,)
        file.unlink()
    with opened(path, new) as store:
        assert store.epochs_before(cells).tolist() == [0]


def test_a_field_that_an_axis_sets_is_no_difference(tmp_path):
    path = filled(tmp_path / "store", sweep(hidden=(3, 4)))
    other = dataclasses.replace(sweep(hidden=(3,)), cell=tiny.CELL.replace(hidden=7))
    with opened(path, other) as store:
        assert store.finished().all()


def test_axes_of_a_cell_that_wraps_another_grow(tmp_path):
    """Its config has their fields twice: the wrapped cell gets copies."""

    def wrapped(hidden, init, widths, inits, alpha=0.5):
        cell = structured(hidden, init=init, cell=rate(alpha=alpha))
        axes = {"hidden": widths, "init": inits}
        return dataclasses.replace(tiny.sweep(axes=axes), cell=cell)

    path = filled(tmp_path / "store", wrapped(4, "gaussian", (4, 6), ("gaussian", "xavier")))
    more = wrapped(8, "uniform", (4, 6, 8), ("gaussian", "uniform"))
    with opened(path, more) as store:
        assert store.finished().sum() == 2 * 4
        fill(store, more)
    assert load_results(path).sizes["hidden"] == load_results(path).sizes["init"] == 3
    with pytest.raises(StoreError, match=r"cell.cell.alpha is 0.5 in the store but 0.25"):
        opened(path, wrapped(8, "uniform", (4,), ("uniform",), alpha=0.25)).__enter__()
