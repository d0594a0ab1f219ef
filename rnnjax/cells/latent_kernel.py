"""A recursion in a few variables through many units, whose activity is not stored over time.

    s_{t+1} = keep s_t + (1 - keep) E p_t,    p_t = tanh(A^T [kappa_t; v_t]),

with kappa the first K rows of the state s [D, B], v the drive [F - K, B], A [F, N] the weights into
the units and E [D, N] the weights out of them. The cotangent of the state runs backwards as

    q_t = (1 - keep) lambda_{t+1},    delta_t = (E^T q_t) * (1 - p_t^2),
    lambda_t = sbar_t + keep lambda_{t+1} + [A_kappa delta_t; 0],

and dA = sum_t [kappa_t; v_t] delta_t^T, dE = sum_t q_t p_t^T, dv_t = A_v delta_t. Only s is stored
over time; p is computed again in the backward pass. Both passes take the units tile by tile, so
that [tile, B] stays in cache. The minimum of 2 B T N evaluations of tanh is most of the cost.
"""

import functools
from typing import Any, cast

import chex
import einops
import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec

from rnnjax.typing import Array, Float
from rnnjax.units import AXIS, are_shared, sharing

__all__ = ["run", "tile_elements"]

_CACHED = 2**16
_RESIDENT = 2**24
"""Elements of one [tile, B]: two tiles fit into a core's cache, or an accelerator's memory."""

_LISTED = 16
"""Sums of at most this many terms are written out, not matrix products, to fuse with tanh."""


def run(
    entering: Float[Array, "F N"],
    leaving: Float[Array, "D N"],
    drive: Float[Array, "T V B"],
    initial: Float[Array, "D B"],
    keep: tuple[float, ...],
) -> Float[Array, "T D B"]:
    """States after every step; `keep` is the factor on each state variable in a step.

    Where the ambient mesh (`jax.set_mesh`) has an axis "units", its devices share the units and
    sum their contributions once per time step.
    """
    chex.assert_shape(initial, (len(keep), None))
    chex.assert_shape(leaving, (len(keep), entering.shape[1]))
    chex.assert_shape(drive, (None, None, initial.shape[1]))
    shards = sharing()
    units, trials = leaving.shape[1], initial.shape[1]
    tile = _ceil(units, shards * _ceil(units * trials, shards * tile_elements()))
    count = shards * _ceil(units, shards * tile)

    def tiled(weights: Array) -> Array:
        padded = jnp.pad(weights, ((0, 0), (0, count * tile - units)))
        return einops.rearrange(padded, "row (tile unit) -> tile row unit", tile=count)

    return _states(keep, tiled(entering), tiled(leaving), drive, initial)


def tile_elements() -> int:
    """Largest number of elements of one [tile, B] on this backend."""
    return _CACHED if jax.default_backend() == "cpu" else _RESIDENT


def _ceil(whole: int, part: int) -> int:
    return -(-whole // part)


def _share(function: Any, split_in: tuple[bool, ...], split_out: Any) -> Any:
    """Runs `function` on every device of the units' axis, if there is one.

    The first argument of `function` is then the sum over that axis, else the identity. Arguments in
    `split_in` and results in `split_out` are split along their first axis; every device holds the
    others.
    """
    if not are_shared():
        return functools.partial(function, lambda part: part)
    spec = {True: PartitionSpec(AXIS), False: PartitionSpec()}
    return jax.shard_map(
        functools.partial(function, functools.partial(jax.lax.psum, axis_name=AXIS)),
        in_specs=tuple(spec[split] for split in split_in),
        out_specs=jax.tree.map(spec.get, split_out),
        axis_names={AXIS},
        check_vma=False,
    )


def _combine(weights: Array, rows: Array) -> Float[Array, "tile B"]:
    """weights^T rows."""
    if len(weights) > _LISTED:
        return weights.T @ rows
    terms = (w[:, None] * row[None, :] for w, row in zip(weights, rows, strict=True))
    return cast(Array, sum(terms))


def _units_first(weights: Array) -> Array:
    """[tile, row, unit] as [tile, unit, row], and back."""
    return jnp.swapaxes(weights, 1, 2)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _states(
    keep: tuple[float, ...], entering: Array, leaving: Array, drive: Array, initial: Array
) -> Array:
    """States [T, D, B] of units in tiles."""
    return _forward(keep, entering, leaving, drive, initial)[0]


def _forward(
    keep: tuple[float, ...], entering: Array, leaving: Array, drive: Array, initial: Array
):
    """States, and the residuals of the backward pass."""

    def forward(total, entering, leaving, drive, initial):
        kept = jnp.asarray(keep, initial.dtype)[:, None]
        latent = entering.shape[1] - drive.shape[1]

        def advance(state, drive_t):
            rows = jnp.concatenate([state[:latent], drive_t])

            def add(summed, weights):
                a, e = weights
                return summed + e @ jnp.tanh(_combine(a, rows)), None

            summed, _ = jax.lax.scan(add, jnp.zeros_like(state), (entering, leaving))
            state = kept * state + (1 - kept) * total(summed)
            return state, state

        return jax.lax.scan(advance, initial, drive)[1]

    shared = _share(forward, (True, True, False, False), False)
    states = shared(entering, leaving, drive, initial)
    return states, (entering, leaving, drive, initial, states)


def _backward(keep: tuple[float, ...], residuals, cotangents: Array):
    """Cotangents of the weights, of the drive and of the initial state."""

    def backward(total, entering, leaving, drive, initial, states, cotangents):
        kept = jnp.asarray(keep, initial.dtype)[:, None]
        latent = entering.shape[1] - drive.shape[1]
        before = jnp.concatenate([initial[None], states[:-1]])

        def retreat(carried, at_t):
            carried_state, slopes = carried
            cotangent, state, drive_t = at_t
            arriving = carried_state + cotangent
            rows, pulled = jnp.concatenate([state[:latent], drive_t]), (1 - kept) * arriving

            def add(summed, weights):
                (to_latent, to_drive), (a, e, a_slope, e_slope) = summed, weights
                p = jnp.tanh(_combine(a, rows))
                delta = _combine(e, pulled) * (1 - p * p)
                # Two products, so that the compiler drops the second where it is not used.
                summed = to_latent + a[:latent] @ delta, to_drive + a[latent:] @ delta
                return summed, (a_slope + delta @ rows.T, e_slope + p @ pulled.T)

            none = jnp.zeros_like(state[:latent]), jnp.zeros_like(drive_t)
            (to_latent, to_drive), slopes = jax.lax.scan(add, none, (entering, leaving, *slopes))
            carried_state = (kept * arriving).at[:latent].add(total(to_latent))
            return (carried_state, slopes), to_drive

        # Units first: the products above then need no transposed copy of a [tile, B].
        none = jnp.zeros_like(_units_first(entering)), jnp.zeros_like(_units_first(leaving))
        (carried, slopes), to_drive = jax.lax.scan(
            retreat, (jnp.zeros_like(initial), none), (cotangents, before, drive), reverse=True
        )
        return *map(_units_first, slopes), total(to_drive), carried

    split_in = True, True, False, False, False, False
    return _share(backward, split_in, (True, True, False, False))(*residuals, cotangents)


_states.defvjp(_forward, _backward)
