"""Degeneracy of a population at four levels, from its networks to labelled distances.

Behavior: the loss on stretched trials. Dynamics: dynamical similarity analysis. Weights: the
permutation-invariant distance. Representation: SVCCA and CKA. Beside each stands what keeps it
honest: the chart of dynamical distances over components and delays, the distance of eigenvalues,
weights relative to their norms and to those of untrained networks, and the stretched loss less
that of the task itself.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
import xarray as xr

from rnnjax.analysis.populations import measure_population
from rnnjax.metrics import dsa, features, shape, svcca, weights
from rnnjax.metrics.base import Solved
from rnnjax.population import Population
from rnnjax.training import Status
from rnnjax.typing import Key
from rnnjax.validate import fraction, instance_of, positive_integer

__all__ = ["degeneracy"]


def degeneracy(
    population: Population,
    key: Key,
    *,
    stretch: float = 2.0,
    trials: int = 256,
    probe_trials: int = 16,
    probe_times: int = 5,
    samples: int = 16,
    dsa_trials: int = 64,
    variance: float = 0.99,
    longest_delay: int = 30,
    order: int = 60,
    components: Sequence[int] = (2, 4, 8, 12, 16, 20),
    delays: Sequence[int] = (1, 2, 3, 5),
) -> xr.Dataset:
    """Distances between the converged networks of a population, and measures of each.

    Dynamical distances follow the paper: principal components for `variance` of every network's
    activity, as many for all as any of them needs; the number of delays with the lowest held-out
    error. Components x delays, the order of the operators, stay within `order`.

    Args:
        population: networks of one condition, of a cell with a connectivity matrix.
        key: decides trials and solvers' starts; take one for all conditions of a task.
        stretch, trials, probe_trials, probe_times: as in `measure_population`.
        samples: trials whose every step is a sample of SVCCA, CKA and representation alignment.
        dsa_trials: trials for the dynamical distances.
        variance: share of the variance that is kept.
        longest_delay: delays from 1 to this are tried.
        order: largest order of an operator.
        components: numbers of principal components in the chart.
        delays: numbers of delays in the chart.

    Returns:
        A dataset over `seed` with the variables of `measure_population` and
        `representation_alignment`; over `seed` and `other` the distances `dsa` (angular),
        `dsa_raw`, `dsa_chord`, `dsa_lower_bound`, `eigenvalues`, `pif`, `pif_per_parameter`,
        `pif_relative`, `pif_untrained` (relative, of the initial weights), `pif_gain` (the
        difference of these), `pif_lower_bound`, `svcca`, `cka`; over `component` and `delay` too
        `dsa_chart` (angular) and `eigenvalue_chart`, NaN where the order is too large or there
        are fewer units or time steps than the place needs. Distances to networks that did not
        converge are NaN, these networks are named in the attribute `left_out`. `dsa` has the
        attributes `components`, `delays`, `wanted_components` (before the bound) and
        `longest_tried` (the most delays within it); `dsa` and `pif` have `above_bound` (how far
        values lie above their lower bounds, over the values, mean over pairs) and `unsettled` (the
        share of pairs whose solver did not end at a stationary point).

    Raises:
        ValueError: numbers out of range, a task without a stretched variant, a cell without a
            connectivity matrix, or trials that do not fit into memory.
    """
    instance_of("population", population, Population)
    counts = {
        "samples": samples, "dsa_trials": dsa_trials, "order": order,
        "longest_delay": longest_delay, "probe_trials": probe_trials, "probe_times": probe_times,
    }  # fmt: skip
    for name, value in counts.items():
        positive_integer(name, value)
    fraction("variance", variance, open_below=True)
    for name, values in (("components", components), ("delays", delays)):
        if not len(values):
            raise ValueError(f"{name}: expected at least one number, got none")
        for value in values:
            positive_integer(name, value)
    # Not one of the streams that the networks of this seed were trained with.
    key = jax.random.fold_in(key, _STREAM)
    measured, on_task, moving, solving = jax.random.split(key, 4)
    found = measure_population(
        population, measured, stretch=stretch, trials=trials, probe_trials=probe_trials,
        probe_times=probe_times,
    )  # fmt: skip
    good = population.results["status"].values == Status.CONVERGED
    ended = {seed: status.name for seed, status in population.left_out.items()}
    found.attrs["left_out"] = ", ".join(f"seed {s}: {name}" for s, name in ended.items())
    found = found.assign_coords(other=("other", population.seeds))
    places = {"component": list(components), "delay": list(delays)}
    found = found.assign_coords(places)
    if good.sum() < 2:
        return _without_distances(found)
    some = population.where(good)
    known = some.trajectories(on_task, samples)
    per_pair, matching = _weights(some, solving)
    per_pair |= {
        "svcca": svcca.svcca_distances(known.rates, variance=variance),
        "cka": shape.cka_distances(known.rates),
    }
    states = some.trajectories(moving, dsa_trials).rates
    dynamics, about = _dynamics(states, solving, variance, longest_delay, order)
    per_pair |= dynamics
    for name, values in per_pair.items():
        found[name] = (("seed", "other"), _spread_out(values, good))
    found["dsa"].attrs |= about
    found["pif"].attrs |= matching
    charts = _charts(states, solving, order, places)
    for name, chart in charts.items():
        found[name] = (("component", "delay", "seed", "other"), _spread_out(chart, good))
    before = some.trajectories(on_task, samples, when="initial").rates
    aligned = np.full(len(population), np.nan)
    aligned[good] = [
        features.representation_alignment(h0, h1)
        for h0, h1 in zip(before, known.rates, strict=True)
    ]
    found["representation_alignment"] = ("seed", aligned)
    return found


_STREAM = 0x0DE6  # what `key` is folded with

_PER_PAIR = (
    "dsa", "dsa_raw", "dsa_chord", "dsa_lower_bound", "eigenvalues", "pif", "pif_per_parameter",
    "pif_relative", "pif_untrained", "pif_gain", "pif_lower_bound", "svcca", "cka",
)  # fmt: skip


def _without_distances(found: xr.Dataset) -> xr.Dataset:
    """The dataset of a condition in which fewer than two networks converged."""
    none = xr.full_like(found["loss"].expand_dims(other=found["other"]), np.nan)
    for name in _PER_PAIR:
        found[name] = none.transpose("seed", "other")
    chart = none.expand_dims(component=found["component"], delay=found["delay"])
    for name in ("dsa_chart", "eigenvalue_chart"):
        found[name] = chart.transpose("component", "delay", "seed", "other")
    found["representation_alignment"] = xr.full_like(found["loss"], np.nan)
    nothing = ("components", "delays", "wanted_components", "longest_tried")
    found["dsa"].attrs |= dict.fromkeys(nothing, 0)
    for name in ("dsa", "pif"):
        found[name].attrs |= {"above_bound": np.nan, "unsettled": np.nan}
    return found


def _spread_out(values: np.ndarray, good: np.ndarray) -> np.ndarray:
    """Values [..., S', S'] of the networks where `good`, among all: [..., S, S]."""
    full = np.full((*values.shape[:-2], len(good), len(good)), np.nan)
    rows = np.flatnonzero(good)
    full[..., rows[:, None], rows[None, :]] = values
    return full


def _weights(some: Population, key: Key) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Distances, and how sure they are."""
    found, about = {}, {}
    for when in ("trained", "initial"):
        matrices = some.connectivity(when)
        norm = np.linalg.norm(matrices.astype(float), axis=(1, 2))
        mean = (norm[:, None] + norm[None, :]) / 2
        result = weights.compare_weights(matrices, key=key)
        relative = result.distance / np.where(mean > 0, mean, 1.0)
        if when == "trained":
            found["pif"] = result.distance
            found["pif_per_parameter"] = result.distance / some.cell.hidden**2
            found["pif_lower_bound"] = result.lower_bound
            found["pif_relative"] = relative
            about = _certainty(result.distance, result.lower_bound, result.status)
        else:
            found["pif_untrained"] = relative
    found["pif_gain"] = found["pif_relative"] - found["pif_untrained"]
    return found, about


def _certainty(value: np.ndarray, bound: np.ndarray, status: np.ndarray) -> dict[str, float]:
    """Over pairs: how far values are above their bounds, and the share not known as optima."""
    pairs = np.triu_indices(len(value), 1)
    above = (value - bound)[pairs] / np.where(value > 0, value, 1.0)[pairs]
    return {
        "above_bound": float(above.mean()),
        "unsettled": float((status != Solved.CONVERGED)[pairs].mean()),
    }


def _fitting_delays(steps: int, trials: int, components: int, longest: int, order: int) -> int:
    """The longest delay that the order and the data allow, at least 1."""
    held_out = trials - -(-trials // 5)
    allowed = min(longest, order // components, steps - 2)
    while allowed > 1 and held_out * (steps - allowed) <= allowed * components:
        allowed -= 1
    return max(allowed, 1)


def _dynamics(
    states: np.ndarray, key: Key, variance: float, longest: int, order: int
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The paper's distances, and with which components and delays."""
    wanted = dsa.fit_operators(states, variance=variance).shared
    kept = min(wanted, order)
    _, trials, steps, _ = states.shape
    allowed = _fitting_delays(steps, trials, kept, longest, order)
    chosen = 1
    if allowed > 1:
        tried = range(1, allowed + 1)
        chosen = dsa.choose_delays(states, candidates=tried, key=key, components=kept)
    fitted = dsa.fit_operators(states, delays=chosen, components=kept)
    result = dsa.compare_operators(fitted.matrix, key=key)
    distances = {
        "dsa": result.angular,
        "dsa_raw": result.raw,
        "dsa_chord": result.chord,
        "dsa_lower_bound": result.lower_bound,
        "eigenvalues": dsa.spectral_distances(fitted.eigenvalues),
    }
    about = {"components": kept, "delays": chosen, "wanted_components": wanted}
    about["longest_tried"] = allowed
    return distances, about | _certainty(result.angular, result.lower_bound, result.status)


def _charts(
    states: np.ndarray, key: Key, order: int, places: Mapping[str, Sequence[int]]
) -> dict[str, np.ndarray]:
    """Angular and eigenvalue distances [components, delays, S, S]."""
    networks, trials, steps, units = states.shape
    shape = (*(len(values) for values in places.values()), networks, networks)
    charts = {name: np.full(shape, np.nan) for name in ("dsa_chart", "eigenvalue_chart")}
    within = [k for k in places["component"] if k <= units]
    scores = dsa.principal_scores(states, max(within)) if within else states
    for i, kept in enumerate(places["component"]):
        for j, delays in enumerate(places["delay"]):
            size = kept * delays
            fits = kept <= units and delays < steps and trials * (steps - delays) > size
            if size > order or not fits:
                continue
            fitted = dsa.fit_operators(scores[..., :kept], delays=delays, variance=None)
            charts["dsa_chart"][i, j] = dsa.compare_operators(fitted.matrix, key=key).angular
            charts["eigenvalue_chart"][i, j] = dsa.spectral_distances(fitted.eigenvalues)
    return charts
