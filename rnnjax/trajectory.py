"""Rollout of one network over a batch of trials.

Plain reverse-mode differentiation of a scan adds an [N, N] weight gradient at every time step.
For an `AdditiveCell` the kernel `hoisted` carries only the cotangent of the state backwards,

    g_t          = ybar_t + lambda_t
    delta_t      = (d update / d current)^T g_t
    lambda_{t-1} = (d update / d state)^T g_t + emit'(s_{t-1}) * (W^T delta_t),

stacks the delta_t, and forms  dW = sum_{b,t} delta_t emit(s_{t-1})^T  as one product
[N, BT] x [BT, N] after the scan. It equals `autodiff` up to rounding.
"""

import functools
from collections.abc import Callable
from numbers import Real
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from rnnjax import units
from rnnjax.cells import AdditiveCell, Cell, Latent, ParallelCell, UnrolledCell
from rnnjax.cells.checking import require_array, require_inputs, require_weights
from rnnjax.typing import Array, Float, Params, Scalar
from rnnjax.validate import instance_of, one_of, shown

__all__ = ["Kernel", "Trajectory", "rollout"]

Kernel = Literal["auto", "hoisted", "autodiff"]
"""How the gradient of a rollout is computed; see `rollout`."""


class Trajectory(NamedTuple):
    """Outputs and states of a network in a batch of trials."""

    outputs: Float[Array, "B T O"]
    """The readout at every step."""
    states: Float[Array, "B T D"]
    """The state after every step, without the initial state; D = N in most cells."""


def rollout(
    cell: Cell,
    params: Params,
    inputs: Float[Array, "B T I"],
    *,
    initial: Float[Array, "B D"] | None = None,
    output_scale: float | Scalar = 1.0,
    kernel: Kernel = "auto",
) -> Trajectory:
    """Runs `cell` over a batch of trials, in the type of its weights.

    Floating-point inputs, initial states and scales are converted to this type. Integers and
    booleans stay as they are, and so does everything where weights have several types.

    Args:
        cell: the network, hashable.
        params: its raw weights, of one network.
        inputs: the inputs of every trial, at least one.
        initial: states before the first step; the cell's own by default.
        output_scale: factor on the readout, before its bias.
        kernel: `hoisted` for the fast weight gradient (additive cells), `autodiff` for plain
            differentiation, which forward mode and Jacobians require; `auto` is `hoisted` for
            additive cells, the cell's own kernel for unrolled and parallel cells, and `autodiff`
            for others.

    Raises:
        ValueError: another kind of cell, or weights that hold no floating-point numbers. The error
            also names weights, inputs or initial states of another shape, those that are no
            numbers, an `output_scale` that is no number, and an unknown or unsuitable kernel.
    """
    _require_hashable(instance_of("cell", cell, Cell))
    require_weights(cell, params)
    require_inputs(cell, inputs)
    one_of("kernel", kernel, ("auto", "hoisted", "autodiff"))
    if kernel == "hoisted" and not isinstance(cell, AdditiveCell):
        raise ValueError(f"kernel: 'hoisted' needs an additive cell, got {cell.name!r}")
    if not isinstance(output_scale, Real | jax.Array | np.ndarray) or np.shape(output_scale) != ():
        raise ValueError(f"output_scale: expected one number, got {shown(output_scale)}")
    dtype = _type_of(params)
    inputs = _numbers("inputs", inputs, dtype)
    if isinstance(output_scale, jax.Array | np.ndarray | np.generic):
        output_scale = _numbers("output_scale", output_scale, dtype)
    initial = _initial(cell, params, inputs.shape[0], initial, dtype)

    traced = any(isinstance(x, Tracer) for x in jax.tree.leaves((params, inputs, initial)))
    run = _rollout if traced else _rollout_program
    return run(cell, kernel, params, inputs, initial, output_scale)


def _require_hashable(cell: Cell) -> None:
    """Raises `ValueError` for a cell that cannot be an argument of compiled programs."""
    try:
        hash(cell)
    except TypeError:
        raise ValueError(
            f"cell: expected a frozen dataclass with hashable fields, got {shown(cell)}"
        ) from None


def _dtype(array: Any) -> np.dtype:
    """The type of an array as programs see it."""
    is_jax = isinstance(array, jax.Array)
    return array.dtype if is_jax else jax.dtypes.canonicalize_dtype(array.dtype)


def _type_of(params: Params) -> np.dtype | None:
    """The type of all real weights; None where there are several or none."""
    types = {name: leaf.dtype for name, leaf in params.items()}
    kinds = (jnp.bool_, jnp.number)
    numeric = all(any(jnp.issubdtype(one, kind) for kind in kinds) for one in types.values())
    if not numeric or not any(jnp.issubdtype(dtype, jnp.inexact) for dtype in types.values()):
        listed = ", ".join(f"{name} of {dtype}" for name, dtype in types.items()) or "none"
        raise ValueError(f"params: expected floating-point weights, got {listed}")
    found = {_dtype(leaf) for leaf in params.values() if jnp.issubdtype(leaf.dtype, jnp.floating)}
    return found.pop() if len(found) == 1 else None


def _numbers(name: str, value: Any, dtype: np.dtype | None, *, integers: bool = False) -> Any:
    """An array or NumPy scalar, in `dtype` if it is floating, or of any type with `integers`.

    Raises `ValueError` for one that is no number, or complex where `dtype` is real.
    """
    kinds = [jnp.bool_, jnp.integer, jnp.floating]
    if dtype is None or jnp.issubdtype(dtype, jnp.complexfloating):
        kinds.append(jnp.complexfloating)
    if not any(jnp.issubdtype(value.dtype, kind) for kind in kinds):
        raise ValueError(f"{name}: expected real numbers, got an array of {value.dtype}")
    is_converted = integers or jnp.issubdtype(value.dtype, jnp.inexact)
    if dtype is None or not is_converted or _dtype(value) == dtype:
        return value
    return value.astype(dtype)


def _initial(cell: Cell, params: Params, trials: int, given: Any, dtype: np.dtype | None) -> Array:
    """The states before the first step, [B, ...]."""
    if given is None:
        rest = cell.initial_state(params)
        require_array("initial_state", rest)
        return jnp.broadcast_to(rest, (trials, *rest.shape))
    require_array("initial", given)
    rest = jax.eval_shape(cell.initial_state, params)
    # A cell may keep its states in a wider type than its weights.
    states = None if dtype is None else jnp.promote_types(rest.dtype, dtype)
    counts = not jnp.issubdtype(rest.dtype, jnp.inexact)
    initial = _numbers("initial", given, states, integers=not counts)
    if initial.shape != (expected := (trials, *rest.shape)):
        hint = " (see cell.project)" if isinstance(cell, Latent) else ""
        raise ValueError(f"initial: expected shape {expected}{hint}, got {initial.shape}")
    return initial


def _rollout(
    cell: Cell, kernel: Kernel, params: Params, inputs: Array, initial: Array, output_scale: Any
) -> Trajectory:
    seen = None
    if isinstance(cell, UnrolledCell) and kernel == "auto":
        states: Array = cell.unroll(params, inputs, initial)
    else:
        drive = jax.vmap(cell.drive, in_axes=(None, 0), out_axes=1)(params, inputs)  # [T, B, N]
        if isinstance(cell, AdditiveCell) and kernel != "autodiff":
            weights = units.split(cell.connectivity(params), 0)
            states = _additive_states(cell, weights, units.split(drive, -1), initial)
        else:
            states = _states(cell, params, drive, initial)  # not computed where nothing uses them
            if isinstance(cell, ParallelCell) and kernel == "auto" and not units.are_shared():
                seen = cell.read(drive, initial)
    readout = functools.partial(cell.readout, params, scale=output_scale)
    outputs = jax.vmap(jax.vmap(readout))(states if seen is None else seen)
    return Trajectory(jnp.swapaxes(outputs, 0, 1), jnp.swapaxes(states, 0, 1))


# Outside of any program each scan would compile anew at every call.
_rollout_program = jax.jit(_rollout, static_argnums=(0, 1))


def _states(cell: Cell, params: Params, drive: Array, initial: Array) -> Array:
    """States [T, B, D] of any cell, differentiated by JAX."""
    step: Callable[[Array, Array], Array] = functools.partial(cell.step, params)
    if isinstance(cell, AdditiveCell) and type(cell).step is AdditiveCell.step:
        weights = cell.connectivity(params)  # and its gradient: once, not at every step

        def additive(state: Array, drive_t: Array) -> Array:
            return cell.update(state, weights @ cell.emit(state) + drive_t)

        step = additive
    move = jax.vmap(step)

    def advance(state, drive_t):
        state = move(units.whole(state), drive_t)
        return state, state

    return jax.lax.scan(advance, initial, drive)[1]


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _additive_states(cell: AdditiveCell, weights: Array, drive: Array, initial: Array) -> Array:
    """States [T, B, N] of an additive cell."""
    return _forward(cell, weights, drive, initial)[0]


def _forward(cell: AdditiveCell, weights: Array, drive: Array, initial: Array):
    """States, and the residuals of the backward pass: currents, not their derivatives."""
    transposed = weights.T

    def advance(state, drive_t):
        current = units.whole(cell.emit(state)) @ transposed + drive_t
        state = units.split(cell.update(state, current), -1)
        return state, (state, current)

    states, currents = jax.lax.scan(advance, initial, drive)[1]
    return states, (weights, initial, states, currents)


def _backward(cell: AdditiveCell, residuals, cotangents: Array):
    """Cotangents of weights, drive and initial state."""
    weights, initial, states, currents = residuals
    before = jnp.concatenate([initial[None], states[:-1]])  # [T, B, N]

    def retreat(carried, at_t):
        cotangent, state, current = at_t
        _, pull_update = jax.vjp(cell.update, state, current)
        through_state, delta = pull_update(carried + cotangent)
        _, pull_emit = jax.vjp(cell.emit, state)
        (through_weights,) = pull_emit(units.split(delta @ weights, -1))
        return through_state + through_weights, delta

    carried, deltas = jax.lax.scan(
        retreat, jnp.zeros_like(initial), (cotangents, before, currents), reverse=True
    )
    emitted = units.whole(cell.emit(before))
    weight_cotangent = units.split(jnp.einsum("tbi,tbj->ij", deltas, emitted), 0)
    return weight_cotangent, deltas, carried


_additive_states.defvjp(_forward, _backward)
