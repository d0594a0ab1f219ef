"""Settings that every test runs under; they must be made before JAX starts its backend."""

import os

os.environ.setdefault("JAX_PLATFORMS", "cpu")  # bitwise claims are made for the CPU

import jax
import pytest

jax.config.update("jax_num_cpu_devices", 2)
jax.config.update("jax_numpy_rank_promotion", "raise")


@pytest.fixture
def float64():
    """Double precision for one test; nothing is flipped for the others."""
    with jax.enable_x64(True):
        yield
