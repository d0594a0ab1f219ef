"""Damaged stores: the same command heals them, or an error names what to delete before it does."""

import errno
import json
import os
import random
import shutil
import subprocess
import time
from pathlib import Path

import chex
import numpy as np
import pytest
import zarr

import tiny
from rnnjax import Engine, StoreError, load_results, run_sweep
from rnnjax.store import DamageError, load_weights
from rnnjax.sweep import FIELDS

SWEEP = tiny.sweep("delayed_match", {"hidden": (3, 4)})
RUNS = {h: [(h, r, s) for r in (0, 1) for s in (0, 1)] for h in (0, 1)}  # by width


def all_weights(path):
    return [load_weights(path, runs) for runs in RUNS.values()]


def train(path):
    return run_sweep(SWEEP, path, engine=Engine(block_runs=2), keep_parameters=True)


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    """A store of four blocks with weights, its results and its weights."""
    path = tmp_path_factory.mktemp("it's with  spaces") / "store"
    results = train(path)
    return path, results, all_weights(path)


@pytest.fixture
def store(unbroken, tmp_path):
    path = tmp_path / "it's with  spaces" / "store"
    shutil.copytree(unbroken[0], path)
    return path


def recover(path, unbroken):
    """Follows the advice of every error, and then repeats the command, until nothing is wrong.

    Compares the results and weights that are then read; returns the errors.
    """
    errors = []
    while True:
        try:
            train(path)
            compare(load_results(path), all_weights(path), unbroken)
            return errors
        except StoreError as error:
            errors.append(str(error))
            assert len(errors) < 6, errors
            command = "rm -- " + str(error).partition(": rm -- ")[2]
            before = {file for file in path.rglob("*") if file.is_file()}
            subprocess.run(command, shell=True, check=True)
            assert before - {file for file in path.rglob("*") if file.is_file()}


def compare(results, weights, unbroken):
    for name in (*FIELDS, "loss"):
        if name != "seconds":
            np.testing.assert_array_equal(results[name], unbroken[1][name], err_msg=name)
    chex.assert_trees_all_equal(weights, unbroken[2])


def flip(file):
    """Flips a bit in the middle of a file."""
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 4
    file.write_bytes(content)


def truncate(file):
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def empty(file):
    file.write_bytes(b"")


def delete(file):
    file.unlink()


DAMAGES = (flip, truncate, empty, delete)


def one_of(path, pattern):
    return sorted(file for file in path.glob(pattern) if file.is_file())[0]


@pytest.mark.slow
@pytest.mark.parametrize("damage", [flip, delete], ids=lambda f: f.__name__)
@pytest.mark.parametrize(
    "pattern",
    [
        "manifest.json",
        "blocks/*.json",
        "results.zarr/zarr.json",
        "results.zarr/final_loss/zarr.json",
        "results.zarr/loss/zarr.json",
        "results.zarr/hidden/zarr.json",
        "results.zarr/seed/c/0",
        "results.zarr/status/c/**/*",
        "results.zarr/loss/c/**/*",
        "parameters/*/_METADATA",
        "parameters/*/manifest.ocdbt",
    ],
)
def test_every_damage_ends_in_the_unbroken_result(pattern, damage, store, unbroken):
    damage(one_of(store, pattern))
    recover(store, unbroken)


@pytest.mark.slow
def test_random_damages_end_in_the_unbroken_result(store, unbroken, tmp_path):
    chosen = random.Random(0)
    for number in range(8):
        path = tmp_path / str(number)
        shutil.copytree(store, path)
        files = sorted(f for f in path.rglob("*") if f.is_file() and f.name != "lock")
        for file in chosen.sample(files, 2):
            chosen.choice(DAMAGES)(file)
        recover(path, unbroken)


@pytest.mark.slow
def test_lost_weights_are_trained_again(store, unbroken):
    shutil.rmtree(sorted((store / "parameters").iterdir())[1])
    (error,) = recover(store, unbroken)
    assert "1 finished blocks" in error


@pytest.mark.slow
def test_a_store_without_any_block_says_so_and_goes_on(store, unbroken):
    shutil.rmtree(store / "results.zarr")
    shutil.rmtree(store / "blocks")
    with pytest.raises(StoreError, match="no finished block yet"):
        load_results(store)
    assert recover(store, unbroken) == []


@pytest.mark.slow
def test_a_damaged_manifest_beside_damaged_markers_or_none(store, unbroken):
    empty(store / "manifest.json")
    flip(one_of(store, "blocks/*.json"))
    assert len(recover(store, unbroken)) == 1
    for file in (store / "blocks").iterdir():
        file.unlink()
    empty(store / "manifest.json")
    assert recover(store, unbroken) == []


@pytest.mark.slow
@pytest.mark.parametrize("damage", [truncate, empty])
def test_a_chunk_of_a_block_that_was_not_finished_does_not_matter(store, unbroken, damage):
    """As after a power cut."""
    for marker in (store / "blocks").iterdir():
        if json.loads(marker.read_text())["cells"][0][0] == 0:  # the blocks of the first width
            marker.unlink()
    place = (0, 1)
    for name in ("status", "loss", "final_loss"):
        damage(one_of(store, f"results.zarr/{name}/c/{'/'.join(map(str, place))}/**/*"))
    assert int((load_results(store)["status"] == 0).sum()) == 4
    assert recover(store, unbroken) == []


@pytest.mark.slow
def test_a_store_that_has_lost_its_markers_is_not_begun_again(store):
    shutil.rmtree(store / "blocks")
    before = {file: file.stat().st_mtime_ns for file in store.rglob("*/c/**/*") if file.is_file()}
    with pytest.raises(StoreError, match="lost its folder blocks"):
        train(store)
    assert before == {file: file.stat().st_mtime_ns for file in before}


@pytest.mark.parametrize("failure", [errno.EIO, errno.EACCES, errno.EMFILE, errno.ESTALE])
@pytest.mark.parametrize("where", ["zarr", "files"])
def test_a_file_that_cannot_be_read_is_not_called_damaged(store, monkeypatch, failure, where):
    def fail(*_):
        raise OSError(failure, os.strerror(failure))

    if where == "zarr":
        monkeypatch.setattr(zarr.storage._local, "_get", fail)
    else:
        monkeypatch.setattr("pathlib.Path.read_bytes", fail)
    for attempt in (load_results, train):
        with pytest.raises(OSError, match=os.strerror(failure)) as error:
            attempt(store)
        assert "rm " not in str(error.value)


def test_memory_that_runs_out_is_not_called_damage(store, monkeypatch):
    def fail(*_):
        raise MemoryError

    monkeypatch.setattr(zarr.storage._local, "_get", fail)
    with pytest.raises(MemoryError):
        load_results(store)


def test_long_lists_of_files_are_cut_between_files():
    files = [Path(f"/store/blocks/{number}.json") for number in range(60)]
    error = DamageError("store: damaged", files)
    assert error.files == tuple(files[:50])
    assert str(error).endswith(f"rm -- {' '.join(map(str, files[:50]))}")


def test_a_lost_manifest_is_not_written_for_another_sweep(store):
    (store / "manifest.json").unlink()
    with pytest.raises(StoreError, match="do not name this config"):
        run_sweep(tiny.sweep("delayed_match", {"hidden": (3, 5)}), store)
    assert not (store / "manifest.json").exists()


@pytest.mark.slow
def test_leftovers_of_killed_processes_are_removed(store):
    stranger = store / ".notes.partial"
    leftovers = [
        store / ".manifest.json.abcd_123.partial",
        store / "blocks" / ".one.json.abcdefgh.partial",
        store / "parameters" / "one.orbax-checkpoint-tmp-7" / "d",
        store / ".results.zarr.abc" / "zarr.json",
    ]
    for file in (stranger, *leftovers):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("half")
        os.utime(file, (time.time(),) * 2)
    train(store)
    assert stranger.exists()
    assert not any(file.exists() for file in leftovers)
    assert not (store / "parameters" / "one.orbax-checkpoint-tmp-7").exists()
