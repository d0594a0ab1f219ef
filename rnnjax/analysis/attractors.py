"""Fixed points of trained populations, and a plane to show them in."""

from typing import NamedTuple

import jax
import numpy as np
from einops import rearrange

from rnnjax.arrays import floating, random_key
from rnnjax.devices import fixed_draws, single_precision
from rnnjax.dynamics import FixedPoints, fixed_points, visited_states
from rnnjax.dynamics.search import RADIUS, state_sizes
from rnnjax.numerics.blas import one_blas_thread
from rnnjax.population import Population
from rnnjax.population.programs import draw_trials
from rnnjax.typing import Float, Int, KeyLike
from rnnjax.validate import finite_positive, instance_of, one_of, positive_integer

__all__ = ["Attractors", "choices", "find_attractors"]

_STREAM = 0x2E57  # number that is folded into `key`


class Attractors(NamedTuple):
    """Fixed and slow points of the networks of a population under a constant input."""

    seeds: Int[np.ndarray, " S"]
    found: list[FixedPoints]
    """Points of each network."""
    plane: Float[np.ndarray, "S 3 N"]
    """Leading principal directions of the states that each network visits in its task; 0 where
    there are fewer."""
    center: Float[np.ndarray, "S N"]
    """Mean of the visited states."""
    visited: Float[np.ndarray, "S M N"]
    """Visited states from which the searches start."""
    variance: Float[np.ndarray, "S 3"]
    """Share of the variance of the visited states along each direction."""
    outputs: list[Float[np.ndarray, "P O"]]
    """Outputs of each network at its points."""
    decision: str = "sign"
    """How the task reads its outputs: the `sign` of each, or the largest (`argmax`)."""

    def memories(self, row: int) -> int:
        """Number of different choices that a network's outputs make at its stable points."""
        stable = self.outputs[row][self.found[row].stable]
        return len(np.unique(choices(stable[:, None], self.decision), axis=0))


def choices(answers: Float[np.ndarray, "S P O"], decision: str) -> Int[np.ndarray, "S C"]:
    """Outputs read as choices: the largest channel, or the sign of each."""
    if decision == "argmax":
        return answers.argmax(-1)
    return rearrange((answers > 0).astype(int), "s p o -> s (p o)")


def _ends(ends: object, visited: np.ndarray) -> np.ndarray:
    """Further states [S, E, N] of the networks whose visited states are [S, M, N]."""
    given = floating("ends", ends)
    if given.ndim != 3 or given.shape[::2] != visited.shape[::2]:
        networks, _, size = visited.shape
        raise ValueError(f"ends: expected shape [{networks}, E, {size}], got {given.shape}")
    odd = np.flatnonzero(~np.isfinite(given).all((1, 2)))
    if len(odd):
        raise ValueError(f"ends: expected finite states, got NaN or infinity in network {odd[0]}")
    return given


@fixed_draws()
@one_blas_thread()
def find_attractors(
    population: Population,
    key: KeyLike,
    *,
    trials: int = 64,
    starts: int = 256,
    steps: int = 200,
    inputs: object | None = None,
    ends: Float[np.ndarray, "S E N"] | None = None,
    **options: float,
) -> Attractors:
    """Finds fixed and slow points of every network of a population under a constant input.

    Args:
        population: trained networks.
        key: random key of the trials and of the starts.
        trials: trials from whose states the searches start.
        starts: searches per network.
        steps: largest number of steps of a search.
        inputs: the constant input, [I]; zeros by default (`fingerprints` takes the median of the
            task's).
        ends: further states from which searches start, such as those in which runs end.
        options: `tolerance`, `slow` and `radius` of `rnnjax.dynamics.fixed_points`.

    Raises:
        ValueError: numbers out of range, or other options.
    """
    instance_of("population", population, Population)
    for name in options:
        one_of("options", name, ("tolerance", "slow", "radius"))
    # A stream of its own: none of those that networks are trained with.
    stream = jax.random.fold_in(random_key("key", key), _STREAM)
    drawn, chosen = jax.random.split(stream)
    with single_precision():
        trial = draw_trials(population.task, drawn, positive_integer("trials", trials))
    cell, params = population.cell, population.params
    count = positive_integer("starts", starts)
    visited = visited_states(cell, params, np.asarray(trial.inputs), count=count, key=chosen)
    begun = visited if ends is None else np.concatenate([visited, _ends(ends, visited)], axis=1)
    share = finite_positive("radius", options.pop("radius", RADIUS))
    radius = share * state_sizes(visited)  # further starts may be far away
    found = fixed_points(cell, params, begun, inputs=inputs, steps=steps, radius=radius, **options)
    center = visited.mean(1)
    planes, shares = [], []
    for states in visited - center[:, None]:
        _, strengths, directions = np.linalg.svd(states, full_matrices=False)
        power = np.zeros(max(3, len(strengths)))  # of few units or states, there are fewer
        power[: len(strengths)] = strengths**2 / ((strengths**2).sum() or 1.0)
        planes.append(np.concatenate([directions, np.zeros((3, states.shape[1]))])[:3])
        shares.append(power[:3])
    scale = population.output_scale
    outputs = []
    for row, points in enumerate(found):
        one = {name: leaf[row] for name, leaf in params.items()}
        answers = [cell.readout(one, x, scale=scale) for x in points.points.astype(np.float32)]
        outputs.append(np.reshape(answers, (len(answers), cell.outputs)))
    return Attractors(
        population.seeds, found, np.stack(planes), center, visited, np.stack(shares), outputs,
        population.task.decision,
    )  # fmt: skip
