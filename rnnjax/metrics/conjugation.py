"""Minimization of |A - C B C^T| over orthogonal C, by gradient steps from many starts.

It is the maximization of f(C) = <A, C B C^T>, whatever the norms. With B' = C B C^T, replacing C
by exp(X) C for a small skew X changes f by <G, X>, where

    G = (P - P^T) / 2,   P = A B'^T + A^T B'.

A step takes X = t G, with t by the two rules of Barzilai and Borwein (1988) in turn, multiplies C
by I + X, and applies one Newton-Schulz iteration towards the orthogonal group. I + X is orthogonal
up to X^2, and the next iteration squares the remaining error. f can decrease in a step; the best C
so far is kept.

f has many local optima, and the order of the starts settles long before any of them does. The
starts therefore run in rounds: all of them, the best quarter, and the best alone, which goes on
until its point is stationary. It and those next to it after the second round, at most four, are
the finalists of a pair. How many steps tell good starts from others grows with R: at R = 60
a dozen starts of 150 steps find better optima than twice as many of 30, at R = 14 the reverse.
"""

import functools
import itertools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rnnjax import devices
from rnnjax.metrics.pairwise import Kernel
from rnnjax.typing import Array, Bool, Float, Key

__all__ = ["FINALISTS", "Conjugated", "conjugate", "padded_order", "random_orthogonal", "rounds"]

_SCREENING = (2.5, 5.0)
"""Steps of the first and second round, over R."""

FINALISTS = 4
"""Largest number of starts that are kept of a pair: the best, and those that it was best of."""

_LONGEST_STEP = 0.7
"""Largest Frobenius norm of X; beyond it one Newton-Schulz iteration is not accurate enough."""

_FIRST_STEP = 0.1
_FLAT = 3e-5
"""Norm of the gradient, for matrices of unit norm, below which a point is stationary."""

_TILE = 32


class Conjugated(NamedTuple):
    """The finalists of every pair, best first."""

    rotation: Float[np.ndarray, "M F R R"]
    """C, orthogonal to single precision."""
    stationary: Bool[np.ndarray, " M"]
    """Whether the best of them is a stationary point to the tolerance."""


class _State(NamedTuple):
    rotation: Array  # [F, R, R]
    gradient: Array  # [F, R, R]
    step: Array  # [F], t of the next step
    best: Array  # [F], highest f so far
    best_rotation: Array  # [F, R, R]
    flatness: Array  # [F], norm of the gradient at the best
    count: Array


def rounds(order: int, starts: int, steps: int) -> tuple[tuple[int, int], ...]:
    """Number of starts and of steps of every round; the best takes `steps` steps in total.

    The first round takes at most a tenth of them and the second a quarter, but every round at least
    one: with fewer than 3 steps the best takes 3.
    """
    first, second = (
        max(min(round(share * order), steps // part), 1)
        for share, part in zip(_SCREENING, (10, 4), strict=True)
    )
    few = min(FINALISTS, starts)
    quarter = max(-(-starts // 4), few)
    return (starts, first), (quarter, second), (1, max(steps - first - second, 1))


def random_orthogonal(key: Key, count: int, order: int) -> np.ndarray:
    """Orthogonal matrices [count, R, R], uniform (Haar) over both determinants.

    The factor Q of a Gaussian matrix, with the signs that make it uniform (Mezzadri 2007).
    """
    rng = np.random.default_rng(np.asarray(jax.random.key_data(key)))
    q, r = np.linalg.qr(rng.normal(size=(count, order, order)))
    return (q * np.sign(np.diagonal(r, axis1=1, axis2=2))[:, None, :]).astype(np.float32)


def _inner(x: Array, y: Array) -> Array:
    return jnp.sum(x * y, (-1, -2))


def _transpose(x: Array) -> Array:
    return jnp.swapaxes(x, -1, -2)


def _value_and_gradient(a: Array, b: Array, rotation: Array) -> tuple[Array, Array]:
    """f [F] and G [F, R, R]; a product with A or B is one matrix product over all starts."""
    rotated = jnp.einsum("fij,fkj->fik", jnp.einsum("fij,jk->fik", rotation, b), rotation)
    p_transposed = jnp.einsum("fij,kj->fik", rotated, a) + jnp.einsum("fji,jk->fik", rotated, a)
    return _inner(a[None], rotated), (_transpose(p_transposed) - p_transposed) / 2


def _towards_orthogonal(rotation: Array) -> Array:
    """One Newton-Schulz iteration of the polar factor."""
    return 1.5 * rotation - 0.5 * rotation @ (_transpose(rotation) @ rotation)


def _ascend(a: Array, b: Array, state: _State) -> _State:
    """Takes one step of every start."""
    gradient = state.gradient
    squared = _inner(gradient, gradient)
    length = state.step * jnp.sqrt(squared)
    step = state.step * jnp.minimum(1.0, _LONGEST_STEP / jnp.maximum(length, 1e-30))
    skew = step[:, None, None] * gradient
    rotation = _towards_orthogonal(state.rotation + skew @ state.rotation)
    value, new = _value_and_gradient(a, b, rotation)

    # Both Barzilai-Borwein lengths follow from the two gradients, since the step was t G.
    along, new_squared = _inner(gradient, new), _inner(new, new)
    curvature = jnp.abs(squared - along)
    change = squared - 2 * along + new_squared
    long = step * squared / jnp.maximum(curvature, 1e-30)
    short = step * curvature / jnp.maximum(change, 1e-30)
    better = value > state.best
    return _State(
        rotation=rotation,
        gradient=new,
        step=jnp.where(state.count % 2 == 0, long, short),
        best=jnp.where(better, value, state.best),
        best_rotation=jnp.where(better[:, None, None], rotation, state.best_rotation),
        flatness=jnp.where(better, jnp.sqrt(new_squared), state.flatness),
        count=state.count + 1,
    )


def _round(a: Array, b: Array, rotation: Array, steps: int, flat: Array) -> _State:
    """Takes `steps` steps of every start [F, R, R]; stops early when all are stationary."""
    rotation = _towards_orthogonal(rotation)
    value, gradient = _value_and_gradient(a, b, rotation)
    first = _State(
        rotation, gradient, jnp.full(value.shape, _FIRST_STEP), value, rotation,
        jnp.sqrt(_inner(gradient, gradient)), jnp.asarray(0),
    )  # fmt: skip
    return jax.lax.while_loop(
        lambda s: (s.count < steps) & (s.flatness > flat).any(),
        lambda s: _ascend(a, b, s),
        first,
    )


def padded_order(order: int) -> int:
    """Order of the padded matrices in which matrices of this order are solved.

    On an accelerator it is the next multiple of 32: compiling for every order would take longer
    than all solves, and orders with the same multiple and number of starts share a program. A, B
    and C are padded with zeros, which no step changes, so the solution is that of the original
    matrices.
    """
    return order if devices.on_cpu() else -(-order // _TILE) * _TILE


def _pad(matrices: np.ndarray, size: int) -> np.ndarray:
    """Matrices [..., R, R] padded with zeros to [..., size, size]."""
    border = (0, size - matrices.shape[-1])
    return np.pad(matrices, [*[(0, 0)] * (matrices.ndim - 2), border, border])


def conjugate(
    a: Float[np.ndarray, "M R R"],
    b: Float[np.ndarray, "M R R"],
    own: Float[np.ndarray, "M Q R R"],
    shared: Float[np.ndarray, "H R R"],
    plan: tuple[tuple[int, int], ...],
) -> Conjugated:
    """Finds the finalists of every pair.

    Args:
        a, b: matrices of unit norm (or zero).
        own: starts of each pair.
        shared: starts that all pairs have in common.
        plan: `rounds(R, Q + H, steps)`.
    """
    order = a.shape[-1]
    size = padded_order(order)
    padded = (_pad(x, size) for x in (a, b, own, shared))
    # With |A| = R curvatures, and with them the first step, do not depend on R.
    scale, flat = np.float32(order), np.float32(_FLAT * order)
    found = _conjugate(*padded, scale, flat, plan=plan)
    rotation, stationary = (np.asarray(x) for x in found)
    return Conjugated(rotation[..., :order, :order], stationary)


@functools.partial(Kernel, static="plan")
def _conjugate(
    a: Array, b: Array, own: Array, shared: Array, scale: Array, flat: Array, plan: tuple
) -> tuple[Array, Array]:
    with jax.default_matmul_precision("highest"):
        return devices.map_items(
            lambda pair: _one_pair(pair, shared, scale, flat, plan), (a, b, own)
        )


def _one_pair(
    pair: tuple[Array, Array, Array], shared: Array, scale: Array, flat: Array, plan: tuple
) -> tuple[Array, Array]:
    """Finds the finalists of one pair from its own and the shared starts."""
    a, b, own = pair
    rotation = jnp.concatenate([own, shared])
    for (width, steps), (following, _) in itertools.pairwise(plan):
        state = _round(scale * a, b, rotation, steps, flat)
        kept = following if following > 1 else min(FINALISTS, width)
        rotation = state.best_rotation[jax.lax.top_k(state.best, kept)[1]]
    last = _round(scale * a, b, rotation[:1], plan[-1][1], flat)
    return jnp.concatenate([last.best_rotation, rotation[1:]]), last.flatness[0] <= flat
