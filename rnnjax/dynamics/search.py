"""Fixed and slow points of populations (Sussillo and Barak 2013).

For the map of one time step under a constant input, x' = F(x), they are local minima of the speed

    q(x) = |F(x) - x|^2 / 2,

found by Levenberg-Marquardt steps (optimistix) from as many starts at once as fit into memory, in
double precision: fixed where q vanishes, slow where it is small. Deviations from a fixed point x*
follow the Jacobian J = dF/dx: x* is stable if every eigenvalue of J lies inside the unit circle.
"""

import functools
from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from einops import rearrange

from rnnjax.arrays import random_key
from rnnjax.cells import Cell
from rnnjax.cells.checking import require_inputs, require_weights
from rnnjax.devices import batch_size, fixed_draws, padded_index, single_precision
from rnnjax.trajectory import rollout
from rnnjax.typing import Array, Bool, Complex, Float, Int, KeyLike, Params
from rnnjax.validate import finite_positive, instance_of, nonnegative, positive_integer, shown

__all__ = ["FixedPoints", "fixed_points", "jacobians", "state_sizes", "visited_states"]


class FixedPoints(NamedTuple):
    """The distinct points of one network, slowest first."""

    points: Float[np.ndarray, "P D"]
    speeds: Float[np.ndarray, " P"]
    """q of every point."""
    eigenvalues: Complex[np.ndarray, "P D"]
    """Eigenvalues of the Jacobian at every point, by falling modulus."""
    fixed: Bool[np.ndarray, " P"]
    """Whether the point is fixed; otherwise it is slow."""
    stable: Bool[np.ndarray, " P"]
    """Whether the point is fixed and every eigenvalue lies inside the unit circle."""
    starts: Int[np.ndarray, " P"]
    """Number of starts whose search ended at the point."""


RADIUS = 1e-2
"""Distance below which points count as one, over the size of the states."""

_SEARCH_BYTES = 128
"""Bytes of one search per squared state size: Jacobians and their factors."""

_JACOBIAN_BYTES = 32
"""Bytes of one Jacobian per squared state size: itself, and copies."""


def _motion(cell: Cell, state: Array, params: Params, inputs: Array) -> Array:
    """F(x) - x for one state, [D], and one constant input, [I]."""
    return cell.step(params, state, cell.drive(params, inputs[None])[0]) - state


@functools.partial(jax.jit, static_argnames=("cell", "steps"))
def _descend(cell: Cell, params: Params, starts: Array, inputs: Array, steps: int):
    """Ends [S, M, D] of all searches and their speeds [S, M]."""
    import optimistix

    motion = functools.partial(_motion, cell)
    # No tolerance relative to the state: q alone decides whether a point is found.
    solver = optimistix.LevenbergMarquardt(rtol=1e-10, atol=1e-13)

    def search(params, start):
        found = optimistix.least_squares(
            lambda x, given: motion(x, *given), solver, start, args=(params, inputs),
            max_steps=steps, throw=False,
        ).value  # fmt: skip
        return found, jnp.sum(motion(found, params, inputs) ** 2) / 2

    return jax.vmap(jax.vmap(search, (None, 0)))(params, starts)


@functools.partial(jax.jit, static_argnames="cell")
def _jacobians(cell: Cell, params: Params, states: Array, inputs: Array) -> Array:
    def jacobian(state):
        step = functools.partial(_motion, cell)
        return jax.jacfwd(step)(state, params, inputs) + jnp.eye(state.shape[-1])

    return jax.vmap(jacobian)(states)


def _to_double(tree):
    return jax.tree.map(lambda leaf: jnp.asarray(np.asarray(leaf), jnp.float64), tree)


def _check_inputs(cell: Cell, inputs: object) -> np.ndarray:
    given = np.zeros(cell.inputs) if inputs is None else np.asarray(inputs, float)
    if given.shape != (cell.inputs,) or not np.isfinite(given).all():
        raise ValueError(f"inputs: expected {cell.inputs} finite numbers, got {inputs!r}")
    return given


def _count(cell: Cell, params: Params) -> int:
    """Number of networks of weights [S, ...]; raises `ValueError` for weights of another form."""
    leaves = params if isinstance(params, Mapping) else {}
    shapes = {name: getattr(leaf, "shape", None) for name, leaf in leaves.items()}
    counts = {shape[0] if shape else 0 for shape in shapes.values()} or {0}
    if counts == {0} or len(counts) > 1:
        listed = ", ".join(f"{name} of shape {shape}" for name, shape in shapes.items())
        raise ValueError(
            "params: expected a dictionary of leaves [S, ...] of the same S networks, got "
            f"{listed or shown(params)}"
        )
    require_weights(cell, {name: leaf[0] for name, leaf in leaves.items()})
    return counts.pop()


def jacobians(
    cell: Cell, params: Params, states: object, inputs: object | None = None
) -> Float[np.ndarray, "P D D"]:
    """dF/dx of one network at `states` [P, D] under a constant input, in double precision.

    Args:
        cell: spec of the network.
        params: raw weights, of one network.
        states: points at which to differentiate.
        inputs: [I]; zeros by default.

    Raises:
        ValueError: weights or states of another shape, states that are not finite, or inputs that
            are not I finite numbers.
    """
    instance_of("cell", cell, Cell)
    require_weights(cell, params)
    given, points = _check_inputs(cell, inputs), np.asarray(states, float)
    size = jax.eval_shape(cell.initial_state, params).shape[-1]
    if points.ndim != 2 or points.shape[1] != size:
        raise ValueError(f"states: expected shape [P, {size}], got {points.shape}")
    if not np.isfinite(points).all():
        raise ValueError("states: expected finite numbers, got NaN or infinity")
    with jax.enable_x64(True):
        return np.asarray(
            _jacobians(cell, _to_double(params), _to_double(points), _to_double(given))
        )


def fixed_points(
    cell: Cell,
    params: Params,
    starts: object,
    *,
    inputs: object | None = None,
    tolerance: float = 1e-20,
    slow: float = 1e-8,
    radius: float | Float[np.ndarray, " S"] = RADIUS,
    steps: int = 200,
) -> list[FixedPoints]:
    """Fixed and slow points of every network of a population, under a constant input.

    Args:
        cell: spec of the networks.
        params: raw weights, each leaf [S, ...].
        starts: initial states [S, M, D] of the searches, such as `visited_states`.
        inputs: the constant input, [I]; zeros by default.
        tolerance: the largest speed q of a fixed point.
        slow: the largest speed q of a slow point; searches that end above it are discarded.
        radius: points closer than this count as one, of which the slowest is kept: in units of the
            root mean square norm of the network's starts, or a distance for each network, [S].
        steps: largest number of steps of a search.

    Raises:
        ValueError: weights or starts of another shape, starts that are not finite, inputs that are
            not I finite numbers, a `radius` that is one number not above 0 or an array with a
            number below 0, or a tolerance above `slow`.
    """
    instance_of("cell", cell, Cell)
    if finite_positive("tolerance", tolerance) > finite_positive("slow", slow):
        raise ValueError(f"tolerance: expected at most slow, {slow:g}, got {tolerance:g}")
    positive_integer("steps", steps)
    given, begin = _check_inputs(cell, inputs), np.asarray(starts, float)
    networks = _count(cell, params)
    first = {name: leaf[0] for name, leaf in params.items()}
    size = jax.eval_shape(cell.initial_state, first).shape[-1]
    if begin.ndim != 3 or begin.shape[::2] != (networks, size) or 0 in begin.shape:
        raise ValueError(f"starts: expected shape [{networks}, M, {size}], got {begin.shape}")
    odd = np.flatnonzero(~np.isfinite(begin).all((1, 2)))
    if len(odd):
        raise ValueError(
            f"starts: expected finite states, but network {odd[0]} has NaN or infinite starts"
        )
    radii = _radii(begin, radius)
    ends, speeds = _search(cell, params, begin, given, steps)
    found = []
    for row in range(networks):
        kept, counts = _distinct(ends[row], np.where(speeds[row] <= slow, speeds[row], np.inf),
                                   radii[row])  # fmt: skip
        one = {name: leaf[row] for name, leaf in params.items()}
        found.append(_classify(cell, one, ends[row, kept], speeds[row, kept], counts, given,
                               tolerance))  # fmt: skip
    return found


def state_sizes(states: Float[np.ndarray, "S M D"]) -> Float[np.ndarray, " S"]:
    """Root mean square norm of the states of every network."""
    return np.sqrt(np.mean(np.sum(states.astype(np.float64) ** 2, axis=-1), axis=-1))


def _radii(begin: Float[np.ndarray, "S M D"], radius: object) -> Float[np.ndarray, " S"]:
    """Distances below which points of each network count as one."""
    if np.ndim(radius) == 0:  # pyright: ignore[reportArgumentType]
        return finite_positive("radius", radius) * state_sizes(begin)
    radii = np.asarray(radius, float)
    if radii.shape != begin.shape[:1] or not (np.isfinite(radii) & (radii >= 0)).all():
        raise ValueError(
            f"radius: expected one number, or {len(begin)} of at least 0, got {radius!r}"
        )
    return radii


def _search(
    cell: Cell,
    params: Params,
    begin: Float[np.ndarray, "S M D"],
    given: Float[np.ndarray, " I"],
    steps: int,
) -> tuple[Float[np.ndarray, "S M D"], Float[np.ndarray, "S M"]]:
    """Ends and speeds of all searches, in batches of equal shape that fit into memory."""
    import optimistix  # noqa: F401 - slow to import; not first while a program is traced

    networks, searches, size = begin.shape
    fits = batch_size(_SEARCH_BYTES * size**2)
    rows = min(max(fits // searches, 1), networks)
    columns = -(-searches // -(-searches // min(fits, searches)))
    ends, speeds = np.empty_like(begin), np.empty(begin.shape[:2])
    with jax.enable_x64(True):
        shared = _to_double(given)
        for row in range(0, networks, rows):
            at = padded_index(row, rows, networks)
            some = _to_double({name: np.asarray(leaf)[at] for name, leaf in params.items()})
            for column in range(0, searches, columns):
                here = np.ix_(at, padded_index(column, columns, searches))
                found = _descend(cell, some, _to_double(begin[here]), shared, steps)
                ends[here], speeds[here] = map(np.asarray, found)
    return ends, speeds


def _distinct(
    points: np.ndarray, speeds: np.ndarray, radius: float
) -> tuple[list[int], np.ndarray]:
    """Indices of points at least `radius` apart, slowest first, with the searches at each."""
    kept: list[int] = []
    counts: list[int] = []
    for index in np.argsort(speeds, kind="stable").tolist():
        if not np.isfinite(speeds[index]):
            break
        near = np.linalg.norm(points[kept] - points[index], axis=-1)
        if len(kept) and near.min() <= radius:
            counts[int(near.argmin())] += 1
        else:
            kept.append(index)
            counts.append(1)
    return kept, np.array(counts, int)


def _classify(
    cell: Cell,
    params: Params,
    points: np.ndarray,
    speeds: np.ndarray,
    counts: np.ndarray,
    inputs: np.ndarray,
    tolerance: float,
) -> FixedPoints:
    if len(points):
        fits = batch_size(_JACOBIAN_BYTES * points.shape[1] ** 2)
        size = min(fits, 1 << (len(points) - 1).bit_length())  # a program for many numbers
        found = []
        for begin in range(0, len(points), size):
            part = points[padded_index(begin, size, len(points))]
            slopes = jacobians(cell, params, part, inputs)[: len(points) - begin]
            found.append(np.linalg.eigvals(slopes))
        values = np.concatenate(found).astype(complex)
        order = np.argsort(-np.abs(values), axis=-1, kind="stable")
        values = np.take_along_axis(values, order, axis=-1)
    else:
        values = np.zeros(points.shape, complex)
    fixed = speeds <= tolerance
    largest = np.abs(values[:, 0]) if len(points) else np.zeros(0)
    return FixedPoints(points, speeds, values, fixed, fixed & (largest < 1), counts)


@functools.partial(jax.jit, static_argnames="cell")
def _states(cell: Cell, params: Params, inputs: Array) -> Array:
    with jax.default_matmul_precision("float32"):
        return jax.vmap(lambda one: rollout(cell, one, inputs).states)(params)


def _in_batches(
    compute: Callable[[Params], np.ndarray], params: Params, bytes_each: float
) -> np.ndarray:
    """`compute` of all networks [S, ...], so many at a time as fit into memory."""
    networks = jax.tree.leaves(params)[0].shape[0]
    size = min(batch_size(bytes_each), networks)
    parts = []
    for begin in range(0, networks, size):
        index = padded_index(begin, size, networks)
        some = {name: leaf[index] for name, leaf in params.items()} if size < networks else params
        parts.append(compute(some)[: networks - begin])
    return np.concatenate(parts)


@fixed_draws()
def visited_states(
    cell: Cell,
    params: Params,
    inputs: Float[np.ndarray, "B T I"],
    *,
    count: int,
    key: KeyLike,
    noise: float = 0.0,
) -> Float[np.ndarray, "S M D"]:
    """Draws states that the networks of a population visit, as starts of `fixed_points`.

    The trials and times drawn are the same for all networks. States are computed in single
    precision, whether JAX has 64 bits enabled or not.

    Args:
        cell: spec of the networks.
        params: raw weights, each leaf [S, ...].
        inputs: trials, such as `task.batch(key, B).inputs`.
        count: number of states, M.
        key: draws trials, times and noise.
        noise: standard deviation of the noise added to the states.

    Raises:
        ValueError: no states, weights or inputs of another shape, a `key` that is not one, or a
            `noise` below 0 or not finite.
    """
    instance_of("cell", cell, Cell)
    _count(cell, params)
    drawn, scale = positive_integer("count", count), nonnegative("noise", noise)
    with single_precision():
        draw_key, noise_key = jax.random.split(random_key("key", key))
        given = jnp.asarray(inputs, jnp.float32)
        require_inputs(cell, given)
        params = {  # on the host where they change: only batches of them are on the device
            name: leaf if leaf.dtype == np.float32 else np.asarray(leaf, np.float32)
            for name, leaf in params.items()
        }
        there = given.shape[0] * given.shape[1]
        chosen = np.asarray(jax.random.choice(draw_key, there, (drawn,), replace=drawn > there))

        def draw(some: Params) -> np.ndarray:
            states = np.asarray(_states(cell, some, given))
            return rearrange(states, "s b t n -> s (b t) n")[:, chosen]

        one = {name: leaf[0] for name, leaf in params.items()}
        size = jax.eval_shape(cell.initial_state, one).shape[-1]
        picked = _in_batches(draw, params, 4.0 * there * size)
        if scale:
            picked = picked + scale * np.asarray(jax.random.normal(noise_key, picked.shape))
    return picked
