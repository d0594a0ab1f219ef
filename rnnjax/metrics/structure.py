"""Structure of a weight matrix: sparsity and effective rank."""

import numpy as np

from rnnjax.arrays import array
from rnnjax.validate import finite_positive

__all__ = ["effective_rank", "near_zero_share"]


def _matrices(weights: object) -> np.ndarray:
    return array("weights", weights, "N M | S N M", each=None).astype(np.float64, copy=False)


def near_zero_share(weights: object, bound: float) -> np.ndarray:
    """Share of the entries of each matrix with `|w| < bound`, [] or [S].

    Args:
        weights: [N, M], or [S, N, M] of a population.
        bound: in the unit of the weights. Adam leaves a penalized weight within about one step of
            zero, so take a bound above the learning rate.

    Raises:
        ValueError: another shape, NaN or infinity, or a bound that is not above 0.
    """
    bound = finite_positive("bound", bound)
    return np.asarray(np.mean(np.abs(_matrices(weights)) < bound, axis=(-1, -2)))


def effective_rank(weights: object) -> np.ndarray:
    """`exp(-sum_i p_i log p_i)` with `p_i = s_i / sum_j s_j` of singular values s, [] or [S].

    The exponential of the entropy of the normalized spectrum (Roy and Vetterli 2007): R for R
    equal singular values, 1 for a matrix of rank one. A matrix of zeros has 0.

    Args:
        weights: [N, M], or [S, N, M] of a population.

    Raises:
        ValueError: another shape, NaN or infinity.
    """
    singular = np.linalg.svd(_matrices(weights), compute_uv=False)
    total = singular.sum(-1, keepdims=True)
    share = np.divide(singular, total, out=np.zeros_like(singular), where=total > 0)
    logs = np.log(share, out=np.zeros_like(share), where=share > 0)
    return np.where(total[..., 0] > 0, np.exp(-np.sum(share * logs, axis=-1)), 0.0)
