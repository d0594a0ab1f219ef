"""Checkpoints of a block: its whole state between two segments, on disk while it trains."""

import contextlib
import dataclasses
import os
import secrets
import threading
import time
import warnings
from collections.abc import Iterator, Mapping
from typing import Any, Self

import jax
import numpy as np

from rnnjax import stopping
from rnnjax.devices import Layout, free_memory
from rnnjax.store import DamageError, StoreError, describe, digest, versions
from rnnjax.store.reading import value_digest
from rnnjax.store.running import (
    RunningBlock,
    read_checkpoint,
    saved_checkpoints,
    write_checkpoint,
)
from rnnjax.sweep.blocks import Block
from rnnjax.sweep.states import named_leaves, put_in_place
from rnnjax.training import Run

__all__ = ["BlockCheckpoints", "BlockState", "identity"]

_RATE = 2e8
"""Bytes per second that a first checkpoint is expected to take."""


@dataclasses.dataclass
class BlockState:
    """State of a block between two segments."""

    runs: Run
    members: np.ndarray
    """Indices in the block of the runs that are trained."""
    rows: np.ndarray
    """Where these are in `runs`, whose other entries are padding."""
    taken: int
    """Steps taken."""
    losses: np.ndarray
    values: dict[str, np.ndarray]
    params: Any
    held_out_loss: np.ndarray | None
    keep_states: bool = False
    last: Any = None
    """Weights at the end of the last epoch, before those with the lowest loss replace them."""
    final: Run | None = None
    """All members at their end, if states are kept."""
    snapshots: Any = None
    """Weights along training, each leaf [S, K, ...], if they are kept."""


def identity(
    block: Block, layout: Layout, segment: int, compact: bool | None, keeps: tuple[bool, bool]
) -> str:
    """Digest of all on which the bits of a block's state depend, except for the model of the CPU.

    `keeps` tells whether weights and states are kept. At map width 1 a run does not depend on the
    number of devices, the size of the program or the steps per segment.
    """
    facts: dict[str, Any] = {
        "setup": describe(block.setup),
        "hyper": {name: describe(values) for name, values in block.hyper._asdict().items()},
        "begun": block.epochs_before,
        "states": _digests(block.states or {}),
        "keeps": list(keeps),
        "device": layout.devices[0].device_kind,
        "map_width": layout.map_width,
        "share": layout.share,
        "versions": versions(),
        "compiler": [
            os.environ.get("XLA_FLAGS"),
            jax.config.read("jax_disable_most_optimizations"),
        ],
    }
    if layout.map_width != 1 or layout.share != "runs":
        facts |= {"devices": len(layout.devices), "size": layout.padded(block.size)}
        facts |= {"segment": segment, "compact": compact}
    return digest(facts)


def _digests(states: Mapping[str, np.ndarray]) -> dict[str, str]:
    return {name: value_digest(leaf) for name, leaf in states.items()}


class BlockCheckpoints:
    """The checkpoints of one attempt at a block; the context in which it trains.

    Args:
        block: where they are.
        minutes: time between two of them.
    """

    def __init__(self, block: RunningBlock, minutes: float):
        self._block, self._every = block, 60.0 * minutes
        self._attempt = secrets.token_hex(4)
        self._writer: threading.Thread | None = None
        self._pace = stopping.Pace()
        self._writing: float | None = None
        """Seconds of the last checkpoint."""
        self.seconds_before = 0.0
        """Seconds of the attempts from which this one resumes."""

    def __enter__(self) -> Self:
        self._begun = self._saved = time.monotonic()
        self._stoppable = contextlib.ExitStack()
        self._stoppable.enter_context(stopping.stoppable())
        return self

    def __exit__(self, kind: type | None, *exception: object) -> None:
        self._stoppable.close()
        if kind is None:
            self._wait()

    def load(self, state: BlockState, layout: Layout, unit_axes: Mapping[str, int]) -> bool:
        """Puts the newest whole checkpoint in place of a new `state`; returns whether there is one.

        Damaged ones are removed, and those of another version skipped, with a warning. Raises
        `StoreError` for one that does not fit into memory, and `OSError` for one that cannot be
        read: the block does not start over.
        """
        for one in saved_checkpoints(self._block):
            try:
                arrays = read_checkpoint(self._block, one)
            except FileNotFoundError:  # another attempt has a newer one
                continue
            except DamageError as error:
                warnings.warn(f"{error}; it is skipped", stacklevel=2)
                one.file.unlink(missing_ok=True)
                continue
            try:
                _restore(state, layout, unit_axes, arrays)
            except StoreError as error:  # of another version
                warnings.warn(f"{error}; it is skipped", stacklevel=2)
                continue
            self.seconds_before = float(arrays["seconds"])
            return True
        return False

    def between_segments(self, state: BlockState) -> None:
        """Saves the state where it is time to; before a stop, it returns once it is on disk."""
        now = time.monotonic()
        self._pace.end()
        if stopping.is_due(self._pace.seconds + self._expected(state)):
            with stopping.saving():
                self._wait()
                self._write(state.taken, self._arrays(state))
            stopping.stop_if_due(float("inf"))
        writes = self._writer is not None and self._writer.is_alive()
        if now - self._saved >= self._every and not writes:
            self._save(state)
        self._pace.begin()

    def _expected(self, state: BlockState) -> float:
        """Seconds that a checkpoint is expected to take."""
        trees = state.runs, state.snapshots
        return self._writing or sum(map(_bytes, jax.tree.leaves(trees))) / _RATE

    def _wait(self) -> None:
        if self._writer is not None:
            self._writer.join()

    def _save(self, state: BlockState) -> None:
        """Saves a copy while training continues; without memory for a copy, training waits."""
        self._saved = time.monotonic()
        trees = state.runs, state.params, state.final, state.snapshots, state.held_out_loss
        losses = state.losses[:, : state.taken]
        size = sum(map(_bytes, jax.tree.leaves((trees, losses))))
        if size > free_memory() / 2:
            self._write(state.taken, self._arrays(state))
            return
        with self._warns():
            copies = list(self._arrays(state))
            self._writer = threading.Thread(
                target=self._write, args=(state.taken, copies), name="checkpoint", daemon=True
            )
            self._writer.start()

    def _write(self, step: int, arrays: Any) -> None:
        begin = time.monotonic()
        with self._warns():
            write_checkpoint(self._block, step, self._attempt, arrays)
        self._writing = time.monotonic() - begin

    @contextlib.contextmanager
    def _warns(self) -> Iterator[None]:
        """Warns in place of an error: a state that cannot be kept must not cost the block."""
        try:
            yield
        except (OSError, StoreError, MemoryError) as error:
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            warnings.warn(
                f"the state of the block being trained cannot be written to {self._block.folder} "
                f"({reason}); an interruption loses it",
                stacklevel=4,
            )

    def _arrays(self, state: BlockState) -> Iterator[tuple[str, np.ndarray]]:
        """The state as plain arrays by name, copied one after another."""
        seconds = self.seconds_before + time.monotonic() - self._begun
        yield "seconds", np.array(seconds)
        yield "members", np.array(state.members)
        yield "size", np.array(state.runs.status.shape[0])
        yield "losses", np.array(state.losses[:, : state.taken])
        if state.held_out_loss is not None:
            yield "held_out_loss", np.array(state.held_out_loss)
        for name, values in state.values.items():
            yield f"value-{name}", np.array(values)
        trees = {
            "run": state.runs, "params": state.params, "final": state.final,
            "snapshots": state.snapshots,
        }  # fmt: skip
        for prefix, tree in trees.items():
            for i, leaf in enumerate(jax.tree.leaves(tree)):
                values = np.asarray(leaf)
                yield f"{prefix}{i}", values[state.rows] if prefix == "run" else np.array(values)


def _bytes(leaf: Any) -> int:
    return leaf.nbytes


def _restore(
    state: BlockState,
    layout: Layout,
    unit_axes: Mapping[str, int],
    arrays: dict[str, np.ndarray],
) -> None:
    """Puts a checkpoint in place of a new state; raises `StoreError` for one of another block.

    The arrays of the runs are taken out of `arrays`.
    """
    runs = named_leaves(arrays, "run", state.runs)
    params, final = _if_kept(arrays, "params", state.runs.params), _if_kept(arrays, "final", runs)
    snapshots = named_leaves(arrays, "snapshots", state.snapshots)
    count, steps = state.losses.shape
    try:
        members, losses, size = arrays["members"], arrays["losses"], int(arrays["size"])
        taken = losses.shape[1]
        values = {n.removeprefix("value-"): v for n, v in arrays.items() if n.startswith("value-")}
        rows = {len(leaf) for leaf in jax.tree.leaves(runs)}
        whole = {len(leaf) for leaf in jax.tree.leaves((values, params, final, snapshots))}
        fits = (
            rows == {len(members)} and whole <= {count} and losses.shape == (count, taken)
            and 0 < taken < steps and 0 < len(members) <= size
            and members.dtype.kind == "i" and bool(np.all(np.diff(members) > 0))
            and members[0] >= 0 and members[-1] < count
            and "seconds" in arrays
        )  # fmt: skip
        if state.held_out_loss is not None:
            fits = fits and arrays["held_out_loss"].shape == state.held_out_loss.shape
    except (KeyError, TypeError, ValueError, IndexError):
        fits = False
    if not fits:
        raise StoreError("store: the state of a block being trained is that of another version")
    size = layout.padded(min(size, state.runs.status.shape[0]))  # of fewer devices, perhaps
    leaves = [arrays.pop(f"run{i}") for i in range(len(jax.tree.leaves(runs)))]
    del runs  # so that every leaf is freed once it is on the devices
    state.runs = put_in_place(state.runs, leaves, size, layout, unit_axes)
    state.members, state.rows = members, layout.rows(size, len(members))
    state.taken, state.values = taken, values
    state.params, state.final, state.snapshots = params, final, snapshots
    state.losses[:, :taken] = losses
    if state.held_out_loss is not None:
        state.held_out_loss[:] = arrays["held_out_loss"]


def _if_kept(arrays: Mapping[str, np.ndarray], prefix: str, like: Any) -> Any:
    return named_leaves(arrays, prefix, like) if f"{prefix}0" in arrays else None
