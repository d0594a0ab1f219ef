"""Dynamical distances: closed forms, values of other packages as upper bounds, lower bounds."""

import chex
import jax
import numpy as np
import pytest

from references import metrics
from rnnjax import devices
from rnnjax.metrics import conjugation, dsa
from rnnjax.metrics.base import Solved, SolverOptions
from rnnjax.metrics.conjugation import random_orthogonal, rounds
from rnnjax.metrics.dsa import compare_operators, dsa_distances, operator_distances
from rnnjax.metrics.spectra import lower_bound, spectra

KEY = jax.random.key(0)
R = metrics()


@pytest.fixture(scope="module")
def vectors():
    """Results on all reference pairs, by set: trained networks, and 6 x 6 and 12 x 12 by kind."""
    i, j = R["dsa_pairs"].T
    pairs = {"dsa": (R["dsa_ops"][i], R["dsa_ops"][j])}
    pairs |= {name: (R[f"{name}_A"], R[f"{name}_B"]) for name in ("op_r6", "op_r12")}
    return {name: (operator_distances(a, b, key=KEY), a, b) for name, (a, b) in pairs.items()}


SETS = ["dsa", "op_r6", "op_r12"]


@pytest.mark.slow
@pytest.mark.parametrize("name", SETS)
def test_no_package_and_no_longer_search_finds_a_shorter_distance(vectors, name):
    found = vectors[name][0].angular
    seeds = R[f"{name}_v1_angular_seeds"].min(axis=1)
    assert (found <= seeds + 1e-3).all()
    assert (found <= R[f"{name}_bestknown_angular"] + 2e-3).all()


@pytest.mark.slow
def test_closed_forms(vectors):
    for name in ("op_r6", "op_r12"):
        result, kinds = vectors[name][0], R[f"{name}_kind"].tolist()
        assert result.chord[kinds.index("conjugate_detminus")] < 1e-3
        symmetric = kinds.index("symmetric")
        assert result.raw[symmetric] == pytest.approx(R[f"{name}_symmetric_exact_euclid"], abs=1e-3)
        exact = R[f"{name}_symmetric_exact_angular"]
        assert result.angular[symmetric] == pytest.approx(exact, abs=1e-3)
        normal = kinds.index("normal_rotation_blocks")
        attained = R[f"{name}_normal_lower_attained_euclid"][1]
        assert result.raw[normal] == pytest.approx(attained, abs=1e-3)


@pytest.mark.parametrize("name", SETS)
def test_the_scores_agree_with_each_other_and_with_the_rotation(vectors, name):
    result, a, b = vectors[name]
    c = result.rotation.astype(float)
    identity = np.eye(c.shape[-1])
    np.testing.assert_allclose(c @ np.swapaxes(c, 1, 2), np.broadcast_to(identity, c.shape),
                               atol=1e-5)  # fmt: skip
    rotated = c @ b @ np.swapaxes(c, 1, 2)
    np.testing.assert_allclose(np.linalg.norm(a - rotated, axis=(1, 2)), result.raw, atol=1e-4)
    np.testing.assert_allclose(result.chord, 2 * np.sin(result.angular / 2), atol=1e-9)
    na, nb = np.linalg.norm(a, axis=(1, 2)), np.linalg.norm(b, axis=(1, 2))
    np.testing.assert_allclose(
        result.raw**2, na**2 + nb**2 - 2 * na * nb * np.cos(result.angular), atol=1e-4
    )


@pytest.mark.parametrize("name", SETS)
def test_bounds_hold_and_are_those_of_the_reference(vectors, name):
    result, a, b = vectors[name]
    assert (result.lower_bound <= result.angular).all()
    assert (result.raw_lower_bound <= result.raw).all()
    np.testing.assert_allclose(result.lower_bound, R[f"{name}_lowerbound_angular"], atol=1e-4)
    # Also before they are limited to the values.
    assert (lower_bound(spectra(a), spectra(b)) <= result.raw + 1e-5).all()


@pytest.mark.slow
def test_no_rotation_beats_the_bound():
    """Against 2,000 rotations of several kinds of pairs, none of which the solver starts from."""
    rng = np.random.default_rng(1)
    for order in (2, 3, 5):
        a, b = rng.normal(size=(2, 6, order, order))
        a[0], b[0] = a[0] + a[0].T, b[0] + b[0].T
        a[1], b[1] = a[1] - a[1].T, b[1] - b[1].T
        c = random_orthogonal(jax.random.key(order), 2000, order).astype(float)
        rotated = np.einsum("cij,mjk,clk->cmil", c, b, c)
        closest = np.linalg.norm(a - rotated, axis=(2, 3)).min(axis=0)
        assert (lower_bound(spectra(a), spectra(b)) <= closest + 1e-6).all()
        assert (operator_distances(a, b, key=KEY).raw <= closest + 1e-4).all()


@pytest.mark.parametrize("order", [3, 8, 16, 24])
def test_rotated_operators_are_found_for_both_determinants(order):
    rng = np.random.default_rng(order)
    a = rng.normal(size=(6, order, order))
    q = random_orthogonal(jax.random.key(1), 6, order).astype(float)
    q[:, 0] *= (np.sign(np.linalg.det(q)) * np.tile([1, -1], 3))[:, None]
    result = operator_distances(a, q @ a @ np.swapaxes(q, 1, 2), key=KEY)
    assert result.chord.max() < 1e-3


def test_pairs_go_on_until_they_are_settled():
    a, b = np.random.default_rng(4).normal(size=(2, 8, 20, 20))
    few = SolverOptions(starts=4)
    assert (operator_distances(a, b, key=KEY, solver=few).status == Solved.CONVERGED).mean() > 0.6


def test_two_routes_to_the_minimum_in_the_plane():
    """O(2) is two circles: a fine grid of angles and mirrored angles is an oracle."""
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 6, 2, 2))
    t = np.linspace(0, 2 * np.pi, 20_001)
    turns = np.stack([[np.cos(t), -np.sin(t)], [np.sin(t), np.cos(t)]]).transpose(2, 0, 1)
    c = np.concatenate([turns, turns @ np.diag([1.0, -1.0])])
    for x, y, raw in zip(a, b, operator_distances(a, b, key=KEY).raw, strict=True):
        grid = np.linalg.norm(x - c @ y @ np.swapaxes(c, 1, 2), axis=(1, 2)).min()
        assert raw == pytest.approx(grid, abs=1e-5)


def test_no_distance_is_longer_than_without_rotation_even_after_one_step():
    rng = np.random.default_rng(2)
    a = rng.normal(size=(4, 9, 9))
    b = a + 1e-3 * rng.normal(size=a.shape)
    for starts in (1, 3):
        result = operator_distances(a, b, key=KEY, solver=SolverOptions(starts=starts, steps=1))
        assert (result.raw <= np.linalg.norm(a - b, axis=(1, 2)) + 1e-5).all()
    assert (result.status == Solved.EXHAUSTED).all()


@pytest.mark.slow
def test_population_and_pairs_agree_in_any_batches(vectors):
    i, j = R["dsa_pairs"].T
    seen = []
    one_by_one = SolverOptions(memory=1.0, progress=lambda *at: seen.append(at))
    small = compare_operators(R["dsa_ops"], key=KEY, solver=one_by_one)
    assert seen == [(n, 6) for n in range(1, 7)]
    for field in ("raw", "chord", "angular", "lower_bound", "raw_lower_bound"):
        full = getattr(small, field)
        np.testing.assert_array_equal(full, full.T)
        np.testing.assert_allclose(full[i, j], getattr(vectors["dsa"][0], field), atol=1e-5)
        assert not np.diagonal(full).any()


@pytest.mark.slow
def test_operators_that_are_zero_have_the_distance_of_the_other():
    a, b = np.zeros((6, 3, 3)), np.tile(np.eye(3), (6, 1, 1))
    np.testing.assert_allclose(operator_distances(a, b, key=KEY).raw, np.sqrt(3))
    assert not operator_distances(a, a, key=KEY).raw.any()


def test_rounds_share_the_steps():
    assert rounds(60, 32, 3000) == ((32, 150), (8, 300), (1, 2550))
    assert rounds(60, 12, 100) == ((12, 10), (4, 25), (1, 65))
    assert rounds(8, 1, 1) == ((1, 1), (1, 1), (1, 1))


def test_wasserstein_is_the_root_of_the_packages_number():
    for name in ("op_r6", "op_r12"):
        found = dsa.wasserstein_distances(R[f"{name}_A"], R[f"{name}_B"])
        np.testing.assert_allclose(found**2, R[f"{name}_wasserstein"], atol=1e-5)
    i, j = R["dsa_pairs"].T
    found = dsa.wasserstein_distances(R["dsa_ops"][i], R["dsa_ops"][j])
    np.testing.assert_allclose(found**2, R["dsa_v2_wasserstein"], atol=1e-5)


@pytest.mark.parametrize("score", ["angular", "chord", "raw", "wasserstein"])
def test_scores_of_a_population(score):
    states = R["traj_X"]
    few = SolverOptions(starts=4, steps=20)
    found = dsa_distances(states, key=KEY, score=score, solver=few)
    fitted = dsa.fit_operators(states)
    i, j = np.triu_indices(4, k=1)
    a, b = fitted.matrix[i], fitted.matrix[j]
    if score == "wasserstein":
        expected = dsa.wasserstein_distances(a, b)
    else:
        expected = getattr(operator_distances(a, b, key=KEY, solver=few), score)
    np.testing.assert_array_equal(found, found.T)
    np.testing.assert_allclose(found[i, j], expected, atol=1e-5)


@pytest.mark.slow
def test_several_delays_are_candidates():
    states, (held_out, starts) = R["traj_X"], jax.random.split(KEY)
    chosen = dsa.choose_delays(states, candidates=(1, 2, 5), key=held_out)
    few = SolverOptions(starts=4, steps=20)
    np.testing.assert_array_equal(
        dsa_distances(states, key=KEY, delays=iter((1, 2, 5)), solver=few),
        dsa_distances(states, key=starts, delays=np.array(chosen), solver=few),
    )


def test_errors_name_the_argument():
    a = R["op_r6_A"]
    with pytest.raises(ValueError, match="b: expected the shape of a"):
        operator_distances(a, a[:2], key=KEY)
    with pytest.raises(ValueError, match=r"a: expected shape \[M, R, R\], square"):
        operator_distances(a[:, :4], a[:, :4], key=KEY)
    with pytest.raises(ValueError, match="starts: expected an integer of at least 1"):
        operator_distances(a, a, key=KEY, solver=SolverOptions(starts=0))
    with pytest.raises(ValueError, match="did you mean 'angular'"):
        dsa_distances(R["traj_X"], key=KEY, score="angle")


@pytest.mark.parametrize("score", ["angular", "wasserstein"])
@pytest.mark.parametrize("change", [{"solver": 3}, {"key": -1}])
def test_a_bad_solver_or_key_is_named_before_operators_are_fitted(change, score, monkeypatch):
    monkeypatch.setattr(dsa, "fit_operators", None)
    with pytest.raises(ValueError, match=f"^{next(iter(change))}: expected"):
        dsa_distances(R["traj_X"], **{"key": KEY, "score": score, **change})


def test_one_program_serves_every_batch(monkeypatch):
    chex.clear_trace_counter()
    once = chex.assert_max_traces(conjugation._one_pair, n=1)
    monkeypatch.setattr(conjugation, "_one_pair", once)
    operators, batches = np.random.default_rng(0).normal(size=(5, 4, 4)), []
    three_pairs = SolverOptions(
        starts=3, steps=5, memory=3 * 4 * 30 * 16, progress=lambda *at: batches.append(at)
    )
    compare_operators(operators, key=KEY, solver=three_pairs)
    assert len(batches) == 4


def test_padding_with_zeros_takes_the_same_steps(monkeypatch):
    rng = np.random.default_rng(3)
    a, b = (x / np.linalg.norm(x) for x in rng.normal(size=(2, 7, 7)).astype(np.float32))
    starts = random_orthogonal(KEY, 9, 7)
    given = a[None], b[None], starts[None, :2], starts[2:], rounds(7, 9, 12)
    plain = conjugation.conjugate(*given)
    monkeypatch.setattr(conjugation, "padded_order", lambda order: 32)
    padded = conjugation.conjugate(*given)
    np.testing.assert_allclose(padded.rotation, plain.rotation, atol=1e-4)
    np.testing.assert_array_equal(padded.stationary, plain.stationary)


@pytest.mark.slow
def test_all_pairs_at_once_and_padded_as_on_an_accelerator(monkeypatch):
    a, b = np.random.default_rng(5).normal(size=(2, 5, 7, 7))
    apart = operator_distances(a, b, key=KEY, solver=SolverOptions(starts=13, steps=40))
    monkeypatch.setattr(devices, "on_cpu", lambda: False)
    together = operator_distances(a, b, key=KEY, solver=SolverOptions(starts=13, steps=40))
    assert conjugation.padded_order(7) == 32
    np.testing.assert_allclose(apart.angular, together.angular, atol=1e-3)


@pytest.mark.parametrize("scale", [1e-20, 1e20])
def test_distances_scale_with_the_operators(scale):
    a, b = np.random.default_rng(6).normal(size=(2, 2, 4, 4))
    here = operator_distances(a, b, key=KEY, solver=SolverOptions(starts=8))
    there = operator_distances(scale * a, scale * b, key=KEY, solver=SolverOptions(starts=8))
    np.testing.assert_allclose(there.angular, here.angular, atol=1e-5)
    np.testing.assert_allclose(there.raw, scale * here.raw, rtol=1e-4)


@pytest.mark.parametrize("step", [0.1, 0.01, 0.001])
def test_slow_dynamics_are_aligned_as_well_as_fast_ones(step):
    """Operators close to the identity, and rotated copies of them."""
    rng = np.random.default_rng(11)
    a = np.eye(8) + step * rng.normal(size=(6, 8, 8))
    q = random_orthogonal(jax.random.key(2), 6, 8).astype(float)
    q = np.linalg.qr(q)[0]
    found = operator_distances(a, q @ a @ np.swapaxes(q, 1, 2), key=KEY)
    assert (found.raw < 1e-3 * step * 8).all()


def test_rotations_of_a_population_are_not_kept():
    result = compare_operators(R["dsa_ops"], key=KEY, solver=SolverOptions(starts=4, steps=20))
    assert result.rotation.size == 0
    assert result.rotation.base is None or result.rotation.base.size == 0
