"""Traced settings: the numbers that may differ between runs of one compiled program.

A new setting is a field of `Hyper`, an entry of `SETTINGS`, and the code that applies it. Axes of
sweeps, their order, checks of arguments and descriptions of populations derive from the two.
"""

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from rnnjax import validate
from rnnjax.parametrization import Parametrization
from rnnjax.training.penalties import PENALTIES
from rnnjax.training.recipe import Recipe

__all__ = [
    "SETTINGS",
    "TRACED",
    "Hyper",
    "Setting",
    "check_settings",
    "require_settings",
    "setting_values",
]


class Hyper(NamedTuple):
    """The traced half of a run: its seed and its settings.

    Each is a number; of a block of runs, an array [S]. The default is the neutral value, which
    leaves training as it is without the setting; a field without default must be given.
    """

    learning_rate: Any
    seed: Any
    gamma: Any = 1.0
    """Strength of feature learning, under a rule that defines it."""
    l1: Any = 0.0
    """Strength of the penalty on the sum of |w|, in a recipe with `l1` among its penalties."""
    nuclear: Any = 0.0
    """Strength of the penalty on the sum of singular values, with `nuclear` among them."""


def _require_nothing(rule: Parametrization, recipe: Recipe) -> None:
    pass


def _require_gamma(rule: Parametrization, recipe: Recipe) -> None:
    if not rule.output_gamma:
        raise ValueError(
            "gamma: expected a rule that defines it (mup_adam, mup_sgd, gamma_trick), "
            f"got {rule.name!r}"
        )


def _require_penalty(name: str) -> Callable[[Parametrization, Recipe], None]:
    def require(rule: Parametrization, recipe: Recipe) -> None:
        if name not in recipe.penalties:
            raise ValueError(
                f"{name}: expected 0, or a recipe with penalties=({name!r},), "
                f"got penalties={recipe.penalties}"
            )

    return require


@dataclasses.dataclass(frozen=True)
class Setting:
    """One traced setting."""

    name: str
    """Its name as an argument, as an axis and as a field of `Hyper`."""
    check: Callable[[str, Any], float]
    """Returns a value as a number; raises `ValueError`, naming the setting, if it is invalid."""
    require: Callable[[Parametrization, Recipe], None] = _require_nothing
    """Raises `ValueError` where the width rule or the recipe does not provide for the setting."""

    @property
    def neutral(self) -> float | None:
        """The value that leaves training as it is without the setting, or None."""
        return Hyper._field_defaults.get(self.name)

    def available(self, rule: Parametrization, recipe: Recipe) -> bool:
        """Whether width rule and recipe provide for the setting."""
        try:
            self.require(rule, recipe)
        except ValueError:
            return False
        return True


SETTINGS: dict[str, Setting] = {
    setting.name: setting
    for setting in (
        Setting("gamma", validate.positive_single, _require_gamma),
        *(
            Setting(name, validate.nonnegative_single, _require_penalty(name))
            for name in sorted(PENALTIES)
        ),
        Setting("learning_rate", validate.positive_single),
    )
}
"""Name -> traced setting, in the order of a sweep's dimensions, which stores depend on."""

TRACED = (*SETTINGS, "seed")
"""Axes whose values are traced: all their runs share one compiled program."""


def setting_values(hyper: Hyper) -> dict[str, Any]:
    """The settings in `hyper`, without the seed, in the order of its fields."""
    return {name: value for name, value in hyper._asdict().items() if name != "seed"}


def check_settings(given: Mapping[str, Any], arguments: Iterable[str] = ()) -> dict[str, float]:
    """Returns a valid number for every setting: the given value, or else the neutral one.

    Args:
        given: values by name.
        arguments: other arguments of the calling function, suggested for a misspelled name.

    Raises:
        ValueError: an unknown name, an invalid value, or a missing one that has no neutral value.
    """
    for name in given:
        validate.one_of("settings", name, [*SETTINGS, *arguments])
    values = {**Hyper._field_defaults, **given}
    for name in SETTINGS:
        if name not in values:
            raise ValueError(f"{name}: expected a value, got none")
    return {
        name: SETTINGS[name].check(name, values[name]) for name in Hyper._fields if name != "seed"
    }


def require_settings(hyper: Hyper, rule: Parametrization, recipe: Recipe) -> None:
    """Raises `ValueError` for a setting that is not neutral and not provided for."""
    for name, setting in SETTINGS.items():
        if np.any(np.asarray(getattr(hyper, name)) != setting.neutral):
            setting.require(rule, recipe)
