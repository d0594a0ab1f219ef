"""Blocks that train on workers: the job of a worker, and the process that collects the blocks.

A worker writes weights, states and results into a folder of its own below the store
(`rnnjax.store.attempts`), and returns the results; this process alone writes the store.
"""

import contextlib
import dataclasses
import platform
import sys
import threading
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import numpy as np

from rnnjax.devices import default_layout, free_programs
from rnnjax.jobs import Job, Workers, run_jobs
from rnnjax.lanes import RemoteLanes, Resources, remote_lanes
from rnnjax.processes import devices_here, workers_here
from rnnjax.stopping import saving, until_due
from rnnjax.store import ResultStore, StoreError, digest, versions
from rnnjax.store.attempts import (
    Report,
    attempt_folder,
    finished_attempts,
    has_parts,
    new_attempt,
    pack_report,
    read_report,
    remove_attempts,
    save_attempt,
    save_error,
)
from rnnjax.store.earlier import earlier_stores
from rnnjax.store.running import running_of
from rnnjax.sweep.block import Segment
from rnnjax.sweep.blocks import Block
from rnnjax.sweep.compute import Kept, compute_parts, joined, work_of

if TYPE_CHECKING:
    from rnnjax.sweep.engine import Engine, Progress

__all__ = ["RemoteSweep", "train_job", "train_on_workers", "worker_lanes", "worker_resources"]

_ONE_BLOCK = threading.Lock()
"""A process trains one block at a time, also where an executor gives it several threads."""


def worker_lanes(workers: Workers, engine: "Engine") -> RemoteLanes:
    """The lanes of a worker; raises `ValueError` for more devices than it has."""
    resources = workers.resources
    if resources is None:
        resources = workers.call(worker_resources, engine.devices)
    return remote_lanes(resources, engine.devices, engine.map_width, engine.share)


def worker_resources(devices: int | None = None) -> Resources:
    """What the worker that calls this has; `devices` is the number that a block will use."""
    _use_devices(devices)
    layout = _local_layout(None if devices is None else len(jax.local_devices()))
    memory = layout.free_bytes
    if layout.on_cpu:
        memory = min([memory // workers_here(), *_dask_memory()])
    return Resources(layout.devices[0].platform, layout.count, memory)


def _dask_memory() -> list[int]:
    """The memory that Dask grants this process, bytes, if it is a worker of Dask."""
    if "distributed" not in sys.modules:
        return []
    try:
        limit = sys.modules["distributed"].get_worker().memory_manager.memory_limit
    except (ValueError, AttributeError):
        return []
    return [limit] if limit else []


_own_devices: int | None = None
"""CPU devices of this worker where no number is given, once more exist for calls that give one."""


def _use_devices(devices: int | None) -> None:
    """Gives JAX a CPU device per core, if it has not started yet, where a number of them is given.

    A worker is used again, with other numbers or none: each call uses some of its devices.
    """
    global _own_devices
    configured = jax.config.values["jax_num_cpu_devices"]
    if devices is not None and _own_devices is None:
        with contextlib.suppress(RuntimeError):  # it has started, and keeps its devices
            jax.config.update("jax_num_cpu_devices", max(devices_here(), configured))
            _own_devices = max(configured, 1)


def _local_layout(devices: int | None, **how: Any) -> Any:
    """The default layout of a worker, without the warning about a single CPU device."""
    here = jax.local_devices()
    own = _own_devices if here[0].platform == "cpu" else None
    return default_layout(devices or own or len(here), **how)


def _left_by_another(sweep: "RemoteSweep", block: Block) -> tuple[str, bytes] | None:
    """The attempt and report of a worker that has trained the block since it was submitted.

    None where there is none, or where it cannot be read.
    """
    with contextlib.suppress(OSError, StoreError):
        for name, folder, report in finished_attempts(sweep.folder, sweep.work, {block.name}):
            if has_parts(folder, name, report, folder, name):
                return folder.name.rpartition(".")[2], pack_report(report)
    return None


class RemoteSweep(NamedTuple):
    """What all blocks of a sweep have in common, for the workers."""

    folder: Path
    """The store, which all workers can reach."""
    config: Mapping[str, Any]
    """Description of the sweep."""
    engine: "Engine"
    kept: Kept

    @property
    def work(self) -> str:
        """Hash of what the workers compute."""
        return work_of(self.config, self.engine, self.kept)


def train_job(sweep: RemoteSweep, block: Block) -> tuple[str, bytes]:
    """Trains a block on a worker; returns the attempt and its packed report.

    Everything is also in the folder of the attempt, below the store. Raises `FileNotFoundError` for
    a folder that the worker cannot reach.
    """
    attempt = new_attempt(sweep.work)  # here, as schedulers repeat calls themselves
    store, engine = sweep.folder, sweep.engine
    if not (store / "manifest.json").is_file():
        raise FileNotFoundError(
            f"store: expected a folder that all workers can reach, got {store}, which does not "
            f"exist on {platform.node()}"
        )
    own = attempt_folder(store, block.name, attempt)
    with _ONE_BLOCK:
        if found := _left_by_another(sweep, block):
            return found
        own.mkdir(parents=True)
        try:
            _use_devices(engine.devices)
            layout = _local_layout(engine.devices, map_width=engine.map_width, share=engine.share)
            if block.epochs_before:
                stores = earlier_stores(store, sweep.config)
                states = next(one for one in stores if one.epochs == block.epochs_before)
                block = block._replace(states=states.load(block.cells))
            running = running_of(store, sweep.config)
            done = joined(compute_parts(block, layout, engine, sweep.kept, running))
            facts = {**done.facts, "versions": versions()}
            report = Report(block.cells, done.values, facts, sweep.work)
            return attempt, save_attempt(own, block.name, report, done.weights, done.states)
        except Exception as error:
            save_error(own, error)
            raise
        finally:
            free_programs()  # a worker trains any number of blocks


def _whole(block: Block, report: Report) -> Segment:
    """The progress of a block that has ended."""
    taken = np.asarray(report.values["steps_taken"])
    return Segment(
        block.setup,
        int(taken.sum()),
        block.runs * block.setup.recipe.steps,
        int(taken.max()),
        loss=_last(report.values["loss"]),  # of some steps alone
        held_out_loss=_last(report.values.get("held_out_loss", ())),
        remote=True,
    )


def _last(losses: Any) -> float:
    """Median over runs of the last finite loss of each, [S, T]; NaN without any."""
    rows = map(np.asarray, losses)
    last = [row[np.isfinite(row)][-1] for row in rows if np.isfinite(row).any()]
    return float(np.median(last)) if last else float("nan")


def train_on_workers(
    workers: Workers,
    blocks: list[Block],
    store: ResultStore,
    sweep: RemoteSweep,
    progress: "Progress | None",
) -> Generator[Block, None, None]:
    """Trains blocks on workers; yields each once it is written into the store.

    Raises `JobError` at the end, if blocks failed in every attempt.
    """
    folder = sweep.folder.absolute()
    sweep = sweep._replace(folder=folder, engine=dataclasses.replace(sweep.engine, executor=None))
    work = sweep.work

    def job(block: Block) -> Job:
        key = digest([work, str(folder), block.name, block.cells.tolist()])
        return Job(block.name, key, lambda _: (train_job, (sweep, block)))

    by_name = {block.name: block for block in blocks}
    note = "; finished blocks are kept: the same call tries the others again"
    with contextlib.closing(run_jobs(workers, map(job, blocks), note)) as ended:
        for _, (done, (attempt, content)) in zip(until_due("blocks", blocks), ended, strict=False):
            block, report = by_name[done.name], read_report(content)
            with saving():
                store.adopt(block.name, attempt_folder(folder, block.name, attempt), report)
            if progress is not None:
                progress.advance(block, _whole(block, report))
            yield block
    remove_attempts(folder, work, set(by_name))
