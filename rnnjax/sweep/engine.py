"""Sweeps: division of runs into blocks that fit into memory, training, and storage of results."""

import contextlib
import dataclasses
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import xarray as xr

from rnnjax.devices import Layout, default_layout
from rnnjax.jobs import Workers, as_workers
from rnnjax.lanes import Lanes
from rnnjax.stopping import has_limit, saving, stoppable, until_due
from rnnjax.store import ResultStore, Sink, has_some_weights
from rnnjax.sweep import cost
from rnnjax.sweep.ahead import Ahead, blocks_ahead, upcoming
from rnnjax.sweep.axes import Sweep, require_effects
from rnnjax.sweep.block import Segment
from rnnjax.sweep.blocks import Block, found, plan, split_by_epochs, unfinished
from rnnjax.sweep.compute import Kept, block_programs, compute_parts, work_of
from rnnjax.sweep.config import describe_sweep
from rnnjax.sweep.memory import MemoryStore
from rnnjax.sweep.remote import RemoteSweep, train_on_workers, worker_lanes
from rnnjax.sweep.results import LossRecord, require_room, results_template
from rnnjax.sweep.sharing import SharedSink, require_shared_units
from rnnjax.training import Recipe
from rnnjax.validate import (
    callback,
    finite_positive,
    flag,
    fraction,
    instance_of,
    one_of,
    positive_integer,
    shown,
    whole,
)

__all__ = [
    "Block",
    "Engine",
    "Progress",
    "block_programs",
    "plan",
    "require_progress",
    "run_sweep",
    "sweep_config",
]


@dataclasses.dataclass(frozen=True)
class Engine:
    """Settings of the computation of a sweep, and of the losses that it keeps.

    No field changes a result beyond rounding. At map width 1 results are the same to the last bit,
    unless devices share units, whose sums then have another order. `points` and `spacing` must be
    the same in every call with one store.

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
    """Runs per block; by default as many as memory allows; on CPUs at most minutes of work."""
    segment: int | None = None
    """Steps per call of the compiled program; by default about two seconds' worth, at most 100."""
    compact: bool | None = None
    """Whether blocks shrink to half their size or less as runs stop; by default where runs are
    mapped side by side and a step of the smaller block should take at most half the time."""
    ahead: int | None = None
    """Blocks whose programs are compiled, in threads, while another trains; by default 2 where a
    CPU of at least 4 cores trains, else 0. With 0, programs are compiled when they are first
    called. It has no effect with an `executor`."""
    memory_share: float = 0.75
    """Share of the free memory that a block may take."""
    points: int = 500
    """Largest number of recorded losses per run."""
    spacing: str = "even"
    """`even` or `log` spacing of the recorded losses."""
    keep_state: bool = False
    """Whether a folder also keeps the states of training (weights, optimizer, all losses), so that
    a later call with more epochs resumes from there."""
    checkpoint_minutes: float | None = 10
    """How often, in minutes, the state of the block being trained is saved to the folder; an
    interruption loses at most this much work. None to save finished blocks only."""
    executor: Any = None
    """Where blocks train: an executor of `concurrent.futures`, a Dask client, or
    `rnnjax.sweep.Workers`; by default this process. A `ProcessPoolExecutor` needs
    `mp_context=multiprocessing.get_context("spawn")`. Workers must be able to write
    to the store's folder: they write `attempts/` and `running/` in it, this process alone writes
    the rest."""

    def __post_init__(self):
        if self.ahead is not None:
            object.__setattr__(self, "ahead", whole("ahead", self.ahead))
        if isinstance(self.map_width, str) and self.map_width != "all":
            raise ValueError(
                "map_width: expected an integer of at least 1, or 'all', got "
                f"{shown(self.map_width)}"
            )
        for name in ("devices", "map_width", "block_runs", "segment", "points"):
            value = getattr(self, name)
            whole_block = name == "map_width" and isinstance(value, str)
            if (value is not None or name == "points") and not whole_block:
                object.__setattr__(self, name, positive_integer(name, value))
        if self.compact is not None:
            flag("compact", self.compact)
        flag("keep_state", self.keep_state)
        if self.checkpoint_minutes is not None:
            finite_positive("checkpoint_minutes", self.checkpoint_minutes)
        fraction("memory_share", self.memory_share, open_below=True)
        one_of("share", self.share, ("runs", "units"))
        one_of("spacing", self.spacing, ("even", "log"))
        as_workers(self.executor)  # raises for other objects

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
    keep_parameters: bool | None = None,
    after_block: Callable[[xr.Dataset], None] | None = None,
) -> xr.Dataset:
    """Trains every network of a sweep; returns their results with one dimension per axis.

    A store keeps finished blocks, which are not computed again. After an interruption the same call
    continues; with more axis values it trains only the missing runs; with fewer it returns just
    those. Given more epochs, runs resume from the training states that `Engine.keep_state` saves.

    Args:
        sweep: the runs.
        store: folder of the results, or a `rnnjax.sweep.MemoryStore`.
        progress: called after every segment of steps.
        engine: settings of the computation; the defaults fit the machine.
        mask: boolean over the sweep's axes, `sweep.shape`; runs outside it stay pending.
        keep_parameters: whether weights are kept too: initial, trained, `Recipe.snapshots`; by
            default where the store has those of all finished runs.
        after_block: called after every block with the results so far, which are read-only. Later
            blocks fill the same arrays; `.copy(deep=True)` keeps them as they are.

    Returns:
        A dataset with the variables of `rnnjax.sweep.FIELDS` and the training `loss`.

    Raises:
        ValueError: a mask of another shape, an axis without effect, weights or states without a
            store, snapshots without `keep_parameters` or with `Engine.keep_state`, too large
            networks or results, a time limit in several processes, `keep_parameters=False` where
            all runs have weights, or a store in use, damaged or of another sweep (`StoreError`).
        rnnjax.sweep.JobError: at the end, blocks that failed on workers in every attempt.
    """
    engine = Engine() if engine is None else instance_of("engine", engine, Engine)
    mask = _check_runs(sweep, mask)
    _check_keeping(store, keep_parameters, engine.keep_state, sweep.recipe)
    _check_callbacks(progress, after_block)
    layout = _layout(sweep, engine, workers := _workers(engine.executor, store))
    template = results_template(sweep, *engine.recorded)
    planned = _plan_within_memory(store, template, sweep, layout, engine, mask, keep_parameters)
    with contextlib.ExitStack() as stack:
        sink = _open(stack, store, sweep, engine, template, layout.processes > 1)
        kept = _adopt_left(stack, sink, sweep, engine, template, keep_parameters)
        planned = planned or plan(sweep, layout, engine, mask, kept.parameters)
        blocks, there = _blocks_to_train(planned, layout, sink, keep_parameters)
        if progress is not None:
            progress.begin(blocks, *there)
            stack.callback(progress.end)
        if workers is None:
            trained = _train_here(blocks, sink, layout, engine, kept, progress)
        else:
            trained = _train_there(workers, blocks, sink, sweep, engine, kept, progress)
        for _ in stack.enter_context(contextlib.closing(trained)):
            if after_block is not None:
                after_block(sink.view())
        return sink.read()


def _plan_within_memory(
    store: Any,
    template: xr.Dataset,
    sweep: Sweep,
    layout: Lanes,
    engine: Engine,
    mask: np.ndarray | None,
    keep_parameters: bool | None,
) -> list[Block]:
    """The blocks of a sweep, each with room for the weights if the store keeps them.

    Raises `ValueError` for too large results, or networks, before a new folder is made. In several
    processes nothing is planned yet: the first one alone sees the store, and one that is refused
    would leave the others waiting.
    """
    if layout.processes > 1:
        return []
    keeps = bool(keep_parameters)
    if keep_parameters is None and store is not None:
        in_memory = isinstance(store, MemoryStore)
        keeps = store.keeps_parameters() if in_memory else has_some_weights(Path(store))
    planned = plan(sweep, layout, engine, mask, keeps)
    require_room(template)
    if isinstance(store, str | Path) and not any(Path(store).glob("blocks/*.json")):
        for setup in dict.fromkeys(block.setup for block in planned):
            cost.require_memory(setup, layout)
    return planned


def _adopt_left(
    stack: contextlib.ExitStack,
    sink: Sink,
    sweep: Sweep,
    engine: Engine,
    template: xr.Dataset,
    keep_parameters: bool | None,
) -> Kept:
    """Takes over what workers of an earlier process have left in a folder; returns what is kept.

    Raises `StoreError` where weights are kept, and finished blocks have none.
    """
    kept = Kept.of(template, bool(keep_parameters or sink.keeps_parameters()))
    if kept.parameters:
        sink.require_parameters()
    if isinstance(sink, ResultStore):
        work = work_of(sweep_config(sweep, engine), engine, kept)
        sink.adopt_left(work)
        stack.callback(sink.remove_left, work)
    return kept


def _blocks_to_train(
    planned: list[Block], layout: Lanes, sink: Sink, keep_parameters: bool | None
) -> tuple[list[Block], tuple[int, int]]:
    """The blocks that a sink lacks, and how many runs and blocks it has.

    Raises `ValueError` where these would be the first ones without weights.
    """
    finished = sink.finished()
    pending = list(unfinished(planned, finished, layout))
    if pending and keep_parameters is False and sink.keeps_parameters():
        raise ValueError(
            "keep_parameters: expected True, as all finished networks of the store have weights, "
            "got False; for results alone choose another store"
        )
    sink.prepare()
    return list(split_by_epochs(pending, sink)), found(planned, finished)


def _train_there(
    workers: Workers,
    blocks: list[Block],
    sink: Sink,
    sweep: Sweep,
    engine: Engine,
    kept: Kept,
    progress: Progress | None,
) -> Generator[Block, None, None]:
    """Trains blocks on workers; yields each once it is written."""
    assert isinstance(sink, ResultStore)
    job = RemoteSweep(sink.path, sweep_config(sweep, engine), engine, kept)
    return train_on_workers(workers, blocks, sink, job, progress)


def _train_here(
    blocks: list[Block],
    sink: Sink,
    layout: Lanes,
    engine: Engine,
    kept: Kept,
    progress: Progress | None,
) -> Generator[Block, None, None]:
    """Trains blocks in this process; yields each once it is written."""
    assert isinstance(layout, Layout)
    programs = [block_programs(block, layout, engine) for block in blocks]
    on_segment = None if progress is None else progress.advance
    count = blocks_ahead(layout, engine.ahead)
    coming = upcoming(programs, count)
    with Ahead(count) as ahead:
        for number, block in enumerate(until_due("blocks", blocks)):
            if progress is not None and not ahead.ready(programs[number]):
                progress.compile(block)
            ahead.prepare(coming[number])
            _train_and_write(block, sink, layout, engine, kept, on_segment)
            ahead.free()
            yield block


def _train_and_write(
    block: Block,
    sink: Sink,
    layout: Layout,
    engine: Engine,
    kept: Kept,
    on_segment: Callable[[Block, Segment], None] | None,
) -> None:
    """Trains a block and writes it, or each of its parts; none of its weights and states stay in
    memory afterwards."""
    if block.epochs_before:
        block = block._replace(states=sink.load_states(block.cells, block.epochs_before))
    running = sink.running()
    keeps = running is not None and engine.checkpoint_minutes is not None
    # Also between its last step and the writing a signal of a batch system does not cost the block.
    with stoppable() if keeps else contextlib.nullcontext():
        for part, done in compute_parts(block, layout, engine, kept, running, on_segment):
            with saving():
                sink.write(part.name, part.cells, done.values, done.weights, done.states,
                           **done.facts)  # fmt: skip
            del done


def _check_callbacks(progress: Any, after_block: Any) -> None:
    callback("after_block", after_block)
    require_progress(progress)


def require_progress(progress: Any) -> None:
    """Raises `ValueError` for anything but None or an object with the methods of `Progress`."""
    methods = (getattr(progress, name, None) for name in ("begin", "compile", "advance", "end"))
    if progress is None or (not isinstance(progress, type) and all(map(callable, methods))):
        return
    raise ValueError(
        "progress: expected an object with the methods of rnnjax.sweep.Progress, such as "
        f"rnnjax.ProgressBar(), got {shown(progress)}"
    )


def _check_keeping(
    store: Any, keep_parameters: bool | None, keep_state: bool, recipe: Recipe
) -> None:
    if keep_parameters is not None:
        flag("keep_parameters", keep_parameters)
    if store is not None and not isinstance(store, str | Path | MemoryStore):
        raise ValueError(f"store: expected a folder or a MemoryStore, got {shown(store)}")
    if recipe.snapshots and not keep_parameters:
        raise ValueError(
            f"keep_parameters: expected True with Recipe.snapshots, got {keep_parameters}"
        )
    if recipe.snapshots and keep_state:
        raise ValueError(
            "keep_state: expected False with Recipe.snapshots, as runs that resume keep none, got "
            "True"
        )
    if keep_parameters and store is None:
        raise ValueError("keep_parameters: expected a store for the weights, got none")
    if keep_state and not isinstance(store, str | Path):
        kind = "none" if store is None else f"a {type(store).__name__}"
        raise ValueError(f"keep_state: expected a folder for the states, got {kind}")


def _workers(executor: Any, store: Any) -> Workers | None:
    """The workers of an executor; raises `ValueError` without a folder for what they train."""
    if executor is not None and not isinstance(store, str | Path):
        kind = "none" if store is None else f"a {type(store).__name__}"
        raise ValueError(
            f"executor: expected a folder as store, which its workers can reach, got {kind}"
        )
    return as_workers(executor)


def _check_runs(sweep: Any, mask: Any) -> np.ndarray | None:
    require_effects(instance_of("sweep", sweep, Sweep))
    if mask is None:
        return None
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


def _layout(sweep: Sweep, engine: Engine, workers: Workers | None) -> Lanes:
    """The layout of a sweep, here or on a worker.

    Raises `ValueError` where the cells cannot share their units, or where several processes keep
    states or have a time limit.
    """
    if workers is None:
        layout = default_layout(engine.devices, engine.map_width, engine.share)
    else:
        layout = worker_lanes(workers, engine)
    if engine.keep_state and layout.processes > 1:
        raise ValueError(f"keep_state: expected False in {layout.processes} processes, got True")
    if layout.processes > 1 and has_limit():
        raise ValueError(
            f"time_limit: expected no limit in {layout.processes} processes (the first to stop "
            "would leave the others waiting), got one"
        )
    if engine.share == "units":
        for _, setup in sweep.setups():
            require_shared_units(setup, layout.count)
    return layout
