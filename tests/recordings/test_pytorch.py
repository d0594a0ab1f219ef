"""Networks of PyTorch: states and outputs of stored references, and round trips."""

import chex
import jax
import numpy as np
import pytest

from references import DATA
from rnnjax import cells, rollout
from rnnjax.parametrization import InverseWidth
from rnnjax.recordings import from_pytorch, to_pytorch

with np.load(DATA / "pytorch.npz") as file:
    STORED = dict(file)

INPUTS = STORED["inputs"]
NETWORKS = [f"{kind}_{bias}" for kind in ("rnn", "gru", "lstm") for bias in ("bias", "plain")]
RUN = jax.jit(rollout, static_argnums=0)


def state_dict(network):
    start = f"{network}/weights/"
    return {name[len(start) :]: v for name, v in STORED.items() if name.startswith(start)}


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def documented(weights, inputs, prefix="rnn.", phi=np.tanh):
    """States [B, T, N] by the equations of PyTorch's documentation, step by step."""
    names = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
    w, u, b, c = (np.asarray(weights.get(prefix + name, 0.0), np.float64) for name in names)
    hidden = u.shape[1]
    h, memory, states = np.zeros((len(inputs), hidden)), 0.0, []
    for x in inputs.swapaxes(0, 1):
        i, s = x @ w.T + b, h @ u.T + c
        if len(u) == hidden:
            h = phi(i + s)
        elif len(u) == 3 * hidden:
            (ir, iz, new), (sr, sz, sn) = (np.split(v, 3, axis=1) for v in (i, s))
            z = sigmoid(iz + sz)
            h = (1 - z) * np.tanh(new + sigmoid(ir + sr) * sn) + z * h
        else:
            enter, forget, g, leave = np.split(i + s, 4, axis=1)
            memory = sigmoid(forget) * memory + sigmoid(enter) * np.tanh(g)
            h = sigmoid(leave) * np.tanh(memory)
        states.append(h)
    return np.stack(states, axis=1)


@pytest.mark.parametrize("network", NETWORKS)
def test_states_and_outputs_are_those_of_pytorch(network):
    weights = state_dict(network)
    cell, params = from_pytorch(weights, readout="fc")
    found = RUN(cell, params, INPUTS.astype("f4"))
    np.testing.assert_allclose(found.outputs, STORED[f"{network}/outputs"], atol=1e-6)
    states = STORED[f"{network}/states"]
    np.testing.assert_allclose(found.states[..., : cell.hidden], states, atol=1e-6)
    np.testing.assert_allclose(documented(weights, INPUTS), states, atol=1e-12)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("network", NETWORKS)
def test_round_trips(network):
    """From PyTorch to a cell and back: other biases, the same function."""
    weights = state_dict(network)
    back = to_pytorch(*from_pytorch(weights, readout="fc"), prefix="rnn.", readout="fc")
    assert {*weights} <= {*back}
    assert all(back[name].shape == value.shape for name, value in weights.items())
    np.testing.assert_allclose(documented(back, INPUTS), STORED[f"{network}/states"], atol=1e-12)
    np.testing.assert_array_equal(back["fc.weight"], weights["fc.weight"])
    np.testing.assert_array_equal(back["fc.bias"], weights["fc.bias"])


def test_rectified_units():
    """PyTorch's documentation: `nonlinearity="relu"` replaces tanh."""
    weights = state_dict("rnn_bias")
    cell, params = from_pytorch(weights, readout="fc", nonlinearity="relu")
    states = documented(weights, INPUTS, phi=lambda x: np.maximum(x, 0))
    found = RUN(cell, params, INPUTS.astype("f4")).states
    np.testing.assert_allclose(found, states, rtol=1e-5, atol=1e-6)
    back = to_pytorch(cell, params, prefix="rnn.", readout="fc")
    np.testing.assert_array_equal(
        back["rnn.weight_hh_l0"], weights["rnn.weight_hh_l0"].astype("f4")
    )


@pytest.mark.parametrize(
    "cell",
    [
        cells.rate(4, inputs=2, outputs=3, alpha=1.0),
        cells.rate(4, inputs=2, outputs=3, alpha=1.0, bias=True, init="xavier"),
        cells.gru(4, inputs=2, outputs=3),
        cells.lstm(4, inputs=2, outputs=3),
    ],
    ids=lambda cell: f"{cell.name} {getattr(cell, 'bias', '')}",
)
def test_cells_round_trip(cell):
    params = cell.init(jax.random.key(1))
    params = jax.tree.map(lambda leaf: leaf + 0.1, params)  # biases that are not 0
    found = from_pytorch(to_pytorch(cell, params, readout="out"), readout="out")
    expected = RUN(cell, params, INPUTS.astype("f4"))
    chex.assert_trees_all_close(
        RUN(found.cell, found.params, INPUTS.astype("f4")), expected, atol=1e-6
    )


@pytest.mark.slow
def test_effective_weights_are_written():
    """Under a rule with multipliers raw and effective weights differ."""
    cell = cells.rate(8, inputs=2, alpha=1.0, parametrization=InverseWidth())
    params = cell.init(jax.random.key(0))
    written = to_pytorch(cell, params, readout="fc")
    assert not np.allclose(written["fc.weight"], params["readout"])
    states = RUN(cell, params, INPUTS.astype("f4"))
    np.testing.assert_allclose(documented(written, INPUTS, ""), states.states, atol=1e-6)
    outputs = states.states @ written["fc.weight"].T
    np.testing.assert_allclose(outputs, states.outputs, atol=1e-6)
    scaled = to_pytorch(cell, params, readout="fc", output_scale=0.5)
    np.testing.assert_allclose(scaled["fc.weight"], 0.5 * written["fc.weight"])
    np.testing.assert_array_equal(scaled["fc.bias"], written["fc.bias"])


def test_without_a_readout_the_outputs_are_the_state():
    cell, params = from_pytorch(state_dict("gru_bias"))
    found = RUN(cell, params, INPUTS.astype("f4"))
    np.testing.assert_allclose(found.outputs, STORED["gru_bias/states"], atol=1e-6)


class Tensor:
    """What a tensor on a device looks like from outside."""

    dtype = "torch.float32"

    def __init__(self, value):
        self.value = value

    def detach(self):
        return self

    def cpu(self):
        return self

    def numpy(self):
        return self.value


def test_tensors_are_read():
    weights = state_dict("lstm_bias")
    tensors = {name: Tensor(value) for name, value in weights.items()}
    chex.assert_trees_all_equal(from_pytorch(tensors).params, from_pytorch(weights).params)


RNN = state_dict("rnn_bias")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        ({"rnn.weight_ih_l1": RNN["rnn.weight_hh_l0"]}, {}, "got several layers .rnn.weight_ih_l1"),
        ({"rnn.weight_ih_l0_reverse": RNN["fc.bias"]}, {}, "got two directions"),
        ({"rnn.weight_hr_l0": RNN["fc.bias"]}, {}, "got a projection"),
        ({"b.weight_hh_l0": RNN["rnn.weight_hh_l0"]}, {}, "weights of one recurrent layer"),
        ({"rnn.weight_hh_l0": np.ones((10, 5))}, {}, r"weight_hh_l0 of shape .* got \(10, 5\)"),
        ({"rnn.weight_ih_l0": np.ones((4, 2))}, {}, r"weight_ih_l0 of shape \[5, I\]"),
        ({"rnn.bias_hh_l0": np.ones(4)}, {}, r"bias_hh_l0 of shape \(5,\), got \(4,\)"),
        ({"rnn.bias_hh_l0": np.full(5, np.nan)}, {}, "rnn.bias_hh_l0: expected finite"),
        ({}, {"nonlinearity": "sigmoid"}, "nonlinearity: .* got 'sigmoid'"),
        ({}, {"readout": "fd"}, "state_dict: .*did you mean 'fc.weight'"),
        ({"fc.weight": np.ones((2, 4))}, {"readout": "fc"}, r"readout: .* got \(2, 4\)"),
    ],
)
def test_other_networks_are_refused(change, options, message):
    with pytest.raises(ValueError, match=message):
        from_pytorch({**RNN, **change}, **options)


class Rectified(cells.Rate):
    """Another update, with the fields of a tanh network."""

    def update(self, state, current):
        return np.maximum(current, 0)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("cell", "message"),
    [
        (Rectified(4, alpha=1.0), "cell: expected rate, gru or lstm"),
        (cells.rate(alpha=0.5), "alpha = 1, since nn.RNN has no leak, got alpha = 0.5"),
        (cells.rate(alpha=1.0, activation="linear"), "activation: .* got 'linear'"),
        (cells.current(), "cell: expected rate, gru or lstm, got .current"),
    ],
)
def test_other_cells_are_refused(cell, message):
    with pytest.raises(ValueError, match=message):
        to_pytorch(cell, cell.init(jax.random.key(0)))
