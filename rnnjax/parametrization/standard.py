"""The standard rule: weights of order 1/sqrt(N), one learning rate for all."""

import dataclasses
import math

from rnnjax.parametrization.base import Leaf, LeafRule, Parametrization
from rnnjax.validate import one_of

__all__ = ["INITIALIZATIONS", "Standard"]


def _uniform(leaf: Leaf, hidden: int) -> LeafRule:
    return LeafRule("uniform", 1 / math.sqrt(hidden))


def _gaussian(leaf: Leaf, hidden: int) -> LeafRule:
    if leaf.role in ("bias", "readout_bias"):
        return LeafRule("zeros", 0.0)
    return LeafRule("normal", 1 / math.sqrt(hidden))


def _xavier(leaf: Leaf, hidden: int) -> LeafRule:
    if leaf.role in ("bias", "readout_bias"):
        return LeafRule("uniform", 1 / math.sqrt(leaf.fan_in))
    fan_out, fan_in = leaf.shape
    return LeafRule("uniform", math.sqrt(6 / (fan_in + fan_out)))


INITIALIZATIONS = {"gaussian": _gaussian, "uniform": _uniform, "xavier": _xavier}


@dataclasses.dataclass(frozen=True)
class Standard(Parametrization):
    """The rule of study 1, in three arms that differ in the initial weights alone.

    * `gaussian`: every weight N(0, 1/N), the input weights too; biases, if any, start at 0.
    * `xavier`: uniform with half-width sqrt(6 / (fan_in + fan_out)); biases uniform in
      +-1/sqrt(fan_in), the hidden bias with the fan-in of the inputs, hence of order one.
    * `uniform`: everything uniform in +-1/sqrt(N), as in PyTorch's `nn.RNN`.

    The arm decides SGD's exponent: the mean square activity is of order 1 in `gaussian` and of
    order N in `xavier`. Raises `ValueError` for another arm.
    """

    init: str = "gaussian"

    name = "standard"

    def __post_init__(self):
        one_of("init", self.init, INITIALIZATIONS)

    def rule(self, leaf: Leaf, *, hidden: int, optimizer: str) -> LeafRule:
        """Scale from the arm; multiplier and learning-rate factor 1."""
        return INITIALIZATIONS[self.init](leaf, hidden)
