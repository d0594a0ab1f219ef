"""Tangent kernels against central differences and explicit Jacobians; alignments; weight change."""

import functools
import tracemalloc

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import tiny
from references import DATA
from rnnjax import rollout
from rnnjax.metrics import features
from rnnjax.metrics.features import (
    kernel_alignment,
    ntk_gram,
    representation_alignment,
    weight_change,
)

with np.load(DATA / "representations.npz") as file:
    REFERENCE = dict(file)


@pytest.fixture
def rng():
    return np.random.default_rng(1)


def tanh_network(params, inputs):
    """Outputs [B, T, O] of h = tanh(W h + U x + b), y = R h, from h = 0."""
    h, outputs = jnp.zeros((len(inputs), len(params["b"])), inputs.dtype), []
    for x in inputs.swapaxes(0, 1):
        h = jnp.tanh(h @ params["W"].T + x @ params["U"].T + params["b"][None])
        outputs.append(h @ params["R"].T)
    return jnp.stack(outputs, axis=1)


def rolled(kernel, params, inputs):
    return rollout(tiny.CELL, params, inputs, kernel=kernel).outputs[:, 1::2]


ROLLED = {kernel: functools.partial(rolled, kernel) for kernel in ("auto", "autodiff")}
PARAMS = tiny.CELL.init(jax.random.key(0))
INPUTS = np.random.default_rng(0).normal(size=(3, 5, 1)).astype("f4")


@functools.cache
def explicit_jacobian():
    """Derivatives [outputs, weights] of the outputs of the cell by each leaf."""
    found = jax.jit(jax.jacrev(ROLLED["autodiff"]))(PARAMS, INPUTS)
    return {
        name: np.asarray(part, np.float64).reshape(-1, PARAMS[name].size)
        for name, part in found.items()
    }


def explicit_gram(leaves):
    """J J^T of the whole Jacobian."""
    whole = np.concatenate([explicit_jacobian()[name] for name in leaves], axis=1)
    return whole @ whole.T


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize(("leaves", "which"), [(None, "all"), (("W",), "W")])
def test_central_differences(leaves, which):
    kernels = []
    for s in range(2):
        params = {name: REFERENCE[f"ntk_{name}"][s] for name in "WUbR"}
        kernels.append(ntk_gram(tanh_network, params, REFERENCE["ntk_x"], leaves=leaves))
        np.testing.assert_allclose(kernels[s], REFERENCE[f"ntk_K_{which}"][s], rtol=0, atol=1e-7)
    alignment = kernel_alignment(*kernels)
    assert alignment == pytest.approx(float(REFERENCE[f"ntk_KA_{which}"]), abs=1e-8)


@pytest.mark.slow
@pytest.mark.parametrize("apply", ROLLED.values(), ids=ROLLED)
@pytest.mark.parametrize("leaves", [None, ["recurrent"], ["readout", "input"]])
def test_explicit_jacobian_of_a_cell(apply, leaves):
    """Also through a custom backward pass, which forward mode cannot differentiate."""
    gram = ntk_gram(apply, PARAMS, INPUTS, leaves=leaves)
    expected = explicit_gram(leaves or list(PARAMS))
    np.testing.assert_allclose(gram, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())
    np.testing.assert_array_equal(gram, gram.T)


def test_blocks_join_to_the_whole_and_stay_within_memory(monkeypatch):
    sizes, jacobian = [], features._jacobian

    def record(*arguments):
        sizes.append(len(arguments[-1]))
        return jacobian(*arguments)

    monkeypatch.setattr(features, "_jacobian", record)
    apply = ROLLED["auto"]
    whole = ntk_gram(apply, PARAMS, INPUTS)
    assert sizes == [6]
    each = features._bytes_per_row(apply, {}, PARAMS, jnp.asarray(INPUTS))
    for memory, size, blocks in ((1, 1, 21), (4.5 * each, 4, 3)):
        sizes.clear()
        parts = ntk_gram(apply, PARAMS, INPUTS, memory=memory)
        np.testing.assert_allclose(parts, whole, rtol=1e-6, atol=1e-6)
        assert sizes == [size] * blocks


def test_networks_of_the_same_shape_share_a_program():
    before = features._jacobian.programs()
    for s in range(2):
        params = {name: REFERENCE[f"ntk_{name}"][s].astype("f4") for name in "WUbR"}
        ntk_gram(tanh_network, params, REFERENCE["ntk_x"].astype("f4"), memory=1e4)
    assert features._jacobian.programs() == before + 1


@pytest.mark.parametrize(
    ("apply", "leaves", "message"),
    [
        (ROLLED["auto"], ["recurent"], "leaves: .*did you mean 'recurrent'"),
        (ROLLED["auto"], [], "leaves: expected at least one name"),
        (ROLLED["auto"], "recurrent", "leaves: expected a sequence, got 'recurrent'"),
        (ROLLED["auto"], 5, "leaves: expected a sequence, got 5"),
        (lambda p, u: ROLLED["auto"](p, u)[0], None, r"apply: expected one array .* \[B, ...\]"),
        (lambda p, u: rollout(tiny.CELL, p, u), None, "apply: expected one array of outputs"),
        (lambda p, u: ROLLED["auto"](p, u) * jnp.nan, None, "expected a finite Jacobian"),
    ],
)
def test_bad_kernels_are_refused(apply, leaves, message):
    with pytest.raises(ValueError, match=message):
        ntk_gram(apply, PARAMS, INPUTS, leaves=leaves)


def test_leaves_need_a_dict():
    with pytest.raises(ValueError, match="leaves: expected params to be a dict, got ArrayImpl"):
        ntk_gram(lambda w, u: u @ w, jnp.ones((1, 2)), INPUTS, leaves=["w"])


def test_a_bare_array_has_a_kernel_too(rng):
    """Linear outputs u w: the kernel is that of the inputs."""
    inputs = rng.normal(size=(4, 3)).astype("f4")
    gram = ntk_gram(lambda w, u: u @ w, jnp.ones(3), inputs)
    np.testing.assert_allclose(gram, inputs @ inputs.T, rtol=1e-5, atol=1e-6)


def test_kernel_alignment_by_loops(rng):
    a, b = rng.normal(size=(2, 5, 5))

    def product(p, q):
        return sum(x * y for x, y in zip(p.flat, q.flat, strict=True))

    expected = product(a, b) / (product(a, a) * product(b, b)) ** 0.5
    assert kernel_alignment(a, b) == pytest.approx(expected)
    assert kernel_alignment(a, 1e-30 * a) == pytest.approx(1)


@pytest.mark.parametrize(
    ("k0", "k1", "message"),
    [
        (np.eye(3), np.eye(4), "k1: expected the shape of k0"),
        (np.ones((3, 4)), np.ones((3, 4)), r"k0: expected shape \[R, R\]"),
        (np.eye(3), np.zeros((3, 3)), "k1: expected a finite norm above 0, got 0"),
        (np.full((3, 3), np.nan), np.eye(3), "k0: expected finite numbers"),
    ],
)
def test_bad_alignments_are_refused(k0, k1, message):
    with pytest.raises(ValueError, match=message):
        kernel_alignment(k0, k1)


def test_representation_alignment_of_the_reference():
    alignment = representation_alignment(*REFERENCE["ra_H"])
    assert alignment == pytest.approx(float(REFERENCE["ra_samples"]))


@pytest.mark.parametrize("sizes", [(5, 8), (40, 30), (40, 8)], ids=["tall", "wide", "mixed"])
def test_representation_alignment_is_that_of_the_grams(rng, sizes):
    h0, h1 = (rng.normal(size=(12, units)) + 0.5 for units in sizes)
    expected = kernel_alignment(h0 @ h0.T, h1 @ h1.T)
    assert representation_alignment(h0, h1) == pytest.approx(expected)
    trials = representation_alignment(h0.reshape(3, 4, -1), h1.reshape(3, 4, -1))
    assert trials == pytest.approx(expected)
    assert representation_alignment(h0, 3e5 * h0[:, ::-1]) == pytest.approx(1)


def test_alignment_of_many_units_needs_the_gram_matrix_of_the_samples_alone(rng):
    many, few = rng.normal(size=(20, 3000)), rng.normal(size=(20, 4))
    tracemalloc.start()
    try:
        found = representation_alignment(many, few)
        assert tracemalloc.get_traced_memory()[1] < 8 * 3000**2
    finally:
        tracemalloc.stop()
    assert found == pytest.approx(kernel_alignment(many @ many.T, few @ few.T))


@pytest.mark.parametrize(
    ("h1", "message"),
    [
        (np.zeros((6, 2)), "h1: expected a finite norm above 0"),
        (np.full((6, 2), np.nan), "h1: expected finite numbers"),
        (np.ones((5, 2)), "h1: expected the samples of h0"),
    ],
)
def test_bad_representations_are_refused(h1, message):
    with pytest.raises(ValueError, match=message):
        representation_alignment(np.ones((6, 3)), h1)


def test_weight_change_by_loops(rng):
    old = {name: rng.normal(size=leaf.shape) for name, leaf in PARAMS.items()}
    new = {name: leaf + rng.normal(size=leaf.shape) for name, leaf in old.items()}
    change = weight_change(old, new)
    assert set(change.norm) == set(change.per_parameter) == set(PARAMS)
    for name in old:
        total = sum((a - b) ** 2 for a, b in zip(old[name].flat, new[name].flat, strict=True))
        assert float(change.norm[name]) == pytest.approx(total**0.5, rel=1e-5)
        per = total**0.5 / old[name].size
        assert float(change.per_parameter[name]) == pytest.approx(per, rel=1e-5)


def test_weight_change_of_an_array_a_nested_tree_and_a_population():
    assert weight_change(np.zeros((2, 2)), np.ones((2, 2))).norm == {"weights": 2}
    assert set(weight_change({"a": {"b": 0.0}}, {"a": {"b": 3.0}}).norm) == {"a.b"}
    stacks = np.zeros((3, 2, 2)), np.arange(3.0)[:, None, None] * np.ones((3, 2, 2))
    norms = jax.vmap(weight_change)(*stacks).norm["weights"]
    np.testing.assert_allclose(norms, [0, 2, 4])


@pytest.mark.slow
def test_weight_changes_of_different_networks_are_refused():
    with pytest.raises(ValueError, match="expected w of shape .2, 3., got .3, 2."):
        weight_change({"w": np.ones((2, 3))}, {"w": np.ones((3, 2))})
    with pytest.raises(ValueError, match="after: .*'bias'"):
        weight_change({"w": np.ones(2)}, {"w": np.ones(2), "bias": np.ones(2)})
