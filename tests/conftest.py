"""Settings that every test runs under; they must be made before JAX starts its backend."""

import os
from pathlib import Path

# Compiled programs are kept between runs of the suite, and shared by its workers and scripts.
os.environ.setdefault(
    "JAX_COMPILATION_CACHE_DIR", str(Path(__file__).parents[1] / ".cache" / "compiled")
)
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_PLATFORMS", "cpu")  # bitwise claims are made for the CPU

import jax
import jaxtyping
import pytest

jax.config.update("jax_num_cpu_devices", 2)
jax.config.update("jax_numpy_rank_promotion", "raise")


@pytest.fixture(autouse=True, scope="module")
def freed_programs():
    """Compiled programs take memory; those of a file are freed at its end, and stay on disk."""
    yield
    jax.clear_caches()


@pytest.fixture
def float64():
    """Double precision for one test; the others keep single precision."""
    with jax.enable_x64(True):
        yield


@pytest.fixture
def unchecked_shapes():
    """Leaves wrong shapes to the errors of the functions themselves."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)
