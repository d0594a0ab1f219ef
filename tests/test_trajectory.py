"""Outputs and gradients of both kernels against each other and finite differences."""

import dataclasses
import functools
import logging

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from rnnjax import cells
from rnnjax.cells import AdditiveCell, Cell
from rnnjax.parametrization import Leaf, Standard
from rnnjax.trajectory import rollout

B, T, N, I, O = 3, 6, 4, 2, 2  # noqa: E741


@dataclasses.dataclass(frozen=True)
class Voltage(AdditiveCell):
    """h' = (1 - a) h + a (W tanh(h) + W_in u): the signal differs from the state."""

    hidden: int = N
    inputs: int = I
    outputs: int = O
    alpha: float = 0.4
    parametrization: Standard = Standard("uniform")

    name = "voltage"

    def leaves(self):
        n, i, o = self.hidden, self.inputs, self.outputs
        return {
            "recurrent": Leaf("recurrent", (n, n), n),
            "input": Leaf("input", (n, i), i),
            "readout": Leaf("readout", (o, n), n),
        }

    def connectivity(self, params):
        return params["recurrent"]

    def drive(self, params, inputs):
        return inputs @ params["input"].T

    def update(self, state, current):
        return (1 - self.alpha) * state + self.alpha * current

    def emit(self, state):
        return jnp.tanh(state)

    def readout(self, params, state, scale=1.0):
        return scale * (params["readout"] @ jnp.tanh(state))


@dataclasses.dataclass(frozen=True)
class Plain(Cell):
    """A minimal cell that is not additive: its state is multiplied by its input."""

    hidden: int = 2
    inputs: int = 2
    outputs: int = 2
    parametrization: Standard = Standard()

    name = "plain"

    def leaves(self):
        return {"gain": Leaf("bias", (self.hidden,), 1)}

    def step(self, params, state, drive):
        return params["gain"] * state * drive + drive

    def readout(self, params, state, scale=1.0):
        return scale * state


def rate(alpha):
    return cells.rate(N, inputs=I, outputs=O, alpha=alpha, bias=True, init="xavier")


CELLS = {**{f"rate-{a}": rate(a) for a in (0.3, 0.5, 1.0)}, "voltage": Voltage()}


def arguments(cell):
    """Weights larger than initial ones, so that the network is nonlinear."""
    rng = np.random.default_rng(0)
    params = {
        name: jnp.asarray(rng.normal(0, 0.8, leaf.shape), float)
        for name, leaf in cell.leaves().items()
    }
    inputs = jnp.asarray(rng.normal(size=(B, T, cell.inputs)), float)
    initial = jnp.asarray(rng.normal(0, 0.5, (B, cell.hidden)), float)
    return params, inputs, initial, jnp.asarray(0.7)


def loss(kernel, cell, params, inputs, initial, scale):
    """A loss with a different weight for every output and state."""
    run = rollout(cell, params, inputs, initial=initial, output_scale=scale, kernel=kernel)
    wave = jnp.cos(jnp.arange(T, dtype=inputs.dtype))[None, :, None]
    return jnp.sum(run.outputs**2 * wave) + jnp.sum(jnp.sin(run.states) * wave), run


@functools.partial(jax.jit, static_argnums=0)
def both_kernels(cell, *given):
    """(outputs, states) and gradients with respect to all arguments, under each kernel."""
    found = []
    for kernel in ("hoisted", "autodiff"):
        slope = jax.grad(functools.partial(loss, kernel, cell), argnums=(0, 1, 2, 3), has_aux=True)
        found.append(slope(*given))
    return found


def largest_difference(one, two):
    differences = jax.tree.map(lambda a, b: jnp.max(jnp.abs(a - b) / (1 + jnp.abs(b))), one, two)
    return max(float(d) for d in jax.tree.leaves(differences))


def test_rollouts_outside_of_programs_compile_once(caplog):
    cell = cells.rate(5, inputs=2, outputs=1)
    params, inputs = cell.init(jax.random.key(0)), jax.random.normal(jax.random.key(1), (3, 4, 2))
    others = np.asarray(inputs + 1)
    rollout(cell, params, inputs)
    with jax.log_compiles(), caplog.at_level(logging.WARNING):
        rollout(cell, params, others, output_scale=2.0)
        again = sum("Finished XLA compilation" in line for line in caplog.messages)
        rollout(cell, params, others[:2])
    other = sum("Finished XLA compilation" in line for line in caplog.messages)
    assert other > again == 0


@pytest.mark.slow
@pytest.mark.parametrize("name", ["rate-0.5", "voltage"])
def test_hoisted_equals_autodiff_in_float32(name):
    cell = CELLS[name]
    (slopes, run), (expected, expected_run) = both_kernels(cell, *arguments(cell))
    assert slopes[0]["recurrent"].dtype == jnp.float32
    assert largest_difference(run, expected_run) < 1e-6
    assert largest_difference(slopes, expected) < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
def test_hoisted_equals_autodiff_in_float64(cell, float64):
    (slopes, run), (expected, expected_run) = both_kernels(cell, *arguments(cell))
    assert slopes[0]["recurrent"].dtype == jnp.float64
    assert largest_difference(run, expected_run) < 1e-13
    assert largest_difference(slopes, expected) < 1e-12


@pytest.mark.parametrize("name", ["rate-0.5", "voltage"])
def test_gradients_equal_central_differences(name, float64):
    cell, step = CELLS[name], 1e-5
    given = arguments(cell)
    flat, unravel = ravel_pytree(given)

    @jax.jit
    def values(points):
        return jax.vmap(lambda point: loss("hoisted", cell, *unravel(point))[0])(points)

    shifts = step * jnp.eye(len(flat))
    differences = (values(flat[None] + shifts) - values(flat[None] - shifts)) / (2 * step)
    slopes = both_kernels(cell, *given)[0][0]
    for got, expected in zip(
        jax.tree.leaves(slopes), jax.tree.leaves(unravel(differences)), strict=True
    ):
        np.testing.assert_allclose(got, expected, rtol=1e-7, atol=1e-8)
        assert np.any(np.asarray(got) != 0)


def test_the_kernel_is_hoisted_by_default_where_it_can_be():
    cell = CELLS["rate-0.5"]
    params, inputs, _, _ = arguments(cell)

    def primitives(kernel):
        return str(jax.make_jaxpr(lambda p: rollout(cell, p, inputs, kernel=kernel))(params))

    assert "custom_vjp" in primitives("auto")
    assert "custom_vjp" in primitives("hoisted")
    assert "custom_vjp" not in primitives("autodiff")


def test_forward_mode_works_under_autodiff():
    cell = CELLS["rate-0.5"]
    params, inputs, initial, scale = arguments(cell)
    value = functools.partial(loss, "autodiff", cell)
    tangents = jax.tree.map(jnp.ones_like, params)
    tangent = jax.jit(functools.partial(jax.jvp, lambda p: value(p, inputs, initial, scale)[0]))
    _, forward = tangent((params,), (tangents,))
    slopes = both_kernels(cell, params, inputs, initial, scale)[1][0][0]
    backward = sum(float(jnp.sum(slope)) for slope in slopes.values())
    assert float(forward) == pytest.approx(backward, rel=1e-4)


def test_a_cell_starts_at_rest_by_default():
    cell = CELLS["rate-0.5"]
    params, inputs, _, _ = arguments(cell)
    run = jax.jit(rollout, static_argnums=0)
    rest = run(cell, params, inputs, initial=jnp.zeros((B, N)))
    for one, two in zip(run(cell, params, inputs), rest, strict=True):
        np.testing.assert_array_equal(one, two)


@pytest.mark.slow
def test_any_cell_can_be_rolled_out():
    params, inputs = {"gain": jnp.array([0.5, 2.0])}, jnp.array([[[1.0, 1.0], [2.0, 3.0]]])
    trajectory = rollout(Plain(), params, inputs, output_scale=10.0)
    np.testing.assert_array_equal(trajectory.states[0], [[1, 1], [0.5 * 2 + 2, 2 * 3 + 3]])
    np.testing.assert_array_equal(trajectory.outputs, 10 * trajectory.states)


@pytest.mark.slow
@pytest.mark.usefixtures("unchecked_shapes")
def test_invalid_arguments_are_named():
    cell, params = Plain(), {"gain": jnp.ones(2)}
    with pytest.raises(ValueError, match=r"inputs: expected shape \[B, T, 2\], got \(5, 2\)"):
        rollout(cell, params, jnp.zeros((5, 2)))
    with pytest.raises(ValueError, match=r"inputs: expected shape \[B, T, 2\], got \(1, 5, 3\)"):
        rollout(cell, params, jnp.zeros((1, 5, 3)))
    with pytest.raises(ValueError, match=r"initial: expected shape \(1, 2\), got \(1, 3\)"):
        rollout(cell, params, jnp.zeros((1, 5, 2)), initial=jnp.zeros((1, 3)))
    with pytest.raises(ValueError, match="kernel: 'hoisted' needs an additive cell, got 'plain'"):
        rollout(cell, params, jnp.zeros((1, 5, 2)), kernel="hoisted")
    with pytest.raises(ValueError, match=r"kernel: .*did you mean 'hoisted'"):
        rollout(cell, params, jnp.zeros((1, 5, 2)), kernel="hoist")


def test_a_rollout_has_the_type_of_its_weights(float64):
    cell = cells.rate(N, inputs=I, outputs=O)
    params = {name: leaf.astype("f4") for name, leaf in cell.init(0).items()}
    inputs, initial = np.ones((B, T, I), "f4"), np.full((B, N), 0.25, "f4")
    expected = rollout(cell, params, inputs, initial=initial)
    for kind in ("f8", "f2"):
        found = rollout(cell, params, inputs.astype(kind), initial=initial.astype(kind))
        for one, other in zip(found, expected, strict=True):
            assert one.dtype == jnp.float32
            np.testing.assert_array_equal(one, other)
    small = {name: leaf.astype(jnp.bfloat16) for name, leaf in params.items()}
    assert rollout(cell, small, inputs).states.dtype == jnp.bfloat16


ONE = {"gain": np.ones(2)}


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cell": cells.rate}, "^cell: expected a Cell, got <function rate"),
        ({"cell": Plain(parametrization=[])}, "^cell: expected a frozen dataclass with hashable"),
        (
            {"params": {"gain": np.ones(2, int)}},
            "^params: .*floating-point weights, got gain of int",
        ),
        ({"params": {"gain": np.array(["1", "2"])}}, "^params: .* got gain of <U1"),
        ({"inputs": np.zeros((1, 5, 2), complex)}, "^inputs: expected real numbers, .* complex"),
        ({"inputs": np.zeros((1, 0, 2))}, "^inputs: expected at least 1 trial of 1 step"),
        ({"inputs": np.zeros((0, 5, 2))}, "^inputs: expected at least 1 trial of 1 step"),
        ({"initial": np.zeros((1, 2), complex)}, "^initial: expected real numbers"),
        ({"output_scale": np.ones(2)}, r"^output_scale: expected one number, got array"),
        ({"output_scale": np.array(1j)}, "^output_scale: expected real numbers"),
        ({"output_scale": "1"}, "^output_scale: expected one number, got '1'"),
    ],
)
def test_arguments_of_another_kind_are_named(change, message):
    given = {"cell": Plain(), "params": ONE, "inputs": np.zeros((1, 5, 2), "f4"), **change}
    with pytest.raises(ValueError, match=message):
        rollout(**given)


def test_weights_of_several_types_are_used_as_they_are():
    cell = cells.rate(N, inputs=I, outputs=O)
    params = {name: leaf.astype(jnp.bfloat16) for name, leaf in cell.init(0).items()}
    params["readout"] = params["readout"].astype("f4")
    inputs = jnp.ones((B, T, I), jnp.bfloat16)
    found = jax.eval_shape(functools.partial(rollout, cell), params, inputs)
    assert (found.states.dtype, found.outputs.dtype) == (jnp.bfloat16, jnp.float32)
    slopes = jax.eval_shape(jax.grad(lambda p: rollout(cell, p, inputs).outputs.sum()), params)
    assert {name: leaf.dtype for name, leaf in slopes.items()} == {
        name: leaf.dtype for name, leaf in params.items()
    }


@dataclasses.dataclass(frozen=True)
class Embedded(Plain):
    """Its inputs are numbers of rows of a table, and flags of units that are set to 0."""

    parametrization: object = abs

    name = "embedded"

    def leaves(self):
        return {"table": Leaf("input", (5, self.hidden), 1)}

    def drive(self, params, inputs):
        return (
            jnp.where(inputs, 1.0, 0.0) if inputs.dtype == bool else params["table"][inputs[:, 0]]
        )

    def step(self, params, state, drive):
        return state + drive


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize("inputs", [[[1, 0], [4, 0]], [[True, False], [False, True]]])
def test_integers_and_booleans_stay_what_they_are(inputs):
    params = {"table": np.arange(10.0, dtype="f4").reshape(5, 2)}
    found = rollout(Embedded(), params, np.array([inputs]))  # its function as a field is no matter
    expected = [[2, 3], [10, 12]] if inputs[1][0] == 4 else [[1, 0], [1, 1]]
    np.testing.assert_array_equal(found.states[0], expected)


@dataclasses.dataclass(frozen=True)
class Counting(Plain):
    """A cell that states its rest in another type than its weights."""

    rest: str = "i4"

    def initial_state(self, params):
        return jnp.zeros(self.hidden, self.rest)


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize(
    ("rest", "given", "expected"), [("i4", "f8", "f4"), ("f4", "i4", "f4"), ("c8", "f4", "c8"),
                                    ("f8", "f8", "f8")]
)  # fmt: skip
def test_initial_states_are_never_truncated(rest, given, expected, float64):
    params, initial = (
        {"gain": jnp.ones(2, "f4")},
        np.full((1, 2), 3.5 if given != "i4" else 3, given),
    )
    run = functools.partial(rollout, Counting(rest=rest))
    inputs = jnp.zeros((1, 1, 2), "f4")
    found = jax.make_jaxpr(lambda: run(params, inputs, initial=initial))().out_avals[1]
    assert found.dtype == expected


@pytest.mark.parametrize("scale", [np.float64(0.5), np.array(0.5), jnp.float32(0.5), 0.5])
def test_the_scale_does_not_change_the_type(scale, float64):
    small = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), cells.rate(N).init(0))
    inputs = jnp.ones((B, T, 1))
    found = jax.eval_shape(lambda: rollout(cells.rate(N), small, inputs, output_scale=scale))
    assert found.outputs.dtype == jnp.bfloat16


def test_rollouts_have_any_number_of_trials():
    cell = cells.rate(N, inputs=I, outputs=O)
    shape = jax.export.symbolic_shape(f"b, {T}, {I}")
    run = jax.jit(functools.partial(rollout, cell, cell.init(0)))
    program = jax.export.export(run)(jax.ShapeDtypeStruct(shape, "f4"))
    assert str(program.out_avals[0].shape) == f"(b, {T}, {O})"


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize(
    ("params", "inputs", "initial", "message"),
    [
        (
            {"gain": np.ones((3, 2))},
            0,
            None,
            r"params: .* gain .* \(2,\) \(of one network.* \(3, 2\)",
        ),
        ({"gain": np.ones(3)}, 0, None, r"params: expected gain of shape \(2,\), got \(3,\)"),
        ({"gain": [1.0, 1.0]}, 0, None, r"params: expected gain of shape \(2,\), got a list"),
        ({**ONE, "bias": 0.0}, 0, None, "params: expected the leaves gain .* got gain, bias"),
        (None, 0, None, "params: expected a dictionary, .* a NoneType"),
        (ONE, [[[0.0, 0.0]]], None, "inputs: expected an array, got a list"),
        (ONE, 0, [[0.0, 0.0]], "initial: expected an array, got a list"),
    ],
)
def test_weights_and_arrays_of_another_form_are_named(params, inputs, initial, message):
    inputs = np.zeros((1, 5, 2), "f4") if inputs == 0 else inputs
    with pytest.raises(ValueError, match=message):
        rollout(Plain(), params, inputs, initial=initial)


def test_weights_are_checked_one_network_at_a_time(float64):
    cell = CELLS["rate-0.5"]
    params, inputs, _, _ = arguments(cell)
    stacked = {name: jnp.stack([leaf, -leaf]) for name, leaf in params.items()}
    found = jax.eval_shape(jax.vmap(lambda one: rollout(cell, one, inputs).outputs), stacked)
    assert (found.shape, found.dtype) == ((2, B, T, O), jnp.float64)
