"""Delayed discrimination: report which of two pulses, a delay apart, is larger."""

import dataclasses
from typing import Any, Self

import jax
import jax.numpy as jnp

from rnnjax.numerics.threefry import fast
from rnnjax.tasks.base import Task, Trial, checked_options, lengthened, stretched_steps
from rnnjax.typing import Array, Key
from rnnjax.validate import flag, one_of, positive_integer, whole

__all__ = ["DelayedDiscrimination", "delayed_discrimination"]

_RESPONSE = 30
"""Response steps at the longest delay: with pulses of 5 and delays to 20, trials of 60 steps."""


@dataclasses.dataclass(frozen=True)
class DelayedDiscrimination(Task):
    """Two pulses of different amplitudes f1 and f2, and the sign of f2 - f1.

    The first pulse starts at t = 0, the second a delay after the end of the first. The target is 0
    before the end of the second pulse, where the response begins. See `delayed_discrimination`.
    """

    channels: int = 1
    """Number of independent pairs of pulses."""
    max_delay: int = 20
    """The longest delay, in steps; delays are uniform in [min_delay, max_delay]."""
    min_delay: int = 5
    """The shortest delay."""
    pulse: int = 5
    """Length of each pulse, in steps."""
    length: int = 60
    """Length of a trial, in steps."""
    lowest: int = 2
    """Smallest amplitude."""
    highest: int = 10
    """Largest amplitude."""
    amplitudes: str = "integers"
    """`"integers"` in [lowest, highest], different from each other, or `"continuous"`.

    Continuous amplitudes almost never coincide; where they do, the target is 0."""
    delays: str = "independent"
    """`"independent"` per channel, or `"shared"` by all."""
    auxiliary: bool = False
    """Whether further outputs, one per channel, report f2 - f1 itself."""
    stretches: str = dataclasses.field(default="both", metadata={"later": True})
    """Delays that `stretched` scales: `"both"` the shortest and the longest, or `"longest"`."""

    name = "delayed_discrimination"
    decision = "sign"

    def __post_init__(self):
        super().__post_init__()
        positive_integer("channels", self.channels)
        positive_integer("pulse", self.pulse)
        positive_integer("steps", self.length)
        whole("min_delay", self.min_delay)
        whole("lowest", self.lowest)
        one_of("amplitudes", self.amplitudes, ("integers", "continuous"))
        one_of("delays", self.delays, ("independent", "shared"))
        one_of("stretches", self.stretches, ("both", "longest"))
        flag("auxiliary", self.auxiliary)
        whole("highest", self.highest, least=self.lowest + 1)
        whole("max_delay", self.max_delay, least=self.min_delay)
        longest = self.length - 2 * self.pulse - 1
        if longest < self.min_delay:
            raise ValueError(
                f"steps: expected at least {self.length + self.min_delay - longest} (two pulses of "
                f"{self.pulse}, the shortest delay of {self.min_delay} and one step of response), "
                f"got {self.length}"
            )
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
        """f1 and f2 [C], different from each other; continuous ones almost always."""
        low, high, shape = self.lowest, self.highest, (self.channels,)
        if self.amplitudes == "continuous":
            first, second = jax.random.uniform(key, (2, *shape), minval=low, maxval=high)
            return first, second
        keys = jax.random.split(key)
        count = high - low + 1
        first = jax.random.randint(keys[0], shape, 0, count)
        # A cyclic shift by 1 .. count - 1: f2 is uniform over the other values.
        second = (first + jax.random.randint(keys[1], shape, 1, count)) % count
        return (low + first).astype(float), (low + second).astype(float)

    def sample(self, key: Key) -> Trial:
        """Draws one trial; the response begins where the second pulse ends."""
        which, when = jax.random.split(fast(key))
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
        """Delays longer by `factor`, and trials longer by as much as the longest delay grew.

        With `stretches="longest"` the shortest delay stays, and delays are drawn from a wider
        range; raises `ValueError` where the longest would fall below it.
        """
        shortest, longest = (stretched_steps(d, factor) for d in (self.min_delay, self.max_delay))
        if self.stretches == "longest":
            shortest = self.min_delay
        length = self.length + longest - self.max_delay
        return lengthened(self, factor, min_delay=shortest, max_delay=longest, length=length)


def delayed_discrimination(
    channels: int = 1,
    max_delay: int = 20,
    steps: int | None = None,
    amplitudes: str = "integers",
    **options: Any,
) -> DelayedDiscrimination:
    """Delayed discrimination: the sign of f2 - f1 from the end of the second pulse on.

    Args:
        channels: number of independent pairs of pulses.
        max_delay: the longest delay, in steps.
        steps: length of a trial; by default 30 more than two pulses and the longest delay, so that
            a longer delay lengthens the trial and not the response.
        amplitudes: `"integers"`, or `"continuous"`, which includes near-ties.
        options: other fields of `DelayedDiscrimination`.

    Raises:
        ValueError: no channel, pulse or response, an empty range of delays or amplitudes, or an
            unknown option.
    """
    checked_options(DelayedDiscrimination, options, "channels", "max_delay", "steps", "amplitudes")
    if steps is None:
        pulse = positive_integer("pulse", options.get("pulse", DelayedDiscrimination.pulse))
        steps = 2 * pulse + whole("max_delay", max_delay) + _RESPONSE
    return DelayedDiscrimination(
        channels, max_delay, length=steps, amplitudes=amplitudes, **options
    )
