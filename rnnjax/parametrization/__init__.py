"""Width rules: scales of initial weights, of weights in use and of learning rates, by width."""

from typing import Any

from rnnjax.parametrization.base import FIXED, Leaf, LeafRule, Parametrization, Role, initialize
from rnnjax.parametrization.inverse_width import InverseWidth
from rnnjax.parametrization.mup import MuPAdam, MuPSGD
from rnnjax.parametrization.standard import INITIALIZATIONS, GammaTrick, Standard
from rnnjax.validate import known_options, one_of

__all__ = [
    "FIXED",
    "INITIALIZATIONS",
    "REGISTRY",
    "GammaTrick",
    "InverseWidth",
    "Leaf",
    "LeafRule",
    "MuPAdam",
    "MuPSGD",
    "Parametrization",
    "Role",
    "Standard",
    "initialize",
    "make",
]

REGISTRY: dict[str, type[Parametrization]] = {
    "standard": Standard,
    "inverse_width": InverseWidth,
    "mup_adam": MuPAdam,
    "mup_sgd": MuPSGD,
    "gamma_trick": GammaTrick,
}
"""Every width rule, by name."""


def make(name: str, **options: Any) -> Parametrization:
    """Builds the rule registered as `name`; the error for an unknown name suggests one."""
    kind = REGISTRY[one_of("parametrization", name, REGISTRY)]
    return kind(**known_options(kind, options))
