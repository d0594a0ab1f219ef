"""Learning-rate schedules: a factor on the run's traced rate, constant within an epoch.

The factor is at most 1, so that one program serves all rates.
"""

import abc
import dataclasses
from typing import Any

import jax.numpy as jnp
import optax

from rnnjax.typing import Array, Int, Scalar
from rnnjax.validate import (
    finite_positive,
    fraction,
    known_options,
    one_of,
    positive_integer,
)

__all__ = ["SCHEDULES", "Constant", "CosineRestarts", "Plateau", "Schedule", "schedule"]


class Schedule(abc.ABC):
    """A rule for the factor of every epoch; subclasses are frozen dataclasses."""

    name: str
    needs_validation = False
    """Whether the schedule depends on the held-out loss at the end of every epoch."""

    @abc.abstractmethod
    def factor(self, state: Any, epoch: Int[Array, ""]) -> Scalar | float:
        """Factor on the learning rate in `epoch`, counted from 0."""

    def start(self) -> Any:
        """The state before the first epoch."""
        return ()

    def observe(self, state: Any, loss: Scalar) -> Any:
        """The state after an epoch with this held-out loss at its end."""
        return state


@dataclasses.dataclass(frozen=True)
class Constant(Schedule):
    """One rate for the whole of training."""

    name = "none"

    def factor(self, state: Any, epoch: Int[Array, ""]) -> float:
        """1."""
        return 1.0


@dataclasses.dataclass(frozen=True)
class CosineRestarts(Schedule):
    """(1 + cos(pi k / period)) / 2 in the k-th epoch since a restart, with one every `period`.

    PyTorch's CosineAnnealingWarmRestarts with T_0 = period and T_mult = 1, stepped once per
    epoch (Loshchilov and Hutter 2017). With a `floor` the factor falls to `floor` in place of 0.
    Raises `ValueError` for a period below 1 or a floor outside [0, 1].
    """

    period: int = 10
    floor: float = 0.0

    name = "cosine_restarts"

    def __post_init__(self):
        positive_integer("period", self.period)
        fraction("floor", self.floor)

    def factor(self, state: Any, epoch: Int[Array, ""]) -> Scalar:
        """The cosine factor of the epoch."""
        fall = optax.cosine_decay_schedule(1.0, self.period, alpha=self.floor)
        return jnp.asarray(fall(epoch % self.period))


@dataclasses.dataclass(frozen=True)
class Plateau(Schedule):
    """Multiplies the rate by `decay` when the held-out loss has not improved for `patience` epochs.

    An improvement is a loss below `1 - tolerance` times that of the last improvement
    (`optax.contrib.reduce_on_plateau`; PyTorch's ReduceLROnPlateau waits one epoch longer).
    Raises `ValueError` for a decay or a tolerance outside (0, 1), or a patience below 1.
    """

    decay: float = 0.5
    patience: int = 40
    tolerance: float = 1e-4

    name = "plateau"
    needs_validation = True

    def __post_init__(self):
        for name in ("decay", "tolerance"):
            if finite_positive(name, getattr(self, name)) >= 1:
                raise ValueError(f"{name}: expected a number in (0, 1), got {getattr(self, name)}")
        positive_integer("patience", self.patience)

    def _rule(self) -> optax.GradientTransformationExtraArgs:
        return optax.contrib.reduce_on_plateau(self.decay, self.patience, rtol=self.tolerance)

    def start(self) -> Any:
        """No loss yet, factor 1."""
        return self._rule().init({})

    def factor(self, state: Any, epoch: Int[Array, ""]) -> Scalar:
        """The product of all decays so far."""
        return state.scale

    def observe(self, state: Any, loss: Scalar) -> Any:
        """Counts an epoch with or without improvement."""
        return self._rule().update({}, state, value=loss)[1]


SCHEDULES: dict[str, type[Schedule]] = {
    kind.name: kind for kind in (Constant, CosineRestarts, Plateau)
}
"""Every schedule, by name."""


def schedule(name: str, **options: Any) -> Schedule:
    """Builds the schedule registered as `name`; the error for an unknown name suggests one."""
    kind = SCHEDULES[one_of("schedule", name, SCHEDULES)]
    return kind(**known_options(kind, options))
