"""The compiled programs of a block of runs.

They are module-level functions with static specs, so that every combination of specs and block
size is traced once per process. Initialization and evaluation depend on a part of a setup only:
setups that share that part share these programs.
"""

import functools

import jax
import jax.numpy as jnp

from rnnjax.cells import Cell
from rnnjax.devices import Layout
from rnnjax.training import (
    Evaluation,
    EvaluationSetup,
    Hyper,
    Run,
    Setup,
    Status,
    advance,
    end_epoch,
    evaluate,
    initial_params,
    start,
)
from rnnjax.typing import Array, Bool, Float, Int, Params

__all__ = [
    "advance_block",
    "end_epoch_block",
    "evaluate_block",
    "init_block",
    "start_block",
]


@functools.partial(jax.jit, static_argnames=("cell", "layout"))
def init_block(cell: Cell, layout: Layout, seeds: Int[Array, " S"]) -> Params:
    """The initial weights of every run."""
    return layout.map(functools.partial(initial_params, cell), seeds, cell.unit_axes)


@functools.partial(jax.jit, static_argnames=("setup", "layout"), donate_argnames=("params",))
def start_block(
    setup: Setup, layout: Layout, hyper: Hyper, params: Params, active: Bool[Array, " S"]
) -> Run:
    """Starts every run; those that are not `active` are padding and take no step."""

    def one(at: tuple[Hyper, Params, Array]) -> Run:
        run = start(setup, *at[:2])
        status = jnp.where(at[2], run.status, Status.EXHAUSTED)
        return run._replace(status=status.astype(jnp.int32))

    return layout.map(one, (hyper, params, active), setup.cell.unit_axes)


@functools.partial(
    jax.jit, static_argnames=("setup", "layout", "length"), donate_argnames=("runs",)
)
def advance_block(
    setup: Setup, layout: Layout, runs: Run, length: int
) -> tuple[Run, Float[Array, "S T"]]:
    """Advances every run by up to `length` steps, in place; also returns the loss of every step."""
    advanced = functools.partial(advance, setup, length=length)
    return layout.map(advanced, runs, setup.cell.unit_axes)


@functools.partial(jax.jit, static_argnames=("setup", "layout"), donate_argnames=("runs",))
def end_epoch_block(setup: Setup, layout: Layout, runs: Run) -> Run:
    """Validates the epoch that every running run has completed, in place.

    This is a separate program: inside the scan over steps, validation would be computed at every
    step where runs are mapped side by side.
    """
    return layout.map(functools.partial(end_epoch, setup), runs, setup.cell.unit_axes)


@functools.partial(jax.jit, static_argnames=("setup", "layout"))
def evaluate_block(
    setup: EvaluationSetup,
    layout: Layout,
    hyper: Hyper,
    params: Params,
    status: Int[Array, " S"],
) -> Evaluation:
    """Evaluates every run on its held-out trials."""
    return layout.map(lambda at: evaluate(setup, *at), (hyper, params, status))
