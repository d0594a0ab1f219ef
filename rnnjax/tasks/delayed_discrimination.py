"""Delayed discrimination: say which of two pulses, a delay apart, was the larger."""

import dataclasses
from typing import Self

import jax
import jax.numpy as jnp

from rnnjax.tasks.base import Task, Trial, stretched_steps
from rnnjax.typing import Array, Key
from rnnjax.validate import flag, one_of, positive_integer, whole

__all__ = ["DelayedDiscrimination", "delayed_discrimination"]

_RESPONSE = 30
"""Response steps at the longest delay: with pulses of 5 and delays to 20, trials of 60 steps."""


@dataclasses.dataclass(frozen=True)
class DelayedDiscrimination(Task):
    """Two pulses of different amplitude and the sign of f2 - f1; see `delayed_discrimination`."""

    channels: int = 1
    max_delay: int = 20
    min_delay: int = 5
    pulse: int = 5
    length: int = 60
    lowest: int = 2
    highest: int = 10
    amplitudes: str = "integers"
    delays: str = "independent"
    auxiliary: bool = False

    name = "delayed_discrimination"
    decision = "sign"

    def __post_init__(self):
        positive_integer("channels", self.channels)
        positive_integer("pulse", self.pulse)
        positive_integer("steps", self.length)
        whole("min_delay", self.min_delay)
        whole("lowest", self.lowest)
        one_of("amplitudes", self.amplitudes, ("integers", "continuous"))
        one_of("delays", self.delays, ("independent", "shared"))
        flag("auxiliary", self.auxiliary)
        whole("highest", self.highest, least=self.lowest + 1)
        whole("max_delay", self.max_delay, least=self.min_delay)
        longest = self.length - 2 * self.pulse - 1
        if self.max_delay > longest:
            raise ValueError(
                f"max_delay: expected at most {longest} (a trial of {self.length} steps less two "
                f"pulses of {self.pulse} and one step of response), got {self.max_delay}"
            )

    @property
    def inputs(self) -> int:
        """One channel per pair of pulses."""
        return self.channels

    @property
    def outputs(self) -> int:
        """The signs, then, with `auxiliary`, the differences."""
        return self.channels * (2 if self.auxiliary else 1)

    @property
    def steps(self) -> int:
        """Length of a trial."""
        return self.length

    def _amplitudes(self, key: Key) -> tuple[Array, Array]:
        """f1 and f2 [C], different from each other."""
        low, high, shape = self.lowest, self.highest, (self.channels,)
        if self.amplitudes == "continuous":
            first, second = jax.random.uniform(key, (2, *shape), minval=low, maxval=high)
            return first, second
        keys = jax.random.split(key)
        count = high - low + 1
        first = jax.random.randint(keys[0], shape, 0, count)
        # A shift by 1..count - 1 on the circle: f2 is uniform over the other values.
        second = (first + jax.random.randint(keys[1], shape, 1, count)) % count
        return (low + first).astype(float), (low + second).astype(float)

    def sample(self, key: Key) -> Trial:
        """Draws one trial; the response begins where the second pulse ends."""
        which, when = jax.random.split(key)
        first, second = (amplitude[None, :] for amplitude in self._amplitudes(which))
        drawn = self.channels if self.delays == "independent" else 1
        delay = jax.random.randint(when, (drawn,), self.min_delay, self.max_delay + 1)
        delay = jnp.broadcast_to(delay, (1, self.channels))
        time = jnp.arange(self.length)[:, None]
        again, answer = self.pulse + delay, 2 * self.pulse + delay
        inputs = jnp.where(time < self.pulse, first, 0.0)
        inputs += jnp.where((time >= again) & (time < answer), second, 0.0)
        response = (time >= answer).astype(float)
        targets, mask = jnp.sign(second - first) * response, response
        if self.auxiliary:
            targets = jnp.concatenate([targets, (second - first) * response], axis=-1)
            mask = jnp.concatenate([mask, response], axis=-1)
        return Trial(inputs, targets, mask)

    def stretched(self, factor: float) -> Self:
        """Delays longer by `factor`, and trials longer by as much as the longest delay grew."""
        shortest, longest = (stretched_steps(d, factor) for d in (self.min_delay, self.max_delay))
        length = self.length + longest - self.max_delay
        return dataclasses.replace(self, min_delay=shortest, max_delay=longest, length=length)


def delayed_discrimination(
    channels: int = 1,
    max_delay: int = 20,
    steps: int | None = None,
    amplitudes: str = "integers",
    *,
    min_delay: int = 5,
    pulse: int = 5,
    lowest: int = 2,
    highest: int = 10,
    delays: str = "independent",
    auxiliary: bool = False,
) -> DelayedDiscrimination:
    """Delayed discrimination: the sign of f2 - f1 from the second pulse's end on (study 2, A.2).

    The first pulse is at t = 0, the second a delay after its end; the target is 0 before the
    response.

    Args:
        channels: number of independent pairs of pulses.
        max_delay: the longest delay, in steps; delays are uniform in [min_delay, max_delay].
        steps: length of a trial; by default 30 more than two pulses and the longest delay need,
            so that a longer delay lengthens the trial and leaves the response as it was.
        amplitudes: `"integers"` in [lowest, highest], different from each other, or
            `"continuous"`, which includes near-ties. Study 2 does not say which.
        min_delay: the shortest delay.
        pulse: steps for which each pulse lasts.
        lowest: smallest amplitude.
        highest: largest amplitude.
        delays: `"independent"` per channel, or `"shared"` by all.
        auxiliary: whether further outputs, one per channel, report f2 - f1 itself.

    Raises:
        ValueError: no channel, pulse or response, an empty range of delays or amplitudes, or an
            unknown option.
    """
    if steps is None:
        steps = 2 * positive_integer("pulse", pulse) + whole("max_delay", max_delay) + _RESPONSE
    return DelayedDiscrimination(
        channels, max_delay, min_delay, pulse, steps, lowest, highest, amplitudes, delays, auxiliary
    )
