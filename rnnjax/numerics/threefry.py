"""JAX's default random bits, in less time to compile and to draw on CPUs."""

import functools
import math

import jax
import jax.extend.random
import jax.numpy as jnp

from rnnjax.devices import on_cpu
from rnnjax.typing import Array, Key

__all__ = ["fast", "fold_in", "split"]

_Pair = tuple[Array, Array]

_NAME = "threefry2x32"
_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))


_MOST = 2**32
"""Fewer entries are counted in 32 bits; JAX draws larger arrays."""


def _four_rounds(counts: _Pair, odd: int, added: tuple[Array, Array, Array]) -> _Pair:
    """Four rounds of the hash, and the words of the key that are added after them."""
    high, low = counts
    for bits in _ROTATIONS[odd]:
        high = high + low
        low = high ^ ((low << jnp.uint32(bits)) | (low >> jnp.uint32(32 - bits)))
    return high + added[0], low + added[1] + added[2]


def _hash(key: Array, high: Array, low: Array) -> _Pair:
    """Threefry-2x32 with 20 rounds of the 64-bit counts `high`, `low` (Salmon et al. 2011)."""
    words = (key[0], key[1], key[0] ^ key[1] ^ jnp.uint32(0x1BD11BDA))

    def eight_rounds(i: Array, counts: _Pair) -> _Pair:
        one, two, three = (
            jnp.where(i == 0, words[j], words[k]) for j, k in ((2, 1), (0, 2), (1, 0))
        )
        counts = _four_rounds(counts, 1, (one, two, jnp.uint32(2 * i + 2)))
        return _four_rounds(counts, 0, (two, three, jnp.uint32(2 * i + 3)))

    first = (words[1], words[2], jnp.uint32(1))
    counts = _four_rounds((high + words[0], low + words[1]), 0, first)
    # A loop, since XLA would compute a single expression, and those of its key, again at every use.
    return jax.lax.fori_loop(0, 2, eight_rounds, counts)


def _hash_counts(key: Array, shape: tuple[int, ...]) -> _Pair:
    """The hash of every entry's place in an array of fewer than `_MOST` entries."""
    # By dimension, so that devices can share the entries.
    counts = jnp.zeros(shape, jnp.uint32)
    for axis in range(len(shape)):
        stride = jnp.uint32(math.prod(shape[axis + 1 :]))
        counts += stride * jax.lax.broadcasted_iota(jnp.uint32, shape, axis)
    return _hash(key, jnp.zeros_like(counts), counts)


def _plain(key: Array) -> Key:
    return jax.random.wrap_key_data(key, impl=_NAME)


# Jitted, so that draws outside of any program compile once per shape.


@functools.partial(jax.jit, static_argnums=1, inline=True)
def _split(key: Array, shape: tuple[int, ...]) -> Array:
    if math.prod(shape) >= _MOST:
        return jax.random.key_data(jax.random.split(_plain(key), shape))
    return jnp.stack(_hash_counts(key, shape), axis=-1)


@functools.partial(jax.jit, static_argnums=(1, 2), inline=True)
def _random_bits(key: Array, width: int, shape: tuple[int, ...]) -> Array:
    if math.prod(shape) >= _MOST:
        return jax.random.bits(_plain(key), shape, f"uint{width}")
    high, low = _hash_counts(key, shape)
    if width == 64:
        return (high.astype(jnp.uint64) << jnp.uint64(32)) | low.astype(jnp.uint64)
    return (high ^ low).astype(f"uint{width}")


@functools.partial(jax.jit, inline=True)
def _fold_in(key: Array, data: Array) -> Array:
    return jnp.stack(_hash(key, jnp.uint32(0), data.astype(jnp.uint32)))


def _seed(seed: Array) -> Array:
    return jax.random.key_data(jax.random.key(seed, impl=_NAME))


_define = getattr(jax.extend.random, "define_prng_impl", None)  # may change between versions of JAX
_FAST = _define and _define(
    key_shape=(2,),
    seed=_seed,
    split=_split,
    random_bits=_random_bits,
    fold_in=_fold_in,
    name="fast_threefry2x32",
    tag="fast_threefry2x32",
)


def fast(key: Key) -> Key:
    """A key that gives the same numbers as `key` in less time on CPUs.

    JAX's hash is a loop there, whose every iteration rotates by other numbers of bits; here these
    are constants, and iterations are fewer. Keys of other generators are returned as they are, and
    so are all keys on accelerators, for which JAX has a kernel of its own, and where
    `jax_threefry_partitionable` is off.

    Do not pass such a key to user code: `jax.random.poisson` raises an error for it.
    """
    usable = _FAST is not None and on_cpu() and jax.config.values["jax_threefry_partitionable"]
    if not usable or jax.random.key_impl(key) != _NAME:
        return key
    return jax.random.wrap_key_data(jax.random.key_data(key), impl=_FAST)


def split(key: Key, count: int) -> Key:
    """What `jax.random.split` returns, as keys of the same generator as `key`."""
    return _like(key, jax.random.split(fast(key), count))


def fold_in(key: Key, data: Array | int) -> Key:
    """What `jax.random.fold_in` returns, as a key of the same generator as `key`."""
    return _like(key, jax.random.fold_in(fast(key), data))


def _like(key: Key, new: Key) -> Key:
    """`new` as a key of the generator of `key`."""
    return jax.random.wrap_key_data(jax.random.key_data(new), impl=jax.random.key_impl(key))
