"""Sharpness: the largest curvature of the loss, which bounds the rate of gradient descent.

Near weights theta the loss is nearly quadratic, with Hessian H. Under gradient descent with a rate
factor per leaf, theta <- theta - eta D grad L with D = diag(factors), a small displacement from a
minimum along the direction of largest curvature grows unless

    eta lambda < 2,   lambda = the largest eigenvalue of D^(1/2) H D^(1/2).

lambda is the sharpness (Cohen et al. 2021, Sec. 2, where D = 1). It is found by the Lanczos
iterations of ARPACK, from products of H with vectors: the Hessian is never formed.
"""

import dataclasses
import functools
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jax.flatten_util import ravel_pytree

from rnnjax import validate
from rnnjax.cells import Cell, fitted
from rnnjax.cells.checking import require_weights
from rnnjax.devices import fixed_draws, single_precision
from rnnjax.tasks import Task, Trial
from rnnjax.training.accuracy import mean_squared_error
from rnnjax.training.optimizers import descend
from rnnjax.training.recipe import Recipe
from rnnjax.training.run import (
    Setup,
    Status,
    advance,
    held_out_trials,
    initial_params,
    output_scale,
    start,
)
from rnnjax.training.schedules import Constant
from rnnjax.training.settings import Hyper
from rnnjax.trajectory import rollout
from rnnjax.typing import Array, Float, Params, Scalar

__all__ = ["sharpness", "sharpness_along_training", "sharpness_at_start"]

_VECTORS = 20
"""Lanczos vectors that ARPACK keeps, its own default for one eigenvalue."""


def sharpness(
    task: Task,
    cell: Cell,
    params: Params,
    recipe: Recipe | None = None,
    *,
    seed: int = 0,
    trials: int = 100,
    gamma: float = 1.0,
    tolerance: float = 1e-3,
) -> float:
    """The largest eigenvalue of D^(1/2) H D^(1/2), H the Hessian of the loss on held-out trials.

    Gradient descent at rate eta is stable there while eta times the sharpness is below 2. D holds
    the factors of the width rule on the learning rate, leaf by leaf; under the standard rule D = 1.

    Args:
        task: the task.
        cell: the network.
        params: its raw weights, of one network.
        recipe: gradient descent ("sgd", the default here), without penalties; of the rest only
            `reduction` and `matmul_precision` have an effect. Its clipping is not part of the
            quadratic picture.
        seed: that of the held-out trials.
        trials: number of held-out trials.
        gamma: strength of feature learning, under a rule with gamma.
        tolerance: relative error of the eigenvalue at which the iterations end.

    Returns:
        The sharpness, in units of one over a learning rate; NaN where a second derivative is not
        finite, as after divergence.

    Raises:
        ValueError: another optimizer than "sgd", a recipe with penalties, a width rule for Adam
            alone, weights of other shapes, or an invalid number.
        RuntimeError: the iterations did not reach the tolerance.
    """
    setup = _setup(task, cell, recipe)
    require_weights(setup.cell, params)
    validate.positive_integer("trials", trials)
    validate.finite_positive("tolerance", tolerance)
    hyper = _hyper(setup, validate.seed("seed", seed), gamma)
    with single_precision(), fixed_draws():
        trial = held_out_trials(setup.task, hyper.seed, trials)
        return _largest(setup, params, trial, hyper.gamma, tolerance)


def sharpness_at_start(
    task: Task,
    cell: Cell,
    recipe: Recipe | None = None,
    *,
    widths: Sequence[int],
    seeds: int = 4,
    trials: int = 100,
    gamma: float = 1.0,
) -> xr.Dataset:
    """The sharpness of initial networks of several widths, and the rate that it allows.

    The initial weights and trials are those of the runs of a sweep with the same seeds.

    Args:
        task: the task.
        cell: the network; `widths` replace its size.
        recipe: as in `sharpness`.
        widths: network sizes.
        seeds: number of networks of every size, seeds 0 .. seeds-1.
        trials: number of held-out trials.
        gamma: strength of feature learning, under a rule with gamma.

    Returns:
        A dataset over (hidden, seed): `sharpness`, `loss` on the same trials, and `largest_rate`, 2
        over the sharpness: above it gradient descent is locally unstable where it starts, though
        networks may reach a flatter place (NaN where no curvature is positive).

    Raises:
        ValueError: no width or one that repeats, or as `sharpness` does.
        RuntimeError: as `sharpness` does.
    """
    validate.positive_integer("seeds", seeds)
    widths = [
        validate.positive_integer("widths", width) for width in validate.sequence("widths", widths)
    ]
    if not widths or len(set(widths)) < len(widths):
        raise ValueError(f"widths: expected different sizes, got {widths}")
    setup = _setup(task, cell, recipe)
    validate.positive_integer("trials", trials)
    found, loss = np.full((2, len(widths), seeds), np.nan)
    for row, width in enumerate(widths):
        sized = dataclasses.replace(setup, cell=setup.cell.replace(hidden=width))
        for seed in range(seeds):
            hyper = _hyper(sized, seed, gamma)
            with single_precision(), fixed_draws():
                params = initial_params(sized.cell, seed)
                trial = held_out_trials(task, seed, trials)
                found[row, seed] = _largest(sized, params, trial, hyper.gamma)
                loss[row, seed] = _loss(params, sized, trial, hyper.gamma)
    coords = {"hidden": widths, "seed": range(seeds)}
    data = xr.DataArray(found, coords, attrs={"long_name": "sharpness before training"})
    rate = (2 / data.where(data > 0)).assign_attrs(long_name="2 over the sharpness")
    return xr.Dataset({"sharpness": data, "largest_rate": rate, "loss": (tuple(coords), loss)})


def sharpness_along_training(
    task: Task,
    cell: Cell,
    recipe: Recipe | None = None,
    *,
    learning_rates: Sequence[float],
    seeds: int = 2,
    every: int = 10,
    trials: int = 100,
    gamma: float = 1.0,
) -> xr.Dataset:
    """The sharpness of networks in training, every so many steps.

    Gradient descent on a fixed batch (`data="fixed"`) raises the sharpness until eta times the
    sharpness is about 2, and stays there: the edge of stability (Cohen et al. 2021). So it may with
    fresh batches that differ little.

    Args:
        task: the task.
        cell: the network.
        recipe: gradient descent at a constant rate, without a stopping rule; its number of steps is
            that of the curves.
        learning_rates: learning rates, eta.
        seeds: number of networks at each rate, seeds 0 .. seeds-1.
        every: steps from one measurement to the next.
        trials: held-out trials of every measurement.
        gamma: strength of feature learning, under a rule with gamma.

    Returns:
        A dataset with `sharpness` and the held-out `loss` over (learning_rate, seed, step); NaN
        after divergence. The sharpness is NaN also where the iterations do not converge.

    Raises:
        ValueError: no learning rate, a schedule or a stopping rule, or as `sharpness` does.
    """
    setup = _setup(task, cell, recipe)
    if setup.recipe.stop != "never" or setup.recipe.schedule != Constant():
        raise ValueError(
            "recipe: expected a constant rate and stop='never', got "
            f"stop={setup.recipe.stop!r} and {validate.shown(setup.recipe.schedule)}"
        )
    given = validate.sequence("learning_rates", learning_rates)
    rates = [validate.positive_single("learning_rates", rate) for rate in given]
    if not rates:
        raise ValueError("learning_rates: expected at least one, got none")
    for name, count in (("seeds", seeds), ("every", every), ("trials", trials)):
        validate.positive_integer(name, count)
    steps = np.arange(0, setup.recipe.steps + 1, every)
    shape = len(rates), seeds, len(steps)
    found, loss = np.full(shape, np.nan), np.full(shape, np.nan)
    for r, rate in enumerate(rates):
        for seed in range(seeds):
            curve = _curve(setup, _hyper(setup, seed, gamma, rate), steps, every, trials)
            for t, values in enumerate(curve):
                found[r, seed, t], loss[r, seed, t] = values
    coords = {"learning_rate": rates, "seed": range(seeds), "step": steps}
    dims = tuple(coords)
    return xr.Dataset({"sharpness": (dims, found), "loss": (dims, loss)}, coords)


def _setup(task: Task, cell: Cell, recipe: Recipe | None) -> Setup:
    """The setup of gradient descent; raises `ValueError` for anything else."""
    recipe = Recipe("sgd") if recipe is None else validate.instance_of("recipe", recipe, Recipe)
    if recipe.optimizer != "sgd":
        raise ValueError(
            "recipe: expected gradient descent, optimizer 'sgd', to which the bound of 2 over the "
            f"sharpness applies, got {recipe.optimizer!r}"
        )
    if recipe.penalties:
        raise ValueError(
            f"recipe: expected a recipe without penalties, got {', '.join(recipe.penalties)}"
        )
    return Setup(task, fitted(cell, task), recipe)


def _hyper(setup: Setup, seed: int, gamma: float, rate: float = 1.0) -> Hyper:
    validate.positive_single("gamma", gamma)
    hyper = Hyper(learning_rate=rate, seed=seed, gamma=gamma)
    setup.require_settings(hyper)
    return hyper


def _curve(
    setup: Setup, hyper: Hyper, steps: np.ndarray, every: int, trials: int
) -> Iterator[tuple[float, float]]:
    """Sharpness and held-out loss of a run at each of `steps`, until it diverges."""
    from scipy.sparse.linalg import ArpackError  # on first use, as in `_largest`

    with single_precision(), fixed_draws():
        trial = held_out_trials(setup.task, hyper.seed, trials)
        run = start(setup, hyper, initial_params(setup.cell, hyper.seed))
        for step in steps:
            if step:
                run, _ = _advanced(setup, run, every)
            if run.status == Status.DIVERGED:
                return
            try:
                sharp = _largest(setup, run.params, trial, hyper.gamma)
            except ArpackError:  # one point must not cost the others
                sharp = float("nan")
            yield sharp, float(_loss(run.params, setup, trial, hyper.gamma))


_advanced = jax.jit(advance, static_argnums=(0, 2))


@functools.partial(jax.jit, static_argnums=1)
def _loss(params: Params, setup: Setup, trial: Trial, gamma: Scalar | float) -> Scalar:
    """The loss, in a form that can be differentiated forward."""
    scale = output_scale(setup.cell, gamma)
    with jax.default_matmul_precision(setup.recipe.matmul_precision):
        outputs = rollout(
            setup.cell, params, trial.inputs, output_scale=scale, kernel="autodiff"
        ).outputs
    return mean_squared_error(outputs, trial.targets, setup.recipe.reduction)


@functools.partial(jax.jit, static_argnums=0)
def _product(
    setup: Setup, params: Params, trial: Trial, gamma: Scalar | float, vector: Float[Array, " P"]
) -> Float[Array, " P"]:
    """D^(1/2) H D^(1/2) v, all weights in one vector."""
    _, unravel = ravel_pytree(params)
    zeros, ones = jax.tree.map(jnp.zeros_like, params), jax.tree.map(jnp.ones_like, params)
    factors = descend(setup.cell, "sgd", zeros, ones, jnp.float32(-1), gamma)
    roots = jax.tree.map(jnp.sqrt, factors)
    along = jax.tree.map(jnp.multiply, roots, unravel(vector))
    slope = functools.partial(jax.grad(_loss), setup=setup, trial=trial, gamma=gamma)
    with jax.default_matmul_precision(setup.recipe.matmul_precision):
        curved = jax.jvp(slope, (params,), (along,))[1]
    return ravel_pytree(jax.tree.map(jnp.multiply, roots, curved))[0]


def _largest(
    setup: Setup, params: Params, trial: Trial, gamma: Any, tolerance: float = 1e-3
) -> float:
    """The largest eigenvalue; NaN where a product is not finite."""
    from scipy.sparse import linalg  # on first use: a quarter of a second

    sparse: Any = linalg  # its annotations are not those of its documentation

    size = sum(leaf.size for leaf in jax.tree.leaves(params))
    dtype = np.dtype(next(iter(params.values())).dtype)
    begin = np.random.default_rng(0).normal(size=size).astype(dtype)

    def product(vector: np.ndarray) -> np.ndarray:
        return np.asarray(_product(setup, params, trial, gamma, vector.ravel().astype(dtype)))

    if not np.isfinite(product(begin)).all():
        return float("nan")
    operator = sparse.LinearOperator((size, size), matvec=product, dtype=dtype)
    vectors = min(_VECTORS, size)
    (found,) = sparse.eigsh(
        operator, k=1, which="LA", v0=begin, ncv=vectors, tol=tolerance, return_eigenvectors=False
    )
    return float(found)
