"""Low-rank networks in three forms: full W, two thin products, K latent variables."""

import dataclasses
import functools
import sys

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType

from rnnjax.cells import latent_kernel
from rnnjax.cells.latent import Latent, latent
from rnnjax.cells.low_rank import DenseLowRank, LowRank, low_rank
from rnnjax.cells.rate import Rate
from rnnjax.parametrization import LeafRule, Parametrization
from rnnjax.trajectory import rollout

B, T, N, K, I, O = 3, 6, 37, 2, 3, 2  # noqa: E741
SIZES = {"rank": K, "inputs": I, "outputs": O}

run = jax.jit(rollout, static_argnums=0)


@dataclasses.dataclass(frozen=True)
class Scaled(Parametrization):
    """A rule with multipliers that differ from 1; W and the outputs are of order one."""

    name = "scaled"
    optimizers = ("adam",)
    factors = (("input", 0.8), ("bias", 2.0), ("readout", 0.2), ("latent_readout", 3.0))

    def rule(self, leaf, *, hidden, optimizer):
        return LeafRule("normal", 1.0, multiplier=dict(self.factors).get(leaf.role, -1.0))


def made(factory, hidden=N, **options):
    options = {**SIZES, "bias": True, "parametrization": Scaled(), **options}
    return factory(hidden, **options)


def arguments(cell, steps=T, trials=B):
    """Weights, inputs and rates before the first step, large enough for tanh to be nonlinear."""
    rng = np.random.default_rng(0)
    params = {
        name: jnp.asarray(rng.normal(size=leaf.shape), float)
        for name, leaf in cell.leaves().items()
    }
    inputs = jnp.asarray(rng.normal(size=(trials, steps, cell.inputs)), float)
    return params, inputs, jnp.asarray(rng.uniform(-1, 1, (trials, cell.hidden)), float)


def loss(cell, kernel, params, inputs, initial):
    """A loss with a different weight for every output and state."""
    found = rollout(cell, params, inputs, initial=initial, output_scale=0.7, kernel=kernel)
    wave = jnp.cos(jnp.arange(inputs.shape[1], dtype=inputs.dtype))[None, :, None]
    return jnp.sum(found.outputs**2 * wave) + jnp.sum(jnp.sin(found.states) * wave), found


@functools.partial(jax.jit, static_argnums=(0, 1))
def slopes(cell, kernel, *given):
    """(outputs, states) and gradients with respect to weights, inputs and initial state."""
    return jax.grad(functools.partial(loss, cell, kernel), argnums=(0, 1, 2), has_aux=True)(*given)


@functools.partial(jax.jit, static_argnums=0)
def output_slopes(cell, params, inputs, initial):
    """Outputs, and the gradients of their mean square; `initial` are firing rates."""

    def value(params, inputs, initial):
        start = cell.project(params, initial) if hasattr(cell, "project") else initial
        outputs = rollout(cell, params, inputs, initial=start, output_scale=0.7).outputs
        return jnp.mean(outputs**2), outputs

    return jax.grad(value, argnums=(0, 1, 2), has_aux=True)(params, inputs, initial)


def assert_close(one, two, within):
    """Every array of one tree equals that of the other, relative to the largest element."""
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(two), strict=True):
        scale = float(np.max(np.abs(b)))
        assert scale > 0
        np.testing.assert_allclose(a, b, rtol=0, atol=within * scale)


@pytest.fixture(autouse=True)
def tiles(monkeypatch):
    """Tiles of 10 units or fewer, so that there are several, and N is no multiple of them."""
    monkeypatch.setattr(latent_kernel, "_CACHED", 10 * B)


@pytest.mark.parametrize("alpha", [0.5, 1.0])
def test_the_latent_network_is_the_low_rank_network(alpha, float64):
    full, reduced = made(low_rank, alpha=alpha), made(latent, alpha=alpha)
    assert full.leaves() == reduced.leaves()
    given = arguments(full, steps=200)
    found, expected = output_slopes(reduced, *given), output_slopes(full, *given)
    assert np.std(expected[1]) > 0.1
    assert_close(found, expected, 1e-10)


def test_low_rank_networks_are_the_rate_network_with_their_connectivity(float64):
    thin = made(low_rank, alpha=0.4)
    formed = DenseLowRank(**dataclasses.asdict(thin) | {"parametrization": Scaled()})
    params, inputs, initial = arguments(thin)
    weights = params["embedding"] @ params["encoding"] * 0.8 * 0.2
    np.testing.assert_allclose(thin.connectivity(params), weights, rtol=1e-13)
    raw = {
        "recurrent": weights,
        "input": 0.8 * params["input"],
        "bias": 2.0 * params["bias"],
        "readout": 0.2 * params["readout"],
        "readout_bias": -params["readout_bias"],
    }
    rate = Rate(N, I, O, alpha=0.4, bias=True)
    found = slopes(thin, "auto", params, inputs, initial)
    _, expected = slopes(rate, "auto", raw, inputs, initial)
    assert_close(found[1], expected, 1e-12)
    assert_close(slopes(formed, "auto", params, inputs, initial), found, 1e-12)


def test_connectivity_is_a_sum_of_outer_products():
    cell = latent(N, **SIZES)
    params = arguments(cell)[0]
    expected = np.asarray(params["embedding"]) @ np.asarray(params["encoding"]) / N
    np.testing.assert_allclose(cell.connectivity(params), expected, rtol=1e-5, atol=1e-7)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("readout", "options"),
    [
        ("rates", {}),
        ("latent", {"bias": False, "inputs": latent_kernel._LISTED}),  # summed as a product
        ("activation", {}),
    ],
)
def test_the_kernel_equals_autodiff(readout, options, float64):
    cell = made(latent, readout=readout, alpha=0.4, **options)
    params, inputs, rates = arguments(cell)
    initial = cell.project(params, rates)
    if readout == "activation":  # which reads no earlier outputs
        initial = initial.at[:, K:].set(0.0)
    found = slopes(cell, "auto", params, inputs, initial)
    expected = slopes(cell, "autodiff", params, inputs, initial)
    assert_close(found, expected, 1e-12)


def test_single_precision_is_kept():
    cell = made(latent)
    params, inputs, rates = arguments(cell)
    found = jax.eval_shape(
        functools.partial(slopes, cell, "auto"), params, inputs, cell.project(params, rates)
    )
    assert {leaf.dtype for leaf in jax.tree.leaves(found)} == {jnp.dtype("float32")}


def test_devices_share_the_units(float64):
    cell = made(latent, alpha=0.4)
    params, inputs, rates = arguments(cell)
    given = params, inputs, cell.project(params, rates)
    expected = slopes(cell, "auto", *given)
    mesh = jax.make_mesh((2,), ("units",), axis_types=(AxisType.Auto,))
    with jax.set_mesh(mesh):
        found = slopes(cell, "auto", *given)
        program = str(jax.make_jaxpr(lambda *given: slopes(cell, "auto", *given))(*given))
    assert "psum" in program
    assert_close(found, expected, 1e-12)


@pytest.mark.parametrize("cell", [latent(4), Rate(4)], ids=["latent", "rate"])
def test_an_axis_of_units_that_jax_would_type_is_named(cell):
    mesh = jax.make_mesh((2,), ("units",), axis_types=(AxisType.Explicit,))
    params, inputs = cell.init(0), jnp.ones((2, 3, 1))
    with jax.set_mesh(mesh), pytest.raises(ValueError, match=r"^mesh: .*AxisType\.Auto"):
        rollout(cell, params, inputs)


def test_runs_map_and_shard(float64):
    cell = made(latent, alpha=0.4)
    params, inputs, rates = arguments(cell)
    given = params, inputs, cell.project(params, rates)
    pair = jax.tree.map(lambda x: np.stack([x, -0.3 * np.asarray(x)]), given)
    each = functools.partial(slopes, cell, "auto")
    alone = [each(*jax.tree.map(lambda x, i=i: x[i], pair)) for i in range(2)]
    expected = jax.tree.map(lambda *x: np.stack(x), *alone)
    assert_close(jax.vmap(each)(*pair), expected, 1e-12)

    # One axis already split, by a map over runs as sweeps do it, the other by the kernel.
    mesh = jax.make_mesh((1, 2), ("runs", "units"), axis_types=2 * (AxisType.Auto,))
    spec = jax.sharding.PartitionSpec("runs")
    with jax.set_mesh(mesh):
        mapped = jax.shard_map(
            lambda *runs: jax.lax.map(lambda run: each(*run), runs),
            in_specs=spec, out_specs=spec, axis_names={"runs"}, check_vma=False,
        )  # fmt: skip
        assert_close(jax.jit(mapped)(*pair), expected, 1e-12)


def elements(cell, *given):
    """Elements of the largest array in the training of a network."""
    program = jax.make_jaxpr(lambda *given: slopes(cell, "auto", *given))(*given)

    def walk(jaxpr):
        sizes = [v.aval.size for equation in jaxpr.eqns for v in equation.outvars]
        for equation in jaxpr.eqns:
            for value in equation.params.values():
                for sub in value if isinstance(value, tuple | list) else (value,):
                    if hasattr(sub, "jaxpr"):
                        sub = sub.jaxpr
                    if hasattr(sub, "eqns"):
                        sizes.append(walk(sub))
        return max(sizes, default=0)

    return walk(program.jaxpr)


def test_no_array_grows_with_units_times_trials():
    hidden, trials = 20_000, 50
    cell, full = made(latent, hidden), made(low_rank, hidden)
    params, inputs, _ = arguments(cell, steps=8, trials=2)
    inputs = jnp.tile(inputs, (trials // 2, 1, 1))
    given = params, inputs, jnp.zeros((trials, K + O))
    assert hidden * (K + I + 1) <= elements(cell, *given) < hidden * trials / 5
    start = jnp.zeros((trials, hidden))
    assert elements(full, params, inputs, start) >= hidden * trials * inputs.shape[1]


@pytest.mark.parametrize("readout", ["rates", "activation"])
def test_rates_along_a_trajectory(readout, float64):
    full, cell = made(low_rank), made(latent, readout=readout)
    params, inputs, rates = arguments(cell)
    expected = run(full, {**params, "readout": jnp.ones((O, N))}, inputs, initial=rates).states[0]
    start = cell.project(params, rates)
    states = run(cell, params, inputs, initial=start).states[0]
    rebuild = jax.jit(cell.rates)
    found = rebuild(params, states, inputs[0], start[0], rates_before=rates[0])
    np.testing.assert_allclose(found, expected, atol=1e-12)
    # Without r(0) the rates start from its part that the state determines; the rest decays.
    unseen = np.asarray(expected - rebuild(params, states, inputs[0], start[0]))
    known = 0.2 * np.asarray(params["encoding"])
    if readout == "rates":
        known = np.concatenate([known, 0.2 * np.asarray(params["readout"])])
    before = rates[0] - np.linalg.pinv(known) @ (known @ np.asarray(rates[0]))
    assert np.max(np.abs(before)) > 0.1
    fading = 0.5 ** np.arange(1, T + 1)[:, None] * np.asarray(before)
    np.testing.assert_allclose(unseen, fading, atol=1e-12)


def test_rates_of_wide_networks_project_to_the_initial_state():
    """Where rows differ in size, of which the usual solution drops those 0.012 times the first."""
    cell = latent(100_000, rank=2, readout="latent")
    params = {name: jnp.zeros(leaf.shape) for name, leaf in cell.leaves().items()}
    rows = np.random.default_rng(0).normal(size=params["encoding"].shape)
    params["encoding"] = jnp.float32(rows * np.array([1.0, 1e-3])[:, None])
    start = cell.initial_state(params) + 1.0
    rates = cell.rates(params, start[None], jnp.zeros((1, cell.inputs)), start)
    found = cell.project(params, rates[0] / (1 - cell.alpha))  # without a drive they decay
    np.testing.assert_allclose(found, start, rtol=1e-3)


def test_rates_start_at_rest(float64):
    full, cell = made(low_rank), made(latent)
    params, inputs, _ = arguments(cell)
    states = run(cell, params, inputs).states[0]
    found = jax.jit(cell.rates)(params, states, inputs[0], cell.initial_state(params))
    np.testing.assert_allclose(found, run(full, params, inputs).states[0], atol=1e-12)


def test_rates_from_rest_need_no_factorization(monkeypatch, float64):
    """Nor does that change their derivative."""
    cell = made(latent)
    params, inputs, _ = arguments(cell)
    states, rest = run(cell, params, inputs).states[0], cell.initial_state(params)
    rates = functools.partial(cell.rates, params, states[:1], inputs[0, :1])
    slope = jax.jacrev(rates)(rest)[0, :, K:]
    known = np.concatenate([0.2 * params["encoding"], 0.2 * params["readout"]])
    np.testing.assert_allclose(slope, (1 - cell.alpha) * np.linalg.pinv(known)[:, K:], atol=1e-12)
    module = sys.modules[Latent.__module__]
    monkeypatch.setattr(module, "_solved", lambda _, rows: jnp.full(rows.shape[1], jnp.nan))
    assert np.isfinite(rates(rest)).all()
    assert np.isnan(rates(rest + 1)).all()


def test_readout_is_named_as_it_was_given():
    with pytest.raises(ValueError, match=r"^readout: .*did you mean 'rates'"):
        latent(4, readout="rate")
    with pytest.raises(ValueError, match=r"^readout_from: .*did you mean 'rates'"):
        Latent(4, readout_from="rate")


def test_activations_are_not_rates_unless_alpha_is_one(float64):
    def outputs(readout, alpha):
        cell = made(latent, readout=readout, alpha=alpha)
        params, inputs, _ = arguments(cell)
        return cell, params, inputs, run(cell, params, inputs)

    cell, params, inputs, trajectory = outputs("activation", 0.5)
    params = {name: np.asarray(weight) for name, weight in params.items()}
    kappa = np.concatenate([np.zeros((B, 1, K)), cell.kappa(trajectory.states)[:, :-1]], axis=1)
    current = kappa @ (0.8 * params["embedding"].T) + np.asarray(inputs) @ (0.8 * params["input"].T)
    phi = np.tanh(current + 2 * params["bias"])
    expected = phi @ (0.2 * params["readout"].T) - params["readout_bias"]
    np.testing.assert_allclose(trajectory.outputs, expected, atol=1e-12)
    assert np.max(np.abs(expected - outputs("rates", 0.5)[3].outputs)) > 0.1
    at_one = [outputs(readout, 1.0)[3].outputs for readout in ("activation", "rates")]
    np.testing.assert_allclose(*at_one, atol=1e-12)


def test_the_latent_readout_reads_the_latent_variables():
    cell = made(latent, readout="latent")
    params, inputs, _ = arguments(cell)
    params = {name: np.asarray(weight) for name, weight in params.items()}
    outputs, states = run(cell, params, inputs, output_scale=2.0)
    assert states.shape == (B, T, K)
    expected = 2 * np.asarray(states) @ (3 * params["readout"].T) - params["readout_bias"]
    np.testing.assert_allclose(outputs, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("factory", [low_rank, latent, DenseLowRank])
@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"hidden": 0}, "hidden"),
        ({"rank": 0}, "rank"),
        ({"hidden": 3, "rank": 4}, "rank"),
        ({"alpha": 0.0}, "alpha"),
        ({"bias": 1}, "bias"),
        ({"parametrization": "muP"}, "parametrization"),
    ],
)
def test_invalid_options_are_named(factory, options, named):
    with pytest.raises(ValueError, match=rf"^{named}: expected .* got "):
        factory(**options)


def test_invalid_arguments_are_named():
    with pytest.raises(ValueError, match=r"^readout: .*did you mean 'rates'"):
        latent(readout="rate")
    for cell in (low_rank(20_001), latent(20_001), DenseLowRank(20_001)):
        with pytest.raises(
            ValueError, match=r"^hidden: expected at most 20000 .* 20001, .* 1.6 GB"
        ):
            cell.connectivity({})


def test_products_count_the_multiply_adds_of_a_step():
    cell = LowRank(N, I, O, K)
    assert cell.products == N * (2 * K + I + O)
    assert latent(N, **SIZES).products == N * (2 * K + I + O + 16)  # and a tanh
    assert latent(N, **SIZES, readout="latent").products == N * (2 * K + I + 16)
    assert DenseLowRank(N, I, O, K).products == N * (N + I + O)
    assert latent(N, **SIZES).kept == latent(1000 * N, **SIZES).kept


@pytest.mark.usefixtures("unchecked_shapes")
def test_inputs_may_be_integers():
    cell = latent(8, rank=2, inputs=2)
    params = cell.init(jax.random.key(0))
    trials = jax.random.bernoulli(jax.random.key(1), 0.3, (3, 5, 2)).astype(int)

    def loss(params, inputs):
        return jnp.square(rollout(cell, params, inputs).outputs - 1).mean()

    slopes = jax.jit(jax.grad(loss))
    found, expected = (slopes(params, trials.astype(kind)) for kind in (int, jnp.float32))
    chex.assert_trees_all_equal(found, expected)
