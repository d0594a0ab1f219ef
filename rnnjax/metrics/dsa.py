"""Dynamical similarity analysis: the distance between two dynamics up to a rotation of the states.

    d(A, B) = min over C in O(R) of |A - C B C^T|    (Ostrow et al. 2023; Frobenius norm)

between the linear operators of two networks (`fit_operators`). One optimal C gives three scores:
`raw`, the formula above; `chord`, the same for A/|A| and B/|B|; and `angular`, the angle between A
and C B C^T in radians, with chord = 2 sin(angular / 2). 0 means alike for all of them.

The minimum is not known in general: it lies between the value, an upper bound, and `lower_bound`,
which is proven. The distance is invariant to rotation, relabelling and scaling of the states of
either network; at full rank (`variance=1`) also to any invertible mixing.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Literal, NamedTuple, get_args

import jax
import numpy as np

from rnnjax import arrays, devices, validate
from rnnjax.metrics import checks, pairwise, trials
from rnnjax.metrics.base import Solved, SolverOptions, checked_solver
from rnnjax.metrics.conjugation import (
    FINALISTS,
    conjugate,
    padded_order,
    random_orthogonal,
    rounds,
)
from rnnjax.metrics.delays import (
    best_delays,
    check_candidates,
    choose_delays,
    delay_errors,
    reconstruction_errors,
)
from rnnjax.metrics.operators import (
    Operators,
    Regression,
    check_delays,
    fit_operators,
    principal_scores,
)
from rnnjax.metrics.ranges import solve_on_workers
from rnnjax.metrics.spectra import Spectra, lower_bound, select, spectra
from rnnjax.numerics.assignment import assign
from rnnjax.typing import KeyLike

__all__ = [
    "DSAResult",
    "Dynamics",
    "Operators",
    "Regression",
    "check_dynamics",
    "choose_delays",
    "compare_dynamics",
    "compare_operators",
    "default_starts",
    "delay_errors",
    "dsa_distances",
    "fit_operators",
    "operator_distances",
    "principal_scores",
    "reconstruction_errors",
    "spectral_distances",
    "wasserstein_distances",
]

Score = Literal["angular", "chord", "raw", "wasserstein"]

STEPS = 3000
_OWN = 2
"""Starts of each pair that other pairs do not have."""


class DSAResult(NamedTuple):
    """Distances of pairs, their bounds and status, [M] or, of all pairs, [S, S]; 0 means alike."""

    raw: np.ndarray
    """|A - C B C^T|."""
    chord: np.ndarray
    """The same for operators of unit norm, from 0 to 2."""
    angular: np.ndarray
    """The angle between A and C B C^T, radians, from 0 to pi."""
    lower_bound: np.ndarray
    """Lower bound of the angle over all C, radians: the optimum lies between this and `angular`."""
    raw_lower_bound: np.ndarray
    """The same bound for `raw`."""
    spread: np.ndarray
    """Range of the angles, radians, at which the best few starts ended (the finalists, at most 4).
    The best went on until it was stationary, the others ended with the second round."""
    status: np.ndarray
    """`Solved` codes."""
    rotation: np.ndarray
    """C, orthogonal, [M, R, R]; empty for a whole population."""


def default_starts(order: int) -> int:
    """Default number of starts of a pair, from 12 to 192.

    Below order 20 more starts still find better optima in a noticeable share of pairs, and cost
    little.
    """
    return min(max(500_000 // order**3, 12), 192)


def _normalize(matrices: np.ndarray) -> np.ndarray:
    """Matrices divided by their Frobenius norms, [M, R, R]; zero stays zero."""
    norm = np.linalg.norm(matrices, axis=(1, 2), keepdims=True)
    return matrices / np.where(norm > 0, norm, 1.0)


def _eigenvectors(matrices: np.ndarray) -> np.ndarray:
    """Eigenvectors of the symmetric parts, by rising eigenvalue, as columns [M, R, R]."""
    return np.linalg.eigh((matrices + np.swapaxes(matrices, 1, 2)) / 2)[1]


def _orthonormalize(rotation: np.ndarray) -> np.ndarray:
    """Orthogonalizes C to double precision by Newton-Schulz iterations."""
    for _ in range(2):
        square = np.swapaxes(rotation, -1, -2) @ rotation
        rotation = 1.5 * rotation - 0.5 * rotation @ square
    return rotation


def _result(
    operators: tuple[np.ndarray, np.ndarray],
    bounds: tuple[Spectra, Spectra],
    finalists: np.ndarray,
    stationary: np.ndarray,
) -> DSAResult:
    """Scores in double precision of a batch, from the finalists C [M, F, R, R] of each pair."""
    finalists = _orthonormalize(finalists.astype(np.float64))

    def residuals(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        rotated = finalists @ b[:, None] @ np.swapaxes(finalists, 2, 3)
        return np.linalg.norm(a[:, None] - rotated, axis=(2, 3))

    raws, chords = residuals(*operators), residuals(*map(_normalize, operators))
    angles = 2 * np.arcsin(np.minimum(chords / 2, 1.0))
    best = np.arange(len(raws)), np.argmin(raws, axis=1)
    raw, angular = raws[best], angles[best]
    bound = 2 * np.arcsin(np.minimum(lower_bound(*bounds, unit_norm=True) / 2, 1.0))
    return DSAResult(
        raw=raw,
        chord=chords[best],
        angular=angular,
        # Rounding can lift an attained bound above the value.
        lower_bound=np.minimum(bound, angular),
        raw_lower_bound=np.minimum(lower_bound(*bounds), raw),
        spread=np.ptp(angles, axis=1),
        status=np.where(stationary, Solved.CONVERGED, Solved.EXHAUSTED).astype(np.int8),
        rotation=finalists[best].astype(np.float32),
    )


class _Side(NamedTuple):
    """One side of the pairs: operators, and the quantities computed once for each."""

    matrix: np.ndarray
    unit: np.ndarray
    """Input of the solver: the operator without the mean of its diagonal, at unit norm. A multiple
    of the identity does not change the optimal C, but for slow dynamics, A close to I, it would
    dominate the numbers."""
    vectors: np.ndarray
    spectra: Spectra


def _side(operators: np.ndarray) -> _Side:
    operators = operators.astype(np.float64)
    order = operators.shape[-1]
    means = np.trace(operators, axis1=1, axis2=2) / order
    unit = _normalize(operators - means[:, None, None] * np.eye(order))
    return _Side(operators, unit, _eigenvectors(unit), spectra(operators))


def _solve(
    operators: tuple[np.ndarray, np.ndarray],
    members: tuple[np.ndarray, np.ndarray],
    key: KeyLike,
    solver: SolverOptions | None,
    rotations: bool,
) -> DSAResult:
    """Solves the pairs (i of the first operators, j of the second) of members (i, j) in batches."""
    key = arrays.random_key("key", key)
    solver = checked_solver(solver)
    if solver.workers is not None:
        return solve_on_workers(_solve, operators, members, key, solver, rotations)
    first = _side(operators[0])
    sides = first, first if operators[1] is operators[0] else _side(operators[1])
    order = first.matrix.shape[-1]
    starts = solver.starts or default_starts(order)
    plan = rounds(order, starts, solver.steps or STEPS)
    shared = random_orthogonal(key, max(starts - _OWN, 0), order)
    identity = np.eye(order)

    def batch(numbers: np.ndarray) -> DSAResult:
        pair = [(side, member[numbers]) for side, member in zip(sides, members, strict=True)]
        first, second = (side.vectors[index] for side, index in pair)
        aligned = first @ np.swapaxes(second, 1, 2)
        own = np.stack([np.broadcast_to(identity, aligned.shape), aligned], 1)[:, :starts]
        inputs = [side.unit[index] for side, index in pair]
        a, b, own = (x.astype(np.float32) for x in (*inputs, own))
        found = conjugate(a, b, own, shared, plan=plan)
        first, second = (side.matrix[index] for side, index in pair)
        bounds = [select(side.spectra, index) for side, index in pair]
        result = _result((first, second), (bounds[0], bounds[1]), found.rotation, found.stationary)
        return result if rotations else result._replace(rotation=result.rotation[:, :0, :0])

    # Memory of a pair: a dozen matrices of doubles, its finalists, and on an accelerator, which
    # solves all pairs of a batch at once, ten matrices per start.
    matrices = 24 + _OWN + FINALISTS + (0 if devices.on_cpu() else 10 * starts)
    size = devices.batch_size(4 * matrices * padded_order(order) ** 2, memory=solver.memory)
    return pairwise.in_batches(batch, len(members[0]), size=size, progress=solver.progress)


def operator_distances(
    a: np.ndarray,
    b: np.ndarray,
    *,
    key: KeyLike,
    solver: SolverOptions | None = None,
) -> DSAResult:
    """Distances between the operators of pairs a[m], b[m].

    Args:
        a, b: operators [M, R, R].
        key: draws the random starts, which all pairs share.
        solver: its starts are the identity, the rotation that aligns the eigenvectors of the
            symmetric parts, and random rotations of both determinants, `default_starts(R)` by
            default. A quarter of them goes on after 2.5 R steps, and the best alone after 5 R
            more, until it is stationary (`rnnjax.metrics.conjugation`). Its steps are gradient
            steps, at most `STEPS` by default.

    Raises:
        ValueError: other shapes, NaN or infinity, or a number below 1.
    """
    a, b = checks.matched_operators("a", a, "b", b)
    every = np.arange(len(a))
    return _solve((a, b), (every, every), key, solver, True)


def compare_operators(
    operators: np.ndarray,
    *,
    key: KeyLike,
    solver: SolverOptions | None = None,
) -> DSAResult:
    """Distances between all operators [S, R, R] of a population: every field is [S, S].

    Each pair is solved once, so that distances are symmetric; rotations are not kept. Arguments
    and errors are those of `operator_distances`; fewer than two operators raise `ValueError`.
    """
    operators = checks.population("operators", operators, "S R R")
    networks = len(operators)
    pairs = pairwise.all_pairs(networks)
    result = _solve((operators, operators), pairs, key, solver, False)
    return DSAResult(*(pairwise.square(values, networks) for values in result))


def wasserstein_distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """2-Wasserstein distance between the eigenvalues of a[m] and b[m], [M]; 0 means alike.

    sqrt(min over matchings p of mean_i |lambda_i(A) - lambda_p(i)(B)|^2). Of normal
    operators it is a lower bound of `raw`.

    Args:
        a, b: operators [M, R, R].

    Raises:
        ValueError: other shapes, NaN or infinity.
    """
    a, b = checks.matched_operators("a", a, "b", b)
    return _transport(np.linalg.eigvals(a.astype(float)), np.linalg.eigvals(b.astype(float)))


def _transport(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Root mean squared distance of optimally matched points, [M], of [M, R] and [M, R]."""
    costs = np.abs(first[:, :, None] - second[:, None, :]) ** 2
    matched = np.take_along_axis(costs, assign(costs)[:, :, None], axis=2)
    return np.sqrt(matched.mean((1, 2)))


def spectral_distances(
    eigenvalues: np.ndarray, *, solver: SolverOptions | None = None
) -> np.ndarray:
    """`wasserstein_distances` between the eigenvalues [S, R] of all networks, as [S, S].

    Of `solver` only `memory` and `progress` are used. The distances are computed on the host, so
    the default memory is `rnnjax.devices.HOST_BATCH`.
    """
    eigenvalues = arrays.array("eigenvalues", eigenvalues, "S R", least=2, complex_too=True)
    first, second = pairwise.all_pairs(len(eigenvalues))
    solver = checked_solver(solver)
    memory = solver.memory or devices.HOST_BATCH
    values = pairwise.in_batches(
        lambda m: _transport(eigenvalues[first[m]], eigenvalues[second[m]]),
        len(first),
        size=devices.batch_size(32 * eigenvalues.shape[1] ** 2, memory=memory),
        progress=solver.progress,
    )
    return pairwise.square(values, len(eigenvalues))


class Dynamics(NamedTuple):
    """Dynamical distances of a population, with all that was fitted and chosen."""

    operators: Operators
    delays: int
    """The number given, or chosen by held-out error."""
    distances: np.ndarray
    """The score of all pairs, [S, S]."""
    result: DSAResult | None
    """All scores, bounds and status; None for `wasserstein`."""


def check_dynamics(
    states: Any,
    *,
    key: KeyLike,
    score: Score = "angular",
    delays: int | Sequence[int] = 1,
    solver: SolverOptions | None = None,
) -> None:
    """Raises the errors of `dsa_distances` on score, key, solver and numbers of delays."""
    validate.one_of("score", score, get_args(Score))
    arrays.random_key("key", key)
    checked_solver(solver)
    given = trials.networks("states", *trials.unnamed("states", states))
    delays = validate.plain(delays)
    if isinstance(delays, Iterable):
        check_candidates("delays", delays, given)
    else:
        check_delays("delays", delays, given)


@devices.fixed_draws()
def compare_dynamics(
    states: Any,
    *,
    key: KeyLike,
    score: Score = "angular",
    delays: int | Sequence[int] = 1,
    variance: float | None = 0.99,
    components: int | None = None,
    regression: Regression | None = None,
    solver: SolverOptions | None = None,
) -> Dynamics:
    """`dsa_distances` with the operators, the delays, and the bounds and status of the solver.

    Arguments and errors are those of `dsa_distances`.
    """
    delays = validate.plain(delays)
    if isinstance(delays, Iterable):
        delays = tuple(delays)  # it may be an iterator, and is read twice
    check_dynamics(states, key=key, score=score, delays=delays, solver=solver)
    if isinstance(delays, tuple):
        key = arrays.random_key("key", key)
        held_out, key = jax.random.split(key)
        delays = best_delays("delays", states, delays, held_out, variance, components)
    fitted = fit_operators(
        states, delays=delays, variance=variance, components=components, regression=regression
    )
    if score == "wasserstein":
        distances = spectral_distances(fitted.eigenvalues, solver=solver)
        return Dynamics(fitted, int(delays), distances, None)
    result = compare_operators(fitted.matrix, key=key, solver=solver)
    return Dynamics(fitted, int(delays), getattr(result, score), result)


def dsa_distances(
    states: Any,
    *,
    key: KeyLike,
    score: Score = "angular",
    delays: int | Sequence[int] = 1,
    variance: float | None = 0.99,
    components: int | None = None,
    regression: Regression | None = None,
    solver: SolverOptions | None = None,
) -> Any:
    """Dynamical distances between all networks of a population, [S, S]; 0 means alike.

    Networks need no trials in common, and may differ in units, trials and lengths.

    Args:
        states: trajectories [S, B, T, N]; or one recording per network: [B, T, N], in which a
            missing step is NaN in every unit, a list of trials [T_b, N], or one trial [T, N].
            Recordings in a mapping, or along a dimension `network` of an `xarray.DataArray`, have
            names.
        key: draws the starts, and the folds of trials if delays are chosen.
        score: `angular`, `chord` or `raw`, fields of `DSAResult`; or `wasserstein`, between
            eigenvalues.
        delays: delays of the embedding; of a sequence `choose_delays` takes the best.
        variance, components, regression: as in `fit_operators`.
        solver: as in `operator_distances`.

    Returns:
        An array, or an `xarray.DataArray` over `network` and `other` if the networks have names.

    Raises:
        ValueError: as `fit_operators` and `choose_delays`; fewer than two networks; an unknown
            score.
    """
    found = compare_dynamics(
        states, key=key, score=score, delays=delays, variance=variance, components=components,
        regression=regression, solver=solver,
    )  # fmt: skip
    return trials.with_names(found.distances, trials.unnamed("states", states)[1])
