"""Networks of PyTorch as cells, and back: `nn.RNN`, `nn.GRU` and `nn.LSTM`.

A `state_dict` has weights of all gates in one matrix, [gates * N, N] of the state and
[gates * N, I] of the inputs, and two biases. With sigmoid s, the equations of PyTorch are

    RNN    h' = tanh(W_ih x + b_ih + W_hh h + b_hh), or relu(...)
    GRU    r = s(W_ir x + b_ir + W_hr h + b_hr),  z likewise
           n = tanh(W_in x + b_in + r * (W_hn h + b_hn)),  h' = (1 - z) n + z h
    LSTM   i, f, o = s(W_i x + b_i + W_h h + b_h), each with its own;  g = tanh(...)
           c' = f c + i g,  h' = o tanh(c')

with gates in the orders r, z, n and i, f, g, o. The cells `rate` (alpha 1), `gru` and `lstm`
compute the same. Two biases that are only ever added become one, except in n of the GRU.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from rnnjax import arrays
from rnnjax.cells import GRU, LSTM, Cell, Rate, gru, lstm, rate
from rnnjax.typing import Array, Params
from rnnjax.validate import finite_positive, instance_of, one_of, shown

__all__ = ["Converted", "from_pytorch", "to_pytorch"]

_GATES = {1: "", 3: "rzn", 4: "ifgo"}
"""Gates in PyTorch's order, by their number."""

_LEAVES = ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
_REFUSED = {
    "weight_ih_l1": "several layers",
    "weight_ih_l0_reverse": "two directions",
    "weight_hr_l0": "a projection of the state",
}


class Converted(NamedTuple):
    """A cell and its weights, for `rnnjax.rollout` and everything else that takes both."""

    cell: Cell
    params: Params


def from_pytorch(
    state_dict: Mapping[str, Any], *, readout: str | None = None, nonlinearity: str = "tanh"
) -> Converted:
    """The cell and weights of a network of PyTorch, with equal states and outputs.

    `rnnjax.rollout(*converted, inputs)` returns `states`, those of PyTorch (h, c for an LSTM), and
    `outputs`, of the readout.

    Args:
        state_dict: of an `nn.RNN`, `nn.GRU` or `nn.LSTM` of one layer and direction, or of a module
            that contains one; values are tensors, or arrays of NumPy. `batch_first` makes no
            difference: inputs of `rollout` are [B, T, I].
        readout: name of the linear layer that reads the state out, such as `fc`; by default the
            outputs are the state h.
        nonlinearity: of an `nn.RNN`, which a `state_dict` does not contain: `tanh` or `relu`.

    Raises:
        ValueError: no such layer or more than one, several layers or directions, a projection,
            another nonlinearity, weights of other shapes, or NaN or infinity.
    """
    instance_of("state_dict", state_dict, Mapping)
    one_of("nonlinearity", nonlinearity, ("tanh", "relu"))
    prefix = _prefix(state_dict)
    leaves = {name: _array(state_dict, prefix + name) for name in _LEAVES[:2]}
    inner, outer = leaves["weight_hh_l0"], leaves["weight_ih_l0"]
    hidden = inner.shape[-1]
    count = len(inner) // hidden
    if inner.shape != (count * hidden, hidden) or count not in _GATES:
        raise ValueError(
            f"state_dict: expected weight_hh_l0 of shape [N, N], [3N, N] or [4N, N], "
            f"got {inner.shape}"
        )
    if outer.ndim != 2 or len(outer) != len(inner):
        raise ValueError(
            f"state_dict: expected weight_ih_l0 of shape [{len(inner)}, I], got {outer.shape}"
        )
    for name in _LEAVES[2:]:
        given = prefix + name in state_dict
        bias = _array(state_dict, prefix + name) if given else np.zeros_like(inner[:, 0])
        if bias.shape != (len(inner),):
            raise ValueError(
                f"state_dict: expected {name} of shape ({len(inner)},), got {bias.shape}"
            )
        leaves[name] = bias
    weights, bias = _readout(state_dict, readout, hidden, inner.dtype)
    size = {"inputs": outer.shape[1], "outputs": len(weights)}
    if count > 1 and nonlinearity != "tanh":
        raise ValueError(
            f"nonlinearity: expected 'tanh' for a gated network, got {shown(nonlinearity)}"
        )
    plain = {"alpha": 1.0, "bias": True, "activation": nonlinearity} if count == 1 else {}
    cell = _CELLS[count](hidden, **size, **plain)
    params = _plain(leaves) if count == 1 else _gated(leaves, _GATES[count], hidden)
    params |= {"readout": weights, "readout_bias": bias}
    shapes = {name: leaf.shape for name, leaf in cell.leaves().items()}
    assert {name: value.shape for name, value in params.items()} == shapes
    return Converted(cell, {name: arrays.leaf(name, params[name]) for name in shapes})


_CELLS: dict[int, Any] = {1: rate, 3: gru, 4: lstm}


def _prefix(state_dict: Mapping[str, Any]) -> str:
    """What precedes the names of the recurrent layer's weights, such as `rnn.`."""
    for leaf, what in _REFUSED.items():
        odd = [name for name in state_dict if str(name).endswith(leaf)]
        if odd:
            raise ValueError(
                f"state_dict: expected one layer in one direction without projection, got {what} "
                f"({odd[0]})"
            )
    wanted = _LEAVES[1]
    found = [str(name) for name in state_dict if str(name).endswith(wanted)]
    if len(found) != 1:
        names = ", ".join(map(str, state_dict)) or "nothing"
        raise ValueError(
            f"state_dict: expected weights of one recurrent layer, {wanted}, got {shown(names)}"
        )
    return found[0].removesuffix(wanted)


def _array(state_dict: Mapping[str, Any], name: str) -> np.ndarray:
    """A finite array, of a tensor on any device."""
    if name not in state_dict:
        one_of("state_dict", name, map(str, state_dict))
    value = state_dict[name]
    if hasattr(value, "detach"):  # a tensor
        value = value.detach().cpu()
        value = (value.float() if str(value.dtype) == "torch.bfloat16" else value).numpy()
    found = arrays.floating(f"state_dict, {name}", value)
    if not np.isfinite(found).all() or not found.size:
        raise ValueError(f"state_dict, {name}: expected finite numbers, got NaN, infinity or none")
    return found


def _readout(
    state_dict: Mapping[str, Any], name: str | None, hidden: int, dtype: np.dtype
) -> tuple[np.ndarray, np.ndarray]:
    """Weights [O, N] and bias [O] of the readout; the identity if there is none."""
    if name is None:
        return np.eye(hidden, dtype=dtype), np.zeros(hidden, dtype)
    weights = _array(state_dict, f"{name}.weight")
    if weights.ndim != 2 or weights.shape[1] != hidden:
        raise ValueError(
            f"readout: expected weights of shape [O, {hidden}], got {weights.shape} in {name!r}"
        )
    given = f"{name}.bias" in state_dict
    bias = _array(state_dict, f"{name}.bias") if given else np.zeros(len(weights), dtype)
    if bias.shape != (len(weights),):
        raise ValueError(f"readout: expected a bias of shape ({len(weights)},), got {bias.shape}")
    return weights, bias


def _plain(leaves: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {
        "recurrent": leaves["weight_hh_l0"],
        "input": leaves["weight_ih_l0"],
        "bias": leaves["bias_ih_l0"] + leaves["bias_hh_l0"],
    }


def _gated(leaves: Mapping[str, np.ndarray], gates: str, hidden: int) -> dict[str, np.ndarray]:
    """Leaves of our gated cells: one matrix per gate, and the biases that flax has."""
    split = {name: np.split(value, len(gates)) for name, value in leaves.items()}
    found = {}
    for g, gate in enumerate(gates):
        found[f"i{gate}"] = split["weight_ih_l0"][g]
        found[f"h{gate}"] = split["weight_hh_l0"][g]
        of_input, of_state = split["bias_ih_l0"][g], split["bias_hh_l0"][g]
        if gates == "rzn" and gate == "n":
            found["in_bias"], found["hn_bias"] = of_input, of_state
        else:
            found[f"{'i' if gates == 'rzn' else 'h'}{gate}_bias"] = of_input + of_state
    return found


def to_pytorch(
    cell: Cell,
    params: Params,
    *,
    prefix: str = "",
    readout: str | None = None,
    output_scale: float = 1.0,
) -> dict[str, np.ndarray]:
    """A `state_dict` of `nn.RNN`, `nn.GRU` or `nn.LSTM` with equal states, as arrays of NumPy.

    `{name: torch.from_numpy(value) for name, value in found.items()}` is what `load_state_dict`
    takes. Effective weights are written, whatever the width rule.

    Args:
        cell: `rate` with alpha 1, `gru` or `lstm`.
        params: its weights.
        prefix: what precedes the names of the recurrent layer, such as `rnn.`.
        readout: name of the linear layer of the readout, such as `fc`; left out by default.
        output_scale: factor on the weights of the readout, such as `Population.output_scale`, 1 /
            gamma under muP and the gamma-trick.

    Raises:
        ValueError: another cell, a scale that is not positive, or a rate cell with alpha below 1 or
            linear units, which nn.RNN does not support.
    """
    _require_known(cell)

    def weight(name: str) -> np.ndarray:
        value: Array = cell.effective(params, name)
        return np.asarray(value)

    def bias(name: str) -> np.ndarray:
        return weight(name) if name in cell.leaves() else np.zeros_like(weight("readout")[0])

    if isinstance(cell, Rate):
        of_input, of_state = bias("bias"), np.zeros(cell.hidden, weight("recurrent").dtype)
        values = [weight("input"), weight("recurrent"), of_input, of_state]
    else:
        parts = [
            [f"i{gate}", f"h{gate}", f"i{gate}_bias", f"h{gate}_bias"] for gate in _gates(cell)
        ]
        values = [
            np.concatenate([(bias if name.endswith("_bias") else weight)(name) for name in column])
            for column in zip(*parts, strict=True)
        ]
    found = {prefix + name: value for name, value in zip(_LEAVES, values, strict=True)}
    if readout is not None:
        scale = np.float32(finite_positive("output_scale", output_scale))
        found[f"{readout}.weight"] = weight("readout") * scale
        has_bias = "readout_bias" in cell.leaves()
        zeros = np.zeros(cell.outputs, found[f"{readout}.weight"].dtype)
        found[f"{readout}.bias"] = weight("readout_bias") if has_bias else zeros
    return found


def _require_known(cell: Cell) -> None:
    """Raises `ValueError` for a cell that no layer of PyTorch computes."""
    instance_of("cell", cell, Cell)
    if type(cell) not in (Rate, GRU, LSTM):  # a subclass may have another update
        raise ValueError(
            f"cell: expected rate, gru or lstm, got {shown(getattr(cell, 'name', cell))}"
        )
    if isinstance(cell, Rate) and cell.alpha != 1:
        raise ValueError(
            f"cell: expected alpha = 1, since nn.RNN has no leak, got alpha = {cell.alpha:g}"
        )
    if isinstance(cell, Rate):
        one_of("cell, activation", cell.activation, ("tanh", "relu"))


def _gates(cell: Cell) -> str:
    return "rzn" if isinstance(cell, GRU) else "ifgo"
