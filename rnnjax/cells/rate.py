"""The leaky firing-rate network, Euler-discretized."""

import dataclasses

import jax.numpy as jnp

from rnnjax.cells.dense import DenseCell, chosen_rule
from rnnjax.parametrization import Parametrization, Standard
from rnnjax.typing import Array

__all__ = ["Rate", "rate"]


@dataclasses.dataclass(frozen=True)
class Rate(DenseCell):
    """r' = (1 - alpha) r + alpha tanh(W r + W_in u + b),  y = W_out r + b_out; see `rate`."""

    hidden: int = 64
    inputs: int = 1
    outputs: int = 1
    alpha: float = 0.5
    bias: bool = False
    parametrization: Parametrization = Standard()

    name = "rate"

    def __post_init__(self):
        self._check("alpha", self.alpha)

    def update(self, state: Array, current: Array) -> Array:
        """One Euler step of tau dr/dt = -r + tanh(current), with alpha = dt / tau."""
        return (1 - self.alpha) * state + self.alpha * jnp.tanh(current)


def rate(
    hidden: int = 64,
    *,
    inputs: int = 1,
    outputs: int = 1,
    alpha: float = 0.5,
    bias: bool = False,
    init: str | None = None,
    parametrization: Parametrization | None = None,
) -> Rate:
    """The leaky rate network, tau dr/dt = -r + tanh(W r + W_in u + b), with alpha = dt / tau.

    Sweeps set `hidden`, `inputs` and `outputs` to fit their axes and tasks.

    Args:
        hidden: number of units, N.
        inputs: number of input channels, I.
        outputs: number of output channels, O.
        alpha: dt / tau, in (0, 1]; 1 is the vanilla tanh network.
        bias: whether the units and the readout have biases.
        init: arm of the standard rule: `gaussian` (default), `xavier` or `uniform`.
        parametrization: another width rule, in place of the standard one.

    Raises:
        ValueError: sizes below 1, `alpha` outside (0, 1], an unknown `init`, or
            both `init` and `parametrization`.
    """
    return Rate(hidden, inputs, outputs, alpha, bias, chosen_rule(init, parametrization))
