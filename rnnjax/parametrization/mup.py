"""Maximal-update rules: activations and their changes are of order one at every width."""

import dataclasses
import math
from typing import Literal

from rnnjax.parametrization.base import FIXED, Leaf, LeafRule, Parametrization
from rnnjax.parametrization.inverse_width import EPS_SCALINGS, eps_factor
from rnnjax.validate import one_of

__all__ = ["MuPAdam", "MuPSGD"]

_READOUT_BIAS = LeafRule("zeros", 0.0)
"""Its gradient has no factor 1/N or 1/gamma: its learning rate is eta0."""


@dataclasses.dataclass(frozen=True)
class MuPAdam(Parametrization):
    """muP for Adam (after Yang et al. 2021): J/N with J ~ N(0, N), learning rate gamma eta0.

    | leaf        | initial  | multiplier  | rate       |
    |-------------|----------|-------------|------------|
    | recurrent   | N(0, N)  | 1/N         | gamma eta0 |
    | input, bias | N(0, 1)  | 1           | gamma eta0 |
    | unit        | N(0, 1)  | 1           | gamma eta0 |
    | readout     | N(0, 1)  | 1/(gamma N) | gamma eta0 |

    `rollout(..., output_scale=)` applies the factor 1/gamma, since gamma is traced. With
    `eps_scaling="scaled"` Adam's epsilon falls with the gradients, as 1/N^2 for J and 1/N for the
    others in the table, and as 1/gamma; with `"torch"` it is constant, and very large networks
    learn more slowly. Raises `ValueError` for another scaling.
    """

    eps_scaling: Literal["torch", "scaled"] = "scaled"

    name = "mup_adam"
    optimizers = ("adam",)
    output_gamma = -1

    def __post_init__(self):
        super().__post_init__()
        one_of("eps_scaling", self.eps_scaling, EPS_SCALINGS)

    def rule(self, leaf: Leaf, *, hidden: int, optimizer: str) -> LeafRule:
        """The table's row; `optimizer` is Adam."""
        if leaf.role == "readout_bias":
            return _READOUT_BIAS
        if leaf.role == "fixed":
            return FIXED
        return LeafRule(
            "normal",
            scale=math.sqrt(hidden) if leaf.role == "recurrent" else 1.0,
            multiplier=1 / hidden if leaf.role in ("recurrent", "readout") else 1.0,
            learning_rate_gamma=1,
            eps=eps_factor(leaf, hidden, self.eps_scaling),
            eps_gamma=-1 if self.eps_scaling == "scaled" else 0,
        )


@dataclasses.dataclass(frozen=True)
class MuPSGD(Parametrization):
    """muP for gradient descent (after Yang and Hu 2021): J/sqrt(N), learning rate gamma^2 N eta0.

    | leaf        | initial  | multiplier  | rate           |
    |-------------|----------|-------------|----------------|
    | recurrent   | N(0, 1)  | 1/sqrt(N)   | gamma^2 N eta0 |
    | input, bias | N(0, 1)  | 1           | gamma^2 N eta0 |
    | unit        | N(0, 1)  | 1           | gamma^2 N eta0 |
    | readout     | N(0, 1)  | 1/(gamma N) | gamma^2 N eta0 |

    The gradient of a readout from K latent variables does not depend on N: its learning rate is
    gamma^2 eta0.
    """

    name = "mup_sgd"
    optimizers = ("sgd",)
    output_gamma = -1

    def rule(self, leaf: Leaf, *, hidden: int, optimizer: str) -> LeafRule:
        """The table's row; `optimizer` is gradient descent."""
        if leaf.role == "readout_bias":
            return _READOUT_BIAS
        if leaf.role == "fixed":
            return FIXED
        multipliers = {"recurrent": 1 / math.sqrt(hidden), "readout": 1 / hidden}
        return LeafRule(
            "normal",
            scale=1.0,
            multiplier=multipliers.get(leaf.role, 1.0),
            learning_rate=1.0 if leaf.role == "latent_readout" else hidden,
            learning_rate_gamma=2,
        )
