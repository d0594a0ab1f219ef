"""Gated networks: cells of flax behind the cell contract."""

import abc
import dataclasses

import jax.numpy as jnp

from rnnjax.cells.base import Cell
from rnnjax.cells.dense import chosen_rule
from rnnjax.parametrization import Leaf, Parametrization, Standard
from rnnjax.typing import Array, Float, Params, Scalar
from rnnjax.validate import instance_of, positive_integer

__all__ = ["GRU", "LSTM", "MGU", "Gated", "gru", "lstm", "mgu"]


class Gated(Cell):
    """A cell of flax, with weights that are drawn and scaled by a width rule.

    The weights of flax's dense layer `hz` are the leaves `hz` [N, N] and, where flax uses a bias,
    `hz_bias` [N]. Names of layers from the state begin with h, from the inputs with i.
    """

    biased: tuple[str, ...]
    """The layers that have a bias in flax."""
    gates: str
    """The second letters of the layers' names."""

    @abc.abstractmethod
    def _advance(self, layers: Params, state: Array, inputs: Array) -> Array:
        """The next state by flax's cell, from weights in flax's layout."""

    def __post_init__(self):
        super().__post_init__()
        positive_integer("hidden", self.hidden)
        positive_integer("inputs", self.inputs)
        positive_integer("outputs", self.outputs)
        instance_of("parametrization", self.parametrization, Parametrization)

    def leaves(self) -> dict[str, Leaf]:
        """Per layer its weights, [N, N] or [N, I], and bias [N]; readout [O, N], its bias [O]."""
        n, i, o = self.hidden, self.inputs, self.outputs
        leaves = {}
        for gate in self.gates:
            leaves[f"h{gate}"] = Leaf("recurrent", (n, n), n)
            leaves[f"i{gate}"] = Leaf("input", (n, i), i)
        for layer in self.biased:
            leaves[f"{layer}_bias"] = Leaf("bias", (n,), leaves[layer].fan_in)
        leaves["readout"] = Leaf("readout", (o, n), n)
        leaves["readout_bias"] = Leaf("readout_bias", (o,), n)
        return leaves

    @property
    def products(self) -> int:
        """Multiply-adds of all gates and of the readout."""
        return self.hidden * (len(self.gates) * (self.hidden + self.inputs) + self.outputs)

    @property
    def kept(self) -> int:
        """Currents and values of all gates, with their cotangents."""
        return 4 * len(self.gates) * self.hidden

    def in_use(self, trials: int) -> int:
        """The weights in flax's layout, and their cotangents."""
        return 2 * self.products

    def step(self, params: Params, state: Array, drive: Array) -> Array:
        """The next state, from this one and this step's inputs."""
        layers = {
            name: {"kernel": self.effective(params, name).T}
            for gate in self.gates
            for name in (f"h{gate}", f"i{gate}")
        }
        for name in self.biased:
            layers[name]["bias"] = self.effective(params, f"{name}_bias")
        return self._advance({"params": layers}, state, drive)

    def readout(
        self, params: Params, state: Array, scale: float | Scalar = 1.0
    ) -> Float[Array, " O"]:
        """W_out h (times `scale`) + b_out."""
        output = scale * (self.effective(params, "readout") @ state[: self.hidden])
        return output + self.effective(params, "readout_bias")

    def rates(
        self, params: Params, states: Array, inputs: Array, initial: Array
    ) -> Float[Array, "T N"]:
        """The hidden state h."""
        return states[:, : self.hidden]


@dataclasses.dataclass(frozen=True)
class GRU(Gated):
    """h' = (1 - z) n + z h, with the gates of `flax.linen.GRUCell`; see `gru`."""

    hidden: int = 64
    inputs: int = 1
    outputs: int = 1
    parametrization: Parametrization = Standard("xavier")

    name = "gru"
    biased = ("ir", "iz", "in", "hn")
    gates = "rzn"

    def _advance(self, layers: Params, state: Array, inputs: Array) -> Array:
        from flax import linen  # slow to import

        return linen.GRUCell(self.hidden).apply(layers, state, inputs)[0]


@dataclasses.dataclass(frozen=True)
class LSTM(Gated):
    """c' = f c + i g, h' = o tanh(c'), by `flax.linen.LSTMCell`; the state is h, c: [2N].

    See `lstm`.
    """

    hidden: int = 64
    inputs: int = 1
    outputs: int = 1
    parametrization: Parametrization = Standard("xavier")

    name = "lstm"
    biased = ("hi", "hf", "hg", "ho")
    gates = "ifgo"

    def initial_state(self, params: Params) -> Array:
        """Rest: h = c = 0."""
        return jnp.zeros(2 * self.hidden, params["readout"].dtype)

    def _advance(self, layers: Params, state: Array, inputs: Array) -> Array:
        from flax import linen

        hidden, memory = jnp.split(state, 2)
        (memory, hidden), _ = linen.LSTMCell(self.hidden).apply(layers, (memory, hidden), inputs)
        return jnp.concatenate([hidden, memory])


@dataclasses.dataclass(frozen=True)
class MGU(Gated):
    """h' = (1 - f) tanh(W_in u + b + f (W_h h + b_h)) + f h, by `flax.linen.MGUCell`; see `mgu`."""

    hidden: int = 64
    inputs: int = 1
    outputs: int = 1
    parametrization: Parametrization = Standard("xavier")

    name = "mgu"
    biased = ("if", "in", "hn")
    gates = "fn"

    def _advance(self, layers: Params, state: Array, inputs: Array) -> Array:
        from flax import linen

        return linen.MGUCell(self.hidden).apply(layers, state, inputs)[0]


def gru(
    hidden: int = 64,
    *,
    inputs: int = 1,
    outputs: int = 1,
    init: str | None = None,
    parametrization: Parametrization | None = None,
) -> GRU:
    """The gated recurrent unit, computed by flax.

    Args:
        hidden: number of units, N.
        inputs: number of input channels, I.
        outputs: number of output channels, O.
        init: initialization of the standard rule: `xavier` (default), `gaussian` or `uniform`.
        parametrization: another width rule, in place of the standard one.

    Raises:
        ValueError: sizes below 1, an unknown `init`, or both `init` and `parametrization`.
    """
    return GRU(hidden, inputs, outputs, chosen_rule(init, parametrization, "xavier"))


def lstm(
    hidden: int = 64,
    *,
    inputs: int = 1,
    outputs: int = 1,
    init: str | None = None,
    parametrization: Parametrization | None = None,
) -> LSTM:
    """The long short-term memory, computed by flax; arguments and errors as in `gru`."""
    return LSTM(hidden, inputs, outputs, chosen_rule(init, parametrization, "xavier"))


def mgu(
    hidden: int = 64,
    *,
    inputs: int = 1,
    outputs: int = 1,
    init: str | None = None,
    parametrization: Parametrization | None = None,
) -> MGU:
    """A variant of the minimal gated unit (Zhou et al. 2016) by flax; arguments as in `gru`.

    One gate f both keeps the state, where theirs replaces it, and scales W_h h + b_h.
    """
    return MGU(hidden, inputs, outputs, chosen_rule(init, parametrization, "xavier"))
