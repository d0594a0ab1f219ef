"""The N-bit flip-flop: report the last pulse of every channel."""

import dataclasses
from typing import Self

import jax
import jax.numpy as jnp

from rnnjax.devices import on_cpu
from rnnjax.numerics.threefry import fast
from rnnjax.tasks.base import Task, Trial, lengthened, stretched_steps
from rnnjax.typing import Array, Float, Key
from rnnjax.validate import fraction, positive_integer

__all__ = ["FlipFlop", "flip_flop"]


def _later(held: Array, new: Array) -> Array:
    return jnp.where(new != 0, new, held)


def _step(held: Array, new: Array) -> tuple[Array, Array]:
    held = _later(held, new)
    return held, held


def _hold(pulses: Float[Array, "T I"]) -> Float[Array, "T I"]:
    """The most recent pulse of each channel at every step."""
    if not on_cpu():
        return jax.lax.associative_scan(_later, pulses)
    # Both give the same numbers; on CPUs the loop takes, and compiles in, a fraction of the time.
    return jax.lax.scan(_step, pulses[0], pulses)[1]


@dataclasses.dataclass(frozen=True)
class FlipFlop(Task):
    """Each channel pulses +1 or -1 with probability `p` per step, and at t = 0; see `flip_flop`."""

    bits: int = 3
    p: float = 0.05
    length: int = 100

    name = "flip_flop"
    decision = "sign"
    criterion = 0.9  # a network without memory between pulses exceeds 0.75

    def __post_init__(self):
        super().__post_init__()
        positive_integer("bits", self.bits)
        fraction("p", self.p)
        positive_integer("steps", self.length)

    @property
    def inputs(self) -> int:
        """One channel per bit."""
        return self.bits

    @property
    def outputs(self) -> int:
        """One channel per bit."""
        return self.bits

    @property
    def steps(self) -> int:
        """Length of a trial."""
        return self.length

    def sample(self, key: Key) -> Trial:
        """Draws one trial; the whole of it is response period."""
        draw = jax.random.uniform(fast(key), (self.length, self.bits))
        # One draw decides both: [0, p/2) is a pulse of -1, [p/2, p) a pulse of +1. At t = 0, where
        # there is always a pulse, the same draw gives its sign, by a cut at 1/2.
        edge = jnp.where(jnp.arange(self.length) == 0, 1.0, self.p)[:, None]
        inputs = jnp.where(draw < edge / 2, -1.0, jnp.where(draw < edge, 1.0, 0.0))
        targets = _hold(inputs)
        return Trial(inputs, targets, jnp.ones_like(targets))

    def stretched(self, factor: float) -> Self:
        """The same task with trials longer by `factor`."""
        return lengthened(self, factor, length=stretched_steps(self.length, factor))


def flip_flop(bits: int = 3, p: float = 0.05, steps: int = 100) -> FlipFlop:
    """The flip-flop task: output k is the last pulse of input k (Sussillo and Barak 2013).

    Args:
        bits: number of independent channels.
        p: probability of a pulse per channel and step; both signs are equally likely. Every
            channel has a pulse at t = 0, so that the target is defined from the start.
        steps: length of a trial.

    Raises:
        ValueError: sizes below 1, or `p` outside [0, 1].
    """
    return FlipFlop(bits, p, steps)
