"""The linear recurrence and linear attention against sums over all earlier times in NumPy."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from rnnjax import cells
from rnnjax.cells.linear_recurrence import parallel_scan, plain_scan
from rnnjax.parametrization import InverseWidth, MuPAdam, Standard
from rnnjax.trajectory import rollout

B, T, N, I, O = 2, 7, 4, 3, 2  # noqa: E741
RUN = jax.jit(rollout, static_argnums=0, static_argnames="kernel")
KEY = jax.random.key(0)


def setup(cell):
    rng = np.random.default_rng(0)
    raw = {k: 0.5 * rng.normal(size=leaf.shape) for k, leaf in cell.leaves().items()}
    return raw, {k: np.asarray(cell.effective(raw, k)) for k in raw}, rng.normal(size=(B, T, I))


def test_a_linear_recurrence_sums_powers_of_its_eigenvalues(float64):
    cell = cells.linear_recurrence(N, inputs=I, outputs=O, parametrization=InverseWidth())
    raw, p, inputs = setup(cell)
    decay, frequency = np.exp(-np.exp(p["decay"])), np.exp(p["frequency"])
    eigenvalues = decay * (np.cos(frequency) + 1j * np.sin(frequency))
    entering = np.sqrt(1 - decay**2)[:, None] * (p["input_real"] + 1j * p["input_imaginary"])
    mixing = p["mixing_real"] + 1j * p["mixing_imaginary"]
    start = np.random.default_rng(1).normal(size=(B, 2 * N))
    found = jax.tree.map(np.asarray, RUN(cell, raw, inputs, initial=start, output_scale=0.5))
    for b in range(B):
        first = start[b, :N] + 1j * start[b, N:]
        for t in range(T):
            x = eigenvalues ** (t + 1) * first
            x = x + sum(eigenvalues ** (t - s) * (entering @ inputs[b, s]) for s in range(t + 1))
            np.testing.assert_allclose(found.states[b, t], np.append(x.real, x.imag), atol=1e-12)
            rates = np.tanh((mixing @ x).real + p["bias"])
            output = 0.5 * p["readout"] @ rates + p["readout_bias"]
            np.testing.assert_allclose(found.outputs[b, t], output, atol=1e-12)


@pytest.mark.parametrize("steps", [1, 2, 5, 16])
def test_parallel_and_plain_scans_agree_with_their_gradients(steps, float64):
    rng = np.random.default_rng(steps)
    eigenvalues = 0.9 * np.exp(1j * rng.normal(size=N))
    drive = rng.normal(size=(2, steps, B, N)).view(complex).reshape(steps, B, N)
    weights = rng.normal(size=(steps, B, N))

    def loss(scan, *arguments):
        return jnp.sum(weights * jnp.abs(scan(*arguments)) ** 2)

    @jax.jit
    def both(*arguments):
        return [
            jax.value_and_grad(functools.partial(loss, scan), argnums=(0, 1))(*arguments)
            for scan in (plain_scan, parallel_scan)
        ]

    one, two = both(eigenvalues, drive)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12), one, two)


@functools.partial(jax.jit, static_argnums=0)
def drawn_eigenvalues(cell, key):
    """Decays, frequencies and eigenvalues of a new network, without its other weights."""
    params = cell.init(key)
    return params["decay"], params["frequency"], cell.eigenvalues(params)


def test_eigenvalues_start_uniformly_on_the_ring():
    cell = cells.linear_recurrence(4000, radius=(0.6, 0.9), phase=2.0)
    values = np.asarray(drawn_eigenvalues(cell, KEY)[2])
    squared = (np.abs(values) ** 2 - 0.36) / (0.81 - 0.36)
    for uniform in (squared, np.angle(values) / 2.0):
        np.testing.assert_allclose(
            np.quantile(uniform, (0.25, 0.5, 0.75)), (0.25, 0.5, 0.75), atol=0.03
        )
        assert 0 <= uniform.min() <= uniform.max() <= 1 + 1e-5


@pytest.mark.parametrize("decay", [1.0, 0.6])
def test_linear_attention_weighs_all_earlier_values(decay, float64):
    cell = cells.linear_attention(
        N, inputs=I, outputs=O, head=2, decay=decay, parametrization=InverseWidth()
    )
    raw, p, inputs = setup(cell)
    p["mixing"] = N * p["mixing"]  # so that heads matter
    raw["mixing"] = N * raw["mixing"]
    outputs = np.asarray(RUN(cell, raw, inputs, output_scale=0.5).outputs)

    def positive(x):
        return np.where(x > 0, x + 1, np.exp(x))

    for b in range(B):
        embedded = np.tanh(inputs[b] @ p["input"].T + p["bias"])
        query, key = (positive(embedded @ p[name].T).reshape(T, 2, 2) for name in ("query", "key"))
        value = (embedded @ p["value"].T).reshape(T, 2, 2)
        for t in range(T):
            heads = []
            for h in range(2):
                scores = [decay ** (t - s) * query[t, h] @ key[s, h] for s in range(t + 1)]
                heads.append(np.array(scores) / sum(scores) @ value[: t + 1, h])
            output = 0.5 * p["readout"] @ (embedded[t] + p["mixing"] @ np.concatenate(heads))
            np.testing.assert_allclose(outputs[b, t], output + p["readout_bias"], atol=1e-12)


@functools.partial(jax.jit, static_argnums=0)
def slopes_and_outputs(cell, params, inputs, initial):
    """By the kernel of the cell, and step by step."""

    def loss(params, kernel):
        outputs = rollout(cell, params, inputs, initial=initial, kernel=kernel).outputs
        return jnp.square(outputs - 1).sum(), outputs

    return [jax.grad(loss, has_aux=True)(params, kernel) for kernel in ("auto", "autodiff")]


@pytest.mark.slow
@pytest.mark.parametrize(("steps", "decay"), [(1, 0.9), (32, 1.0), (33, 0.9), (70, 0.9)])
def test_attention_in_chunks_is_attention_step_by_step(steps, decay, float64):
    """Outputs and gradients of whole trials, from a memory that is not empty."""
    cell = cells.linear_attention(N, inputs=I, outputs=O, head=2, decay=decay)
    raw, _, _ = setup(cell)
    rng = np.random.default_rng(steps)
    inputs, initial = rng.normal(size=(B, steps, I)), rng.uniform(size=(B, 5 * N))
    (slopes, chunked), (expected, stepped) = slopes_and_outputs(cell, raw, inputs, initial)
    np.testing.assert_allclose(chunked, stepped, rtol=1e-10, atol=1e-12)
    for name, slope in slopes.items():
        np.testing.assert_allclose(slope, expected[name], rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("name", ["linear_recurrence", "linear_attention"])
def test_gradients_are_finite_differences(name, float64):
    options = {"head": 2} if name == "linear_attention" else {}
    cell = cells.make(name, hidden=N, inputs=I, outputs=O, **options)
    raw, _, inputs = setup(cell)
    run = jax.jit(lambda p: jnp.square(rollout(cell, p, inputs).outputs).sum())
    check_grads(run, (raw,), order=1, modes=["rev"])


@pytest.mark.parametrize("rule", [Standard("uniform"), InverseWidth("uniform"), MuPAdam()])
def test_eigenvalues_start_alike_under_every_rule(rule):
    reference = cells.linear_recurrence(8).init(3)
    params = cells.linear_recurrence(8, parametrization=rule).init(3)
    for name in ("decay", "frequency"):
        np.testing.assert_array_equal(params[name], reference[name])


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("linear_recurrence", {"radius": (0.9, 0.5)}, "radius: expected .* got"),
        ("linear_recurrence", {"radius": (0.0, 1.1)}, "radius: expected .* got"),
        ("linear_recurrence", {"radius": (0.5, None)}, "radius: expected .* got None"),
        ("linear_recurrence", {"radius": 0.5}, "radius: expected a sequence"),
        ("linear_recurrence", {"phase": 7.0}, "phase: expected at most 2 pi, got 7"),
        ("linear_attention", {"hidden": 12}, "hidden: expected a multiple .* 8, got 12"),
        ("linear_attention", {"decay": 0.0}, "decay: expected"),
    ],
)
def test_wrong_options_are_named(name, options, words):
    with pytest.raises(ValueError, match=words):
        cells.make(name, **options)


ROLES = {
    "linear_recurrence": {
        "unit": {"decay", "frequency"},
        "input": {"input_real", "input_imaginary"},
        "recurrent": {"mixing_real", "mixing_imaginary"},
    },
    "linear_attention": {"input": {"input"}, "recurrent": {"query", "key", "value", "mixing"}},
}


@pytest.mark.parametrize("name", ROLES)
def test_roles_are_the_kinds_of_connections(name):
    leaves = cells.make(name).leaves()
    others = {"bias": {"bias"}, "readout": {"readout"}, "readout_bias": {"readout_bias"}}
    for role, names in (ROLES[name] | others).items():
        assert {key for key, leaf in leaves.items() if leaf.role == role} == names


@functools.partial(jax.jit, static_argnums=0)
def slopes_of_sum(cell, params):
    return jax.grad(lambda p: rollout(cell, p, jnp.ones((1, 3, 1))).outputs.sum())(params)


def test_a_modulus_that_rounds_to_one_has_finite_gradients():
    cell = cells.linear_recurrence(4)
    slopes = slopes_of_sum(cell, cell.init(0) | {"decay": jnp.full(4, -20.0)})
    assert all(np.isfinite(slope).all() for slope in slopes.values())


@pytest.mark.parametrize("radius", [(0.999, 1.0), (0.0, 0.1)])
def test_eigenvalues_at_the_ends_of_the_ring_are_finite(radius):
    decay, frequency, _ = drawn_eigenvalues(cells.linear_recurrence(2000, radius=radius), KEY)
    assert np.isfinite(decay).all() and np.isfinite(frequency).all()


def test_attention_without_similar_keys_is_finite():
    cell = cells.linear_attention(4, head=2)
    params = cell.init(0) | {"query": jnp.full((4, 4), -200.0), "bias": jnp.ones(4)}
    assert all(np.isfinite(slope).all() for slope in slopes_of_sum(cell, params).values())


@pytest.mark.parametrize("radius", [(0.0, 1e-3), (0.0, 0.01), (0.0, 1.0)])
def test_small_moduli_are_drawn_as_they_should_be(radius):
    """|lambda|^2 is uniform: its mean, and no modulus of 0, whose slopes would not be finite."""
    decay, frequency, values = drawn_eigenvalues(cells.linear_recurrence(2000, radius=radius), KEY)
    assert np.isfinite(decay).all() and np.isfinite(frequency).all()
    power = np.abs(values) ** 2 / radius[1] ** 2
    assert power.mean() == pytest.approx(0.5, abs=0.03)
    assert np.quantile(power, 0.1) == pytest.approx(0.1, abs=0.03)
