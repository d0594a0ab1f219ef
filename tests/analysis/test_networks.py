"""Measures of a population against loops over its networks."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

import tiny
from oracles import scores
from rnnjax import Population, Status, cells, metrics
from rnnjax.analysis import measure_population, networks
from rnnjax.parametrization import MuPAdam
from rnnjax.population.programs import draw_trials
from rnnjax.training import Hyper, Recipe, Setup, initial_params
from rnnjax.trajectory import rollout

KEY = jax.random.key(2)
RUN = jax.jit(rollout, static_argnums=0)
SETUP = Setup(
    tiny.TASKS["flip_flop"],
    cells.fitted(cells.current(6, parametrization=MuPAdam()), tiny.TASKS["flip_flop"]),
    Recipe.until(0.1, steps_per_epoch=5),
    tiny.TRIALS,
)


@pytest.fixture(scope="module")
def population():
    """Three networks with randomly changed weights; the last one diverged."""
    seeds = np.array([4, 7, 2])
    draw = jax.jit(jax.vmap(lambda seed: initial_params(SETUP.cell, seed)))
    initial = draw(jnp.asarray(seeds))
    initial = {name: np.asarray(leaf) for name, leaf in initial.items()}
    rng = np.random.default_rng(1)
    params = {n: leaf + rng.normal(size=leaf.shape).astype("f4") for n, leaf in initial.items()}
    params["recurrent"][2] = np.nan
    results = xr.Dataset(
        {
            "status": ("seed", [int(Status.CONVERGED)] * 2 + [int(Status.DIVERGED)]),
            "steps_taken": ("seed", [15, 40, 3]),
            "held_out_loss": (("seed", "epoch"), [[0.3, 0.05], [0.2, np.nan], [np.nan, np.nan]]),
        },
        {"seed": seeds},
    )
    return Population(SETUP, Hyper(0.01, seeds, 2.0), initial, params, results)


@pytest.mark.slow
def test_measures_are_those_of_every_network(population):
    found = measure_population(population, KEY, trials=4, probe_trials=2, probe_times=2)
    assert found["seed"].values.tolist() == [4, 7, 2]
    np.testing.assert_array_equal(found["epochs"], [3, 8, 0.6])
    np.testing.assert_array_equal(found["held_out_loss"], [0.05, 0.2, np.nan])
    on_task, stretched, probe = jax.random.split(KEY, 3)
    task = population.task
    trials = draw_trials(task, on_task, 4), draw_trials(task.stretched(2), stretched, 4)
    for row in range(2):
        before, after = (
            {name: leaf[row] for name, leaf in tree.items()}
            for tree in (population.initial, population.params)
        )
        losses = []
        for trial in trials:
            outputs = RUN(SETUP.cell, after, trial.inputs, output_scale=0.5).outputs
            losses.append(scores.mean_squared_error(outputs, trial.targets, "mean"))
        here = found.isel(seed=row)
        assert float(here["loss"]) == pytest.approx(losses[0], rel=1e-5)
        assert float(here["ood_loss"]) == pytest.approx(losses[1], rel=1e-5)
        assert float(here["ood_excess"]) == pytest.approx(losses[1] - losses[0], rel=1e-4)
        old, new = (SETUP.cell.connectivity(params) for params in (before, after))
        change = np.linalg.norm(np.subtract(new, old))
        assert float(here["weight_change"]) == pytest.approx(change, rel=1e-5)
        relative = change / np.linalg.norm(old)
        assert float(here["relative_weight_change"]) == pytest.approx(relative, rel=1e-5)
        small = np.mean(np.abs(new) < 0.1 / np.sqrt(6))
        assert float(here["near_zero_share"]) == pytest.approx(small)
        rank = metrics.structure.effective_rank(new)
        assert float(here["effective_rank"]) == pytest.approx(rank)
        one = population.where(population.seeds == population.seeds[row])
        aligned = one.kernel_alignment(probe, trials=2, times=2)
        assert float(here["kernel_alignment"]) == pytest.approx(float(aligned[0]))
        (aligned,) = one.kernel_alignment(probe, trials=2, times=2, leaves=["recurrent"])
        assert float(here["recurrent_kernel_alignment"]) == pytest.approx(float(aligned))
    last = found.isel(seed=2)
    for name in ("loss", "weight_change", "kernel_alignment", "near_zero_share", "effective_rank"):
        assert np.isnan(float(last[name])), name


def test_a_kernel_of_zero_or_infinity_has_no_alignment(population):
    """The other networks keep theirs, to the last bit."""
    params = {name: leaf.copy() for name, leaf in population.params.items()}
    params["recurrent"][2] = population.params["recurrent"][0]
    params["readout"][1:] = np.array([0.0, 1e30])[:, None, None]  # no gradient flows, too large
    probed = dataclasses.replace(population, params=params)
    found = networks._kernel_alignments(probed, np.ones(3, bool), KEY, 2, 2)
    for name, leaves in {
        "kernel_alignment": None,
        "recurrent_kernel_alignment": ["recurrent"],
    }.items():
        alone = population[:1].kernel_alignment(KEY, trials=2, times=2, leaves=leaves)
        np.testing.assert_array_equal(found[name][0], alone[0])
    assert np.isfinite(found["kernel_alignment"]).tolist() == [True, True, False]
    assert np.isfinite(found["recurrent_kernel_alignment"]).tolist() == [True, False, False]
    with pytest.raises(ValueError, match="^times: expected at most"):
        networks._kernel_alignments(probed, np.ones(3, bool), KEY, 2, 99)


def test_bad_arguments_are_named(population):
    with pytest.raises(ValueError, match="^population: expected a Population"):
        measure_population({}, KEY)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="^near_zero: expected a finite number above 0"):
        measure_population(population, KEY, near_zero=0)
    with pytest.raises(ValueError, match="^factor: expected"):
        measure_population(population, KEY, stretch=-1)
