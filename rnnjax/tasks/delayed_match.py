"""Delayed matching (DMT): report whether two cues, a delay apart, are the same."""

import dataclasses

import jax
import jax.numpy as jnp

from rnnjax.numerics.threefry import fast
from rnnjax.tasks.base import Trial
from rnnjax.tasks.delayed_cue import Delayed, chosen_delay, shown
from rnnjax.typing import Key
from rnnjax.validate import positive_integer

__all__ = ["DelayedMatch", "delayed_match"]


@dataclasses.dataclass(frozen=True)
class DelayedMatch(Delayed):
    """Cue, delay, second cue, and a response of +1 (match) or -1; see `delayed_match`."""

    name = "delayed_match"
    decision = "sign"

    @property
    def outputs(self) -> int:
        """Match or no match, one channel."""
        return 1

    @property
    def steps(self) -> int:
        """Both cues, delay and response."""
        return 2 * self.cue + self.delay + self.response

    def sample(self, key: Key) -> Trial:
        """Draws one trial with two independent, fair cues."""
        first, second = jax.random.bernoulli(fast(key), shape=(2,)).astype(int)
        again = self.cue + self.delay
        start = again + self.cue
        answer = jnp.where(first == second, 1.0, -1.0).astype(float)[None]
        return Trial(
            inputs=shown(jax.nn.one_hot(first, 2), 0, self.cue, self.steps)
            + shown(jax.nn.one_hot(second, 2), again, start, self.steps),
            targets=shown(answer, start, self.steps, self.steps),
            mask=shown(jnp.ones(1), start, self.steps, self.steps),
        )


def delayed_match(
    cue: int = 6, delay: int | None = None, response: int = 10, steps: int | None = None
) -> DelayedMatch:
    """Delayed matching (DMT): report whether two one-hot cues, a delay apart, are the same.

    With cues of +1 and -1 and no bias a tanh network is odd in its input and cannot learn this.

    Args:
        cue: steps for which each of the two cues is shown.
        delay: steps of silence between them; 20 by default.
        response: steps in which the output must be +1 (match) or -1; the target is 0 before.
        steps: length of the whole trial, in place of `delay`.

    Raises:
        ValueError: a negative duration, no cue or response, a response that does not fit, or both
            `delay` and `steps`.
    """
    fitting = chosen_delay(delay, steps, 2 * positive_integer("cue", cue), response)
    return DelayedMatch(cue, fitting, response)
