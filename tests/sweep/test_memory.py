"""A store in memory keeps what a store on disk keeps."""

import chex
import numpy as np
import pytest

import tiny
from alike import same
from rnnjax import Engine, StoreError, load_population, run_sweep
from rnnjax.store import load_weights
from rnnjax.sweep import MemoryStore

SWEEP = tiny.sweep("delayed_match", {"seed": (0, 1, 2)})
ENGINE = Engine(block_runs=4, points=5)
CELLS = [(1, 2), (0, 0), (1, 1)]


@pytest.fixture(scope="module")
def memory():
    store = MemoryStore()
    run_sweep(SWEEP, store, engine=ENGINE, keep_parameters=True)
    return store


@pytest.mark.slow
def test_results_and_weights_equal_those_on_disk(memory, tmp_path):
    results = run_sweep(SWEEP, tmp_path / "store", engine=ENGINE, keep_parameters=True)
    same(memory.read(), results)
    on_disk = load_weights(tmp_path / "store", CELLS)
    chex.assert_trees_all_equal(memory.load_weights(CELLS), on_disk)
    assert not np.array_equal(on_disk.initial["recurrent"], on_disk.trained["recurrent"])
    one, other = (load_population(s, learning_rate=0.3) for s in (memory, tmp_path / "store"))
    same(one.results, other.results)
    chex.assert_trees_all_equal(one.params, other.params)
    assert (one.setup, one.recorded) == (other.setup, other.recorded)


@pytest.mark.slow
def test_a_second_call_computes_the_rest_only():
    mask, store, blocks = np.zeros(SWEEP.shape, bool), MemoryStore(), []
    mask[0, :2] = True
    run_sweep(SWEEP, store, engine=ENGINE, mask=mask, keep_parameters=True)
    np.testing.assert_array_equal(store.finished(), mask)
    with pytest.raises(ValueError, match="^keep_parameters: expected True"):
        run_sweep(SWEEP, store, engine=ENGINE, keep_parameters=False)
    results = run_sweep(SWEEP, store, engine=ENGINE, after_block=blocks.append)
    assert len(blocks) == 2
    assert store.keeps_parameters()
    assert store.finished().all()
    assert bool((results["status"] > 0).all())
    run_sweep(SWEEP, store, engine=ENGINE, after_block=blocks.append)
    assert len(blocks) == 2
    store.keep(np.array([[0, 0]]), {}, None)  # as without the weights of one network
    cells = [(1, 2), (0, 1), (1, 1)]
    assert len(store.load_weights(cells).trained["recurrent"]) == 3


@pytest.mark.slow
def test_refusals(memory):
    with pytest.raises(StoreError, match="^store: .*another sweep"):
        run_sweep(tiny.sweep("delayed_match"), memory)
    with pytest.raises(StoreError, match="^store: .*another sweep"):
        run_sweep(SWEEP, memory, engine=Engine(points=7))
    with pytest.raises(StoreError, match="^store: .*got an empty one"):
        load_population(MemoryStore())
    bare = MemoryStore()
    run_sweep(SWEEP, bare, engine=ENGINE)
    with pytest.raises(StoreError, match="kept no weights"):
        bare.load_weights(CELLS)
    with pytest.raises(StoreError, match="kept no weights"):
        run_sweep(SWEEP, bare, engine=ENGINE, keep_parameters=True)
    with pytest.raises(StoreError, match=r"no finished run \(1, 5\)"):
        memory.load_weights([(1, 5)])
