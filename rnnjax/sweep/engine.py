"""Runs a sweep: which runs share a program, how many fit, in which order, and where they end up."""

import contextlib
import dataclasses
import hashlib
import math
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

import jax
import numpy as np
import xarray as xr

from rnnjax.cells import UnrolledCell
from rnnjax.devices import Layout, default_layout
from rnnjax.store import ResultStore, describe, save_parameters
from rnnjax.sweep import cost
from rnnjax.sweep.axes import Sweep
from rnnjax.sweep.block import BlockResult, Segment, train_block
from rnnjax.sweep.results import empty_results, thinned
from rnnjax.training import Hyper, Setup
from rnnjax.validate import fraction, instance_of, one_of, positive_integer

__all__ = ["Block", "Engine", "Progress", "plan", "run_sweep", "sweep_config"]


@dataclasses.dataclass(frozen=True)
class Engine:
    """How a sweep is computed, and how much of its loss curves is kept.

    Nothing here changes a result beyond rounding, and at map width 1 not even that, except that
    devices which share units sum them in an order of their own. A store keeps
    the `points` and `spacing` that it was begun with.

    Raises `ValueError` for a number below 1 or an unknown name.
    """

    devices: int | None = None
    """Local devices to use; all by default."""
    map_width: int | Literal["all"] | None = None
    """Runs side by side on each device, or "all"; by default 1 on CPU, all on accelerators."""
    share: Literal["runs", "units"] = "runs"
    """What devices share: the runs, or the units of every run (`latent` cells), which serves a few
    very large networks. Every device then holds all weights; its time is what is saved."""
    block_runs: int | None = None
    """Runs per block; by default as many as memory allows."""
    segment: int | None = None
    """Steps between two looks of the host; by default about two seconds' worth, at most 100."""
    compact: bool | None = None
    """Whether blocks shrink to half or less as runs stop; by default where runs are mapped side by
    side and a step of the smaller block is expected to take half the time or less."""
    memory_share: float = 0.75
    """Share of the free memory that a block may take."""
    points: int = 500
    """Largest number of recorded losses per run."""
    spacing: str = "even"
    """`even` or `log` spacing of the recorded losses."""

    def __post_init__(self):
        for name in ("devices", "map_width", "block_runs", "segment"):
            value = getattr(self, name)
            if value is not None and (name, value) != ("map_width", "all"):
                positive_integer(name, value)
        positive_integer("points", self.points)
        fraction("memory_share", self.memory_share, open_below=True)
        one_of("share", self.share, ("runs", "units"))
        one_of("spacing", self.spacing, ("even", "log"))


class Block(NamedTuple):
    """Runs that train together in one program."""

    setup: Setup
    cells: np.ndarray
    """Indices of the runs on the sweep's axes, [S, axes]."""
    hyper: Hyper
    """Their traced settings, arrays [S]."""
    size: int
    """Runs in the program, padding included."""
    name: str

    @property
    def runs(self) -> int:
        """How many runs it has, S."""
        return len(self.cells)

    def part(self, chosen: slice | np.ndarray, **changes: Any) -> "Block":
        """The block with only the `chosen` of its runs."""
        hyper = Hyper(*(values[chosen] for values in self.hyper))
        return self._replace(cells=self.cells[chosen], hyper=hyper, **changes)


class Progress(Protocol):
    """Hears how a sweep gets on; `rnnjax.sweep.ProgressBar` is one."""

    def begin(self, blocks: list[Block]) -> None:
        """The blocks that are about to be computed."""

    def advance(self, block: Block, segment: Segment) -> None:
        """A segment of a block has been computed."""

    def end(self) -> None:
        """The sweep is over, or was stopped."""


def plan(
    sweep: Sweep, layout: Layout, engine: Engine, wanted: np.ndarray | None = None
) -> list[Block]:
    """The blocks of a sweep, in order; with `wanted` (a mask over its axes) of part of it.

    The seed is the slowest index inside a block, so that devices, which take contiguous shares,
    get every learning rate alike.
    """
    wanted = np.ones(sweep.shape, bool) if wanted is None else wanted
    traced = {axis.name: np.array(axis.values) for axis in sweep.traced_axes}
    budget = cost.memory_budget(layout, engine.memory_share)
    blocks = []
    for place, setup in sweep.setups():
        index = np.array(np.nonzero(wanted[place].T)[::-1])  # [traced axes, S]
        count = index.shape[1]
        if not count:
            continue
        fits = engine.block_runs or min(
            cost.runs_that_fit(setup, count, layout, budget), _worth_saving(setup, count, layout)
        )
        for begin in range(0, count, fits):
            at = index[:, begin : begin + fits]
            runs = at.shape[1]
            cells = np.column_stack([np.tile(place, (runs, 1)).astype(int), at.T])
            values = {name: value[i] for (name, value), i in zip(traced.items(), at, strict=True)}
            neutral = {"gamma": np.ones(runs), "l1": np.zeros(runs), "nuclear": np.zeros(runs)}
            hyper = Hyper(**{**neutral, **values})
            name = _block_name(sweep, place, cells)
            blocks.append(Block(setup, cells, hyper, min(fits, count), name))
    return blocks


def _block_name(sweep: Sweep, place: tuple[int, ...], cells: np.ndarray) -> str:
    labels = [str(axis.labels[i]) for axis, i in zip(sweep.static_axes, place, strict=True)]
    readable = "-".join("".join(c if c.isalnum() else "_" for c in label) for label in labels)
    return f"{readable[:80]}-{_fingerprint(cells)}".strip("-")


def _fingerprint(cells: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(cells, np.int64).tobytes()).hexdigest()[:8]


def sweep_config(sweep: Sweep, engine: Engine) -> dict[str, Any]:
    """What a store of this sweep is of: the whole spec, and which losses are kept."""
    return {
        **describe(sweep),
        "dimensions": [axis.name for axis in sweep.dimensions],
        "labels": {axis.name: describe(axis.labels) for axis in sweep.static_axes},
        "axes": {axis.name: describe(axis.values) for axis in sweep.dimensions},
        "points": engine.points,
        "spacing": engine.spacing,
    }


def run_sweep(
    sweep: Sweep,
    store: str | Path | None = None,
    *,
    progress: Progress | None = None,
    engine: Engine | None = None,
    wanted: np.ndarray | None = None,
    keep_parameters: bool = False,
    after_block: Callable[[xr.Dataset], None] | None = None,
) -> xr.Dataset:
    """Trains every network of a sweep; returns their results with one dimension per axis.

    With a store, finished blocks are written as they come, and those that are there already are
    not computed again: the same call after an interruption goes on where it was.

    Args:
        sweep: what to train.
        store: folder of the results; without one they stay in memory.
        progress: hears after every segment.
        engine: how to compute; the defaults fit the machine.
        wanted: boolean mask over the sweep's axes, `sweep.shape`; runs outside it are left
            pending. Everything by default.
        keep_parameters: whether to write weights, initial and trained, into the store.
        after_block: called with the results so far after every block; in memory it sees the very
            dataset that is being filled.

    Returns:
        A dataset with the variables of `rnnjax.sweep.FIELDS` and the training `loss`.

    Raises:
        ValueError: a mask of another shape, weights to be kept without a store, or a store that
            is in use, damaged or of another sweep (`StoreError`).
    """
    engine = engine or Engine()
    instance_of("sweep", sweep, Sweep)
    if wanted is not None:
        wanted = np.asarray(wanted)
        if wanted.shape != sweep.shape or wanted.dtype != bool:
            raise ValueError(
                f"wanted: expected a boolean mask of shape {sweep.shape}, "
                f"got {wanted.dtype} of shape {wanted.shape}"
            )
    if keep_parameters and store is None:
        raise ValueError("keep_parameters: expected a store to write them to, got none")
    layout = default_layout(engine.devices, engine.map_width, engine.share)
    if engine.share == "units":
        _require_unrolled(sweep)
    template = empty_results(sweep, engine.points, engine.spacing)
    with contextlib.ExitStack() as stack:
        sink: ResultStore | _Memory = _Memory(template)
        if store is not None:
            config = sweep_config(sweep, engine)
            sink = stack.enter_context(ResultStore(store, template, config))
        if keep_parameters and isinstance(sink, ResultStore):
            sink.require_parameters()
        blocks = list(_unfinished(plan(sweep, layout, engine, wanted), sink.finished()))
        if progress is not None:
            progress.begin(blocks)
            stack.callback(progress.end)
        for block in blocks:
            _run_block(block, sink, layout, engine, template, progress, keep_parameters)
            if after_block is not None:
                after_block(sink.read())
        return sink.read()


def _require_unrolled(sweep: Sweep) -> None:
    for _, setup in sweep.setups():
        if not isinstance(setup.cell, UnrolledCell):
            raise ValueError(
                f"share: expected 'runs' for cell {setup.cell.name!r}, got 'units', which only "
                "cells with a kernel for it can share (latent)"
            )


class _Memory:
    """The store's counterpart for results that are not kept."""

    path: Path

    def __init__(self, template: xr.Dataset):
        self._dataset = template.copy(deep=True)

    def finished(self) -> np.ndarray:
        return np.zeros(self._dataset["status"].shape, bool)

    def write(self, name: str, cells: np.ndarray, values: dict[str, np.ndarray], **facts) -> None:
        for variable, block in values.items():
            self._dataset[variable].values[tuple(cells.T)] = block

    def read(self) -> xr.Dataset:
        return self._dataset


def _unfinished(blocks: list[Block], finished: np.ndarray) -> Iterator[Block]:
    """The blocks without their finished runs; the program stays the same, whatever is left."""
    for block in blocks:
        todo = ~finished[tuple(block.cells.T)]
        if todo.all():
            yield block
        elif todo.any():
            readable = block.name.rpartition("-")[0]
            name = f"{readable}-{_fingerprint(block.cells[todo])}".strip("-")
            yield block.part(todo, name=name)


def _run_block(
    block: Block,
    sink: "ResultStore | _Memory",
    layout: Layout,
    engine: Engine,
    template: xr.Dataset,
    progress: Progress | None,
    keep_parameters: bool,
) -> None:
    begin = time.time()
    result = _train_within_memory(block, layout, engine, progress, keep_parameters)
    seconds = time.time() - begin
    values = dict(result.values)
    values["seconds"] = np.full(block.runs, seconds / block.runs, "f4")
    values["loss"] = thinned(result.losses, template["step"].values)
    if "held_out_loss" in template:
        missing = np.full((block.runs, template.sizes["epoch"]), np.nan, "f4")
        values["held_out_loss"] = missing if result.held_out is None else result.held_out
    if keep_parameters:
        save_parameters(sink.path, block.name, initial=result.initial, trained=result.params)
    sink.write(
        block.name, block.cells, values,
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
    """Trains a block; where the device runs out of memory, in two halves, and so on."""
    setup = block.setup
    try:
        return train_block(
            setup, block.hyper, layout,
            size=block.size,
            keep_parameters=keep_parameters,
            segment=engine.segment or _segment(setup, block.size, layout),
            shrinks=_shrinking_rule(setup, layout, engine.compact),
            on_segment=None if progress is None else lambda s: progress.advance(block, s),
        )  # fmt: skip
    except jax.errors.JaxRuntimeError as error:
        half = block.runs // 2
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        if half == 0:
            raise ValueError(
                f"hidden: expected networks that fit into memory, got one of {setup.cell.hidden} "
                f"units that does not, in trials of {setup.task.steps} steps"
            ) from error
    warnings.warn(
        f"out of memory with {block.size} runs of {setup.cell.hidden} units; "
        f"going on with blocks of {block.runs - half}",
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


def _worth_saving(setup: Setup, count: int, layout: Layout) -> int:
    """The most runs per block, of `count`, where runs are mapped one by one: a few minutes' worth.

    Larger blocks would gain nothing there, and an interruption would lose more.
    """
    if layout.map_width != 1:
        return count
    # Most networks of study 2's own tasks stop within a tenth of their steps; a guess elsewhere.
    steps = setup.recipe.steps / (10 if setup.recipe.stop == "threshold" else 1)
    runs = 2e13 / (steps * cost.step_flops(setup))
    return min(count, max(1, round(runs / layout.lanes)) * layout.lanes)


def _shrinking_rule(
    setup: Setup, layout: Layout, compact: bool | None
) -> Callable[[int, int], bool]:
    """Whether to go on with fewer runs: `Engine.compact`, or whether it pays to compile for them.

    By nominal rates, so that the same sweep takes the same programs every time.
    """
    if compact is not None:
        return lambda now, fewer: compact
    if layout.map_width == 1:  # there a stopped run costs nothing
        return lambda now, fewer: False
    machine = cost.nominal_machine(layout)

    def pays(now: int, fewer: int) -> bool:
        takes, would_take = (cost.step_seconds(setup, n, layout, machine) for n in (now, fewer))
        return would_take <= takes / 2

    return pays


def _segment(setup: Setup, runs: int, layout: Layout) -> int:
    """Steps between two looks of the host: about two seconds at the nominal rate of the device."""
    steps = setup.recipe.steps_per_epoch if setup.recipe.watched else setup.recipe.steps
    rate = cost.nominal_machine(layout).flops
    most = max(1, min(100, math.floor(2 * rate / (runs * cost.step_flops(setup)))))
    segments = -(-steps // most)
    return -(-steps // segments)  # even segments, so that the last one is not mostly masked
