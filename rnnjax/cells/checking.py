"""Checks of a cell that a user has written, and of its weights."""

import inspect
from collections.abc import Mapping
from typing import Any, get_args

import jax
import jax.numpy as jnp
import numpy as np

from rnnjax.arrays import random_key
from rnnjax.cells.base import AdditiveCell, Cell, ParallelCell, UnrolledCell
from rnnjax.cells.low_rank import LARGEST
from rnnjax.contract import ROUNDING, agree, reproduced, require_copies, require_frozen, traced
from rnnjax.parametrization import FIXED, Role
from rnnjax.typing import Array, KeyLike, Params
from rnnjax.validate import counted, instance_of, one_of, positive_integer, shown

__all__ = [
    "check",
    "require_array",
    "require_cell",
    "require_fixed",
    "require_inputs",
    "require_real",
    "require_weights",
]

_TRIALS, _STEPS = 3, 6


def check(cell: Cell, *, key: KeyLike = 0) -> str:
    """Checks that a cell keeps the contract of `rnnjax.cells.Cell`; returns a summary.

    A cell is a frozen dataclass. `init` draws weights of the shapes of `leaves()` from the key
    alone. `step` keeps the shape and type of the state, `readout` returns [O], both the same
    eagerly and compiled, and finite; `scale` multiplies the output before its bias. Every weight
    has a gradient, but for those of the role `fixed`, which have none. The step of an additive cell
    is its update of the current; the kernel of an unrolled cell equals its steps.

    Args:
        cell: the cell, such as `rnnjax.cells.rate(32)`; it is checked with 3 inputs and 2 outputs.
        key: draws weights and inputs.

    Raises:
        ValueError: the first rule that the cell breaks, and what to change.
    """
    if isinstance(cell, type):
        raise ValueError(f"cell: expected an instance, such as {cell.__name__}(), got the class")
    instance_of("cell", cell, Cell)
    require_cell(cell)
    require_copies("cell", cell)
    some = cell.replace(inputs=3, outputs=2)
    drawn, other, driven = jax.random.split(random_key("key", key), 3)
    params = reproduced("init", some.init, drawn)
    _check_weights(some, params, some.init(other))
    inputs = jax.random.normal(driven, (_TRIALS, _STEPS, 3))
    states = _check_steps(some, params, inputs)
    _check_kinds(some, params, inputs, states)
    _check_gradients(some, params, inputs)
    count = sum(int(np.prod(leaf.shape)) for leaf in cell.leaves().values())
    untrained = ", ".join(name for name in params if not some.rule(name).trained)
    matrix = type(cell).connectivity is not Cell.connectivity
    return (
        f"{cell.name}: N = {cell.hidden}, {count:,} weights in {len(params)} leaves "
        f"({', '.join(params)}), {'a' if matrix else 'no'} connectivity matrix; every weight has a "
        f"gradient{f', but for {untrained}' if untrained else ''}"
    )


def require_cell(cell: Cell) -> None:
    """Raises `ValueError` unless a cell is a frozen dataclass whose weights a store can keep."""
    require_frozen("cell", cell)
    if not isinstance(getattr(cell, "name", None), str):
        raise ValueError("name: expected a string in the class, as name = 'my_cell', got none")
    if not isinstance(getattr(cell.parametrization, "name", None), str):
        raise ValueError(
            f"parametrization: expected a string name in the class of the rule, as name = "
            f"'my_rule', got none in {type(cell.parametrization).__name__}"
        )
    positive_integer("hidden", cell.hidden)
    for name, leaf in cell.leaves().items():
        if not isinstance(name, str) or not name.isidentifier():
            raise ValueError(
                f"leaves: expected names that are identifiers, such as w_in, got {shown(name)}"
            )
        one_of(f"leaves, role of {name}", leaf.role, get_args(Role))
    require_fixed(cell)


def require_fixed(cell: Cell) -> None:
    """Raises `ValueError` unless the rule of every weight of the role `fixed` is `FIXED`."""
    for name, leaf in cell.leaves().items():
        if leaf.role == "fixed" and cell.rule(name) != FIXED:
            raise ValueError(
                f"parametrization: expected the rule FIXED for the role 'fixed' of {name}, got "
                f"{shown(cell.rule(name))}"
            )


def require_weights(cell: Cell, params: Params) -> None:
    """Raises `ValueError` unless `params` are the weights of one network, traced or not."""
    if not isinstance(params, Mapping):
        raise ValueError(
            f"params: expected a dictionary, leaf name -> array, got a {type(params).__name__}"
        )
    expected = {name: tuple(leaf.shape) for name, leaf in cell.leaves().items()}
    if params.keys() != expected.keys():
        raise ValueError(
            f"params: expected the leaves {', '.join(expected)} of {cell.name!r}, got "
            f"{', '.join(map(str, params)) or 'none'}"
        )
    arrays = jax.Array | np.ndarray | np.generic
    got = {
        name: leaf.shape if isinstance(leaf, arrays) else f"a {type(leaf).__name__}"
        for name, leaf in params.items()
    }
    for name, shape in expected.items():
        if got[name] != shape:
            stacked = all(got[name][1:] == shape for name, shape in expected.items())
            hint = " (of one network: {name: leaf[i] for name, leaf in params.items()})"
            raise ValueError(
                f"params: expected {name} of shape {shape}{hint if stacked else ''}, got "
                f"{got[name]}"
            )


def require_array(name: str, value: Any) -> None:
    """Raises `ValueError` unless `value` is an array of JAX, traced or not, or of NumPy."""
    if not isinstance(value, jax.Array | np.ndarray):
        raise ValueError(f"{name}: expected an array, got a {type(value).__name__}")


def require_real(name: str, values: Any) -> None:
    """Raises `ValueError` for complex numbers, of which results would keep the real part."""
    if jnp.iscomplexobj(values):
        raise ValueError(f"{name}: expected real numbers, got an array of {values.dtype}")


def require_inputs(cell: Cell, inputs: Any, steps: int = 1) -> None:
    """Raises `ValueError` unless `inputs` are [B, T, I] with B and T of at least 1 and `steps`."""
    require_array("inputs", inputs)
    if inputs.ndim != 3 or inputs.shape[-1] != cell.inputs:
        raise ValueError(f"inputs: expected shape [B, T, {cell.inputs}], got {inputs.shape}")
    if inputs.shape[0] < 1 or inputs.shape[1] < steps:
        raise ValueError(
            f"inputs: expected at least 1 trial of {counted(steps, 'step')}, got {inputs.shape}"
        )


def _check_weights(cell: Cell, params: Params, others: Params) -> None:
    leaves = cell.leaves()
    for name, leaf in leaves.items():
        if name not in params or jnp.shape(params[name]) != tuple(leaf.shape):
            got = jnp.shape(params[name]) if name in params else "none"
            raise ValueError(f"init: expected {name} of shape {tuple(leaf.shape)}, got {got}")
        if not np.isfinite(np.asarray(params[name])).all():
            raise ValueError(f"init: expected finite weights, got NaN or infinity in {name}")
        drawn = cell.rule(name).distribution != "zeros"
        if drawn and agree(params[name], others[name], exact=True):
            raise ValueError(f"init: expected other weights for other keys, got the same {name}")
    if unknown := set(params) - set(leaves):
        raise ValueError(f"init: expected the weights of leaves(), got also {min(unknown)}")


def _outputs(cell: Cell, params: Params, inputs: Any) -> tuple[Any, Any]:
    """States [T, ...] and outputs [T, O] of one trial, step by step."""
    drive = cell.drive(params, inputs)

    def advance(state, drive_t):
        state = cell.step(params, state, drive_t)
        return state, state

    states = jax.lax.scan(advance, cell.initial_state(params), drive)[1]
    return states, jax.vmap(lambda state: cell.readout(params, state))(states)


def _check_steps(cell: Cell, params: Params, inputs: Any) -> Any:
    """States [B, T, ...] of the trials; the first steps are also taken eagerly."""
    rest, drive = cell.initial_state(params), cell.drive(params, inputs[0])
    require_array("initial_state", rest)
    require_array("drive", drive)
    if jnp.shape(drive)[:1] != (_STEPS,):
        raise ValueError(f"drive: expected [T, ...] with T = {_STEPS}, got {jnp.shape(drive)}")
    state = cell.step(params, rest, drive[0])
    require_array("step", state)
    if (jnp.shape(state), state.dtype) != (jnp.shape(rest), rest.dtype):
        raise ValueError(
            f"step: expected a state of shape {jnp.shape(rest)} and type {rest.dtype}, as "
            f"initial_state returns, got {jnp.shape(state)} and {state.dtype}"
        )
    output = cell.readout(params, state)
    if jnp.shape(output) != (cell.outputs,):
        raise ValueError(f"readout: expected shape ({cell.outputs},), got {jnp.shape(output)}")
    require_real("readout", output)
    run = jax.vmap(lambda trial: _outputs(cell, params, trial))
    states, outputs = traced("step", run, inputs)
    if not agree((states[0, 0], outputs[0, 0]), (state, output), floor=ROUNDING):
        raise ValueError("step: expected the same state eagerly and compiled, got another")
    if not all(np.isfinite(np.asarray(x)).all() for x in (states, outputs)):
        raise ValueError("step: expected finite states and outputs, got NaN or infinity")
    _check_scale(cell, params, states[0])
    return states


def _check_scale(cell: Cell, params: Params, states: Any) -> None:
    """The factor on the readout multiplies all but the bias; gamma has no effect otherwise."""
    arguments = inspect.signature(cell.readout).parameters.values()
    if not any(one.name == "scale" or one.kind is one.VAR_KEYWORD for one in arguments):
        raise ValueError(
            "readout: expected the arguments (params, state, scale=1.0), got no scale, the factor "
            "on the output before its bias"
        )

    def read(scale: float) -> Array:
        return jax.vmap(lambda state: cell.readout(params, state, scale=scale))(states)

    bias, half, full = read(0.0), read(0.5), read(1.0)
    usual = jax.vmap(lambda state: cell.readout(params, state))(states)
    constant = jnp.broadcast_to(bias[:1], bias.shape)
    if not agree((full, constant, full - bias), (usual, bias, 2 * (half - bias)), floor=ROUNDING):
        raise ValueError(
            "readout: expected scale, 1 by default, to multiply the output before its bias, got "
            f"{shown(half[0].tolist())} at 0.5, {shown(full[0].tolist())} at 1 and "
            f"{shown(bias[0].tolist())} at 0"
        )


def _check_kinds(cell: Cell, params: Params, inputs: Any, states: Any) -> None:
    """What only some cells have: rates, a connectivity matrix, a current, a kernel."""
    rates = cell.rates(params, states[0], inputs[0], cell.initial_state(params))
    if jnp.shape(rates) != (_STEPS, cell.hidden):
        expected = (_STEPS, cell.hidden)
        raise ValueError(f"rates: expected shape [T, N] = {expected}, got {jnp.shape(rates)}")
    require_real("rates", rates)
    if type(cell).connectivity is not Cell.connectivity and cell.hidden <= LARGEST:
        shape, expected = jnp.shape(cell.connectivity(params)), (cell.hidden, cell.hidden)
        if shape != expected:
            raise ValueError(f"connectivity: expected shape [N, N] = {expected}, got {shape}")
    if isinstance(cell, AdditiveCell):
        state, drive = states[0, 0], cell.drive(params, inputs[0])[1]
        current = cell.connectivity(params) @ cell.emit(state) + drive
        if not agree(cell.step(params, state, drive), cell.update(state, current)):
            raise ValueError(
                "step: expected update(state, connectivity @ emit(state) + drive), which additive "
                "cells compute; leave step to AdditiveCell, or subclass Cell"
            )
        _check_trials(cell, params, inputs, states)
    if isinstance(cell, UnrolledCell):
        rest = cell.initial_state(params)
        initial = jnp.broadcast_to(rest, (_TRIALS, *jnp.shape(rest)))
        unrolled = jnp.swapaxes(cell.unroll(params, inputs, initial), 0, 1)
        if not agree(unrolled, states):
            raise ValueError("unroll: expected the states that step computes, got others")
    if isinstance(cell, ParallelCell):
        rest = cell.initial_state(params)
        initial = jnp.broadcast_to(rest, (_TRIALS, *jnp.shape(rest)))
        drive = jax.vmap(cell.drive, (None, 0), 1)(params, inputs)
        read = jnp.swapaxes(cell.read(drive, initial), 0, 1)
        if not agree(read, states[..., : read.shape[-1]]):
            raise ValueError(
                "read: expected the first of the states that step computes, got others"
            )


def _check_trials(cell: AdditiveCell, params: Params, inputs: Any, states: Any) -> None:
    """Additive cells compute all trials of a batch at once, which must not mix."""
    before = states[:, 0]
    drive = jax.vmap(cell.drive, (None, 0))(params, inputs)[:, 1]
    currents = jax.vmap(cell.emit)(before) @ cell.connectivity(params).T + drive
    for name, together, apart in (
        ("emit", cell.emit(before), jax.vmap(cell.emit)(before)),
        ("update", cell.update(before, currents), jax.vmap(cell.update)(before, currents)),
    ):
        if not agree(together, apart):
            raise ValueError(
                f"{name}: expected the same for a batch [B, N] as for each of its trials, got "
                "another; sums over units are taken along axis -1"
            )


def _check_gradients(cell: Cell, params: Params, inputs: Any) -> None:
    def loss(weights: Params):
        outputs = jax.vmap(lambda trial: _outputs(cell, weights, trial)[1])(inputs)
        return jnp.square(outputs - 1).sum()

    slopes = traced("step", jax.grad(loss), params)
    for name, slope in slopes.items():
        found = np.asarray(slope)
        if not cell.rule(name).trained:
            if found.any():
                raise ValueError(
                    f"{name}: expected no gradient of a leaf that is never trained, got one; use "
                    "self.effective(params, name)"
                )
            continue
        if not np.isfinite(found).all():
            raise ValueError(f"{name}: expected a finite gradient, got NaN or infinity")
        if not found.any():
            raise ValueError(
                f"{name}: expected a gradient of the loss, got 0 everywhere; drop a leaf that no "
                "method uses, or check with more units where the "
                "structure sets all of its entries to zero"
            )
