"""Checks of a task that a user has written."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rnnjax.arrays import random_key
from rnnjax.contract import ROUNDING, agree, reproduced, require_copies, require_frozen, traced
from rnnjax.tasks.base import Task, Trial, VariantError
from rnnjax.typing import KeyLike
from rnnjax.validate import (
    counted,
    finite_positive,
    fraction,
    instance_of,
    one_of,
    positive_integer,
    whole,
)

__all__ = ["check", "require_task", "require_trial"]

_REAL = (jnp.floating, jnp.integer, jnp.bool_)


def check(task: Task, *, key: KeyLike = 0, trials: int = 64, stretch: float = 2.0) -> str:
    """Checks that a task keeps the contract of `rnnjax.tasks.Task`; returns a summary.

    A task is a frozen dataclass. Its `sample` draws from the key alone, the same eagerly and
    compiled, and another trial for another key. Inputs [T, I], targets [T, O] and mask [T, O] are
    finite; the mask is 0 or 1, with a response in every trial. The stretched variant, where there
    is one, is a task of the same channels that is at least as long (of a factor of at least 1).

    Args:
        task: the task, such as `Evidence()`.
        key: draws the trials.
        trials: number of trials whose values are checked.
        stretch: factor of the stretched variant.

    Raises:
        ValueError: the first rule that the task breaks, and what to change.
    """
    if isinstance(task, type):
        raise ValueError(f"task: expected an instance, such as {task.__name__}(), got the class")
    instance_of("task", task, Task)
    key, trials = random_key("key", key), whole("trials", trials, least=2)
    require_task(task)
    require_copies("task", task)
    _check_sampling(task, key)
    batch = traced("batch", lambda k: task.batch(k, trials), key)
    _check_values(batch, trials, argmax=task.decision == "argmax")
    response = float(np.asarray(batch.mask).mean())
    low, high = (float(end(np.asarray(batch.targets))) for end in (np.min, np.max))
    return (
        f"{task.name}: {counted(task.steps, 'step')}, {counted(task.inputs, 'input')}, "
        f"{counted(task.outputs, 'output')}; targets "
        f"from {low:.3g} to {high:.3g}, response in {response:.0%} of a trial; "
        f"{_check_stretched(task, stretch, key)}"
    )


def require_task(task: Task) -> None:
    """Raises `ValueError` unless a task is a frozen dataclass with valid attributes.

    No trial is drawn, since that would start JAX's backend.
    """
    require_frozen("task", task)
    if not isinstance(getattr(task, "name", None), str):
        raise ValueError("name: expected a string in the class, as name = 'my_task', got none")
    for name in ("inputs", "outputs", "steps"):
        positive_integer(name, getattr(task, name))
    one_of("decision", task.decision, ("argmax", "sign"))
    if task.decision == "argmax" and task.outputs < 2:
        raise ValueError(f"decision: expected at least 2 outputs for 'argmax', got {task.outputs}")
    if fraction("criterion", task.criterion) == 1:
        raise ValueError("criterion: expected a number in [0, 1), to be exceeded, got 1")


def _check_sampling(task: Task, key: Any) -> None:
    """The eager trial, its shapes, and the same trial compiled."""
    trial = reproduced("sample", lambda k: require_trial(task, task.sample(k)), key)
    if not agree(trial, traced("sample", task.sample, key), floor=ROUNDING):
        raise ValueError(
            "sample: expected the same trial eagerly and compiled, got others; values that Python "
            "or NumPy draws are fixed when JAX compiles"
        )


def require_trial(task: Task, trial: Any, *batch: int) -> Trial:
    """Returns a trial, or a batch of them, if its arrays have the shapes that the task states.

    Others would be broadcast, which gives wrong losses and accuracies. Arrays may be traced.
    Targets and mask have at least single precision: sums of narrower numbers overflow.
    """
    if not isinstance(trial, Trial):
        raise ValueError(
            f"sample: expected a rnnjax.tasks.Trial(inputs, targets, mask), got a "
            f"{type(trial).__name__}"
        )
    channels = {"inputs": task.inputs, "targets": task.outputs, "mask": task.outputs}
    for name, count in channels.items():
        values, expected = getattr(trial, name), (*batch, task.steps, count)
        if not isinstance(values, jax.Array | np.ndarray):
            got = f"a {type(values).__name__}"
        elif not any(jnp.issubdtype(values.dtype, kind) for kind in _REAL):
            got = f"numbers of type {values.dtype}"
        elif values.shape != expected:
            axes = "[B, T, channels]" if batch else "[T, channels]"
            raise ValueError(f"{name}: expected shape {axes} = {expected}, got {values.shape}")
        else:
            continue
        raise ValueError(f"{name}: expected an array of real numbers, as of jax.numpy, got {got}")
    return trial._replace(targets=_widened(trial.targets), mask=_widened(trial.mask))


def _widened(values: Any) -> Any:
    """Floating-point numbers in single precision or wider; others as they are."""
    if not jnp.issubdtype(values.dtype, jnp.floating):
        return values
    return values.astype(jnp.promote_types(values.dtype, jnp.float32))


def _check_values(batch: Trial, trials: int, *, argmax: bool) -> None:
    for name, values in batch._asdict().items():
        found = np.asarray(values, float)
        bad = ~np.isfinite(found.reshape(trials, -1)).all(1)
        if bad.any():
            raise ValueError(
                f"{name}: expected finite numbers, got NaN or infinity in {int(bad.sum())} of "
                f"{trials} trials"
            )
    first = jax.tree.map(lambda part: np.broadcast_to(part[:1], part.shape), batch)
    if agree(batch, first, exact=True):
        raise ValueError(
            "sample: expected other trials for other keys, got the same; draw something from the "
            "key, as by jax.random.bernoulli(key)"
        )
    mask = np.asarray(batch.mask)
    odd = mask[(mask != 0) & (mask != 1)]
    if odd.size:
        raise ValueError(f"mask: expected 0 or 1, got {odd.flat[0]:.6g}")
    _check_choices(np.asarray(batch.targets), mask != 0, argmax=argmax)
    silent = ~mask.reshape(trials, -1).any(1)
    if silent.any():
        raise ValueError(
            f"mask: expected 1 in the response period of every trial, got none in "
            f"{int(silent.sum())} of {trials} trials"
        )


def _check_choices(targets: np.ndarray, mask: np.ndarray, *, argmax: bool) -> None:
    """Every step of the response has a right choice; without one all outputs count as wrong."""
    if argmax:
        steps = mask.any(-1)
        none = steps & ((targets == targets.max(-1, keepdims=True)).sum(-1) > 1)
        expected, got = "one largest channel", "several"
    else:
        steps, none = mask, mask & (targets == 0)
        expected, got = "a positive or negative number", "0"
    if none.any():
        raise ValueError(
            f"targets: expected {expected} at every step of the response, the right choice, got "
            f"{got} at {int(none.sum())} of {int(steps.sum())} steps"
        )


def _check_stretched(task: Task, factor: float, key: Any) -> str:
    """Checks the stretched variant, if there is one; returns a phrase for the summary."""
    try:
        longer = task.stretched(finite_positive("stretch", factor))
    except VariantError as error:
        return f"not stretched by {factor:g} ({error})"
    instance_of("stretched", longer, Task)
    if longer == task and factor != 1:
        raise ValueError(
            f"stretched: expected another task for a factor of {factor:g}, got the same; raise "
            "rnnjax.tasks.VariantError where there is none"
        )
    require_frozen("stretched", longer)
    if (longer.inputs, longer.outputs) != (task.inputs, task.outputs):
        raise ValueError(
            f"stretched: expected {task.inputs} inputs and {task.outputs} outputs, got "
            f"{longer.inputs} and {longer.outputs}"
        )
    shape = jax.eval_shape(longer.sample, key).targets.shape
    least = task.steps if factor >= 1 else 1
    if shape != (longer.steps, longer.outputs) or longer.steps < least:
        raise ValueError(
            f"stretched: expected targets of shape (T, {task.outputs}) with T = steps of at least "
            f"{least}, got {shape} and {longer.steps} steps"
        )
    return f"stretched by {factor:g}: {longer.steps} steps"
