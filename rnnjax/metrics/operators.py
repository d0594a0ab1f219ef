"""Linear operators of trajectories: PCA, delay embedding, and dynamic mode decomposition.

The embedding of a trial at time t is the row

    h_t = [x_t, x_{t-1}, ..., x_{t-L+1}],

L delays, newest first; no row combines two trials or spans a missing step. With the thin SVD
H = V S U^T of all rows, the operator acts on the whitened coordinates V (Ostrow et al. 2023):

    v_{t+1} ~ A v_t,   A^T = (V_-^T V_- + ridge I)^{-1} V_-^T V_+.

At full rank an invertible linear map of the states only conjugates A by an orthogonal matrix: the
operator describes how states move, and not how they are mixed. All arithmetic is in double
precision, one network at a time.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from rnnjax import arrays, validate
from rnnjax.metrics import checks, trials
from rnnjax.metrics.trials import Network, Rows
from rnnjax.typing import KeyLike

__all__ = [
    "Operators",
    "Regression",
    "choose_delays",
    "delay_errors",
    "fit_operators",
    "principal_scores",
    "reconstruction_errors",
]

_FOLDS = 5
_NULL = 1e-7
"""Singular values below this share of the largest are rounding of single-precision states."""

_JITTER = 1e-10
"""Ridge of `delay_errors` over the mean square of a coordinate: it makes a singular system solvable
and does not smooth."""


@dataclasses.dataclass(frozen=True)
class Regression:
    """Settings of the regression; raises `ValueError` for a number out of range."""

    rank: int | None = None
    """R, the number of leading whitened coordinates to keep; all by default."""
    ridge: float = 0.0
    """Penalty, in whitened coordinates."""

    def __post_init__(self):
        if self.rank is not None:
            validate.positive_integer("rank", self.rank)
        validate.nonnegative("ridge", self.ridge)


class Operators(NamedTuple):
    """The linear dynamics of every network of a population."""

    matrix: np.ndarray
    """A in whitened coordinates, [S, R, R]."""
    eigenvalues: np.ndarray
    """Of A, sorted by real, then imaginary part, [S, R]."""
    components: np.ndarray
    """Number of principal components that carry the share `variance` of each network, [S]."""
    shared: int
    """Number of components kept of every network: the largest of these, or the given number."""
    singular: np.ndarray
    """Singular values of the embedding H, [S, R]; where one is 0, the row of `matrix` is 0 too."""
    error: np.ndarray
    """Squared one-step prediction error over the sum of squares, in sample, [S]."""
    variance: np.ndarray
    """Share of each network's variance in the components kept, [S]; 1 without PCA."""


class _Reduced(NamedTuple):
    scores: dict[str, Network]
    components: np.ndarray  # [S]
    variance: np.ndarray  # [S]


class _Axes(NamedTuple):
    mean: np.ndarray  # [N]
    directions: np.ndarray  # [N, N], by falling variance
    needed: int
    share: np.ndarray  # [N], of the variance in the leading directions


def _principal(states: np.ndarray, variance: float) -> _Axes:
    """Principal components of samples [samples, N], and how many carry the share `variance`."""
    mean = states.mean(0)
    centered = states - mean
    values, directions = np.linalg.eigh(centered.T @ centered)
    values = np.maximum(values[::-1], 0.0)
    share = np.cumsum(values) / values.sum()
    needed = int(np.argmax(share >= min(variance, share[-1])) + 1)
    return _Axes(mean, directions[:, ::-1], needed, share)


def _reduce(states: dict[str, Network], variance: float | None, components: int | None) -> _Reduced:
    """Scores on the leading principal components, the same number for every network."""
    sizes = {which: trials.samples(x).shape[1] for which, x in states.items()}
    fewest = min(sizes, key=lambda which: sizes[which])
    units = sizes[fewest]
    if components is not None and validate.positive_integer("components", components) > units:
        where = "" if len(set(sizes.values())) == 1 else f" of {fewest}"
        raise ValueError(f"components: expected at most the {units} units{where}, got {components}")
    if variance is not None:
        validate.fraction("variance", variance, open_below=True)
    for which, x in states.items():
        if np.ptp(trials.samples(x), axis=0).max() == 0:
            raise ValueError(f"states: expected activity that varies, got none in {which}")
    if components is None and variance in (None, 1):
        if len(set(sizes.values())) > 1:
            raise ValueError(
                "variance: expected a share below 1, or a number of components, since networks "
                f"have from {units} to {max(sizes.values())} units, got {variance}"
            )
        return _Reduced(states, np.full(len(states), units), np.ones(len(states)))
    share = 1.0 if variance is None else variance
    axes = [_principal(trials.samples(x).astype(np.float64), share) for x in states.values()]
    needed = np.array([each.needed for each in axes])
    kept = components or min(int(needed.max()), units)
    scores = {
        which: trials.mapped(
            lambda run, each=each: (run - each.mean) @ each.directions[:, :kept], x
        )
        for (which, x), each in zip(states.items(), axes, strict=True)
    }
    return _Reduced(scores, needed, np.array([each.share[kept - 1] for each in axes]))


def principal_scores(states: np.ndarray, components: int) -> np.ndarray:
    """Every network's states on its leading principal components, centered: [S, B, T, k].

    For several fits to the same states: `fit_operators` of the first k columns with
    `variance=None` equals that of the states with `components=k`, and raises the same errors.
    Networks of different sizes, or with missing steps, raise `ValueError`.
    """
    states = checks.population("states", states, "S B T N", least=1)
    named = trials.networks("states", states, least=1)
    return np.stack([*_reduce(named, None, components).scores.values()])


def _where(states: dict[str, Network], which: str) -> str:
    """` in network 2`, or nothing if all networks are of one size."""
    shapes = {x.shape if isinstance(x, np.ndarray) else None for x in states.values()}
    return f" in {which}" if len(shapes) > 1 or None in shapes else ""


def _check_delays(name: str, delays: int, states: dict[str, Network]) -> None:
    validate.positive_integer(name, delays)
    for which, network in states.items():
        steps = trials.longest_run(network)
        if delays > steps - 1:
            raise ValueError(
                f"{name}: expected at most {steps - 1}, since trials have {steps} steps"
                f"{_where(states, which)}, "
                f"got {delays}"
            )


def _operator(rows: Rows, rank: int, ridge: float) -> tuple[np.ndarray, np.ndarray, float]:
    """A [R, R], singular values [R] and the relative error."""
    flat = rows.flat
    values, directions = np.linalg.eigh(flat.T @ flat)
    singular = np.sqrt(np.maximum(values[::-1], 0.0))[:rank]
    alive = singular > _NULL * singular[0]
    scale = np.where(alive, 1 / np.where(alive, singular, 1.0), 0.0)
    whitened = flat @ (directions[:, ::-1][:, :rank] * scale)
    before, after = whitened[rows.before], whitened[rows.after]
    # The solution of least norm maps a direction without variance to 0.
    gram = before.T @ before + ridge * np.eye(rank)
    matrix = np.linalg.lstsq(gram, before.T @ after, rcond=_NULL**2)[0].T
    missed = before @ matrix.T
    missed -= after  # in place: fresh memory of this size costs more than the arithmetic
    unexplained = np.vdot(missed, missed) / np.vdot(after, after)
    return matrix, np.where(alive, singular, 0.0), float(unexplained)


def fit_operators(
    states: Any,
    *,
    delays: int = 1,
    variance: float | None = 0.99,
    components: int | None = None,
    regression: Regression | None = None,
) -> Operators:
    """Fits the linear operator of every network to its trajectories (module equation).

    Args:
        states: [S, B, T, N]: networks, trials, time, units; or a recording per network, of any
            units, trials and lengths (`dsa_distances`).
        delays: L, the number of states in a row of the embedding; 1 is the state alone.
        variance: share of each network's variance that centered PCA keeps. All networks keep the
            same number of components, the largest that any of them needs, and at most the units of
            the smallest network, so that their operators have the same order. None or 1 leaves the
            states unchanged and uncentered.
        components: number of components to keep instead.
        regression: rank and ridge; full rank without a penalty by default.

    Raises:
        ValueError: another shape, a network that never varies, trials too short for the delays, no
            more transitions than R, different units without PCA, or an option out of range.
    """
    given = trials.networks("states", *trials.unnamed("states", states), least=1)
    _check_delays("delays", delays, given)
    if regression is None:
        regression = Regression()
    validate.instance_of("regression", regression, Regression)
    reduced = _reduce(given, variance, components)
    shared = trials.samples(next(iter(reduced.scores.values()))).shape[1]
    full = delays * shared
    order = regression.rank or full
    if order > full:
        raise ValueError(f"rank: expected at most {full} (components x delays), got {order}")
    for which, network in given.items():
        found = trials.transitions(network, delays)
        if found <= order:
            raise ValueError(
                f"states: expected more than {order} transitions within trials to fit an operator "
                f"of that order, got {found} in {which}; fewer components or delays need fewer"
            )
    ridge = float(regression.ridge)
    fitted = [_operator(trials.rows(x, delays), order, ridge) for x in reduced.scores.values()]
    matrix = np.stack([a for a, *_ in fitted])
    return Operators(
        matrix=matrix,
        eigenvalues=np.sort_complex(np.linalg.eigvals(matrix)),
        components=reduced.components,
        shared=shared,
        singular=np.stack([s for _, s, _ in fitted]),
        error=np.array([e for *_, e in fitted]),
        variance=reduced.variance,
    )


def _held_out_errors(
    scores: Network, candidates: Sequence[int], folds: list[np.ndarray]
) -> np.ndarray:
    """Relative one-step error for every candidate, of one network's scores.

    All candidates predict the same rows, those of the longest embedding. The Gram matrices of the
    shorter embeddings are therefore leading blocks of that of the longest, and so are their
    Cholesky factors.
    """
    from scipy.linalg import solve_triangular  # slow to import

    width, longest = trials.samples(scores).shape[1], max(candidates)
    grams, crosses, squares = [], [], []
    for fold in folds:
        rows = trials.rows(trials.taken(scores, fold), longest)
        before, after = rows.flat[rows.before], rows.flat[rows.after][:, :width]
        grams.append(before.T @ before)
        crosses.append(before.T @ after)
        squares.append((after**2).sum())
    missed, total = np.zeros(len(candidates)), 0.0
    for gram, cross, square in zip(grams, crosses, squares, strict=True):
        train, target = sum(grams) - gram, sum(crosses) - cross
        train = train + _JITTER * np.trace(train) / len(train) * np.eye(len(train))
        factor = np.linalg.cholesky(train)
        forward = solve_triangular(factor, target, lower=True)
        for number, delays in enumerate(candidates):
            m = delays * width
            weights = solve_triangular(factor[:m, :m].T, forward[:m])
            fit = (weights * (gram[:m, :m] @ weights)).sum() - 2 * (weights * cross[:m]).sum()
            missed[number] += square + fit
        total += square
    return missed / total


def reconstruction_errors(
    states: Any,
    *,
    candidates: Sequence[int] = tuple(range(1, 31)),
    variance: float | None = 0.99,
    components: int | None = None,
) -> np.ndarray:
    """In-sample one-step error of the linear model with each number of delays, [candidates].

    The squared error of x_{t+1} predicted from h_t over the squares of x_{t+1}, each number of
    delays on all the transitions that it has, averaged over networks. More delays fit at least as
    well on the same transitions: the longest of the candidates, or one near it, has the smallest
    error. `delay_errors` is that on trials held out.

    Args:
        states: as in `fit_operators`.
        candidates: numbers of delays L to try.
        variance: as in `fit_operators`.
        components: as in `fit_operators`.

    Raises:
        ValueError: as `fit_operators`; no candidates, or too few transitions for the longest.
    """
    given = trials.networks("states", *trials.unnamed("states", states), least=1)
    candidates = _checked_candidates("candidates", candidates, given)
    scores = _reduce(given, variance, components).scores
    longest = max(candidates)
    for network in scores.values():
        _check_transitions("candidates", network, longest, trials.transitions(network, longest))
    errors = [[_own_error(network, delays) for delays in candidates] for network in scores.values()]
    return np.mean(errors, axis=0)


def _own_error(scores: Network, delays: int) -> float:
    """Relative squared error of the newest state, of the least squares fit to all transitions."""
    rows, width = trials.rows(scores, delays), trials.samples(scores).shape[1]
    before, after = rows.flat[rows.before], rows.flat[rows.after][:, :width]
    gram, cross = before.T @ before, before.T @ after
    fit = np.linalg.lstsq(gram, cross, rcond=_NULL**2)[0]
    square = np.vdot(after, after)
    return float((square + np.vdot(fit, gram @ fit - 2 * cross)) / square)


def delay_errors(
    states: Any,
    *,
    candidates: Sequence[int] = tuple(range(1, 31)),
    key: KeyLike,
    variance: float | None = 0.99,
    components: int | None = None,
) -> np.ndarray:
    """Held-out one-step error of the linear model with each number of delays, [candidates].

    The squared error of x_{t+1} predicted from h_t over the squares of x_{t+1}, by five-fold
    cross-validation over trials, averaged over networks. The error in sample falls with every
    delay, so its minimum is always the longest embedding.

    Args:
        states: as in `fit_operators`.
        candidates: numbers of delays L to try.
        key: draws the folds of trials.
        variance: as in `fit_operators`.
        components: as in `fit_operators`.

    Raises:
        ValueError: as `fit_operators`; no candidates, fewer than two trials, or too few
            transitions for the longest candidate.
    """
    return _delay_errors("candidates", states, candidates, key, variance, components)


def _delay_errors(
    name: str,
    states: Any,
    candidates: Sequence[int],
    key: KeyLike,
    variance: float | None,
    components: int | None,
) -> np.ndarray:
    """`delay_errors`, whose errors call the numbers of delays `name`."""
    given = trials.networks("states", *trials.unnamed("states", states), least=1)
    candidates = _checked_candidates(name, candidates, given)
    for which, network in given.items():
        if trials.trial_count(network) < 2:
            where = _where(given, which)
            raise ValueError(
                "states: expected at least 2 trials, since several numbers of delays are compared "
                f"on trials held out, got 1{where}; give one number of delays"
            )
    scores = _reduce(given, variance, components).scores
    key = arrays.random_key("key", key)
    longest, errors = max(candidates), []
    for network in scores.values():
        count = trials.trial_count(network)
        order = np.asarray(jax.random.permutation(key, count))
        folds = np.array_split(order, min(_FOLDS, count))
        _check_held_out(name, network, longest, folds)
        errors.append(_held_out_errors(network, candidates, folds))
    return np.mean(errors, axis=0)


def _checked_candidates(
    name: str, candidates: Sequence[int], given: dict[str, Network]
) -> tuple[int, ...]:
    """Numbers of delays that the trials allow."""
    candidates = validate.sequence(name, candidates)
    if not candidates:
        raise ValueError(f"{name}: expected at least one number of delays, got none")
    for delays in candidates:
        _check_delays(name, delays, given)
    return candidates


def _check_held_out(name: str, scores: Network, longest: int, folds: list[np.ndarray]) -> None:
    """Raises if the trials outside some fold have too few transitions."""
    held = max(trials.transitions(trials.taken(scores, fold), longest) for fold in folds)
    kept = trials.transitions(scores, longest) - held
    _check_transitions(name, scores, longest, kept, " outside the held-out trials")


def _check_transitions(
    name: str, scores: Network, longest: int, found: int, where: str = ""
) -> None:
    """Raises if there are too few transitions for the longest embedding."""
    width = trials.samples(scores).shape[1]
    if found <= longest * width:
        raise ValueError(
            f"{name}: {longest} delays of {width} components need more than "
            f"{longest * width} transitions; there are {found}{where}"
        )


def choose_delays(
    states: Any,
    *,
    candidates: Sequence[int] = tuple(range(1, 31)),
    key: KeyLike,
    variance: float | None = 0.99,
    components: int | None = None,
) -> int:
    """The candidate with the lowest `delay_errors`: one number for the whole population."""
    return best_delays("candidates", states, candidates, key, variance, components)


def best_delays(
    name: str,
    states: Any,
    candidates: Sequence[int],
    key: KeyLike,
    variance: float | None,
    components: int | None,
) -> int:
    """`choose_delays`, whose errors call the candidates `name`."""
    candidates = validate.sequence(name, candidates)
    errors = _delay_errors(name, states, candidates, key, variance, components)
    return int(candidates[int(np.argmin(errors))])
