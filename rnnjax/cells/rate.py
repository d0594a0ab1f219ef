"""The leaky firing-rate network, Euler-discretized."""

import dataclasses

import jax
import jax.numpy as jnp

from rnnjax.cells.dense import DenseCell, chosen_rule
from rnnjax.parametrization import Parametrization, Standard
from rnnjax.typing import Array
from rnnjax.validate import one_of

__all__ = ["ACTIVATIONS", "Rate", "rate"]

ACTIVATIONS = {"tanh": jnp.tanh, "relu": jax.nn.relu, "linear": lambda current: current}
"""Activation functions of the units, by name."""


@dataclasses.dataclass(frozen=True)
class Rate(DenseCell):
    """r' = (1 - alpha) r + alpha phi(W r + W_in u + b),  y = W_out r + b_out; see `rate`."""

    hidden: int = 64
    inputs: int = 1
    outputs: int = 1
    alpha: float = 0.5
    bias: bool = False
    parametrization: Parametrization = Standard()
    activation: str = dataclasses.field(default="tanh", metadata={"later": True})

    name = "rate"

    def __post_init__(self):
        self._check("alpha", self.alpha)
        one_of("activation", self.activation, ACTIVATIONS)

    def update(self, state: Array, current: Array) -> Array:
        """One Euler step of tau dr/dt = -r + phi(current), with alpha = dt / tau."""
        return (1 - self.alpha) * state + self.alpha * ACTIVATIONS[self.activation](current)


def rate(
    hidden: int = 64,
    *,
    inputs: int = 1,
    outputs: int = 1,
    alpha: float = 0.5,
    bias: bool = False,
    init: str | None = None,
    parametrization: Parametrization | None = None,
    activation: str = "tanh",
) -> Rate:
    """The leaky rate network, tau dr/dt = -r + phi(W r + W_in u + b), with alpha = dt / tau.

    Sweeps set `hidden`, `inputs` and `outputs` to fit their axes and tasks.

    Args:
        hidden: number of units, N.
        inputs: number of input channels, I.
        outputs: number of output channels, O.
        alpha: dt / tau, in (0, 1]; 1 is the vanilla tanh network.
        bias: whether the units and the readout have biases.
        init: initialization of the standard rule: `gaussian` (default), `xavier` or `uniform`.
        parametrization: another width rule, in place of the standard one.
        activation: phi: `tanh` (default), `relu`, or `linear` for a linear network.

    Raises:
        ValueError: sizes below 1, `alpha` outside (0, 1], an unknown `init` or `activation`, or
            both `init` and `parametrization`.
    """
    rule = chosen_rule(init, parametrization)
    return Rate(hidden, inputs, outputs, alpha, bias, rule, activation)
