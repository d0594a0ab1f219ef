"""The task contract: a frozen spec whose `sample` draws one trial."""

import abc
import dataclasses
from typing import Any, Literal, NamedTuple, Self, TypeVar

import jax

from rnnjax.arrays import random_key
from rnnjax.devices import fixed_draws
from rnnjax.numerics.threefry import split
from rnnjax.typing import Array, Float, Key, KeyLike
from rnnjax.validate import MOST, PlainFields, finite_positive, one_of, positive_integer

__all__ = ["Task", "Trial", "VariantError", "checked_options", "lengthened", "stretched_steps"]


class VariantError(ValueError):
    """A task has no stretched variant, or none of this factor that differs from itself."""


class Trial(NamedTuple):
    """One trial, or a batch of them with a leading axis `B`."""

    inputs: Float[Array, "*B T I"]
    """Inputs of the network."""
    targets: Float[Array, "*B T O"]
    """Desired outputs."""
    mask: Float[Array, "*B T O"]
    """1 in the response period, 0 elsewhere; used for accuracies, not for the loss."""


class Task(PlainFields, abc.ABC):
    """A distribution of trials; subclasses are frozen dataclasses, hashable and pure.

    A subclass gives `name`, `inputs`, `outputs`, `steps` and `sample`; all else has a default.
    """

    name: str
    """The name under which the task is registered and labelled."""
    decision: Literal["argmax", "sign"] = "sign"
    """Reading of outputs as a choice: the largest channel, or the sign of each channel."""
    criterion: float = 0.75
    """Decision accuracy above which a network has learned the task.

    Chance is 0.5 for balanced signs and 1/O for balanced choices of the largest channel. The loss
    must also be lower than that of the best output that ignores the input."""

    @property
    @abc.abstractmethod
    def inputs(self) -> int:
        """Number of input channels, I."""

    @property
    @abc.abstractmethod
    def outputs(self) -> int:
        """Number of output channels, O."""

    @property
    @abc.abstractmethod
    def steps(self) -> int:
        """Length of a trial, T, in time steps."""

    @abc.abstractmethod
    def sample(self, key: Key) -> Trial:
        """Draws one trial: inputs [T, I], targets [T, O], mask [T, O]."""

    def stretched(self, factor: float) -> Self:
        """The out-of-distribution variant, with memory periods longer by `factor`.

        Raises `ValueError` where there is none, or where no period changes by as much as a step.
        """
        raise VariantError(f"task {self.name!r}: it defines no stretched variant")

    @fixed_draws()
    def batch(self, key: KeyLike, trials: int) -> Trial:
        """Draws `trials` independent trials: inputs [B, T, I], and so on.

        With 64-bit types enabled, other numbers are drawn than in single precision.
        Raises `ValueError` for a number of trials below 1.
        """
        count = positive_integer("trials", trials)
        return jax.vmap(self.sample)(split(random_key("key", key), count))


def checked_options(spec: Any, options: dict[str, Any], *own: str) -> dict[str, Any]:
    """Returns `options` if they name fields of `spec`; else `ValueError`.

    `own` are the parameters of the factory itself, of which `steps` stands for the field `length`.
    """
    fields = [field.name for field in dataclasses.fields(spec) if field.name != "length"]
    for name in options:
        one_of("options", name, dict.fromkeys((*own, *fields)))
    return options


AnyTask = TypeVar("AnyTask", bound=Task)


def lengthened(task: AnyTask, factor: float, **durations: int) -> AnyTask:
    """`task` with `durations`, those of its stretched variant.

    Raises `VariantError` where all of them are as before, unless `factor` is 1.
    """
    found = dataclasses.replace(task, **durations)  # pyright: ignore[reportArgumentType]
    if found == task and factor != 1:
        raise VariantError(
            f"factor: expected one that changes task {task.name!r} by at least a step (a period of "
            f"0 steps never changes), got {factor:g}"
        )
    return found


def stretched_steps(steps: int, factor: float) -> int:
    """A duration in steps, scaled by `factor` and rounded, of at least a step unless it is 0.

    Raises `ValueError` for a factor that is not above 0, or makes it longer than 2^31 - 1 steps.
    """
    longer = steps * finite_positive("factor", factor)
    if longer > MOST:
        most = MOST // steps
        raise ValueError(f"factor: expected at most {most} for {steps} steps, got {factor}")
    return max(min(steps, 1), round(longer))
