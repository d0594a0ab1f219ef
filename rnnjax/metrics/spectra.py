"""Invariants of orthogonal conjugation, and the lower bounds that follow from them.

For every orthogonal C, and so for every permutation, with S and K the symmetric and skew parts,

    |A - C B C^T|^2 >= sum_i (lambda_i(S_A) - lambda_i(S_B))^2 + sum_i (s_i(K_A) - s_i(K_B))^2,
    |A - C B C^T|^2 >= sum_i (s_i(A) - s_i(B))^2,

all sorted: Hoffman and Wielandt's theorem for the symmetric parts, Mirsky's for singular values.
Distances between the eigenvalues of A and B are bounds only if both are normal.
"""

from typing import NamedTuple

import numpy as np

__all__ = ["Spectra", "lower_bound", "select", "spectra"]


class Spectra(NamedTuple):
    """Invariants of a stack of matrices [M, R, R], in double precision."""

    norm: np.ndarray
    """Frobenius norm, [M]."""
    symmetric: np.ndarray
    """Eigenvalues of the symmetric part, ascending, [M, R]."""
    skew: np.ndarray
    """Singular values of the skew part, descending, [M, R]."""
    singular: np.ndarray
    """Singular values, descending, [M, R]."""


def spectra(matrices: np.ndarray) -> Spectra:
    """Computes the invariants of a stack of matrices [M, R, R]."""
    matrices = np.asarray(matrices, np.float64)
    transposed = np.swapaxes(matrices, -1, -2)
    return Spectra(
        norm=np.linalg.norm(matrices, axis=(-1, -2)),
        symmetric=np.linalg.eigvalsh((matrices + transposed) / 2),
        skew=np.linalg.svd((matrices - transposed) / 2, compute_uv=False),
        singular=np.linalg.svd(matrices, compute_uv=False),
    )


def select(invariants: Spectra, index: np.ndarray) -> Spectra:
    """The invariants of the matrices at `index`."""
    return Spectra(*(values[index] for values in invariants))


def lower_bound(a: Spectra, b: Spectra, *, unit_norm: bool = False) -> np.ndarray:
    """Lower bound of |A - C B C^T| over orthogonal C, [M]; with `unit_norm`, of A/|A| and B/|B|."""

    def gap(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        if unit_norm:
            x, y = (v / np.where(s.norm > 0, s.norm, 1.0)[:, None] for v, s in ((x, a), (y, b)))
        return ((x - y) ** 2).sum(-1)

    parts = gap(a.symmetric, b.symmetric) + gap(a.skew, b.skew)
    return np.sqrt(np.maximum(parts, gap(a.singular, b.singular)))
