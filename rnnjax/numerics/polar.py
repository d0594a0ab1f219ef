"""The orthogonal polar factor of a matrix, by matrix products alone."""

import jax
import jax.numpy as jnp
import numpy as np

from rnnjax.typing import Array, Float

__all__ = ["polar_factor"]

_FLOOR = 1e-5
"""Singular values below this share of the Frobenius norm count as small."""


def _scalings() -> tuple[float, ...]:
    """Scaling of each iteration, for singular values in [_FLOOR, 1] (Chen and Chow 2014)."""
    lowest, found = _FLOOR, []
    while 1 - lowest > 1e-7:
        scaling = float(np.sqrt(3 / (1 + lowest + lowest**2)))
        found.append(scaling)
        lowest = 0.5 * scaling * lowest * (3 - (scaling * lowest) ** 2)
    return tuple(found)


_SCALINGS = _scalings()


def polar_factor(matrix: Float[Array, "N N"]) -> Float[Array, "N N"]:
    """U V^T of the matrix U S V^T: the gradient of its nuclear norm, the sum of S.

    Scaled Newton-Schulz iterations, X <- s X (3 I - s^2 X^T X) / 2. They act on each singular value
    separately, so equal singular values cause no error, as they would in the derivative of a
    decomposition. A singular value becomes 1 if it is above 1e-5 of the Frobenius norm; below, its
    image falls to 0 with it, which is a subgradient at 0. The factor of a zero matrix is 0.
    """
    norm = jnp.sqrt(jnp.sum(jnp.square(matrix)))
    x = matrix / jnp.where(norm > 0, norm, 1.0)

    def iterate(x: Array, scaling: Array) -> tuple[Array, None]:
        x = scaling * x
        return 1.5 * x - 0.5 * (x @ (x.T @ x)), None

    with jax.default_matmul_precision("highest"):  # whatever that of the networks
        return jax.lax.scan(iterate, x, jnp.asarray(_SCALINGS, matrix.dtype))[0]
