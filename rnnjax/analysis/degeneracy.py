"""Degeneracy of a population in four aspects, from its networks to labelled distances.

Behavior: the loss on stretched trials. Dynamics: dynamical similarity analysis. Weights: the
permutation-invariant distance. Representation: SVCCA, CKA and Procrustes. Further
numbers qualify them: the chart of dynamical distances over components and delays, the distance of
eigenvalues, weights relative to their norms and to those of untrained networks, and the stretched
loss less that of the task itself.
"""

import hashlib
import threading
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
import xarray as xr

from rnnjax.analysis.measures import MEASURES
from rnnjax.analysis.networks import measure_population
from rnnjax.analysis.options import DegeneracyOptions
from rnnjax.arrays import random_key
from rnnjax.devices import fixed_draws
from rnnjax.metrics import METRICS, dsa, features, weights
from rnnjax.metrics.base import Solved, SolverOptions
from rnnjax.metrics.pairwise import BatchCallback
from rnnjax.numerics.blas import one_blas_thread
from rnnjax.population import Activity, Population
from rnnjax.training import Status
from rnnjax.typing import Float, Key, KeyLike
from rnnjax.validate import flag, instance_of

__all__ = [
    "STAGES",
    "Compared",
    "Found",
    "chart_distances",
    "degeneracy",
    "dynamics_distances",
    "moving_activity",
    "registered_distances",
    "weight_distances",
]

_STREAM = 0x0DE6  # folded into `key`: networks of the same seed were trained with other streams


class Compared(NamedTuple):
    """Arguments of the stages: the converged networks of a population, and their trials."""

    population: Population
    activity: Activity
    """Activity on the trials whose steps are samples."""
    states: Float[np.ndarray, "S B T N"]
    """Rates, or states, on the trials of the dynamical distances."""
    key: Key
    """Draws the starts of the solvers."""
    options: DegeneracyOptions
    solver: SolverOptions


class Found(NamedTuple):
    """Result of a stage."""

    values: dict[str, np.ndarray]
    """Distances [..., S, S] by variable."""
    attributes: dict[str, dict[str, Any]] = {}  # noqa: RUF012 - never changed
    """Attributes by variable."""


def weight_distances(given: Compared) -> Found:
    """Permutation-invariant distances: raw, per parameter, relative, and of untrained networks."""
    population = given.population
    trained = population.connectivity("trained")
    result = weights.compare_weights(trained, key=given.key, solver=given.solver)
    untrained = population.connectivity("initial")
    before = _compare_untrained(untrained, given)
    relative = weights.relative_distances(result.distance, trained)
    baseline = weights.relative_distances(before.distance, untrained)
    values = {
        "pif": result.distance,
        "pif_per_parameter": weights.distances_per_parameter(result.distance, trained),
        "pif_lower_bound": result.lower_bound,
        "pif_relative": relative,
        "pif_untrained": baseline,
        "pif_gain": relative - baseline,
    }
    trained_pairs = _certainty(result.distance, result.lower_bound, result.status)
    untrained_pairs = _certainty(before.distance, before.lower_bound, before.status)
    scaled = dict.fromkeys(("pif", "pif_per_parameter", "pif_relative"), trained_pairs)
    return Found(values, {**scaled, "pif_untrained": untrained_pairs})


_KEPT = 4
"""Results of `_compare_untrained` that are kept: those of a few widths and rules."""
_UNTRAINED: dict[str, weights.PIFResult] = {}
"""The latest of them."""
_SOLVING = threading.Lock()
"""Held while one thread solves them, so that others wait for its result."""


def _compare_untrained(untrained: np.ndarray, given: Compared) -> weights.PIFResult:
    """`compare_weights` of initial weights, solved once for conditions that share them."""
    key, solver = np.asarray(jax.random.key_data(given.key)), given.solver
    settings = solver.starts, solver.steps, solver.workers is None
    parts = untrained.dtype.str, untrained.shape, key.tolist(), settings
    name = hashlib.sha256(repr(parts).encode() + untrained.tobytes()).hexdigest()
    with _SOLVING:
        if name not in _UNTRAINED:
            while len(_UNTRAINED) >= _KEPT:
                del _UNTRAINED[next(iter(_UNTRAINED))]
            _UNTRAINED[name] = weights.compare_weights(untrained, key=given.key, solver=solver)
        return _UNTRAINED[name]


def _certainty(value: np.ndarray, bound: np.ndarray, status: np.ndarray) -> dict[str, float]:
    """Mean relative distance of the pairs from their bounds, and the share that is unsettled."""
    pairs = np.triu_indices(len(value), 1)
    above = (value - bound)[pairs] / np.where(value > 0, value, 1.0)[pairs]
    return {
        "above_bound": float(above.mean()),
        "unsettled": float((status != Solved.CONVERGED)[pairs].mean()),
    }


def dynamics_distances(given: Compared) -> Found:
    """Dynamical distances with components by variance and delays by the chosen error."""
    states, key, options = given.states, given.key, given.options
    wanted = dsa.fit_operators(states, variance=options.variance).shared
    kept = min(wanted, options.order)
    allowed = _longest_delay(states.shape, kept, options)
    chosen = 1
    if allowed > 1:
        tried = range(1, allowed + 1)
        if options.lag == "held_out":
            chosen = dsa.choose_delays(states, candidates=tried, key=key, components=kept)
        else:
            errors = dsa.reconstruction_errors(states, candidates=tried, components=kept)
            chosen = int(tried[np.argmin(errors)])
    fitted = dsa.fit_operators(states, delays=chosen, components=kept)
    result = dsa.compare_operators(fitted.matrix, key=key, solver=given.solver)
    values = {
        "dsa": result.angular,
        "dsa_raw": result.raw,
        "dsa_chord": result.chord,
        "dsa_lower_bound": result.lower_bound,
        "eigenvalues": dsa.spectral_distances(fitted.eigenvalues),
    }
    chord_bound = 2 * np.sin(result.lower_bound / 2)
    certainty = _certainty(result.angular, result.lower_bound, result.status)
    others = {
        "dsa_raw": _certainty(result.raw, result.raw_lower_bound, result.status),
        "dsa_chord": _certainty(result.chord, chord_bound, result.status),
    }
    taken = {"components": kept, "delays": chosen, "wanted_components": wanted}
    return Found(values, {"dsa": {**taken, "longest_tried": allowed, **certainty}, **others})


def _longest_delay(shape: tuple[int, ...], components: int, options: DegeneracyOptions) -> int:
    """The longest delay that the order and the data [S, B, T, N] allow, at least 1."""
    _, trials, steps, _ = shape
    fitted = trials - -(-trials // 5) if options.lag == "held_out" else trials
    allowed = min(options.longest_delay, options.order // components, steps - 2)
    while allowed > 1 and fitted * (steps - allowed) <= allowed * components:
        allowed -= 1
    return max(allowed, 1)


def chart_distances(given: Compared) -> Found:
    """Angular and eigenvalue distances [components, delays, S, S] at every place of the chart."""
    options = given.options
    networks, trials, steps, units = given.states.shape
    shape = (len(options.components), len(options.delays), networks, networks)
    charts = {name: np.full(shape, np.nan) for name in ("dsa_chart", "eigenvalue_chart")}
    solved = []
    within = [k for k in options.components if k <= units]
    scores = dsa.principal_scores(given.states, max(within)) if within else given.states
    for i, kept in enumerate(options.components):
        for j, delays in enumerate(options.delays):
            size = kept * delays
            fits = kept <= units and delays < steps and trials * (steps - delays) > size
            if size > options.order or not fits:
                continue
            fitted = dsa.fit_operators(scores[..., :kept], delays=delays, variance=None)
            found = dsa.compare_operators(fitted.matrix, key=given.key, solver=given.solver)
            charts["dsa_chart"][i, j] = found.angular
            solved.append(_certainty(found.angular, found.lower_bound, found.status))
            charts["eigenvalue_chart"][i, j] = dsa.spectral_distances(fitted.eigenvalues)
    known = {name: float(np.mean([one[name] for one in solved] or np.nan)) for name in _CERTAINTY}
    return Found(charts, {"dsa_chart": known})


def registered_distances(given: Compared) -> Found:
    """Distances by every entry of `METRICS` that has no stage of its own."""
    arrays = {
        "activities": lambda: given.activity.rates,
        "trajectories": lambda: given.states,
        "weights": lambda: given.population.connectivity("trained"),
    }
    values = {}
    for metric in METRICS.values():
        if metric.name not in ("dsa", "pif"):
            shared = {name: getattr(given.options, name) for name in metric.options}
            values[metric.name] = metric.distances(arrays[metric.takes](), key=given.key, **shared)
    return Found(values)


STAGES: dict[str, Callable[[Compared], Found]] = {
    "weights": weight_distances,
    "registered": registered_distances,
    "dynamics": dynamics_distances,
    "charts": chart_distances,
}
"""Stages of `degeneracy`, in order."""

_CHARTS = ("dsa_chart", "eigenvalue_chart")

_CERTAINTY = ("above_bound", "unsettled")
_SOLVED = (
    "dsa", "dsa_raw", "dsa_chord", "dsa_chart",
    "pif", "pif_per_parameter", "pif_relative", "pif_untrained",
)  # fmt: skip
"""Variables that a solver found, which have those attributes."""

_EMPTY: dict[str, dict[str, float]] = {
    **{name: dict.fromkeys(_CERTAINTY, np.nan) for name in _SOLVED},
    "dsa": {
        **dict.fromkeys(("components", "delays", "wanted_components", "longest_tried"), 0),
        **dict.fromkeys(_CERTAINTY, np.nan),
    },
}
"""Attributes where fewer than two networks converged."""


@fixed_draws()
@one_blas_thread()
def degeneracy(
    population: Population,
    key: KeyLike,
    options: DegeneracyOptions | None = None,
    *,
    allow_few: bool = False,
    executor: Any = None,
    progress: BatchCallback | None = None,
) -> xr.Dataset:
    """Distances between the converged networks of a population, and measures of each.

    Dynamical distances keep as many principal components for all networks as any of them needs for
    `variance` of its activity, and the delays with the lowest error (`DegeneracyOptions.lag`).

    Args:
        population: networks of one condition, of a cell with a connectivity matrix.
        key: draws trials and solvers' starts; use one for all conditions of a task.
        options: sizes and bounds.
        allow_few: whether fewer than two converged networks give distances of NaN, not an error.
        executor: its workers compare operators and weights; distances then agree to rounding.
        progress: called after every batch of pairs of a comparison, as `progress(done, pairs)`.

    Returns:
        A dataset over `seed` with the variables of `measure_population` and
        `representation_alignment`; over `seed` and `other` the distances of `METRICS` and
        `dsa_raw`, `dsa_chord`, `dsa_lower_bound`, `eigenvalues`, `pif_per_parameter`,
        `pif_relative`, `pif_untrained` (relative, of the initial weights), `pif_gain` (the
        difference of these), `pif_lower_bound`; over `component` and `delay` too `dsa_chart`
        (angular) and `eigenvalue_chart`, NaN where the order is too large or there are fewer units
        or time steps than the place needs. Distances to networks that did not converge are NaN; the
        attribute `left_out` names them. `dsa` has the attributes `components`, `delays`,
        `wanted_components` and `longest_tried` (before and within the bound). What a solver found
        (not bounds, nor `pif_gain`) has `above_bound` (relative distance from the lower bounds,
        mean over pairs) and `unsettled` (share of pairs whose solver stopped early).

    Raises:
        ValueError: fewer than two converged networks, a task without a stretched variant, a cell
            without a connectivity matrix, or trials that do not fit into memory.
    """
    instance_of("population", population, Population)
    converged = population.results["status"].values == Status.CONVERGED
    if not flag("allow_few", allow_few):
        _require_several(population, converged)
    options = DegeneracyOptions() if options is None else options
    instance_of("options", options, DegeneracyOptions)
    key = random_key("key", key)
    measured, sampled, moving, solving = jax.random.split(jax.random.fold_in(key, _STREAM), 4)
    found = _measured(population, measured, options)
    if not converged.any():
        return _without_distances(found)
    some = population.where(converged)
    activity = some.trajectories(sampled, options.samples)
    if converged.sum() < 2:
        found = _without_distances(found)
    else:
        states = moving_activity(some, moving, options)
        solver = SolverOptions(workers=executor, progress=progress)
        _add_distances(found, Compared(some, activity, states, solving, options, solver), converged)
    before = some.trajectories(sampled, options.samples, when="initial")
    return _with_alignments(found, before.rates, activity.rates, converged)


def moving_activity(
    population: Population, key: KeyLike, options: DegeneracyOptions
) -> Float[np.ndarray, "S B T N"]:
    """Rates, or states, of all networks on the trials of the dynamical distances.

    Raises `ValueError` for states that are not one number per unit.
    """
    if options.activity == "rates":
        return population.trajectories(key, options.dsa_trials).rates
    states = population.states(key, options.dsa_trials)
    if states.ndim != 4:
        raise ValueError(
            f"activity: expected 'rates' for {population.cell.name!r}, whose states have shape "
            f"{states.shape[3:]}, got 'states'"
        )
    return states


def _measured(population: Population, key: Key, options: DegeneracyOptions) -> xr.Dataset:
    """Measures of every network, with the coordinates of the distances."""
    found = measure_population(
        population, key, stretch=options.stretch, trials=options.trials,
        probe_trials=options.probe_trials, probe_times=options.probe_times,
    )  # fmt: skip
    found.attrs["left_out"] = ", ".join(
        f"seed {s}: {e.name}" for s, e in population.left_out.items()
    )
    return found.assign_coords(
        other=("other", population.seeds),
        component=list(options.components), delay=list(options.delays),
    )  # fmt: skip


def _require_several(population: Population, converged: np.ndarray) -> None:
    if converged.sum() < 2:
        raise ValueError(
            f"population: expected at least two networks that met their stopping rule, got "
            f"{converged.sum()}: {population!r}"
        )


def _with_alignments(
    found: xr.Dataset, before: np.ndarray, after: np.ndarray, converged: np.ndarray
) -> xr.Dataset:
    """The dataset with how alike representations before and after training are; NaN where a
    network did not converge."""
    aligned = np.full(len(converged), np.nan)
    pairs = zip(before, after, strict=True)
    aligned[converged] = [features.representation_alignment(*pair) for pair in pairs]
    return found.assign(representation_alignment=("seed", aligned))


def _add_distances(dataset: xr.Dataset, given: Compared, converged: np.ndarray) -> None:
    """Adds the results of all stages."""
    for stage in STAGES.values():
        _add(dataset, stage(given), converged)


def _add(dataset: xr.Dataset, found: Found, converged: np.ndarray) -> None:
    """Adds the result of a stage, NaN for networks that did not converge."""
    rows = np.flatnonzero(converged)
    for name, values in found.values.items():
        full = np.full((*values.shape[:-2], len(converged), len(converged)), np.nan)
        full[..., rows[:, None], rows[None, :]] = values
        leading = ("component", "delay") if name in _CHARTS else ()
        dataset[name] = ((*leading, "seed", "other"), full)
    for name, attributes in found.attributes.items():
        dataset[name].attrs |= attributes


def _without_distances(found: xr.Dataset) -> xr.Dataset:
    """The dataset of a condition in which fewer than two networks converged."""
    none = xr.full_like(found["loss"].expand_dims(other=found["other"]), np.nan)
    chart = none.expand_dims(component=found["component"], delay=found["delay"])
    for measure in MEASURES.values():
        if measure.statistic == "pairs":
            found[measure.variable] = none.transpose("seed", "other")
    for name in _CHARTS:
        found[name] = chart.transpose("component", "delay", "seed", "other")
    found["representation_alignment"] = xr.full_like(found["loss"], np.nan)
    for name, attributes in _EMPTY.items():
        found[name].attrs |= attributes
    return found
