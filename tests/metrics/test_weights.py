"""Permutation-invariant distance of weights: exact optima, planted permutations, other packages."""

import functools
import itertools

import jax
import numpy as np
import pytest
from scipy.optimize import quadratic_assignment

from references import metrics
from rnnjax import devices
from rnnjax.metrics import matching
from rnnjax.metrics import weights as module
from rnnjax.metrics.base import Solved, SolverOptions
from rnnjax.metrics.matching import match
from rnnjax.metrics.pairwise import Kernel
from rnnjax.metrics.weights import compare_weights, default_starts, pif_distances, pif_pairs

KEY = jax.random.key(0)
R = metrics()


@pytest.fixture(scope="module")
def vectors():
    return {n: pif_pairs(R[f"w{n}_W1"], R[f"w{n}_W2"], key=KEY) for n in (12, 24, 64)}


def residual(w1, w2, p):
    return np.linalg.norm(w1 - w2[p][:, p])


@pytest.mark.slow
@pytest.mark.parametrize("units", [12, 24, 64])
def test_no_package_finds_a_shorter_distance(vectors, units):
    found = vectors[units].distance
    assert (found <= 1.005 * R[f"w{units}_faq_best"] + 1e-6).all()
    assert (found <= R[f"w{units}_procrustes_dist"].min(axis=1) + 1e-6).all()


@pytest.mark.slow
@pytest.mark.parametrize("units", [12, 24, 64])
def test_planted_permutations_are_recovered(vectors, units):
    kinds = R[f"w{units}_kind"].tolist()
    for kind in ("planted", "planted_noise0.3"):
        found = vectors[units].permutation[kinds.index(kind)]
        np.testing.assert_array_equal(found, R[f"w{units}_planted_perm"])
    assert vectors[units].distance[kinds.index("planted")] < 1e-6


@pytest.mark.parametrize("units", [12, 24, 64])
def test_the_distance_is_that_of_the_permutation(vectors, units):
    result, w1, w2 = vectors[units], R[f"w{units}_W1"], R[f"w{units}_W2"]
    for m, p in enumerate(result.permutation):
        assert sorted(p) == list(range(units))
        assert result.distance[m] == pytest.approx(residual(w1[m], w2[m], p), abs=1e-9)
    np.testing.assert_allclose(result.identity, R[f"w{units}_identity_dist"], rtol=1e-6)
    assert (result.lower_bound <= result.distance).all()
    assert (result.lower_bound[R[f"w{units}_kind"] != "planted"] > 0).all()


def test_seven_units_are_solved_exactly():
    result = pif_pairs(R["w7_W1"][None], R["w7_W2"][None], key=KEY)
    assert result.distance[0] == pytest.approx(R["w7_exact_dist"], abs=1e-9)
    np.testing.assert_array_equal(result.permutation[0], R["w7_exact_perm"])
    assert result.lower_bound[0] == result.distance[0]
    assert result.status[0] == Solved.CONVERGED


def test_the_search_finds_the_exact_optimum_of_seven_units():
    """Every value is that of its permutation, and the best is the exact minimum."""
    rng = np.random.default_rng(0)
    w1, w2 = rng.normal(size=(2, 4, 7, 7)).astype(np.float32)
    starts = np.full((16, 7, 7), 1 / 7, np.float32)
    starts[1:] = [np.eye(7)[rng.permutation(7)] * 0.5 + 0.5 / 7 for _ in range(15)]
    before = matching._step.programs()
    found = match(jax.numpy.asarray(w1), jax.numpy.asarray(w2), jax.numpy.asarray(starts), 30)
    assert matching._step.programs() <= before + 1  # the first step's is that of all
    exact = pif_pairs(w1, w2, key=KEY)
    for m in range(4):
        of_pair = slice(16 * m, 16 * (m + 1))
        for value, p in zip(found.value[of_pair], found.permutation[of_pair], strict=True):
            assert value == pytest.approx((w1[m] * w2[m][p][:, p]).sum(), rel=1e-4, abs=1e-4)
        p = found.permutation[of_pair][np.argmax(found.value[of_pair])]
        assert residual(w1[m], w2[m], p) == pytest.approx(exact.distance[m], rel=1e-5)


def test_no_exchange_of_two_units_helps(vectors):
    result, w1, w2 = vectors[24], R["w24_W1"], R["w24_W2"]
    p = result.permutation[0]
    for r, s in itertools.combinations(range(24), 2):
        exchanged = p.copy()
        exchanged[[r, s]] = p[[s, r]]
        assert residual(w1[0], w2[0], exchanged) >= result.distance[0] - 1e-4


def test_with_equal_starts_distances_are_no_longer_than_scipys():
    rng = np.random.default_rng(4)
    w1, w2 = rng.uniform(-1, 1, size=(2, 6, 24, 24))
    ours = pif_pairs(w1, w2, key=KEY, solver=SolverOptions(starts=4)).distance
    theirs = []
    for a, b in zip(w1, w2, strict=True):
        fits = [
            quadratic_assignment(a, b, options={"maximize": True, "P0": p0, "rng": rng}).fun
            for p0 in ("barycenter", *["randomized"] * 3)
        ]
        theirs.append(np.sqrt((a**2).sum() + (b**2).sum() - 2 * max(fits)))
    assert ours.mean() <= np.mean(theirs)


@pytest.mark.slow
def test_population_and_pairs_agree_in_any_batches():
    weights = np.random.default_rng(1).normal(size=(4, 9, 9))
    i, j = np.triu_indices(4, k=1)
    pairs = pif_pairs(weights[i], weights[j], key=KEY, solver=SolverOptions(starts=8))
    two_pairs = SolverOptions(starts=8, memory=2 * 4 * 112 * 81)
    small = compare_weights(weights, key=KEY, solver=two_pairs)
    for field in ("distance", "identity", "lower_bound", "spread"):
        full = getattr(small, field)
        np.testing.assert_array_equal(full, full.T)
        np.testing.assert_allclose(full[i, j], getattr(pairs, field), atol=1e-5)
    for first, second in itertools.product(range(4), repeat=2):
        p = small.permutation[first, second]
        assert residual(weights[first], weights[second], p) == pytest.approx(
            small.distance[first, second], abs=1e-6
        )


def test_normalizations():
    weights = np.random.default_rng(1).normal(size=(3, 6, 6))
    raw = pif_distances(weights, key=KEY)
    np.testing.assert_allclose(pif_distances(weights, key=KEY, normalize="per_parameter"), raw / 36)
    relative = pif_distances(weights, key=KEY, normalize="relative")
    norms = np.linalg.norm(weights, axis=(1, 2))
    assert relative[0, 2] == pytest.approx(2 * raw[0, 2] / (norms[0] + norms[2]))
    np.testing.assert_allclose(pif_distances(5 * weights, key=KEY, normalize="relative"), relative)


def test_networks_have_the_names_they_are_given():
    weights = np.random.default_rng(1).normal(size=(3, 6, 6))
    named = pif_distances(dict(zip("abc", weights, strict=True)), key=KEY, normalize="relative")
    assert named["network"].values.tolist() == ["a", "b", "c"]
    np.testing.assert_array_equal(named, pif_distances(weights, key=KEY, normalize="relative"))
    with pytest.raises(ValueError, match="weights: expected networks of one size, got 6, 5 units"):
        pif_distances({"a": weights[0], "b": weights[1][:5, :5]}, key=KEY)
    with pytest.raises(ValueError, match="weights: expected networks of one size, got 6, 5 units"):
        pif_distances([weights[0], weights[1][:5, :5]], key=KEY)
    with pytest.raises(ValueError, match=r"weights, network 1: expected shape \[N, N\]"):
        pif_distances([weights[0], weights[1][0]], key=KEY)
    listed = pif_distances(list(weights), key=KEY, normalize="relative")
    np.testing.assert_array_equal(listed, named)


def test_a_pair_is_settled_if_a_converged_search_reaches_the_best(monkeypatch):
    """Of two searches of each pair the first was dropped: equal, better and worse values."""
    found = matching.Matched(
        np.array([0.5, 0.5, 0.6, 0.5, 0.4, 0.5], "f4"),
        np.tile(np.arange(9), (6, 1)),
        np.array([False, True] * 3),
    )
    monkeypatch.setattr(module, "match", lambda *_: found)
    w1, w2 = np.random.default_rng(0).normal(size=(2, 3, 9, 9))
    status = pif_pairs(w1, w2, key=KEY, solver=SolverOptions(starts=2)).status
    assert status.tolist() == [Solved.CONVERGED, Solved.EXHAUSTED, Solved.CONVERGED]


def test_from_one_start_and_in_one_step_it_is_never_worse_than_the_identity():
    rng = np.random.default_rng(0)
    w1 = rng.normal(size=(3, 9, 9))
    w2 = w1 + 0.05 * rng.normal(size=w1.shape)
    result = pif_pairs(w1, w2, key=KEY, solver=SolverOptions(starts=1, steps=1))
    assert (result.distance <= result.identity).all()


def test_silent_networks():
    zero, solver = np.zeros((4, 9, 9)), SolverOptions(starts=8)
    assert not pif_distances(zero, key=KEY, solver=solver).any()
    assert not pif_distances(zero, key=KEY, solver=solver, normalize="relative").any()
    one = np.concatenate([zero[:3], np.ones((1, 9, 9))])
    relative = pif_distances(one, key=KEY, solver=solver, normalize="relative")
    np.testing.assert_allclose(relative[:3, 3], 2.0)


@pytest.mark.slow
def test_dropping_searches_changes_no_permutation(monkeypatch):
    """Compaction at every halving, and dropping after few steps, of an odd number of searches."""
    weights = np.random.default_rng(8).normal(size=(2, 3, 20, 20))
    solver = SolverOptions(starts=3)
    plain = pif_pairs(*weights, key=KEY, solver=solver)
    kernels = {name: getattr(matching, name) for name in ("_begin", "_step", "_exchange")}
    sizes = []

    def recorded(step):
        return lambda *a: sizes.append(len(a[2])) or step(*a)

    monkeypatch.setattr(matching, "_step", recorded(kernels["_step"]))
    monkeypatch.setattr(matching, "_COMPACT_SIZE", 0)
    compact = pif_pairs(*weights, key=KEY, solver=solver)
    np.testing.assert_array_equal(plain.permutation, compact.permutation)
    np.testing.assert_allclose(plain.spread, compact.spread, atol=1e-6)
    assert min(sizes) < max(sizes) == 9
    sizes.clear()
    monkeypatch.setattr(devices, "on_cpu", lambda: False)  # as on an accelerator
    for name, kernel in kernels.items():
        new = Kernel(functools.partial(kernel._function))  # without the programs for the CPU
        monkeypatch.setattr(matching, name, recorded(new) if name == "_step" else new)
    together = pif_pairs(*weights, key=KEY, solver=solver)
    np.testing.assert_allclose(together.distance, plain.distance, rtol=1e-5)
    assert set(sizes) == {9}
    monkeypatch.undo()
    monkeypatch.setattr(matching, "_TRIAL_STEPS", 1000)
    assert (pif_pairs(*weights, key=KEY, solver=solver).distance <= plain.distance + 1e-4).all()


@pytest.mark.slow
@pytest.mark.parametrize("offset", ["diagonal", "everywhere"])
def test_a_part_that_permutations_do_not_change_has_no_effect(offset):
    w1, w2 = np.random.default_rng(9).normal(size=(2, 3, 20, 20))
    added = 30 * (np.eye(20) if offset == "diagonal" else np.ones((20, 20)))
    plain = pif_pairs(w1, w2, key=KEY, solver=SolverOptions(starts=3))
    moved = pif_pairs(w1 + added, w2 + added, key=KEY, solver=SolverOptions(starts=3))
    np.testing.assert_allclose(plain.distance, moved.distance, rtol=1e-6)
    np.testing.assert_allclose(plain.spread, moved.spread, atol=1e-3)


def test_starts_by_size():
    assert [default_starts(n) for n in (8, 32, 64, 128, 1000)] == [128, 128, 32, 8, 8]


def test_errors_name_the_argument():
    w = R["w12_W1"]
    with pytest.raises(ValueError, match="w2: expected the shape of w1"):
        pif_pairs(w, w[:1], key=KEY)
    with pytest.raises(ValueError, match="starts: expected an integer of at least 1"):
        pif_pairs(w, w, key=KEY, solver=SolverOptions(starts=0))
    with pytest.raises(ValueError, match="steps: expected an integer of at least 1"):
        pif_pairs(w, w, key=KEY, solver=SolverOptions(steps=0))
    with pytest.raises(ValueError, match="did you mean 'relative'"):
        pif_distances(w, key=KEY, normalize="relativ")
