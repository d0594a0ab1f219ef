"""Computation of one block on the devices of this process."""

import time
import warnings
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import numpy as np
import xarray as xr

from rnnjax.devices import Layout
from rnnjax.store import Weights, digest
from rnnjax.store.running import Running
from rnnjax.sweep import cost
from rnnjax.sweep.ahead import ProgramKey
from rnnjax.sweep.block import BlockResult, Segment, Transfer, train_block
from rnnjax.sweep.blocks import Block
from rnnjax.sweep.checkpoints import BlockCheckpoints, identity
from rnnjax.sweep.results import thinned
from rnnjax.sweep.sizing import segment_steps, shrinking_rule

if TYPE_CHECKING:
    from rnnjax.sweep.engine import Engine

__all__ = ["Computed", "Kept", "block_programs", "compute_block", "work_of"]

OnSegment = Callable[[Block, Segment], None]


class Kept(NamedTuple):
    """What a store keeps of every run."""

    steps: np.ndarray
    """Steps at which training losses are recorded."""
    epochs: int | None
    """Number of epochs with a held-out loss; None without validation."""
    parameters: bool
    """Whether the weights are kept."""

    @classmethod
    def of(cls, template: xr.Dataset, parameters: bool) -> "Kept":
        """What is kept in a dataset like the `template`."""
        epochs = template.sizes["epoch"] if "held_out_loss" in template else None
        return cls(template["step"].values, epochs, parameters)


def work_of(config: Mapping[str, Any], engine: "Engine", kept: Kept) -> str:
    """Hash of a sweep, of what is kept, and of how runs are mapped, on which their bits depend."""
    return digest([config, kept.parameters, engine.keep_state, engine.map_width, engine.share])


class Computed(NamedTuple):
    """A trained block, as it is kept."""

    values: dict[str, np.ndarray]
    """Results by variable, [S] or [S, step]."""
    facts: dict[str, Any]
    """Plain data about the computation, for the block's marker."""
    weights: Weights | None
    states: Mapping[str, np.ndarray] | None
    """States of training, if they are kept."""


def block_programs(block: Block, layout: Layout, engine: "Engine") -> ProgramKey:
    """What the programs of a block depend on."""
    segment = engine.segment or segment_steps(block.setup, block.size, layout)
    return ProgramKey(block.setup, layout, layout.padded(max(block.size, block.runs)), segment)


def compute_block(
    block: Block,
    layout: Layout,
    engine: "Engine",
    kept: Kept,
    running: Running | None,
    on_segment: OnSegment | None = None,
) -> Computed:
    """Trains and evaluates the runs of a block, with checkpoints where it is `running` in a folder.

    Raises `ValueError` where memory runs out even for the smallest program.
    """
    started, begin = time.time(), time.perf_counter()
    result = _train_within_memory(block, layout, engine, kept, running, on_segment)
    before = float(result.values.get("seconds", np.zeros(1)).sum())
    seconds = time.perf_counter() - begin + before
    values = dict(result.values)
    values["seconds"] = np.full(block.runs, seconds / block.runs, "f4")
    values["loss"] = thinned(result.losses, kept.steps)
    if kept.epochs is not None:
        held_out_loss = np.full((block.runs, kept.epochs), np.nan, "f4")
        if result.held_out_loss is not None:
            held_out_loss = result.held_out_loss
        values["held_out_loss"] = held_out_loss
    facts = {
        "started": started, "seconds": round(seconds, 3), "device": layout.devices[0].device_kind,
        "devices": len(layout.devices), "map_width": layout.map_width, "share": layout.share,
    }  # fmt: skip
    return Computed(values, facts, result.weights, result.states)


def _checkpoints(
    block: Block, programs: ProgramKey, engine: "Engine", kept: Kept, running: Running | None
) -> BlockCheckpoints | None:
    """The checkpoints of a block; None where there is no folder for them."""
    if running is None or engine.checkpoint_minutes is None:
        return None
    keeps = kept.parameters, engine.keep_state
    what = identity(block, programs.layout, programs.segment, engine.compact, keeps)
    steps = block.setup.recipe.steps
    return BlockCheckpoints(
        running.block(block.name, what, block.cells, steps), engine.checkpoint_minutes
    )


def _train_within_memory(
    block: Block,
    layout: Layout,
    engine: "Engine",
    kept: Kept,
    running: Running | None,
    on_segment: OnSegment | None,
) -> BlockResult:
    """Trains a block; splits it in two, repeatedly, where the device runs out of memory.

    A single run in a program of more takes one of its own.
    """
    setup, programs = block.setup, block_programs(block, layout, engine)
    try:
        return train_block(
            setup, block.hyper, layout,
            size=programs.size,
            transfer=Transfer(
                kept.parameters, engine.keep_state, block.states,
                _checkpoints(block, programs, engine, kept, running),
            ),
            segment=programs.segment,
            shrinks=shrinking_rule(setup, layout, engine.compact),
            on_segment=None if on_segment is None else lambda s: on_segment(block, s),
        )  # fmt: skip
    except jax.errors.JaxRuntimeError as error:
        half = block.runs // 2
        if not cost.out_of_memory(error):
            raise
        # On a CPU the copies of the weights, which grow with the runs, are in the same memory.
        smallest = programs.size <= layout.padded(1) and (half == 0 or not layout.on_cpu)
        if smallest or layout.processes > 1:  # the others may have had enough memory
            raise cost.too_large(setup, layout, "memory ran out") from error
    warnings.warn(
        f"out of memory with {block.size} runs of {setup.cell.hidden} units; "
        f"continuing with blocks of {block.runs - half}",
        stacklevel=2,
    )
    sides = {"a": slice(half), "b": slice(half, None)} if half else {"a": slice(None)}
    results = [
        _train_within_memory(
            block.part(part, size=block.runs - half, name=f"{block.name}-{side}"),
            layout, engine, kept, running, on_segment,
        )
        for side, part in sides.items()
    ]  # fmt: skip
    return jax.tree.map(lambda *parts: np.concatenate(parts), *results)
