"""Populations: networks of one condition that differ in nothing but their seeds."""

import dataclasses
import functools
import math
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from rnnjax import metrics, validate
from rnnjax.cells import Cell, fitted
from rnnjax.rollout import rollout
from rnnjax.store import (
    ResultStore,
    StoreError,
    axis_position,
    describe,
    first_difference,
    load_results,
    load_weights,
    save_parameters,
)
from rnnjax.sweep import (
    Engine,
    Layout,
    Progress,
    Sweep,
    cost,
    default_layout,
    empty_results,
    load_sweep,
    run_sweep,
    sweep_config,
)
from rnnjax.tasks import Task, Trial
from rnnjax.training import Hyper, Recipe, Setup, Status, accuracy, output_scale
from rnnjax.typing import Array, Bool, Float, Int, Key, Params, Scalar
from rnnjax.validate import instance_of, one_of, positive_integer

__all__ = ["Activity", "Population", "load_population", "train_population"]

When = Literal["trained", "initial"]

_SETTINGS = ("learning_rate", "gamma", "l1", "nuclear")
"""What makes a condition besides its setup."""


class Activity(NamedTuple):
    """What every network of a population did in the same trials."""

    rates: Float[np.ndarray, "S B T N"]
    """Firing rates."""
    outputs: Float[np.ndarray, "S B T O"]
    """The readouts, gamma included."""
    trial: Trial
    """The trials, [B, T, ...]."""


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Population:
    """Networks of one condition, before and after training; see `train_population`.

    Arrays lead with the axis of the networks, S. A diverged network has NaN in its activity: take
    `converged`, or `where`, before comparing.
    """

    setup: Setup
    """Task, cell (fitted to the task), recipe: what all networks share."""
    hyper: Hyper
    """Their traced settings: `seed` [S], the others one number."""
    initial: Params
    """Raw weights before training, each leaf [S, ...]."""
    params: Params
    """Raw weights after it."""
    results: xr.Dataset
    """Status, losses and accuracies over `seed`, as in a sweep (`rnnjax.sweep.FIELDS`)."""

    @property
    def task(self) -> Task:
        """What they were trained on."""
        return self.setup.task

    @property
    def cell(self) -> Cell:
        """What they are."""
        return self.setup.cell

    @property
    def recipe(self) -> Recipe:
        """How they were trained."""
        return self.setup.recipe

    @property
    def seeds(self) -> Int[np.ndarray, " S"]:
        """The seed of every network."""
        return np.asarray(self.hyper.seed)

    @property
    def status(self) -> tuple[Status, ...]:
        """How every network's training ended."""
        return tuple(Status(int(value)) for value in self.results["status"].values)

    @property
    def output_scale(self) -> float:
        """What the readouts are multiplied by, `rollout(..., output_scale=)`: 1, but for gamma."""
        return float(output_scale(self.cell, float(self.hyper.gamma)))

    def __len__(self) -> int:
        return len(self.seeds)

    def __repr__(self) -> str:
        ended = [status.name for status in self.status]
        counts = ", ".join(f"{ended.count(name)} {name}" for name in dict.fromkeys(ended))
        return (
            f"<Population of {len(self)}: {self.cell.name} N={self.cell.hidden} on "
            f"{self.task.name}, {self._settings()}; {counts}>"
        )

    def _settings(self) -> str:
        return " ".join(f"{name}={getattr(self.hyper, name):g}" for name in _SETTINGS)

    @property
    def converged(self) -> "Population":
        """Those that met the recipe's stopping rule; raises `ValueError` if there are none."""
        return self.where(self.results["status"].values == Status.CONVERGED)

    @property
    def left_out(self) -> dict[int, Status]:
        """Seeds of the networks that are not in `converged`, and how they ended."""
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
            ended = ", ".join(dict.fromkeys(status.name for status in self.status))
            raise ValueError(
                f"mask: expected at least one network of {self!r}, got none (they ended {ended})"
            )
        return self._rows(np.flatnonzero(chosen))

    def __getitem__(self, rows: slice) -> "Population":
        """The networks of a slice, `population[:8]`."""
        instance_of("rows", rows, slice)
        return self.where(np.isin(np.arange(len(self)), np.arange(len(self))[rows]))

    def _rows(self, rows: np.ndarray) -> "Population":
        return dataclasses.replace(
            self,
            hyper=self.hyper._replace(seed=self.seeds[rows]),
            initial={name: leaf[rows] for name, leaf in self.initial.items()},
            params={name: leaf[rows] for name, leaf in self.params.items()},
            results=self.results.isel(seed=rows),
        )

    def join(self, *others: "Population") -> "Population":
        """One population of these and the others' networks.

        Raises `ValueError` if a condition differs, naming the first field that does, or if two
        networks have the same seed.
        """
        mine = self._condition()
        for other in others:
            instance_of("others", other, Population)
            if difference := first_difference(mine, other._condition()):
                field, here, there = difference
                raise ValueError(
                    f"others: expected populations of one condition, got {field} = {here!r} and "
                    f"{there!r}"
                )
        parts = (self, *others)
        seeds = np.concatenate([part.seeds for part in parts])
        if len(set(seeds.tolist())) < len(seeds):
            raise ValueError(f"others: expected other seeds, got {sorted(seeds.tolist())}")

        def joined(trees: list[Params]) -> Params:
            return {name: np.concatenate([tree[name] for tree in trees]) for name in trees[0]}

        return dataclasses.replace(
            self,
            hyper=self.hyper._replace(seed=seeds),
            initial=joined([part.initial for part in parts]),
            params=joined([part.params for part in parts]),
            results=xr.concat([part.results for part in parts], "seed"),
        )

    def _condition(self) -> dict[str, Any]:
        """All that the networks have in common, as plain data."""
        settings = {name: float(getattr(self.hyper, name)) for name in _SETTINGS}
        return {**describe(self.setup), **settings}

    def _weights(self, when: str) -> Params:
        one_of("when", when, ("trained", "initial"))
        return self.params if when == "trained" else self.initial

    def connectivity(self, when: When = "trained") -> Float[np.ndarray, "S N N"]:
        """The effective recurrent weights, [network, to, from].

        Raises `ValueError` for a cell without such a matrix.
        """
        weights = self._weights(when)
        return np.asarray(jax.vmap(self.cell.connectivity)(weights))

    def trajectories(
        self, key: Key, trials: int, *, task: Task | None = None, when: When = "trained"
    ) -> Activity:
        """Every network in the same trials, `task.batch(key, trials)`.

        Args:
            key: decides the trials.
            trials: how many, B.
            task: another task of as many channels, such as `population.task.stretched(2)`; their
                own by default.
            when: with trained or with initial weights.

        Raises:
            ValueError: a task of other channels, no trials, or activity that does not fit into
                memory.
        """
        task = self._fitting(task)
        shape = (positive_integer("trials", trials), task.steps)
        units, outputs = self.cell.hidden, task.outputs
        self._require_memory(*shape, len(self) * 4 * (units + outputs))
        trial = task.batch(key, trials)
        rates = np.empty((len(self), *shape, units), np.float32)
        answers = np.empty((len(self), *shape, outputs), np.float32)
        for rows, (some_rates, some_answers) in self._each(_activity, trial, when):
            rates[rows], answers[rows] = some_rates, some_answers
        return Activity(rates, answers, jax.tree.map(np.asarray, trial))

    def outputs(
        self, key: Key, trials: int, *, task: Task | None = None, when: When = "trained"
    ) -> Float[np.ndarray, "S B T O"]:
        """The readouts of `trajectories`, without keeping the rates; the same arguments."""
        task = self._fitting(task)
        shape = (positive_integer("trials", trials), task.steps)
        self._require_memory(*shape, len(self) * 4 * task.outputs)
        trial = task.batch(key, trials)
        answers = np.empty((len(self), *shape, task.outputs), np.float32)
        for rows, some in self._each(_outputs, trial, when):
            answers[rows] = some
        return answers

    def losses(
        self, key: Key, trials: int, *, task: Task | None = None, when: When = "trained"
    ) -> Float[np.ndarray, " S"]:
        """Every network's loss on the same trials, reduced as in training, penalties apart.

        With `task=population.task.stretched(2)`, the out-of-distribution loss of study 2. The
        other arguments are those of `trajectories`; a diverged network has NaN.
        """
        task = self._fitting(task)
        self._require_memory(positive_integer("trials", trials), task.steps, 0)
        found = np.empty(len(self), np.float32)
        for rows, some in self._each(_losses, task.batch(key, trials), when):
            found[rows] = some
        return found

    def _fitting(self, task: Task | None) -> Task:
        """`task`, or their own; raises unless the networks have its channels."""
        task = instance_of("task", self.task if task is None else task, Task)
        if (task.inputs, task.outputs) != (self.cell.inputs, self.cell.outputs):
            raise ValueError(
                f"task: expected {self.cell.inputs} inputs and {self.cell.outputs} outputs, got "
                f"{task.inputs} and {task.outputs} of {task.name!r}"
            )
        return task

    def _require_memory(self, trials: int, steps: int, each: float) -> None:
        """Raises unless there is room for `each` bytes per step of a trial, and for the work."""
        group = min(len(self), _group(_layout()))
        needed = trials * steps * (each + 4 * group * (4 * self.cell.hidden + 4 * self.task.inputs))
        free = cost.free_memory()
        if needed > free:
            raise ValueError(
                f"trials: expected activity that fits into the {free / 2**30:.1f} GiB of free "
                f"memory, got {len(self)} networks of {self.cell.hidden} units in {trials} trials "
                f"of {steps} steps, {needed / 2**30:.1f} GiB"
            )

    def _each(
        self, program: Callable[..., Any], trial: Trial, when: When
    ) -> Iterator[tuple[slice, Any]]:
        """Results of `program` for a group of networks at a time, and their rows."""
        weights, layout = self._weights(when), _layout()
        group = _group(layout)
        scale = jnp.asarray(self.output_scale, jnp.float32)
        for begin in range(0, len(self), group):
            rows = slice(begin, min(begin + group, len(self)))
            index = np.minimum(np.arange(begin, begin + group), len(self) - 1)  # the last, repeated
            some = jax.device_put({n: leaf[index] for n, leaf in weights.items()},
                                  layout.sharding())  # fmt: skip
            found = program(self.setup, layout, some, trial, scale)
            yield rows, jax.tree.map(lambda x, n=rows.stop - begin: np.asarray(x)[:n], found)

    def ntk_gram(
        self,
        key: Key,
        *,
        trials: int = 16,
        times: int = 5,
        task: Task | None = None,
        leaves: Sequence[str] | None = None,
        when: When = "trained",
    ) -> Float[np.ndarray, "S R R"]:
        """Tangent kernels of all networks on one probe: R = trials x times x outputs.

        See `rnnjax.metrics.features.ntk_gram`, whose gradients are here those of raw weights.

        Args:
            key: decides the probe's trials; take the same before and after training.
            trials: how many.
            times: steps of each trial that are probed, the last of as many equal parts.
            task: whose trials; their own task by default.
            leaves: names of the weights to differentiate by; all by default.
            when: with trained or with initial weights.

        Raises:
            ValueError: a task of other channels, more times than steps, an unknown leaf, or a
                network whose gradients are not finite.
        """
        grams = self._grams(key, trials, times, task, leaves, when)
        return np.stack(list(grams))

    def kernel_alignment(
        self,
        key: Key,
        *,
        trials: int = 16,
        times: int = 5,
        task: Task | None = None,
        leaves: Sequence[str] | None = None,
    ) -> Float[np.ndarray, " S"]:
        """Alignment of every network's tangent kernels before and after training.

        1 for a network whose features did not move (`rnnjax.metrics.features.kernel_alignment`);
        the arguments are those of `ntk_gram`.
        """
        before = self._grams(key, trials, times, task, leaves, "initial")
        after = self._grams(key, trials, times, task, leaves, "trained")
        pairs = zip(before, after, strict=True)
        return np.array([metrics.features.kernel_alignment(*pair) for pair in pairs])

    def _grams(
        self,
        key: Key,
        trials: int,
        times: int,
        task: Task | None,
        leaves: Sequence[str] | None,
        when: When,
    ) -> Iterator[np.ndarray]:
        task = self._fitting(task)
        if positive_integer("times", times) > task.steps:
            raise ValueError(f"times: expected at most {task.steps}, got {times}")
        probed = tuple(math.ceil((k + 1) * task.steps / times) - 1 for k in range(times))
        apply = _probe(self.cell, self.output_scale, probed)
        inputs = task.batch(key, positive_integer("trials", trials)).inputs
        weights = self._weights(when)
        for row in range(len(self)):
            one = {name: leaf[row] for name, leaf in weights.items()}
            yield metrics.features.ntk_gram(apply, one, inputs, leaves=leaves)

    def save(self, store: str | Path) -> None:
        """Writes the population into a new folder, which `load_population` reads.

        It is the folder that `train_population(..., store=)` makes. Raises `StoreError` if the
        folder holds something already.
        """
        path, sweep = Path(store), _sweep(self.setup, self.hyper)
        engine = Engine(**self.results["step"].attrs)
        template = empty_results(sweep, engine.points, engine.spacing)
        if path.exists() and any(path.iterdir()):
            raise StoreError(f"store: expected a new folder, got {path}, which holds something")
        cells = np.zeros((len(self), len(sweep.shape)), int)
        cells[:, -1] = np.arange(len(self))
        with ResultStore(path, template, sweep_config(sweep, engine)) as sink:
            save_parameters(path, "all", initial=self.initial, trained=self.params)
            values = {str(name): self.results[name].values for name in template.data_vars}
            sink.write("all", cells, values, seconds=float(self.results["seconds"].sum()))


def _sweep(setup: Setup, hyper: Hyper) -> Sweep:
    """The sweep of one condition."""
    axes: dict[str, Any] = {"learning_rate": [float(hyper.learning_rate)]}
    if setup.cell.parametrization.output_gamma:
        axes["gamma"] = [float(hyper.gamma)]
    for name in setup.recipe.penalties:
        axes[name] = [float(getattr(hyper, name))]
    axes["seed"] = np.asarray(hyper.seed).tolist()
    return Sweep(setup.task, setup.cell, setup.recipe, axes, setup.evaluation_trials)


def _layout() -> Layout:
    """All local devices; whoever has too few was told so when training."""
    return default_layout(len(jax.local_devices()))


def _group(layout: Layout) -> int:
    """Networks per call of a program."""
    return layout.padded(1) if layout.map_width == 1 else 8 * layout.lanes


def _run(setup: Setup, params: Params, trial: Trial, scale: Scalar):
    with jax.default_matmul_precision("float32"):
        return rollout(setup.cell, params, trial.inputs, output_scale=scale)


@functools.partial(jax.jit, static_argnames=("setup", "layout"))
def _activity(setup: Setup, layout: Layout, params: Params, trial: Trial, scale: Scalar):
    """Rates [S, B, T, N] and outputs [S, B, T, O]."""

    def one(params: Params) -> tuple[Array, Array]:
        cell = setup.cell
        states, inputs = _run(setup, params, trial, scale), trial.inputs
        rest = cell.initial_state(params)
        rates = jax.vmap(lambda s, u: cell.rates(params, s, u, rest))(states.states, inputs)
        return rates, states.outputs

    return layout.map(one, params)


@functools.partial(jax.jit, static_argnames=("setup", "layout"))
def _outputs(setup: Setup, layout: Layout, params: Params, trial: Trial, scale: Scalar):
    """Outputs [S, B, T, O]."""
    return layout.map(lambda one: _run(setup, one, trial, scale).outputs, params)


@functools.partial(jax.jit, static_argnames=("setup", "layout"))
def _losses(setup: Setup, layout: Layout, params: Params, trial: Trial, scale: Scalar):
    """Losses [S]."""

    def one(params: Params) -> Array:
        outputs = _run(setup, params, trial, scale).outputs
        return accuracy.mean_squared_error(outputs, trial.targets, setup.recipe.reduction)

    return layout.map(one, params)


@functools.lru_cache(maxsize=64)
def _probe(cell: Cell, scale: float, times: tuple[int, ...]) -> Callable[[Any, Array], Array]:
    """Outputs at some steps; one function per argument, so that programs are compiled once."""

    def apply(params: Params, inputs: Array) -> Array:
        return rollout(cell, params, inputs, output_scale=scale).outputs[:, np.array(times)]

    return apply


def train_population(
    task: Task,
    cell: Cell,
    recipe: Recipe,
    *,
    learning_rate: float,
    seeds: int | Sequence[int],
    gamma: float = 1.0,
    l1: float = 0.0,
    nuclear: float = 0.0,
    store: str | Path | None = None,
    evaluation_trials: int = 200,
    progress: Progress | None = None,
    engine: Engine | None = None,
) -> Population:
    """Trains networks that differ in nothing but their seeds.

    For example, fifty networks of study 2, each trained until it is good enough:

        population = rnnjax.train_population(
            rnnjax.tasks.flip_flop(3, p=0.3),
            rnnjax.cells.rate(64, alpha=1, bias=True, init="uniform"),
            rnnjax.Recipe.until(0.001),
            learning_rate=1e-3, seeds=50, store="runs/flip_flop",
        )

    With a store, finished blocks of networks are kept as they come, and the same call after an
    interruption goes on where it was. Each member is, at map width 1, to the last bit what
    `train_one` makes of its seed.

    Args:
        task: what they learn.
        cell: the network; its inputs and outputs follow the task.
        recipe: how they are trained.
        learning_rate: the optimizer's rate.
        seeds: how many networks, with seeds from 0, or the seeds themselves.
        gamma: strength of feature learning, under a rule that knows it.
        l1: strength of the penalty on the sum of |w|, in a recipe that has it.
        nuclear: strength of the penalty on the sum of singular values, likewise.
        store: folder of the population; without one it stays in memory.
        evaluation_trials: held-out trials on which every network is evaluated at the end.
        progress: hears after every segment, such as `rnnjax.ProgressBar()`.
        engine: how to compute; the defaults fit the machine.

    Raises:
        ValueError: a setting that is out of range, or that neither rule nor recipe knows, or a
            store that is in use, damaged or of another config (`StoreError`).
    """
    instance_of("task", task, Task)
    instance_of("recipe", recipe, Recipe)
    hyper = Hyper(
        learning_rate=validate.learning_rate("learning_rate", learning_rate),
        seed=_chosen_seeds(seeds),
        gamma=validate.learning_rate("gamma", gamma),
        l1=validate.nonnegative("l1", l1),
        nuclear=validate.nonnegative("nuclear", nuclear),
    )
    setup = Setup(task, fitted(cell, task), recipe, evaluation_trials)
    setup.require_settings(hyper)
    sweep = _sweep(setup, hyper)
    if store is not None:
        run_sweep(sweep, store, keep_parameters=True, progress=progress, engine=engine)
        return load_population(store)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "store"
        run_sweep(sweep, path, keep_parameters=True, progress=progress, engine=engine)
        return load_population(path)


def _chosen_seeds(seeds: Any) -> np.ndarray:
    if isinstance(seeds, Sequence | np.ndarray) and not isinstance(seeds, str):
        if not len(seeds):
            raise ValueError("seeds: expected at least one, got none")
        return np.array([validate.seed("seeds", seed) for seed in seeds])
    return np.arange(positive_integer("seeds", seeds))


def load_population(store: str | Path, **labels: Any) -> Population:
    """The population of one condition, from a store that keeps weights.

    Args:
        store: the folder given to `train_population`, or to `run_sweep` with `keep_parameters`.
        labels: the condition's labels on the sweep's axes, such as `hidden=64, gamma=2.0`; axes of
            one value need none.

    Raises:
        ValueError: labels that are not on the axes, or a store that is damaged, kept no weights,
            holds no finished network of the condition, or is of specs unknown here (`StoreError`).
    """
    sweep, results = load_sweep(store), load_results(store)
    others = [axis for axis in sweep.dimensions if axis.name != "seed"]
    for name in labels:
        one_of("labels", name, [axis.name for axis in others])
    place = {a.name: axis_position(a.name, np.array(a.labels), labels) for a in others}
    here = results.isel(place)
    finished = np.flatnonzero(here["status"].values != Status.PENDING).tolist()
    if not finished:
        raise StoreError(f"store: {store} holds no finished network of this condition yet")
    weights = load_weights(store, [[*place.values(), row] for row in finished])
    settings = {a.name: a.values[place[a.name]] for a in sweep.traced_axes if a.name != "seed"}
    return Population(
        setup=dict(sweep.setups())[tuple(place[axis.name] for axis in sweep.static_axes)],
        hyper=Hyper(seed=np.array(sweep.axis("seed").values)[finished], **settings),
        initial=weights.initial,
        params=weights.trained,
        results=here.isel(seed=finished),
    )
