"""GRU, LSTM and MGU against their equations in NumPy, under a rule with multipliers."""

import jax
import numpy as np
import pytest

from rnnjax import cells
from rnnjax.parametrization import InverseWidth
from rnnjax.trajectory import rollout

B, T, N, I, O = 2, 5, 4, 4, 2  # noqa: E741
RUN = jax.jit(rollout, static_argnums=0)


def logistic(x):
    return 1 / (1 + np.exp(-x))


def gru_step(p, h, u):
    reset = logistic(p["ir"] @ u + p["ir_bias"] + p["hr"] @ h)
    keep = logistic(p["iz"] @ u + p["iz_bias"] + p["hz"] @ h)
    new = np.tanh(p["in"] @ u + p["in_bias"] + reset * (p["hn"] @ h + p["hn_bias"]))
    return (1 - keep) * new + keep * h


def lstm_step(p, state, u):
    h, c = state[:N], state[N:]
    current = {gate: p[f"i{gate}"] @ u + p[f"h{gate}"] @ h + p[f"h{gate}_bias"] for gate in "ifgo"}
    c = logistic(current["f"]) * c + logistic(current["i"]) * np.tanh(current["g"])
    return np.concatenate([logistic(current["o"]) * np.tanh(c), c])


def mgu_step(p, h, u):
    gate = logistic(p["if"] @ u + p["if_bias"] + p["hf"] @ h)
    new = np.tanh(p["in"] @ u + p["in_bias"] + gate * (p["hn"] @ h + p["hn_bias"]))
    return (1 - gate) * new + gate * h


@pytest.mark.parametrize(
    ("name", "step", "size"),
    [("gru", gru_step, N), ("lstm", lstm_step, 2 * N), ("mgu", mgu_step, N)],
)
def test_gated_networks_are_their_equations(name, step, size, float64):
    cell = cells.make(name, hidden=N, inputs=I, outputs=O, parametrization=InverseWidth())
    rng = np.random.default_rng(0)
    params = {k: 2 * rng.normal(size=leaf.shape) for k, leaf in cell.leaves().items()}
    inputs, initial = rng.normal(size=(B, T, I)), rng.normal(0, 0.3, (B, size))
    run = RUN(cell, params, inputs, initial=initial, output_scale=0.5)
    trajectory = jax.tree.map(np.asarray, run)
    p = {k: np.asarray(cell.effective(params, k)) for k in params}
    for b in range(B):
        state = initial[b]
        for t in range(T):
            state = step(p, state, inputs[b, t])
            np.testing.assert_allclose(trajectory.states[b, t], state, atol=1e-12)
            output = 0.5 * p["readout"] @ state[:N] + p["readout_bias"]
            np.testing.assert_allclose(trajectory.outputs[b, t], output, atol=1e-12)


def test_roles_of_layers_do_not_depend_on_sizes():
    leaves = cells.gru(3, inputs=3).leaves()
    assert {leaves[f"h{g}"].role for g in "rzn"} == {"recurrent"}
    assert {leaves[f"i{g}"].role for g in "rzn"} == {"input"}
    assert leaves["hn_bias"].role == "bias"
    assert cells.gru(3).parametrization.init == "xavier"
    assert cells.lstm(3, init="uniform").parametrization.init == "uniform"
