"""The polar factor against the singular value decomposition, and against finite differences."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnjax.numerics.polar import polar_factor

POLAR = jax.jit(polar_factor)


def with_singular_values(values, seed=0):
    rng = np.random.default_rng(seed)
    u, v = (np.linalg.qr(rng.normal(size=(len(values),) * 2))[0] for _ in range(2))
    return u, v, (u * np.asarray(values)) @ v.T


@pytest.mark.parametrize(
    "values",
    [np.ones(6), [5, 5, 2, 2, 2, 0.1], np.geomspace(1, 3e-5, 6), [1e6] * 6, [1e-9, 3e-9, 2e-9] * 2],
    ids=["orthogonal", "equal", "ill-conditioned", "large", "small"],
)
def test_it_is_the_factor_of_the_singular_value_decomposition(values):
    u, v, matrix = with_singular_values(values)
    np.testing.assert_allclose(POLAR(jnp.float32(matrix)), u @ v.T, atol=0.02)
    with jax.enable_x64(True):
        np.testing.assert_allclose(POLAR(jnp.float64(matrix)), u @ v.T, atol=1e-6)


def test_it_is_the_gradient_of_the_nuclear_norm():
    _, _, matrix = with_singular_values([4.0, 2.0, 2.0, 0.5, 0.1, 0.01])

    def norm(m):
        return np.linalg.svd(m, compute_uv=False).sum()

    steps = 1e-6 * np.eye(36).reshape(36, 6, 6)
    slopes = [(norm(matrix + h) - norm(matrix - h)) / 2e-6 for h in steps]
    with jax.enable_x64(True):
        factor = np.asarray(POLAR(jnp.float64(matrix)))
    np.testing.assert_allclose(factor.ravel(), slopes, atol=1e-5)


def test_zero_and_singular_matrices_have_finite_factors_within_the_subgradients():
    np.testing.assert_array_equal(POLAR(jnp.zeros((6, 6))), np.zeros((6, 6)))
    u, v, matrix = with_singular_values([3.0, 3.0, 0.0, 0.0, 0.0, 0.0])
    with jax.enable_x64(True):
        factor = np.asarray(POLAR(jnp.float64(matrix)))
    np.testing.assert_allclose(factor, u[:, :2] @ v[:, :2].T, atol=1e-6)
    assert np.linalg.svd(POLAR(jnp.float32(matrix)), compute_uv=False).max() < 1 + 1e-5


def test_products_are_precise_whatever_the_precision_of_the_networks():
    with jax.default_matmul_precision("bfloat16"):
        program = str(jax.make_jaxpr(polar_factor)(jnp.ones((3, 3))))
    assert program.count("Precision.HIGHEST") == 2 * program.count("dot_general") == 4
