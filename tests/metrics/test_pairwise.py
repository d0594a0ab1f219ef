"""Results in batches of any size are those of all pairs; each pair is computed once."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnjax.metrics import pairwise

VALUES = np.random.default_rng(0).normal(size=(28, 3))


@pytest.mark.parametrize("networks", [2, 3, 6])
def test_all_pairs_row_by_row(networks):
    first, second = pairwise.all_pairs(networks)
    expected = list(itertools.combinations(range(networks), 2))
    assert list(zip(first.tolist(), second.tolist(), strict=True)) == expected


@pytest.mark.parametrize("size", [1, 5, 7, 28, 100])
def test_concatenated_batches_are_the_whole(size):
    sizes, seen = set(), []

    def kernel(numbers):
        sizes.add(len(numbers))
        return {"value": VALUES[numbers], "number": jnp.asarray(numbers)}

    joined = pairwise.in_batches(
        kernel, 28, size=size, progress=lambda *counts: seen.append(counts)
    )
    np.testing.assert_array_equal(joined["value"], VALUES)
    np.testing.assert_array_equal(joined["number"], np.arange(28))
    assert sizes == {min(size, 28)}  # one shape for all: the last batch is padded
    assert seen == [(min(done + size, 28), 28) for done in range(0, 28, size)]


def test_kernels_are_not_tuned_on_a_gpu(monkeypatch):
    compiled = []

    def jit(function, *, static_argnames, compiler_options):
        compiled.append((static_argnames, compiler_options))
        return function

    monkeypatch.setattr(jax, "jit", jit)
    double = pairwise.Kernel(lambda x, times: times * x, static="times")
    for backend in ("cpu", "gpu", "gpu"):
        monkeypatch.setattr(jax, "default_backend", lambda backend=backend: backend)
        assert double(3, times=2) == 6
    (_, on_cpu), (static, on_gpu) = compiled
    assert static == "times"
    assert on_cpu is None
    assert on_gpu["xla_gpu_autotune_level"] == 0


def test_square_is_symmetric_and_in_the_order_of_pairs():
    full = pairwise.square(np.array([1.0, 2.0, 3.0]), 3)
    np.testing.assert_array_equal(full, [[0, 1, 2], [1, 0, 3], [2, 3, 0]])
    assert pairwise.square(VALUES, 8).shape == (8, 8, 3)
    assert pairwise.mean_distance(full) == 2


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: pairwise.all_pairs(1), "networks: expected at least 2"),
        (lambda: pairwise.in_batches(lambda n: n, 0, size=1), "pairs"),
        (lambda: pairwise.in_batches(lambda n: n, 3, size=0), "size"),
        (lambda: pairwise.square(np.ones(4), 3), "values: expected 3 of them"),
        (lambda: pairwise.mean_distance(np.ones((2, 3))), r"distances: expected shape \[S, S\]"),
        (lambda: pairwise.mean_distance(np.ones((1, 1))), "distances: expected at least 2"),
        (lambda: pairwise.mean_distance([[0, 1], [2, 0]]), "distances: expected a symmetric"),
        (lambda: pairwise.mean_distance([[0, np.nan], [np.nan, 0]]), "distances: .* network 0"),
    ],
)
def test_bad_calls_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
