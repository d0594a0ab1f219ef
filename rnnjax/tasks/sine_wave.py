"""Sine-wave generation: the static input is a frequency, the output a sine of that frequency."""

import dataclasses
from typing import Self

import jax
import jax.numpy as jnp

from rnnjax.numerics.threefry import fast
from rnnjax.tasks.base import Task, Trial, lengthened, stretched_steps
from rnnjax.typing import Key
from rnnjax.validate import finite_positive, one_of, positive_integer, whole

__all__ = ["SineWave", "sine_wave"]


@dataclasses.dataclass(frozen=True)
class SineWave(Task):
    """A static input f and the target sin(2 pi f t) on each channel; see `sine_wave`."""

    channels: int = 1
    frequencies: int = 100
    lowest: float = 1.0
    highest: float = 30.0
    dt: float = 0.01
    length: int = 100
    scale: str = "raw"

    name = "sine_wave"
    decision = "sign"
    criterion = 0.9  # of the signs; the loss measures this task better

    def __post_init__(self):
        super().__post_init__()
        positive_integer("channels", self.channels)
        positive_integer("frequencies", self.frequencies)
        whole("steps", self.length, least=2)  # at the first every sine is 0
        finite_positive("lowest", self.lowest)
        finite_positive("highest", self.highest)
        finite_positive("dt", self.dt)
        one_of("scale", self.scale, ("raw", "highest", "centered"))
        if self.highest < self.lowest or (self.frequencies > 1 and self.highest == self.lowest):
            raise ValueError(
                f"highest: expected a frequency above lowest, {self.lowest!r}, got {self.highest!r}"
            )
        if self.scale == "centered" and self.frequencies == 1:
            raise ValueError(
                "scale: expected 'raw' or 'highest' with one frequency, got 'centered'"
            )
        if self.highest * self.dt >= 0.5:
            raise ValueError(
                f"highest: expected less than half a cycle per step, {0.5 / self.dt:g} at "
                f"dt = {self.dt:g}, got {self.highest!r}"
            )

    @property
    def inputs(self) -> int:
        """One channel per sine."""
        return self.channels

    @property
    def outputs(self) -> int:
        """One channel per sine."""
        return self.channels

    @property
    def steps(self) -> int:
        """Length of a trial."""
        return self.length

    def sample(self, key: Key) -> Trial:
        """Draws one trial; the response period is all but the first step, where every sine is 0."""
        grid = jnp.linspace(self.lowest, self.highest, self.frequencies)
        frequency = grid[jax.random.randint(fast(key), (self.channels,), 0, self.frequencies)]
        if self.scale == "raw":
            shown = frequency
        elif self.scale == "highest":
            shown = frequency / self.highest
        else:
            shown = (2 * frequency - self.lowest - self.highest) / (self.highest - self.lowest)
        step = jnp.arange(self.length)[:, None]
        targets = jnp.sin(2 * jnp.pi * frequency[None, :] * (self.dt * step))
        return Trial(
            jnp.broadcast_to(shown[None, :], targets.shape),
            targets,
            jnp.broadcast_to((step > 0).astype(targets.dtype), targets.shape),
        )

    def stretched(self, factor: float) -> Self:
        """The same sines over trials longer by `factor`."""
        return lengthened(self, factor, length=stretched_steps(self.length, factor))


def sine_wave(
    channels: int = 1,
    frequencies: int = 100,
    lowest: float = 1.0,
    highest: float = 30.0,
    dt: float = 0.01,
    steps: int = 100,
    scale: str = "raw",
) -> SineWave:
    """Sine-wave generation: the input is a frequency f, the target sin(2 pi f t).

    The sign of a target that should be 0 is that of its rounding error. With few frequencies, for
    which 2 f dt k is an integer at many steps k, the criterion may be out of reach.

    Args:
        channels: number of independent sines.
        frequencies: number of frequencies, evenly spaced from `lowest` to `highest`.
        lowest: lowest frequency, in cycles per unit of time.
        highest: highest frequency.
        dt: time per step; t = 0, dt, 2 dt, ...
        steps: length of a trial.
        scale: the input is the frequency itself (`"raw"`), divided by the highest (`"highest"`),
            or mapped to [-1, 1] (`"centered"`).

    Raises:
        ValueError: sizes below 1, frequencies that are not positive, in order and below half a
            cycle per step, or an unknown scale.
    """
    return SineWave(channels, frequencies, lowest, highest, dt, steps, scale)
