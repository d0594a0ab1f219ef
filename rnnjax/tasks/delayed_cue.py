"""Delayed cue discrimination (DCDT): report after a delay which of two cues was shown."""

import dataclasses
from typing import Self

import jax
import jax.numpy as jnp

from rnnjax.numerics.threefry import fast
from rnnjax.tasks.base import Task, Trial, lengthened, stretched_steps
from rnnjax.typing import Array, Key
from rnnjax.validate import positive_integer, whole

__all__ = ["Delayed", "DelayedCue", "chosen_delay", "delayed_cue", "shown"]


def shown(cue: Array, start: int, stop: int, steps: int) -> Array:
    """The vector `cue` [C] during steps [start, stop), zero elsewhere: [T, C]."""
    time = jnp.arange(steps)[:, None]
    return jnp.where((time >= start) & (time < stop), cue[None, :], 0.0)


def chosen_delay(delay: int | None, steps: int | None, cues: int, response: int) -> int:
    """Delay of a factory's arguments: a given one, or what is left of a trial of `steps`.

    Raises `ValueError` where both are given, or where cues and response do not fit.
    """
    if steps is None:
        return Delayed.delay if delay is None else delay
    if delay is not None:
        raise ValueError("delay: expected none beside steps, which imply it, got both")
    steps, response = positive_integer("steps", steps), positive_integer("response", response)
    left = steps - cues - response
    if left < 0:
        raise ValueError(
            f"response: expected at most {max(0, steps - cues)} steps "
            f"(a trial of {steps} less {cues} of cue), got {response}"
        )
    return left


@dataclasses.dataclass(frozen=True)
class Delayed(Task):
    """Base of tasks with two one-hot cues, a silent delay and a response period."""

    cue: int = 6
    delay: int = 20
    response: int = 10

    def __post_init__(self):
        super().__post_init__()
        positive_integer("cue", self.cue)
        whole("delay", self.delay)
        positive_integer("response", self.response)

    @property
    def inputs(self) -> int:
        """One channel per cue."""
        return 2

    def stretched(self, factor: float) -> Self:
        """The same task with a delay longer by `factor`."""
        return lengthened(self, factor, delay=stretched_steps(self.delay, factor))


@dataclasses.dataclass(frozen=True)
class DelayedCue(Delayed):
    """A one-hot cue, a silent delay, and a response that repeats the cue; see `delayed_cue`."""

    name = "delayed_cue"
    decision = "argmax"

    @property
    def outputs(self) -> int:
        """One channel per cue."""
        return 2

    @property
    def steps(self) -> int:
        """Cue, delay and response."""
        return self.cue + self.delay + self.response

    def sample(self, key: Key) -> Trial:
        """Draws one trial with either cue, equally likely."""
        cue = jax.nn.one_hot(jax.random.bernoulli(fast(key)).astype(int), 2)
        start = self.cue + self.delay
        return Trial(
            inputs=shown(cue, 0, self.cue, self.steps),
            targets=shown(cue, start, self.steps, self.steps),
            mask=shown(jnp.ones(2), start, self.steps, self.steps),
        )


def delayed_cue(
    cue: int = 6, delay: int | None = None, response: int = 10, steps: int | None = None
) -> DelayedCue:
    """Delayed cue discrimination (DCDT): after a delay the output repeats the cue.

    Args:
        cue: steps for which the cue, (0, 1) or (1, 0), is shown.
        delay: steps of silence; 20 by default.
        response: steps in which the output must repeat the cue; the target is 0 before.
        steps: length of the whole trial, in place of `delay`.

    Raises:
        ValueError: a negative duration, no cue or response, a response that does not fit, or both
            `delay` and `steps`.
    """
    fitting = chosen_delay(delay, steps, positive_integer("cue", cue), response)
    return DelayedCue(cue, fitting, response)
