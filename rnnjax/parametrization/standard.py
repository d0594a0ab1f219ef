"""The standard rule, weights of order 1/sqrt(N) and one learning rate, without and with gamma."""

import dataclasses
import math
from typing import Literal

from rnnjax.parametrization.base import FIXED, Leaf, LeafRule, Parametrization
from rnnjax.parametrization.inverse_width import EPS_SCALINGS
from rnnjax.validate import one_of

__all__ = ["INITIALIZATIONS", "GammaTrick", "Standard"]


def _fan(leaf: Leaf, hidden: int) -> int:
    """N, or K for a readout from K latent variables."""
    return leaf.fan_in if leaf.role == "latent_readout" else hidden


def _uniform(leaf: Leaf, hidden: int) -> LeafRule:
    return LeafRule("uniform", 1 / math.sqrt(_fan(leaf, hidden)))


def _gaussian(leaf: Leaf, hidden: int) -> LeafRule:
    if leaf.role in ("bias", "readout_bias"):
        return LeafRule("zeros", 0.0)
    return LeafRule("normal", 1 / math.sqrt(_fan(leaf, hidden)))


def _xavier(leaf: Leaf, hidden: int) -> LeafRule:
    if leaf.role in ("bias", "readout_bias"):
        return LeafRule("uniform", 1 / math.sqrt(leaf.fan_in))
    if len(leaf.shape) != 2:
        raise ValueError(
            f"leaves: expected a matrix of the role {leaf.role!r} under xavier, which takes the "
            f"half-width from both of its sizes, got shape {leaf.shape}"
        )
    fan_out, fan_in = leaf.shape
    return LeafRule("uniform", math.sqrt(6 / (fan_in + fan_out)))


INITIALIZATIONS = {"gaussian": _gaussian, "uniform": _uniform, "xavier": _xavier}
"""Initializations of the standard rule, by name: what they draw a leaf from."""


@dataclasses.dataclass(frozen=True)
class Standard(Parametrization):
    """Weights of order 1/sqrt(N), with one of three initializations.

    * `gaussian`: every weight N(0, 1/N), the input weights too; biases, if any, start at 0.
    * `xavier`: uniform with half-width sqrt(6 / (fan_in + fan_out)); biases uniform in
      +-1/sqrt(fan_in), the hidden bias of `rate` and `current` with the fan-in of the inputs, hence
      of order one.
    * `uniform`: everything uniform in +-1/sqrt(N), as in PyTorch's `nn.RNN`.

    A readout from K latent variables has K in place of N.
    Leaves of the roles `unit` and `fixed` are N(0, 1) in each of the three.

    The squared norm of the activity is of order 1 in `gaussian` and of order N in `xavier` with
    biases; SGD's largest stable rate depends on N accordingly. Raises `ValueError` for another
    initialization.
    """

    init: str = "gaussian"

    name = "standard"

    def __post_init__(self):
        super().__post_init__()
        one_of("init", self.init, INITIALIZATIONS)

    def rule(self, leaf: Leaf, *, hidden: int, optimizer: str) -> LeafRule:
        """Scale of the initialization; multiplier and learning-rate factor 1."""
        if leaf.role == "unit":
            return LeafRule("normal", 1.0)
        if leaf.role == "fixed":
            return FIXED
        return INITIALIZATIONS[self.init](leaf, hidden)


@dataclasses.dataclass(frozen=True)
class GammaTrick(Standard):
    """The standard rule with the output divided by gamma, and rates that compensate.

    Learning rates are gamma eta under Adam and gamma^2 eta under SGD; the readout's bias, which is
    not divided by gamma, keeps eta. Larger gamma means more feature learning, as under muP. With
    `output="multiply"` the output is multiplied by gamma with the same rates, which then do not
    compensate. With `eps_scaling="scaled"` Adam's epsilon has the factor of the output, as the
    gradients do.
    """

    output: Literal["divide", "multiply"] = "divide"
    eps_scaling: Literal["torch", "scaled"] = "torch"

    name = "gamma_trick"

    def __post_init__(self):
        super().__post_init__()
        one_of("output", self.output, ("divide", "multiply"))
        one_of("eps_scaling", self.eps_scaling, EPS_SCALINGS)

    @property
    def output_gamma(self) -> int:
        """-1, or 1 where the output is multiplied."""
        return -1 if self.output == "divide" else 1

    def rule(self, leaf: Leaf, *, hidden: int, optimizer: str) -> LeafRule:
        """The standard rule's scale; powers of gamma in rate and epsilon."""
        rule = super().rule(leaf, hidden=hidden, optimizer=optimizer)
        if leaf.role in ("readout_bias", "fixed"):
            return rule
        return rule._replace(
            learning_rate_gamma=1 if optimizer == "adam" else 2,
            eps_gamma=self.output_gamma if self.eps_scaling == "scaled" else 0,
        )
