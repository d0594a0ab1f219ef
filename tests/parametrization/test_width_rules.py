"""Every rule against its table, for each optimizer, and the training step that follows from it."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import tiny
from oracles import network
from rnnjax import cells, parametrization
from rnnjax.parametrization import GammaTrick, InverseWidth, MuPAdam, MuPSGD, Standard
from rnnjax.training import Hyper, Setup, start
from rnnjax.training.run import advance
from rnnjax.trajectory import rollout

N, I, K = 100, 4, 3  # noqa: E741
FAN_IN = {"recurrent": N, "input": I, "bias": I, "readout": N, "latent_readout": K}
SHAPES = {
    "recurrent": (N, N), "input": (N, I), "bias": (N,), "readout": (2, N),
    "latent_readout": (2, K), "readout_bias": (2,), "unit": (N,),
}  # fmt: skip
NORMAL = ("recurrent", "input", "bias", "readout", "latent_readout")
ROOT = math.sqrt(N)

# role -> (initial scale, multiplier, rate, power of gamma in the rate, eps, power of gamma in eps),
# written out from the equations of each rule.
TABLE = {
    ("inverse_width", "adam", InverseWidth()): {
        "recurrent": (1, 1 / N, 1, 0, 1, 0),
        "input": (1, 1, 1, 0, 1, 0),
        "bias": (1, 1, 1, 0, 1, 0),
        "unit": (1, 1, 1, 0, 1, 0),
        "readout": (1, 1 / N, 1, 0, 1, 0),
        "latent_readout": (1, 1, 1, 0, 1, 0),
        "readout_bias": (0, 1, 1, 0, 1, 0),
    },
    ("inverse_width", "adam", InverseWidth(eps_scaling="scaled")): {
        "recurrent": (1, 1 / N, 1, 0, 1 / N**2, 0),
        "input": (1, 1, 1, 0, 1 / N, 0),
        "bias": (1, 1, 1, 0, 1 / N, 0),
        "unit": (1, 1, 1, 0, 1 / N, 0),
        "readout": (1, 1 / N, 1, 0, 1 / N, 0),
        "latent_readout": (1, 1, 1, 0, 1, 0),
        "readout_bias": (0, 1, 1, 0, 1, 0),
    },
    ("mup_adam", "adam", MuPAdam()): {
        "recurrent": (ROOT, 1 / N, 1, 1, 1 / N**2, -1),
        "input": (1, 1, 1, 1, 1 / N, -1),
        "bias": (1, 1, 1, 1, 1 / N, -1),
        "unit": (1, 1, 1, 1, 1 / N, -1),
        "readout": (1, 1 / N, 1, 1, 1 / N, -1),
        "latent_readout": (1, 1, 1, 1, 1, -1),
        "readout_bias": (0, 1, 1, 0, 1, 0),
    },
    ("mup_adam", "adam", MuPAdam(eps_scaling="torch")): {
        "recurrent": (ROOT, 1 / N, 1, 1, 1, 0),
        "input": (1, 1, 1, 1, 1, 0),
        "bias": (1, 1, 1, 1, 1, 0),
        "unit": (1, 1, 1, 1, 1, 0),
        "readout": (1, 1 / N, 1, 1, 1, 0),
        "latent_readout": (1, 1, 1, 1, 1, 0),
        "readout_bias": (0, 1, 1, 0, 1, 0),
    },
    ("mup_sgd", "sgd", MuPSGD()): {
        "recurrent": (1, 1 / ROOT, N, 2, 1, 0),
        "input": (1, 1, N, 2, 1, 0),
        "bias": (1, 1, N, 2, 1, 0),
        "unit": (1, 1, N, 2, 1, 0),
        "readout": (1, 1 / N, N, 2, 1, 0),
        "latent_readout": (1, 1, 1, 2, 1, 0),
        "readout_bias": (0, 1, 1, 0, 1, 0),
    },
    ("gamma_trick", "adam", GammaTrick()): {
        "recurrent": (1 / ROOT, 1, 1, 1, 1, 0),
        "readout": (1 / ROOT, 1, 1, 1, 1, 0),
        "latent_readout": (1 / math.sqrt(K), 1, 1, 1, 1, 0),
        "readout_bias": (0, 1, 1, 0, 1, 0),
    },
    ("gamma_trick", "adam", GammaTrick(eps_scaling="scaled")): {
        "input": (1 / ROOT, 1, 1, 1, 1, -1),
        "readout_bias": (0, 1, 1, 0, 1, 0),
    },
    ("gamma_trick", "adam", GammaTrick(output="multiply", eps_scaling="scaled")): {
        "input": (1 / ROOT, 1, 1, 1, 1, 1),
    },
    ("gamma_trick", "sgd", GammaTrick()): {
        "unit": (1, 1, 1, 2, 1, 0),
        "recurrent": (1 / ROOT, 1, 1, 2, 1, 0),
        "readout_bias": (0, 1, 1, 0, 1, 0),
    },
}  # fmt: skip
for (name, _, rule), rows in list(TABLE.items()):
    if name == "inverse_width":  # the same under both
        TABLE[(name, "sgd", rule)] = rows
CASES = [(o, rule, role, row) for (_, o, rule), rows in TABLE.items() for role, row in rows.items()]


@pytest.mark.parametrize(("optimizer", "rule", "role", "row"), CASES, ids=str)
def test_each_rule_is_its_table(optimizer, rule, role, row):
    leaf = parametrization.Leaf(role, SHAPES[role], FAN_IN.get(role, N))
    entry = rule.rule(leaf, hidden=N, optimizer=optimizer)
    assert entry.distribution == ("zeros" if row[0] == 0 else "normal")
    assert tuple(entry[1:]) == pytest.approx(row)


def test_the_uniform_arm_is_that_of_linear_layers():
    for role in NORMAL:
        leaf = parametrization.Leaf(role, SHAPES[role], FAN_IN[role])
        entry = InverseWidth("uniform").rule(leaf, hidden=N, optimizer="sgd")
        assert entry[:2] == ("uniform", pytest.approx(1 / math.sqrt(FAN_IN[role])))


@pytest.mark.parametrize(
    "rule", [Standard("gaussian"), Standard("xavier"), InverseWidth("uniform")]
)
def test_numbers_of_units_are_of_order_one_in_every_arm(rule):
    entry = rule.rule(parametrization.Leaf("unit", (N,), 1), hidden=N, optimizer="sgd")
    assert entry[:4] == ("normal", 1.0, 1.0, 1.0)


def test_rules_are_built_by_name_and_check_their_options():
    assert parametrization.make("mup_adam", eps_scaling="torch") == MuPAdam("torch")
    with pytest.raises(ValueError, match=r"parametrization: .*did you mean 'mup_adam'"):
        parametrization.make("mup_adm")
    for wrong in (
        lambda: InverseWidth("xavier"),
        lambda: InverseWidth(eps_scaling="none"),
        lambda: MuPAdam("scale"),
        lambda: GammaTrick(output="add"),
        lambda: GammaTrick(eps_scaling="tiny"),
    ):
        with pytest.raises(ValueError, match="expected one of"):
            wrong()
    with pytest.raises(ValueError, match="init: expected none beside a parametrization"):
        cells.rate(init="xavier", parametrization=MuPAdam())


def setup(rule, optimizer, **options):
    cell = cells.rate(6, inputs=2, outputs=2, bias=True, parametrization=rule)
    return Setup(tiny.TASKS["delayed_cue"], cell, tiny.recipe(optimizer, **options), tiny.TRIALS)


@pytest.mark.parametrize(("rule", "optimizer"), [(MuPAdam(), "sgd"), (MuPSGD(), "adam")])
def test_an_unsupported_optimizer_is_named(rule, optimizer):
    with pytest.raises(
        ValueError, match=f"optimizer: expected .*'{rule.name}'.* got '{optimizer}'"
    ):
        setup(rule, optimizer)


def test_an_unknown_optimizer_or_distribution_is_named():
    cell = cells.rate(4, parametrization=MuPAdam())
    assert cell.rule("recurrent") == cell.rule("recurrent", "adam")
    with pytest.raises(ValueError, match="^optimizer: expected one of adam, got 'sgd'"):
        cell.rule("recurrent", "sgd")
    with pytest.raises(ValueError, match="^optimizer: .* got 'adamw'"):
        cells.rate(4, parametrization=GammaTrick()).rule("input", "adamw")
    with pytest.raises(ValueError, match="^distribution: .* got 'gaussian'"):
        parametrization.LeafRule("gaussian", 1.0).sample(jax.random.key(0), (2,))


def test_leaves_are_drawn_from_a_key_or_its_seed():
    cell = cells.rate(4)
    drawn = [
        parametrization.initialize(key, cell.leaves(), cell.parametrization, cell.hidden)
        for key in (3, jax.random.key(3))
    ]
    np.testing.assert_array_equal(drawn[0]["recurrent"], drawn[1]["recurrent"])


def test_inverse_width_is_the_standard_network_with_rescaled_weights(float64):
    """The same function, with the multiplier as a factor on gradients of raw weights."""
    n, rng = 7, np.random.default_rng(0)
    one = cells.rate(n, inputs=2, outputs=2, bias=True, parametrization=InverseWidth())
    two = dataclasses.replace(one, parametrization=Standard())
    raw = {name: rng.normal(size=leaf.shape) for name, leaf in one.leaves().items()}
    factor = {"recurrent": 1 / n, "readout": 1 / n}
    explicit = {name: factor.get(name, 1.0) * weight for name, weight in raw.items()}
    inputs = rng.normal(size=(3, 5, 2))

    def loss(params, cell):
        outputs = rollout(cell, params, inputs).outputs
        return jnp.mean(jnp.square(outputs - 1)), outputs

    slope = jax.jit(jax.grad(loss, has_aux=True), static_argnums=1)
    got, outputs = slope(raw, one)
    expected, same = slope(explicit, two)
    np.testing.assert_allclose(outputs, same, rtol=1e-13)
    for name in raw:
        np.testing.assert_allclose(got[name], factor.get(name, 1.0) * expected[name], rtol=1e-11)


ADVANCE = jax.jit(advance, static_argnums=(0, 2))
BATCH = jax.jit(lambda task, key, trials: task.batch(key, trials), static_argnums=(0, 2))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rule", "optimizer", "gamma"),
    [
        (InverseWidth(eps_scaling="scaled"), "adam", 1.0),
        (MuPAdam(), "adam", 3.0),
        (MuPAdam("torch"), "adam", 0.5),
        (MuPSGD(), "sgd", 0.5),
        (GammaTrick("uniform", eps_scaling="scaled"), "adam", 3.0),
        (GammaTrick("uniform", output="multiply"), "sgd", 2.0),
    ],
    ids=str,
)
def test_a_step_follows_the_table(rule, optimizer, gamma):
    """Steps of a NumPy network of effective weights, with gradients converted to raw weights."""
    what, rate, eps = setup(rule, optimizer, eps=1e-3), 0.05, 1e-3
    rules = {name: what.cell.rule(name, optimizer) for name in what.cell.leaves()}
    hyper = Hyper(jnp.float32(rate), jnp.int32(1), jnp.float32(gamma))
    rng = np.random.default_rng(0)
    drawn = {
        name: (rules[name].scale * rng.normal(size=leaf.shape)).astype("f4")
        for name, leaf in what.cell.leaves().items()
    }
    run = start(what, hyper, drawn)
    output = gamma**rule.output_gamma
    state = {name: network.Adam(eps * r.eps * gamma**r.eps_gamma) for name, r in rules.items()}
    for step in range(3):
        raw = {name: np.asarray(weight, float) for name, weight in run.params.items()}
        carried = {name: r.multiplier * (output if name == "readout" else 1)
                   for name, r in rules.items()}  # fmt: skip
        effective = {name: carried[name] * weight for name, weight in raw.items()}
        key = jax.random.fold_in(jax.random.key(1, impl="threefry2x32"), 1)
        trial = BATCH(what.task, jax.random.fold_in(key, step), what.recipe.batch)
        slopes = network.gradient(
            effective,
            np.asarray(trial.inputs, float),
            np.asarray(trial.targets, float),
            0.5,
            "mean",
        )
        run, _ = ADVANCE(what, run, 1)
        for name, r in rules.items():
            slope = {name: carried[name] * slopes[name]}
            change = state[name].change(slope) if optimizer == "adam" else slope
            factor = rate * r.learning_rate * gamma**r.learning_rate_gamma
            expected = raw[name] - factor * change[name]
            np.testing.assert_allclose(run.params[name], expected, rtol=2e-4, atol=2e-5)
            assert np.any(np.abs(expected - raw[name]) > 1e-6)
