"""Memory demand of a task: how long a window of its past predicts the next target (study 2, C)."""

import functools
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import xarray as xr

from rnnjax.sweep import Layout, default_layout
from rnnjax.tasks import Task, Trial
from rnnjax.typing import Array, Bool, Float, Int, Key, Scalar
from rnnjax.validate import finite_positive, fraction, instance_of, one_of, positive_integer, whole

__all__ = ["checked_histories", "enough", "memory_demand"]

WINDOWS = ("inputs", "targets")
BEFORE = ("first", "silence")

# Share of the targets' variance below which a difference is the perceptrons', not the task's.
_NEGLIGIBLE = 1e-3


class _Spec(NamedTuple):
    """What one compiled program trains predictors of."""

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
    """What windows are cut from: every trial and what fills the time before it; the window of step
    t starts at row t."""
    now: Float[Array, "B T O"]
    """The target that every predictor sees, y_t."""
    following: Float[Array, "B T O"]
    """The target to be predicted, y_{t+1}."""


def memory_demand(
    task: Task,
    histories: Sequence[int] = (1, 2, 3, 4, 5, 6, 8, 10, 15, 20, 22, 23, 24, 25, 26, 27, 28, 30),
    *,
    window: str = "inputs",
    lead: int = 0,
    before: str = "first",
    initializations: int = 5,
    units: int = 64,
    steps: int = 5000,
    batch: int = 256,
    learning_rate: float = 3e-3,
    trials: int = 1024,
    tolerance: float = 0.05,
    seed: int = 0,
) -> xr.Dataset:
    """Held-out error of predicting y_{t+1} from h steps of the past, and the h that is enough.

    The features are `[x_{t-h+1}, ..., x_t; y_t]` (study 2, appendix C), inputs standardized. A
    two-layer perceptron is trained on them for every h and initialization, all in one program. The
    demand is the smallest h whose error exceeds the best by no more than `tolerance` of the fall
    from the first h to the best, two standard errors of the best, or a thousandth of the targets'
    variance.

    Args:
        task: what is asked.
        histories: lengths h of the window, ascending, the first at least 1.
        window: `inputs`, or `targets`, which adds `y_{t-h+1}, ..., y_{t-1}`.
        lead: 0 for windows that end at x_t, as the paper writes it. 1 for x_{t+1}: targets of this
            package answer the input of their own step, so that y_{t+1} may depend on x_{t+1}.
        before: what fills windows that reach back before the trial: its `first` step again, or
            `silence`, whose end is a clock that the task need not have.
        initializations: perceptrons per h.
        units: rectifiers of each.
        steps: Adam's steps, on a rate that falls to 0 as a cosine.
        batch: windows per step.
        learning_rate: Adam's first rate.
        trials: trials to train on; a quarter as many are held out.
        tolerance: see above.
        seed: decides trials, weights and batches.

    Returns:
        `error` over `history` and `initialization`; `demand`, and whether it is `censored`, being
        the last of several histories, so that a longer one might be asked for; `variance` of the
        targets.

    Raises:
        ValueError: histories that do not ascend, are longer than the trial, or numbers out of
            range.
    """
    instance_of("task", task, Task)
    lengths = checked_histories(task, histories)
    one_of("window", window, WINDOWS)
    one_of("before", before, BEFORE)
    if whole("lead", lead) > 1:
        raise ValueError(f"lead: expected 0 or 1, got {lead}")
    fraction("tolerance", tolerance)
    finite_positive("learning_rate", learning_rate)
    layout, count = default_layout(), positive_integer("initializations", initializations)
    spec = _Spec(
        layout,
        positive_integer("units", units),
        positive_integer("batch", batch),
        positive_integer("steps", steps),
        learning_rate,
    )
    key = jax.random.key(whole("seed", seed))
    drawn = task.batch(jax.random.fold_in(key, 0), positive_integer("trials", trials))
    kept = task.batch(jax.random.fold_in(key, 1), max(trials // 4, 1))
    # Raw inputs, such as frequencies to 30, would swamp the rest.
    mean = jnp.mean(drawn.inputs, axis=(0, 1), keepdims=True)
    spread = jnp.std(drawn.inputs, axis=(0, 1), keepdims=True)
    scale = jnp.where(spread > 0, spread, 1.0)
    train, held = (
        _samples(trial, mean, scale, longest=lengths[-1], lead=lead, window=window, before=before)
        for trial in (drawn, kept)
    )
    runs = len(lengths) * count
    order = np.minimum(np.arange(layout.padded(runs)), runs - 1)  # the last one fills the lanes
    kept_rows = np.arange(lengths[-1]) >= lengths[-1] - np.array(lengths)[:, None]
    keys = jax.vmap(functools.partial(jax.random.fold_in, jax.random.fold_in(key, 2)))(order)
    errors = _errors(spec, train, held, jnp.asarray(kept_rows[order // count]), keys)
    error = np.asarray(errors, np.float64)[:runs].reshape(len(lengths), count)
    variance = float(np.var(np.asarray(kept.targets), axis=(0, 1)).mean())
    place = enough(error, tolerance, _NEGLIGIBLE * variance)
    return xr.Dataset(
        {
            "error": (("history", "initialization"), error),
            "demand": ((), lengths[place]),
            "censored": ((), 0 < place == len(lengths) - 1),
            "variance": ((), variance),
        },
        {"history": lengths, "initialization": np.arange(count)},
    )


def checked_histories(task: Task, histories: Sequence[int]) -> list[int]:
    """`histories`, if they ascend and none is longer than a trial of `task`."""
    if isinstance(histories, str) or not isinstance(histories, Iterable):
        raise ValueError(f"histories: expected a sequence of lengths, got {histories!r}")
    lengths = [positive_integer("histories", h) for h in histories]
    if not lengths or lengths != sorted(set(lengths)) or lengths[-1] > task.steps:
        raise ValueError(
            f"histories: expected ascending lengths up to the {task.steps} steps of a trial of "
            f"{task.name!r}, got {lengths}"
        )
    return lengths


def enough(error: np.ndarray, tolerance: float, negligible: float = 0.0) -> int:
    """Index of the first history whose mean error [H, initializations] is as good as the best's."""
    means, count = error.mean(1), error.shape[1]
    best = int(means.argmin())
    noise = 2 * error[best].std(ddof=1) / np.sqrt(count) if count > 1 else 0.0
    allowed = max(tolerance * (means[0] - means[best]), noise, negligible)
    return int(np.argmax(means <= means[best] + allowed))


def _samples(
    trial: Trial, mean: Array, scale: Array, *, longest: int, lead: int, window: str, before: str
) -> _Samples:
    """Inputs are standardized by `mean` and `scale`, those of the trials to train on."""
    inputs, targets = trial.inputs, trial.targets
    steps = targets.shape[1]
    filled = int(before == "first")  # else zeros
    past = jnp.concatenate([filled * inputs[:, :1].repeat(longest - 1, axis=1), inputs], axis=1)
    past = (past - mean) / scale
    if window == "targets":  # beside the input of step s the target of step s - lead
        earlier = targets[:, :1].repeat(longest - 1 + lead, axis=1)
        answers = jnp.concatenate([filled * earlier, targets], axis=1)[:, : past.shape[1]]
        past = jnp.concatenate([past, answers], axis=-1)
    return _Samples(past[:, lead:], targets[:, : steps - 1], targets[:, 1:])


def _features(
    samples: _Samples, rows: Bool[Array, " H"], which: Int[Array, " B"]
) -> tuple[Array, Array]:
    """Features and targets of the samples numbered `which`, with the older rows blanked."""
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
    """Held-out error of every predictor, each trained on the rows of the window that it sees."""
    return spec.layout.map(lambda run: _error(spec, train, held, *run), (rows, keys))


def _error(
    spec: _Spec, train: _Samples, held: _Samples, rows: Bool[Array, " H"], key: Key
) -> Scalar:
    outputs = train.now.shape[-1]
    model = _Predictor(spec.units, outputs)
    initial_params, drawing = jax.random.split(key)
    features, _ = _features(train, rows, jnp.zeros(1, int))
    params: Any = model.init(initial_params, features)
    # The initial weights are those of a network with no more inputs than it sees.
    width = train.past.shape[-1]
    seen, all_of_them = jnp.sum(rows) * width + outputs, features.shape[-1]
    first = params["params"]["Dense_0"]
    first["kernel"] = first["kernel"] * jnp.sqrt(all_of_them / seen)
    optimizer = optax.adam(optax.cosine_decay_schedule(spec.learning_rate, spec.steps))

    def objective(params: Any, which: Array, samples: _Samples) -> Scalar:
        features, wanted = _features(samples, rows, which)
        predicted: Any = model.apply(params, features)
        return jnp.mean(jnp.square(predicted - wanted))

    def step(carried, number):
        params, state = carried
        draw = jax.random.fold_in(drawing, number)
        count = train.now.shape[0] * train.now.shape[1]
        which = jax.random.randint(draw, (spec.batch,), 0, count)
        change, state = optimizer.update(jax.grad(objective)(params, which, train), state)
        return (optax.apply_updates(params, change), state), None

    (params, _), _ = jax.lax.scan(step, (params, optimizer.init(params)), jnp.arange(spec.steps))
    times = held.now.shape[1]
    every = jnp.arange(held.now.shape[0] * times).reshape(-1, times)  # a trial at a time
    return jnp.mean(jax.lax.map(lambda which: objective(params, which, held), every))
