"""Populations: members, activity, storage, and conditions that do not mix."""

import dataclasses
import json
import math
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

import rnnjax
import tiny
from oracles import scores
from rnnjax import Recipe, Status, StoreError, cells, load_population, train_population
from rnnjax.devices import all_devices
from rnnjax.parametrization import Leaf, MuPAdam, Parametrization, Standard
from rnnjax.population import programs as population_programs
from rnnjax.sweep import programs
from rnnjax.training import CosineRestarts, Setup, coordinate_check, initial_params
from rnnjax.trajectory import rollout

TASK = tiny.TASKS["delayed_match"]
CELL = cells.current(6, parametrization=MuPAdam())
RECIPE = Recipe.until(
    0.246, epochs=6, steps_per_epoch=4, batch=8, validation_trials=6, patience=1,
    schedule=CosineRestarts(period=2), penalties=("l1",), snapshots=(0.26, 0.25),
)  # fmt: skip
CONDITION = {"learning_rate": 0.1, "gamma": 2.0, "l1": 1e-3, "evaluation_trials": tiny.TRIALS}
SEEDS = (3, 0, 7, 1, 9)
KEY = jax.random.key(5)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return tmp_path_factory.mktemp("population") / "store"


@pytest.fixture(scope="module")
def population(store):
    engine = rnnjax.Engine(block_runs=2)
    return train_population(
        TASK, CELL, RECIPE, seeds=SEEDS, store=store, engine=engine, **CONDITION
    )


@pytest.fixture(scope="module")
def some_converged(population):
    ended = set(population.status)
    assert ended == {Status.CONVERGED, Status.EXHAUSTED}  # the tests below need both
    return population


@pytest.mark.slow
def test_members_equal_networks_of_train_one(population):
    assert population.seeds.tolist() == list(SEEDS)
    for row, seed in list(enumerate(SEEDS))[1:4:2]:
        alone = rnnjax.train_one(TASK, CELL, RECIPE, seed=seed, **CONDITION)
        for name, leaf in alone.params.items():
            np.testing.assert_array_equal(population.params[name][row], leaf)
            np.testing.assert_array_equal(population.initial[name][row], alone.initial[name])
            np.testing.assert_array_equal(population.snapshots[name][row], alone.snapshots[name])
            np.testing.assert_array_equal(
                leaf.shape, initial_params(population.cell, seed)[name].shape
            )
        there = population.results.isel(seed=row)
        np.testing.assert_array_equal(there["held_out_loss"], alone.held_out_loss)
        assert float(there["final_loss"]) == alone.results["final_loss"]
        assert population.status[row] == alone.status
        assert population.output_scale == alone.output_scale == 0.5


@pytest.mark.slow
def test_networks_at_a_loss_are_those_of_a_training_that_stops_there(population):
    earlier = population.at_loss(0.26)
    stops = dataclasses.replace(RECIPE, threshold=0.26, snapshots=())
    engine = rnnjax.Engine(block_runs=2)
    alone = train_population(TASK, CELL, stops, seeds=SEEDS, engine=engine, **CONDITION)
    assert earlier.setup == alone.setup
    assert Counter(earlier.status) == {Status.CONVERGED: 4, Status.EXHAUSTED: 1}
    chex.assert_trees_all_equal(earlier.params, alone.params)
    one, other = (each.results.drop_vars("seconds") for each in (earlier, alone))
    xr.testing.assert_identical(one, other)
    later = population.at_loss(0.25)
    reached = [0, 2, 3, 4]
    assert later.results["steps_taken"].values[reached].tolist() == [24, 12, 12, 24]
    assert np.all(later.results["held_out_loss"].min("epoch").values[reached] < 0.25)
    row = 1  # never below either loss
    np.testing.assert_array_equal(later.params["readout"][row], population.params["readout"][row])
    joined = population[2:].join(population[:2])
    np.testing.assert_array_equal(
        joined.at_loss(0.26).params["recurrent"], np.roll(earlier.params["recurrent"], -2, axis=0)
    )
    for other in (population, earlier):
        with pytest.raises(ValueError, match="^loss: expected one of the recipe's snapshots"):
            other.at_loss(0.24)


@pytest.mark.slow
@pytest.mark.parametrize("when", ["trained", "initial"])
def test_activity_is_that_of_every_network_in_the_same_trials(population, when):
    task = TASK.stretched(2)
    activity = population.trajectories(KEY, 3, task=task, when=when)
    states = population.states(KEY, 3, task=task, when=when)
    trial = task.batch(KEY, 3)
    np.testing.assert_array_equal(activity.trial.inputs, trial.inputs)
    for drawn, expected in zip(activity.trial, trial, strict=True):
        np.testing.assert_allclose(drawn, expected, rtol=1e-6)
    params = population.params if when == "trained" else population.initial
    losses = []
    for row in range(len(SEEDS)):
        one = {name: leaf[row] for name, leaf in params.items()}
        want = rollout(population.cell, one, trial.inputs, output_scale=0.5)
        np.testing.assert_allclose(activity.outputs[row], want.outputs, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(activity.rates[row], np.tanh(want.states), rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(states[row], want.states, rtol=1e-5, atol=1e-6)
        losses.append(scores.mean_squared_error(want.outputs, trial.targets, "mean"))
        weights = population.cell.connectivity(one)
        np.testing.assert_allclose(population.connectivity(when)[row], weights, rtol=1e-6)
    np.testing.assert_array_equal(
        population.outputs(KEY, 3, task=task, when=when), activity.outputs
    )
    np.testing.assert_allclose(population.losses(KEY, 3, task=task, when=when), losses, rtol=1e-5)


@dataclasses.dataclass(frozen=True)
class Rotating(cells.Cell):
    """Complex states z' = i z + B u, read as Re z; rates |z|, or z itself."""

    hidden: int = 3
    inputs: int = 1
    outputs: int = 1
    parametrization: Parametrization = Standard()
    is_real: bool = True

    name = "rotating"

    def leaves(self):
        n, i, o = self.hidden, self.inputs, self.outputs
        return {"input": Leaf("input", (n, i), i), "readout": Leaf("readout", (o, n), n)}

    def initial_state(self, params):
        return jnp.zeros(self.hidden, jnp.complex64)

    def step(self, params, state, drive):
        return 1j * state + self.effective(params, "input") @ drive

    def readout(self, params, state, scale=1.0):
        return scale * (self.effective(params, "readout") @ state.real)

    def rates(self, params, states, inputs, initial):
        return jnp.abs(states) if self.is_real else states


def test_complex_states_keep_their_imaginary_part_and_complex_rates_are_refused():
    assert "rotating" in cells.check(Rotating())
    recipe = Recipe(epochs=1, steps_per_epoch=2, batch=2)
    options = {"seeds": (0,), "learning_rate": 1e-3, "evaluation_trials": tiny.TRIALS}
    trained = train_population(TASK, Rotating(), recipe, **options)
    states = trained.states(KEY, 2)
    one = {name: leaf[0] for name, leaf in trained.params.items()}
    wanted = rollout(trained.cell, one, TASK.batch(KEY, 2).inputs).states
    assert np.abs(np.imag(wanted)).max() > 0.1
    np.testing.assert_allclose(states[0], wanted, rtol=1e-5, atol=1e-6)
    trained = train_population(TASK, Rotating(is_real=False), recipe, **options)
    with pytest.raises(ValueError, match="^rates: expected real numbers, .* complex64"):
        trained.trajectories(KEY, 2)
    with pytest.raises(ValueError, match="^rates: expected real numbers, .* complex64"):
        coordinate_check(
            TASK, Rotating(is_real=False), widths=(3, 4), seeds=1, steps=1, learning_rate=0.1
        )


@pytest.mark.slow
def test_tangent_kernels_are_those_of_the_jacobian(population):
    probe = {"trials": 2, "times": 3}
    grams = population.ntk_gram(KEY, **probe)
    inputs = population_programs.draw_trials(TASK, KEY, 2).inputs
    steps = [math.ceil((k + 1) * TASK.steps / 3) - 1 for k in range(3)]
    assert steps[-1] == TASK.steps - 1
    one = {name: leaf[1] for name, leaf in population.params.items()}

    def outputs(params):
        found = rollout(population.cell, params, inputs, output_scale=0.5).outputs
        return found[:, np.array(steps)].ravel()

    rows = [np.asarray(leaf) for leaf in jax.tree.leaves(jax.jacobian(outputs)(one))]
    jacobian = np.concatenate([leaf.reshape(len(leaf), -1) for leaf in rows], axis=1)
    np.testing.assert_allclose(grams[1], jacobian @ jacobian.T, rtol=2e-4, atol=1e-5)
    before = population.ntk_gram(KEY, when="initial", **probe)
    aligned = [np.vdot(a, b) / np.linalg.norm(a) / np.linalg.norm(b)
               for a, b in zip(before, grams, strict=True)]  # fmt: skip
    np.testing.assert_allclose(population.kernel_alignment(KEY, **probe), aligned, rtol=1e-5)
    recurrent = population.ntk_gram(KEY, leaves=["recurrent"], **probe)
    assert np.all(np.trace(recurrent, axis1=1, axis2=2) < np.trace(grams, axis1=1, axis2=2))


@pytest.mark.slow
@pytest.mark.usefixtures("unchecked_shapes")
def test_converged_networks_are_a_population_and_others_are_listed(some_converged):
    whole = some_converged
    good = whole.converged
    assert set(good.status) == {Status.CONVERGED}
    assert sorted([*good.seeds.tolist(), *whole.left_out]) == sorted(SEEDS)
    assert set(whole.left_out.values()) == {Status.EXHAUSTED}
    row = SEEDS.index(good.seeds[0])
    np.testing.assert_array_equal(good.params["readout"][0], whole.params["readout"][row])
    assert len(whole[1:3]) == 2
    assert f"{len(good)} CONVERGED" in repr(whole)
    with pytest.raises(ValueError, match="^converged: expected .* none of 2: 2 EXHAUSTED"):
        _ = whole.where(whole.results["status"].values == Status.EXHAUSTED).converged
    with pytest.raises(ValueError, match="^mask: expected 5 booleans"):
        whole.where(np.arange(5))


def test_the_same_call_again_computes_nothing(population, store):
    markers = {file: file.read_text() for file in (store / "blocks").glob("*.json")}
    assert len(markers) == 3
    again = train_population(TASK, CELL, RECIPE, seeds=SEEDS, store=store, **CONDITION)
    assert {file: file.read_text() for file in (store / "blocks").glob("*.json")} == markers
    xr.testing.assert_identical(again.results, population.results)
    assert again.setup == population.setup
    with pytest.raises(StoreError, match="made with another config: .*gamma"):
        train_population(TASK, CELL, RECIPE, seeds=SEEDS, store=store,
                         **{**CONDITION, "gamma": 3.0})  # fmt: skip


@pytest.mark.slow
def test_saved_loaded_and_resumed(population, tmp_path):
    population[:3].save(tmp_path / "saved")
    loaded = load_population(tmp_path / "saved")
    xr.testing.assert_identical(loaded.results, population[:3].results)
    assert (loaded.setup, loaded.hyper.gamma) == (population.setup, 2.0)
    for name in population.params:
        np.testing.assert_array_equal(loaded.params[name], population.params[name][:3])
        np.testing.assert_array_equal(loaded.initial[name], population.initial[name][:3])
        np.testing.assert_array_equal(loaded.snapshots[name], population.snapshots[name][:3])
    again = train_population(TASK, CELL, RECIPE, seeds=SEEDS[:3], store=tmp_path / "saved",
                             **CONDITION)  # fmt: skip
    xr.testing.assert_identical(again.results, loaded.results)
    with pytest.raises(StoreError, match="^store: expected a new folder"):
        population.save(tmp_path / "saved")
    (tmp_path / "saved" / "blocks" / "all.json").unlink()
    with pytest.raises(StoreError, match="holds no finished network of this condition yet"):
        load_population(tmp_path / "saved")


@pytest.mark.slow
def test_one_condition_of_a_sweep(tmp_path):
    axes = {"hidden": (4, 5), "learning_rate": (0.1, 0.2), "seed": (2, 5)}
    sweep = rnnjax.Sweep(TASK, cells.rate(), tiny.recipe(), axes, tiny.TRIALS)
    everything = np.ones(sweep.shape, bool)
    everything[1, 1, 0] = False
    rnnjax.run_sweep(sweep, tmp_path / "sweep", keep_parameters=True, mask=everything)
    half = load_population(tmp_path / "sweep", hidden=5, learning_rate=0.2)
    assert half.seeds.tolist() == [5]  # the finished one
    whole = load_population(tmp_path / "sweep", hidden=5, learning_rate=0.1)
    want = rnnjax.load_parameters(tmp_path / "sweep", hidden=5, learning_rate=0.1, seed=5)
    near = float(np.float32(0.1))  # as networks have it
    also = rnnjax.load_parameters(tmp_path / "sweep", hidden=5, learning_rate=near, seed=5)
    for one in (want, also):
        np.testing.assert_array_equal(whole.params["recurrent"][1], one["recurrent"])
    assert whole.status == (Status.EXHAUSTED,) * 2
    with pytest.raises(ValueError, match="^others: expected populations of one condition, got "
                       r"learning_rate = 0.1 and 0.2"):  # fmt: skip
        whole.join(half)
    other = load_population(tmp_path / "sweep", hidden=4, learning_rate=0.1)
    with pytest.raises(ValueError, match=r"got cell.hidden = 5 and 4"):
        whole.join(other)
    with pytest.raises(ValueError, match=r"^others: expected seeds .*; repeated: \[2\]$"):
        whole.join(whole[:1])
    both = whole[::-1]
    assert both.seeds.tolist() == [5, 2]
    np.testing.assert_array_equal(both.params["readout"], whole.params["readout"][::-1])
    coarse = whole.recorded._replace(points=7)
    with pytest.raises(ValueError, match="got losses.points = 500 and 7"):
        whole[1:].join(dataclasses.replace(whole[:1], recorded=coarse))
    both = whole[1:].join(whole[:1])
    assert both.seeds.tolist() == [5, 2]
    np.testing.assert_array_equal(both.losses(KEY, 2), whole.losses(KEY, 2)[::-1])
    for labels, message in (
        ({"hidden": 6}, r"hidden: expected one of \[4, 5\], got 6"),
        ({"learning_rate": 0.1}, "hidden: expected one of"),
        ({"hiden": 4}, "labels: .*did you mean 'hidden'"),
        ({"seed": 2}, "labels: .*did you mean 'seeds'"),
    ):
        with pytest.raises(ValueError, match=f"^{message}"):
            load_population(tmp_path / "sweep", **labels)


def test_a_population_in_memory_equals_that_in_a_store(population):
    engine = rnnjax.Engine(block_runs=2)
    again = train_population(TASK, CELL, RECIPE, seeds=SEEDS, engine=engine, **CONDITION)
    chex.assert_trees_all_equal(again.params, population.params)
    chex.assert_trees_all_equal(again.initial, population.initial)
    chex.assert_trees_all_equal(again.snapshots, population.snapshots)
    one, other = (each.results.drop_vars("seconds") for each in (again, population))
    xr.testing.assert_identical(one, other)
    assert (again.setup, again.recorded) == (population.setup, population.recorded)
    assert again.hyper._replace(seed=0) == population.hyper._replace(seed=0)


@pytest.mark.slow
def test_activity_of_other_recipes_needs_no_other_program(population):
    names = ("activity", "outputs", "states", "losses")
    compiled = [getattr(population_programs, name) for name in names]
    stops = dataclasses.replace(RECIPE, threshold=0.1, penalties=(), snapshots=())
    summed = dataclasses.replace(RECIPE, reduction="sum")
    counts, losses = [], []
    for recipe in (RECIPE, stops, summed):
        setup = dataclasses.replace(population.setup, recipe=recipe)
        one = dataclasses.replace(population, setup=setup)
        for measure in (one.trajectories, one.outputs, one.states):
            measure(KEY, 3, task=TASK.stretched(2))  # as in other tests
        losses.append(one.losses(KEY, 3, task=TASK.stretched(2)))
        counts.append([program._cache_size() for program in compiled])
    first, same, other = np.array(counts)
    np.testing.assert_array_equal(same, first)
    np.testing.assert_array_equal(other - first, [0, 0, 0, 1])  # losses are sums over channels
    np.testing.assert_array_equal(losses[1], losses[0])


def test_populations_of_a_sweep_and_alone_join(population):
    """Results of a sweep have its other axes as coordinates."""
    widths = population.results.assign_coords(hidden=6)
    swept = dataclasses.replace(population, results=widths)
    for one, *others in ((swept[:1], swept[1:3], population[3:]), (population[:3], swept[3:])):
        joined = one.join(*others)
        xr.testing.assert_identical(joined.results, population.results)
    assert swept[:2].join(swept[2:]).results["hidden"].item() == 6


def test_other_settings_need_no_other_program(population):
    """Traced settings share the compiled program of a block size."""
    size = programs.advance_block._cache_size()
    other = train_population(TASK, CELL, RECIPE, seeds=2, engine=rnnjax.Engine(block_runs=2),
                             **{**CONDITION, "gamma": 0.5, "l1": 0.1})  # fmt: skip
    assert programs.advance_block._cache_size() == size
    assert other.seeds.tolist() == [0, 1]
    assert other.results["final_loss"].notnull().all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seeds": 0}, "seeds: expected an integer of at least 1"),
        ({"seeds": []}, "seeds: expected at least one"),
        ({"seeds": [1, -1]}, "seeds: expected an integer of at least 0"),
        ({"seeds": "ab"}, "seeds: expected an integer"),
        ({"seeds": np.array(0)}, "seeds: expected an integer"),
        ({"seeds": [1, 1]}, "seeds: expected distinct seeds, but 1 appears twice"),
        ({"engine": {}, "store": "p"}, "engine: expected an? Engine, got {}"),
        ({"gamma": 0}, "gamma: expected a finite number above 0"),
        ({"l1": -1}, "l1: expected a finite number of at least 0"),
        ({"nuclear": 0.1}, "nuclear: expected 0, or a recipe with penalties"),
        ({"learning_rate": math.nan}, "learning_rate: expected"),
        ({"cell": cells.rate(6)}, "gamma: expected a rule that defines it"),
        ({"cell": cells.gru(6), "gamma": 1.0}, "cell 'gru': it has no connectivity"),
        ({"recipe": 3}, "recipe: expected a Recipe"),
        ({"engine": rnnjax.Engine(keep_state=True)}, "store: .* keep_state, got none"),
        ({"engine": rnnjax.Engine(executor=ThreadPoolExecutor(1))}, "store: .* executor, got none"),
        ({"task": "flip_flop"}, "task: expected a Task"),
    ],
)
def test_bad_conditions_are_named(changes, message):
    arguments = {"task": TASK, "cell": CELL, "recipe": RECIPE, "seeds": 2, **CONDITION, **changes}
    with pytest.raises(ValueError, match=f"^{message}"):
        train_population(**arguments)


def test_invalid_arguments_are_named(population):
    for call, message in (
        (lambda: population.trajectories(KEY, 0), "trials: expected an integer of at least 1"),
        (lambda: population.outputs(KEY, 1, when="after"), "when: expected one of trained"),
        (lambda: population.losses(KEY, 1, task=rnnjax.tasks.flip_flop(3)),
         "task: expected 2 inputs and 1 outputs, got 3 and 3 of 'flip_flop'"),
        (lambda: population.trajectories(KEY, 1, task=TASK.stretched(1e9)),
         "trials: expected activity that fits into the .* GiB of free memory, got 5 networks of "),
        (lambda: population.losses(KEY, 1, task=TASK.stretched(1e9)), "trials: expected activity"),
        (lambda: population.losses("5", 1), "key: expected a key, such as jax.random.key"),
        (lambda: population.save(None), "store: expected the path of a folder, got None"),
        (lambda: population.save(__file__), "store: expected a new folder, got the file"),
        (lambda: load_population(5), "store: expected the path of a folder, got 5"),
        (lambda: population[2], r"rows: expected a slice, such as \[3:4\], got 2"),
        (lambda: population[5:], "rows: expected at least one of 5 networks"),
        (lambda: population.ntk_gram(KEY, times=99), "times: expected at most"),
        (lambda: population.ntk_gram(KEY, leaves=["recurent"]), "leaves: .*'recurrent'"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=f"^{message}"):
            call()


def test_outputs_of_large_latent_populations_fit_into_memory():
    task = rnnjax.tasks.flip_flop(1, steps=30)
    setup = Setup(task, cells.fitted(cells.latent(10**6, rank=1), task), tiny.recipe())
    layout = all_devices()
    population_programs.require_memory(setup, task, 200, 1, 1, layout)
    with pytest.raises(ValueError, match="^trials: expected activity that fits .* 1000000 units"):
        population_programs.require_memory(setup, task, 200, 10, 10**6, layout)


@pytest.mark.slow
def test_unknown_specs_are_named(store, population, tmp_path):
    copy = json.loads((store / "manifest.json").read_text())
    copy["config"]["cell"]["type"] = "Strange"
    copy["hash"] = rnnjax.store.digest(copy["config"])
    del copy["sha256"]
    (tmp_path / "manifest.json").write_text(json.dumps(copy))
    with pytest.raises(StoreError, match="cannot be rebuilt: 'Strange' .*import their module"):
        load_population(tmp_path)
    copy["config"]["cell"]["type"] = "Current"
    copy["config"]["recipe"]["momentum"] = 0.9
    copy["hash"] = rnnjax.store.digest(copy["config"])
    (tmp_path / "manifest.json").write_text(json.dumps(copy))
    with pytest.raises(StoreError, match="cannot be rebuilt: .*momentum"):
        load_population(tmp_path)
