"""Degeneracy of a population at four levels, from its networks to labelled distances.

Behavior: the loss on stretched trials. Dynamics: dynamical similarity analysis. Weights: the
permutation-invariant distance. Representation: SVCCA and CKA. Beside each stands what keeps it
honest: the chart of dynamical distances over components and delays, the distance of eigenvalues,
weights relative to their norms and to those of untrained networks, and the stretched loss less
that of the task itself.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
import xarray as xr

from rnnjax.analysis.estimates import Estimate, Statistic, Trend, estimate, factor_trend
from rnnjax.analysis.populations import measure_population
from rnnjax.metrics import dsa, features, shape, svcca, weights
from rnnjax.metrics.base import Solved
from rnnjax.population import Population
from rnnjax.training import Status
from rnnjax.typing import Key
from rnnjax.validate import fraction, instance_of, one_of, positive_integer

__all__ = [
    "MEASURES",
    "Comparison",
    "Measure",
    "chart_trends",
    "degeneracy",
    "embedding",
    "matched",
    "measure_estimate",
    "measure_trend",
]


class Measure(NamedTuple):
    """A number that a condition has: a statistic of a variable of `degeneracy`'s dataset."""

    level: str
    """`dynamics`, `weights`, `behavior`, `representation` or `features`."""
    statistic: Statistic
    variable: str
    title: str


MEASURES: dict[str, Measure] = {
    "dsa": Measure("dynamics", "pairs", "dsa", "DSA, angular"),
    "dsa_raw": Measure("dynamics", "pairs", "dsa_raw", "DSA, raw"),
    "dsa_chord": Measure("dynamics", "pairs", "dsa_chord", "DSA, chord"),
    "dsa_lower_bound": Measure("dynamics", "pairs", "dsa_lower_bound", "DSA, lower bound"),
    "eigenvalues": Measure("dynamics", "pairs", "eigenvalues", "eigenvalue distance"),
    "pif": Measure("weights", "pairs", "pif", "PIF"),
    "pif_per_parameter": Measure("weights", "pairs", "pif_per_parameter", "PIF per parameter"),
    "pif_relative": Measure("weights", "pairs", "pif_relative", "PIF over mean norm"),
    "pif_untrained": Measure("weights", "pairs", "pif_untrained", "PIF over norm, untrained"),
    "pif_gain": Measure("weights", "pairs", "pif_gain", "PIF over norm, less untrained"),
    "pif_lower_bound": Measure("weights", "pairs", "pif_lower_bound", "PIF, lower bound"),
    "ood_spread": Measure("behavior", "spread", "ood_loss", "sd of stretched loss"),
    "ood_mean": Measure("behavior", "mean", "ood_loss", "mean stretched loss"),
    "excess_spread": Measure("behavior", "spread", "ood_excess", "sd of stretched less own loss"),
    "loss_spread": Measure("behavior", "spread", "loss", "sd of own loss"),
    "svcca": Measure("representation", "pairs", "svcca", "SVCCA distance"),
    "cka": Measure("representation", "pairs", "cka", "CKA distance"),
    "weight_change": Measure("features", "mean", "weight_change", "weight change"),
    "kernel_alignment": Measure("features", "mean", "kernel_alignment", "kernel alignment"),
    "recurrent_kernel_alignment": Measure(
        "features", "mean", "recurrent_kernel_alignment", "kernel alignment, recurrent"
    ),
    "representation_alignment": Measure(
        "features", "mean", "representation_alignment", "representation alignment"
    ),
    "effective_rank": Measure("features", "mean", "effective_rank", "effective rank"),
    "near_zero_share": Measure("features", "mean", "near_zero_share", "share of near-zero weights"),
    "loss": Measure("behavior", "mean", "loss", "mean loss"),
    "held_out_loss": Measure("features", "mean", "held_out_loss", "held-out loss"),
}
"""What conditions are compared by."""


class Comparison(NamedTuple):
    """Conditions that differ in one setting, in its order, as `degeneracy` describes them."""

    name: str
    """A file name's stem, such as `flip_flop_bits`."""
    title: str
    """For a reader, such as `Flip flop`."""
    setting: str
    """What differs, such as `bits`."""
    levels: tuple[str, ...]
    """Its values, as labels."""
    data: tuple[xr.Dataset, ...]


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


def _values(dataset: xr.Dataset, measure: Measure) -> np.ndarray:
    """What a measure is a statistic of; networks that did not converge are NaN.

    So is every network where a population has no such measure, as a cell without recurrent weights.
    """
    if measure.variable not in dataset:
        dims = ("seed", "other") if measure.statistic == "pairs" else ("seed",)
        return np.full([dataset.sizes[name] for name in dims], np.nan)
    values = dataset[measure.variable]
    if measure.statistic != "pairs":
        values = values.where(dataset["status"] == Status.CONVERGED)
    return values.values


def measure_estimate(dataset: xr.Dataset, measure: str) -> Estimate:
    """A measure of one condition with its jackknife error; raises `ValueError` if unknown."""
    chosen = MEASURES[one_of("measure", measure, MEASURES)]
    return estimate(chosen.statistic, _values(dataset, chosen))


def measure_trend(datasets: Sequence[xr.Dataset], measure: str, **options: Any) -> Trend:
    """A measure over the conditions of a factor, in order; see `factor_trend` for `options`."""
    chosen = MEASURES[one_of("measure", measure, MEASURES)]
    return factor_trend(chosen.statistic, [_values(d, chosen) for d in datasets], **options)


def chart_trends(
    datasets: Sequence[xr.Dataset], variable: str = "dsa_chart", *, draws: int = 999
) -> xr.Dataset:
    """The trend of dynamical distances at every number of components and delays.

    Args:
        datasets: of the conditions of a factor, in order.
        variable: `dsa_chart` or `eigenvalue_chart`.
        draws: random permutations at every place.

    Returns:
        `relative` slope, `p` and `verdict` over `component` and `delay`, and `value` over `level`
        too; places that a condition lacks are NaN and have the verdict `left out`.
    """
    one_of("variable", variable, ("dsa_chart", "eigenvalue_chart"))
    first = datasets[0]
    axes = ("component", "delay")
    for other in datasets[1:]:
        if any(not first[name].equals(other[name]) for name in axes):
            raise ValueError("datasets: expected charts over the same components and delays")
    shape = tuple(first.sizes[name] for name in axes)
    relative, p = np.full(shape, np.nan), np.full(shape, np.nan)
    verdict = np.full(shape, "left out", dtype="<U16")
    value = np.full((*shape, len(datasets)), np.nan)
    for place in np.ndindex(*shape):
        here = [d[variable].values[place] for d in datasets]
        value[place] = [
            estimate("pairs", x).value if np.isfinite(x).any() else np.nan for x in here
        ]
        if np.isfinite(value[place]).all():
            trend = factor_trend("pairs", here, draws=draws)
            relative[place], p[place], verdict[place] = trend.relative, trend.p, trend.verdict
    variables: dict[str, tuple[tuple[str, ...], np.ndarray]] = {
        "relative": (axes, relative),
        "p": (axes, p),
        "verdict": (axes, verdict),
        "value": ((*axes, "level"), value),
    }
    return xr.Dataset(variables, {name: first[name].values for name in axes})


def embedding(distances: np.ndarray, *, seed: int = 0) -> np.ndarray:
    """Places of networks in a plane whose distances are as near as may be to theirs, [S', 2].

    Metric multidimensional scaling (scikit-learn's SMACOF, the best of 16 starts), centered, of
    the networks that are there; in the unit of the distances.

    Args:
        distances: [S, S], NaN for networks left out.
        seed: of the starts.

    Raises:
        ValueError: another shape, or fewer than two networks.
    """
    from sklearn.manifold import smacof  # takes as long to import as JAX

    given = np.asarray(distances, float)
    if given.ndim != 2 or given.shape[0] != given.shape[1]:
        raise ValueError(f"distances: expected shape [S, S], got {given.shape}")
    there = np.flatnonzero(np.isfinite(np.diag(given)))
    if len(there) < 2:
        raise ValueError(f"distances: expected at least 2 networks, got {len(there)}")
    known = given[np.ix_(there, there)]
    unit = known.max() or 1.0  # the solver's tolerance is absolute
    places = np.asarray(smacof(known / unit, n_components=2, n_init=16, random_state=seed)[0])
    return unit * (places - places.mean(0))


def matched(datasets: Sequence[xr.Dataset]) -> list[xr.Dataset]:
    """The same conditions, of those networks alone whose losses all conditions have.

    Losses on the task, on trials that networks share, from the largest of the conditions' lowest
    to the smallest of their highest. A condition may keep none; one in which none converged has
    no say. What is kept need not have equal means: compare `held_out_loss` or `loss` too.
    """
    converged = [d["loss"].where(d["status"] == Status.CONVERGED) for d in datasets]
    some = [loss for loss in converged if loss.notnull().any()]
    low = max((float(loss.min()) for loss in some), default=np.nan)
    high = min((float(loss.max()) for loss in some), default=np.nan)
    kept = []
    for dataset, loss in zip(datasets, converged, strict=True):
        rows = np.flatnonzero(((loss >= low) & (loss <= high)).values)
        kept.append(dataset.isel(seed=rows, other=rows))
    return kept
