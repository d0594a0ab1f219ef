"""Blocks of a sweep: runs that train together, and which of them a store has already."""

import hashlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from rnnjax.lanes import Lanes
from rnnjax.store import Sink
from rnnjax.sweep import cost
from rnnjax.sweep.axes import Sweep
from rnnjax.sweep.sizing import runs_per_save
from rnnjax.training import Hyper, Setup

if TYPE_CHECKING:
    from rnnjax.sweep.engine import Engine

__all__ = ["Block", "found", "plan", "split_by_epochs", "unfinished"]


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
    epochs_before: int = 0
    """Epochs that the runs have taken in an earlier store."""
    states: Mapping[str, np.ndarray] | None = None
    """Their states of training after these, while the block trains."""

    @property
    def runs(self) -> int:
        """Number of runs, S, without padding."""
        return len(self.cells)

    def part(self, chosen: slice | np.ndarray, **changes: Any) -> "Block":
        """The block with only the `chosen` of its runs."""
        hyper = Hyper(*(values[chosen] for values in self.hyper))
        states = self.states and {name: leaf[chosen] for name, leaf in self.states.items()}
        return self._replace(cells=self.cells[chosen], hyper=hyper, states=states, **changes)


def plan(
    sweep: Sweep,
    layout: Lanes,
    engine: "Engine",
    mask: np.ndarray | None = None,
    keep_parameters: bool = False,
) -> list[Block]:
    """The blocks of a sweep in order, or of its runs in `mask`, boolean over its axes.

    The seed is the slowest index inside a block: devices take contiguous shares of runs, and then
    each share has the same learning rates. Blocks leave memory for the weights that a store
    keeps (`keep_parameters`).
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
        copies = cost.kept_copies(setup.recipe, keep_parameters, engine.keep_state)
        fits = engine.block_runs or min(
            cost.runs_that_fit(setup, count, layout, budget, copies),
            runs_per_save(setup, count, layout),
        )
        for begin in range(0, count, fits):
            at = index[:, begin : begin + fits]
            runs = at.shape[1]
            cells = np.column_stack([np.tile(place, (runs, 1)).astype(int), at.T])
            values = {name: value[i] for (name, value), i in zip(traced.items(), at, strict=True)}
            neutral = {name: np.full(runs, n) for name, n in Hyper._field_defaults.items()}
            hyper = Hyper(**{**neutral, **values})
            name = _name(sweep, place, cells)
            blocks.append(Block(setup, cells, hyper, min(fits, count), name))
    return blocks


def _name(sweep: Sweep, place: tuple[int, ...], cells: np.ndarray) -> str:
    """Name of the block with these cells: labels of its program, and a fingerprint."""
    labels = [str(axis.labels[i]) for axis, i in zip(sweep.static_axes, place, strict=True)]
    readable = "-".join(map(_plain, labels))
    return f"{readable[:80]}-{_fingerprint(cells)}".strip("-")


def _plain(label: str) -> str:
    """A label as part of a file's name, one byte per character."""
    return "".join(c if c.isascii() and c.isalnum() else "_" for c in label)


def _fingerprint(cells: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(cells, np.int64).tobytes()).hexdigest()[:16]


def unfinished(blocks: list[Block], finished: np.ndarray, layout: Lanes) -> Iterator[Block]:
    """The blocks without their finished runs; the size of the program does not change.

    Raises `ValueError` for networks too large for the memory.
    """
    for block in blocks:
        pending = ~finished[tuple(block.cells.T)]
        if pending.any():
            cost.require_memory(block.setup, layout)
        if pending.all():
            yield block
        elif pending.any():
            yield _renamed(block, pending)


def found(planned: list[Block], finished: np.ndarray) -> tuple[int, int]:
    """How many runs of the planned blocks are finished, and how many blocks as a whole."""
    done = [finished[tuple(block.cells.T)] for block in planned]
    return sum(int(runs.sum()) for runs in done), sum(bool(runs.all()) for runs in done)


def _renamed(block: Block, chosen: np.ndarray, **changes: Any) -> Block:
    """The chosen runs of a block, with a name of their own."""
    readable = block.name.rpartition("-")[0]
    name = f"{readable}-{_fingerprint(block.cells[chosen])}".strip("-")
    return block.part(chosen, name=name, **changes)


def split_by_epochs(blocks: list[Block], sink: Sink) -> Iterator[Block]:
    """The blocks, each of runs that have taken equally many epochs in an earlier store."""
    for block in blocks:
        epochs = sink.epochs_before(block.cells)
        counts = sorted(set(epochs.tolist()), reverse=True)
        if len(counts) == 1:
            yield block._replace(epochs_before=counts[0])
            continue
        for count in counts:
            yield _renamed(block, epochs == count, epochs_before=count)
