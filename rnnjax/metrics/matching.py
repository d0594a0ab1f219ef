"""Quadratic assignment: the permutation Q that maximizes <A, Q B Q^T>, for many pairs and starts.

FAQ (Vogelstein et al. 2015) extends Q to doubly stochastic matrices P and takes Frank-Wolfe steps.
With the gradient

    G(P) = A P B^T + A^T P B,   f(P) = <G(P), P> / 2,

each step goes towards the permutation Q that maximizes <G(P), Q> (a linear assignment), with the
step size of an exact line search. Since G is linear and Q permutes rows, G(Q) takes two of the six
matrix products of a textbook step, and P itself is not needed. The best of all these Q is improved
by exchanges of two units until no exchange increases f. One start of one pair is a search.
"""

import functools
import itertools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from einops import rearrange, repeat

from rnnjax import devices
from rnnjax.devices import map_items
from rnnjax.metrics.pairwise import Kernel
from rnnjax.numerics.assignment import assign
from rnnjax.typing import Array, Float, Int

__all__ = ["Matched", "exhaustive", "match", "random_doubly_stochastic"]

_GAIN = 3e-5
"""Relative increase of f below which a search has converged."""

_SWAP_GAIN = 1e-6
"""Smallest relative increase of f by an exchange."""

_SINKHORN = 10
_SMALL = 16
"""Below this many units starts are random permutations, which reached lower distances
in trial runs with 9 and 12 units, but not from 24 units on."""

_TRIAL_STEPS = 20
"""Steps after which the worse half of a pair's searches is dropped; in trial runs the best search
was always in the better half."""

_COMPACT_SIZE = 2**20
"""Numbers in all gradients below which compiling a smaller program costs more than it saves."""


class Matched(NamedTuple):
    """Results of the searches [L]."""

    value: np.ndarray
    """<A, Q B Q^T>, [L]."""
    permutation: np.ndarray
    """Unit of the second network matched to each of the first, [L, N]."""
    converged: np.ndarray
    """Whether the Frank-Wolfe steps converged, [L]."""


class _Searches(NamedTuple):
    pair: Array  # [L]
    gradient: Array  # [L, N, N], G(P)
    value: Array  # [L], f(P)
    best: Array  # [L], largest f of a Q so far
    permutation: Array  # [L, N], that Q


def random_doubly_stochastic(rng: np.random.Generator, count: int, units: int) -> np.ndarray:
    """Starts halfway between the barycenter and a random doubly stochastic matrix, [count, N, N].

    The random part is a uniform matrix balanced by ten Sinkhorn iterations, as in scipy's FAQ. For
    few units such matrices are too similar, and the random part is a permutation.
    """
    if units < _SMALL:
        order = rng.permuted(np.tile(np.arange(units), (count, 1)), axis=1)
        matrix = np.eye(units, dtype=np.float32)[order]
    else:
        matrix = rng.random((count, units, units), dtype=np.float32)
        for _ in range(_SINKHORN):
            matrix /= matrix.sum(2, keepdims=True)
            matrix /= matrix.sum(1, keepdims=True)
    return (matrix + np.float32(1 / units)) / 2


def _inner(matrix: Array, permutation: Array) -> Array:
    """<X, Q> = sum_i X[i, p_i]."""
    return jnp.sum(jnp.take_along_axis(matrix, permutation[:, None], 1))


def _costs(gradient: Array) -> Array:
    """Costs of the linear assignment, with reduced rows and columns, which speeds up the solver."""
    costs = jnp.max(gradient, 1, keepdims=True) - gradient
    return costs - jnp.min(costs, 0, keepdims=True)


class _Pairs(NamedTuple):
    """Weights laid out for G(P) = [A, A^T] [P B^T; P B]."""

    left: Array  # [C, N, 2 N], A and A^T side by side
    plain: Array  # [C, N, N], B
    transposed: Array  # [C, N, N], B^T


@Kernel
def _lay_out(a: Array, b: Array) -> _Pairs:
    first, second = (jnp.swapaxes(x, 1, 2) for x in (a, b))
    return _Pairs(jnp.concatenate([a, first], 2), b, second)


def _vertex(pairs: _Pairs, pair: Array, q: Array) -> Array:
    """Computes G(Q) of a permutation Q."""
    permuted = jnp.concatenate([pairs.transposed[pair][q], pairs.plain[pair][q]])
    return pairs.left[pair] @ permuted


@Kernel
def _begin(pairs: _Pairs, pair: Array, starts: Array) -> tuple[_Searches, Array]:
    """Searches at doubly stochastic starts [L, N, N], and their first costs.

    All of them come from the mapped function, so that devices share them as they share those of
    `_step`, which is then compiled once.
    """

    def one(start: tuple[Array, Array]) -> tuple[_Searches, Array]:
        pair, p = start
        products = jnp.concatenate([p @ pairs.transposed[pair], p @ pairs.plain[pair]])
        gradient = pairs.left[pair] @ products
        value = jnp.sum(gradient * p) / 2
        none = jnp.full_like(value, -jnp.inf), jnp.zeros(len(p), jnp.int32)
        return _Searches(pair, gradient, value, *none), _costs(gradient)

    with jax.default_matmul_precision("highest"):
        return map_items(one, (pair, starts))


@Kernel
def _step(pairs: _Pairs, searches: _Searches, towards: Array) -> tuple[_Searches, Array, Array]:
    """One Frank-Wolfe step of every search towards permutations [L, N]; gains and next costs."""

    def one(item: tuple[_Searches, Array]) -> tuple[_Searches, Array, Array]:
        search, q = item
        vertex = _vertex(pairs, search.pair, q)
        f_vertex, at_vertex = _inner(vertex, q) / 2, _inner(search.gradient, q)
        # f(P + t (Q - P)) = f + slope t + curve t^2
        slope = at_vertex - 2 * search.value
        curve = f_vertex - at_vertex + search.value
        inner = jnp.clip(-slope / (2 * jnp.minimum(curve, -1e-30)), 0.0, 1.0)
        t = jnp.where(curve < 0, inner, jnp.where(slope + curve > 0, 1.0, 0.0))
        gradient = search.gradient + t * (vertex - search.gradient)
        value = search.value + t * slope + t**2 * curve
        better = f_vertex > search.best
        after = _Searches(
            search.pair, gradient, value,
            jnp.where(better, f_vertex, search.best), jnp.where(better, q, search.permutation),
        )  # fmt: skip
        return after, value - search.value, _costs(gradient)

    with jax.default_matmul_precision("highest"):
        return map_items(one, (searches, towards))


@Kernel
def _exchange(pairs: _Pairs, pair: Array, permutations: Array) -> tuple[Array, Array]:
    """Permutations [L, N] after repeated best exchanges of two units, and <A, Q B Q^T>, [L].

    Exchanging the partners of r and s changes Q by -(e_r - e_s)(e_p(r) - e_p(s))^T, hence f by

        -(G_r,p(r) - G_r,p(s) - G_s,p(r) + G_s,p(s)) + (u^T A u)(w^T B w),

    u = e_r - e_s, w = e_p(r) - e_p(s): all exchanges cost N^2, and so does the update of G.
    """

    def quadratic(matrix: Array) -> Array:
        """u^T A u for all r, s."""
        diagonal = jnp.diagonal(matrix)
        return diagonal[:, None] + diagonal[None, :] - matrix - matrix.T

    def one(item: tuple[Array, Array]) -> tuple[Array, Array]:
        pair, p = item
        units, second = len(p), pairs.plain[pair]
        first = pairs.left[pair][:, :units]
        self_first, gradient = quadratic(first), _vertex(pairs, pair, p)
        least = _SWAP_GAIN * jnp.sum(jnp.abs(first * second[p][:, p]))

        def exchange(state: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
            gradient, p, _ = state
            gains = self_first * quadratic(second[p][:, p]) - quadratic(gradient[:, p])
            r, s = jnp.divmod(jnp.argmax(gains), units)
            helps = gains[r, s] > least

            def difference(matrix: Array, x: Array, y: Array) -> Array:
                return matrix[:, x] - matrix[:, y]

            change = jnp.outer(difference(first, r, s), difference(second, p[r], p[s])) + jnp.outer(
                difference(first.T, r, s), difference(second.T, p[r], p[s])
            )
            exchanged = p.at[r].set(p[s]).at[s].set(p[r])
            return (
                jnp.where(helps, gradient - change, gradient),
                jnp.where(helps, exchanged, p),
                helps,
            )

        _, p, _ = jax.lax.while_loop(lambda s: s[2], exchange, (gradient, p, jnp.asarray(True)))
        return p, jnp.sum(first * second[p][:, p])

    with jax.default_matmul_precision("highest"):
        return map_items(one, (pair, permutations))


def _climb(pairs: _Pairs, searches: _Searches, costs: Array, steps: int, starts: int) -> Matched:
    """Takes Frank-Wolfe steps of all searches; on CPU, repeatedly drops the finished half.

    A search is finished when it has converged, or when after `_TRIAL_STEPS` steps it is in the
    worse half of its pair. On an accelerator compiling for fewer searches takes as long as the
    steps that it saves.
    """
    count, units = searches.permutation.shape
    values, converged = np.zeros(count, np.float32), np.zeros(count, bool)
    dropped = np.zeros(count, bool)
    permutations = np.zeros((count, units), np.int32)
    towards = np.zeros((count, units), np.int32)
    active = np.arange(count)  # the search at each of the first places; the rest is padding

    def store() -> None:
        live = slice(len(active))
        values[active] = 2 * np.asarray(searches.best)[live]
        permutations[active] = np.asarray(searches.permutation)[live]

    for step in range(steps):
        if step == _TRIAL_STEPS:
            store()
            dropped = _worse_half(values, starts)
        going = np.flatnonzero(~(converged | dropped)[active])
        if not len(going):
            break
        half = -(-len(towards) // 2)
        compact = devices.on_cpu() and len(towards) * units**2 >= _COMPACT_SIZE
        if compact and len(going) <= half:
            store()
            chosen = np.resize(going, half)
            active, towards, going = active[going], towards[chosen], np.arange(len(going))
            # By NumPy: each operation of JAX on a new shape would be a program to compile.
            searches, costs = jax.tree.map(
                lambda leaf, c=chosen: np.asarray(leaf)[c], (searches, costs)
            )
        towards[going] = assign(costs, going)
        searches, gains, costs = _step(pairs, searches, towards)
        halted = np.asarray(gains) <= _GAIN * np.abs(np.asarray(searches.value))
        converged[active[going]] = halted[going]
    store()
    return Matched(values, permutations, converged)


def _worse_half(values: np.ndarray, starts: int) -> np.ndarray:
    """Whether each search [L] is in the worse half of its pair's `starts` searches."""
    order = np.argsort(rearrange(-values, "(c q) -> c q", q=starts), axis=1)
    worse = np.zeros(order.shape, bool)
    np.put_along_axis(worse, order[:, -(-starts // 2) :], True, axis=1)
    return rearrange(worse, "c q -> (c q)")


def match(
    a: Float[Array, "C N N"],
    b: Float[Array, "C N N"],
    starts: Float[Array, "Q N N"],
    steps: int,
) -> Matched:
    """Finds the best permutation of every pair and start; search c Q + q is start q of pair c.

    Args:
        a, b: the pairs, of about unit norm.
        starts: doubly stochastic matrices, shared by all pairs.
        steps: largest number of Frank-Wolfe steps.
    """
    pairs = _lay_out(a, b)
    pair = repeat(np.arange(len(a), dtype=np.int32), "c -> (c q)", q=len(starts))
    places = repeat(np.asarray(starts), "q i j -> (c q) i j", c=len(a))
    searches, costs = _begin(pairs, pair, places)
    climbed = _climb(pairs, searches, costs, steps, len(starts))
    permutations, values = _exchange(pairs, pair, climbed.permutation)
    return Matched(np.asarray(values), np.asarray(permutations), climbed.converged)


@functools.lru_cache(maxsize=8)
def _all_permutations(units: int) -> Int[np.ndarray, "F N"]:
    return np.array(list(itertools.permutations(range(units))), np.int32)


def exhaustive(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The optimal permutation of one pair [N, N] among all N!."""
    every = _all_permutations(len(a))
    permuted = b[every[:, :, None], every[:, None, :]]
    return every[np.argmax(np.einsum("ij,fij->f", a, permuted))]
