"""The coordinate check: effect of a few training steps against the width of the network."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from rnnjax import validate
from rnnjax.cells import Cell, fitted
from rnnjax.cells.checking import require_real
from rnnjax.devices import fixed_draws, single_precision
from rnnjax.tasks import Task
from rnnjax.training.penalties import PENALTIES
from rnnjax.training.recipe import Recipe
from rnnjax.training.run import (
    Run,
    Setup,
    Status,
    advance,
    held_out_trials,
    initial_params,
    output_scale,
    start,
)
from rnnjax.training.schedules import Constant
from rnnjax.training.settings import Hyper, check_settings
from rnnjax.trajectory import rollout
from rnnjax.typing import Array, Float, Params

__all__ = ["MEASURES", "coordinate_check", "seeds_left_out"]

MEASURES = {
    "activation": "RMS firing rate",
    "activation_change": "RMS change of firing rates since initialization",
    "output_change": "RMS change of outputs since initialization",
}
"""Name -> meaning of every measure; each has a slope against width."""


def coordinate_check(
    task: Task,
    cell: Cell,
    recipe: Recipe | None = None,
    *,
    widths: Sequence[int] = (256, 512, 1024, 2048, 4096),
    seeds: int = 8,
    steps: int = 4,
    trials: int = 20,
    **settings: float,
) -> xr.Dataset:
    """Growth with width of activations and of their change in a few steps (Yang et al. 2021).

    Networks of every width take the same steps and are measured on held-out trials after each.
    Under a rule that transfers learning rates across widths the root mean squares do not depend on
    N: their slopes, of log10 RMS against log10 N, are 0. Under the standard rule with Adam the
    changes grow with N. Outputs before training are not measured: under muP they fall with N.

    Args:
        task: the task of all networks.
        cell: the network, whose width rule is checked.
        recipe: optimizer and batches; its length, schedule and stopping rule have no effect.
        widths: network sizes, at least two.
        seeds: number of seeds, 0 .. seeds-1.
        steps: number of training steps.
        trials: number of held-out trials.
        settings: traced settings (`rnnjax.training.SETTINGS`); `learning_rate` is 0.01 by default.

    Returns:
        A dataset with `activation`, `activation_change` and `output_change` over (hidden, seed,
        step), where changes are 0 at step 0; and for each its `_slope` at the last step, averaged
        over seeds, with the standard error `_slope_error` over seeds (NaN for one seed). Slopes
        leave out seeds with a network that diverged, whose values are NaN, or that the steps left
        unchanged (`seeds_left_out`).

    Raises:
        ValueError: fewer than two different widths, a count below 1, or a setting that is unknown,
            invalid, or not provided for by the width rule or the recipe.
    """
    widths = _check_widths(widths)
    for name, count in (("seeds", seeds), ("steps", steps), ("trials", trials)):
        validate.positive_integer(name, count)
    arguments = ("widths", "seeds", "steps", "trials")
    values = check_settings({"learning_rate": 0.01, **settings}, arguments)
    recipe = _shorten(Recipe() if recipe is None else recipe, steps)
    measured = []
    for width in widths:
        setup = Setup(task, fitted(cell, task).replace(hidden=width), recipe)
        setup.require_settings(Hyper(seed=0, **values))
        single = {name: jnp.float32(value) for name, value in values.items()}
        with single_precision(), fixed_draws():
            measured.append(_measure(setup, jnp.arange(seeds), single, steps, trials))
    dims = ("hidden", "seed", "step")
    data = {name: (dims, np.stack([one[name] for one in measured])) for name in MEASURES}
    coords = {"hidden": widths, "seed": range(seeds), "step": range(steps + 1)}
    left_out = set(PENALTIES) - set(recipe.penalties)
    attrs = {name: value for name, value in values.items() if name not in left_out}
    return _add_slopes(xr.Dataset(data, coords, attrs))


def _check_widths(widths: Sequence[int]) -> list[int]:
    given = validate.sequence("widths", widths)
    checked = sorted({validate.positive_integer("widths", width) for width in given})
    if len(checked) < 2:
        raise ValueError(f"widths: expected at least two different sizes, got {checked}")
    return checked


def _shorten(recipe: Recipe, steps: int) -> Recipe:
    """The recipe with `steps` steps, a constant rate, and no stop before the last step."""
    validate.instance_of("recipe", recipe, Recipe)
    return dataclasses.replace(
        recipe,
        epochs=steps, steps_per_epoch=1, stop="never", threshold=None, schedule=Constant(),
        snapshots=(),
    )  # fmt: skip


def _add_slopes(dataset: xr.Dataset) -> xr.Dataset:
    """Adds the meaning of every measure, its slope at the last step, and the standard error."""
    for name, meaning in MEASURES.items():
        dataset[name].attrs["long_name"] = meaning
        slopes = _slopes(dataset["hidden"].values, dataset[name].isel(step=-1).values)
        many, some = len(slopes) > 1, len(slopes) > 0
        spread = slopes.std(ddof=1) / np.sqrt(len(slopes)) if many else np.nan
        dataset[f"{name}_slope"] = float(slopes.mean()) if some else np.nan
        dataset[f"{name}_slope_error"] = float(spread)
    return dataset


def _slopes(widths: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Slope of log10 of `values` [N, seed] against log10 N, of each seed with finite values."""
    usable = _usable(values)
    if not usable.any():
        return np.zeros(0)
    return np.polyfit(np.log10(widths), np.log10(values[:, usable]), 1)[0]


def _usable(values: np.ndarray) -> Any:
    return (np.isfinite(values) & (values > 0)).all(axis=0)


def seeds_left_out(dataset: xr.Dataset, name: str) -> int:
    """Number of seeds that the slope of `name` leaves out: a network diverged or is unchanged.

    Changes of 0 have no logarithm. `dataset` is that of `coordinate_check`.
    """
    last = dataset[name].isel(step=-1).transpose("hidden", "seed")
    return int((~_usable(last.values)).sum())


@functools.partial(jax.jit, static_argnames=("setup", "steps", "trials"))
def _measure(
    setup: Setup, seeds: Array, settings: dict[str, Array], steps: int, trials: int
) -> dict[str, Float[Array, "S T"]]:
    """The measures after 0 .. `steps` training steps, of each seed."""

    def one(seed: Array) -> dict[str, Array]:
        hyper = Hyper(seed=seed, **settings)
        params = initial_params(setup.cell, seed)
        activity = _activity(setup, hyper, trials)
        first = activity(params)

        def step(run: Run, _):
            run, _ = advance(setup, run, 1)
            diverged = run.status == Status.DIVERGED
            values = _measures(activity(run.params), first)
            return run, {name: jnp.where(diverged, jnp.nan, v) for name, v in values.items()}

        _, later = jax.lax.scan(step, start(setup, hyper, params), length=steps)
        return jax.tree.map(lambda a, b: jnp.append(a, b), _measures(first, first), later)

    return jax.lax.map(one, seeds)


def _activity(setup: Setup, hyper: Hyper, trials: int) -> Callable[[Params], tuple[Array, Array]]:
    """Returns the function from weights to firing rates and outputs on held-out trials."""
    cell, inputs = setup.cell, held_out_trials(setup.task, hyper.seed, trials).inputs

    def activity(params: Params) -> tuple[Array, Array]:
        with jax.default_matmul_precision(setup.recipe.matmul_precision):
            scale = output_scale(cell, hyper.gamma)
            outputs, states = rollout(cell, params, inputs, output_scale=scale)
            rest = cell.initial_state(params)
            rates = jax.vmap(cell.rates, (None, 0, 0, None))(params, states, inputs, rest)
        require_real("rates", rates)
        return rates, outputs

    return activity


def _measures(now: tuple[Array, Array], first: tuple[Array, Array]) -> dict[str, Array]:
    """`MEASURES` of firing rates and outputs, with changes relative to the `first` ones."""
    (rates, outputs), (first_rates, first_outputs) = now, first
    return {
        "activation": _rms(rates),
        "activation_change": _rms(rates - first_rates),
        "output_change": _rms(outputs - first_outputs),
    }


def _rms(values: Array) -> Array:
    return jnp.sqrt(jnp.mean(jnp.square(values)))
