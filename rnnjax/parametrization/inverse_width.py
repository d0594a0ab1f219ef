"""The inverse-width rule: raw weights of order one, divided by the width in the forward pass."""

import dataclasses
import math
from typing import Literal

from rnnjax.parametrization.base import FIXED, Leaf, LeafRule, Parametrization, Role
from rnnjax.validate import one_of

__all__ = ["EPS_SCALINGS", "InverseWidth", "eps_factor"]

EPS_SCALINGS = ("torch", "scaled")

_GRADIENT_POWER: dict[Role, int] = {
    "recurrent": 2, "input": 1, "bias": 1, "unit": 1, "readout": 1,
}  # fmt: skip
"""Gradients of raw weights under a 1/N rule fall as this power of N; others do not depend on N."""


def eps_factor(leaf: Leaf, hidden: int, scaling: str) -> float:
    """Factor on Adam's epsilon: 1 (`torch`), or falling with the leaf's gradients (`scaled`)."""
    return 1.0 if scaling == "torch" else 1 / hidden ** _GRADIENT_POWER.get(leaf.role, 0)


@dataclasses.dataclass(frozen=True)
class InverseWidth(Parametrization):
    """W / N and W_out / N, with raw weights of order one and one learning rate.

    The recurrent weights and the readout are divided by N in the forward pass; input weights and
    biases are not. Initial raw weights are N(0, 1) with `init="gaussian"`; with `init="uniform"`
    they are uniform in +-1/sqrt(fan_in), as in PyTorch's linear layers. The readout's bias starts
    at 0. Adam's epsilon is the recipe's for every weight (`eps_scaling="torch"`), or divided by N^2
    for recurrent weights and by N for the other hidden weights and the readout, as their gradients
    are (`"scaled"`). Raises `ValueError` for another initialization or scaling.
    """

    init: Literal["gaussian", "uniform"] = "gaussian"
    eps_scaling: Literal["torch", "scaled"] = "torch"

    name = "inverse_width"

    def __post_init__(self):
        super().__post_init__()
        one_of("init", self.init, ("gaussian", "uniform"))
        one_of("eps_scaling", self.eps_scaling, EPS_SCALINGS)

    def rule(self, leaf: Leaf, *, hidden: int, optimizer: str) -> LeafRule:
        """Multiplier 1/N for recurrent weights and readout; rate factor 1."""
        if leaf.role == "fixed":
            return FIXED
        eps = eps_factor(leaf, hidden, self.eps_scaling)
        if leaf.role == "readout_bias":
            return LeafRule("zeros", 0.0)
        multiplier = 1 / hidden if leaf.role in ("recurrent", "readout") else 1.0
        if self.init == "uniform" and leaf.role != "unit":
            return LeafRule("uniform", 1 / math.sqrt(leaf.fan_in), multiplier, eps=eps)
        return LeafRule("normal", 1.0, multiplier, eps=eps)
