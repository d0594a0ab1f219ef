"""Sweeps: division of runs into blocks that fit into memory, training, and storage of results."""

import contextlib
import dataclasses
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, Protocol

import jax
import numpy as np
import xarray as xr

from rnnjax.devices import Layout, default_layout
from rnnjax.store import ResultStore, Sink
from rnnjax.sweep import cost
from rnnjax.sweep.ahead import Ahead, ProgramKey, blocks_ahead
from rnnjax.sweep.axes import Sweep
from rnnjax.sweep.block import BlockResult, Segment, Transfer, train_block
from rnnjax.sweep.blocks import Block, begun, block_name, found, unfinished
from rnnjax.sweep.config import describe_sweep
from rnnjax.sweep.memory import MemoryStore
from rnnjax.sweep.results import LossRecord, empty_results, thinned
from rnnjax.sweep.sharing import SharedSink, require_shared_units
from rnnjax.sweep.sizing import runs_per_save, segment_steps, shrinking_rule
from rnnjax.training import Hyper
from rnnjax.validate import flag, fraction, instance_of, one_of, positive_integer, whole

__all__ = ["Block", "Engine", "Progress", "block_programs", "plan", "run_sweep", "sweep_config"]


@dataclasses.dataclass(frozen=True)
class Engine:
    """Settings of the computation of a sweep, and of the losses that it keeps.

    No field changes a result beyond rounding. At map width 1 results are the same to the last bit,
    unless devices share units, whose sums then have another order. A store keeps the `points` and
    `spacing` of its first call.

    Raises `ValueError` for a number below 1 or an unknown name.
    """

    devices: int | None = None
    """Local devices to use; all by default."""
    map_width: int | Literal["all"] | None = None
    """Runs side by side on each device, or "all"; by default 1 on CPU, all on accelerators."""
    share: Literal["runs", "units"] = "runs"
    """Whether devices share the runs, or the units of every run. Sharing units is for a few very
    large networks: each device holds the weights into its own units, their gradient and their
    moments (of `latent` cells all weights, which are few). Under `jax.distributed` the devices of
    all processes share the units; every process makes the same calls, and the first one writes."""
    block_runs: int | None = None
    """Runs per block; by default as many as memory allows."""
    segment: int | None = None
    """Steps per call of the compiled program; by default about two seconds' worth, at most 100."""
    compact: bool | None = None
    """Whether blocks shrink to half their size or less as runs stop; by default where runs are
    mapped side by side and a step of the smaller block should take at most half the time."""
    ahead: int | None = None
    """Blocks whose programs are compiled, in threads, while another trains; by default 2 on a host
    with at least 4 cores (not timed there yet), else 0. With 0, programs are compiled when they are
    first called."""
    memory_share: float = 0.75
    """Share of the free memory that a block may take."""
    points: int = 500
    """Largest number of recorded losses per run."""
    spacing: str = "even"
    """`even` or `log` spacing of the recorded losses."""
    keep_state: bool = False
    """Whether a folder also keeps the states of training (weights, optimizer, all losses), so that
    a later call with more epochs goes on from there."""

    def __post_init__(self):
        if self.ahead is not None:
            whole("ahead", self.ahead)
        for name in ("devices", "map_width", "block_runs", "segment"):
            value = getattr(self, name)
            whole_block = name == "map_width" and isinstance(value, str) and value == "all"
            if value is not None and not whole_block:
                positive_integer(name, value)
        if self.compact is not None:
            flag("compact", self.compact)
        flag("keep_state", self.keep_state)
        positive_integer("points", self.points)
        fraction("memory_share", self.memory_share, open_below=True)
        one_of("share", self.share, ("runs", "units"))
        one_of("spacing", self.spacing, ("even", "log"))

    @property
    def recorded(self) -> LossRecord:
        """The losses that are kept."""
        return LossRecord(self.points, self.spacing)


class Progress(Protocol):
    """Callbacks of a sweep, such as those of `rnnjax.sweep.ProgressBar`."""

    def begin(self, blocks: list[Block], finished: int, found: int) -> None:
        """Called once, with the blocks to compute, and the runs and blocks that the store has."""

    def compile(self, block: Block) -> None:
        """Called before a block whose programs are still being compiled."""

    def advance(self, block: Block, segment: Segment) -> None:
        """Called after every segment of a block."""

    def end(self) -> None:
        """Called at the end of the sweep, also after an error."""


def plan(
    sweep: Sweep, layout: Layout, engine: Engine, mask: np.ndarray | None = None
) -> list[Block]:
    """The blocks of a sweep in order, or of its runs in `mask`, boolean over its axes.

    The seed is the slowest index inside a block: devices take contiguous shares of runs, and then
    each share has the same learning rates.
    """
    mask = np.ones(sweep.shape, bool) if mask is None else mask
    traced = {axis.name: np.array(axis.values) for axis in sweep.traced_axes}
    budget = cost.memory_budget(layout, engine.memory_share)
    blocks = []
    for place, setup in sweep.setups():
        index = np.array(np.nonzero(mask[place].T)[::-1])  # [traced axes, S]
        count = index.shape[1]
        if not count:
            continue
        fits = engine.block_runs or min(
            cost.runs_that_fit(setup, count, layout, budget), runs_per_save(setup, count, layout)
        )
        for begin in range(0, count, fits):
            at = index[:, begin : begin + fits]
            runs = at.shape[1]
            cells = np.column_stack([np.tile(place, (runs, 1)).astype(int), at.T])
            values = {name: value[i] for (name, value), i in zip(traced.items(), at, strict=True)}
            neutral = {name: np.full(runs, n) for name, n in Hyper._field_defaults.items()}
            hyper = Hyper(**{**neutral, **values})
            name = block_name(sweep, place, cells)
            blocks.append(Block(setup, cells, hyper, min(fits, count), name))
    return blocks


def sweep_config(sweep: Sweep, engine: Engine) -> dict[str, Any]:
    """Description of a sweep for its store: the whole spec, and which losses are kept."""
    return describe_sweep(sweep, engine.recorded)


def run_sweep(
    sweep: Sweep,
    store: str | Path | MemoryStore | None = None,
    *,
    progress: Progress | None = None,
    engine: Engine | None = None,
    mask: np.ndarray | None = None,
    keep_parameters: bool = False,
    after_block: Callable[[xr.Dataset], None] | None = None,
) -> xr.Dataset:
    """Trains every network of a sweep; returns their results with one dimension per axis.

    A store keeps finished blocks, which are not computed again: after an interruption the same call
    continues, a call with more values on the axes computes what is missing, one with fewer returns
    a part. With more epochs runs go on from the states in a folder (`Engine.keep_state`).

    Args:
        sweep: the runs.
        store: folder of the results, or a `rnnjax.sweep.MemoryStore`.
        progress: called after every segment of steps.
        engine: settings of the computation; the defaults fit the machine.
        mask: boolean over the sweep's axes, `sweep.shape`; runs outside it stay pending.
        keep_parameters: whether the store keeps weights, initial and trained.
        after_block: called after every block with the results so far (without a folder, no copy).

    Returns:
        A dataset with the variables of `rnnjax.sweep.FIELDS` and the training `loss`.

    Raises:
        ValueError: a mask of another shape, weights or states to keep without a store, too large
            networks, or a store that is in use, damaged or of another sweep (`StoreError`).
    """
    engine = Engine() if engine is None else instance_of("engine", engine, Engine)
    instance_of("sweep", sweep, Sweep)
    mask = None if mask is None else _check_mask(sweep, mask)
    _check_keeping(store, keep_parameters, engine.keep_state)
    layout = _layout(sweep, engine)
    with contextlib.ExitStack() as stack:
        template = empty_results(sweep, *engine.recorded)
        sink = _open(stack, store, sweep, engine, template, layout.processes > 1)
        if keep_parameters:
            sink.require_parameters()
        planned, finished = plan(sweep, layout, engine, mask), sink.finished()
        pending = list(unfinished(planned, finished, layout))
        sink.prepare()
        blocks = list(begun(pending, sink))
        if progress is not None:
            progress.begin(blocks, *found(planned, finished))
            stack.callback(progress.end)
        ahead = stack.enter_context(Ahead(blocks_ahead(layout, engine.ahead)))
        programs = [block_programs(block, layout, engine) for block in blocks]
        for number, block in enumerate(blocks):
            if progress is not None and not ahead.ready(programs[number]):
                progress.compile(block)
            ahead.prepare(programs[number:])
            _run_block(block, sink, layout, engine, template, progress, keep_parameters)
            ahead.free()
            if after_block is not None:
                after_block(sink.read())
        return sink.read()


def _check_keeping(store: Any, keep_parameters: bool, keep_state: bool) -> None:
    if keep_parameters and store is None:
        raise ValueError("keep_parameters: expected a store for the weights, got none")
    if keep_state and not isinstance(store, str | Path):
        kind = "none" if store is None else f"a {type(store).__name__}"
        raise ValueError(f"keep_state: expected a folder for the states, got {kind}")


def _check_mask(sweep: Sweep, mask: Any) -> np.ndarray:
    mask = np.asarray(mask)
    if mask.shape != sweep.shape or mask.dtype != bool:
        raise ValueError(
            f"mask: expected booleans of shape {sweep.shape}, got {mask.dtype} of shape "
            f"{mask.shape}"
        )
    return mask


def _open(
    stack: contextlib.ExitStack,
    store: str | Path | MemoryStore | None,
    sweep: Sweep,
    engine: Engine,
    template: xr.Dataset,
    shared: bool,
) -> Sink:
    """The sink of a sweep; a folder stays locked until `stack` is closed.

    With `shared` several processes train the sweep, of which the first opens the folder.
    """
    if store is None or isinstance(store, MemoryStore):
        memory = MemoryStore() if store is None else store
        return memory.open(sweep, engine.recorded)
    folder = ResultStore(store, template, sweep_config(sweep, engine))
    if shared:
        return SharedSink(lambda: stack.enter_context(folder), template)
    return stack.enter_context(folder)


def _layout(sweep: Sweep, engine: Engine) -> Layout:
    """The layout of a sweep; raises `ValueError` where its cells cannot share their units."""
    layout = default_layout(engine.devices, engine.map_width, engine.share)
    if engine.keep_state and layout.processes > 1:
        raise ValueError(f"keep_state: expected False in {layout.processes} processes, got True")
    if engine.share == "units":
        for _, setup in sweep.setups():
            require_shared_units(setup, len(layout.devices))
    return layout


def block_programs(block: Block, layout: Layout, engine: Engine) -> ProgramKey:
    """What the programs of a block depend on."""
    segment = engine.segment or segment_steps(block.setup, block.size, layout)
    return ProgramKey(block.setup, layout, layout.padded(max(block.size, block.runs)), segment)


def _run_block(
    block: Block,
    sink: Sink,
    layout: Layout,
    engine: Engine,
    template: xr.Dataset,
    progress: Progress | None,
    keep_parameters: bool,
) -> None:
    begin = time.time()
    if block.begun:
        block = block._replace(states=sink.load_states(block.cells, block.begun))
    result = _train_within_memory(block, layout, engine, progress, keep_parameters)
    seconds = time.time() - begin
    values = dict(result.values)
    values["seconds"] = np.full(block.runs, seconds / block.runs, "f4")
    values["loss"] = thinned(result.losses, template["step"].values)
    if "held_out_loss" in template:
        held_out_loss = np.full((block.runs, template.sizes["epoch"]), np.nan, "f4")
        if result.held_out_loss is not None:
            held_out_loss = result.held_out_loss
        values["held_out_loss"] = held_out_loss
    sink.write(
        block.name, block.cells, values, result.weights, result.states,
        started=begin, seconds=round(seconds, 3), device=layout.devices[0].device_kind,
        devices=len(layout.devices), map_width=layout.map_width, share=layout.share,
    )  # fmt: skip


def _train_within_memory(
    block: Block,
    layout: Layout,
    engine: Engine,
    progress: Progress | None,
    keep_parameters: bool,
) -> BlockResult:
    """Trains a block; splits it in two, repeatedly, where the device runs out of memory."""
    setup, programs = block.setup, block_programs(block, layout, engine)
    try:
        return train_block(
            setup, block.hyper, layout,
            size=programs.size,
            transfer=Transfer(keep_parameters, engine.keep_state, block.states),
            segment=programs.segment,
            shrinks=shrinking_rule(setup, layout, engine.compact),
            on_segment=None if progress is None else lambda s: progress.advance(block, s),
        )  # fmt: skip
    except jax.errors.JaxRuntimeError as error:
        half = block.runs // 2
        if not cost.out_of_memory(error):
            raise
        if half == 0 or layout.processes > 1:  # the others may have had enough memory
            raise cost.too_large(setup, "memory ran out") from error
    warnings.warn(
        f"out of memory with {block.size} runs of {setup.cell.hidden} units; "
        f"continuing with blocks of {block.runs - half}",
        stacklevel=2,
    )
    parts = [
        block.part(part, size=block.runs - half, name=f"{block.name}-{side}")
        for side, part in (("a", slice(half)), ("b", slice(half, None)))
    ]
    first, second = (
        _train_within_memory(part, layout, engine, progress, keep_parameters) for part in parts
    )
    return jax.tree.map(lambda a, b: np.concatenate([a, b]), first, second)
