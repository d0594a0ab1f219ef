"""Fingerprints of networks: what each does under a constant input, and on trials it never saw.

Two kinds of search under one constant input, from states that the network visits in its task:

* fixed and slow points with their stability (`rnnjax.dynamics.fixed_points`), also from the states
  in which runs end, so that no attractor of a run is missed;
* runs of the network on its own. One that ends moving is on a cycle if the largest line in the
  spectrum of its leading component has a period that fits twice into the time watched, and drifts
  otherwise. Runs whose orbits have one center and size count as one cycle.
"""

import functools
import hashlib
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from einops import rearrange

from rnnjax.analysis.attractors import choices
from rnnjax.arrays import random_key
from rnnjax.cells import Cell
from rnnjax.devices import batch_size, fixed_draws, padded_index, single_precision
from rnnjax.dynamics import FixedPoints, fixed_points, visited_states
from rnnjax.dynamics.search import RADIUS, state_sizes
from rnnjax.numerics.blas import one_blas_thread
from rnnjax.population import Population
from rnnjax.population.programs import draw_trials
from rnnjax.tasks import Task, VariantError
from rnnjax.typing import Array, Float, Key, KeyLike, Params
from rnnjax.validate import finite_positive, instance_of, one_of, positive_integer

__all__ = [
    "FEATURES",
    "FingerprintOptions",
    "constant_input",
    "feature_matrix",
    "fingerprints",
    "free_runs",
]

_STREAM = 0xF17E  # number that is folded into `key`

FEATURES: dict[str, str] = {
    "stable": "stable fixed points",
    "saddles": "unstable fixed points",
    "slow": "slow points",
    "memories": "different choices that the outputs make at stable points",
    "unstable_directions": "unstable directions at an unstable point, mean",
    "memory": "slowest time constant at a stable point, steps, at most 1000",
    "turning": "angle of the eigenvalue of that time constant, radians; 0 below 2 steps",
    "point_dimension": "dimension of the stable and slow points",
    "dimension": "dimension of the visited states",
    "cycles": "distinct cycles",
    "moving": "share of runs that end moving",
    "period": "period of the largest cycle, steps",
}
"""Features of a network, and what they are. 0 where there is nothing to measure.

A dimension is the participation ratio (sum of variances)^2 / sum of their squares."""

_LINEAR = {"turning": np.pi / 2, "moving": 1.0}
"""Features that are compared as they are, and the difference that counts as 1; the others, which
are counts, times and dimensions, are compared as log2(1 + value)."""

_LONGEST = 1000.0


class FingerprintOptions(NamedTuple):
    """Settings of `fingerprints`."""

    trials: int = 32
    """Trials from whose states the searches start."""
    starts: int = 128
    """Searches for points per network."""
    steps: int = 200
    """Largest number of steps of a search."""
    slow: float = 1e-8
    """Largest speed q of a slow point."""
    runs: int = 16
    """Runs under the constant input per network."""
    settle: int = 1000
    """Steps after which a run counts as settled, or as moving."""
    watch: int = 1024
    """Steps over which what still moves is watched, at least 16."""
    still: float = 1e-6
    """Largest mean square of a step, over that of the visited states, of a run that has settled."""
    probes: int = 32
    """Trials, stretched twofold, on which answers are compared."""
    inputs: str = "median"
    """The constant input: `median` over the times of 256 trials, the same for all keys, or `zero`.
    Where the input differs between trials, as the frequency of the sine wave does, it is one of
    many."""

    def checked(self) -> "FingerprintOptions":
        """The options themselves; raises `ValueError` for a number out of range."""
        for name in ("trials", "starts", "steps", "runs", "settle", "watch", "probes"):
            positive_integer(name, getattr(self, name))
        for name in ("slow", "still"):
            finite_positive(name, getattr(self, name))
        one_of("inputs", self.inputs, ("median", "zero"))
        if self.watch < 16:
            raise ValueError(f"watch: expected at least 16 steps, got {self.watch}")
        return self


@fixed_draws()
@one_blas_thread()
def fingerprints(
    population: Population, key: KeyLike, options: FingerprintOptions | None = None
) -> xr.Dataset:
    """What the networks of a population do under a constant input, and their answers out of range.

    Args:
        population: networks of one condition, such as `population.converged`.
        key: draws trials and starts; use one for all conditions of a task.
        options: sizes and tolerances.

    Returns:
        A dataset over `seed` with the features in `FEATURES`; `unfinished`, the share of searches
        that ended above `slow`; and `answers`, the outputs at the ends of `probes` trials of the
        task stretched twofold (of the task itself where it has no stretched variant, and the
        attribute `stretched` is 0), [seed, probe, output]. Attributes `option_...` have the
        options.

    Raises:
        ValueError: options out of range, or trials that do not fit into memory.
    """
    instance_of("population", population, Population)
    options = FingerprintOptions() if options is None else options
    options = instance_of("options", options, FingerprintOptions).checked()
    stream = jax.random.fold_in(random_key("key", key), _STREAM)
    drawn, chosen, probing = jax.random.split(stream, 3)
    inputs = _inputs(population.task, drawn, options.trials)
    given = constant_input(population, options)
    cell, params = population.cell, population.params
    count = max(options.starts, options.runs)
    visited = visited_states(cell, params, inputs, count=count, key=chosen)
    moving, ends = _orbits(cell, params, visited, given, options)
    starts = np.concatenate([visited[:, : options.starts], ends], axis=1)
    points = fixed_points(
        cell, params, starts, inputs=given, steps=options.steps, slow=options.slow,
        radius=RADIUS * state_sizes(visited),  # runs may end far away
    )  # fmt: skip
    rows = [
        {**_of_points(one, starts.shape[1], population, row), **features,
         "dimension": _dimension(states)}
        for row, (one, states, features) in enumerate(zip(points, visited, moving, strict=True))
    ]  # fmt: skip
    found = xr.Dataset(
        {name: ("seed", np.array([row[name] for row in rows], float)) for name in rows[0]},
        {"seed": population.seeds},
    )
    try:
        task, stretched = population.task.stretched(2), True
    except VariantError:
        task, stretched = population.task, False
    outputs = population.outputs(probing, options.probes, task=task)[:, :, -1]
    found["answers"] = (("seed", "probe", "output"), outputs)
    found.attrs |= {f"option_{name}": value for name, value in options._asdict().items()}
    found.attrs["stretched"] = int(stretched)  # files hold no truth values
    found.attrs["decision"] = population.task.decision
    asked = _inputs(task, probing, options.probes)
    found.attrs["probes"] = hashlib.sha256(asked.tobytes()).hexdigest()[:16]
    return found


def _inputs(task: Task, key: Key, count: int) -> Float[np.ndarray, "B T I"]:
    """The inputs of trials, in the precision of training."""
    with single_precision():
        return np.asarray(draw_trials(task, key, count).inputs)


@functools.partial(jax.jit, static_argnames=("cell", "settle", "watch"))
def _run(cell: Cell, params: Params, states: Array, given: Array, settle: int, watch: int) -> Array:
    """States [S, M, watch, N] after `settle` steps under a constant input."""

    def one(params: Params, state: Array) -> Array:
        drive = cell.drive(params, given[None])[0]

        def step(state, _):
            state = cell.step(params, state, drive)
            return state, state

        state = jax.lax.fori_loop(0, settle, lambda _, s: cell.step(params, s, drive), state)
        return jax.lax.scan(step, state, None, length=watch)[1]

    return jax.vmap(jax.vmap(one, (None, 0)))(params, states)


@fixed_draws()
def constant_input(population: Population, options: FingerprintOptions) -> Float[np.ndarray, " I"]:
    """The constant input of searches and runs, the same for all networks of a task."""
    if options.inputs == "zero":
        return np.zeros(population.cell.inputs, np.float32)
    return np.median(_inputs(population.task, jax.random.key(0), 256), axis=(0, 1))


def free_runs(
    cell: Cell,
    params: Params,
    states: Float[np.ndarray, "S M N"],
    given: Float[np.ndarray, " I"],
    options: FingerprintOptions,
) -> Float[np.ndarray, "S M T N"]:
    """Runs of every network under a constant input, the `watch` steps after `settle` steps.

    Args:
        cell: spec of the networks.
        params: raw weights, each leaf [S, ...].
        states: where the runs start.
        given: the constant input.
        options: their lengths.
    """
    single = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), params)
    start, drive = jnp.asarray(states, jnp.float32), jnp.asarray(given, jnp.float32)
    return np.asarray(_run(cell, single, start, drive, options.settle, options.watch))


def _orbits(
    cell: Cell,
    params: Params,
    visited: np.ndarray,
    given: np.ndarray,
    options: FingerprintOptions,
) -> tuple[list[dict[str, float]], np.ndarray]:
    """Features of the free runs of every network, and where the runs end, [S, M, N].

    A run that overflows has its start in place of its end. As many networks are run at a time as
    fit into memory.
    """
    networks, _, size = visited.shape
    starts = visited[:, : options.runs]
    fits = min(batch_size(12.0 * starts.shape[1] * options.watch * size), networks)
    features, ends = [], np.empty_like(starts)
    for begin in range(0, networks, fits):
        index = padded_index(begin, fits, networks)
        some = {name: leaf[index] for name, leaf in params.items()} if fits < networks else params
        runs = free_runs(cell, some, starts[index], given, options)
        for row, run in zip(index[: networks - begin], runs, strict=False):
            bounded = np.isfinite(run).all((1, 2))[:, None]
            ends[row] = np.where(bounded, run[:, -1], starts[row])
            features.append(_of_orbits(run, visited[row], options))
    return features, ends


def _dimension(states: np.ndarray) -> float:
    """Participation ratio of samples [M, N]; 0 of fewer than two, or of copies of one."""
    if len(states) < 2:
        return 0.0
    power = np.linalg.svd(states - states.mean(0), compute_uv=False) ** 2
    total = power.sum()
    scale = np.mean(np.sum(states**2, -1)) * len(states)
    return float(total**2 / (power**2).sum()) if total > 1e-12 * scale else 0.0


def _of_points(
    found: FixedPoints, starts: int, population: Population, row: int
) -> dict[str, float]:
    """Features of the fixed and slow points."""
    saddles = found.fixed & ~found.stable
    slowest = found.eigenvalues[found.stable][:, :1]
    leading = slowest[np.argmax(np.abs(slowest[:, 0]))][0] if len(slowest) else 0.0
    growing = (np.abs(found.eigenvalues[saddles]) >= 1).sum(-1)
    params = {name: leaf[row] for name, leaf in population.params.items()}
    cell, scale = population.cell, population.output_scale
    states = found.points[found.stable].astype(np.float32)
    answers = [cell.readout(params, x, scale=scale) for x in states]
    answers = np.reshape(answers, (-1, 1, cell.outputs))
    kept = found.points[found.stable | ~found.fixed]
    memory = _time_constant(abs(leading))
    return {
        "stable": found.stable.sum(),
        "saddles": saddles.sum(),
        "slow": (~found.fixed).sum(),
        "memories": len(np.unique(choices(answers, population.task.decision), axis=0)),
        "unstable_directions": growing.mean() if len(growing) else 0.0,
        "memory": memory,
        "turning": abs(np.angle(leading)) if memory >= 2 else 0.0,
        "point_dimension": _dimension(kept),
        "unfinished": 1 - found.starts.sum() / starts,
    }


def _time_constant(modulus: float) -> float:
    """Steps in which a deviation decays by a factor of e."""
    return 0.0 if modulus <= 0 else min(-1 / np.log(min(modulus, 1 - 1e-9)), _LONGEST)


class _Cycle(NamedTuple):
    center: np.ndarray  # [N]
    size: float
    period: float


def _of_orbits(
    orbits: np.ndarray, visited: np.ndarray, options: FingerprintOptions
) -> dict[str, float]:
    """Features of the runs [M, T, N] of one network."""
    orbits = orbits.astype(np.float64)  # squares of large states overflow in single precision
    spread = visited - visited.mean(0)
    scale = np.mean(np.sum(spread**2, -1)) or 1.0
    bounded = np.isfinite(orbits).all((1, 2))
    speeds = np.full(len(orbits), np.inf)  # of runs that overflow, which are on no cycle
    speeds[bounded] = np.mean(np.sum(np.diff(orbits[bounded], axis=1) ** 2, -1), -1) / scale
    moving = speeds > options.still
    cycles: list[_Cycle] = []
    for orbit in orbits[moving & bounded]:
        center = orbit.mean(0)
        size = float(np.sqrt(np.mean(np.sum((orbit - center) ** 2, -1))))
        near = 0.1 * max(size, 0.1 * np.sqrt(scale))
        period = _period(orbit - center)
        if period and all(
            np.linalg.norm(center - one.center) > near or abs(size - one.size) > near
            for one in cycles
        ):
            cycles.append(_Cycle(center, size, period))
    largest = max(cycles, key=lambda one: one.size, default=None)
    return {
        "cycles": len(cycles),
        "moving": float(moving.mean()),
        "period": largest.period if largest else 0.0,
    }


def _period(orbit: np.ndarray) -> float:
    """Steps of a period of a centered orbit [T, N]; 0 if it does not fit twice into the orbit.

    From the spectrum of the leading component without its trend.
    """
    steps = len(orbit)
    leading = orbit @ np.linalg.svd(orbit, full_matrices=False)[2][0]
    time = np.linspace(-1, 1, steps)
    leading = leading - leading.mean() - time * (leading @ time) / (time @ time)
    power = np.abs(np.fft.rfft(leading * np.hanning(steps), 8 * steps)) ** 2
    frequency = np.fft.rfftfreq(8 * steps)[np.argmax(power)]
    return float(1 / frequency) if frequency >= 2 / steps else 0.0


def feature_matrix(found: xr.Dataset) -> Float[np.ndarray, "S F"]:
    """Features of all networks on scales on which a difference of 1 is large: log2(1 + value)."""
    columns = []
    for name in FEATURES:
        values = found[name].values.astype(float)
        columns.append(values / _LINEAR[name] if name in _LINEAR else np.log2(1 + values))
    return rearrange(columns, "f s -> s f")
