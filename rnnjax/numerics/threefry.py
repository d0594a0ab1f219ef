"""JAX's default random bits, in programs that CPUs compile and run in less time."""

import jax
import jax.extend.random
import jax.numpy as jnp
import numpy as np

from rnnjax.devices import on_cpu
from rnnjax.typing import Array, Key

__all__ = ["fast", "fold_in", "split"]

_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))


def _hash(key: Array, high: Array, low: Array) -> tuple[Array, Array]:
    """Threefry-2x32 with 20 rounds of the 64-bit counts `high`, `low` (Salmon et al. 2011)."""
    words = (key[0], key[1], key[0] ^ key[1] ^ jnp.uint32(0x1BD11BDA))

    def four_rounds(counts: tuple[Array, Array], i: int, added: tuple[Array, Array, Array]):
        high, low = counts
        for turn in _ROTATIONS[i % 2]:
            high = high + low
            low = high ^ ((low << jnp.uint32(turn)) | (low >> jnp.uint32(32 - turn)))
        return high + added[0], low + added[1] + added[2]

    def eight_rounds(i: int, counts: tuple[Array, Array]):
        one, two, three = (
            jnp.where(i == 0, words[j], words[k]) for j, k in ((2, 1), (0, 2), (1, 0))
        )
        counts = four_rounds(counts, 1, (one, two, jnp.uint32(2 * i + 2)))
        return four_rounds(counts, 0, (two, three, jnp.uint32(2 * i + 3)))

    counts = four_rounds((high + words[0], low + words[1]), 0, (words[1], words[2], jnp.uint32(1)))
    # In a loop, since XLA would compute one expression again, with those of its key, for every use.
    return jax.lax.fori_loop(0, 2, eight_rounds, counts)


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


_FAST = jax.extend.random.define_prng_impl(
    key_shape=(2,),
    seed=_seed,
    split=_split,
    random_bits=_random_bits,
    fold_in=_fold_in,
    name="fast_threefry2x32",
    tag="fast_fry",
)


def fast(key: Key) -> Key:
    """A key that gives the same numbers as `key` in less time on CPUs.

    JAX's hash is a loop there, whose every pass rotates by other numbers of bits; here these are
    constants, and passes are fewer. Numbers are those with `jax_threefry_partitionable`.
    Keys of other generators are returned as they are, and all keys on accelerators, for which JAX
    has a kernel of its own. Such keys are for draws made here: `jax.random.poisson` refuses them.
    """
    if not on_cpu() or jax.random.key_impl(key) != "threefry2x32":
        return key
    return jax.random.wrap_key_data(jax.random.key_data(key), impl=_FAST)


def split(key: Key, count: int) -> Key:
    """The keys of `jax.random.split`, for draws of any kind."""
    return _like(key, jax.random.split(fast(key), count))


def fold_in(key: Key, data: Array | int) -> Key:
    """The key of `jax.random.fold_in`, for draws of any kind."""
    return _like(key, jax.random.fold_in(fast(key), data))


def _like(key: Key, new: Key) -> Key:
    """`new` as a key of the generator of `key`."""
    return jax.random.wrap_key_data(jax.random.key_data(new), impl=jax.random.key_impl(key))
