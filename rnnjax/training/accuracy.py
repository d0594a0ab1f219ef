"""Loss and three accuracies of a batch of outputs.

The accuracies differ in the score of a failed network. A network that ignores the cue in delayed
cue discrimination scores 0.5 in `decision`, but about 0.85 in `matching` and 0.64 in `pearson`. An
untrained network scores 1 in `decision` with probability 1/4: its outputs differ between the two
cues, and both may have the right sign by chance. `blind_loss` distinguishes such a network
from a trained one.
"""

from typing import Literal

import jax.numpy as jnp

from rnnjax.typing import Array, Float, Scalar

__all__ = ["blind_loss", "decision", "matching", "mean_squared_error", "pearson"]


def mean_squared_error(
    outputs: Float[Array, "#B T O"], targets: Float[Array, "B T O"], reduction: str = "mean"
) -> Scalar:
    """Squared error, averaged over trials and time, averaged or summed over outputs."""
    error = jnp.mean(jnp.square(outputs - targets))
    return error * outputs.shape[-1] if reduction == "sum" else error


def blind_loss(targets: Float[Array, "B T O"], reduction: str = "mean") -> Scalar:
    """Loss of the best output that ignores the input: at each step the mean target of all trials.

    A network with a higher loss has learned nothing about single trials.
    """
    average = jnp.mean(targets, axis=0, keepdims=True)
    return mean_squared_error(average, targets, reduction)


def decision(
    outputs: Float[Array, "B T O"],
    targets: Float[Array, "B T O"],
    mask: Float[Array, "B T O"],
    how: Literal["argmax", "sign"],
) -> Scalar:
    """Fraction of right choices over the response period.

    With `sign` every output at every masked step is a choice, right if its sign is the target's;
    with `argmax` every masked step is a choice, right if the target's channel exceeds all others.
    Ties, of outputs or of targets, zeros and NaN are wrong. NaN without a response period.
    """
    if how == "sign":
        return jnp.sum((outputs * targets > 0) * mask) / jnp.sum(mask)
    right = targets == jnp.max(targets, axis=-1, keepdims=True)
    chosen = jnp.min(jnp.where(right, outputs, jnp.inf), axis=-1)
    best_other = jnp.max(jnp.where(right, -jnp.inf, outputs), axis=-1)
    single = jnp.sum(right, axis=-1) == 1
    steps = jnp.max(mask, axis=-1)
    return jnp.sum((single & (chosen > best_other)) * steps) / jnp.sum(steps)


def matching(outputs: Float[Array, "B T O"], targets: Float[Array, "B T O"]) -> Scalar:
    """Fraction of all steps and outputs that equal the target after rounding to -1, 0 or 1.

    The cuts are at -1/2 and 1/2; NaN never matches.
    """
    rounded = jnp.where(outputs > 0.5, 1.0, jnp.where(outputs < -0.5, -1.0, 0.0))
    return jnp.mean((rounded == targets) & ~jnp.isnan(outputs))


def pearson(outputs: Float[Array, "B T O"], targets: Float[Array, "B T O"]) -> Scalar:
    """Correlation of output and target over time and channels, averaged over trials.

    Trials with a constant target, where the correlation is undefined, are left out. The correlation
    of a constant or non-finite output is 0.
    """
    # By their ends, since the mean of equal numbers may be rounded.
    x_varies, y_varies = (z.max((1, 2)) > z.min((1, 2)) for z in (outputs, targets))
    x = outputs - jnp.mean(outputs, axis=(1, 2), keepdims=True)
    y = targets - jnp.mean(targets, axis=(1, 2), keepdims=True)
    spread_x = jnp.sqrt(jnp.sum(x * x, axis=(1, 2)))
    spread_y = jnp.sqrt(jnp.sum(y * y, axis=(1, 2)))
    defined = y_varies & (spread_y > 0)
    usable = defined & x_varies & (spread_x > 0) & jnp.isfinite(spread_x)
    product = jnp.sum(jnp.where(usable[:, None, None], x, 0.0) * y, axis=(1, 2))
    correlation = product / jnp.where(usable, spread_x * spread_y, 1.0)
    return jnp.sum(jnp.where(usable, correlation, 0.0)) / jnp.maximum(jnp.sum(defined), 1)
