"""Sparsity and effective rank against their definitions, in loops."""

import math

import numpy as np
import pytest

from rnnjax.metrics.structure import effective_rank, near_zero_share


def test_share_of_small_entries():
    weights = np.array([[0.0, -0.05, 0.2], [0.09, -0.1, 3.0]])
    assert near_zero_share(weights, 0.1) == pytest.approx(3 / 6)
    np.testing.assert_allclose(
        near_zero_share(np.stack([weights, 10 * weights]), 0.1), [1 / 2, 1 / 6]
    )


def test_effective_rank_is_the_exponential_of_an_entropy():
    weights = np.random.default_rng(0).normal(size=(4, 5))
    s = np.linalg.svd(weights)[1]
    want = math.exp(-sum(v / s.sum() * math.log(v / s.sum()) for v in s))
    assert effective_rank(weights) == pytest.approx(want)
    assert effective_rank(np.eye(7)) == pytest.approx(7)
    assert effective_rank(np.outer([1, 2], [3, 4, 5.0])) == pytest.approx(1)
    assert effective_rank(np.zeros((3, 3))) == 0
    stack = np.stack([weights, 3 * weights])
    np.testing.assert_allclose(effective_rank(stack), [want, want])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: near_zero_share([1.0], 0.1), r"weights: expected shape \[N, M\] or"),
        (lambda: near_zero_share(np.eye(2), 0), "bound: expected a finite number above 0"),
        (lambda: effective_rank(np.full((2, 2), np.nan)), "weights: expected finite numbers"),
        (lambda: effective_rank("W"), "weights"),
    ],
)
def test_bad_weights_are_named(call, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        call()
