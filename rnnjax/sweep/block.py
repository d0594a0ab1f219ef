"""Trains one block: runs of one program, side by side, from first step to evaluation."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from rnnjax.devices import Layout, pad_to
from rnnjax.sweep.programs import (
    advance_block,
    end_epoch_block,
    evaluate_block,
    init_block,
    start_block,
)
from rnnjax.training import Hyper, Run, Setup, Status

__all__ = ["BlockResult", "Segment", "train_block"]


class Segment(NamedTuple):
    """What a progress callback hears after every segment of steps."""

    setup: Setup
    steps: int
    """Run-steps computed in this segment, over all runs."""
    settled: int
    """Run-steps that no longer need computing, since the block began, early stops included."""


class BlockResult(NamedTuple):
    """A trained block, on the host."""

    losses: np.ndarray
    """Training loss of every step, [S, T]; NaN where a run had stopped."""
    values: dict[str, np.ndarray]
    """The results per run, by variable."""
    params: Any
    """Trained raw weights, stacked over runs; None if they were not to be kept."""
    initial: Any
    """The same before the first step."""
    held_out: np.ndarray | None = None
    """Under a watched recipe, held-out loss at the end of every epoch, [S, epochs]; else None."""


@dataclasses.dataclass
class _BlockState:
    """The block between two segments: everything needed to go on."""

    runs: Run
    members: np.ndarray
    """Which of the block's runs the leading entries of `runs` are."""
    taken: int
    losses: np.ndarray
    values: dict[str, np.ndarray]
    params: Any
    held_out: np.ndarray | None


def train_block(
    setup: Setup,
    hyper: Hyper,
    layout: Layout,
    *,
    size: int,
    segment: int,
    shrinks: Callable[[int, int], bool] = lambda now, fewer: False,
    keep_parameters: bool = True,
    on_segment: Callable[[Segment], None] | None = None,
) -> BlockResult:
    """Trains S runs to their end.

    Args:
        setup: what the block's program trains.
        hyper: the traced settings of each run, NumPy arrays [S].
        layout: the devices and the map width.
        size: runs in the program, at least S; the rest is padding that never moves.
        segment: steps between two looks of the host.
        shrinks: called with the runs in the program and those in a smaller one, of half as many
            or fewer, that would do for the moving ones: whether to carry on with that.
        keep_parameters: whether to bring the weights, initial and trained, to the host.
        on_segment: called after every segment.
    """
    count = len(hyper.seed)
    size = layout.padded(max(size, count))
    hyper = Hyper(
        learning_rate=jnp.asarray(hyper.learning_rate, jnp.float32),
        seed=jnp.asarray(hyper.seed, jnp.int32),
        gamma=jnp.asarray(hyper.gamma, jnp.float32),
        l1=jnp.broadcast_to(jnp.asarray(hyper.l1, jnp.float32), count),
        nuclear=jnp.broadcast_to(jnp.asarray(hyper.nuclear, jnp.float32), count),
    )
    recipe = setup.recipe
    hyper = jax.device_put(pad_to(size, hyper), layout.sharding())
    real = jax.device_put(jnp.arange(size) < count, layout.sharding())
    with layout.context():
        newborn = init_block(setup.cell, layout, hyper.seed)
        initial = None
        if keep_parameters:
            initial = jax.tree.map(lambda leaf: np.array(leaf[:count]), newborn)
        state = _BlockState(
            runs=start_block(setup, layout, hyper, newborn, real),
            members=np.arange(count),
            taken=0,
            losses=np.full((count, recipe.steps), np.nan, np.float32),
            values={},
            params=None,
            held_out=np.full((count, recipe.epochs), np.nan, "f4") if recipe.watched else None,
        )
        while True:
            moving = _advance(setup, layout, state, segment, on_segment)
            if not moving.any():
                break
            _shrink(setup, layout, state, moving, shrinks, keep_parameters)
        _collect(setup, layout, state, keep_parameters)
    return BlockResult(state.losses, state.values, state.params, initial, state.held_out)


def _shrink(
    setup: Setup,
    layout: Layout,
    state: _BlockState,
    moving: np.ndarray,
    shrinks: Callable[[int, int], bool],
    keep_parameters: bool,
) -> None:
    """Goes on with the moving runs alone, if they fill half of the program or less and it pays."""
    count, now = int(moving.sum()), state.runs.status.shape[0]
    smaller = layout.padded(1 << (count - 1).bit_length())
    if 2 * smaller > now or not shrinks(now, smaller):
        return
    _collect(setup, layout, state, keep_parameters)
    kept = jax.tree.map(lambda leaf: leaf[np.flatnonzero(moving)], state.runs)
    kept = _halt_padding(pad_to(smaller, kept), count)
    state.runs = jax.device_put(kept, layout.sharding())
    state.members = state.members[moving]


def _advance(
    setup: Setup,
    layout: Layout,
    state: _BlockState,
    segment: int,
    on_segment: Callable[[Segment], None] | None,
) -> np.ndarray:
    """One segment; returns which members still move."""
    state.runs, losses = advance_block(setup, layout, state.runs, segment)
    members, begin = state.members, state.taken
    recipe = setup.recipe
    state.taken = min(begin + segment, recipe.steps)
    if state.held_out is not None:  # moving runs wait at the end of their epoch
        end = (begin // recipe.steps_per_epoch + 1) * recipe.steps_per_epoch
        state.taken = min(state.taken, end)
    state.losses[members, begin : state.taken] = losses[: len(members), : state.taken - begin]
    if state.held_out is not None and state.taken % recipe.steps_per_epoch == 0:
        epoch = state.taken // recipe.steps_per_epoch
        state.runs = end_epoch_block(setup, layout, state.runs)
        validation = state.runs.validation
        assert validation is not None
        judged = np.asarray(validation.epochs)[: len(members)] == epoch
        found = np.asarray(validation.loss)[: len(members)]
        state.held_out[members[judged], epoch - 1] = found[judged]
    moving = np.asarray(state.runs.status)[: len(members)] == Status.RUNNING
    if on_segment is not None:
        steps = np.isfinite(state.losses[members, begin : state.taken]).sum()
        still_to_do = int(moving.sum()) * (setup.recipe.steps - state.taken)
        settled = state.losses.size - still_to_do
        on_segment(Segment(setup, int(steps), settled))
    return moving


def _halt_padding(runs: Run, real: int) -> Run:
    padding = jnp.arange(runs.status.shape[0]) >= real
    return runs._replace(status=jnp.where(padding, Status.EXHAUSTED, runs.status).astype(jnp.int32))


def _collect(setup: Setup, layout: Layout, state: _BlockState, keep_parameters: bool) -> None:
    """Evaluates the present members and writes their results over what was there."""
    members = state.members
    runs = state.runs
    score = evaluate_block(setup.evaluation, layout, runs.hyper, runs.params, runs.status)
    reached = np.asarray(state.runs.reached, np.float32)
    found = {
        "final_loss": score.loss,
        "blind_loss": score.blind_loss,
        "accuracy_decision": score.decision,
        "accuracy_matching": score.matching,
        "accuracy_pearson": score.pearson,
        "status": np.asarray(state.runs.status, np.int8),
        "steps_taken": np.asarray(state.runs.step, np.int32),
        "steps_to_criterion": np.where(reached > 0, reached, np.float32(np.nan)),
    }
    for name, new in found.items():
        state.values[name] = _placed(state.values.get(name), members, np.asarray(new))
    if not keep_parameters:
        return
    params = jax.tree.map(np.asarray, state.runs.params)
    if state.params is None:
        state.params = jax.tree.map(lambda new: _placed(None, members, new), params)
    else:
        state.params = jax.tree.map(
            lambda old, new: _placed(old, members, new), state.params, params
        )


def _placed(old: np.ndarray | None, members: np.ndarray, new: np.ndarray) -> np.ndarray:
    """The rows `members` of `old` replaced by the leading rows of `new`."""
    if old is None:
        return np.array(new[: len(members)])
    old[members] = new[: len(members)]
    return old
