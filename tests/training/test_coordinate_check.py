"""The coordinate check: slopes of rules that transfer learning rates, and of those that do not."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rnnjax
import tiny
from rnnjax import cells
from rnnjax.parametrization import InverseWidth, MuPAdam, MuPSGD
from rnnjax.training import (
    Hyper,
    Setup,
    advance,
    coordinate_check,
    coordinates,
    held_out_trials,
    initial_params,
    seeds_left_out,
    start,
)
from rnnjax.trajectory import rollout

TASK, WIDTHS = tiny.TASKS["delayed_cue"], (64, 512)
TRANSFERS = cells.current(parametrization=MuPAdam(), bias=True)


def check(cell, optimizer, rate, **options):
    return coordinate_check(
        TASK, cell, tiny.recipe(optimizer), widths=WIDTHS, seeds=3, learning_rate=rate, steps=2,
        trials=6, **options,
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    ("cell", "optimizer", "rate"),
    [
        (TRANSFERS, "adam", 0.01),
        (cells.rate(parametrization=MuPSGD()), "sgd", 0.1),
        (cells.rate(parametrization=InverseWidth(eps_scaling="scaled")), "adam", 0.01),
    ],
    ids=["current-mup-adam", "rate-mup-sgd", "rate-inverse-width-adam"],
)
def test_flat_under_a_rule_that_transfers(cell, optimizer, rate):
    found = check(cell, optimizer, rate)
    for measure in ("activation", "activation_change", "output_change"):
        assert abs(float(found[f"{measure}_slope"])) < 0.2
    assert (found["activation_change"].isel(step=-1) > 1e-4).all()


@pytest.mark.slow
def test_slopes_under_rules_that_do_not_transfer():
    standard = check(cells.rate(init="uniform"), "adam", 0.001)
    assert float(standard["activation_change_slope"]) > 0.3
    assert float(standard["output_change_slope"]) > 0.3
    # Inverse width leaves SGD's rate alone, though gradients of raw weights fall with N.
    lazy = check(cells.rate(parametrization=InverseWidth()), "sgd", 0.1)
    assert float(lazy["output_change_slope"]) < -0.5


@pytest.mark.slow
def test_measures_equal_those_of_a_training_run():
    """Firing rates are tanh of the states; in the programs of the rule that transfers."""
    found = check(TRANSFERS, "adam", 0.02, gamma=2.0)
    cell = dataclasses.replace(cells.fitted(TRANSFERS, TASK), hidden=64)
    setup = Setup(TASK, cell, tiny.recipe("adam"), tiny.TRIALS)
    hyper = Hyper(jnp.float32(0.02), jnp.int32(1), jnp.float32(2.0))
    run = start(setup, hyper, initial_params(cell, hyper.seed))
    inputs = held_out_trials(TASK, hyper.seed, 6).inputs
    first = rollout(cell, run.params, inputs, output_scale=0.5)
    run, _ = jax.jit(advance, static_argnums=(0, 2))(setup, run, 2)
    last = rollout(cell, run.params, inputs, output_scale=0.5)
    at = found.sel(hidden=64, seed=1, step=2)

    def rms(x):
        return np.sqrt(np.mean(np.square(x)))

    expected = {
        "activation": rms(np.tanh(last.states)),
        "activation_change": rms(np.tanh(last.states) - np.tanh(first.states)),
        "output_change": rms(last.outputs - first.outputs),
    }
    for name, value in expected.items():
        assert float(at[name]) == pytest.approx(value, rel=1e-4)
    assert (found["activation_change"].sel(step=0) == 0).all()
    two = np.log10(found["activation"].isel(step=-1).values)
    assert float(found["activation_slope"]) == pytest.approx((two[1] - two[0]).mean() / np.log10(8))


@pytest.mark.slow
def test_all_steps_are_taken_and_diverged_networks_left_out():
    recipe = rnnjax.Recipe("sgd", epochs=1, batch=4, stop="criterion")
    cell, how = cells.rate(parametrization=MuPSGD()), {"seeds": 3, "trials": 6, "steps": 2}
    found = coordinate_check(TASK, cell, recipe, widths=WIDTHS, learning_rate=0.1, **how)
    assert (found["activation_change"].diff("step") != 0).all()
    assert seeds_left_out(found, "output_change") == 0
    lost = coordinate_check(TASK, cell, recipe, widths=WIDTHS, learning_rate=1e30, **how)
    assert lost["output_change"].isel(step=-1).isnull().all()
    assert np.isnan(float(lost["output_change_slope"]))
    assert seeds_left_out(lost, "output_change") == 3
    some = found.copy(deep=True)
    some["output_change"][{"hidden": 1, "seed": 1, "step": -1}] = np.nan
    assert seeds_left_out(some, "output_change") == 1
    last = some["output_change"].isel(step=-1).values
    expected = np.log10(last[1] / last[0])[[0, 2]] / np.log10(8)
    np.testing.assert_allclose(coordinates._slopes(np.array(WIDTHS), last), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"widths": (8, 8)}, "widths: expected at least two different sizes"),
        ({"widths": (8, 0)}, "widths: expected an integer of at least 1"),
        ({"seeds": 0}, "seeds: expected"),
        ({"learning_rate": 0.0}, "learning_rate: expected"),
        ({"gamma": 2.0, "widths": (2, 3)}, "gamma: expected a rule that defines it"),
    ],
)
def test_invalid_arguments_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        coordinate_check(TASK, cells.rate(), tiny.recipe("adam"), **options)


@pytest.mark.slow
def test_schedules_and_thresholds_have_no_effect():
    validated = rnnjax.Recipe.until(
        0.1, epochs=4, batch=4, clip=None, schedule="plateau", snapshots=(0.3, 0.1)
    )
    found = coordinate_check(
        TASK, TRANSFERS, validated, widths=WIDTHS, seeds=3, learning_rate=0.01, steps=2, trials=6
    )
    want = check(TRANSFERS, "adam", 0.01)
    np.testing.assert_allclose(found["output_change"], want["output_change"], rtol=1e-6)
