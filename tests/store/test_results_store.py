"""The store: resumption, errors, and damage that leaves other files unchanged."""

import errno
import hashlib
import json
import os
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
import zarr

import tiny
from rnnjax import (
    Engine,
    StoreError,
    load_parameters,
    load_population,
    load_results,
    run_sweep,
    train_one,
)
from rnnjax.devices import default_layout
from rnnjax.store import DamageError, ResultStore, StoreInUse, read_manifest, reading
from rnnjax.store.scatter import scatter
from rnnjax.sweep import FIELDS, empty_results, plan, sweep_config

SWEEP = tiny.sweep(axes={"hidden": (3, 4), "learning_rate": (0.1, 0.2), "seed": (0, 1, 2)})
CONFIG = sweep_config(SWEEP, Engine())


def snapshot(path):
    """Every file below `path`, with a hash of its content."""
    return {
        str(file.relative_to(path)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(path.rglob("*"))
        if file.is_file()
    }


def markers(path):
    return {file.stem: json.loads(file.read_text()) for file in (path / "blocks").glob("*.json")}


def opened(path, sweep=SWEEP, engine=None):
    engine = engine or Engine()
    return ResultStore(path, empty_results(sweep, engine.points), sweep_config(sweep, engine))


def invented(blocks=None):
    """Blocks of SWEEP with invented results."""
    rng = np.random.default_rng(0)
    engine = Engine(block_runs=2)
    for block in blocks or plan(SWEEP, default_layout(), engine):
        count = block.runs
        values = {name: rng.uniform(1, 4, count).astype(kind) for name, (kind, _) in FIELDS.items()}
        values["loss"] = rng.normal(size=(count, tiny.STEPS)).astype("f4")
        yield block.name, block.cells, values


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A complete store of six blocks that was never trained."""
    path = tmp_path_factory.mktemp("store") / "sweep"
    with opened(path) as store:
        for block in invented():
            store.write(*block)
    return path


@pytest.fixture
def copy(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "copy")


def test_results_are_read_as_written(finished):
    dataset = load_results(finished)
    template = empty_results(SWEEP)
    for _, cells, values in invented():
        for name, expected in values.items():
            np.testing.assert_array_equal(dataset[name].values[tuple(cells.T)], expected)
    assert {k: v.dims for k, v in dataset.variables.items()} == {
        k: v.dims for k, v in template.variables.items()
    }
    for name, variable in template.variables.items():
        assert dataset[name].dtype == variable.dtype, name
        assert dataset[name].attrs == variable.attrs
    for name in template.coords:
        np.testing.assert_array_equal(dataset[name], template[name])


def test_blocks_written_after_a_view_are_those_in_the_files(tmp_path, finished):
    """What a view holds takes the place of reading chunks that blocks share."""
    with opened(tmp_path / "new") as store:
        for number, block in enumerate(invented()):
            store.write(*block)
            if number:  # the first block is not in memory before
                assert store.view().identical(store.read())
    assert load_results(tmp_path / "new").identical(load_results(finished))


@pytest.mark.parametrize("views", [False, True], ids=["read", "held"])
def test_chunks_are_on_the_disk_before_they_are_replaced(views, tmp_path, monkeypatch):
    """A chunk holds the runs of earlier blocks too, which a power cut must not cost."""
    with opened(tmp_path / "new") as store:
        first, second, *_ = invented()
        store.write(*first)
        if views:
            store.view()
        flushed, replaced, fsync, replace = set(), [], os.fsync, os.replace

        def flush(handle):
            flushed.add(os.fstat(handle).st_ino)
            fsync(handle)

        def swap(source, target):
            name = str(Path(target).relative_to(store.path))
            replaced.append(name)
            assert os.stat(source).st_ino in flushed
            if name.startswith("blocks/"):  # the marker, which says that all chunks are there
                folders = {(store.path / chunk).parent for chunk in replaced[:-1]}
                assert {os.stat(folder).st_ino for folder in folders} <= flushed
            replace(source, target)

        monkeypatch.setattr(os, "fsync", flush)
        monkeypatch.setattr(os, "replace", swap)
        store.write(*second)
    chunks = len(np.unique(second[1][:, :-1], axis=0))
    assert sum(name.startswith("results.zarr/loss/c/") for name in replaced) == chunks
    assert replaced[-1].startswith("blocks/")


def test_a_block_that_cannot_be_written_leaves_no_chunks(tmp_path, monkeypatch):
    """Also not those that fitted on a disk that is full."""
    with opened(tmp_path / "new") as store:
        first, second, *_ = invented()
        store.write(*first)
        before, flushed = store.read(), []

        def fill(handle):
            flushed.append(handle)
            if len(flushed) > 1:
                raise OSError(28, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", fill)
            with pytest.raises(OSError, match="No space left on device; finished blocks"):
                store.write(*second)
        assert not list(store.path.rglob("*.partial"))
        assert store.read().identical(before)
        store.write(*second)
        assert not store.read().identical(before)


@pytest.mark.parametrize("axes", [(6,), (3, 4), (2, 3, 4)])
def test_rows_are_scattered_as_numpy_assigns_them(axes):
    """Cells in every order, of one chunk, of chunks that fill a box, and of others."""
    rng, shape = np.random.default_rng(len(axes)), (*axes, 5)
    expected = rng.normal(size=shape).astype("f4")
    arrays = [zarr.array(expected, chunks=(*[1] * (len(axes) - 1), *shape[-2:])) for _ in range(2)]
    for runs in (1, 2, 3, 4, 5, 2):
        chosen = rng.choice(np.prod(axes), runs, replace=False)
        cells = np.stack(np.unravel_index(chosen, axes), axis=-1)
        block, held = rng.normal(size=(runs, 5)).astype("f4"), expected.copy()
        expected[tuple(cells.T)] = block
        for array, known in zip(arrays, (None, held), strict=True):
            scatter(array, cells, block, known)
            np.testing.assert_array_equal(array[:], expected)


def test_text_labels_are_read_as_text(tmp_path):
    sweep = tiny.sweep(axes={"task": list(tiny.TASKS.values()), "optimizer": ("adam", "sgd")})
    with opened(tmp_path / "new", sweep):
        pass
    dataset, template = load_results(tmp_path / "new"), empty_results(sweep)
    for name in template.coords:
        np.testing.assert_array_equal(dataset[name], template[name])
        assert dataset[name].dtype == template[name].dtype


def test_the_manifest_describes_the_sweep(finished):
    manifest = read_manifest(finished)
    assert manifest["config"] == json.loads(json.dumps(CONFIG))
    assert {"jax", "numpy", "python", "rnnjax"} <= set(manifest["versions"])


def test_only_blocks_with_a_marker_are_finished(copy):
    gone = sorted((copy / "blocks").iterdir())[2]
    lost = json.loads(gone.read_text())["cells"]
    gone.unlink()
    with opened(copy) as store:
        done = store.finished()
    assert sorted(np.argwhere(~done).tolist()) == sorted(lost)
    dataset = load_results(copy)  # data without a marker read as not run
    np.testing.assert_array_equal(dataset["status"] == 0, ~done)
    np.testing.assert_array_equal(dataset["loss"].isnull().all("step"), ~done)


def test_a_finished_block_cannot_be_written_again(copy):
    before = snapshot(copy)
    with opened(copy) as store, pytest.raises(StoreError, match="is finished already"):
        store.write(*next(invented()))
    assert snapshot(copy) == before


def test_reading_while_another_process_writes(tmp_path, monkeypatch):
    """A block may finish between any two steps of a reader."""
    blocks = list(invented())
    with opened(tmp_path / "busy") as store:
        store.write(*blocks[0])

        def late(function):
            def then_a_block_finishes(*arguments):
                got = function(*arguments)
                store.write(*blocks[1])
                return got

            return then_a_block_finishes

        for name in ("read_results", "read_markers"):
            with monkeypatch.context() as patch:
                patch.setattr(reading, name, late(getattr(reading, name)))
                dataset = load_results(tmp_path / "busy")
            cells = tuple(blocks[0][1].T)
            np.testing.assert_array_equal(dataset["loss"].values[cells], blocks[0][2]["loss"])
            (tmp_path / "busy" / "blocks" / f"{blocks[1][0]}.json").unlink()


# --- damage ---------------------------------------------------------------------------------------


def chunk(path, variable):
    """The largest chunk of a variable."""
    files = [f for f in (path / "results.zarr" / variable / "c").rglob("*") if f.is_file()]
    return max(files, key=lambda file: file.stat().st_size)


def flip_byte(file, at=-3):
    content = bytearray(file.read_bytes())
    content[at] ^= 0xFF
    file.write_bytes(bytes(content))


def truncate(file):
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def first_marker(path):
    return sorted((path / "blocks").iterdir())[0]


def edit(file, change):
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))


DAMAGE = {
    "a flipped byte of losses": (lambda p: flip_byte(chunk(p, "loss")), "results.zarr"),
    "a flipped byte of a status": (lambda p: flip_byte(chunk(p, "status")), "results.zarr"),
    "a lost chunk": (lambda p: chunk(p, "final_loss").unlink(), "final_loss"),
    "a lost variable": (lambda p: shutil.rmtree(p / "results.zarr/loss"), "results.zarr"),
    "a truncated manifest": (lambda p: truncate(p / "manifest.json"), "manifest.json"),
    "an empty manifest": (lambda p: (p / "manifest.json").write_text(""), "manifest.json"),
    "a manifest that is no object": (
        lambda p: (p / "manifest.json").write_text("[1]"),
        "manifest.json",
    ),
    "a manifest of another config": (
        lambda p: edit(p / "manifest.json", lambda m: m["config"].update(points=7)),
        "manifest.json",
    ),
    "a manifest of another format": (
        lambda p: edit(p / "manifest.json", lambda m: m.update(format=99, sha256=None)),
        "format 99",
    ),
    "a truncated marker": (lambda p: truncate(first_marker(p)), "blocks"),
    "a marker without digests": (
        lambda p: edit(first_marker(p), lambda m: m.pop("digests")),
        "blocks",
    ),
    "a marker of runs that do not exist": (
        lambda p: edit(first_marker(p), lambda m: m.update(cells=[[7, 0, 0]])),
        "damaged",
    ),
    "a truncated zarr.json": (lambda p: truncate(p / "results.zarr/loss/zarr.json"), "zarr"),
    "another data type": (
        lambda p: edit(p / "results.zarr/loss/zarr.json", lambda z: z.update(data_type="int32")),
        "zarr",
    ),
    "another shape": (
        lambda p: edit(
            p / "results.zarr/loss/zarr.json",
            lambda z: z.update(shape=[2, 2, 3, tiny.STEPS - 1]),
        ),
        "zarr",
    ),
    "another label": (
        lambda p: flip_byte(chunk(p, "learning_rate"), at=-5),
        "zarr",
    ),
    "lost labels": (lambda p: chunk(p, "seed").unlink(), "zarr"),
}


@pytest.mark.slow
@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_named_and_healed_or_left_as_it_is(damage, copy, finished):
    do, named = DAMAGE[damage]
    do(copy)
    before = snapshot(copy)
    with pytest.raises(StoreError, match=f"^store: .*{named}") as error:
        load_results(copy)
    assert "\n" not in str(error.value)
    assert snapshot(copy) == before
    try:
        results = run_sweep(SWEEP, copy)
    except StoreError as again:
        assert snapshot(copy) == before
        assert "\n" not in str(again)  # noqa: PT017 - of either outcome
    else:
        assert results.identical(load_results(finished))


# --- refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("other", "named"),
    [
        (tiny.sweep("flip_flop", {"hidden": (3, 4)}), "task.type is .DelayedCue. in the store"),
        (
            tiny.sweep(axes={"hidden": (3, 4)}, batch=9),
            r"recipe.batch is 4 in the store but 9 in this call",
        ),
        (tiny.sweep(axes={"alpha": (0.3, 0.4)}), "axes is .*hidden.* in the store but .*alpha"),
    ],
)
def test_another_config_is_named_by_its_first_difference(copy, other, named):
    before = snapshot(copy)
    with pytest.raises(StoreError, match=named) as error:
        run_sweep(other, copy)
    assert "made with another config" in str(error.value)
    assert "\n" not in str(error.value)
    assert snapshot(copy) == before


def test_other_recorded_steps_are_another_config(copy):
    with pytest.raises(StoreError, match="points is 500 in the store but 7 in this call"):
        run_sweep(SWEEP, copy, engine=Engine(points=7))


@pytest.mark.parametrize("files", [["thesis.tex"], ["results.zarr/mine"], ["blocks/old.json"],
                                   ["lock", "notes.txt"], ["manifest.json"],
                                   ["manifest.json", "results.zarr/mine"]], ids=str)  # fmt: skip
def test_a_folder_with_other_files_is_an_error(tmp_path, files):
    for name in files:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text('{"not": "ours"}')
    before = snapshot(tmp_path)
    with pytest.raises(StoreError, match=r"^store: .*"):
        run_sweep(SWEEP, tmp_path)
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("where", ["file", "file/below"])
def test_a_file_in_place_of_a_folder_is_an_error(tmp_path, where):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(StoreError, match=r"^store: expected a folder") as error:
        run_sweep(SWEEP, tmp_path / where)
    assert "\n" not in str(error.value)
    assert snapshot(tmp_path) == {"file": hashlib.sha256(b"mine").hexdigest()}


def test_a_folder_without_a_store_cannot_be_loaded(tmp_path):
    with pytest.raises(StoreError, match=r"expected a results store, found no .*manifest.json"):
        load_results(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("left", [[], ["lock"], ["lock", ".manifest.json.ab12cd"]], ids=str)
def test_files_of_a_process_that_died_while_creating_do_not_matter(tmp_path, left):
    for name in left:
        (tmp_path / name).write_text("")
    with opened(tmp_path) as store:
        assert not store.finished().any()
    assert int(load_results(tmp_path)["status"].sum()) == 0


def test_incomplete_variables_do_not_matter(tmp_path):
    with opened(tmp_path):
        pass
    shutil.rmtree(tmp_path / "results.zarr/loss")
    truncate(tmp_path / "results.zarr/status/zarr.json")
    with opened(tmp_path) as store:
        store.write(*next(invented()))
    assert int((load_results(tmp_path)["status"] > 0).sum()) == 2


def test_a_second_writer_is_an_error_and_a_reader_is_not(copy):
    with opened(copy):
        before = snapshot(copy)
        with pytest.raises(StoreError, match="is already open for writing"), opened(copy):
            pass
        assert snapshot(copy) == before
        load_results(copy)
    with opened(copy):
        pass  # the lock was given back


def test_what_another_writer_is_changing_is_in_use_and_not_damaged(copy):
    with opened(copy):
        truncate(first_marker(copy))
        with pytest.raises(StoreInUse), opened(copy):
            pass
    with pytest.raises(DamageError), opened(copy):
        pass


@pytest.mark.parametrize(
    "error",
    [OSError(errno.ENOSYS, "not there"), NotImplementedError("no flock")],
    ids=["now", "old"],
)
def test_a_file_system_without_locks_is_refused(error, tmp_path, monkeypatch):
    """No marker file takes the place of the lock: a killed process would leave it."""

    def fail(*_):
        raise error

    monkeypatch.setattr("fcntl.flock", fail)
    with pytest.raises(StoreError, match="expected a file system with locks"), opened(tmp_path):
        pass
    assert os.listdir(tmp_path) in ([], ["lock"])


def test_a_full_disk_while_a_store_grows_is_named(copy, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device", "growing")

    monkeypatch.setattr("rnnjax.store.results.grow", full)
    with (
        opened(copy, SWEEP.with_axes(seed=range(4))) as store,
        pytest.raises(OSError, match="^store: cannot .*growing.*make room and give the same"),
    ):
        store.prepare()


def test_a_folder_that_is_shared_by_the_umask_stays_so(tmp_path):
    before = os.umask(0o002)
    try:
        with opened(tmp_path / "new") as store:
            store.write(*next(invented()))
        with opened(tmp_path / "new", SWEEP.with_axes(seed=range(4))) as store:
            store.prepare()
    finally:
        os.umask(before)
    for place in (tmp_path / "new").rglob("*"):
        expected = 0o775 if place.is_dir() else 0o664
        assert place.name == "lock" or place.stat().st_mode & 0o777 == expected, place


def test_the_lock_is_released_after_an_error(copy):
    with pytest.raises(KeyboardInterrupt), opened(copy):
        raise KeyboardInterrupt
    flip_byte(chunk(copy, "loss"))
    for _ in range(2):
        with pytest.raises(StoreError, match="damaged"), opened(copy):
            pass


# --- training -------------------------------------------------------------------------------------

TRAINED = tiny.sweep("delayed_match", {"learning_rate": (0.003, 0.03, 0.1, 0.3), "seed": (0, 1, 2)})
KEPT = [name for name in (*FIELDS, "loss") if name != "seconds"]


def identical(one, two):
    for name in KEPT:
        np.testing.assert_array_equal(one[name].values, two[name].values, err_msg=name)


@pytest.mark.slow
def test_a_sweep_resumes(tmp_path):
    path, engine = tmp_path / "sweep", Engine(block_runs=4)
    unbroken = run_sweep(TRAINED, engine=engine)

    def interrupt(dataset):
        if int((dataset["status"] > 0).sum()) == 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_sweep(TRAINED, path, engine=engine, after_block=interrupt)
    before, times = markers(path), {f: f.stat().st_mtime_ns for f in (path / "blocks").iterdir()}
    assert len(before) == 2
    time.sleep(0.01)
    result = run_sweep(TRAINED, path, engine=engine)
    after = markers(path)
    assert len(after) == 3
    assert {name: after[name] for name in before} == before
    assert all(file.stat().st_mtime_ns == then for file, then in times.items())
    identical(result, unbroken)
    identical(load_results(path), unbroken)
    whole = snapshot(path)
    identical(run_sweep(TRAINED, path, engine=engine), unbroken)  # nothing left to do
    assert snapshot(path) == whole


@pytest.mark.parametrize("text", ["{", "{}"])
def test_an_array_of_somebody_else_is_named(text, copy):
    other = copy / "results.zarr" / "other"
    other.mkdir()
    (other / "zarr.json").write_text(text)
    before = snapshot(copy)
    with pytest.raises(StoreError):
        load_results(copy)
    with pytest.raises(StoreError, match=f"^store: .*{other}; move it away"), opened(copy):
        pass
    assert snapshot(copy) == before
    shutil.rmtree(other)
    load_results(copy)


def test_a_folder_that_vanishes_in_mid_run_is_one_error_and_nothing_is_lost(tmp_path, monkeypatch):
    path, away = tmp_path / "sweep", tmp_path / "away"
    first, second, *_ = invented()
    with opened(path) as store:
        store.write(*first)
        path.rename(away)
        with pytest.raises(OSError, match=f"^store: cannot .*{path}/results.zarr"):
            store.write(*second)
        assert not path.exists()
        away.rename(path)
        store.write(*second)
        verify = reading._verify

        def vanish(*arguments):  # between reading markers and values
            store.path.rename(away)
            path, folder, dataset, markers = arguments
            verify(path, folder, dataset.drop_vars("loss"), markers)

        monkeypatch.setattr(reading, "_verify", vanish)
        with pytest.raises(FileNotFoundError, match="no longer there"):
            store.read()
        monkeypatch.undo()
        away.rename(path)
        done = store.read()["status"].values > 0
        assert done.sum() == len(first[1]) + len(second[1])


@pytest.mark.slow
def test_a_sweep_resumes_in_other_blocks(tmp_path):
    """Free memory may differ between calls: finished runs stay finished."""
    path = tmp_path / "sweep"
    mask = np.zeros(TRAINED.shape, bool)
    mask[:, 1] = mask[0, 0] = mask[3, 2] = True
    part = run_sweep(TRAINED, path, engine=Engine(block_runs=4), mask=mask)
    np.testing.assert_array_equal(part["status"].values > 0, mask)
    before = markers(path)
    full = run_sweep(TRAINED, path)
    identical(full, run_sweep(TRAINED))
    after = markers(path)
    assert {name: after[name] for name in before} == before
    cells = [tuple(cell) for marker in after.values() for cell in marker["cells"]]
    assert len(cells) == len(set(cells)) == TRAINED.size


@pytest.mark.slow
def test_kept_weights_equal_those_of_train_one(tmp_path):
    run_sweep(TRAINED, tmp_path / "kept", engine=Engine(block_runs=4), keep_parameters=True)
    for learning_rate, seed in [(0.3, 2), (0.003, 1)]:
        alone = train_one(
            TRAINED.task, TRAINED.cell, TRAINED.recipe,
            learning_rate=learning_rate, seed=seed, evaluation_trials=tiny.TRIALS,
        )  # fmt: skip
        kept = load_parameters(tmp_path / "kept", learning_rate=learning_rate, seed=seed)
        assert set(kept) == set(alone.params)
        for name, weight in alone.params.items():
            np.testing.assert_array_equal(kept[name], weight)
    near = load_parameters(tmp_path / "kept", learning_rate=float(np.float32(0.003)), seed=1)
    np.testing.assert_array_equal(near["recurrent"], kept["recurrent"])


def test_missing_weights_and_wrong_labels_are_named(finished):
    with pytest.raises(StoreError, match="kept no weights"):
        load_parameters(finished, hidden=3, learning_rate=0.1, seed=0)
    with pytest.raises(StoreError, match="kept no weights"):
        load_population(finished, hidden=3, learning_rate=0.1)
    with pytest.raises(StoreError, match="no weights of 6 finished blocks"):
        run_sweep(SWEEP, finished, keep_parameters=True)
    assert not os.path.exists(finished / "parameters")
    with pytest.raises(ValueError, match=r"^seed: expected one of \[0, 1, 2\], got 9"):
        load_parameters(finished, hidden=3, learning_rate=0.1, seed=9)
    with pytest.raises(ValueError, match=r"^alpha: expected an axis among hidden, learning_rate"):
        load_parameters(finished, hidden=3, learning_rate=0.1, seed=0, alpha=0.5)
