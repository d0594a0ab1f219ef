"""Quadratic assignment: the permutation Q that maximizes <A, Q B Q^T>, for many pairs and starts.

FAQ (Vogelstein et al. 2015) lets Q range over doubly stochastic matrices and climbs by Frank-Wolfe
steps. With the gradient

    G(P) = A P B^T + A^T P B,   f(P) = <G(P), P> / 2,

each step goes towards the permutation Q that maximizes <G(P), Q> (a linear assignment), as far as
the exact line search says. Since G is linear and Q permutes rows, G(Q) takes two matrix products of
the six that a textbook step takes, and P itself is never needed. Every Q met on the way is a
candidate, and the best one is improved by exchanges of two units until none helps.
"""

import functools
import itertools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rnnjax import devices
from rnnjax.devices import map_items
from rnnjax.metrics.pairwise import Kernel
from rnnjax.numerics.assignment import assign
from rnnjax.typing import Array, Float, Int

__all__ = ["Matched", "exhaustive", "match", "random_doubly_stochastic"]

_GAIN = 3e-5
"""Relative rise of f below which a start has arrived."""

_SWAP_GAIN = 1e-6
"""Relative rise of f below which an exchange counts as none."""

_SINKHORN = 10
_SMALL = 16
"""Units; measured: permutations reach lower distances at 9 and 12 units, not from 24 on."""

_TRIAL = 20
"""Steps after which half of a pair's starts are given up; in trials the best was then always in the
better half."""

_WORTH = 2**20
"""Numbers in the gradients of all lanes, below which a smaller program costs more than it saves."""


class Matched(NamedTuple):
    """What every start of every pair ended at, lanes [L]."""

    value: np.ndarray
    """<A, Q B Q^T>, [L]."""
    permutation: np.ndarray
    """Unit of the second network matched to each of the first, [L, N]."""
    arrived: np.ndarray
    """Whether the Frank-Wolfe steps came to a halt, [L]."""


class _Lanes(NamedTuple):
    pair: Array  # [L]
    gradient: Array  # [L, N, N], G(P)
    value: Array  # [L], f(P)
    best: Array  # [L], f of the best Q met
    permutation: Array  # [L, N], that Q


def random_doubly_stochastic(rng: np.random.Generator, count: int, units: int) -> np.ndarray:
    """Starts halfway between the barycenter and a random doubly stochastic matrix, [count, N, N].

    The random part is a uniform matrix balanced by ten Sinkhorn iterations, as in scipy's FAQ; for
    few units these are too much alike, and it is a permutation.
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


def _gathered(matrix: Array, permutation: Array) -> Array:
    """sum_i X[i, p_i], that is <X, Q>."""
    return jnp.sum(jnp.take_along_axis(matrix, permutation[:, None], 1))


def _costs(gradient: Array) -> Array:
    """Costs of the linear assignment, rows and columns reduced, which spares the solver work."""
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
    """G(Q) of a permutation Q."""
    permuted = jnp.concatenate([pairs.transposed[pair][q], pairs.plain[pair][q]])
    return pairs.left[pair] @ permuted


@Kernel
def _begin(pairs: _Pairs, pair: Array, starts: Array) -> tuple[_Lanes, Array]:
    """Lanes at doubly stochastic starts [L, N, N], and their first costs."""

    def one(lane: tuple[Array, Array]) -> tuple[Array, Array, Array]:
        pair, p = lane
        products = jnp.concatenate([p @ pairs.transposed[pair], p @ pairs.plain[pair]])
        gradient = pairs.left[pair] @ products
        return gradient, jnp.sum(gradient * p) / 2, _costs(gradient)

    with jax.default_matmul_precision("highest"):
        gradient, value, costs = map_items(one, (pair, starts))
    nothing = jnp.full_like(value, -jnp.inf), jnp.zeros(gradient.shape[:2], jnp.int32)
    return _Lanes(pair, gradient, value, *nothing), costs


@Kernel
def _step(pairs: _Pairs, lanes: _Lanes, towards: Array) -> tuple[_Lanes, Array, Array]:
    """One Frank-Wolfe step of every lane towards permutations [L, N]; gains and next costs."""

    def one(item: tuple[_Lanes, Array]) -> tuple[_Lanes, Array, Array]:
        lane, q = item
        vertex = _vertex(pairs, lane.pair, q)
        f_vertex, at_vertex = _gathered(vertex, q) / 2, _gathered(lane.gradient, q)
        # f(P + t (Q - P)) = f + slope t + curve t^2
        slope = at_vertex - 2 * lane.value
        curve = f_vertex - at_vertex + lane.value
        inner = jnp.clip(-slope / (2 * jnp.minimum(curve, -1e-30)), 0.0, 1.0)
        t = jnp.where(curve < 0, inner, jnp.where(slope + curve > 0, 1.0, 0.0))
        gradient = lane.gradient + t * (vertex - lane.gradient)
        value = lane.value + t * slope + t**2 * curve
        better = f_vertex > lane.best
        after = _Lanes(
            lane.pair, gradient, value,
            jnp.where(better, f_vertex, lane.best), jnp.where(better, q, lane.permutation),
        )  # fmt: skip
        return after, value - lane.value, _costs(gradient)

    with jax.default_matmul_precision("highest"):
        return map_items(one, (lanes, towards))


@Kernel
def _exchange(pairs: _Pairs, pair: Array, permutations: Array) -> tuple[Array, Array]:
    """Permutations [L, N] after the best exchange of two units, again and again; and <A, QBQ^T>.

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

        def body(carried: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
            gradient, p, _ = carried
            gains = self_first * quadratic(second[p][:, p]) - quadratic(gradient[:, p])
            r, s = jnp.divmod(jnp.argmax(gains), units)
            helps = gains[r, s] > least

            def apart(matrix: Array, x: Array, y: Array) -> Array:
                return matrix[:, x] - matrix[:, y]

            change = jnp.outer(apart(first, r, s), apart(second, p[r], p[s])) + jnp.outer(
                apart(first.T, r, s), apart(second.T, p[r], p[s])
            )
            exchanged = p.at[r].set(p[s]).at[s].set(p[r])
            return (
                jnp.where(helps, gradient - change, gradient),
                jnp.where(helps, exchanged, p),
                helps,
            )

        _, p, _ = jax.lax.while_loop(lambda c: c[2], body, (gradient, p, jnp.asarray(True)))
        return p, jnp.sum(first * second[p][:, p])

    with jax.default_matmul_precision("highest"):
        return map_items(one, (pair, permutations))


def _climb(pairs: _Pairs, lanes: _Lanes, costs: Array, steps: int, starts: int) -> Matched:
    """Frank-Wolfe steps of all lanes; on CPU those that are done are set aside by halves.

    A lane is done when it has arrived, and after `_TRIAL` steps, when it is among the worse half of
    its pair's starts. On an accelerator compiling for fewer lanes takes as long as the steps that
    it would save.
    """
    count, units = lanes.permutation.shape
    values, arrived = np.zeros(count, np.float32), np.zeros(count, bool)
    hopeless = np.zeros(count, bool)
    permutations = np.zeros((count, units), np.int32)
    towards = np.zeros((count, units), np.int32)
    runs = np.arange(count)  # the run in each of the first lanes; what lies behind is padding

    def keep() -> None:
        live = slice(len(runs))
        values[runs] = 2 * np.asarray(lanes.best)[live]
        permutations[runs] = np.asarray(lanes.permutation)[live]

    for step in range(steps):
        if step == _TRIAL:
            keep()
            worse = np.argsort(-values.reshape(-1, starts), axis=1)[:, -(-starts // 2) :]
            np.put_along_axis(hopeless.reshape(-1, starts), worse, True, axis=1)
        going = np.flatnonzero(~(arrived | hopeless)[runs])
        if not len(going):
            break
        half = -(-len(towards) // 2)
        worth = devices.on_cpu() and len(towards) * units**2 >= _WORTH
        if worth and len(going) <= half:
            keep()
            chosen = np.resize(going, half)
            runs, towards, going = runs[going], towards[chosen], np.arange(len(going))
            lanes, costs = jax.tree.map(lambda leaf, c=chosen: leaf[c], (lanes, costs))
        towards[going] = assign(costs, going)
        lanes, gains, costs = _step(pairs, lanes, towards)
        halted = np.asarray(gains) <= _GAIN * np.abs(np.asarray(lanes.value))
        arrived[runs[going]] = halted[going]
    keep()
    return Matched(values, permutations, arrived)


def match(
    a: Float[Array, "C N N"],
    b: Float[Array, "C N N"],
    starts: Float[Array, "Q N N"],
    steps: int,
) -> Matched:
    """The best permutation of every pair and start; lane c Q + q is start q of pair c.

    Args:
        a, b: the pairs, of about unit norm.
        starts: doubly stochastic, shared by all pairs.
        steps: Frank-Wolfe steps at most.
    """
    pairs = _lay_out(a, b)
    pair = jnp.repeat(jnp.arange(len(a)), len(starts))
    lanes, costs = _begin(pairs, pair, jnp.tile(starts, (len(a), 1, 1)))
    climbed = _climb(pairs, lanes, costs, steps, len(starts))
    permutations, values = _exchange(pairs, pair, climbed.permutation)
    return Matched(np.asarray(values), np.asarray(permutations), climbed.arrived)


@functools.lru_cache(maxsize=8)
def _all_permutations(units: int) -> Int[np.ndarray, "F N"]:
    return np.array(list(itertools.permutations(range(units))), np.int32)


def exhaustive(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The optimal permutation of one pair [N, N], by trying all N! of them."""
    every = _all_permutations(len(a))
    permuted = b[every[:, :, None], every[:, None, :]]
    return every[np.argmax(np.einsum("ij,fij->f", a, permuted))]
