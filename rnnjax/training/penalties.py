"""Penalties on the effective recurrent weights, as gradients that are added to the loss's."""

import jax
import jax.numpy as jnp

from rnnjax.cells import Cell
from rnnjax.numerics.polar import polar_factor
from rnnjax.typing import Params, Scalar

__all__ = ["PENALTIES", "penalty_gradient"]

PENALTIES = ("l1", "nuclear")


def penalty_gradient(
    cell: Cell, params: Params, penalties: tuple[str, ...], l1: Scalar, nuclear: Scalar
) -> Params:
    """Gradient of l1 sum |w| + nuclear (sum of singular values), both of the matrix that acts.

    With W the cell's connectivity it is l1 sign(W) + nuclear U V^T, W = U S V^T, pulled back to
    the raw weights; a subgradient where an entry or a singular value is 0.
    """
    weights, pull = jax.vjp(cell.connectivity, params)
    slope = jnp.zeros_like(weights)
    if "l1" in penalties:
        slope += l1 * jnp.sign(weights)
    if "nuclear" in penalties:
        slope += nuclear * polar_factor(weights)
    return pull(slope)[0]
