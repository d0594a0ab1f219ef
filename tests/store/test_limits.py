"""Folders made by somebody else: refused in time, and nothing outside them is read or run."""

import json
import os
import pickle
import shutil
import tracemalloc

import chex
import numpy as np
import pytest
import zarr

import rnnjax
import tiny
from rnnjax import Engine, StoreError, load_parameters, load_population, load_results
from rnnjax.population import train
from rnnjax.store import (
    DamageError,
    ResultStore,
    Weights,
    digest,
    gather_weights,
    limits,
    load_weights,
    read_json,
    write_checked,
)
from rnnjax.store.checkpoints import save_weights
from rnnjax.store.states import load_state, save_state
from rnnjax.studies.status import damages, progress
from rnnjax.sweep import empty_results, load_sweep, sweep_config

SWEEP = tiny.sweep("delayed_match", {"hidden": (3,), "learning_rate": (0.1,), "seed": (0, 1, 2)})


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A complete store with weights, in one block called `all`."""
    path, rng = tmp_path_factory.mktemp("made") / "store", np.random.default_rng(0)
    template, shape = empty_results(SWEEP), SWEEP.shape
    cells = np.argwhere(np.ones(shape, bool))
    values = {n: np.ones((3, *v.shape[3:]), v.dtype) for n, v in template.data_vars.items()}
    leaves = next(SWEEP.setups())[1].cell.leaves()
    weights = {
        name: rng.normal(size=(3, *leaf.shape)).astype("f4") for name, leaf in leaves.items()
    }
    with ResultStore(path, template, sweep_config(SWEEP, Engine())) as store:
        store.write("all", cells, values, Weights(weights, weights), seconds=1.0)
    assert len(load_population(path)) == 3
    return path


@pytest.fixture
def store(made, tmp_path):
    return shutil.copytree(made, tmp_path / "store")


def edit(file, change):
    """Changes a file of a store as somebody would who writes the digests anew."""
    content = json.loads(file.read_text())
    content.pop("sha256", None)
    change(content)
    if file.name == "manifest.json":
        content["hash"] = digest(content["config"])
    if file.name == "zarr.json":
        file.write_text(json.dumps(content))
        (file.parents[2] / "metadata.sha256").unlink(missing_ok=True)
    else:
        write_checked(file, content)


def declare(**fields):
    def change(array):
        array.update({n: v for n, v in fields.items() if n != "chunks"})
        if "chunks" in fields:
            array["chunk_grid"]["configuration"]["chunk_shape"] = fields["chunks"]

    return change


def array(name, **fields):
    return lambda p: edit(p / "results.zarr" / name / "zarr.json", declare(**fields))


def axes(**values):
    return lambda p: edit(p / "manifest.json", lambda m: m["config"]["axes"].update(values))


def outside(where):
    """Moves a part of the store out of it, and leaves a link."""

    def change(path):
        away = path.parent / "elsewhere"
        shutil.move(path / where, away)
        (path / where).symlink_to(away)

    return change


def pipe(where):
    def change(path):
        (path / where).unlink()
        os.mkfifo(path / where)  # reading it would wait forever

    return change


class Trap:
    """An object that writes a file where it is unpickled."""

    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return open, (str(self.file), "w")


def pickled(path):
    """The results as an older format of zarr, which can name a pickle filter."""
    shutil.rmtree(path / "results.zarr")
    zarr.open_group(path / "results.zarr", mode="w", zarr_format=2)
    folder = path / "results.zarr" / "status"
    folder.mkdir()
    (folder / ".zarray").write_text(json.dumps({
        "shape": [1], "chunks": [1], "dtype": "|O", "fill_value": None, "order": "C",
        "filters": [{"id": "pickle", "protocol": 5}], "compressor": None, "zarr_format": 2,
    }))  # fmt: skip
    (folder / ".zattrs").write_text(json.dumps({"_ARRAY_DIMENSIONS": ["seed"]}))
    (folder / "0").write_bytes(pickle.dumps([Trap(path.parent / "trapped"), "|O", [1]]))


def rename(path, name):
    (path / "blocks" / "all.json").rename(path / "blocks" / f"{name}.json")


def bomb(size):
    """A chunk whose frame declares that it decodes to `size` bytes."""

    def change(path):
        chunk = next(f for f in (path / "results.zarr/loss/c").rglob("*") if f.is_file())
        header = b"\x28\xb5\x2f\xfd" + (
            b"\xe0" + size.to_bytes(8, "little") if size else b"\x00\x58"
        )
        chunk.write_bytes(header + b"\x01\x00\x00")

    return change


RESULTS = {
    "a chunk of 10^15 bytes": bomb(10**15),
    "a chunk of unknown size": bomb(None),
    "a huge status": array("status", shape=[10**6, 10**6, 10]),
    "a huge chunk": array("status", chunks=[10**6, 10**6, 10]),
    "a huge axis": array("seed", shape=[10**13]),
    "a negative length": array("status", shape=[-1, 1, 3]),
    "another shape": array("status", shape=[1, 1, 4]),
    "another codec": array("loss", codecs=[{"name": "bytes"}, {"name": "numcodecs.pickle"}]),
    "another type": array("loss", data_type={"name": "my.type", "configuration": {}}),
    "a pickle filter": pickled,
    "10^12 runs": axes(**{name: [0] * 1000 for name in ("seed", "hidden", "alpha", "batch")}),
    "a block called ..": lambda p: rename(p, ".."),
    "a block called .hidden": lambda p: rename(p, ".hidden"),
    "cells beyond integers": lambda p: edit(
        p / "blocks/all.json", lambda m: m.update(cells=[[0, 0, 10**30]])
    ),
    "growth elsewhere": lambda p: edit(
        p / "manifest.json", lambda m: m.update(growth="/../../elsewhere")
    ),
    "growth that is no text": lambda p: edit(p / "manifest.json", lambda m: m.update(growth=3)),
    "deep nesting": lambda p: (p / "blocks/all.json").write_text("[" * 10**5),
    "results elsewhere": outside("results.zarr"),
    "an array elsewhere": outside("results.zarr/loss"),
    "a manifest elsewhere": outside("manifest.json"),
    "a marker elsewhere": outside("blocks/all.json"),
    "a marker that is a pipe": pipe("blocks/all.json"),
    "an array that is a pipe": pipe("results.zarr/loss/zarr.json"),
}


@pytest.mark.parametrize("size", [1, 200, 255, 256, 300, 65_791, 65_792, 10**6])
def test_chunks_declare_what_they_decode_to(size, tmp_path):
    from zarr.codecs import ZstdCodec

    group = zarr.open_group(tmp_path / "a", mode="w", zarr_format=3)
    group.create_array("x", shape=(size,), dtype="u1", chunks=(size,), compressors=ZstdCodec())
    group["x"][:] = 7
    (chunk,) = (tmp_path / "a/x/c").iterdir()
    assert limits._uncompressed(chunk) == size


def test_a_whole_chunk_larger_than_the_memory_is_not_damaged(tmp_path, monkeypatch):
    from zarr.codecs import ZstdCodec

    group, size = zarr.open_group(tmp_path / "a", mode="w", zarr_format=3), 2**22
    group.create_array("x", shape=(size,), dtype="u1", chunks=(size,), compressors=ZstdCodec())
    group["x"][:] = 7
    limits.require_arrays(tmp_path / "a")
    monkeypatch.setattr(limits, "free_memory", lambda: 2 * size - 2)
    with pytest.raises(StoreError, match=r"^store: \S*a takes 4,194,304 bytes") as error:
        limits.require_arrays(tmp_path / "a")
    assert not isinstance(error.value, DamageError)
    monkeypatch.undo()  # with any memory: a chunk that declares more than the array has
    (chunk,) = (tmp_path / "a/x/c").iterdir()
    frame = chunk.read_bytes()
    chunk.write_bytes(frame[:4] + b"\xe0" + (size + 1).to_bytes(8, "little") + frame[9:])
    assert limits._uncompressed(chunk) == size + 1
    with pytest.raises(DamageError, match=r"^store: .*is damaged"):
        limits.require_arrays(tmp_path / "a")


def test_hidden_files_of_a_file_manager_are_no_damage(store):
    weights = load_parameters(store, seed=1)
    (store / "parameters/all/.DS_Store").write_bytes(b"icons")
    (store / "parameters/all/d/.DS_Store").write_bytes(b"icons")
    chex.assert_trees_all_equal(load_parameters(store, seed=1), weights)
    (store / "parameters/all/extra").write_bytes(b"data")
    with pytest.raises(DamageError, match="not what was written"):
        load_parameters(store, seed=1)


def test_a_store_that_grows_while_it_is_loaded_gives_the_same_networks(store, monkeypatch):
    """The new seed comes first, so that all others change their places."""
    whole, load, calls = load_population(store, seeds=(1, 2)), train.load_weights, []
    more = SWEEP.with_axes(seed=(9, 0, 1, 2))
    config = sweep_config(more, Engine())

    def grows(path, cells):
        if not calls:
            with ResultStore(path, empty_results(more), config) as opened:
                opened.prepare()
        calls.append(cells)
        return load(path, cells)

    monkeypatch.setattr(train, "load_weights", grows)
    found = load_population(store, seeds=(1, 2))
    assert [[cell[-1] for cell in cells] for cells in calls] == [[1, 2], [2, 3]]
    assert found.seeds.tolist() == [1, 2]
    chex.assert_trees_all_equal(found.params, whole.params)


def test_weights_of_repeated_and_of_no_runs(store):
    cells = [[0, 0, 2], [0, 0, 0], [0, 0, 2]]
    found = load_weights(store, cells).trained["recurrent"]
    alone = [load_parameters(store, seed=seed)["recurrent"] for seed in (2, 0, 2)]
    np.testing.assert_array_equal(found, alone)
    for cells in ([], [0, 0, 1], [[0, 0, 1], [0]], [["0", 0, 1]], 3, [[0.5, 0, 0]]):
        with pytest.raises(ValueError, match="^cells: expected indices of at least one run"):
            load_weights(store, cells)
    with pytest.raises(StoreError, match=r"no finished run \(0, 0, 5\)"):
        load_weights(store, [[0, 0, 1], [0, 0, 5]])


def test_networks_without_weights_are_named(store):
    """A folder to which an earlier version added results without weights."""
    more = SWEEP.with_axes(seed=(0, 1, 2, 7))
    template, cells = empty_results(more), np.array([[0, 0, 3]])
    values = {n: np.ones((1, *v.shape[3:]), v.dtype) for n, v in template.data_vars.items()}
    before = snapshot(store)
    with pytest.raises(ValueError, match="^keep_parameters: expected True"):
        rnnjax.run_sweep(more, store, keep_parameters=False)
    assert snapshot(store).items() >= before.items()
    with ResultStore(store, template, sweep_config(more, Engine())) as opened:
        assert opened.keeps_parameters()
        opened.write("bare", cells, values)
        assert not opened.keeps_parameters()
    assert load_population(store, seeds=(1, 2)).seeds.tolist() == [1, 2]
    for load in (load_population, lambda path: load_parameters(path, seed=7)):
        with pytest.raises(StoreError, match=r"no weights of 1 network, such as .*seed=7"):
            load(store)


@pytest.mark.slow
@pytest.mark.parametrize("attack", RESULTS)
def test_hostile_results_are_refused(attack, store):
    RESULTS[attack](store)
    for load in (load_results, load_population):
        with pytest.raises(StoreError, match="^store: ") as error:
            load(store)
        assert "\n" not in str(error.value)
    assert not (store.parent / "trapped").exists()


def weights_called(initial, trained):
    def change(path):
        ones = np.ones((3, 2), "f4")
        save_weights(path, "all", Weights({initial: ones}, {trained: ones}))

    return change


def enlarge(path):
    """Weights that are declared to be larger than any memory."""
    import tensorstore

    place = {"driver": "ocdbt", "base": f"file://{path / 'parameters' / 'all'}/"}
    spec = {"driver": "zarr", "kvstore": {**place, "path": "trained.recurrent/"}}
    declared = {"shape": [3, 10**7, 10**7], "chunks": [3, 3, 3], "dtype": "<f4"}
    tensorstore.open({**spec, "metadata": declared}, create=True, delete_existing=True).result()


@pytest.mark.parametrize(
    "fields",
    [{"rows": [0, 1, 10**10]}, {"sweep": ["x"]}, {"seconds": "x"}, {"rows": [0, 1, -1]}],
    ids=str,
)
def test_hostile_markers_are_damaged(fields, store):
    edit(store / "blocks" / "all.json", lambda marker: marker.update(fields))
    assert str(store / "blocks" / "all.json") in "".join(damages(store))
    for read in (load_results, progress, lambda path: load_parameters(path, seed=1)):
        with pytest.raises(DamageError, match="all.json is damaged"):
            read(store)


def test_rows_that_a_block_does_not_have_are_damage(store):
    edit(store / "blocks" / "all.json", lambda marker: marker.update(rows=[0, 1, 7]))
    load_parameters(store, seed=1)
    with pytest.raises(StoreError, match="^store: .*no row 7"):
        load_parameters(store, seed=2)


def test_one_network_is_loaded_without_the_results(store):
    whole = load_parameters(store, seed=1)
    shutil.rmtree(store / "results.zarr")
    chex.assert_trees_all_equal(load_parameters(store, seed=1), whole)


WEIGHTS = {
    "weights elsewhere": outside("parameters/all"),
    "a file of weights elsewhere": outside("parameters/all/_METADATA"),
    "a name that is a path": weights_called("../input", "../input"),
    "other names after training": weights_called("input", "output"),
    "huge weights": enlarge,
}


@pytest.mark.parametrize("attack", WEIGHTS)
def test_hostile_weights_are_refused(attack, store):
    WEIGHTS[attack](store)
    load_results(store)  # as good as before
    with pytest.raises(StoreError, match=r"^store: .*parameters"):
        load_parameters(store, seed=1)


def test_classes_are_not_imported_by_name(store, monkeypatch):
    def refuse(name, *_):
        pytest.fail(f"{name} was imported")

    monkeypatch.setattr("importlib.import_module", refuse)
    for name in ("os.system", "subprocess.Popen", "Population", "dict"):
        edit(store / "manifest.json", lambda m, n=name: m["config"]["cell"].update(type=n))
        with pytest.raises(StoreError, match="cannot be rebuilt"):
            load_sweep(store)


@pytest.mark.parametrize("part", ["labels", "axes", "dimensions", "recipe", "task"])
@pytest.mark.parametrize("value", [None, [], [[1]], {"a": []}, 3, "text"], ids=str)
def test_a_sweep_of_other_types_is_refused(part, value, store):
    edit(store / "manifest.json", lambda m: m["config"].update({part: value}))
    with pytest.raises(StoreError, match="^store: "):
        load_sweep(store)


def test_a_sweep_is_not_continued_through_a_link(store):
    (store / "blocks" / "all.json").unlink()
    outside("results.zarr")(store)
    with pytest.raises(StoreError, match="plain files and folders"):
        rnnjax.run_sweep(SWEEP, store)
    assert (store.parent / "elsewhere" / "loss").is_dir()


@pytest.mark.parametrize(
    "entry", ["blocks", "parameters", "results.zarr", "metadata.sha256", "manifest.json", "lock"]
)
def test_no_entry_of_a_store_may_be_a_link(entry, store):
    outside(entry)(store)
    away = store.parent / "elsewhere"
    before = snapshot(away)
    for attempt in (load_results, lambda path: rnnjax.run_sweep(SWEEP, path)):
        with pytest.raises(StoreError, match="plain files and folders"):
            attempt(store)
    (store / "lock").unlink(missing_ok=True)
    if entry == "parameters":
        with pytest.raises(StoreError, match="got the link"):
            save_weights(store, "all", Weights({}, {}))
    assert snapshot(away) == before


def snapshot(path):
    files = [path] if path.is_file() else [f for f in path.rglob("*") if f.is_file()]
    return {file: (file.stat().st_mtime_ns, file.read_bytes()) for file in files}


def test_more_runs_than_are_read_are_not_written(tmp_path):
    config = {"axes": {"seed": [0] * 4000, "hidden": [1] * 4000}}
    with (
        pytest.raises(StoreError, match=r"at most 10,000,000 runs .* got 16,000,000"),
        ResultStore(tmp_path / "new", empty_results(SWEEP), config),
    ):
        pass


def test_files_larger_than_the_memory_are_not_read(tmp_path, monkeypatch):
    file = tmp_path / "large.json"
    file.write_text(f"[1, 2, 3{' ' * 2**20}]")
    assert read_json(file) == [1, 2, 3]
    monkeypatch.setattr(limits, "free_memory", lambda: 2**21 + 17)
    with pytest.raises(StoreError, match="takes 1,048,585 bytes, expected at most 1,048,584"):
        read_json(file)


def test_states_larger_than_the_memory_are_not_called_damaged(tmp_path, monkeypatch):
    expected = save_state(tmp_path, "block", {"losses": np.zeros(2**19, "f4")})
    assert load_state(tmp_path, "block", expected)["losses"].shape == (2**19,)
    monkeypatch.setattr(limits, "free_memory", lambda: 0)
    with pytest.raises(StoreError, match="expected at most 0") as error:
        load_state(tmp_path, "block", expected)
    assert not isinstance(error.value, DamageError)


@pytest.mark.parametrize(("blocks", "wanted"), [(1, 8), (8, 1)], ids=["all of one", "one of each"])
def test_gathered_weights_take_little_more_than_a_block_beside_them(blocks, wanted):
    size = 8 * 2**18  # bytes of a block

    def load():
        return Weights(*({"w": np.ones((8, 2**15), "f4")} for _ in range(2)))

    cells = [[(block, row) for row in range(8)] for block in range(blocks)]
    chosen = [cell for block in cells for cell in block[:wanted]]
    tracemalloc.start()
    found = gather_weights("here", None, ((held, load) for held in cells), chosen)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found.trained["w"].shape == (8, 2**15)
    assert peak < 2.3 * size


@pytest.mark.parametrize("where", ["results.zarr/loss/zarr.json", "results.zarr/loss"])
def test_restoring_writes_nothing_through_a_link(store, tmp_path, where):
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "zarr.json").write_text("mine")
    before = (mine / "zarr.json").stat()
    place = store / where
    shutil.rmtree(place) if place.is_dir() else place.unlink()
    place.symlink_to(mine if place.name == "loss" else mine / "zarr.json")
    with pytest.raises(StoreError, match="plain file"):
        rnnjax.run_sweep(SWEEP, store)
    assert {file.name: file.read_text() for file in mine.iterdir()} == {"zarr.json": "mine"}
    assert (mine / "zarr.json").stat().st_mtime_ns == before.st_mtime_ns  # not even for a while
