"""How many delays an embedding takes: one-step errors of the linear model (`metrics.operators`).

On trials held out, by cross-validation, or on the trials of the fit themselves.
"""

import functools
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from rnnjax import arrays, validate
from rnnjax.devices import fixed_draws
from rnnjax.metrics import trials
from rnnjax.metrics.operators import (
    NULL,
    check_delays,
    reduce_states,
    relative_error,
    where_text,
)
from rnnjax.metrics.trials import Network
from rnnjax.typing import KeyLike

__all__ = [
    "best_delays",
    "check_candidates",
    "choose_delays",
    "delay_errors",
    "reconstruction_errors",
]

_FOLDS = 5

_JITTER = 1e-10
"""Ridge of `delay_errors` over the mean square of a coordinate: it makes a singular system solvable
and does not smooth."""


def _held_out_errors(
    scores: Network, candidates: Sequence[int], folds: list[np.ndarray]
) -> np.ndarray:
    """Relative one-step error for every candidate, of one network's scores.

    All candidates predict the same rows, those of the longest embedding. The Gram matrices of the
    shorter embeddings are therefore leading blocks of that of the longest, and so are their
    Cholesky factors.
    """
    from scipy.linalg import solve_triangular  # slow to import

    width, longest = trials.units(scores), max(candidates)
    grams, crosses, squares = [], [], []
    for fold in folds:
        rows = trials.rows(trials.taken(scores, fold), longest)
        before, after = rows.flat[rows.before], rows.flat[rows.after][:, :width]
        grams.append(before.T @ before)
        crosses.append(before.T @ after)
        squares.append((after**2).sum())
    missed, total = np.zeros(len(candidates)), 0.0
    for fold, (gram, cross, square) in enumerate(zip(grams, crosses, squares, strict=True)):
        train, target = _sum_others(grams, fold), _sum_others(crosses, fold)
        jitter = _JITTER * np.trace(train) / len(train) or 1.0  # 1: silent trials predict 0
        train = train + jitter * np.eye(len(train))
        factor = np.linalg.cholesky(train)
        forward = solve_triangular(factor, target, lower=True)
        for number, delays in enumerate(candidates):
            m = delays * width
            weights = solve_triangular(factor[:m, :m].T, forward[:m])
            fit = (weights * (gram[:m, :m] @ weights)).sum() - 2 * (weights * cross[:m]).sum()
            missed[number] += square + fit
        total += square
    return relative_error(missed, total)


def _sum_others(parts: list[np.ndarray], fold: int) -> np.ndarray:
    """The sum over all folds but one.

    The sum over all less this one would have no correct digits where the fold has most of it.
    """
    return functools.reduce(np.add, parts[:fold] + parts[fold + 1 :])


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
    scores = reduce_states(given, variance, components).scores
    longest = max(candidates)
    for network in scores.values():
        _check_transitions("candidates", network, longest, trials.transitions(network, longest))
    errors = [[_own_error(network, delays) for delays in candidates] for network in scores.values()]
    return np.mean(errors, axis=0)


def _own_error(scores: Network, delays: int) -> float:
    """Relative squared error of the newest state, of the least squares fit to all transitions."""
    rows, width = trials.rows(scores, delays), trials.units(scores)
    before, after = rows.flat[rows.before], rows.flat[rows.after][:, :width]
    gram, cross = before.T @ before, before.T @ after
    fit = np.linalg.lstsq(gram, cross, rcond=NULL**2)[0]
    square = np.vdot(after, after)
    return float(relative_error(square + np.vdot(fit, gram @ fit - 2 * cross), square))


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
    cross-validation over trials, averaged over networks. The error in sample
    (`reconstruction_errors`) would select the longest embedding, or one near it.

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


@fixed_draws()
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
    _require_trials(given)
    scores = reduce_states(given, variance, components).scores
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
        check_delays(name, delays, given)
    return candidates


def check_candidates(name: str, candidates: Sequence[int], given: dict[str, Network]) -> None:
    """Raises `ValueError` unless the trials allow all numbers of delays, and a choice of them."""
    if len(_checked_candidates(name, candidates, given)) > 1:
        _require_trials(given)


def _require_trials(given: dict[str, Network]) -> None:
    for which, network in given.items():
        if trials.trial_count(network) < 2:
            where = where_text(given, which)
            raise ValueError(
                "states: expected at least 2 trials, since several numbers of delays are compared "
                f"on trials held out, got 1{where}; give one number of delays"
            )


def _check_held_out(name: str, scores: Network, longest: int, folds: list[np.ndarray]) -> None:
    """Raises if the trials outside some fold have too few transitions."""
    held = max(trials.transitions(trials.taken(scores, fold), longest) for fold in folds)
    kept = trials.transitions(scores, longest) - held
    _check_transitions(name, scores, longest, kept, " outside the held-out trials")


def _check_transitions(
    name: str, scores: Network, longest: int, found: int, where: str = ""
) -> None:
    """Raises if there are too few transitions for the longest embedding."""
    width = trials.units(scores)
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
    """The candidate with the lowest `delay_errors`: one number for the whole population.

    A single candidate that the trials allow is returned as it is, without a fit; one trial is then
    enough.
    """
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
    if len(candidates) == 1:  # nothing to compare
        given = trials.networks("states", *trials.unnamed("states", states), least=1)
        arrays.random_key("key", key)
        return int(_checked_candidates(name, candidates, given)[0])
    errors = _delay_errors(name, states, candidates, key, variance, components)
    return int(candidates[int(np.argmin(errors))])
