"""Sharpness: against the dense Hessian, and as the bound on stable rates."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree
from scipy.sparse.linalg import ArpackNoConvergence

import rnnjax
import tiny
from rnnjax import cells
from rnnjax.parametrization import InverseWidth, MuPSGD
from rnnjax.training import (
    Hyper,
    Setup,
    advance,
    curvature,
    held_out_trials,
    initial_params,
    sharpness,
    sharpness_along_training,
    sharpness_at_start,
    start,
)
from rnnjax.training.accuracy import mean_squared_error
from rnnjax.training.optimizers import descend
from rnnjax.trajectory import rollout

TASK, TRIALS = tiny.TASKS["delayed_cue"], 6
LINEAR = cells.rate(5, activation="linear")
RECIPE = tiny.recipe("sgd", epochs=6)


def loss(cell, flat, unravel, trial, gamma=1.0):
    power = cell.parametrization.output_gamma
    scale = gamma**power if power else 1.0
    outputs = rollout(cell, unravel(flat), trial.inputs, output_scale=scale, kernel="autodiff")
    return mean_squared_error(outputs.outputs, trial.targets, "mean")


def dense(cell, params, gamma=1.0):
    """The largest eigenvalue of the matrix itself, in which leaf rates are divided out by hand."""
    trial = held_out_trials(TASK, 0, TRIALS)
    flat, unravel = ravel_pytree(params)
    curvature = jax.jit(jax.hessian(loss, argnums=1), static_argnums=(0, 2))
    hessian = np.asarray(curvature(cell, flat, unravel, trial, gamma), float)
    rules = {name: cell.rule(name, "sgd") for name in params}
    rates = {
        name: jnp.full(params[name].shape, rule.learning_rate * gamma**rule.learning_rate_gamma)
        for name, rule in rules.items()
    }
    # D H has the eigenvalues of D^(1/2) H D^(1/2), and is the Jacobian of the step itself.
    step = np.asarray(ravel_pytree(rates)[0], float)[:, None] * hessian
    return np.linalg.eigvals(step).real.max()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("cell", "gamma"),
    [
        (cells.rate(5, bias=True, init="xavier"), 1.0),
        (cells.rate(5, parametrization=MuPSGD()), 3.0),
        (cells.latent(6, rank=2, parametrization=InverseWidth()), 1.0),
    ],
    ids=["xavier", "mup", "latent"],
)
def test_the_largest_eigenvalue_of_the_dense_matrix(cell, gamma):
    cell = cells.fitted(cell, TASK)
    params = cell.init(jax.random.key(3))
    found = sharpness(TASK, cell, params, trials=TRIALS, gamma=gamma, tolerance=1e-5)
    assert found > 0
    np.testing.assert_allclose(found, dense(cell, params, gamma), rtol=1e-3)


@pytest.mark.slow
def test_a_small_displacement_from_a_minimum_grows_beyond_the_bound_alone():
    """Without readout the outputs are 0, which is where targets of 0 have their minimum."""
    cell = cells.fitted(cells.rate(6, parametrization=MuPSGD()), TASK)
    params = cell.init(jax.random.key(1)) | {"readout": jnp.zeros((2, 6))}
    task = Silent()
    trial = held_out_trials(task, 0, TRIALS)
    flat, unravel = ravel_pytree(params)
    bound = 2 / sharpness(task, cell, params, trials=TRIALS, tolerance=1e-5)
    moved = flat + 1e-4 * jax.random.normal(jax.random.key(2), flat.shape)

    def value(values):
        return loss(cell, values, unravel, trial)

    @jax.jit
    def descended(rate, steps):
        """The loss after so many steps."""

        def step(_, values):
            change = unravel(jax.grad(value)(values))
            return ravel_pytree(descend(cell, "sgd", unravel(values), change, rate, 1.0))[0]

        return value(jax.lax.fori_loop(0, steps, step, moved))

    begun = descended(bound, 0)
    assert descended(0.95 * bound, 100) < 0.1 * begun
    assert descended(1.05 * bound, 100) > 10 * begun


@dataclasses.dataclass(frozen=True)
class Silent(rnnjax.tasks.Task):
    """Noise in, zeros out."""

    name = "silent"
    inputs = outputs = 2
    steps = 7

    def sample(self, key):
        inputs = jax.random.normal(key, (7, 2))
        return rnnjax.tasks.Trial(inputs, jnp.zeros((7, 2)), jnp.ones((7, 2)))


@pytest.mark.slow
def test_gaussian_weights_and_mup_are_one_linear_network():
    """Their weights differ by factors that leave the function and all steps of descent alike."""
    shared = {"widths": (5,), "seeds": 2, "trials": TRIALS}
    one = sharpness_at_start(TASK, LINEAR, **shared)
    mup = LINEAR.replace(parametrization=MuPSGD())
    other = sharpness_at_start(TASK, mup, rnnjax.Recipe("sgd"), **shared)
    np.testing.assert_allclose(one["sharpness"], other["sharpness"], rtol=2e-3)


@pytest.mark.slow
def test_start_has_the_networks_of_a_sweep():
    task = tiny.TASKS["flip_flop"]  # whose trials differ between seeds
    found = sharpness_at_start(task, LINEAR, widths=(4, 8), seeds=2, trials=TRIALS)
    cell = cells.fitted(LINEAR.replace(hidden=8), task)
    one = sharpness(task, cell, initial_params(cell, 1), seed=1, trials=TRIALS)
    np.testing.assert_allclose(found["sharpness"].sel(hidden=8, seed=1), one, rtol=1e-6)
    np.testing.assert_allclose(found["largest_rate"], 2 / found["sharpness"])
    params, trial = initial_params(cell, 1), held_out_trials(task, 1, TRIALS)
    outputs = jax.jit(rollout, static_argnums=0)(cell, params, trial.inputs).outputs
    np.testing.assert_allclose(
        found["loss"].sel(hidden=8, seed=1), np.mean((outputs - trial.targets) ** 2), rtol=1e-5
    )


@pytest.mark.slow
def test_curves_are_those_of_a_training_run_until_it_diverges():
    rates = (0.1, 1e4)
    cell = cells.fitted(LINEAR, TASK)
    found = sharpness_along_training(
        TASK, cell, RECIPE, learning_rates=rates, seeds=2, every=3, trials=TRIALS
    )
    assert found["step"].values.tolist() == [0, 3, 6]
    setup, hyper = Setup(TASK, cell, RECIPE), Hyper(learning_rate=0.1, seed=1)
    run = start(setup, hyper, initial_params(cell, 1))
    run, _ = jax.jit(advance, static_argnums=(0, 2))(setup, run, 3)
    expected = sharpness(TASK, cell, run.params, RECIPE, seed=1, trials=TRIALS)
    at = {"learning_rate": 0.1, "seed": 1}
    np.testing.assert_allclose(found["sharpness"].sel(**at, step=3), expected, rtol=1e-4)
    assert found["loss"].sel(**at).notnull().all()
    wild = found.sel(learning_rate=1e4)
    assert wild["sharpness"].isel(step=0).notnull().all()
    assert wild["loss"].isel(step=-1).isnull().all()


def test_a_point_whose_iterations_do_not_converge_leaves_the_others(monkeypatch):
    given, largest = [], curvature._largest

    def fails(*args):
        given.append(args)
        if len(given) == 2:
            raise ArpackNoConvergence("no convergence", [], [])
        return largest(*args)

    monkeypatch.setattr(curvature, "_largest", fails)
    found = sharpness_along_training(
        TASK, LINEAR, RECIPE, learning_rates=(0.1,), seeds=1, every=3, trials=TRIALS
    ).squeeze()
    np.testing.assert_array_equal(np.isnan(found["sharpness"]), [False, True, False])
    assert found["loss"].notnull().all()


def test_no_number_for_weights_without_derivatives():
    cell = cells.fitted(LINEAR, TASK)
    params = jax.tree.map(lambda leaf: jnp.full_like(leaf, jnp.nan), cell.init(jax.random.key(0)))
    assert np.isnan(sharpness(TASK, cell, params, RECIPE, trials=TRIALS))


@pytest.mark.parametrize(
    ("function", "options", "named"),
    [
        (sharpness_at_start, {"widths": (4,), "recipe": rnnjax.Recipe("adam")}, "recipe: .*'adam'"),
        (sharpness_at_start, {"widths": ()}, "widths"),
        (sharpness_at_start, {"widths": (4, 4)}, "widths"),
        (sharpness_at_start, {"widths": (4,), "seeds": 0}, "seeds"),
        (sharpness_at_start, {"widths": (4,), "gamma": 2.0}, "gamma"),
        (sharpness_at_start, {"widths": (4,), "gamma": 1e-60}, "^gamma: .*float32"),
        (sharpness_along_training, {"learning_rates": ()}, "learning_rates"),
        (
            sharpness_along_training,
            {"learning_rates": (0.1,), "recipe": rnnjax.Recipe("sgd", stop="criterion")},
            "recipe: .*stop='criterion'",
        ),
        (
            sharpness_along_training,
            {"learning_rates": (0.1,), "recipe": rnnjax.Recipe("sgd", schedule="plateau")},
            "recipe: .*constant rate",
        ),
        (sharpness_along_training, {"learning_rates": (0.1,), "every": 0}, "every"),
        (
            sharpness_along_training,
            {"learning_rates": (0.1,), "recipe": rnnjax.Recipe("sgd", penalties=("l1",))},
            "recipe: .*penalties.*l1",
        ),
    ],
)
def test_invalid_arguments_are_named(function, options, named):
    with pytest.raises(ValueError, match=named):
        function(TASK, LINEAR, **options)


def test_weights_of_another_size_are_refused():
    params = LINEAR.replace(hidden=4).init(jax.random.key(0))
    with pytest.raises(ValueError, match="params: expected recurrent of shape"):
        sharpness(TASK, LINEAR, params)
    with pytest.raises(ValueError, match="params: expected a dictionary, .* a NoneType"):
        sharpness(TASK, LINEAR, None)
