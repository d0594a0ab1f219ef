"""How networks are trained: everything about a run that is fixed when its program is compiled."""

import dataclasses
from collections.abc import Iterable
from typing import Any, Literal

from rnnjax.training.penalties import PENALTIES
from rnnjax.training.schedules import Schedule, schedule
from rnnjax.validate import finite_positive, instance_of, one_of, positive_integer

__all__ = ["OPTIMIZERS", "PRECISIONS", "STOPS", "Recipe"]

OPTIMIZERS = ("adam", "sgd")
STOPS = ("never", "criterion", "threshold")
PRECISIONS = ("float32", "tensorfloat32", "bfloat16")


@dataclasses.dataclass(frozen=True)
class Recipe:
    """The training recipe; the defaults are study 1's, with the optimizers as in PyTorch.

    `Recipe.until(threshold)` has study 2's. Raises `ValueError` for a count below 1, a rate-like
    number that is not positive and finite, an unknown name, or a threshold without the stopping
    rule that needs it, and the other way round.
    """

    optimizer: Literal["adam", "sgd"] = "adam"
    """Adam with decay rates 0.9 and 0.999, or plain gradient descent."""
    epochs: int = 1000
    """Number of epochs."""
    steps_per_epoch: int = 1
    """Optimizer steps per epoch."""
    batch: int = 50
    """Trials per step."""
    data: Literal["fresh", "fixed"] = "fresh"
    """New trials at every step, or one batch for the whole of training."""
    reduction: Literal["mean", "sum"] = "mean"
    """Squared error averaged or summed (study 1, Eq. 3) over outputs; trials and time are averaged.

    The choice moves the critical rate of SGD by a factor O, and Adam's not at all."""
    clip: float | None = None
    """Largest norm of the whole gradient, penalties included, or none. It is that of raw weights:
    under a rule with multipliers it falls with the width (and with 1/gamma), and one bound clips
    small networks more."""
    eps: float = 1e-8
    """Adam's epsilon, outside the square root."""
    schedule: Schedule | str = "none"
    """How the rate moves from epoch to epoch; a name stands for that schedule's defaults."""
    penalties: tuple[str, ...] = ()
    """Which of `l1` and `nuclear` are in the program; their strengths are a run's own."""
    stop: Literal["never", "criterion", "threshold"] = "never"
    """Whether a run ends, with status CONVERGED, when it meets the task's criterion, or when its
    held-out loss stays below the threshold."""
    threshold: float | None = None
    """With stop="threshold", the loss on held-out trials, without penalties, to stay below."""
    patience: int = 3
    """With stop="threshold", for how many ends of epochs in a row."""
    validation_trials: int = 256
    """Held-out trials on which epochs are judged; not those of the final evaluation."""
    matmul_precision: Literal["float32", "tensorfloat32", "bfloat16"] = "float32"
    """Precision of matrix products on accelerators; a CPU always computes in float32."""

    def __post_init__(self):
        one_of("optimizer", self.optimizer, OPTIMIZERS)
        positive_integer("epochs", self.epochs)
        positive_integer("steps_per_epoch", self.steps_per_epoch)
        positive_integer("batch", self.batch)
        one_of("data", self.data, ("fresh", "fixed"))
        one_of("reduction", self.reduction, ("mean", "sum"))
        one_of("stop", self.stop, STOPS)
        if isinstance(self.schedule, str):
            object.__setattr__(self, "schedule", schedule(self.schedule))
        instance_of("schedule", self.schedule, Schedule)
        object.__setattr__(self, "penalties", _chosen(self.penalties))
        positive_integer("patience", self.patience)
        positive_integer("validation_trials", self.validation_trials)
        if self.threshold is not None:
            finite_positive("threshold", self.threshold)
        if (self.threshold is None) != (self.stop != "threshold"):
            wanted = "a loss with stop='threshold'" if self.threshold is None else "none"
            raise ValueError(
                f"threshold: expected {wanted}, got {self.threshold!r} and stop={self.stop!r}"
            )
        if self.stop == "threshold" and self.patience > self.epochs:
            raise ValueError(
                f"patience: expected at most the {self.epochs} epochs, got {self.patience}"
            )
        one_of("matmul_precision", self.matmul_precision, PRECISIONS)
        finite_positive("eps", self.eps)
        if self.clip is not None:
            finite_positive("clip", self.clip)

    @classmethod
    def until(cls, threshold: float, **fields: Any) -> "Recipe":
        """Study 2's recipe: epochs of 128 steps, until the held-out loss stays below `threshold`.

        Adam on batches of 256, at most 500 epochs, the gradient's norm clipped at 1, stopped after
        3 ends of epochs in a row; `fields` are those of `Recipe` to be otherwise.
        """
        study = {"epochs": 500, "steps_per_epoch": 128, "batch": 256, "clip": 1.0}
        return cls(**{**study, "stop": "threshold", "threshold": threshold, **fields})

    @property
    def watched(self) -> bool:
        """Whether the ends of epochs are judged on held-out trials."""
        return self.stop == "threshold" or self.schedule.watches  # type: ignore[union-attr]

    @property
    def steps(self) -> int:
        """Optimizer steps of a whole run."""
        return self.epochs * self.steps_per_epoch


def _chosen(penalties: Any) -> tuple[str, ...]:
    if isinstance(penalties, str):
        penalties = (penalties,)
    if not isinstance(penalties, Iterable):
        raise ValueError(
            f"penalties: expected names among {', '.join(PENALTIES)}, got {penalties!r}"
        )
    given = tuple(one_of("penalties", name, PENALTIES) for name in penalties)
    if len(set(given)) < len(given):
        raise ValueError(f"penalties: expected each once, got {', '.join(given)}")
    return tuple(sorted(given))
