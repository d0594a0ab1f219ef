"""How networks are trained: everything about a run that is fixed when its program is compiled."""

import dataclasses
from typing import Literal

from rnnjax.validate import finite_positive, one_of, positive_integer

__all__ = ["OPTIMIZERS", "PRECISIONS", "Recipe"]

OPTIMIZERS = ("adam", "sgd")
PRECISIONS = ("float32", "tensorfloat32", "bfloat16")


@dataclasses.dataclass(frozen=True)
class Recipe:
    """The training recipe; the defaults are study 1's, with the optimizers as in PyTorch.

    Raises `ValueError` for a count below 1, a rate-like number that is not positive and finite,
    or an unknown name.
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
    """Largest norm of the whole gradient, or none. It is that of raw weights: under a rule with
    multipliers it falls with the width (and with 1/gamma), and one bound clips small networks more.
    """
    eps: float = 1e-8
    """Adam's epsilon, outside the square root."""
    stop: Literal["never", "criterion"] = "never"
    """Whether a run ends when it meets the task's criterion (status CONVERGED)."""
    matmul_precision: Literal["float32", "tensorfloat32", "bfloat16"] = "float32"
    """Precision of matrix products on accelerators; a CPU always computes in float32."""

    def __post_init__(self):
        one_of("optimizer", self.optimizer, OPTIMIZERS)
        positive_integer("epochs", self.epochs)
        positive_integer("steps_per_epoch", self.steps_per_epoch)
        positive_integer("batch", self.batch)
        one_of("data", self.data, ("fresh", "fixed"))
        one_of("reduction", self.reduction, ("mean", "sum"))
        one_of("stop", self.stop, ("never", "criterion"))
        one_of("matmul_precision", self.matmul_precision, PRECISIONS)
        finite_positive("eps", self.eps)
        if self.clip is not None:
            finite_positive("clip", self.clip)

    @property
    def steps(self) -> int:
        """Optimizer steps of a whole run."""
        return self.epochs * self.steps_per_epoch
