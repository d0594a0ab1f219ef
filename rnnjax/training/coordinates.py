"""The coordinate check: what a few steps of training move, against the width of the network."""

import dataclasses
import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr

from rnnjax import validate
from rnnjax.cells import Cell, fitted
from rnnjax.rollout import rollout
from rnnjax.tasks import Task
from rnnjax.training.recipe import Recipe
from rnnjax.training.run import (
    Hyper,
    Setup,
    Status,
    advance,
    held_out,
    initial_params,
    output_scale,
    start,
)
from rnnjax.typing import Array, Float

__all__ = ["MEASURES", "coordinate_check"]

MEASURES = {
    "activation": "RMS firing rate",
    "activation_change": "RMS change of firing rates since birth",
    "output_change": "RMS change of outputs since birth",
}
"""Name -> meaning of what is followed; each has a slope against width."""


def coordinate_check(
    task: Task,
    cell: Cell,
    recipe: Recipe | None = None,
    *,
    widths: Sequence[int] = (256, 512, 1024, 2048, 4096),
    seeds: int = 8,
    learning_rate: float = 0.01,
    gamma: float = 1.0,
    steps: int = 4,
    trials: int = 20,
) -> xr.Dataset:
    """How activations and their change in a few steps grow with width (Yang et al. 2021).

    Networks of every width take the same few steps, and are looked at on held-out trials after
    each. Under a rule that transfers rates across widths the root mean squares after those steps
    do not depend on N: their slopes, of log10 RMS against log10 N, are 0. Under the standard rule
    with Adam changes grow with N, which is what the largest networks die of. The output before
    training is not part of the check: under muP it falls with N by design.

    Args:
        task: what the networks begin to learn.
        cell: the network; its width rule is what is checked.
        recipe: how it is trained, apart from how long; its optimizer must be one of the rule's.
        widths: network sizes, at least two.
        seeds: how many seeds, 0 .. seeds-1.
        learning_rate: the run's rate, before the rule's own factors.
        gamma: strength of feature learning, under a rule that knows it.
        steps: training steps taken.
        trials: held-out trials looked at.

    Returns:
        A dataset with `activation`, `activation_change` and `output_change` over (hidden, seed,
        step), changes being 0 at step 0; and for each its `_slope` at the last step, averaged
        over seeds, with its standard error `_slope_error` over seeds (NaN for one seed). Both are
        over the seeds whose networks stayed finite; what diverged is NaN.

    Raises:
        ValueError: fewer than two different widths, a count below 1, or a rate or gamma that is
            not positive and finite or that the rule does not know.
    """
    widths = sorted({validate.positive_integer("widths", width) for width in widths})
    if len(widths) < 2:
        raise ValueError(f"widths: expected at least two different sizes, got {widths}")
    for name, count in (("seeds", seeds), ("steps", steps), ("trials", trials)):
        validate.positive_integer(name, count)
    validate.learning_rate("learning_rate", learning_rate)
    validate.learning_rate("gamma", gamma)
    # At one rate, and with no end of an epoch to wait for.
    followed = dataclasses.replace(
        recipe or Recipe(),
        epochs=steps, steps_per_epoch=1, stop="never", threshold=None, schedule="none",
    )  # fmt: skip
    found = []
    for width in widths:
        sized = dataclasses.replace(fitted(cell, task), hidden=width)  # type: ignore[type-var]
        setup = Setup(task, sized, followed)
        if gamma != 1.0:
            setup.require_gamma()
        found.append(_followed(setup, jnp.arange(seeds), learning_rate, gamma, steps, trials))
    dims = ("hidden", "seed", "step")
    values = {name: (dims, np.stack([at[name] for at in found])) for name in MEASURES}
    coords = {"hidden": widths, "seed": range(seeds), "step": range(steps + 1)}
    dataset = xr.Dataset(values, coords, {"learning_rate": learning_rate, "gamma": gamma})
    for name, meaning in MEASURES.items():
        dataset[name].attrs["long_name"] = meaning
        slopes = _slopes(np.array(widths), dataset[name].isel(step=-1).values)
        many, some = len(slopes) > 1, len(slopes) > 0
        spread = slopes.std(ddof=1) / np.sqrt(len(slopes)) if many else np.nan
        dataset[f"{name}_slope"] = float(slopes.mean()) if some else np.nan
        dataset[f"{name}_slope_error"] = float(spread)
    return dataset


def _slopes(widths: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Slope of log10 of `values` [N, seed] against log10 N, of each seed where all are finite."""
    usable = (np.isfinite(values) & (values > 0)).all(axis=0)
    if not usable.any():
        return np.zeros(0)
    return np.polyfit(np.log10(widths), np.log10(values[:, usable]), 1)[0]


@functools.partial(jax.jit, static_argnames=("setup", "steps", "trials"))
def _followed(
    setup: Setup, seeds: Array, learning_rate: float, gamma: float, steps: int, trials: int
) -> dict[str, Float[Array, "S T"]]:
    """The measures after 0 .. `steps` training steps, of each seed."""

    def one(seed: Array) -> dict[str, Array]:
        hyper = Hyper(jnp.float32(learning_rate), seed, jnp.float32(gamma))
        cell, inputs = setup.cell, held_out(setup.task, seed, trials).inputs

        def look(params) -> tuple[Array, Array]:
            with jax.default_matmul_precision(setup.recipe.matmul_precision):
                scale = output_scale(cell, hyper.gamma)
                outputs, states = rollout(cell, params, inputs, output_scale=scale)
            rest = cell.initial_state(params)
            rates = jax.vmap(cell.rates, (None, 0, 0, None))(params, states, inputs, rest)
            return rates, outputs

        def measures(params) -> dict[str, Array]:
            rates, outputs = look(params)
            return {
                "activation": _rms(rates),
                "activation_change": _rms(rates - rates_at_birth),
                "output_change": _rms(outputs - outputs_at_birth),
            }

        def step(run, _):
            run, _ = advance(setup, run, 1)
            lost = run.status == Status.DIVERGED
            found = {name: jnp.where(lost, jnp.nan, v) for name, v in measures(run.params).items()}
            return run, found

        params = initial_params(setup.cell, seed)
        rates_at_birth, outputs_at_birth = look(params)
        _, later = jax.lax.scan(step, start(setup, hyper, params), length=steps)
        return jax.tree.map(lambda a, b: jnp.append(a, b), measures(params), later)

    return jax.lax.map(one, seeds)


def _rms(values: Array) -> Array:
    return jnp.sqrt(jnp.mean(jnp.square(values)))
