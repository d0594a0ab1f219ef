"""More seeds, widths, tasks and epochs in a folder: equal to the whole, and nothing twice."""

import dataclasses
import json

import chex
import numpy as np
import pytest

import rnnjax
import tiny
from alike import same
from rnnjax import Engine, ProgressBar, StoreError, load_population, load_results, run_sweep
from rnnjax.store import DamageError, load_weights, merge
from rnnjax.studies.status import damages
from rnnjax.sweep import MemoryStore
from rnnjax.training import Plateau

PAIRS = Engine(block_runs=2)  # one size of program for all calls


def grid(**axes):
    return tiny.sweep("delayed_match", {"learning_rate": (0.3,), **axes})


def times(path):
    """When each file of a finished block was written."""
    files = [f for part in ("blocks", "parameters") for f in (path / part).rglob("*")]
    return {file: file.stat().st_mtime_ns for file in files if file.is_file()}


def _cells(path):
    """Number of runs in every block."""
    return [len(json.loads(file.read_text())["cells"]) for file in (path / "blocks").iterdir()]


def kept(path, results):
    cells = np.argwhere(results["status"].values > 0).tolist()
    return load_weights(path, cells)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("some", "more"),
    [
        ({"seed": range(4)}, {"seed": range(10)}),
        ({"hidden": (3, 5), "seed": (0, 1)}, {"hidden": (3, 4, 5), "seed": (0, 1)}),
        ({"seed": (4, 0), "learning_rate": (0.1, 0.3)},
         {"seed": (5, 4, 1, 0), "learning_rate": (0.3, 0.03, 0.1)}),
    ],
    ids=["seeds", "widths", "seeds and rates"],
)  # fmt: skip
def test_a_sweep_with_more_values_equals_the_whole(some, more, tmp_path):
    path = tmp_path / "store"
    first = run_sweep(grid(**some), path, engine=PAIRS, keep_parameters=True)
    before, trained = times(path), []
    result = run_sweep(
        grid(**some).with_axes(**more), path, engine=PAIRS, keep_parameters=True,
        after_block=lambda found: trained.append(int((found["status"] > 0).sum())),
    )  # fmt: skip
    whole = run_sweep(grid(**more), tmp_path / "whole", engine=PAIRS, keep_parameters=True)
    same(result, whole)
    same(load_results(path), whole)
    if whole.sizes.get("hidden", 1) == 1:
        chex.assert_trees_all_equal(kept(path, whole), kept(tmp_path / "whole", whole))
    assert before.items() <= times(path).items()
    assert trained[0] in (first["status"].size + 1, first["status"].size + 2)
    assert trained[-1] == whole["status"].size == sum(_cells(path))
    again = run_sweep(grid(**some), path, engine=PAIRS, after_block=trained.append)
    same(again, first)
    assert isinstance(trained[-1], int)  # nothing was computed
    memory = MemoryStore()
    run_sweep(grid(**some), memory, engine=PAIRS)
    same(run_sweep(grid(**more), memory, engine=PAIRS), whole)


CONDITION = {"learning_rate": 0.3, "evaluation_trials": tiny.TRIALS, "engine": PAIRS}
PARTS = (tiny.TASKS["delayed_match"], tiny.CELL, tiny.recipe())


@pytest.mark.slow
def test_a_population_with_more_seeds_equals_the_whole(tmp_path):
    path = tmp_path / "population"
    few = rnnjax.train_population(*PARTS, seeds=6, store=path, **CONDITION)
    before = times(path)
    more = rnnjax.train_population(*PARTS, seeds=12, store=path, **CONDITION)
    whole = rnnjax.train_population(*PARTS, seeds=12, **CONDITION)
    for one, other in ((more, whole), (load_population(path), whole), (few, whole[:6])):
        chex.assert_trees_all_equal(one.params, other.params)
        chex.assert_trees_all_equal(one.initial, other.initial)
        same(one.results, other.results)
    assert before.items() <= times(path).items()
    after = times(path)
    part = rnnjax.train_population(*PARTS, seeds=(7, 2), store=path, **CONDITION)
    chosen = load_population(path, seeds=(7, 2))
    for one in (part, chosen):
        assert one.seeds.tolist() == [7, 2]
        np.testing.assert_array_equal(one.params["readout"], whole.params["readout"][[7, 2]])
    assert times(path) == after
    with pytest.raises(StoreError, match=r"with the seeds \[12, 13\]"):
        load_population(path, seeds=14)
    with pytest.raises(
        StoreError, match="another config: learning_rate is .0.3. in the store but .0.1. in"
    ):
        rnnjax.train_population(*PARTS, seeds=2, store=path, **{**CONDITION, "learning_rate": 0.1})


@pytest.mark.slow
def test_joined_sweeps_equal_the_whole(tmp_path):
    one, two = grid(seed=(0, 1, 2, 3)), grid(seed=(2, 3, 4, 5))
    for name, sweep in (("one", one), ("two", two)):
        run_sweep(sweep, tmp_path / name, engine=Engine(block_runs=2), keep_parameters=True)
    found = merge(tmp_path / "one", tmp_path / "two", into=tmp_path / "both")
    whole = run_sweep(grid(seed=range(6)), tmp_path / "whole", engine=PAIRS, keep_parameters=True)
    same(found, whole)
    chex.assert_trees_all_equal(kept(tmp_path / "both", whole), kept(tmp_path / "whole", whole))
    three = run_sweep(grid(seed=(0, 9)), tmp_path / "three", engine=PAIRS, keep_parameters=True)
    merge(tmp_path / "three", tmp_path / "one", into=tmp_path / "shared")  # rows of a block
    more = grid(seed=(0, 1, 2, 3, 9))
    result = run_sweep(more, tmp_path / "shared", engine=PAIRS, keep_parameters=True)
    assert three["status"].size == 2
    fresh = MemoryStore()
    same(result, run_sweep(more, fresh, engine=PAIRS, keep_parameters=True))
    cells = np.argwhere(result["status"].values > 0).tolist()
    shared = load_weights(tmp_path / "shared", cells)
    chex.assert_trees_all_equal(shared, fresh.load_weights(cells))


# --- more epochs ----------------------------------------------------------------------------------

RECIPES = {
    "sgd": {},
    "restarts": {"optimizer": "adam", "clip": 1.0, "schedule": "cosine_restarts"},
    "threshold": {"optimizer": "adam", "stop": "threshold", "threshold": 0.237, "patience": 2,
                  "steps_per_epoch": 2, "validation_trials": 6, "schedule": Plateau(patience=1)},
}  # fmt: skip
STATES = Engine(block_runs=2, keep_state=True, points=7)


def epochs(number, recipe="sgd", **axes):
    axes = {"learning_rate": (0.003, 0.3), "seed": (0, 1), **axes}
    return tiny.sweep("delayed_match", axes, epochs=number, **RECIPES[recipe])


@pytest.mark.slow
@pytest.mark.parametrize("recipe", RECIPES)
def test_more_epochs_equal_the_whole(recipe, tmp_path):
    path = tmp_path / "store"
    few = run_sweep(epochs(3, recipe), path, engine=STATES, keep_parameters=True)
    if recipe == "sgd":  # some of the runs, and then still more epochs
        mask = np.array([[True, True], [False, False]])
        run_sweep(epochs(9), path, engine=STATES, keep_parameters=True, mask=mask)
    taken = []
    result = run_sweep(
        epochs(12, recipe, seed=(0, 1, 2)), path, engine=STATES, keep_parameters=True,
        progress=Counter(taken),
    )  # fmt: skip
    whole = run_sweep(
        epochs(12, recipe, seed=(0, 1, 2)), tmp_path / "whole", engine=STATES, keep_parameters=True
    )
    same(result, whole)
    chex.assert_trees_all_equal(kept(path, whole), kept(tmp_path / "whole", whole))
    same(load_results(path / "earlier" / "epochs-3"), few)
    assert 0 < sum(taken) < int(whole["steps_taken"].sum())
    if recipe == "threshold":
        assert set(np.unique(whole["status"])) == {2, 4}
    with pytest.raises(StoreError, match=r"epochs is 12 in the store but 3 in.*earlier/epochs-3\)"):
        run_sweep(epochs(3, recipe), path, engine=STATES)


class Counter:
    """Counts run-steps."""

    def __init__(self, taken):
        self._taken = taken

    def begin(self, blocks, finished, found):
        pass

    def compile(self, block):
        pass

    def advance(self, block, segment):
        self._taken.append(segment.steps)

    def end(self):
        pass


@pytest.mark.slow
def test_more_epochs_need_the_states(tmp_path):
    path = tmp_path / "store"
    run_sweep(epochs(3), path, engine=dataclasses.replace(STATES, keep_state=False))
    before = times(path)
    for sweep in (epochs(9), epochs(9, seed=(0, 1, 2))):
        with pytest.raises(StoreError, match=r"3 in the store but 9 in.*keep_state=True"):
            run_sweep(sweep, path, engine=STATES)
    with pytest.raises(StoreError, match=r"epochs is 3 in the store but 2 in"):
        run_sweep(epochs(2), path, engine=STATES)
    assert times(path) == before
    assert not (path / "earlier").exists()
    memory = MemoryStore()
    run_sweep(epochs(3), memory, engine=PAIRS)
    with pytest.raises(StoreError, match=r"another sweep: recipe.epochs is 3 in the store but 9"):
        run_sweep(epochs(9), memory, engine=PAIRS)
    for store, got in ((None, "none"), (memory, "a MemoryStore")):
        with pytest.raises(ValueError, match=f"^keep_state: expected a folder .*got {got}"):
            run_sweep(epochs(9), store, engine=STATES)


@pytest.mark.slow
def test_a_damaged_state_is_found_before_anything_changes(tmp_path):
    path, other = tmp_path / "store", tmp_path / "other"
    run_sweep(epochs(3), path, engine=STATES, keep_parameters=True)
    run_sweep(epochs(3, seed=(5,)), other, engine=STATES, keep_parameters=True)
    state = next((path / "states").glob("*.npz"))
    whole = state.read_bytes()
    state.write_bytes(whole + b"x")
    assert any(str(state) in problem for problem in damages(path))
    before = times(path)
    with pytest.raises(DamageError) as error:
        run_sweep(epochs(9), path, engine=STATES, keep_parameters=True)
    assert times(path) == before
    assert not (path / "earlier").exists()
    assert [file.suffix for file in error.value.files] == [".npz", ".json"]
    state.write_bytes(whole)
    assert not list(damages(path))
    # Joined stores go on too, and what they leave behind is checked.
    joined = tmp_path / "joined"
    merge(path, other, into=joined)
    longer = epochs(9, seed=(0, 1, 5))
    result = run_sweep(longer, joined, engine=STATES, keep_parameters=True)
    same(result, run_sweep(longer, engine=dataclasses.replace(STATES, keep_state=False)))
    assert not list(damages(joined))
    kept_state = next((joined / "earlier" / "epochs-3" / "states").glob("*.npz"))
    kept_state.write_bytes(kept_state.read_bytes() + b"x")
    assert any(str(kept_state) in problem for problem in damages(joined))


# --- messages -------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_bar_says_how_many_blocks_are_found(tmp_path, capsys):
    mask = np.array([[True, True, True, True, False, False]])
    run_sweep(grid(seed=range(6)), tmp_path, engine=PAIRS, mask=mask)
    run_sweep(grid(seed=range(6)), tmp_path, engine=PAIRS, progress=ProgressBar("tiny"))
    assert "tiny: 2 of 3 blocks found, 1 to do\n" in capsys.readouterr().err
