"""Gradient -> direction by optax; direction -> weights with a traced rate and the width rule."""

from typing import Any

import optax

from rnnjax.cells import Cell
from rnnjax.training.recipe import Recipe
from rnnjax.typing import Params, Scalar

__all__ = ["descend", "direction"]


def direction(recipe: Recipe) -> optax.GradientTransformation:
    """The optimizer at unit learning rate: clipping, then Adam's or plain descent's direction."""
    clip = optax.identity() if recipe.clip is None else optax.clip_by_global_norm(recipe.clip)
    if recipe.optimizer == "sgd":
        return clip
    return optax.chain(clip, optax.scale_by_adam(b1=0.9, b2=0.999, eps=recipe.eps))


def descend(
    cell: Cell, optimizer: str, params: Params, change: Any, learning_rate: Scalar
) -> Params:
    """Weights after one step against `change`, each leaf at the rate its width rule gives it."""

    def rate(name: str) -> Scalar:
        factor = cell.rule(name, optimizer).learning_rate
        return learning_rate if factor == 1.0 else factor * learning_rate

    return {name: weight - rate(name) * change[name] for name, weight in params.items()}
