"""Conditions of the degeneracy studies: what is trained in each, where it is kept, what it costs.

A condition is one population; a factor is a list of conditions in order, such as two, three and
four bits. Factors may share conditions: each is trained once.
"""

import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import rnnjax
from grids import cost_text, task_options
from launch import Config
from rnnjax.cells import Cell, current, rate
from rnnjax.parametrization import GammaTrick, MuPAdam
from rnnjax.tasks import Task
from rnnjax.validate import one_of, positive_integer

__all__ = ["RULES", "Condition", "Factor", "all_conditions", "condition", "costs", "populate"]

RULES = ("standard", "mup", "gamma_trick")


@dataclasses.dataclass(frozen=True)
class Condition:
    """One population to train: `name` is that of its folder, made of all that sets it apart."""

    name: str
    task: Task
    cell: Cell
    recipe: rnnjax.Recipe
    learning_rate: float
    gamma: float = 1.0
    l1: float = 0.0
    nuclear: float = 0.0

    def sweep(self, config: Config) -> rnnjax.Sweep:
        """The condition as a sweep over its seeds."""
        axes = {"learning_rate": [self.learning_rate], "seed": range(config.seeds)}
        if self.cell.parametrization.output_gamma:
            axes["gamma"] = [self.gamma]
        axes.update({name: [getattr(self, name)] for name in self.recipe.penalties})
        return rnnjax.Sweep(self.task, self.cell, self.recipe, axes, config.evaluation_trials)


class Factor(NamedTuple):
    """Conditions in the order of what differs between them."""

    name: str
    """A file name's stem, such as `flip_flop_bits`."""
    title: str
    """For a reader, such as `Flip flop`."""
    setting: str
    """What differs, such as `bits`."""
    levels: tuple[str, ...]
    """Its values, as labels."""
    conditions: tuple[Condition, ...]


def condition(
    config: Config,
    task: str,
    *,
    rule: str = "standard",
    hidden: int | None = None,
    gamma: float = 1.0,
    l1: float | None = None,
    nuclear: float | None = None,
    **options: object,
) -> Condition:
    """The condition of a task under a rule; `options` are the task's, over those of the config.

    A penalty given, 0 too, is in the program; None leaves it out. Raises `ValueError` for what
    makes no sense, a task without a stretched variant included.
    """
    one_of("tasks", task, config.training)
    training = config.training[task]
    hidden = positive_integer("hidden", config.hidden if hidden is None else hidden)
    rule = one_of("rule", rule, RULES)
    cells = {
        "standard": lambda: rate(hidden, alpha=1.0, bias=True, init="uniform"),
        "gamma_trick": lambda: rate(
            hidden, alpha=1.0, bias=True, parametrization=GammaTrick("uniform")
        ),
        "mup": lambda: current(hidden, tau=training.tau, parametrization=MuPAdam()),
    }
    penalties = {name: v for name, v in (("l1", l1), ("nuclear", nuclear)) if v is not None}
    recipe = rnnjax.Recipe.until(
        training.threshold,
        epochs=training.epochs,
        steps_per_epoch=config.steps_per_epoch,
        batch=training.batch,
        clip=config.clip,
        schedule=training.schedule,
        penalties=tuple(penalties),
        patience=config.patience,
        validation_trials=config.validation_trials,
    )
    spec = rnnjax.tasks.make(task, **{**task_options(config, task), **options})
    spec.stretched(config.stretch)  # refused now, not after the training
    settings = {"gamma": gamma} if rule != "standard" else {}
    parts = {**options, "N": hidden, **settings, **{k: v for k, v in penalties.items() if v > 0}}
    name = "-".join([task, rule, *(f"{key}_{_plain(value)}" for key, value in parts.items())])
    learning_rate = config.mup_rate if rule == "mup" else training.learning_rate
    return Condition(
        name, spec, cells[rule](), recipe, learning_rate, gamma=gamma, **penalties
    )  # fmt: skip


def _plain(value: object) -> str:
    """A number or a flag in a file's name."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


def all_conditions(factors: Iterable[Factor]) -> list[Condition]:
    """Every condition of the factors, once."""
    return list({c.name: c for factor in factors for c in factor.conditions}.values())


def populate(config: Config, workdir: Path, condition: Condition) -> rnnjax.Population:
    """The condition's population: trained if its store lacks it, else read."""
    return rnnjax.train_population(
        condition.task, condition.cell, condition.recipe,
        learning_rate=condition.learning_rate, seeds=config.seeds, gamma=condition.gamma,
        l1=condition.l1, nuclear=condition.nuclear, store=workdir / "store" / condition.name,
        evaluation_trials=config.evaluation_trials,
        progress=rnnjax.ProgressBar(condition.name),
    )  # fmt: skip


def costs(config: Config, conditions: Sequence[Condition]) -> str:
    """What `--dry_run` says of the training."""
    parts = [f"{c.name}:\n{cost_text(c.sweep(config))}" for c in conditions]
    return "\n".join([*parts, f"{len(conditions)} conditions of {config.seeds} networks."])
