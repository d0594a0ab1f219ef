"""Conditions of the degeneracy studies: their training, storage and cost.

A condition is one population; a factor is a list of conditions in order, such as two, three and
four bits. Factors may share conditions: each is trained once.
"""

import collections
import dataclasses
import itertools
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import rnnjax
from rnnjax.cells import Cell, current, fitted, rate
from rnnjax.metrics.conjugation import rounds
from rnnjax.metrics.dsa import STEPS, default_starts
from rnnjax.parametrization import GammaTrick, MuPAdam
from rnnjax.population.condition import require_condition
from rnnjax.store import digest, read_manifest
from rnnjax.studies.costs import SECONDS_TO_COMPILE, CostModel, text_table
from rnnjax.studies.degeneracy.tasks import TASKS
from rnnjax.studies.grids import require_config, task_options, unfinished_runs
from rnnjax.studies.launch import Config
from rnnjax.sweep import Progress, plan, sweep_config
from rnnjax.tasks import Task
from rnnjax.training.schedules import CosineRestarts, Plateau, Schedule, schedule
from rnnjax.validate import (
    counted,
    finite_positive,
    nonnegative,
    one_of,
    positive_integer,
    sequence,
)

__all__ = [
    "RULES",
    "Condition",
    "Factor",
    "all_conditions",
    "ascending",
    "at_losses",
    "condition",
    "costs",
    "file_of",
    "measurable",
    "require_conditions",
    "threshold_recipe",
    "train",
]

RULES = ("standard", "mup", "gamma_trick")

_PAPER_STEPS = 128  # per epoch; schedules and `StudyTask.usual` count such epochs


@dataclasses.dataclass(frozen=True)
class Condition:
    """One population at one loss; `folder` lists the settings that set its training apart."""

    folder: str
    task: Task
    cell: Cell
    recipe: rnnjax.Recipe
    settings: tuple[tuple[str, float], ...]
    """Traced settings, the learning rate among them."""
    loss: float | None = None
    """One of the recipe's snapshots, at which networks are compared; None: when trained."""

    @property
    def name(self) -> str:
        """The folder, with the loss."""
        return self.folder if self.loss is None else f"{self.folder}-until_{_plain(self.loss)}"

    def sweep(self, config: Config) -> rnnjax.Sweep:
        """The condition as a sweep over its seeds, that of its store."""
        axes: dict[str, Any] = {name: [value] for name, value in self.settings}
        axes["seed"] = range(config.seeds)
        cell = fitted(self.cell, self.task)
        return rnnjax.Sweep(self.task, cell, self.recipe, axes, config.evaluation_trials)


class Factor(NamedTuple):
    """Conditions in the order of what differs between them."""

    name: str
    """Stem of file names, such as `flip_flop_bits`."""
    title: str
    """Title in tables and figures, such as `Flip flop`."""
    setting: str
    """The setting that differs, such as `bits`."""
    levels: tuple[str, ...]
    """Its values, as labels."""
    conditions: tuple[Condition, ...]
    stage: float | None = None
    """As in `rnnjax.analysis.Comparison`."""


def threshold_recipe(
    config: Config,
    training: Config,
    penalties: Iterable[str] = (),
) -> rnnjax.Recipe:
    """The recipe that trains a task until its threshold, with the settings `training`.

    Shorter epochs than those of 128 steps are validated more often, by the same schedule in steps.
    """
    positive_integer("steps_per_epoch", config.steps_per_epoch)
    return rnnjax.Recipe.until(
        training.threshold,
        epochs=training.epochs,
        steps_per_epoch=config.steps_per_epoch,
        batch=training.batch,
        clip=config.clip,
        schedule=_schedule(training.schedule, _PAPER_STEPS / config.steps_per_epoch),
        penalties=tuple(penalties),
        patience=config.get("patience", 1),  # fewer than a study with stages needs
        validation_trials=config.validation_trials,
    )


def _schedule(name: str, stretch: float) -> Schedule:
    """The schedule whose epochs are `stretch` times as many."""
    made = schedule(name)
    if isinstance(made, CosineRestarts):
        return dataclasses.replace(made, period=max(round(stretch * made.period), 1))
    if isinstance(made, Plateau):
        return dataclasses.replace(made, patience=max(round(stretch * made.patience), 1))
    return made


def condition(
    config: Config,
    task: str,
    *,
    rule: str = "standard",
    hidden: int | None = None,
    settings: dict[str, float] | None = None,
    **options: object,
) -> Condition:
    """The condition of a task under a rule; `options` are the task's, over those of the config.

    `settings` are gamma and strengths of penalties; every given penalty, also of strength 0, is
    part of the program.
    Raises `ValueError` for a value out of range, or a task without a stretched variant.
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
    given = {**({} if rule == "standard" else {"gamma": 1.0}), **(settings or {})}
    penalties = [name for name in given if name != "gamma"]
    recipe = threshold_recipe(config, training, penalties)
    spec = measurable(config, rnnjax.tasks.make(task, **{**task_options(config, task), **options}))
    shown = {name: value for name, value in given.items() if name == "gamma" or value}
    parts = {**options, "N": hidden, **shown}
    folder = "-".join([task, rule, *(f"{key}_{_plain(value)}" for key, value in parts.items())])
    rate_name = "mup_rate" if rule == "mup" else "learning_rate"
    learning_rate = finite_positive(f"training.{task}.{rate_name}", training[rate_name])
    traced = {"learning_rate": learning_rate, **given}
    return Condition(folder, spec, cells[rule](), recipe, tuple(traced.items()))


def measurable(config: Config, task: Task) -> Task:
    """The task, if networks that solve it can be measured; else raises `ValueError`.

    Before the training, which may take hours.
    """
    task.stretched(finite_positive("stretch", config.get("stretch", 2.0)))
    times = config.get("probe_times", 1)
    if positive_integer("probe_times", times) > task.steps:
        raise ValueError(
            f"probe_times: expected at most {task.steps}, the steps of {task.name}, got {times}"
        )
    return task


def at_losses(condition: Condition, losses: Sequence[float]) -> list[Condition]:
    """The condition where its networks' losses first fall below each of `losses`.

    All are of one training, which ends at the last of them.
    """
    recipe = dataclasses.replace(
        condition.recipe, threshold=losses[-1], patience=1, snapshots=tuple(losses)
    )
    return [dataclasses.replace(condition, recipe=recipe, loss=loss) for loss in recipe.snapshots]


def ascending(name: str, values: Iterable[Any]) -> tuple[Any, ...]:
    """The levels of a factor, if they rise; raises `ValueError` otherwise."""
    levels = sequence(name, values)
    for level in levels:
        nonnegative(name, level)
    if any(a >= b for a, b in itertools.pairwise(levels)):
        raise ValueError(f"{name}: expected values that rise, got {', '.join(map(str, levels))}")
    return levels


def _plain(value: object) -> str:
    """A number or a flag in a file's name."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


def all_conditions(factors: Iterable[Factor]) -> list[Condition]:
    """Every condition of the factors, once."""
    return list({c.name: c for factor in factors for c in factor.conditions}.values())


def require_conditions(config: Config, workdir: Path, conditions: Iterable[Condition]) -> None:
    """Raises `StoreError` where the folder of a condition's networks is of another config."""
    for one in {c.folder: c for c in conditions}.values():
        store, sweep = workdir / "store" / one.folder, one.sweep(config)
        require_config(store, sweep)
        require_condition(store, sweep_config(sweep, rnnjax.Engine()))


def train(
    config: Config, workdir: Path, condition: Condition, progress: Progress | None
) -> rnnjax.Population:
    """The condition's population at its loss: trained if its store lacks it, else read."""
    settings: dict[str, Any] = dict(condition.settings)
    store = workdir / "store" / condition.folder
    population = rnnjax.train_population(
        condition.task, condition.cell, condition.recipe, seeds=config.seeds,
        store=store, evaluation_trials=config.evaluation_trials,
        progress=progress, **settings,
    )  # fmt: skip
    return population if condition.loss is None else population.at_loss(condition.loss)


def file_of(config: Config, workdir: Path, condition: Condition, inputs: dict[str, Any]) -> Path:
    """The file of what `inputs` make of a condition's networks; its store must exist.

    Networks are told apart by the hash of a store of exactly their seeds, whatever seeds it has.
    """
    manifest = read_manifest(workdir / "store" / condition.folder)
    held, seeds = manifest["config"], list(range(config.seeds))
    networks = [{"store": manifest["hash"]}]
    if held["axes"]["seed"] != seeds:
        exact = {**held, "axes": {**held["axes"], "seed": seeds}}
        # The second is how earlier versions named it, anew whenever the store had grown.
        networks = [{"store": digest(exact)}, {**networks[0], "seeds": config.seeds}]
    files = [
        workdir / "measures" / f"{condition.name}-{digest({**inputs, **one})[:12]}.nc"
        for one in networks
    ]
    return next((file for file in files if file.exists()), files[0])


def costs(
    config: Config, workdir: Path, conditions: Sequence[Condition], *, measured: bool = True
) -> str:
    """Estimated time to train the networks that the workdir lacks, and to measure every condition.

    As `--dry_run` prints it.
    """
    model = CostModel.measure()
    extra = ["measuring"] if measured else []
    rows = [("", "networks", "s/epoch", "epochs", "minutes", *extra, "MB")]
    longest, usual, measuring = 0.0, 0.0, 0.0
    per_epoch = _PAPER_STEPS / config.steps_per_epoch
    stages = collections.Counter(c.folder for c in conditions)
    for one in {c.folder: c for c in conditions}.values():
        store, sweep = workdir / "store" / one.folder, one.sweep(config)
        left = unfinished_runs(store, sweep)
        blocks = plan(sweep, model.layout, rnnjax.Engine(), left, keep_parameters=True)
        compiling = SECONDS_TO_COMPILE if blocks else 0
        epoch = config.steps_per_epoch * sum(model.step_seconds(b.setup, b.runs) for b in blocks)
        epochs = min(round(_usual_epochs(one) * per_epoch), one.recipe.epochs)
        minutes = (compiling + epoch * epochs) / 60
        longest += (compiling + epoch * one.recipe.epochs) / 60
        took = measuring_seconds(config, one, model.machine.flops) / 60 if measured else 0.0
        took *= stages[one.folder]
        usual, measuring = usual + minutes, measuring + took
        memory = (
            max(
                (model.block_bytes(b.setup, b.size, keep_parameters=True) for b in blocks),
                default=0,
            )
            / 1e6
        )
        numbers = f"{epoch:.2f}", f"{epochs}", f"{minutes:.1f}"
        shown = [f"{took:.1f}"] if measured else []
        rows.append((one.folder, f"{left.sum()}", *numbers, *shown, f"{memory:.0f}"))
    return (
        f"{text_table(rows)}\n{_counted(conditions)}: training {usual:.0f} minutes if "
        f"networks take as many epochs as those of earlier runs, {longest:.0f} at most; "
        + (f"measuring {measuring:.0f} minutes; " if measured else "")
        + f"on {model.devices}"
    )


def _counted(conditions: Sequence[Condition]) -> str:
    """`12 conditions`, `12 conditions at 4 losses each`, or `12 conditions, 30 measurements`."""
    losses = collections.Counter(c.folder for c in conditions)
    each, text = set(losses.values()), counted(len(losses), "condition")
    if len(each) > 1:
        return f"{text}, {counted(len(conditions), 'measurement')}"
    return text if each == {1} else f"{text} at {each.pop()} losses each"


def _usual_epochs(condition: Condition) -> int:
    """Epochs that networks of its task and rule took in earlier runs, or the most that they can."""
    rule = "mup" if isinstance(condition.cell.parametrization, MuPAdam) else "standard"
    return TASKS[condition.task.name].usual.get(rule, condition.recipe.epochs)


def measuring_seconds(config: Config, condition: Condition, flops: float) -> float:
    """Estimated seconds of `rnnjax.analysis.degeneracy`, mostly for the pairs of networks.

    The constants are from benchmarks/results/metrics-cpu.json and condition-gpu.json. Compiling, at
    most one program per order of the operators, dominates where networks are few.
    """
    pairs = config.seeds * (config.seeds - 1) / 2
    hidden, bound = condition.cell.hidden, config.dsa.order
    orders = [k * d for k in config.dsa.components for d in config.dsa.delays if k <= hidden]
    orders = [order for order in orders if order <= bound] + [bound]  # the last: that of the arrow
    solving = sum(_operations(order) / _solver_share(order) for order in orders) / flops
    solving += sum(_POLISHING * 2.0 * order**3 for order in orders) / _HOST_FLOPS
    matching = 2 * max(_MATCHING_OPERATIONS * max(hidden / 128, 1) ** 3 / flops, _MATCHING_SECONDS)
    return pairs * (solving + matching) + 2 * len(set(orders)) + 10


_MATCHING_OPERATIONS = 1.5e10  # of a pair of 128 units, at the rate of products
_MATCHING_SECONDS = 0.015  # at least, on an accelerator: assignments run one after another
_POLISHING = 32  # products on the host that refine and score the four finalists of a pair
_HOST_FLOPS = 2e10  # in double precision


def _solver_share(order: int) -> float:
    """Share of the rate of products that the solver reaches: 13% at order 19, 35% at 54."""
    return min(0.0067 * order, 0.4)


def _operations(order: int) -> float:
    """Operations of the search for the rotation of a pair: seven products per step.

    Most pairs are settled in a quarter of the steps of the last round.
    """
    *first, (_, last) = rounds(order, default_starts(order), STEPS)
    steps = sum(count * taken for count, taken in first) + last / 4
    return 7 * steps * 2.0 * order**3
