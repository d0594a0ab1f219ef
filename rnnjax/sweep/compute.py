"""Computation of one block on the devices of this process."""

import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
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

__all__ = ["Computed", "Kept", "block_programs", "compute_parts", "joined", "work_of"]

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


def compute_parts(
    block: Block,
    layout: Layout,
    engine: "Engine",
    kept: Kept,
    running: Running | None,
    on_segment: OnSegment | None = None,
) -> Iterator[tuple[Block, Computed]]:
    """Trains and evaluates the runs of a block, with checkpoints where it is `running` in a folder.

    Yields the block; where the device runs out of memory, its two halves, each once it is trained,
    or their parts.

    Raises `ValueError` where memory runs out even for the smallest program.
    """
    started, begin = time.time(), time.perf_counter()
    result = _train_within_memory(block, layout, engine, kept, running, on_segment)
    if result is None:
        for part in _halves(block):
            yield from compute_parts(part, layout, engine, kept, running, on_segment)
        return
    before = float(result.values.get("seconds", np.zeros(1)).sum())
    seconds = time.perf_counter() - begin + before
    facts = {
        "started": started, "seconds": round(seconds, 3), "device": layout.devices[0].device_kind,
        "devices": len(layout.devices), "map_width": layout.map_width, "share": layout.share,
    }  # fmt: skip
    values = _values(block, result, kept, seconds)
    yield block, Computed(values, facts, result.weights, result.states)


def joined(parts: Iterable[tuple[Block, Computed]]) -> Computed:
    """The whole block of these parts, in their order."""
    found = [done for _, done in parts]
    seconds = sum(done.facts["seconds"] for done in found)
    values, weights, states = jax.tree.map(
        lambda *arrays: np.concatenate(arrays), *((d.values, d.weights, d.states) for d in found)
    )
    return Computed(values, {**found[0].facts, "seconds": round(seconds, 3)}, weights, states)


def _values(block: Block, result: BlockResult, kept: Kept, seconds: float) -> dict[str, np.ndarray]:
    """Results by variable, as a store keeps them."""
    values = dict(result.values)
    values["seconds"] = np.full(block.runs, seconds / block.runs, "f4")
    values["loss"] = thinned(result.losses, kept.steps)
    if kept.epochs is not None:
        held_out_loss = np.full((block.runs, kept.epochs), np.nan, "f4")
        if result.held_out_loss is not None:
            held_out_loss = result.held_out_loss
        values["held_out_loss"] = held_out_loss
    return values


def _halves(block: Block) -> list[Block]:
    """The two halves of a block, in a program of their size; of a single run the run alone."""
    half = block.runs // 2
    sides = {"a": slice(half), "b": slice(half, None)} if half else {"a": slice(None)}
    return [
        block.part(part, size=block.runs - half, name=f"{block.name}-{side}")
        for side, part in sides.items()
    ]


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
) -> BlockResult | None:
    """Trains a block; None, with a warning, where memory runs out and a smaller program is left."""
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
    return None
