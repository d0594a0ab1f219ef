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
from rnnjax.population import Population
from rnnjax.training import Status
from rnnjax.typing import Key
from rnnjax.validate import instance_of, one_of, positive_integer

__all__ = [
    "MEASURES",
    "Comparison",
    "Measure",
    "chart_trends",
    "degeneracy",
    "embedding",
    "level_estimate",
    "level_trends",
    "matched",
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
    "eigenvalues": Measure("dynamics", "pairs", "eigenvalues", "eigenvalue distance"),
    "pif": Measure("weights", "pairs", "pif", "PIF"),
    "pif_per_parameter": Measure("weights", "pairs", "pif_per_parameter", "PIF per parameter"),
    "pif_relative": Measure("weights", "pairs", "pif_relative", "PIF over mean norm"),
    "pif_untrained": Measure("weights", "pairs", "pif_untrained", "PIF over norm, untrained"),
    "pif_gain": Measure("weights", "pairs", "pif_gain", "PIF over norm, less untrained"),
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
    "held_out_loss": Measure("features", "mean", "held_out_loss", "held-out loss"),
}
"""What conditions are compared by; the first of a level is the paper's."""


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
        converge are NaN, these networks are named in the attribute `left_out`; `dsa` has the
        attributes `components`, `delays` and `wanted_components` (before the bound).

    Raises:
        ValueError: numbers out of range, a task without a stretched variant, a cell without a
            connectivity matrix, or trials that do not fit into memory.
    """
    instance_of("population", population, Population)
    for name, value in (("samples", samples), ("dsa_trials", dsa_trials), ("order", order)):
        positive_integer(name, value)
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
    per_pair = {
        **_weights(some, solving),
        "svcca": svcca.svcca_distances(known.rates, variance=variance),
        "cka": shape.cka_distances(known.rates),
    }
    states = some.trajectories(moving, dsa_trials).rates
    dynamics, about = _dynamics(states, solving, variance, longest_delay, order)
    per_pair |= dynamics
    for name, values in per_pair.items():
        found[name] = (("seed", "other"), _spread_out(values, good))
    found["dsa"].attrs |= about
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
    found["dsa"].attrs |= {"components": 0, "delays": 0, "wanted_components": 0}
    return found


def _spread_out(values: np.ndarray, good: np.ndarray) -> np.ndarray:
    """Values [..., S', S'] of the networks where `good`, among all: [..., S, S]."""
    full = np.full((*values.shape[:-2], len(good), len(good)), np.nan)
    rows = np.flatnonzero(good)
    full[..., rows[:, None], rows[None, :]] = values
    return full


def _weights(some: Population, key: Key) -> dict[str, np.ndarray]:
    found = {}
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
        else:
            found["pif_untrained"] = relative
    found["pif_gain"] = found["pif_relative"] - found["pif_untrained"]
    return found


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
    return distances, {"components": kept, "delays": chosen, "wanted_components": wanted}


def _charts(
    states: np.ndarray, key: Key, order: int, places: Mapping[str, Sequence[int]]
) -> dict[str, np.ndarray]:
    """Angular and eigenvalue distances [components, delays, S, S]."""
    networks, trials, steps, units = states.shape
    shape = (*(len(values) for values in places.values()), networks, networks)
    charts = {name: np.full(shape, np.nan) for name in ("dsa_chart", "eigenvalue_chart")}
    within = [k for k in places["component"] if positive_integer("components", k) <= units]
    scores = dsa.principal_scores(states, max(within)) if within else states
    for i, kept in enumerate(places["component"]):
        for j, delays in enumerate(places["delay"]):
            size = kept * positive_integer("delays", delays)
            fits = kept <= units and delays < steps and trials * (steps - delays) > size
            if size > order or not fits:
                continue
            fitted = dsa.fit_operators(scores[..., :kept], delays=delays, variance=None)
            charts["dsa_chart"][i, j] = dsa.compare_operators(fitted.matrix, key=key).angular
            charts["eigenvalue_chart"][i, j] = dsa.spectral_distances(fitted.eigenvalues)
    return charts


def _values(dataset: xr.Dataset, measure: Measure) -> np.ndarray:
    """What a measure is a statistic of; networks that did not converge are NaN."""
    values = dataset[measure.variable]
    if measure.statistic != "pairs":
        values = values.where(dataset["status"] == Status.CONVERGED)
    return values.values


def level_estimate(dataset: xr.Dataset, measure: str) -> Estimate:
    """A measure of one condition with its jackknife error; raises `ValueError` if unknown."""
    chosen = MEASURES[one_of("measure", measure, MEASURES)]
    return estimate(chosen.statistic, _values(dataset, chosen))


def level_trends(datasets: Sequence[xr.Dataset], measure: str, **options: Any) -> Trend:
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
    the networks that are there.

    Args:
        distances: [S, S], NaN for networks left out; in the unit of the places.
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
    """The same conditions, of networks only whose held-out losses all conditions have.

    That is the interval from the largest of the conditions' lowest losses to the smallest of their
    highest; the others count as left out. A condition may keep none.
    """
    converged = [d["held_out_loss"].where(d["status"] == Status.CONVERGED) for d in datasets]
    low = max(float(loss.min()) for loss in converged)
    high = min(float(loss.max()) for loss in converged)
    kept = []
    for dataset, loss in zip(datasets, converged, strict=True):
        inside = (loss >= low) & (loss <= high)
        both = inside & inside.rename(seed="other")
        part = dataset.copy()
        for name, values in dataset.data_vars.items():
            if "other" in values.dims:
                part[name] = values.where(both)
        part["status"] = dataset["status"].where(inside, int(Status.EXHAUSTED))
        kept.append(part)
    return kept
