"""JAX's default random bits, in programs that take a quarter of the time on CPUs."""

import jax
import jax.extend.random
import jax.numpy as jnp
import numpy as np

from rnnjax.devices import on_cpu
from rnnjax.typing import Array, Key

__all__ = ["unrolled"]

_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))


def _hash(key: Array, high: Array, low: Array) -> tuple[Array, Array]:
    """Threefry-2x32 with 20 rounds of the 64-bit counts `high`, `low` (Salmon et al. 2011)."""
    words = (key[0], key[1], key[0] ^ key[1] ^ jnp.uint32(0x1BD11BDA))
    high, low = high + words[0], low + words[1]
    for i in range(5):
        for turn in _ROTATIONS[i % 2]:
            high = high + low
            low = high ^ ((low << jnp.uint32(turn)) | (low >> jnp.uint32(32 - turn)))
        high = high + words[(i + 1) % 3]
        low = low + words[(i + 2) % 3] + jnp.uint32(i + 1)
    return high, low


def _hash_places(key: Array, shape: tuple[int, ...]) -> tuple[Array, Array]:
    """The hash of the place of every entry of an array."""
    places = jnp.arange(int(np.prod(shape)), dtype=jnp.uint32).reshape(shape)
    return _hash(key, jnp.zeros_like(places), places)


def _split(key: Array, shape: tuple[int, ...]) -> Array:
    return jnp.stack(_hash_places(key, shape), axis=-1)


def _random_bits(key: Array, width: int, shape: tuple[int, ...]) -> Array:
    high, low = _hash_places(key, shape)
    if width == 64:
        return (high.astype(jnp.uint64) << jnp.uint64(32)) | low.astype(jnp.uint64)
    return (high ^ low).astype(f"uint{width}")


def _fold_in(key: Array, data: Array) -> Array:
    return jnp.stack(_hash(key, jnp.uint32(0), jnp.asarray(data, jnp.uint32)))


def _seed(seed: Array) -> Array:
    return jax.random.key_data(jax.random.key(seed, impl="threefry2x32"))


_UNROLLED = jax.extend.random.define_prng_impl(
    key_shape=(2,),
    seed=_seed,
    split=_split,
    random_bits=_random_bits,
    fold_in=_fold_in,
    name="unrolled_threefry2x32",
    tag="unrolled_fry",
)


def unrolled(key: Key) -> Key:
    """A key that gives the same numbers as `key` sooner, for tasks that draw at every step.

    JAX compiles its hash for CPUs as a loop, whose passes over memory take longer than its
    arithmetic; here it is one expression. Numbers are those with `jax_threefry_partitionable`.
    Keys of other generators are returned as they are, and all keys on accelerators, for which JAX
    has a kernel of its own. `jax.random.poisson` does not take such keys.
    """
    if not on_cpu() or jax.random.key_impl(key) != "threefry2x32":
        return key
    return jax.random.wrap_key_data(jax.random.key_data(key), impl=_UNROLLED)
