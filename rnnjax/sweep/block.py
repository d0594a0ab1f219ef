"""Training of one block: runs of one program, from the first step to the evaluation."""

import contextlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from rnnjax.devices import Layout, pad_to
from rnnjax.stopping import Pace, stop_if_due
from rnnjax.store import Weights
from rnnjax.sweep.checkpoints import BlockCheckpoints, BlockState
from rnnjax.sweep.programs import (
    advance_block,
    end_epoch_block,
    evaluate_block,
    init_block,
    start_block,
)
from rnnjax.sweep.results import scores
from rnnjax.sweep.snapshots import due_snapshots, empty_snapshots, take_snapshots
from rnnjax.sweep.states import halted, packed, put_in_place, running_again, with_last_params
from rnnjax.training import Hyper, Recipe, Run, Setup, Status, setting_values
from rnnjax.units import to_host

__all__ = ["BlockResult", "Segment", "Transfer", "train_block"]


class Segment(NamedTuple):
    """Progress of a block at the end of a segment; a run-step is one step of one run."""

    setup: Setup
    steps: int
    """Run-steps computed in this segment."""
    done: int
    """Run-steps already computed, or skipped because their run has stopped."""
    step: int = 0
    """Steps taken by the running runs."""
    running: int = 0
    """Runs that have not stopped."""
    loss: float = float("nan")
    """Median training loss at the last step, of the runs that took it."""
    held_out_loss: float = float("nan")
    """Median held-out loss of the runs, at the end of an epoch with validation."""
    begin: int = 0
    """Steps taken before this segment."""
    remote: bool = False
    """Whether it is a whole block of a worker, which trains beside others."""


class BlockResult(NamedTuple):
    """A trained block, in host memory."""

    losses: np.ndarray
    """Training loss of every step, [S, T]; NaN after a run has stopped."""
    values: dict[str, np.ndarray]
    """Results by variable, one value per run; `seconds` of earlier attempts that it resumes from,
    where there are checkpoints."""
    weights: Weights | None
    """Raw weights before, after and along training, stacked over runs; None if they are not
    kept."""
    held_out_loss: np.ndarray | None = None
    """Held-out loss at the end of every epoch, [S, epochs]; None without validation."""
    states: dict[str, np.ndarray] | None = None
    """States of training at the end, arrays [S, ...]; None if they are not kept."""


class Transfer(NamedTuple):
    """What goes from host to devices before the first step, and back after the last one."""

    weights: bool = True
    """Whether to return the weights: initial, trained, and the recipe's snapshots."""
    states: bool = False
    """Whether to return the states of training, for a call with more epochs."""
    earlier: Mapping[str, np.ndarray] | None = None
    """Those of a call with fewer epochs, from which the runs resume; None to begin."""
    checkpoints: BlockCheckpoints | None = None
    """Where the block's state between two segments is kept, and taken from; None for nowhere."""


_RESULTS_AND_WEIGHTS = Transfer()


def train_block(
    setup: Setup,
    hyper: Hyper,
    layout: Layout,
    *,
    size: int,
    segment: int,
    shrinks: Callable[[int, int], bool] = lambda now, fewer: False,
    transfer: Transfer = _RESULTS_AND_WEIGHTS,
    on_segment: Callable[[Segment], None] | None = None,
) -> BlockResult:
    """Trains S runs to their end.

    Args:
        setup: the static half of every run.
        hyper: the traced half of every run, NumPy arrays [S].
        layout: the devices and the map width.
        size: number of runs in the program, at least S; the others are padding.
        segment: steps per segment; the host reads losses and status after each.
        shrinks: called with the size of the program and a smaller size, at most half of it, that
            holds all unfinished runs; returns whether to continue with a program of that size.
        transfer: what to return besides the results, and earlier states to resume from.
        on_segment: called after every segment.

    Raises the error of a request to stop, or `OutOfTime` (`rnnjax.stopping`).
    """
    checkpoints = transfer.checkpoints or contextlib.nullcontext()
    with layout.context(), checkpoints:
        return _train(setup, hyper, layout, size, segment, shrinks, transfer, on_segment)


def _train(
    setup: Setup,
    hyper: Hyper,
    layout: Layout,
    size: int,
    segment: int,
    shrinks: Callable[[int, int], bool],
    transfer: Transfer,
    on_segment: Callable[[Segment], None] | None,
) -> BlockResult:
    count = len(hyper.seed)
    size = layout.padded(max(size, count))
    rows = layout.rows(size, count)
    hyper = layout.put(pad_to(size, _cast(hyper, count), rows))
    active = layout.put(np.isin(np.arange(size), rows))
    params = init_block(setup.cell, layout, hyper.seed)
    initial = None
    if transfer.weights:
        initial = jax.tree.map(lambda leaf: to_host(leaf)[rows], params)
    started = start_block(setup, layout, hyper, params, active)
    state = _begin(setup.recipe, started, rows, transfer.states)
    del started  # `state` alone holds the runs, which resumed ones replace
    if initial is not None and setup.recipe.snapshots:
        state.snapshots = empty_snapshots(initial, count, setup.recipe.snapshots)
    checkpoints = transfer.checkpoints
    resumed = checkpoints is not None and checkpoints.load(state, layout, setup.cell.unit_axes)
    if transfer.earlier is not None and not resumed:
        _resume(setup, layout, state, transfer.earlier)
    pace = Pace() if checkpoints is None else None  # checkpoints have their own
    while True:
        running = _advance(setup, layout, state, segment, on_segment)
        if not running.any():
            break
        _shrink(setup, layout, state, running, shrinks, transfer.weights)
        if checkpoints is not None:
            checkpoints.between_segments(state)
            stop_if_due()
        if pace is not None:
            pace.end()
            stop_if_due(pace.seconds)
            pace.begin()
    _collect(setup, layout, state, transfer.weights)
    weights = None if initial is None else Weights(initial, state.params, state.snapshots)
    kept = None
    if state.final is not None:
        kept = packed(state.final, state.losses, state.held_out_loss)
    if checkpoints is not None:
        state.values["seconds"] = np.full(count, checkpoints.seconds_before / count, "f4")
    return BlockResult(state.losses, state.values, weights, state.held_out_loss, kept)


def _begin(recipe: Recipe, runs: Run, rows: np.ndarray, keep_states: bool) -> BlockState:
    """The state of a block before its first step."""
    count, held_out_loss = len(rows), None
    if recipe.validates:
        held_out_loss = np.full((count, recipe.epochs), np.nan, "f4")
    return BlockState(
        runs=runs,
        members=np.arange(count),
        rows=rows,
        taken=0,
        losses=np.full((count, recipe.steps), np.nan, np.float32),
        values={},
        params=None,
        held_out_loss=held_out_loss,
        keep_states=keep_states,
    )


def _resume(
    setup: Setup, layout: Layout, state: BlockState, states: Mapping[str, np.ndarray]
) -> None:
    """Puts the runs of an earlier call, and their losses, in place of new ones."""
    leaves = jax.tree.leaves(running_again(states, state.runs))
    size = state.runs.status.shape[0]
    state.runs = put_in_place(state.runs, leaves, size, layout, setup.cell.unit_axes)
    state.taken = states["losses"].shape[1]
    state.losses[:, : state.taken] = states["losses"]
    if state.held_out_loss is not None:
        earlier = states["held_out_loss"]
        state.held_out_loss[:, : earlier.shape[1]] = earlier


def _cast(hyper: Hyper, count: int) -> Hyper:
    """Settings in single precision and 32-bit seeds, each [S], NumPy arrays."""
    values: Any = {
        name: np.broadcast_to(np.asarray(value, np.float32), count)
        for name, value in setting_values(hyper).items()
    }
    return Hyper(seed=np.asarray(hyper.seed, np.int32), **values)


def _shrink(
    setup: Setup,
    layout: Layout,
    state: BlockState,
    running: np.ndarray,
    shrinks: Callable[[int, int], bool],
    keep_parameters: bool,
) -> None:
    """Keeps only running runs, if they fill at most half of the program and `shrinks` allows it."""
    count, now = int(running.sum()), state.runs.status.shape[0]
    smaller = layout.padded(1 << (count - 1).bit_length())
    if 2 * smaller > now or not shrinks(now, smaller):
        return
    _collect(setup, layout, state, keep_parameters)
    # On a CPU by NumPy: each operation of JAX on a new shape would be a program to compile.
    held = jax.tree.map(np.asarray, state.runs) if layout.is_host else state.runs
    rows = layout.rows(smaller, count)
    index = pad_to(smaller, state.rows[running], rows)  # a shape for many counts
    kept = halted(jax.tree.map(lambda leaf: leaf[index], held), rows)
    state.runs = layout.put(kept, setup.cell.unit_axes)
    state.members, state.rows = state.members[running], rows


def _advance(
    setup: Setup,
    layout: Layout,
    state: BlockState,
    segment: int,
    on_segment: Callable[[Segment], None] | None,
) -> np.ndarray:
    """Computes one segment; returns which members are still running, [S]."""
    state.runs, losses = advance_block(setup, layout, state.runs, segment)
    members, rows, begin = state.members, state.rows, state.taken
    recipe = setup.recipe
    state.taken = min(begin + segment, recipe.steps)
    if state.held_out_loss is not None:  # runs stop at the end of their epoch for validation
        end = (begin // recipe.steps_per_epoch + 1) * recipe.steps_per_epoch
        state.taken = min(state.taken, end)
    taken = np.asarray(losses)[rows, : state.taken - begin]
    state.losses[members, begin : state.taken] = taken
    held_out = float("nan")
    if state.held_out_loss is not None and state.taken % recipe.steps_per_epoch == 0:
        epoch = state.taken // recipe.steps_per_epoch
        if state.keep_states and epoch == recipe.epochs:
            state.last = jax.tree.map(lambda leaf: np.array(to_host(leaf)), state.runs.params)
        state.runs = end_epoch_block(setup, layout, state.runs)
        validation = state.runs.validation
        assert validation is not None
        validated = np.asarray(validation.epochs)[rows] == epoch
        loss = np.asarray(validation.loss)[rows]
        state.held_out_loss[members[validated], epoch - 1] = loss[validated]
        if state.snapshots is not None:
            fresh = np.where(validated, loss, np.nan)
            due = due_snapshots(state.snapshots, members, fresh, recipe.snapshots)
            if due.any():
                params = jax.tree.map(to_host, state.runs.params)
                take_snapshots(state.snapshots, params, members, rows, due)
        held_out = _median(loss[validated])
    running = np.asarray(state.runs.status)[rows] == Status.RUNNING
    if on_segment is not None:
        steps = np.isfinite(state.losses[members, begin : state.taken]).sum()
        remaining = int(running.sum()) * (setup.recipe.steps - state.taken)
        done = state.losses.size - remaining
        loss = _median(state.losses[members, state.taken - 1])
        on_segment(
            Segment(setup, int(steps), done, state.taken, int(running.sum()), loss, held_out, begin)
        )
    return running


def _median(values: np.ndarray) -> float:
    """The median of the finite values; NaN without any."""
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if finite.size else float("nan")


def _collect(setup: Setup, layout: Layout, state: BlockState, keep_parameters: bool) -> None:
    """Evaluates the members and replaces their results."""
    runs = state.runs
    score = evaluate_block(setup.evaluation, layout, runs.hyper, runs.params, runs.status)
    reached = np.asarray(state.runs.reached, np.float32)
    values = {
        **scores(score),
        "status": np.asarray(state.runs.status, np.int8),
        "steps_taken": np.asarray(state.runs.step, np.int32),
        "steps_to_criterion": np.where(reached > 0, reached, np.float32(np.nan)),
    }
    for name, new in values.items():
        state.values[name] = _place(state.values.get(name), state, np.asarray(new))
    if state.keep_states:
        _collect_states(state)
    if not keep_parameters:
        return
    params = jax.tree.map(to_host, state.runs.params)
    if state.params is None:
        state.params = jax.tree.map(lambda new: _place(None, state, new), params)
    else:
        state.params = jax.tree.map(lambda old, new: _place(old, state, new), state.params, params)


def _collect_states(state: BlockState) -> None:
    """Replaces the states of the members by the present ones."""
    runs = jax.tree.map(to_host, state.runs)
    if state.last is not None:
        runs = with_last_params(runs, state.last)
    if state.final is None:
        state.final = jax.tree.map(lambda new: _place(None, state, new), runs)
    else:
        state.final = jax.tree.map(lambda old, new: _place(old, state, new), state.final, runs)


def _place(old: np.ndarray | None, state: BlockState, new: np.ndarray) -> np.ndarray:
    """`old` with the entries of the members replaced by theirs in `new`."""
    if old is None:
        return new[state.rows]
    old[state.members] = new[state.rows]
    return old
