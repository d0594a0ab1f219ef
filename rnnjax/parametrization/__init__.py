"""Width rules, one table: how weights are drawn, used and trained at every width."""

from rnnjax.parametrization.base import Leaf, LeafRule, Parametrization, Role, initialize
from rnnjax.parametrization.standard import INITIALIZATIONS, Standard

__all__ = [
    "INITIALIZATIONS",
    "REGISTRY",
    "Leaf",
    "LeafRule",
    "Parametrization",
    "Role",
    "Standard",
    "initialize",
]

REGISTRY: dict[str, type[Parametrization]] = {"standard": Standard}
