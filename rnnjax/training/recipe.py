"""Training recipes: everything about training that is fixed when a program is compiled."""

import dataclasses
import itertools
from typing import Any, Literal

from rnnjax.contract import require_frozen
from rnnjax.training.penalties import PENALTIES
from rnnjax.training.schedules import Constant, Schedule, schedule
from rnnjax.validate import (
    PlainFields,
    instance_of,
    one_of,
    positive_integer,
    positive_single,
    sequence,
)

__all__ = ["OPTIMIZERS", "PRECISIONS", "STOPS", "Recipe"]

OPTIMIZERS = ("adam", "sgd")
"""Names of the optimizers."""
STOPS = ("never", "criterion", "threshold")
PRECISIONS = ("float32", "tensorfloat32", "bfloat16")


@dataclasses.dataclass(frozen=True)
class Recipe(PlainFields):
    """The training recipe; by default 1000 steps of Adam as in PyTorch, without a stopping rule.

    `Recipe.until(threshold)` trains until a held-out loss is reached. Raises `ValueError` for a
    count below 1, a bound or epsilon that is not positive and finite, an unknown name, a threshold
    without stop="threshold", or the reverse, and for snapshots that are not strictly decreasing,
    lie below the threshold, or have no validation. A schedule is a frozen dataclass.
    """

    optimizer: Literal["adam", "sgd"] = "adam"
    """Adam with decay rates 0.9 and 0.999, or plain gradient descent."""
    epochs: int = 1000
    """Number of epochs."""
    steps_per_epoch: int = 1
    """Optimizer steps per epoch."""
    batch: int = 50
    """Trials per step. With one, `steps_to_criterion` is NaN for every run: the loss of the best
    output that ignores the input, which a network must fall below, is 0 on a single trial."""
    data: Literal["fresh", "fixed"] = "fresh"
    """New trials at every step, or one batch for all steps."""
    reduction: Literal["mean", "sum"] = "mean"
    """Squared error averaged or summed over outputs; it is averaged over trials and time.

    A sum is O times the mean: SGD diverges at an O times smaller rate, Adam at the same rate."""
    clip: float | None = None
    """Upper bound on the norm of the whole gradient, penalties included, or none. The gradient is
    that of raw weights: under a rule with multipliers its norm falls with the width and with
    1/gamma, so that one bound clips small networks more. A gradient whose squares overflow (numbers
    beyond about 1e19) is clipped to 0."""
    eps: float = 1e-8
    """Adam's epsilon, outside the square root."""
    schedule: Schedule = Constant()
    """Factor on the learning rate per epoch; a name is replaced by that schedule's defaults."""
    penalties: tuple[str, ...] = ()
    """Names of the penalties in the program, `l1` or `nuclear`; strengths are traced settings."""
    stop: Literal["never", "criterion", "threshold"] = "never"
    """When a run stops early, with status CONVERGED: when it meets the task's criterion, or when
    its held-out loss stays below the threshold."""
    threshold: float | None = None
    """With stop="threshold", the bound on the held-out loss, which excludes penalties."""
    patience: int = 3
    """With stop="threshold", how many epochs in a row must end below it."""
    validation_trials: int = 256
    """Held-out trials at the end of every epoch; the final evaluation uses others."""
    matmul_precision: Literal["float32", "tensorfloat32", "bfloat16"] = "float32"
    """Precision of matrix products on accelerators; a CPU always computes in float32."""
    snapshots: tuple[float, ...] = dataclasses.field(default=(), metadata={"later": True})
    """Decreasing held-out losses. For each, the weights are also saved at the end of the first
    epoch whose held-out loss falls below it (`Population.at_loss`). Needs validation, and
    `keep_parameters` of `run_sweep`."""

    def __post_init__(self):
        super().__post_init__()
        one_of("optimizer", self.optimizer, OPTIMIZERS)
        positive_integer("epochs", self.epochs)
        positive_integer("steps_per_epoch", self.steps_per_epoch)
        positive_integer("epochs times steps_per_epoch", self.steps)
        positive_integer("batch", self.batch)
        one_of("data", self.data, ("fresh", "fixed"))
        one_of("reduction", self.reduction, ("mean", "sum"))
        one_of("stop", self.stop, STOPS)
        if isinstance(self.schedule, str):
            object.__setattr__(self, "schedule", schedule(self.schedule))
        instance_of("schedule", self.schedule, Schedule)
        require_frozen("schedule", self.schedule)
        object.__setattr__(self, "penalties", _penalty_names(self.penalties))
        positive_integer("patience", self.patience)
        positive_integer("validation_trials", self.validation_trials)
        if self.threshold is not None:
            positive_single("threshold", self.threshold)
        if (self.threshold is None) != (self.stop != "threshold"):
            expected = "a loss with stop='threshold'" if self.threshold is None else "none"
            raise ValueError(
                f"threshold: expected {expected}, got {self.threshold!r} and stop={self.stop!r}"
            )
        if self.stop == "threshold" and self.patience > self.epochs:
            raise ValueError(
                f"patience: expected at most the {self.epochs} epochs, got {self.patience}"
            )
        one_of("matmul_precision", self.matmul_precision, PRECISIONS)
        positive_single("eps", self.eps)
        object.__setattr__(self, "snapshots", self._checked_snapshots())
        if self.clip is not None:
            positive_single("clip", self.clip)

    def _checked_snapshots(self) -> tuple[float, ...]:
        given = sequence("snapshots", self.snapshots)
        losses = tuple(positive_single("snapshots", loss) for loss in given)
        if losses and (not self.validates or self.stop == "criterion"):
            raise ValueError(
                "snapshots: expected a recipe that validates and stops at a threshold or never, "
                f"got stop={self.stop!r} and schedule={self.schedule.name!r}"
            )
        if any(later >= earlier for earlier, later in itertools.pairwise(losses)):
            raise ValueError(f"snapshots: expected strictly decreasing losses, got {losses}")
        if losses and self.threshold is not None and losses[-1] < self.threshold:
            raise ValueError(
                f"snapshots: expected losses of at least the threshold {self.threshold:g}, where "
                f"training stops, got {losses[-1]:g}"
            )
        return losses

    @classmethod
    def until(cls, threshold: float, **fields: Any) -> "Recipe":
        """Epochs of 128 steps until the held-out loss stays below `threshold`.

        Adam on batches of 256 trials, for at most 500 epochs, with the norm of the gradient clipped
        at 1 (`clip=None`: without). Training stops when 3 epochs in a row end below the threshold.
        `fields` replace these.
        """
        defaults = {"epochs": 500, "steps_per_epoch": 128, "batch": 256, "clip": 1.0}
        given = {**defaults, "stop": "threshold", "threshold": threshold, **fields}
        epochs, patience = given["epochs"], given.get("patience", cls.patience)
        if "patience" not in fields and positive_integer("epochs", epochs) < patience:
            raise ValueError(
                f"epochs: expected at least {patience}, as many as must end below the threshold "
                f"in a row (patience), got {epochs}"
            )
        return cls(**given)

    @property
    def validates(self) -> bool:
        """Whether every epoch ends with a loss on held-out trials (see `end_epoch`)."""
        return self.stop == "threshold" or self.schedule.needs_validation

    @property
    def steps(self) -> int:
        """Optimizer steps of a whole run."""
        return int(self.epochs) * int(self.steps_per_epoch)


def _penalty_names(penalties: Any) -> tuple[str, ...]:
    names = (penalties,) if isinstance(penalties, str) else sequence("penalties", penalties)
    given = tuple(one_of("penalties", name, PENALTIES) for name in names)
    if len(set(given)) < len(given):
        raise ValueError(f"penalties: expected each once, got {', '.join(given)}")
    return tuple(sorted(given))
