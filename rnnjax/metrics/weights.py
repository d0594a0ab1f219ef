"""Distance between two weight matrices up to a relabelling of the units.

    d_PIF(W1, W2) = min over permutations P of |W1 - P^T W2 P|    (Frobenius norm)

The minimum is not known in general beyond seven units: it lies between the distance, an upper
bound, and `lower_bound`, which is proven. 0 means alike.
"""

import functools
from collections.abc import Sequence
from typing import Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
import numpy as np
from einops import rearrange

from rnnjax import arrays, devices, validate
from rnnjax.metrics import checks, pairwise, trials
from rnnjax.metrics.base import Solved, SolverOptions, checked_solver
from rnnjax.metrics.matching import exhaustive, match, random_doubly_stochastic
from rnnjax.metrics.ranges import solve_on_workers
from rnnjax.metrics.spectra import Spectra, lower_bound, select, spectra
from rnnjax.typing import KeyLike

__all__ = [
    "PIFResult",
    "compare_weights",
    "default_starts",
    "distances_per_parameter",
    "pif_distances",
    "pif_pairs",
    "relative_distances",
]

Normalize = Literal["raw", "per_parameter", "relative"]

STEPS = 60
EXHAUSTIVE = 7
"""Up to this many units the distance is the exact minimum over all permutations."""


class PIFResult(NamedTuple):
    """Distances of pairs, their bounds and status, [M] or, of all pairs, [S, S]; 0 means alike."""

    distance: np.ndarray
    """|W1 - P^T W2 P| at the best permutation found."""
    identity: np.ndarray
    """|W1 - W2|, without relabelling."""
    lower_bound: np.ndarray
    """Lower bound over all permutations: up to `EXHAUSTIVE` units the distance itself, beyond them
    a lower bound over all rotations."""
    permutation: np.ndarray
    """p [M, N] with W1 ~ W2[p][:, p]: unit i of the first network is unit p[i] of the second."""
    spread: np.ndarray
    """Largest less smallest distance among the starts."""
    status: np.ndarray
    """`Solved` codes."""


class _Side(NamedTuple):
    """One side of the pairs: weights, and the quantities computed once for each."""

    weights: np.ndarray
    spectra: Spectra


def _side(weights: np.ndarray) -> _Side:
    return _Side(weights, spectra(weights))


def default_starts(units: int) -> int:
    """Default number of starts of a pair: 128 up to N = 32, falling to 8 from N = 128 on.

    Good optima of small networks are rare, and a start of a small network costs little.
    """
    return min(max(-(-131_072 // units**2), 8), 128)


def _permute(weights: np.ndarray, permutation: np.ndarray) -> np.ndarray:
    """W[p][:, p] of every matrix, [M, N, N]."""
    each = np.arange(len(weights))[:, None, None]
    return weights[each, permutation[:, :, None], permutation[:, None, :]]


def _best_of_all(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Permutations, spreads and convergence of small pairs, by trying all permutations."""
    found = np.stack([exhaustive(x, y) for x, y in zip(a, b, strict=True)])
    return found, np.zeros(len(a)), np.ones(len(a), bool)


def _common(weights: np.ndarray) -> np.ndarray:
    """The part of the weights that permutations do not change, [M, N, N].

    The mean of the diagonal on the diagonal, and the mean of the other weights elsewhere.
    """
    units = weights.shape[-1]
    identity = np.eye(units)
    diagonal = np.trace(weights, axis1=1, axis2=2) / units
    rest = (weights.sum((1, 2)) - units * diagonal) / (units * (units - 1))
    return diagonal[:, None, None] * identity + rest[:, None, None] * (1 - identity)


def _best_of_starts(
    a: np.ndarray, b: np.ndarray, starts: np.ndarray, steps: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Permutations, spreads and convergence of pairs [C, N, N]."""
    # A part that no permutation changes does not move the optimum, but may dominate the numbers.
    common = [_common(x) for x in (a, b)]
    a, b = a - common[0], b - common[1]
    norms = [np.linalg.norm(x, axis=(1, 2)) for x in (a, b)]
    first, second = (
        jnp.asarray(x / np.where(n > 0, n, 1.0)[:, None, None], jnp.float32)
        for x, n in zip((a, b), norms, strict=True)
    )
    found = match(first, second, jnp.asarray(starts), steps)
    by_pair = functools.partial(rearrange, q=len(starts))
    cosine = by_pair(found.value, "(c q) -> c q").astype(np.float64)
    squared = (norms[0] ** 2 + norms[1] ** 2)[:, None] - 2 * (norms[0] * norms[1])[:, None] * cosine
    squared += ((common[0] - common[1]) ** 2).sum((1, 2))[:, None]
    best = np.arange(len(a)), np.argmax(cosine, axis=1)
    # A search that was dropped may end, by exchanges, where a converged one does.
    settled = by_pair(found.converged, "(c q) -> c q") & (cosine >= cosine[best][:, None])
    return (
        by_pair(found.permutation, "(c q) n -> c q n")[best],
        np.ptp(np.sqrt(np.maximum(squared, 0.0)), axis=1),
        np.asarray(settled.any(axis=1)),
    )


def _solve(
    matrices: tuple[np.ndarray, np.ndarray],
    members: tuple[np.ndarray, np.ndarray],
    key: KeyLike,
    solver: SolverOptions | None,
) -> PIFResult:
    """Solves the pairs (i of the first weights, j of the second) of members (i, j) in batches."""
    key = arrays.random_key("key", key)
    solver = checked_solver(solver)
    if solver.workers is not None:
        return solve_on_workers(_solve, matrices, members, key, solver)
    first = _side(matrices[0])
    sides = first, first if matrices[1] is matrices[0] else _side(matrices[1])
    units = first.weights.shape[-1]
    rng = np.random.default_rng(np.asarray(jax.random.key_data(key)))
    starts, steps = solver.starts or default_starts(units), solver.steps or STEPS
    barycenter = np.full((1, units, units), 1 / units, np.float32)
    points = np.concatenate([barycenter, random_doubly_stochastic(rng, starts - 1, units)])

    def batch(numbers: np.ndarray) -> PIFResult:
        pair = [(side, member[numbers]) for side, member in zip(sides, members, strict=True)]
        a, b = (side.weights[index].astype(np.float64) for side, index in pair)
        bounds = [select(side.spectra, index) for side, index in pair]
        if units <= EXHAUSTIVE:
            permutation, spread, converged = _best_of_all(a, b)
        else:
            permutation, spread, converged = _best_of_starts(a, b, points, steps)
        distance = np.linalg.norm(a - _permute(b, permutation), axis=(1, 2))
        identity = np.linalg.norm(a - b, axis=(1, 2))
        permutation[identity < distance] = np.arange(units)
        distance = np.minimum(distance, identity)
        bound = distance if units <= EXHAUSTIVE else lower_bound(bounds[0], bounds[1])
        return PIFResult(
            distance=distance,
            identity=identity,
            # Rounding can lift an attained bound above the distance.
            lower_bound=np.minimum(bound, distance),
            permutation=permutation.astype(np.int32),
            spread=spread,
            status=np.where(converged, Solved.CONVERGED, Solved.EXHAUSTED).astype(np.int8),
        )

    # Memory per start: the start, gradients and costs before and after a step, and copies for
    # dropping searches and for mapping over devices; per pair: weights in double precision.
    size = devices.batch_size(4 * (12 * starts + 16) * units**2, memory=solver.memory)
    return pairwise.in_batches(batch, len(members[0]), size=size, progress=solver.progress)


def pif_pairs(
    w1: np.ndarray,
    w2: np.ndarray,
    *,
    key: KeyLike,
    solver: SolverOptions | None = None,
) -> PIFResult:
    """Permutation-invariant distances of the pairs w1[m], w2[m].

    Args:
        w1, w2: recurrent weights [M, N, N].
        key: draws the random starts, which all pairs share.
        solver: its starts are doubly stochastic matrices, the barycenter and random ones,
            `default_starts(N)` by default. The identity is compared with the permutations found
            from them. Its steps are Frank-Wolfe steps.

    Raises:
        ValueError: other shapes, NaN or infinity, or a number below 1.
    """
    w1, w2 = checks.matched_operators("w1", w1, "w2", w2)
    every = np.arange(len(w1))
    return _solve((w1, w2), (every, every), key, solver)


def compare_weights(
    weights: np.ndarray,
    *,
    key: KeyLike,
    solver: SolverOptions | None = None,
) -> PIFResult:
    """All pairs of a population's weights [S, N, N]: every field is [S, S], or [S, S, N].

    Each pair is solved once, so that distances are symmetric; `permutation[j, i]` is the inverse
    of `permutation[i, j]`. Arguments and errors are those of `pif_pairs`; fewer than two networks
    raise `ValueError`.
    """
    weights = checks.population("weights", weights, "S N N")
    networks = len(weights)
    pairs = pairwise.all_pairs(networks)
    result = _solve((weights, weights), pairs, key, solver)
    full = PIFResult(*(pairwise.square(values, networks) for values in result))
    full.permutation[np.arange(networks), np.arange(networks)] = np.arange(weights.shape[-1])
    full.permutation[pairs[1], pairs[0]] = np.argsort(result.permutation, axis=-1)
    return full


def pif_distances(
    weights: np.ndarray,
    *,
    key: KeyLike,
    normalize: Normalize = "raw",
    solver: SolverOptions | None = None,
) -> np.ndarray:
    """Permutation-invariant distances between all networks of a population, [S, S]; 0 means alike.

    Labelled if the networks have names.

    Args:
        weights: recurrent weights [S, N, N], or of each network by name.
        key: draws the random starts.
        normalize: `raw` is |W1 - P^T W2 P|; `per_parameter` divides it by N^2, `relative` by the
            mean norm (|W1| + |W2|) / 2, so that it does not grow with the weights or with N.
        solver: as in `pif_pairs`.

    Raises:
        ValueError: another shape, NaN or infinity, fewer than two networks, or an unknown
            normalization.
    """
    validate.one_of("normalize", normalize, get_args(Normalize))
    members, names = trials.unnamed("weights", weights)
    if names is not None or isinstance(members, list | tuple):
        members = _stacked(members, names or tuple(f"network {s}" for s in range(len(members))))
    distance = compare_weights(members, key=key, solver=solver).distance
    if normalize == "per_parameter":
        distance = distances_per_parameter(distance, members)
    if normalize == "relative":
        distance = relative_distances(distance, members)
    return trials.with_names(distance, names)


def _stacked(members: Sequence[object], names: Sequence[str]) -> np.ndarray:
    """The weights [S, N, N] of a list of networks, by the names that errors use."""
    found = [
        arrays.array(f"weights, {name}", one, "N N", each=None)
        for name, one in zip(names, members, strict=True)
    ]
    if len({x.shape for x in found}) > 1:
        sizes = ", ".join(str(len(x)) for x in found)
        raise ValueError(f"weights: expected networks of one size, got {sizes} units")
    return np.stack(found) if found else np.zeros((0, 0, 0))


def _of_population(distance: object, weights: object) -> tuple[np.ndarray, np.ndarray]:
    """Distances [S, S] and the weights [S, N, N] of their networks, checked."""
    weights = checks.population("weights", weights, "S N N")
    distance = arrays.symmetric("distance", arrays.array("distance", distance, "S S"))
    if len(distance) != len(weights):
        raise ValueError(f"distance: expected {len(weights)} networks, got {len(distance)}")
    return distance, weights


def distances_per_parameter(distance: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Distances [S, S] over the number N^2 of the weights [S, N, N]."""
    distance, checked = _of_population(distance, weights)
    return distance / checked.shape[-1] ** 2


def relative_distances(distance: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Distances [S, S] over the mean norm (|W1| + |W2|) / 2 of each pair of weights [S, N, N].

    0 between two networks whose weights are all 0.
    """
    distance, checked = _of_population(distance, weights)
    norm = np.linalg.norm(checked.astype(np.float64), axis=(1, 2))
    mean = (norm[:, None] + norm[None, :]) / 2
    return distance / np.where(mean > 0, mean, 1.0)
