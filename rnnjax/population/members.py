"""Populations: networks of one condition before and after training, and their activity."""

import dataclasses
import functools
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from rnnjax import metrics
from rnnjax.arrays import random_key
from rnnjax.cells import Cell
from rnnjax.devices import all_devices, padded_index, single_precision
from rnnjax.population import programs
from rnnjax.population.condition import condition_sweep
from rnnjax.population.stages import stopped_at
from rnnjax.store import ResultStore, StoreError, Weights, describe, first_difference
from rnnjax.sweep import Engine, LossRecord, empty_results, sweep_config
from rnnjax.tasks import Task, Trial
from rnnjax.training import Hyper, Recipe, Setup, Status, output_scale, setting_values
from rnnjax.typing import Bool, Float, Inexact, Int, KeyLike, Params
from rnnjax.validate import finite_positive, instance_of, one_of, path_of, positive_integer

__all__ = ["Activity", "Population"]

When = Literal["trained", "initial"]


def _draw(task: Task, key: Any, count: int) -> Trial:
    with single_precision():
        return programs.draw_trials(task, random_key("key", key), count)


def _joined(results: list[xr.Dataset]) -> xr.Dataset:
    """Results along `seed`, with the coordinates that all have: a sweep also has its other axes."""
    shared = set.intersection(*(set(dataset.coords) for dataset in results))
    return xr.concat(
        [dataset.drop_vars(set(dataset.coords) - shared) for dataset in results],
        "seed", join="exact",
    )  # fmt: skip


class Activity(NamedTuple):
    """Activity of every network of a population in the same trials."""

    rates: Float[np.ndarray, "S B T N"]
    """Firing rates."""
    outputs: Float[np.ndarray, "S B T O"]
    """The readouts, with the factor that gamma puts on them."""
    trial: Trial
    """The trials, [B, T, ...]."""


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Population:
    """Networks of one condition, before and after training; see `train_population`.

    The axis of the networks, S, is the first of every array. Activity of a diverged network is
    meaningless, finite or not: take `converged`, or `where`, before comparing.
    """

    setup: Setup
    """Task, cell (fitted to the task) and recipe of all networks."""
    hyper: Hyper
    """Their traced settings: `seed` [S], the others one number each."""
    initial: Params
    """Raw weights before training, each leaf [S, ...]."""
    params: Params
    """Raw weights after training."""
    results: xr.Dataset
    """Status, losses and accuracies over `seed`, as in a sweep (`rnnjax.sweep.FIELDS`)."""
    recorded: LossRecord = LossRecord()
    """The training losses that `results` keeps."""
    snapshots: Params | None = None
    """Raw weights along training, each leaf [S, K, ...]; None without `Recipe.snapshots`."""

    @property
    def task(self) -> Task:
        """The task of training."""
        return self.setup.task

    @property
    def cell(self) -> Cell:
        """The cell, fitted to the task."""
        return self.setup.cell

    @property
    def recipe(self) -> Recipe:
        """The training recipe."""
        return self.setup.recipe

    @property
    def seeds(self) -> Int[np.ndarray, " S"]:
        """The seed of every network."""
        return np.asarray(self.hyper.seed)

    @property
    def status(self) -> tuple[Status, ...]:
        """State of every network at the end of training."""
        return tuple(Status(int(value)) for value in self.results["status"].values)

    @property
    def output_scale(self) -> float:
        """Factor on the readouts (`rollout(..., output_scale=)`); 1 unless gamma changes it."""
        return float(output_scale(self.cell, float(self.hyper.gamma)))

    def __len__(self) -> int:
        return len(self.seeds)

    def __repr__(self) -> str:
        return (
            f"<Population of {len(self)}: {self.cell.name} N={self.cell.hidden} on "
            f"{self.task.name}, {self._settings()}; {self._ended()}>"
        )

    def _ended(self) -> str:
        """How many networks ended in each status: `6 CONVERGED, 2 EXHAUSTED`."""
        ended = [status.name for status in self.status]
        return ", ".join(f"{ended.count(name)} {name}" for name in dict.fromkeys(ended))

    def _settings(self) -> str:
        values = setting_values(self.hyper)
        return " ".join(f"{name}={value:g}" for name, value in values.items())

    @property
    def converged(self) -> "Population":
        """Networks that met the recipe's stopping rule; raises `ValueError` if there are none."""
        chosen = self.results["status"].values == Status.CONVERGED
        if not chosen.any():
            rule = "" if self.recipe.stop != "never" else "; the recipe has stop='never'"
            raise ValueError(
                f"converged: expected at least one network that met its stopping rule, got none of "
                f"{len(self)}: {self._ended()}{rule}"
            )
        return self.where(chosen)

    @property
    def left_out(self) -> dict[int, Status]:
        """Seeds of the networks that are not in `converged`, with their status."""
        ended = zip(self.seeds.tolist(), self.status, strict=True)
        return {seed: status for seed, status in ended if status != Status.CONVERGED}

    def where(self, mask: Bool[np.ndarray, " S"]) -> "Population":
        """The networks where `mask` is true; raises `ValueError` if it is true nowhere."""
        chosen = np.asarray(mask)
        if chosen.shape != (len(self),) or chosen.dtype != bool:
            raise ValueError(
                f"mask: expected {len(self)} booleans, got {chosen.dtype} of shape {chosen.shape}"
            )
        if not chosen.any():
            raise ValueError(f"mask: expected at least one network of {self!r}, got none")
        return self._rows(np.flatnonzero(chosen))

    def __getitem__(self, rows: slice) -> "Population":
        """The networks of a slice, `population[:8]`; one alone is `population[3:4]`."""
        if not isinstance(rows, slice):
            raise ValueError(f"rows: expected a slice, such as [3:4], got {rows!r}")
        chosen = np.arange(len(self))[rows]
        if not len(chosen):
            raise ValueError(f"rows: expected at least one of {len(self)} networks, got {rows}")
        return self._rows(chosen)

    __iter__ = None  # without this Python iterates over integer indices

    def _rows(self, rows: np.ndarray) -> "Population":
        kept = self.snapshots
        return dataclasses.replace(
            self,
            hyper=self.hyper._replace(seed=self.seeds[rows]),
            initial={name: leaf[rows] for name, leaf in self.initial.items()},
            params={name: leaf[rows] for name, leaf in self.params.items()},
            results=self.results.isel(seed=rows),
            snapshots=None if kept is None else {name: leaf[rows] for name, leaf in kept.items()},
        )

    def at_loss(self, loss: float) -> "Population":
        """The networks at the end of the first epoch with a held-out loss below `loss`.

        They are those of a training that stops there (`threshold=loss, patience=1`), equal to the
        last bit at map width 1, with their own losses, steps and accuracies. The recorded-loss bin
        in which a network stopped is NaN, and `seconds` stay those of the whole training. A network
        that never gets there keeps the weights with which it ended and a status other than
        CONVERGED. Raises `ValueError` for a loss that is not in `Recipe.snapshots`.
        """
        bounds = self.recipe.snapshots if self.snapshots is not None else ()
        wanted = finite_positive("loss", loss)
        found = [k for k, bound in enumerate(bounds) if math.isclose(bound, wanted, rel_tol=1e-6)]
        if not found:
            kept = ", ".join(f"{bound:g}" for bound in bounds) or "none"
            raise ValueError(f"loss: expected one of the recipe's snapshots ({kept}), got {loss!r}")
        return stopped_at(self, found[0])

    def join(self, *others: "Population") -> "Population":
        """One population of these networks and those of `others`.

        Raises `ValueError` if a condition differs, naming the first field that does, or if two
        networks have the same seed.
        """
        condition = self._condition()
        for other in others:
            instance_of("others", other, Population)
            if difference := first_difference(condition, other._condition()):
                field, here, there = difference
                raise ValueError(
                    f"others: expected populations of one condition, got {field} = {here!r} and "
                    f"{there!r}"
                )
        parts = (self, *others)
        seeds = np.concatenate([part.seeds for part in parts])
        if len(set(seeds.tolist())) < len(seeds):
            values, counts = np.unique(seeds, return_counts=True)
            raise ValueError(
                "others: expected seeds not already in the population; repeated: "
                f"{values[counts > 1].tolist()}"
            )

        def joined(trees: list[Params]) -> Params:
            return {name: np.concatenate([tree[name] for tree in trees]) for name in trees[0]}

        kept = [part.snapshots for part in parts if part.snapshots is not None]
        return dataclasses.replace(
            self,
            hyper=self.hyper._replace(seed=seeds),
            initial=joined([part.initial for part in parts]),
            params=joined([part.params for part in parts]),
            results=_joined([part.results for part in parts]),
            snapshots=joined(kept) if len(kept) == len(parts) else None,
        )

    def _condition(self) -> dict[str, Any]:
        """Everything that the networks share, as plain data."""
        settings = {name: float(value) for name, value in setting_values(self.hyper).items()}
        return {**describe(self.setup), **settings, "losses": self.recorded._asdict()}

    def _weights(self, when: str) -> Params:
        one_of("when", when, ("trained", "initial"))
        return self.params if when == "trained" else self.initial

    def connectivity(self, when: When = "trained") -> Float[np.ndarray, "S N N"]:
        """The effective recurrent weights, [network, to, from].

        Raises `ValueError` for a cell without such a matrix.
        """
        weights = self._weights(when)
        with jax.default_matmul_precision("float32"):
            return np.asarray(jax.vmap(self.cell.connectivity)(weights))

    def trajectories(
        self, key: KeyLike, trials: int, *, task: Task | None = None, when: When = "trained"
    ) -> Activity:
        """Activity of every network in the same trials, `task.batch(key, trials)`.

        Args:
            key: draws the trials.
            trials: number of trials, B.
            task: another task with the same channels, such as `population.task.stretched(2)`; the
                task of training by default.
            when: `trained` or `initial` weights.

        Raises:
            ValueError: a task of other channels, no trials, complex rates (see `states`), or
                activity that does not fit into memory.
        """
        units, outputs = self.cell.hidden, self.cell.outputs
        trial = self._trials(key, trials, task, units + outputs)
        shape = trial.inputs.shape[:2]
        rates = np.empty((len(self), *shape, units), np.float32)
        answers = np.empty((len(self), *shape, outputs), np.float32)
        for rows, (some_rates, some_answers) in self._each(programs.activity, trial, when):
            rates[rows], answers[rows] = some_rates, some_answers
        return Activity(rates, answers, jax.tree.map(np.asarray, trial))

    def outputs(
        self, key: KeyLike, trials: int, *, task: Task | None = None, when: When = "trained"
    ) -> Float[np.ndarray, "S B T O"]:
        """The readouts of `trajectories`, without keeping the rates; the same arguments."""
        trial = self._trials(key, trials, task, self.cell.outputs)
        answers = np.empty((len(self), *trial.targets.shape), np.float32)
        for rows, some in self._each(programs.outputs, trial, when):
            answers[rows] = some
        return answers

    def states(
        self, key: KeyLike, trials: int, *, task: Task | None = None, when: When = "trained"
    ) -> Inexact[np.ndarray, "S B T ..."]:
        """The cell's states in the trials of `trajectories`; the same arguments.

        They are what the recurrence carries from step to step: h, whose rates are tanh(h), of
        `cells.current`; the rates themselves of `cells.rate`.
        """
        rest = jax.eval_shape(self.cell.initial_state, {k: v[0] for k, v in self.params.items()})
        kind = np.complex64 if jnp.issubdtype(rest.dtype, jnp.complexfloating) else np.float32
        singles = kind().itemsize // 4
        trial = self._trials(key, trials, task, singles * math.prod(rest.shape))
        found = np.empty((len(self), *trial.inputs.shape[:2], *rest.shape), kind)
        for rows, some in self._each(programs.states, trial, when):
            found[rows] = some
        return found

    def losses(
        self, key: KeyLike, trials: int, *, task: Task | None = None, when: When = "trained"
    ) -> Float[np.ndarray, " S"]:
        """Every network's loss on the same trials, reduced as in training, without penalties.

        With `task=population.task.stretched(2)` it is an out-of-distribution loss. The arguments
        are those of `trajectories`; the loss of a diverged network may be NaN.
        """
        trial = self._trials(key, trials, task, 0)
        found = np.empty(len(self), np.float32)
        program = functools.partial(programs.losses, reduction=self.recipe.reduction)
        for rows, some in self._each(program, trial, when):
            found[rows] = some
        return found

    def _check_task(self, task: Task | None) -> Task:
        """`task`, or the task of training; raises `ValueError` unless it fits the networks."""
        task = instance_of("task", self.task if task is None else task, Task)
        if (task.inputs, task.outputs) != (self.cell.inputs, self.cell.outputs):
            raise ValueError(
                f"task: expected {self.cell.inputs} inputs and {self.cell.outputs} outputs, got "
                f"{task.inputs} and {task.outputs} of {task.name!r}"
            )
        return task

    def _trials(self, key: KeyLike, trials: int, task: Task | None, numbers: int) -> Trial:
        """Draws the trials; raises `ValueError` unless the results fit into memory."""
        task = self._check_task(task)
        layout, count = all_devices(), positive_integer("trials", trials)
        programs.require_memory(self.setup, task, count, len(self), numbers, layout)
        return _draw(task, key, count)

    def _each(
        self, program: Callable[..., Any], trial: Trial, when: When
    ) -> Iterator[tuple[slice, Any]]:
        """Results of `program` for a group of networks at a time, and their rows."""
        weights, layout = self._weights(when), all_devices()
        group = layout.group_size
        scale = jnp.asarray(self.output_scale, jnp.float32)
        for begin in range(0, len(self), group):
            rows = slice(begin, min(begin + group, len(self)))
            index = padded_index(begin, group, len(self))
            some = {name: leaf[index] for name, leaf in weights.items()}
            with layout.context():
                some = jax.device_put(some, layout.sharding())
                found = program(self.cell, layout, some, trial, scale)
            yield rows, jax.tree.map(lambda x, n=rows.stop - begin: np.asarray(x)[:n], found)

    def ntk_gram(
        self,
        key: KeyLike,
        *,
        trials: int = 16,
        times: int = 5,
        task: Task | None = None,
        leaves: Sequence[str] | None = None,
        when: When = "trained",
    ) -> Float[np.ndarray, "S R R"]:
        """Tangent kernels of all networks on the same trials: R = trials x times x outputs.

        See `rnnjax.metrics.features.ntk_gram`; the gradients are those of raw weights.

        Args:
            key: draws the trials.
            trials: number of trials.
            times: number of steps of each trial, the last ones of as many equal parts.
            task: the task of the trials; the task of training by default.
            leaves: names of the weights to differentiate with respect to; all by default.
            when: `trained` or `initial` weights.

        Raises:
            ValueError: a task with other channels, more times than steps, or an unknown leaf.
            KernelError: a network with gradients that are not finite.
        """
        grams = self._grams(key, trials, times, task, leaves, when)
        return np.stack(list(grams))

    def kernel_alignment(
        self,
        key: KeyLike,
        *,
        trials: int = 16,
        times: int = 5,
        task: Task | None = None,
        leaves: Sequence[str] | None = None,
    ) -> Float[np.ndarray, " S"]:
        """Alignment of every network's tangent kernels before and after training.

        It is 1 for a network whose features do not change
        (`rnnjax.metrics.features.kernel_alignment`); the arguments and errors are those of
        `ntk_gram`. A network with a kernel of 0 raises `KernelError`.
        """
        before = self._grams(key, trials, times, task, leaves, "initial")
        after = self._grams(key, trials, times, task, leaves, "trained")
        pairs = zip(before, after, strict=True)
        return np.array([metrics.features.kernel_alignment(*pair) for pair in pairs])

    def _grams(
        self,
        key: KeyLike,
        trials: int,
        times: int,
        task: Task | None,
        leaves: Sequence[str] | None,
        when: When,
    ) -> Iterator[np.ndarray]:
        task = self._check_task(task)
        if positive_integer("times", times) > task.steps:
            raise ValueError(f"times: expected at most {task.steps}, got {times}")
        probed = tuple(math.ceil((k + 1) * task.steps / times) - 1 for k in range(times))
        apply = programs.probe(self.cell, self.output_scale, probed)
        count = positive_integer("trials", trials)
        inputs = _draw(task, key, count).inputs
        weights = self._weights(when)
        for row in range(len(self)):
            one = {name: leaf[row] for name, leaf in weights.items()}
            with single_precision():
                gram = metrics.features.ntk_gram(apply, one, inputs, leaves=leaves)
            yield gram

    def save(self, store: str | Path) -> None:
        """Writes the population into a new folder, as `train_population(..., store=)` does.

        `load_population` reads it. Raises `StoreError` if the folder is not empty.
        """
        path, sweep = path_of("store", store), condition_sweep(self.setup, self.hyper)
        engine = Engine(**self.recorded._asdict())
        template = empty_results(sweep, *self.recorded)
        if path.exists() and not path.is_dir():
            raise StoreError(f"store: expected a new folder, got the file {path}")
        if path.exists() and any(path.iterdir()):
            raise StoreError(f"store: expected a new folder, got {path}, which is not empty")
        cells = np.zeros((len(self), len(sweep.shape)), int)
        cells[:, -1] = np.arange(len(self))
        with ResultStore(path, template, sweep_config(sweep, engine)) as sink:
            weights = Weights(self.initial, self.params, self.snapshots)
            values = {str(name): self.results[name].values for name in template.data_vars}
            sink.write("all", cells, values, weights, seconds=float(self.results["seconds"].sum()))
