"""Structured recurrent matrices: the property at every step, the scale, the gradient."""

import dataclasses
import functools
import math
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rnnjax
import tiny
from rnnjax import cells
from rnnjax.cells import (
    STRUCTURES,
    Antisymmetric,
    Blocks,
    Dale,
    LowRankPlusRandom,
    Orthogonal,
    Sparse,
    Structure,
    Structured,
    current,
    rate,
    structured,
)
from rnnjax.parametrization import (
    Leaf,
    LeafRule,
    MuPAdam,
    MuPSGD,
    Parametrization,
    Standard,
)
from rnnjax.sweep.cost import step_flops
from rnnjax.training import Hyper, Setup, initial_params, sharpness, start
from rnnjax.training.optimizers import descend
from rnnjax.training.run import advance
from rnnjax.trajectory import rollout

N, B, T = 12, 3, 5
ALL = (
    Dale(0.7), Sparse(0.3), Blocks(3), Orthogonal(1.3), Antisymmetric(0.2),
    LowRankPlusRandom(2, 0.9),
)  # fmt: skip


def by_name(structure):
    return structure.name


def has_structure(structure, weights, drawn):
    """Whether W has its property; `drawn` are the raw weights before training."""
    weights, size = np.asarray(weights, float), len(weights)
    if isinstance(structure, Dale):
        count = round(0.7 * size)
        return (weights[:, :count] >= 0).all() and (weights[:, count:] <= 0).all()
    if isinstance(structure, Sparse):
        return ((weights != 0) == (drawn["mask"] < -0.5244005)).all()  # the quantile of 0.3
    if isinstance(structure, Blocks):
        return not (weights * (1 - np.kron(np.eye(3), np.ones((size // 3, size // 3))))).any()
    if isinstance(structure, Orthogonal):
        return np.allclose(weights.T @ weights, 1.3**2 * np.eye(size), rtol=0, atol=1e-5)
    if isinstance(structure, Antisymmetric):
        return (weights + weights.T == -2 * np.float32(0.2) * np.eye(size)).all()
    low = weights - 0.9 * np.asarray(drawn["random"], float) / math.sqrt(size)
    values = np.linalg.svd(low, compute_uv=False)
    return values[2] < 1e-5 * values[1]


SETTINGS = {
    "adam": (Standard(), {"learning_rate": 0.03}),
    "sgd": (MuPSGD(), {"learning_rate": 0.1, "gamma": 2.0}),
}


@pytest.mark.parametrize("structure", ALL, ids=by_name)
def test_any_raw_weights_give_the_structure(structure):
    """So training keeps it."""
    cell, rng = structured(N, structure=structure), np.random.default_rng(0)
    fixed = {name for name, leaf in cell.leaves().items() if leaf.role == "fixed"}
    scales = np.array([0.1, 1.0, 3.0], "f4").reshape(3, 1, 1)
    raw = {name: rng.normal(size=leaf.shape).astype("f4") for name, leaf in cell.leaves().items()}
    drawn = {name: (w if name in fixed else scales * w) for name, w in raw.items()}
    axes = ({name: None if name in fixed else 0 for name in raw},)
    found = jax.jit(jax.vmap(cell.connectivity, axes))(drawn)
    for weights in np.asarray(found):
        assert has_structure(structure, weights, raw)


TRAINED = [(how, structure) for how in SETTINGS for structure in (ALL[1], ALL[5])]
TRAINED.append(("adam", ALL[0]))


@pytest.mark.parametrize(("optimizer", "structure"), TRAINED, ids=str)
def test_training_keeps_the_structure_and_never_trains_what_is_fixed(optimizer, structure):
    rule, settings = SETTINGS[optimizer]
    cell = structured(N, structure=structure, inputs=2, outputs=2, parametrization=rule)
    recipe = tiny.recipe(optimizer, penalties=("l1",), clip=1.0)
    setup = Setup(tiny.TASKS["delayed_cue"], cell, recipe, tiny.TRIALS)
    hyper = Hyper(seed=1, l1=0.01, **settings)
    begun = start(setup, hyper, initial_params(cell, 1))
    before = np.asarray(cell.connectivity(begun.params))
    run, losses = jax.jit(advance, static_argnums=(0, 2))(setup, begun, 20)
    assert np.isfinite(losses).all()
    after = np.asarray(cell.connectivity(run.params))
    assert np.abs(after - before).max() > 0.01
    assert has_structure(structure, before, begun.params)
    assert has_structure(structure, after, begun.params)
    for name, leaf in cell.leaves().items():
        unchanged = np.array_equal(run.params[name], begun.params[name])
        assert unchanged == (leaf.role == "fixed"), name


def test_the_checks_of_this_file_fail_without_structure():
    weights, other = np.random.default_rng(0).normal(size=(2, N, N))
    drawn = {"mask": other, "random": other}
    assert not any(has_structure(structure, weights, drawn) for structure in ALL)


def test_structures_are_an_axis_of_sweeps():
    axes = {"structure": ("dale", "orthogonal"), "learning_rate": (0.01,), "seed": range(2)}
    sweep = rnnjax.Sweep(tiny.TASKS["delayed_cue"], structured(6), tiny.recipe(), axes, tiny.TRIALS)
    assert [setup.cell.structure for _, setup in sweep.setups()] == [Dale(), Orthogonal()]
    mask = np.zeros(sweep.shape, bool)
    mask[1] = True  # one program
    results = rnnjax.run_sweep(sweep, mask=mask)
    assert results.structure.values.tolist() == ["dale", "orthogonal"]
    assert np.isfinite(results.final_loss.sel(structure="orthogonal")).all()


def radius(weights):
    return np.abs(np.linalg.eigvals(np.asarray(weights))).max()


@pytest.mark.parametrize("structure", ALL, ids=by_name)
@pytest.mark.parametrize("rule", [Standard(), Standard("xavier"), MuPAdam()], ids=str)
def test_the_scale_at_the_start_is_that_of_the_unconstrained_network(structure, rule):
    n = 201
    plain, cell = (
        make(n, inputs=2, parametrization=rule)
        for make in (rate, functools.partial(structured, structure=structure))
    )
    drawn, params = plain.init(3), cell.init(3)
    weights, expected = cell.connectivity(params), plain.connectivity(drawn)
    scale = np.mean(np.square(expected))
    if isinstance(structure, Orthogonal | LowRankPlusRandom):
        scale = structure.gain**2 / n
    if isinstance(structure, Antisymmetric):
        weights = weights + structure.damping * np.eye(n, dtype="f4")
    rank = isinstance(structure, LowRankPlusRandom)  # m n^T adds of the order of 1/N^2
    assert np.mean(np.square(weights)) == pytest.approx(scale, rel=0.08 if rank else 0.04)
    near = radius(weights) / math.sqrt(scale * n)
    lowest, highest = {Dale: (0.6, 1.3), Antisymmetric: (1.7, 2.3)}.get(
        type(structure), (0.85, 1.2)
    )
    assert lowest < near < highest
    for name in ("input", "readout"):
        np.testing.assert_array_equal(params[name], drawn[name])
    np.testing.assert_array_equal(params.get("recurrent", drawn["recurrent"]), drawn["recurrent"])


def test_dale_balances_rows_and_bulk():
    n = 400
    cell = structured(n, structure=Dale(0.8))
    weights = np.asarray(cell.connectivity(cell.init(0)), float)
    assert weights.sum(1).mean() == pytest.approx(0, abs=4 / math.sqrt(n))
    assert weights[:, :320].sum(1).mean() == pytest.approx(
        n * math.sqrt(0.8 * 0.2) * math.sqrt(2 / math.pi / n), rel=0.02
    )
    bulk = np.sort(np.abs(np.linalg.eigvals(weights)))[-12]  # without single eigenvalues
    assert bulk == pytest.approx(math.sqrt(1 - 2 / math.pi), rel=0.1)


def test_masks_differ_between_seeds_and_have_the_density():
    cell = structured(200, structure=Sparse(0.1))
    one, two = (np.asarray(cell.connectivity(cell.init(seed))) != 0 for seed in (0, 1))
    assert (one != two).any()
    assert one.mean() == pytest.approx(0.1, abs=5 * math.sqrt(0.09) / 200)
    full = structured(9, structure=Sparse(1.0))
    params = full.init(0)
    np.testing.assert_array_equal(full.connectivity(params), params["recurrent"])


def test_the_cayley_transform_of_a_rotation():
    tangent = math.tan(0.35)  # of half the angle
    cell = structured(2, structure=Orthogonal(2.0))
    params = cell.init(0) | {"recurrent": jnp.array([[0.0, tangent], [0.0, 0.0]])}
    cosine, sine = math.cos(0.7), math.sin(0.7)
    expected = 2 * np.array([[cosine, -sine], [sine, cosine]])
    np.testing.assert_allclose(cell.connectivity(params), expected, rtol=1e-6)


WRAPPED = {"rate": rate(alpha=0.4, bias=True, activation="relu"), "current": current(tau=0.6)}
PAIRS = [("rate", structure) for structure in ALL] + [("current", s) for s in (ALL[0], ALL[3])]


@pytest.mark.parametrize("kernel", ["hoisted", "autodiff"])
def test_no_step_forms_the_matrix_again(kernel):
    cell = structured(4, structure="orthogonal")

    def loss(params):
        return rollout(cell, params, jnp.ones((2, 3, 1)), kernel=kernel).outputs.sum()

    program = jax.make_jaxpr(jax.grad(loss))(cell.init(0))
    scans = [str(equation) for equation in program.eqns if equation.primitive.name == "scan"]
    assert scans and "triangular_solve" in str(program)
    assert not any("triangular_solve" in scan for scan in scans)


@pytest.mark.parametrize(("wrapped", "structure"), PAIRS, ids=str)
def test_gradients_are_autodiff_and_finite_differences(wrapped, structure, float64):
    cell = structured(N, structure=structure, cell=WRAPPED[wrapped], inputs=2, outputs=2)
    cell = cell.replace(parametrization=MuPAdam())
    rng = np.random.default_rng(0)
    params = {name: jnp.asarray(w, float) for name, w in cell.init(2).items()}
    inputs = jnp.asarray(rng.normal(size=(B, T, 2)))

    def loss(params, kernel="auto"):
        found = rollout(cell, params, inputs, kernel=kernel)
        return jnp.mean(jnp.square(found.outputs - 1)) + jnp.mean(jnp.sin(found.states))

    @jax.jit
    def slopes(params, along):
        """Gradients of both kernels, and changes of the loss along each weight."""
        both = [jax.grad(loss)(params, kernel) for kernel in ("hoisted", "autodiff")]
        ends = [
            params | {name: params[name] + step * change}
            for name, change in along.items() for step in (1e-6, -1e-6)
        ]  # fmt: skip
        losses = jax.lax.map(loss, jax.tree.map(lambda *all: jnp.stack(all), *ends))
        return both, dict(zip(along, losses[::2] - losses[1::2], strict=True))

    trained = [name for name, leaf in cell.leaves().items() if leaf.role != "fixed"]
    along = {name: jnp.asarray(rng.normal(size=params[name].shape)) for name in trained}
    (hoisted, plain), changes = slopes(params, along)
    for name in params:
        np.testing.assert_allclose(hoisted[name], plain[name], rtol=1e-9, atol=1e-12)
        assert np.any(hoisted[name]) == (name in trained)
    for name, change in changes.items():
        assert change / 2e-6 == pytest.approx(np.vdot(hoisted[name], along[name]), rel=1e-5)


@pytest.mark.parametrize(("wrapped", "structure"), PAIRS, ids=str)
def test_the_network_is_the_wrapped_one_with_its_matrix(wrapped, structure):
    cell = structured(N, structure=structure, cell=WRAPPED[wrapped], inputs=2)
    params = cell.init(1)
    inputs = np.random.default_rng(0).normal(size=(B, T, 2)).astype("f4")
    plain = cell.cell
    assert (plain.hidden, plain.inputs) == (N, 2)
    given = {name: params[name] for name in plain.leaves() if name != "recurrent"}
    given["recurrent"] = cell.connectivity(params)
    found, expected = rollout(cell, params, inputs), rollout(plain, given, inputs)
    for one, two in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, two)
    rest = cell.initial_state(params)
    for one in (cell, plain):
        rates = one.rates(given, found.states[0], inputs[0], rest)
        np.testing.assert_array_equal(rates, cell.emit(found.states[0]))


def test_a_cell_with_its_own_initial_weights_keeps_them():
    @dataclasses.dataclass(frozen=True)
    class Doubled(type(rate(N))):
        def init(self, key):
            return {name: 2 * leaf for name, leaf in super().init(key).items()}

    plain = Doubled(N).init(1)
    for structure in (Dale(0.7), Sparse(0.3), LowRankPlusRandom(2)):
        cell = structured(structure=structure, cell=Doubled(N))
        drawn, standard = cell.init(1), structured(N, structure=structure).init(1)
        assert drawn.keys() == standard.keys()
        for name, leaf in drawn.items():
            np.testing.assert_array_equal(leaf, plain.get(name, standard[name]))
        assert np.array_equal(drawn["input"], 2 * standard["input"])


def test_sharpness_has_no_direction_of_what_is_fixed():
    cell = structured(6, structure=Sparse(0.5), inputs=2, outputs=2)
    params = cell.init(0)
    task = tiny.TASKS["delayed_cue"]
    doubled = params | {"mask": 2 * params["mask"]}
    recipe = tiny.recipe("sgd")
    found, same = (sharpness(task, cell, p, recipe, trials=8) for p in (params, doubled))
    assert found > 0
    assert same == pytest.approx(found, rel=1e-3)


def test_the_wrapped_cell_keeps_step():
    cell = structured(8, structure=Blocks(2), cell=current(99, tau=0.5), init="xavier")
    assert cell.cell == current(8, tau=0.5, init="xavier")
    wide = cell.replace(hidden=10, inputs=3, parametrization=MuPAdam())
    assert wide.cell == current(10, inputs=3, tau=0.5, parametrization=MuPAdam())
    assert dataclasses.replace(wide, cell=rate(5)).cell.hidden == 10
    assert structured(cell=rate(24, bias=True)).hidden == 24
    assert structured(cell=rate(24, init="uniform")).parametrization == Standard("uniform")
    assert structured(structure="sparse") == Structured(structure=Sparse())
    assert pickle.loads(pickle.dumps(cell)) == cell


def test_estimates_count_the_matrix():
    plain, cell = rate(N), structured(N, structure=Orthogonal())
    assert (cell.products, cell.kept, cell.visited) == (plain.products, plain.kept, plain.visited)
    assert cell.products_per_batch == 4 * N**3 // 3
    assert structured(N, structure=Dale()).products_per_batch == N**2
    assert plain.products_per_batch == 0
    assert cell.in_use(3) == 4 * N**2


def test_units_are_shared_where_rows_stay_apart():
    axes = {s.name: structured(N, structure=s, cell=rate(bias=True)).unit_axes for s in ALL}
    shared = {"recurrent": 0, "input": 0, "readout": 1, "bias": 0}
    assert axes["orthogonal"] == axes["antisymmetric"] == {}
    assert axes["dale"] == axes["blocks"] == shared
    assert axes["sparse"] == shared | {"mask": 0}
    del shared["recurrent"]
    assert axes["low_rank_plus_random"] == shared | {"random": 0, "embedding": 0, "encoding": 1}


@dataclasses.dataclass(frozen=True)
class Clashing(Structure):
    name = "clashing"

    def leaves(self, hidden):
        return super().leaves(hidden) | {"input": Leaf("fixed", (hidden, hidden), hidden)}

    def matrix(self, weights, hidden):
        return weights["recurrent"]


@dataclasses.dataclass(frozen=True)
class Unaware(Parametrization):
    name = "unaware"

    def rule(self, leaf, *, hidden, optimizer):
        return LeafRule("normal", 1.0)


WRONG = {
    "structure: .*did you mean 'dale'": {"structure": "dales"},
    "structure: expected a Structure": {"structure": Dale},
    "structure: expected leaves": {"structure": Clashing()},
    "cell: .*did you mean 'rate'": {"cell": "rates"},
    "cell: expected an AdditiveCell": {"cell": cells.gru()},
    "cell: .*'low_rank_dense'": {"cell": cells.DenseLowRank()},
    "cell: .*'structured'": {"cell": structured()},
    "init: expected none": {"init": "xavier", "parametrization": MuPAdam()},
    "parametrization: .*FIXED": {"structure": "sparse", "parametrization": Unaware()},
    "hidden: .*both kinds": {"hidden": 2},
    "hidden: expected a multiple of the 4": {"hidden": 6, "structure": "blocks"},
    "rank: expected at most hidden": {"hidden": 3, "structure": LowRankPlusRandom(4)},
}


@pytest.mark.parametrize("message", WRONG)
def test_wrong_arguments_are_named(message):
    with pytest.raises(ValueError, match=f"^{message}"):
        structured(**WRONG[message])


@pytest.mark.parametrize(
    ("kind", "field", "values"),
    [
        (Dale, "excitatory", (0, 1, 1.5)), (Sparse, "density", (0, 2)), (Blocks, "count", (0, 1.5)),
        (Orthogonal, "gain", (0, math.nan)), (Antisymmetric, "damping", (-1, math.inf)),
        (LowRankPlusRandom, "rank", (0,)), (LowRankPlusRandom, "gain", (-1,)),
    ],
)  # fmt: skip
def test_wrong_numbers_are_named(kind, field, values):
    for value in values:
        with pytest.raises(ValueError, match=rf"^{field}: expected .* got {value}"):
            kind(**{field: value})


def test_registered_names_are_those_of_the_classes():
    assert all(kind.name == name for name, kind in STRUCTURES.items())
    assert {type(structure) for structure in ALL} == set(STRUCTURES.values())


def test_dale_is_balanced_at_its_realized_share():
    weights = np.asarray(Dale(0.7).matrix({"recurrent": -jnp.ones((12, 12))}, 12))
    np.testing.assert_allclose(weights.sum(1), 0, atol=1e-6)
    np.testing.assert_allclose(np.mean(weights**2), 1, rtol=1e-6)


def test_the_solve_is_in_the_estimate_of_time():
    def flops(cell):
        return step_flops(Setup(rnnjax.tasks.delayed_cue(), cell, rnnjax.Recipe(), 10))

    free = rate(50, inputs=2, outputs=2)
    solved = structured(structure="orthogonal", cell=free)
    assert flops(solved) - flops(free) == 6 * (4 * 50**3 // 3)


def test_a_leaf_that_is_never_trained_ignores_its_change():
    cell = structured(4, structure="sparse")
    params = cell.init(0)
    change = {name: jnp.full_like(weight, jnp.nan) for name, weight in params.items()}
    moved = descend(cell, "sgd", params, change, jnp.float32(0.1), 1.0)
    assert jnp.isnan(moved["recurrent"]).all()
    np.testing.assert_array_equal(moved["mask"], params["mask"])


@pytest.mark.slow
def test_large_orthogonal_networks_compile():
    cell = structured(1024, structure="orthogonal", init="xavier")
    weights = np.asarray(jax.jit(cell.connectivity)(cell.init(0)))
    np.testing.assert_allclose(weights.T @ weights, np.eye(1024), atol=1e-4)
