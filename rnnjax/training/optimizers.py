"""Optimizers of optax at unit learning rate, and updates with a traced rate and a width rule."""

from typing import Any

import optax

from rnnjax.cells import Cell
from rnnjax.parametrization import LeafRule
from rnnjax.training.recipe import Recipe
from rnnjax.typing import Params, Scalar

__all__ = ["descend", "make_optimizer"]


def make_optimizer(
    cell: Cell, recipe: Recipe, gamma: float | Scalar
) -> optax.GradientTransformation:
    """Returns the optimizer at unit learning rate: clipping, then Adam or gradient descent."""
    clip = optax.identity() if recipe.clip is None else optax.clip_by_global_norm(recipe.clip)
    if recipe.optimizer == "sgd":
        return clip
    units = optax.stateless(lambda slope, _: _in_units_of_eps(cell, slope, gamma))
    return optax.chain(clip, units, optax.scale_by_adam(b1=0.9, b2=0.999, eps=recipe.eps))


def _in_units_of_eps(cell: Cell, slope: Any, gamma: float | Scalar) -> Any:
    """Divides gradients by their leaf's factor on Adam's epsilon.

    Adam with epsilon c eps on g is Adam with epsilon eps on g / c. The division also keeps the
    squares of small gradients from underflow.
    """
    scaled = {}
    for name, g in slope.items():
        rule = cell.rule(name, "adam")
        units = 1 / rule.eps
        if rule.eps_gamma:
            units = units * gamma**-rule.eps_gamma
        scaled[name] = g if isinstance(units, float) and units == 1.0 else units * g
    return scaled


def descend(
    cell: Cell,
    optimizer: str,
    params: Params,
    change: Any,
    learning_rate: Scalar,
    gamma: float | Scalar,
) -> Params:
    """Weights after one step against `change`, each leaf at the rate of its width rule.

    A leaf that is never trained keeps its bits, whatever its change.
    """
    rules = {name: cell.rule(name, optimizer) for name in params}

    def rate(rule: LeafRule) -> Scalar:
        own = learning_rate if rule.learning_rate == 1.0 else rule.learning_rate * learning_rate
        return own * gamma**rule.learning_rate_gamma if rule.learning_rate_gamma else own

    return {
        name: weight - rate(rules[name]) * change[name] if rules[name].trained else weight
        for name, weight in params.items()
    }
