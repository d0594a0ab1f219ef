"""Properties of every registered cell."""

import dataclasses
import functools
import itertools
import json

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import tiny
from rnnjax import cells
from rnnjax.parametrization import MuPAdam
from rnnjax.store import describe
from rnnjax.trajectory import rollout

B, T, N, I, O = 2, 4, 5, 3, 2  # noqa: E741
VARIANTS = {
    "rate": ({}, {"bias": True, "alpha": 1.0, "init": "xavier"}),
    "current": ({}, {"bias": True, "tau": 0.3, "parametrization": MuPAdam()}),
    "linear_attention": ({"head": 1}, {"head": N, "decay": 0.7}),
    "structured": (
        {"structure": cells.Sparse(0.5), "cell": cells.current(tau=0.3, bias=True)},
        {"structure": cells.Blocks(5), "parametrization": MuPAdam()},
        *({"structure": name} for name in cells.STRUCTURES if name not in ("sparse", "blocks")),
    ),
}
CASES = [(name, options) for name in cells.REGISTRY for options in VARIANTS.get(name, ({},))]
KEY = jax.random.key(1)


@functools.partial(jax.jit, static_argnums=0)
def run(cell, params, inputs):
    """Slopes of a loss, and the trajectory."""

    def loss(params):
        found = rollout(cell, params, inputs)
        return jnp.sum(jnp.square(found.outputs - 1)), found

    return jax.grad(loss, has_aux=True)(params)


@pytest.fixture(params=CASES, ids=str)
def cell(request):
    name, options = request.param
    return cells.make(name, hidden=N, inputs=I, outputs=O, **options)


@pytest.fixture
def inputs():
    return np.random.default_rng(2).normal(size=(B, T, I)).astype("f4")


def test_weights_have_the_shapes_of_the_leaves(cell):
    params = cell.init(KEY)
    assert {k: v.shape for k, v in params.items()} == {k: v.shape for k, v in cell.leaves().items()}
    assert all(weight.dtype == jnp.float32 for weight in params.values())
    chex.assert_tree_all_finite(params)
    for name, leaf in cell.leaves().items():
        assert leaf.fan_in > 0
        assert cell.rule(name).scale >= 0


@pytest.mark.slow
@pytest.mark.parametrize("name", cells.REGISTRY)
def test_the_public_check_passes(name):
    assert name.partition("_dense")[0] in cells.check(cells.make(name, hidden=8))


def test_initialization_is_pure_in_its_key_and_leaves_are_independent(cell):
    params, again, other = cell.init(KEY), cell.init(KEY), cell.init(jax.random.key(5))
    drawn = [name for name in params if cell.rule(name).distribution != "zeros"]
    chex.assert_trees_all_equal(params, again)
    for name in drawn:
        assert not np.array_equal(params[name], other[name])
    signs = [np.ravel(params[name])[: N * O] > 0 for name in drawn if params[name].size >= N * O]
    assert all(not np.array_equal(a, b) for a, b in itertools.pairwise(signs))


def test_rollout_is_step_and_readout_in_a_plain_loop(cell, inputs):
    params = cell.init(KEY)
    trajectory = jax.tree.map(np.asarray, run(cell, params, inputs)[1])
    assert trajectory.outputs.shape == (B, T, O)
    for b in range(B):
        state = cell.initial_state(params)
        drive = np.asarray(cell.drive(params, inputs[b]))
        for t in range(T):
            state = cell.step(params, state, drive[t])
            np.testing.assert_allclose(trajectory.states[b, t], state, rtol=1e-5, atol=1e-6)
            output = cell.readout(params, state)
            np.testing.assert_allclose(trajectory.outputs[b, t], output, rtol=1e-5, atol=1e-6)


def test_rates_and_connectivity_have_their_shapes(cell, inputs):
    params = cell.init(KEY)
    states = np.asarray(run(cell, params, inputs)[1].states)[0]
    rates = cell.rates(params, states, inputs[0], cell.initial_state(params))
    assert rates.shape == (T, N)
    if type(cell).connectivity is cells.Cell.connectivity:
        with pytest.raises(ValueError, match=cell.name):
            cell.connectivity(params)
    else:
        assert cell.connectivity(params).shape == (N, N)


def test_an_additive_cells_step_is_its_update_of_the_current(cell):
    if not isinstance(cell, cells.AdditiveCell):
        pytest.skip("only additive cells have a current")
    params = cell.init(KEY)
    state, drive = np.random.default_rng(2).normal(size=(2, N)).astype("f4")
    weights = cell.connectivity(params)
    expected = cell.update(state, jnp.matmul(weights, cell.emit(state)) + drive)
    np.testing.assert_allclose(cell.step(params, state, drive), expected, rtol=1e-6)


def test_every_weight_that_is_trained_has_a_gradient(cell, inputs):
    slopes, _ = run(cell, cell.init(KEY), inputs)
    for name, slope in slopes.items():
        assert np.any(np.asarray(slope) != 0) == (cell.leaves()[name].role != "fixed")


def test_specs_are_equal_hashable_frozen_and_describable(cell):
    same = dataclasses.replace(cell)
    assert (cell == same, hash(cell) == hash(same)) == (True, True)
    assert cell != dataclasses.replace(cell, hidden=2 * N)
    assert json.loads(json.dumps(describe(cell))) == describe(cell)
    with pytest.raises(dataclasses.FrozenInstanceError):
        cell.hidden = 3


@pytest.mark.parametrize("task", tiny.TASKS.values(), ids=tiny.TASKS)
def test_fitted_changes_only_the_channels(cell, task):
    fitted = cells.fitted(cell, task)
    assert (fitted.inputs, fitted.outputs) == (task.inputs, task.outputs)
    assert dataclasses.replace(fitted, inputs=I, outputs=O) == cell


@pytest.mark.parametrize("name", cells.REGISTRY)
def test_invalid_sizes_are_named(name):
    for field, value in itertools.product(("hidden", "inputs", "outputs"), (0, -1, 2.5)):
        with pytest.raises(ValueError, match=rf"^{field}: expected .* got {value}"):
            cells.make(name, **{field: value})


def test_the_error_for_an_unknown_cell_suggests_the_nearest():
    with pytest.raises(ValueError, match=r"cell: .*did you mean 'rate'"):
        cells.make("rates")
