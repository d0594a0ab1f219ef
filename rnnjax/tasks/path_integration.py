"""Path integration: report the position, from the start position, heading and speed."""

import dataclasses
import functools
from typing import Any, NamedTuple, Self

import jax
import jax.numpy as jnp
import numpy as np

from rnnjax.numerics.threefry import fast
from rnnjax.tasks.base import Task, Trial, checked_options, lengthened, stretched_steps
from rnnjax.typing import Array, Float, Key
from rnnjax.validate import finite_positive, nonnegative, one_of, positive_integer, whole

__all__ = ["PathIntegration", "path_integration"]


class _Walk(NamedTuple):
    """State of the walker in D dimensions; a heading has A = D - 1 angles."""

    position: Float[Array, " D"]
    angles: Float[Array, " A"]
    speed: Float[Array, ""]
    moving: Array
    """Whether the walker is in a bout of motion, not at rest."""


class _Draws(NamedTuple):
    """Random numbers of one step; those of all steps are drawn at once, which is faster."""

    turn: Float[Array, " A"]
    """Change of each angle, in standard deviations."""
    change: Float[Array, ""]
    """Change of speed, in standard deviations."""
    switch: Float[Array, ""]
    """Uniform; the bout ends where it lies below the probability."""


def _direction(angles: Float[Array, " A"]) -> Float[Array, " D"]:
    """Unit vector of an azimuth, or of azimuth and elevation."""
    plane = jnp.stack([jnp.cos(angles[0]), jnp.sin(angles[0])])
    if angles.size == 1:
        return plane
    return jnp.append(jnp.cos(angles[1]) * plane, jnp.sin(angles[1]))


def _wrap(angle: Array) -> Array:
    """The same angle in [-pi, pi)."""
    return jnp.mod(angle + jnp.pi, 2 * jnp.pi) - jnp.pi


def _reflect(angles: Float[Array, " A"], outside: Array) -> Float[Array, " A"]:
    """The heading with the components along the axes `outside` [D] reversed."""
    azimuth = jnp.where(outside[0], jnp.pi - angles[0], angles[0])
    azimuth = _wrap(jnp.where(outside[1], -azimuth, azimuth))
    if angles.size == 1:
        return azimuth[None]
    return jnp.stack([azimuth, jnp.where(outside[2], -angles[1], angles[1])])


@dataclasses.dataclass(frozen=True)
class PathIntegration(Task):
    """A random walk in a box; inputs are heading and speed, targets are positions.

    Heading and speed are random walks that stand still while the walker rests. A move that would
    leave the box has its heading reflected first, so that the position always changes by the speed
    along the heading of the input. See `path_integration`.
    """

    dimensions: int = 2
    """2 or 3."""
    length: int = 100
    """Length of a trial, in steps."""
    v_max: float = 0.4
    """Largest speed, in arena units per step; the speed is clipped to [0, v_max]."""
    direction_std: float = np.pi / 10
    """Standard deviation of the change of each angle per step, in radians."""
    speed_std: float = 0.1
    """Standard deviation of the change of speed per step, in arena units per step."""
    noise_std: float = 1e-4
    """Standard deviation of the noise on the motion inputs; the walk has none of it."""
    mean_stop: float = 30.0
    """Mean duration of a rest, in steps; durations are geometric."""
    mean_go: float = 50.0
    """Mean duration of a bout of motion, in steps."""
    arena: float = 10.0
    """Side of the box, in arena units (any unit of distance); its center is at 0."""
    units: str = "half_side"
    """Positions over half a side (`"half_side"`) or in arena units (`"arena"`)."""
    encoding: str = "angle"
    """Motion inputs: angles in [-pi, pi) and speed (`"angle"`), or velocity (`"velocity"`)."""
    start: str = "pulse"
    """Input of the start position: at t = 0 (`"pulse"`), at all times (`"held"`), or `"none"`."""

    name = "path_integration"
    decision = "sign"
    criterion = 0.9  # of the signs; the loss measures this task better

    def __post_init__(self):
        super().__post_init__()
        if whole("dimensions", self.dimensions, least=2) > 3:
            raise ValueError(f"dimensions: expected 2 or 3, got {self.dimensions!r}")
        positive_integer("steps", self.length)
        finite_positive("v_max", self.v_max)
        for spread in ("direction_std", "speed_std", "noise_std"):
            nonnegative(spread, getattr(self, spread))
        for bout in ("mean_stop", "mean_go"):
            if finite_positive(bout, getattr(self, bout)) < 1:
                raise ValueError(f"{bout}: expected at least 1 step, got {getattr(self, bout)!r}")
        finite_positive("arena", self.arena)
        one_of("units", self.units, ("half_side", "arena"))
        one_of("encoding", self.encoding, ("angle", "velocity"))
        one_of("start", self.start, ("pulse", "held", "none"))
        fastest = float(self.v_max)
        if self.arena < 2 * fastest:  # a reflected move could leave at the opposite wall
            raise ValueError(
                f"arena: expected at least 2 v_max = {2 * fastest:g}, got {self.arena!r}"
            )

    @property
    def inputs(self) -> int:
        """The motion, as many numbers as dimensions, and the start position, as many again."""
        return self.dimensions * (1 if self.start == "none" else 2)

    @property
    def outputs(self) -> int:
        """The position."""
        return self.dimensions

    @property
    def steps(self) -> int:
        """Length of a trial."""
        return self.length

    def _begin(self, key: Key) -> _Walk:
        """Draws a position in the box, a heading, a speed, and whether the walker moves."""
        # Only the position uses more than the first column.
        drawn = jax.vmap(lambda key: jax.random.uniform(key, (self.dimensions,)))(
            jax.random.split(key, 5)
        )
        where, (azimuth, tilt, speed, moving) = drawn[0], drawn[1:, 0]
        angles = jnp.pi * (2 * azimuth - 1)[None]
        if self.dimensions == 3:  # uniform on the sphere
            angles = jnp.append(angles, jnp.arcsin(2 * tilt - 1))
        return _Walk(
            self.arena * (where - 0.5),
            angles,
            self.v_max * speed,
            moving < self.mean_go / (self.mean_go + self.mean_stop),
        )

    def _draw(self, key: Key) -> _Draws:
        """The random numbers of one step."""
        turn, change, switch = jax.random.split(key, 3)
        normal = jax.vmap(lambda key: jax.random.normal(key, (self.dimensions - 1,)))(
            jnp.stack([turn, change])
        )
        return _Draws(normal[0], normal[1, 0], jax.random.uniform(switch))

    def _move(self, walk: _Walk, draws: _Draws) -> tuple[_Walk, tuple[Array, Array]]:
        """One step: change heading and speed unless at rest, reflect at walls, then move."""
        angles = _wrap(walk.angles + self.direction_std * draws.turn)
        if self.dimensions == 3:  # reflected at the poles
            azimuth, tilt = angles
            tilt = jnp.where(jnp.abs(tilt) > jnp.pi / 2, jnp.sign(tilt) * jnp.pi - tilt, tilt)
            angles = jnp.stack([azimuth, tilt])
        speed = walk.speed + self.speed_std * draws.change
        speed = jnp.clip(speed, 0.0, self.v_max)
        angles = jnp.where(walk.moving, angles, walk.angles)
        speed = jnp.where(walk.moving, speed, walk.speed)
        pace = jnp.where(walk.moving, speed, 0.0)

        ahead = walk.position + pace * _direction(angles)
        outside = jnp.abs(ahead) > self.arena / 2
        angles = jnp.where(jnp.any(outside), _reflect(angles, outside), angles)
        velocity = pace * _direction(angles)
        position = walk.position + velocity
        # Bouts are geometric: each step ends one with the same probability.
        ends = draws.switch < jnp.where(walk.moving, 1 / self.mean_go, 1 / self.mean_stop)
        after = _Walk(position, angles, speed, walk.moving ^ ends)
        motion = velocity if self.encoding == "velocity" else jnp.append(angles, pace)
        return after, (motion, position)

    @functools.partial(jax.jit, static_argnums=0, inline=True)  # one program, outside of others too
    def _walk(self, first: _Walk, draws: _Draws) -> tuple[Array, Array]:
        """Motion inputs and positions of all steps."""
        return jax.lax.scan(self._move, first, draws)[1]

    def sample(self, key: Key) -> Trial:
        """Draws one trial; the whole of it is response period."""
        begin, steps, noise = jax.random.split(fast(key), 3)
        first = self._begin(begin)
        draws = jax.vmap(self._draw)(jax.random.split(steps, self.length))
        motion, position = self._walk(first, draws)
        unit = self.arena / 2 if self.units == "half_side" else 1.0
        motion += self.noise_std * jax.random.normal(noise, motion.shape)
        inputs, targets = motion, position / unit
        if self.start != "none":
            shown = (jnp.arange(self.length)[:, None] == 0) | (self.start == "held")
            inputs = jnp.concatenate(
                [motion, jnp.where(shown, first.position[None, :] / unit, 0.0)], axis=-1
            )
        return Trial(inputs, targets, jnp.ones_like(targets))

    def stretched(self, factor: float) -> Self:
        """The same walk over trials longer by `factor`."""
        return lengthened(self, factor, length=stretched_steps(self.length, factor))


def path_integration(dimensions: int = 2, steps: int = 100, **options: Any) -> PathIntegration:
    """Path integration in a square or cube: the target is the position after each step.

    Args:
        dimensions: 2, or 3 with an elevation, reflected at the poles, besides the azimuth.
        steps: length of a trial.
        options: other fields of `PathIntegration`.

    Raises:
        ValueError: other dimensions, no steps, a negative standard deviation, a bout below one
            step, a box so small that a reflected move could leave it, or an unknown option.
    """
    checked_options(PathIntegration, options, "dimensions", "steps")
    return PathIntegration(dimensions, steps, **options)
