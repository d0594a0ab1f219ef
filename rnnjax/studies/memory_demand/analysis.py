"""Memory demand of a task: the length of the past that predicts its next target."""

import dataclasses
import functools
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import xarray as xr

from rnnjax.devices import Layout, default_layout, fixed_draws, padded_index
from rnnjax.studies.memory_demand.config import HISTORIES
from rnnjax.tasks import Task, Trial
from rnnjax.tasks.checking import require_trial
from rnnjax.typing import Array, Bool, Float, Int, Key, Scalar
from rnnjax.validate import finite_positive, fraction, instance_of, one_of, positive_integer, whole

__all__ = [
    "PredictorOptions",
    "Window",
    "checked_histories",
    "memory_demand",
    "sufficient_history",
    "with_demand",
]

FEATURES = ("inputs", "targets")
BEFORE = ("first", "silence")

# Share of the targets' variance below which a difference is attributed to the perceptrons.
_NEGLIGIBLE = 1e-3


@dataclasses.dataclass(frozen=True)
class Window:
    """The part of the past that the predictors receive.

    Raises `ValueError` for an unknown name or a lead other than 0 and 1.
    """

    features: str = "inputs"
    """`inputs`: x alone; `targets`: y too, before the current step."""
    lead: int = 0
    """0 for windows that end at x_t, as in the paper; 1 for x_{t+1}, on which y_{t+1} may depend,
    since targets of this package respond to the input of their own step."""
    before: str = "first"
    """The entries before the trial: its `first` step repeated, or `silence`, whose end marks the
    time in the trial even where the task does not."""

    def __post_init__(self):
        one_of("features", self.features, FEATURES)
        one_of("before", self.before, BEFORE)
        if whole("lead", self.lead) > 1:
            raise ValueError(f"lead: expected 0 or 1, got {self.lead}")


@dataclasses.dataclass(frozen=True)
class PredictorOptions:
    """Size and training of the predictors. Raises `ValueError` for numbers out of range."""

    initializations: int = 5
    """Perceptrons for every h."""
    units: int = 64
    """Rectified units of each."""
    steps: int = 5000
    """Steps of Adam, with a rate that falls to 0 as a cosine."""
    batch: int = 256
    """Windows per step."""
    learning_rate: float = 3e-3
    """Rate of the first step."""
    trials: int = 1024
    """Training trials; a quarter as many are held out."""
    tolerance: float = 0.05
    """Share of the fall in error that the sufficient history may lack."""
    seed: int = 0
    """Seed of trials, weights and batches."""

    def __post_init__(self):
        for name in ("initializations", "units", "steps", "batch", "trials"):
            positive_integer(name, getattr(self, name))
        finite_positive("learning_rate", self.learning_rate)
        fraction("tolerance", self.tolerance)
        whole("seed", self.seed)


class _Spec(NamedTuple):
    """The static part of a program that trains predictors."""

    layout: Layout
    units: int
    batch: int
    steps: int
    learning_rate: float


class _Predictor(nn.Module):
    """Two layers of weights with a rectifier between them."""

    units: int
    outputs: int

    @nn.compact
    def __call__(self, features: Float[Array, "B F"]) -> Float[Array, "B O"]:
        return nn.Dense(self.outputs)(nn.relu(nn.Dense(self.units)(features)))


class _Samples(NamedTuple):
    """Windows, the targets at their ends, and those that follow."""

    past: Float[Array, "B P C"]
    """Every trial, preceded by the entries before it; the window of step t starts at row t."""
    now: Float[Array, "B T O"]
    """The current target y_t, which every predictor receives."""
    following: Float[Array, "B T O"]
    """The target to be predicted, y_{t+1}."""


@fixed_draws()
def memory_demand(
    task: Task,
    histories: Sequence[int] = HISTORIES,
    window: Window = Window(),
    options: PredictorOptions = PredictorOptions(),
) -> xr.Dataset:
    """Held-out error of predicting y_{t+1} from h steps of the past, and the sufficient h.

    The features are `[x_{t-h+1}, ..., x_t; y_t]` (appendix C of the paper), inputs standardized. A
    two-layer perceptron is trained on them for every h and initialization, all in one program. The
    demand is the smallest h whose error exceeds the lowest by no more than `options.tolerance` of
    the fall from the first h to the best, two standard errors of the best, or a thousandth of the
    targets' variance.

    Args:
        task: the task.
        histories: two or more lengths h of the window, ascending, the first at least 1.
        window: further features, and the end of the window.
        options: size and training of the perceptrons.

    Returns:
        `error` over `history` and `initialization`; `demand`, and whether it is `censored`, that
        is, the last history, so that a longer one may be needed; `variance` of the targets.

    Raises:
        ValueError: histories that do not ascend, are longer than the trial or fewer than two.
    """
    instance_of("task", task, Task)
    lengths = checked_histories(task, histories)
    key = jax.random.key(options.seed)
    counts = (options.trials, max(options.trials // 4, 1))
    drawn, kept = (
        require_trial(task, task.batch(jax.random.fold_in(key, stream), count), count)
        for stream, count in enumerate(counts)
    )
    train, held = _windows(drawn, kept, lengths[-1], window)
    error = _held_out_errors(train, held, lengths, options, jax.random.fold_in(key, 2))
    variance = float(np.var(np.asarray(kept.targets), axis=(0, 1)).mean())
    errors = xr.Dataset(
        {"error": (("history", "initialization"), error), "variance": ((), variance)},
        {"history": lengths, "initialization": np.arange(options.initializations)},
    )
    return with_demand(errors, options.tolerance)


def with_demand(errors: xr.Dataset, tolerance: float) -> xr.Dataset:
    """The result of `memory_demand` from its `error` and `variance`, for any tolerance."""
    error, lengths = errors["error"].values, errors["history"].values
    place = sufficient_history(error, tolerance, _NEGLIGIBLE * float(errors["variance"]))
    censored = 0 < place == len(lengths) - 1
    return errors.assign(demand=((), lengths[place]), censored=((), censored))


def _windows(drawn: Trial, kept: Trial, longest: int, window: Window) -> tuple[_Samples, _Samples]:
    """Samples of the training and of the held-out trials, standardized by the training inputs."""
    # Raw inputs, such as frequencies to 30, would dominate the other features.
    mean = jnp.mean(drawn.inputs, axis=(0, 1), keepdims=True)
    spread = jnp.std(drawn.inputs, axis=(0, 1), keepdims=True)
    scale = jnp.where(spread > 0, spread, 1.0)
    train, held = (_samples(trial, mean, scale, longest, window) for trial in (drawn, kept))
    return train, held


def _held_out_errors(
    train: _Samples, held: _Samples, lengths: list[int], options: PredictorOptions, key: Key
) -> np.ndarray:
    """Held-out error of every predictor, [histories, initializations]."""
    layout, count = default_layout(), options.initializations
    spec = _Spec(layout, options.units, options.batch, options.steps, options.learning_rate)
    runs = len(lengths) * count
    order = padded_index(0, layout.padded(runs), runs)
    rows = np.arange(lengths[-1]) >= lengths[-1] - np.array(lengths)[:, None]
    keys = jax.vmap(functools.partial(jax.random.fold_in, key))(order)
    errors = _errors(spec, train, held, jnp.asarray(rows[order // count]), keys)
    return np.asarray(errors, np.float64)[:runs].reshape(len(lengths), count)


def checked_histories(task: Task, histories: Sequence[int]) -> list[int]:
    """`histories`, if there are several, they ascend and none is longer than a trial of `task`."""
    if isinstance(histories, str) or not isinstance(histories, Iterable):
        raise ValueError(f"histories: expected a sequence of lengths, got {histories!r}")
    lengths = [positive_integer("histories", h) for h in histories]
    if len(lengths) == 1:  # a demand is where longer histories no longer help
        raise ValueError(f"histories: expected at least two lengths, got {lengths}")
    if not lengths or lengths != sorted(set(lengths)) or lengths[-1] > task.steps:
        raise ValueError(
            f"histories: expected ascending lengths up to the {task.steps} steps of a trial of "
            f"{task.name!r}, got {lengths}"
        )
    return lengths


def sufficient_history(error: np.ndarray, tolerance: float, negligible: float = 0.0) -> int:
    """Index of the first history with a mean error about as low as the lowest.

    The mean of `error` [histories, initializations] may exceed the lowest by `tolerance` of the
    fall from the first history, by two standard errors of the lowest, or by `negligible`.
    """
    means, count = error.mean(1), error.shape[1]
    best = int(means.argmin())
    noise = 2 * error[best].std(ddof=1) / np.sqrt(count) if count > 1 else 0.0
    allowed = max(tolerance * (means[0] - means[best]), noise, negligible)
    return int(np.argmax(means <= means[best] + allowed))


def _samples(trial: Trial, mean: Array, scale: Array, longest: int, window: Window) -> _Samples:
    """The samples of `trial`, with inputs standardized by `mean` and `scale`."""
    inputs, targets = trial.inputs, trial.targets
    steps = targets.shape[1]
    lead, filled = window.lead, int(window.before == "first")  # else zeros
    past = jnp.concatenate([filled * inputs[:, :1].repeat(longest - 1, axis=1), inputs], axis=1)
    past = (past - mean) / scale
    if window.features == "targets":  # beside the input of step s the target of step s - lead
        earlier = targets[:, :1].repeat(longest - 1 + lead, axis=1)
        answers = jnp.concatenate([filled * earlier, targets], axis=1)[:, : past.shape[1]]
        past = jnp.concatenate([past, answers], axis=-1)
    return _Samples(past[:, lead:], targets[:, : steps - 1], targets[:, 1:])


def _features(
    samples: _Samples, rows: Bool[Array, " H"], which: Int[Array, " B"]
) -> tuple[Array, Array]:
    """Features and targets of the samples numbered `which`; rows not in `rows` are zero."""
    times = samples.now.shape[1]
    trial, time = which // times, which % times
    at = time[:, None] + jnp.arange(len(rows))[None]
    windows = jnp.where(rows[None, :, None], samples.past[trial[:, None], at], 0.0)
    flat = windows.reshape(len(which), -1)
    now = samples.now[trial, time]
    return jnp.concatenate([flat, now], axis=-1), samples.following[trial, time]


@functools.partial(jax.jit, static_argnames=("spec",))
def _errors(
    spec: _Spec, train: _Samples, held: _Samples, rows: Bool[Array, "S H"], keys: Key
) -> Float[Array, " S"]:
    """Held-out error of every predictor, each trained on its own `rows` of the window."""
    return spec.layout.map(lambda run: _error(spec, train, held, *run), (rows, keys))


def _error(
    spec: _Spec, train: _Samples, held: _Samples, rows: Bool[Array, " H"], key: Key
) -> Scalar:
    outputs = train.now.shape[-1]
    model = _Predictor(spec.units, outputs)
    weights_key, batches_key = jax.random.split(key)
    features, _ = _features(train, rows, jnp.zeros(1, int))
    params: Any = model.init(weights_key, features)
    # Initial weights as for a network whose only inputs are its own rows.
    width = train.past.shape[-1]
    used, total = jnp.sum(rows) * width + outputs, features.shape[-1]
    first = params["params"]["Dense_0"]
    first["kernel"] = first["kernel"] * jnp.sqrt(total / used)
    optimizer = optax.adam(optax.cosine_decay_schedule(spec.learning_rate, spec.steps))

    def objective(params: Any, which: Array, samples: _Samples) -> Scalar:
        features, wanted = _features(samples, rows, which)
        predicted: Any = model.apply(params, features)
        return jnp.mean(jnp.square(predicted - wanted))

    def step(carry, number):
        params, state = carry
        draw = jax.random.fold_in(batches_key, number)
        count = train.now.shape[0] * train.now.shape[1]
        which = jax.random.randint(draw, (spec.batch,), 0, count)
        change, state = optimizer.update(jax.grad(objective)(params, which, train), state)
        return (optax.apply_updates(params, change), state), None

    (params, _), _ = jax.lax.scan(step, (params, optimizer.init(params)), jnp.arange(spec.steps))
    times = held.now.shape[1]
    every = jnp.arange(held.now.shape[0] * times).reshape(-1, times)  # a trial at a time
    return jnp.mean(jax.lax.map(lambda which: objective(params, which, held), every))
