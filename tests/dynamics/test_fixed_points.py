"""Fixed points of networks against closed forms; Jacobians against finite differences."""

import jax
import numpy as np
import pytest
from scipy.optimize import brentq

from rnnjax import cells
from rnnjax.dynamics import fixed_points, jacobians, search, visited_states
from rnnjax.trajectory import rollout

LEAK, GAIN = 0.5, 2.0
RATE = cells.rate(2, alpha=LEAK, inputs=1, outputs=1)


def with_recurrent(recurrent):
    """Weights of RATE that are 0 but for a recurrent matrix [2, 2], as a population of one."""
    weights = {name: np.zeros((1, *leaf.shape), "f4") for name, leaf in RATE.leaves().items()}
    weights["recurrent"][0] = recurrent
    return weights


def grid(count=9, reach=2.5):
    side = np.linspace(-reach, reach, count)
    return np.stack(np.meshgrid(side, side), -1).reshape(1, -1, 2)


@pytest.mark.slow
def test_all_nine_points_of_two_uncoupled_units_are_found():
    # Every unit has fixed points 0 and r = tanh(2 r), so the network has all nine combinations.
    weights = with_recurrent(GAIN * np.eye(2))
    (found,) = fixed_points(RATE, weights, grid())
    away = brentq(lambda r: np.tanh(GAIN * r) - r, 0.5, 1.0)
    assert len(found.points) == 9
    assert found.fixed.all()
    want = {(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1)}
    np.testing.assert_allclose(np.abs(found.points[found.stable]), away, rtol=1e-9)
    assert {tuple(np.round(p / away).astype(int)) for p in found.points} == want
    assert found.stable.sum() == 4
    assert found.starts.sum() <= 81
    for point, values in zip(found.points, found.eigenvalues, strict=True):
        slopes = 1 - LEAK + LEAK * GAIN * (1 - point**2)
        np.testing.assert_allclose(values, np.sort(slopes)[::-1], rtol=1e-9)


@pytest.mark.slow
def test_a_ghost_is_slow_and_not_fixed():
    # r = tanh(1.2 r + u) has three solutions up to |u| = fold, where two merge at |r| = edge.
    weights = with_recurrent([[1.2, 0.0], [0.0, 0.0]])
    weights["input"][0] = np.reshape([1.0, 0.0], weights["input"][0].shape)
    edge = np.sqrt(1 - 1 / 1.2)
    fold = 1.2 * edge - np.arctanh(edge)
    (found,) = fixed_points(RATE, weights, grid(), inputs=[1.02 * fold], slow=1e-6)
    slow = found.points[~found.fixed]
    assert len(slow) == 1
    assert slow[0, 0] == pytest.approx(-edge, abs=0.05)
    assert found.fixed.sum() == 1
    assert not found.stable[~found.fixed].any()


@pytest.fixture(scope="module")
def three():
    """Weights of three networks, starts of their searches, and their points."""
    networks = [with_recurrent(gain * np.eye(2)) for gain in (GAIN, 0.5, 1.5)]
    weights = {name: np.concatenate([one[name] for one in networks]) for name in RATE.leaves()}
    starts = np.repeat(grid(), 3, axis=0)
    return weights, starts, fixed_points(RATE, weights, starts)


@pytest.mark.slow
def test_every_network_has_its_own_points(three):
    rich, poor, _ = three[2]
    assert len(rich.points) == 9
    np.testing.assert_allclose(poor.points, np.zeros((1, 2)), atol=1e-9)
    assert poor.stable.all()
    assert poor.starts.tolist() == [81]


@pytest.mark.slow
@pytest.mark.parametrize("fits", [81, 8])
def test_searches_in_batches_find_the_same_points(three, fits, monkeypatch):
    weights, starts, whole = three
    monkeypatch.setattr(search, "batch_size", lambda _: fits)
    for one, other in zip(whole, fixed_points(RATE, weights, starts), strict=True):
        assert one.starts.tolist() == other.starts.tolist()
        np.testing.assert_allclose(one.points, other.points, atol=1e-9)
        np.testing.assert_allclose(one.eigenvalues, other.eigenvalues, atol=1e-9)


@pytest.mark.slow
def test_jacobians_of_many_numbers_of_points_share_a_program(three, monkeypatch):
    weights, starts, whole = three
    sizes, compute = [], search.jacobians

    def counted(cell, params, states, inputs):
        sizes.append(len(states))
        return compute(cell, params, states, inputs)

    monkeypatch.setattr(search, "jacobians", counted)
    fixed_points(RATE, weights, starts)
    assert [len(one.points) for one in whole] == [9, 1, 9]
    assert sizes == [16, 1, 16]


@pytest.mark.slow
@pytest.mark.parametrize("name", cells.REGISTRY)
def test_jacobians_are_finite_differences(name):
    options = {"head": 2} if name == "linear_attention" else {}
    cell = cells.make(name, hidden=4, inputs=2, outputs=1, **options)
    params = cell.init(jax.random.key(3))
    size = cell.initial_state(params).shape[-1]
    rng = np.random.default_rng(1)
    states, given = 0.5 * np.abs(rng.normal(size=(3, size))), rng.normal(size=2)
    found = jacobians(cell, params, states, given)
    with jax.enable_x64(True):
        double = {k: jax.numpy.asarray(np.asarray(v), float) for k, v in params.items()}

        @jax.jit
        @jax.vmap
        def move(state):
            return cell.step(double, state, cell.drive(double, given[None])[0])

        shifts = 1e-6 * np.eye(size)
        ends = [
            np.asarray(move((states[:, None] + sign * shifts).reshape(-1, size)))
            for sign in (1, -1)
        ]
    slopes = ((ends[0] - ends[1]) / 2e-6).reshape(3, size, size)  # of all units to a shift of one
    np.testing.assert_allclose(found, np.swapaxes(slopes, 1, 2), rtol=1e-6, atol=1e-8)


def test_visited_states_are_states_of_each_network(monkeypatch):
    params = {name: np.repeat(leaf, 3, axis=0) for name, leaf in with_recurrent(np.eye(2)).items()}
    rng = np.random.default_rng(0)
    params["input"] = rng.normal(size=params["input"].shape).astype("f4")
    inputs = rng.normal(size=(4, 6, 1)).astype("f4")
    picked = visited_states(RATE, params, inputs, count=7, key=jax.random.key(2))
    assert picked.shape == (3, 7, 2)
    last = {name: leaf[2] for name, leaf in params.items()}
    passed = np.asarray(rollout(RATE, last, inputs).states).reshape(-1, 2)
    apart = np.abs(passed[:, None] - picked[2]).max(-1)
    assert apart.min(0).max() < 1e-6
    assert len(set(apart.argmin(0))) == 7
    with monkeypatch.context() as few:
        few.setattr(search, "batch_size", lambda _: 2)
        again = visited_states(RATE, params, inputs, count=7, key=jax.random.key(2))
    np.testing.assert_allclose(again, picked, atol=1e-6)
    double = {name: leaf.astype("f8") for name, leaf in params.items()}
    with jax.enable_x64(True):
        wide = visited_states(RATE, double, inputs.astype("f8"), count=7, key=jax.random.key(2))
    assert wide.dtype == picked.dtype
    np.testing.assert_array_equal(wide, picked)
    more = visited_states(RATE, params, inputs, count=99, key=jax.random.key(2), noise=1e-3)
    away = np.abs(passed[:, None] - more[2]).max(-1).min(0)
    assert 1e-4 < np.median(away) < 1e-2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"starts": np.zeros((2, 4, 2))}, r"^starts: expected shape \[1, M, 2\], got \(2, 4, 2\)"),
        ({"starts": np.full((1, 4, 2), np.nan)}, "^starts: expected finite states"),
        ({"inputs": [1.0, 2.0]}, "^inputs: expected 1 finite numbers"),
        ({"tolerance": 1e-3}, "^tolerance: expected at most slow"),
        ({"radius": 0.0}, "^radius: "),
        ({"radius": [1.0, 2.0]}, "^radius: expected one number, or 1 of at least 0"),
        ({"steps": 0}, "^steps: "),
        ({"cell": "rate"}, "^cell: expected a Cell"),
        (
            {"params": {k: v[0] for k, v in with_recurrent(np.eye(2)).items()}},
            r"^params: .* same S networks, got recurrent of shape \(2, 2\)",
        ),
        ({"params": {"input": np.zeros((1, 2, 1))}}, "^params: expected the leaves recurrent"),
        ({"params": None}, "^params: expected a dictionary .* got None"),
    ],
)
def test_bad_arguments_are_named(change, message):
    options = {"cell": RATE, "params": with_recurrent(np.eye(2)), "starts": grid(), **change}
    with pytest.raises(ValueError, match=message):
        fixed_points(options.pop("cell"), options.pop("params"), options.pop("starts"), **options)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"states": np.zeros((2, 4))}, r"^states: expected shape \[P, 2\]"),
        ({"states": [[0.0, np.nan]]}, "^states: expected finite numbers"),
        ({"params": with_recurrent(np.eye(2))}, r"^params: expected recurrent .*of one network"),
        ({"params": {}}, "^params: expected the leaves recurrent, input, readout"),
    ],
)
def test_bad_arguments_of_jacobians_are_named(change, message):
    one = {name: leaf[0] for name, leaf in with_recurrent(np.eye(2)).items()}
    with pytest.raises(ValueError, match=message):
        jacobians(**{"cell": RATE, "params": one, "states": np.zeros((1, 2)), **change})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"noise": -1.0}, "^noise: expected a finite number of at least 0"),
        ({"noise": np.nan}, "^noise: expected a finite number of at least 0"),
        ({"inputs": np.zeros(6)}, r"^inputs: expected shape \[B, T, 1\], got \(6,\)"),
        ({"inputs": np.zeros((2, 0, 1))}, "^inputs: expected at least 1 trial of 1 step"),
        ({"params": {}}, "^params: expected a dictionary of leaves"),
    ],
)
@pytest.mark.usefixtures("unchecked_shapes")
def test_bad_arguments_of_visited_states_are_named_before_any_rollout(change, message, monkeypatch):
    monkeypatch.setattr(search, "_states", None)
    given = {"params": with_recurrent(np.eye(2)), "inputs": np.zeros((2, 6, 1)), **change}
    with pytest.raises(ValueError, match=message):
        visited_states(RATE, count=3, key=0, **given)
