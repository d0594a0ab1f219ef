"""Linear operators of trajectories: PCA, delay embedding, and dynamic mode decomposition.

The embedding of a trial at time t is the row

    h_t = [x_t, x_{t-1}, ..., x_{t-L+1}],

L delays, newest first; no row combines two trials. With the thin SVD H = V S U^T of all rows, the
operator acts on the whitened coordinates V (Ostrow et al. 2023):

    v_{t+1} ~ A v_t,   A^T = (V_-^T V_- + ridge I)^{-1} V_-^T V_+.

At full rank an invertible linear map of the states only conjugates A by an orthogonal matrix: the
operator describes how states move, and not how they are mixed. All arithmetic is in double
precision, one network at a time.
"""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import jax
import numpy as np
from einops import rearrange
from numpy.lib.stride_tricks import sliding_window_view

from rnnjax import arrays, validate
from rnnjax.metrics import checks
from rnnjax.typing import KeyLike

__all__ = [
    "Operators",
    "Regression",
    "choose_delays",
    "delay_errors",
    "fit_operators",
    "principal_scores",
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


class _Reduced(NamedTuple):
    scores: np.ndarray  # [S, B, T, k]
    components: np.ndarray  # [S]


def _principal(states: np.ndarray, variance: float) -> tuple[np.ndarray, np.ndarray, int]:
    """Mean [N], directions [N, N] by falling variance, and how many carry the share `variance`."""
    flat = rearrange(states, "b t n -> (b t) n")
    mean = flat.mean(0)
    centered = flat - mean
    values, directions = np.linalg.eigh(centered.T @ centered)
    values = np.maximum(values[::-1], 0.0)
    share = np.cumsum(values) / values.sum()
    return mean, directions[:, ::-1], int(np.argmax(share >= min(variance, share[-1])) + 1)


def _reduce(states: np.ndarray, variance: float | None, components: int | None) -> _Reduced:
    """Scores on the leading principal components, the same number for every network."""
    networks, *_, units = states.shape
    if components is not None and validate.positive_integer("components", components) > units:
        raise ValueError(f"components: expected at most the {units} units, got {components}")
    if variance is not None:
        validate.fraction("variance", variance, open_below=True)
    still = np.flatnonzero(np.ptp(states.reshape(networks, -1, units), axis=1).max(-1) == 0)
    if len(still):
        raise ValueError(f"states: expected activity that varies, got none in network {still[0]}")
    if components is None and variance in (None, 1):
        return _Reduced(states, np.full(networks, units))
    share = 1.0 if variance is None else variance
    axes = [_principal(network.astype(np.float64), share) for network in states]
    needed = np.array([count for *_, count in axes])
    kept = components or int(needed.max())
    scores = [(x - mean) @ v[:, :kept] for x, (mean, v, _) in zip(states, axes, strict=True)]
    return _Reduced(np.stack(scores), needed)


def principal_scores(states: np.ndarray, components: int) -> np.ndarray:
    """Every network's states on its leading principal components, centered: [S, B, T, k].

    For several fits to the same states: `fit_operators` of the first k columns with
    `variance=None` equals that of the states with `components=k`, and raises the same errors.
    """
    states = checks.population("states", states, "S B T N", least=1)
    return _reduce(states, None, components).scores


def _embed(scores: np.ndarray, delays: int) -> np.ndarray:
    """Rows h_t of every trial, [T - L + 1, B, L k], of one network's scores [B, T, k].

    With time first, the rows before and after a step are contiguous: no product copies them.
    """
    windows = sliding_window_view(np.asarray(scores, np.float64), delays, axis=1)
    return np.ascontiguousarray(rearrange(windows[..., ::-1], "b t k l -> t b (l k)"))


def _check_delays(name: str, delays: int, steps: int) -> None:
    if validate.positive_integer(name, delays) > steps - 1:
        raise ValueError(
            f"{name}: expected at most {steps - 1}, since trials have {steps} steps, got {delays}"
        )


def _operator(rows: np.ndarray, rank: int, ridge: float) -> tuple[np.ndarray, np.ndarray, float]:
    """A [R, R], singular values [R] and the relative error, of rows [T', B, L k]."""
    trials, flat = rows.shape[1], rearrange(rows, "t b r -> (t b) r")
    values, directions = np.linalg.eigh(flat.T @ flat)
    singular = np.sqrt(np.maximum(values[::-1], 0.0))[:rank]
    alive = singular > _NULL * singular[0]
    scale = np.where(alive, 1 / np.where(alive, singular, 1.0), 0.0)
    whitened = flat @ (directions[:, ::-1][:, :rank] * scale)
    before, after = whitened[:-trials], whitened[trials:]
    # The solution of least norm maps a direction without variance to 0.
    gram = before.T @ before + ridge * np.eye(rank)
    matrix = np.linalg.lstsq(gram, before.T @ after, rcond=_NULL**2)[0].T
    missed = before @ matrix.T
    missed -= after  # in place: fresh memory of this size costs more than the arithmetic
    unexplained = np.vdot(missed, missed) / np.vdot(after, after)
    return matrix, np.where(alive, singular, 0.0), float(unexplained)


def fit_operators(
    states: np.ndarray,
    *,
    delays: int = 1,
    variance: float | None = 0.99,
    components: int | None = None,
    regression: Regression | None = None,
) -> Operators:
    """Fits the linear operator of every network to its trajectories (module equation).

    Args:
        states: [S, B, T, N]: networks, trials, time, units.
        delays: L, the number of states in a row of the embedding; 1 is the state alone.
        variance: share of each network's variance that centered PCA keeps. All networks keep the
            same number of components, the largest that any of them needs, so that their operators
            have the same order. None or 1 leaves the states unchanged and uncentered.
        components: number of components to keep instead.
        regression: rank and ridge; full rank without a penalty by default.

    Raises:
        ValueError: another shape, NaN or infinity, a network that never varies, trials too short
            for the delays, no more transitions than R, or an option out of range.
    """
    states = checks.population("states", states, "S B T N", least=1)
    _check_delays("delays", delays, states.shape[2])
    if regression is None:
        regression = Regression()
    validate.instance_of("regression", regression, Regression)
    scores, components_needed = _reduce(states, variance, components)
    full = delays * scores.shape[-1]
    order = regression.rank or full
    if order > full:
        raise ValueError(f"rank: expected at most {full} (components x delays), got {order}")
    transitions = states.shape[1] * (states.shape[2] - delays)
    if transitions <= order:
        raise ValueError(
            f"states: expected more than {order} transitions within trials to fit an operator of "
            f"that order, got {transitions}"
        )
    ridge = float(regression.ridge)
    fitted = [_operator(_embed(network, delays), order, ridge) for network in scores]
    matrix = np.stack([a for a, *_ in fitted])
    return Operators(
        matrix=matrix,
        eigenvalues=np.sort_complex(np.linalg.eigvals(matrix)),
        components=components_needed,
        shared=scores.shape[-1],
        singular=np.stack([s for _, s, _ in fitted]),
        error=np.array([e for *_, e in fitted]),
    )


def _held_out_errors(
    scores: np.ndarray, candidates: Sequence[int], folds: list[np.ndarray]
) -> np.ndarray:
    """Relative one-step error for every candidate, of one network's scores [B, T, k].

    All candidates predict the same rows, those of the longest embedding. The Gram matrices of the
    shorter embeddings are therefore leading blocks of that of the longest, and so are their
    Cholesky factors.
    """
    from scipy.linalg import solve_triangular  # slow to import

    width, longest = scores.shape[-1], max(candidates)
    grams, crosses, squares = [], [], []
    for fold in folds:
        rows = _embed(scores[fold], longest)
        flat = rearrange(rows, "t b r -> (t b) r")
        before, after = flat[: -len(fold)], flat[len(fold) :, :width]
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


def delay_errors(
    states: np.ndarray,
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
        states: [S, B, T, N].
        candidates: numbers of delays L to try.
        key: draws the folds of trials.
        variance: as in `fit_operators`.
        components: as in `fit_operators`.

    Raises:
        ValueError: as `fit_operators`; no candidates, fewer than two trials, or too few
            transitions for the longest candidate.
    """
    states = checks.population("states", states, "S B T N", least=1)
    trials, steps = states.shape[1:3]
    candidates = validate.sequence("candidates", candidates)
    if not candidates:
        raise ValueError("candidates: expected at least one number of delays, got none")
    for delays in candidates:
        _check_delays("candidates", delays, steps)
    if trials < 2:
        raise ValueError("states: expected at least 2 trials to hold some out, got 1")
    scores, _ = _reduce(states, variance, components)
    key = arrays.random_key("key", key)
    order = np.asarray(jax.random.permutation(key, trials))
    folds = np.array_split(order, min(_FOLDS, trials))
    longest = max(candidates)
    kept = (trials - len(folds[0])) * (steps - longest)
    if kept <= longest * scores.shape[-1]:
        raise ValueError(
            f"candidates: {longest} delays of {scores.shape[-1]} components need more than "
            f"{longest * scores.shape[-1]} transitions; outside the held-out trials there are "
            f"{kept}"
        )
    return np.mean([_held_out_errors(x, candidates, folds) for x in scores], axis=0)


def choose_delays(
    states: np.ndarray,
    *,
    candidates: Sequence[int] = tuple(range(1, 31)),
    key: KeyLike,
    variance: float | None = 0.99,
    components: int | None = None,
) -> int:
    """The candidate with the lowest `delay_errors`: one number for the whole population."""
    candidates = validate.sequence("candidates", candidates)
    errors = delay_errors(
        states, candidates=candidates, key=key, variance=variance, components=components
    )
    return int(candidates[int(np.argmin(errors))])
