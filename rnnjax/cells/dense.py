"""Base classes of networks with elementwise units, and of those with a full recurrent matrix."""

from rnnjax.cells.base import AdditiveCell, Cell
from rnnjax.parametrization import Leaf, Parametrization, Standard
from rnnjax.typing import Array, Float, Params, Scalar
from rnnjax.validate import flag, fraction, instance_of, positive_integer, shown

__all__ = ["DenseCell", "UnitCell", "chosen_rule"]


class UnitCell(Cell):
    """A network with one state per unit, input weights, a linear readout, and optional biases."""

    bias: bool

    def _check(self, step_name: str, step: float) -> None:
        super().__post_init__()
        positive_integer("hidden", self.hidden)
        positive_integer("inputs", self.inputs)
        positive_integer("outputs", self.outputs)
        fraction(step_name, step, open_below=True)
        flag("bias", self.bias)
        instance_of("parametrization", self.parametrization, Parametrization)

    def drive(self, params: Params, inputs: Float[Array, "T I"]) -> Float[Array, "T N"]:
        """W_in u + b, for all times at once."""
        drive = inputs @ self.effective(params, "input").T
        return drive + self.effective(params, "bias")[None, :] if self.bias else drive

    def readout(
        self, params: Params, state: Array, scale: float | Scalar = 1.0
    ) -> Float[Array, " O"]:
        """W_out emit(state) (times `scale`) + b_out."""
        output = scale * (self.emit(state) @ self.effective(params, "readout").T)
        return output + self.effective(params, "readout_bias") if self.bias else output


class DenseCell(UnitCell, AdditiveCell):
    """A network with a full matrix W of recurrent weights."""

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


def chosen_rule(
    init: str | None, parametrization: Parametrization | None, default: str = "gaussian"
) -> Parametrization:
    """The rule of a factory's arguments: a given one, or the standard rule with `init`.

    Raises `ValueError` where both are given.
    """
    if parametrization is None:
        return Standard(default if init is None else init)
    if init is not None:
        raise ValueError(
            "init: expected none beside a parametrization, which has its own, got "
            f"{shown(init)} and {shown(parametrization)}"
        )
    return instance_of("parametrization", parametrization, Parametrization)
