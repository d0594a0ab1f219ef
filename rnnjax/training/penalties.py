"""Penalties on the effective recurrent weights, as gradients that are added to that of the loss."""

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp

from rnnjax.cells import Cell
from rnnjax.numerics.polar import polar_factor
from rnnjax.typing import Array, Float, Params, Scalar

__all__ = ["PENALTIES", "penalty_gradient"]

PENALTIES: dict[str, Callable[[Float[Array, "N N"]], Float[Array, "N N"]]] = {
    "l1": jnp.sign,
    "nuclear": polar_factor,
}
"""Name -> gradient, with respect to W, of sum |w| and of the sum of singular values.

The second is U V^T, W = U S V^T. Each is a subgradient where an entry or a singular value is 0.
"""


def penalty_gradient(cell: Cell, params: Params, strengths: Mapping[str, Scalar | float]) -> Params:
    """Gradient with respect to the raw weights of sum_p strength_p penalty_p(W).

    W is the cell's connectivity; `strengths` holds one strength per name in `PENALTIES`.
    """
    weights, pull = jax.vjp(cell.connectivity, params)
    slope = jnp.zeros_like(weights)
    for name, gradient in PENALTIES.items():
        if name in strengths:
            slope += strengths[name] * gradient(weights)
    return pull(slope)[0]
