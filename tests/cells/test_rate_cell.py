"""The leaky rate network against NumPy, under a rule with multipliers, and invalid arguments."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from oracles import network
from rnnjax import cells
from rnnjax.parametrization import LeafRule, Parametrization
from rnnjax.trajectory import rollout

B, T, N, I, O = 2, 6, 4, 3, 2  # noqa: E741


@dataclasses.dataclass(frozen=True)
class Scaled(Parametrization):
    """A rule with multipliers that differ from 1."""

    name = "scaled"
    optimizers = ("adam",)
    factors = {"recurrent": 0.5, "input": 2.0, "bias": 3.0, "readout": 0.25, "readout_bias": -1.0}  # noqa: RUF012

    def rule(self, leaf, *, hidden, optimizer):
        return LeafRule("normal", 1.0, multiplier=self.factors[leaf.role])


PHI = {"tanh": np.tanh, "relu": lambda x: np.maximum(x, 0), "linear": lambda x: x}


@pytest.mark.parametrize(
    ("alpha", "bias", "phi"),
    [(0.3, False, "tanh"), (0.5, True, "relu"), (1.0, True, "tanh"), (0.5, False, "linear")],
)
def test_rate_network_is_its_equation(alpha, bias, phi):
    cell = cells.rate(N, inputs=I, outputs=O, alpha=alpha, bias=bias, init="xavier", activation=phi)
    params = cell.init(jax.random.key(0))
    inputs = np.random.default_rng(1).normal(size=(B, T, I)).astype("f4")
    trajectory = jax.tree.map(np.asarray, rollout(cell, params, inputs))
    weights = {k: np.asarray(v) for k, v in params.items()}
    for b in range(B):
        states, outputs = network.rate(weights, inputs[b], alpha, phi=PHI[phi])
        np.testing.assert_allclose(trajectory.states[b], states, atol=1e-6)
        np.testing.assert_allclose(trajectory.outputs[b], outputs, atol=1e-6)


def test_at_alpha_one_the_state_has_no_memory():
    cell = cells.rate(N, inputs=I, outputs=O, alpha=1.0)
    current = jax.random.normal(jax.random.key(1), (N,))
    state = 100 * jax.random.normal(jax.random.key(2), (N,))
    np.testing.assert_array_equal(cell.update(state, current), jnp.tanh(current))


def test_biases_are_leaves_only_with_bias():
    plain, biased = cells.rate(N), cells.rate(N, bias=True)
    assert set(biased.leaves()) - set(plain.leaves()) == {"bias", "readout_bias"}


def test_every_weight_acts_through_its_multiplier():
    cell = cells.Rate(N, I, O, alpha=0.4, bias=True, parametrization=Scaled())
    params = cell.init(jax.random.key(0))
    inputs = np.random.default_rng(1).normal(size=(1, T, I)).astype("f4")
    effective = {k: Scaled.factors[k] * np.asarray(v) for k, v in params.items()}
    states, outputs = network.rate(effective, inputs[0], 0.4)
    trajectory = jax.tree.map(np.asarray, rollout(cell, params, inputs))
    np.testing.assert_allclose(trajectory.states[0], states, atol=1e-6)
    np.testing.assert_allclose(trajectory.outputs[0], outputs, atol=1e-5)
    np.testing.assert_array_equal(cell.connectivity(params), effective["recurrent"])


def test_the_output_scale_does_not_apply_to_the_bias():
    cell = cells.rate(N, outputs=O, bias=True, init="uniform")
    params = cell.init(jax.random.key(0))
    state = jax.random.normal(jax.random.key(1), (N,))
    bias = params["readout_bias"]
    doubled = cell.readout(params, state, 2.0)
    np.testing.assert_allclose(doubled - bias, 2 * (cell.readout(params, state) - bias), rtol=1e-5)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"alpha": 0.0}, "alpha"),
        ({"alpha": 1.01}, "alpha"),
        ({"alpha": float("nan")}, "alpha"),
        ({"bias": 1}, "bias"),
        ({"init": "xavir"}, "init"),
        ({"activation": "tan"}, "activation"),
    ],
)
def test_invalid_options_are_named(options, named):
    with pytest.raises(ValueError, match=rf"^{named}: expected "):
        cells.rate(N, **options)
