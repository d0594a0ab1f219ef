"""The current-based network against NumPy, and its equivalence to the firing-rate network."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnjax import cells
from rnnjax.parametrization import InverseWidth
from rnnjax.trajectory import rollout

B, T, N, I, O = 2, 30, 6, 3, 2  # noqa: E741
RUN = jax.jit(rollout, static_argnums=0)


def example(cell, seed=0):
    rng = np.random.default_rng(seed)
    params = {k: jnp.asarray(rng.normal(0, 0.7, leaf.shape)) for k, leaf in cell.leaves().items()}
    return params, rng.normal(size=(B, T, I)), rng.normal(0, 0.5, (B, N))


@pytest.mark.parametrize(("tau", "bias"), [(0.3, True), (1.0, False)])
def test_current_network_is_its_equation(tau, bias, float64):
    cell = cells.current(N, inputs=I, outputs=O, tau=tau, bias=bias)
    params, inputs, initial = example(cell)
    trajectory = jax.tree.map(np.asarray, RUN(cell, params, inputs, initial=initial))
    p = {"bias": 0.0, "readout_bias": 0.0, **{k: np.asarray(v) for k, v in params.items()}}
    for b in range(B):
        h = initial[b]
        for t in range(T):
            current = p["recurrent"] @ np.tanh(h) + p["input"] @ inputs[b, t] + p["bias"]
            h = h + tau * (-h + current)
            np.testing.assert_allclose(trajectory.states[b, t], h, atol=1e-12)
            output = p["readout"] @ np.tanh(h) + p["readout_bias"]
            np.testing.assert_allclose(trajectory.outputs[b, t], output, atol=1e-12)
        rates = cell.rates(params, trajectory.states[b], inputs[b], initial[b])
        np.testing.assert_allclose(rates, np.tanh(trajectory.states[b]))


@pytest.mark.parametrize("alpha", [0.4, 1.0])
def test_equivalent_current_network_of_a_rate_network(alpha, float64):
    cell = cells.rate(
        N, inputs=I, outputs=O, alpha=alpha, bias=True, parametrization=InverseWidth()
    )
    params, inputs, initial = example(cell)

    @jax.jit
    def both(params, inputs, initial):
        """Rates; currents from the first on; and rates found from them."""
        rates = rollout(cell, params, inputs, initial=initial).states
        twin = cells.as_current(cell, params, inputs, initial)
        currents = rollout(twin.cell, params, twin.inputs, initial=twin.initial).states
        everything = jnp.concatenate([twin.initial[:, None], currents], axis=1)
        filtered = jax.vmap(cells.leaky, (None, 0, 0))(alpha, jnp.tanh(everything), initial)
        return rates, everything, filtered

    rates, everything, filtered = both(params, inputs, initial)
    before = np.concatenate([initial[:, None], rates[:, :-1]], axis=1)
    p = {name: np.asarray(cell.effective(params, name)) for name in params}
    expected = before @ p["recurrent"].T + inputs @ p["input"].T + p["bias"]  # v = W r + I
    np.testing.assert_allclose(everything, expected, rtol=0, atol=1e-10)
    np.testing.assert_allclose(filtered, rates, rtol=0, atol=1e-10)


@pytest.mark.parametrize("tau", [0.4, 1.0])
def test_equivalent_rate_network_of_a_current_network(tau, float64):
    cell = cells.current(N, inputs=I, outputs=O, tau=tau, bias=True)
    params, inputs, initial = example(cell, seed=1)
    first = np.random.default_rng(2).normal(size=(B, I))

    @jax.jit
    def both(params, inputs, initial, first):
        """Currents; the rate network's inputs, and inputs, start and currents found from it."""
        currents = rollout(cell, params, inputs, initial=initial).states
        twin = cells.as_rate(cell, params, inputs, initial, first)
        back = cells.as_current(twin.cell, params, twin.inputs, twin.initial)
        rates = rollout(twin.cell, params, twin.inputs, initial=twin.initial).states
        drive = jax.vmap(cell.drive, (None, 0))(params, twin.inputs)
        same = rates[:, :-1] @ params["recurrent"].T + drive[:, 1:]
        return currents, twin.inputs, back.inputs, back.initial, same

    currents, smooth, again, start, same = both(params, inputs, initial, first)
    assert smooth.shape == (B, T + 1, I)
    np.testing.assert_allclose(again, inputs, rtol=0, atol=1e-10)
    np.testing.assert_allclose(start, initial, rtol=0, atol=1e-10)
    np.testing.assert_allclose(currents, same, rtol=0, atol=1e-10)


@pytest.mark.slow
@pytest.mark.usefixtures("unchecked_shapes")
def test_invalid_arguments_are_named():
    with pytest.raises(ValueError, match=r"tau: expected a number in \(0, 1\], got 0"):
        cells.current(tau=0)
    with pytest.raises(ValueError, match="cell: expected Rate"):
        cells.as_current(cells.current(), {}, jnp.zeros((1, 2, 1)), jnp.zeros((1, 64)))

    class Rectified(cells.Rate):
        def update(self, state, current):
            return jnp.maximum(current, 0)

    with pytest.raises(ValueError, match="cell: expected Rate itself"):
        cells.as_current(Rectified(4), {}, jnp.zeros((1, 2, 1)), jnp.zeros((1, 4)))
    one, inputs, rest = cells.rate(4), jnp.zeros((1, 2, 1)), jnp.zeros((1, 4))
    params = one.init(0)
    for change, message in (
        ({"params": {}}, "params: expected the leaves recurrent, input, readout .* got none"),
        ({"inputs": jnp.zeros((1, 2, 3))}, r"inputs: expected shape \[B, T, 1\], got \(1, 2, 3\)"),
        ({"inputs": inputs[:, :1]}, "inputs: expected at least 1 trial of 2 steps, got"),
        ({"inputs": [[[0.0], [0.0]]]}, "inputs: expected an array, got a list"),
        ({"initial": jnp.zeros((1, 64))}, r"initial: expected shape \(1, 4\), got \(1, 64\)"),
        ({"initial": 0.0}, "initial: expected an array, got a float"),
    ):
        with pytest.raises(ValueError, match=message):
            cells.as_current(**{"cell": one, "params": params, "inputs": inputs, "initial": rest,
                                **change})  # fmt: skip
    for first, message in (
        (jnp.zeros((2, 1)), r"first: expected shape \(1, 1\), got \(2, 1\)"),
        ([[0.0]], "first: expected an array, got a list"),
    ):
        with pytest.raises(ValueError, match=message):
            cells.as_rate(cells.current(4), params, inputs, rest, first)
    with pytest.raises(ValueError, match="cell: expected Current"):
        cells.as_rate(cells.rate(), {}, jnp.zeros((1, 2, 1)), jnp.zeros((1, 64)), jnp.zeros((1, 1)))
