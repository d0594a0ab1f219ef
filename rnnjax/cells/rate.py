"""The leaky firing-rate network of study 1, Euler-discretized."""

import dataclasses

import jax.numpy as jnp

from rnnjax.cells.base import AdditiveCell
from rnnjax.parametrization import Leaf, Parametrization, Standard
from rnnjax.typing import Array, Float, Params, Scalar
from rnnjax.validate import fraction, positive_integer

__all__ = ["Rate", "rate"]


@dataclasses.dataclass(frozen=True)
class Rate(AdditiveCell):
    """r' = (1 - alpha) r + alpha tanh(W r + W_in u + b),  y = W_out r + b_out; see `rate`."""

    hidden: int = 64
    inputs: int = 1
    outputs: int = 1
    alpha: float = 0.5
    bias: bool = False
    parametrization: Parametrization = Standard()

    name = "rate"

    def __post_init__(self):
        positive_integer("hidden", self.hidden)
        positive_integer("inputs", self.inputs)
        positive_integer("outputs", self.outputs)
        fraction("alpha", self.alpha, open_below=True)
        if not isinstance(self.bias, bool):
            raise ValueError(f"bias: expected True or False, got {self.bias!r}")

    def leaves(self) -> dict[str, Leaf]:
        """W [N, N], W_in [N, I], W_out [O, N], and with biases b [N], b_out [O]."""
        n, i, o = self.hidden, self.inputs, self.outputs
        leaves = {
            "recurrent": Leaf("recurrent", (n, n), n),
            "input": Leaf("input", (n, i), i),
            "readout": Leaf("readout", (o, n), n),
        }
        if self.bias:
            leaves["bias"] = Leaf("bias", (n,), i)
            leaves["readout_bias"] = Leaf("readout_bias", (o,), n)
        return leaves

    def connectivity(self, params: Params) -> Float[Array, "N N"]:
        """W, [to, from]."""
        return self.effective(params, "recurrent")

    def drive(self, params: Params, inputs: Float[Array, "T I"]) -> Float[Array, "T N"]:
        """W_in u + b, for all times at once."""
        drive = inputs @ self.effective(params, "input").T
        return drive + self.effective(params, "bias")[None, :] if self.bias else drive

    def update(self, state: Array, current: Array) -> Array:
        """One Euler step of tau dr/dt = -r + tanh(current), with alpha = dt / tau."""
        return (1 - self.alpha) * state + self.alpha * jnp.tanh(current)

    def readout(
        self, params: Params, state: Array, scale: float | Scalar = 1.0
    ) -> Float[Array, " O"]:
        """W_out r (times `scale`) + b_out."""
        output = scale * (state @ self.effective(params, "readout").T)
        return output + self.effective(params, "readout_bias") if self.bias else output


def rate(
    hidden: int = 64,
    *,
    inputs: int = 1,
    outputs: int = 1,
    alpha: float = 0.5,
    bias: bool = False,
    init: str = "gaussian",
) -> Rate:
    """The leaky rate network under the standard rule (study 1, Eqs. 1 and 2).

    Sweeps set `hidden`, `inputs` and `outputs` to fit their axes and tasks.

    Args:
        hidden: number of units, N.
        inputs: number of input channels, I.
        outputs: number of output channels, O.
        alpha: dt / tau, in (0, 1]; 1 is the vanilla tanh network.
        bias: whether the units and the readout have biases.
        init: arm of the standard rule: `gaussian`, `xavier` or `uniform`.

    Raises:
        ValueError: sizes below 1, `alpha` outside (0, 1], an unknown `init`.
    """
    return Rate(hidden, inputs, outputs, alpha, bias, Standard(init))
