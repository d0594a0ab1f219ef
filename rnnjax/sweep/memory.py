"""Results and weights of a sweep in memory."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from rnnjax.store import StoreError, Weights, gather_weights
from rnnjax.store.combining import not_combined
from rnnjax.store.grid import Places, grid_of, lacking, places, same_runs, united
from rnnjax.store.growing import part, spread
from rnnjax.store.scatter import read_only
from rnnjax.sweep.axes import Axis, Sweep
from rnnjax.sweep.config import describe_sweep
from rnnjax.sweep.results import LossRecord, empty_results

__all__ = ["MemoryStore"]


class MemoryStore:
    """Keeps the results and weights of a sweep in memory instead of in a folder.

        memory = rnnjax.sweep.MemoryStore()
        results = rnnjax.run_sweep(sweep, memory, keep_parameters=True)
        population = rnnjax.load_population(memory, hidden=64)

    The same call after an interruption continues where it stopped, and the call with more values on
    the axes computes what is missing, as with a folder.
    """

    def __init__(self):
        self._opened: tuple[Sweep, LossRecord] | None = None
        self._blocks: list[tuple[np.ndarray, Weights | None]] = []

    def open(self, sweep: Sweep, recorded: LossRecord) -> "_Window":
        """The part of the store for a sweep's results.

        Raises `StoreError` if it holds another sweep's: one that differs in more than the values on
        its axes.
        """
        if self._opened is None or not self._blocks:  # a call that was refused leaves no trace
            self._opened = sweep, recorded
            self._dataset = empty_results(sweep, *recorded)
        config, kept = describe_sweep(sweep, recorded), describe_sweep(*self._opened)
        if difference := same_runs(kept, config):
            field, old, new = difference
            raise StoreError(
                "store: expected an empty MemoryStore, got one of another sweep: "
                f"{field} is {old!r} in the store but {new!r} in this call"
            )
        return _Window(self, sweep, recorded)

    @property
    def sweep(self) -> Sweep:
        """The sweep whose results are kept; raises `StoreError` before there are any."""
        return self._require_kept()[0]

    @property
    def recorded(self) -> LossRecord:
        """The losses that are kept."""
        return self._require_kept()[1]

    def _require_kept(self) -> tuple[Sweep, LossRecord, xr.Dataset]:
        if not self._blocks:
            raise StoreError("store: expected a MemoryStore given to run_sweep, got an empty one")
        return self.held()

    def held(self) -> tuple[Sweep, LossRecord, xr.Dataset]:
        """Sweep, recorded losses and the dataset that is filled, perhaps without a finished run."""
        if self._opened is None:
            raise StoreError("store: expected a MemoryStore given to run_sweep, got an empty one")
        return *self._opened, self._dataset

    def finished(self) -> np.ndarray:
        """Boolean array over the run dimensions: which cells are computed."""
        done = np.zeros(self.held()[0].shape, bool)
        for cells, _ in self._blocks:
            done[tuple(cells.T)] = True
        return done

    def grow(self, sweep: Sweep) -> None:
        """Makes room for the values that `sweep` has besides those that are kept.

        Raises `StoreError`, and changes nothing, where these do not combine to one sweep.
        """
        old, recorded, dataset = self.held()
        kept, config = describe_sweep(old, recorded), describe_sweep(sweep, recorded)
        if not lacking(kept, config):
            return
        both = united(kept, config)
        here, there = grid_of(kept), grid_of(both)
        axes = [_joined(name, labels, sweep, old) for name, labels, _ in there.plain()]
        try:
            joined = dataclasses.replace(sweep, axes=tuple(axes))
        except ValueError as error:
            raise not_combined("this MemoryStore and of this call", error) from None
        dataset = spread(dataset, empty_results(sweep, *recorded), here, there)
        at = places(here, there)
        blocks = [(at.cells(cells), weights) for cells, weights in self._blocks]
        self._opened, self._dataset, self._blocks = (joined, recorded), dataset, blocks

    def require_parameters(self) -> None:
        """Raises `StoreError` if a finished block was written without weights."""
        if any(weights is None for _, weights in self._blocks):
            raise StoreError("store: this MemoryStore kept no weights; train with keep_parameters")

    def keeps_parameters(self) -> bool:
        """Whether there are finished blocks, all of them with weights."""
        return bool(self._blocks) and all(weights is not None for _, weights in self._blocks)

    def keep(
        self, cells: np.ndarray, values: Mapping[str, np.ndarray], weights: Weights | None
    ) -> None:
        """Keeps a finished block, with cells on the axes of `sweep`."""
        for variable, block in values.items():
            self._dataset[variable].values[tuple(cells.T)] = block
        self._blocks.append((cells, weights))

    def read(self) -> xr.Dataset:
        """The dataset that is filled, not a copy; raises `StoreError` before there is one."""
        return self._require_kept()[2]

    def load_weights(self, cells: Sequence[Sequence[int]]) -> Weights:
        """The weights of the finished runs `cells`, stacked in this order.

        All runs must belong to one program. Raises `StoreError` if they were not kept.
        """
        blocks = (
            (held.tolist(), None if kept is None else lambda kept=kept: kept)
            for held, kept in self._blocks
        )
        grid = grid_of(describe_sweep(*self._require_kept()[:2]))
        return gather_weights("this MemoryStore", grid, blocks, cells)


def _joined(name: str, labels: Sequence[Any], *sweeps: Sweep) -> Axis:
    """The axis with these labels, and the values that the sweeps give them."""
    known = {
        label: value
        for axis in (sweep.axis(name) for sweep in sweeps)
        for label, value in zip(axis.labels, axis.values, strict=True)
    }
    return Axis(name, tuple(labels), tuple(known[label] for label in labels))


class _Window:
    """The runs of one call of `run_sweep` in a `MemoryStore`; a `rnnjax.store.Sink`."""

    def __init__(self, memory: MemoryStore, sweep: Sweep, recorded: LossRecord):
        self._memory, self._sweep, self._recorded = memory, sweep, recorded

    def _places(self) -> Places | None:
        """Positions of the sweep's runs in the store; None where the axes are the same."""
        here, there = (
            grid_of(describe_sweep(sweep, self._recorded))
            for sweep in (self._sweep, self._memory.held()[0])
        )
        return None if here == there else places(here, there)

    def finished(self) -> np.ndarray:
        """Boolean array over the run dimensions: which cells are computed."""
        at, done = self._places(), self._memory.finished()
        return done if at is None else at.take(done, False)

    def epochs_before(self, cells: np.ndarray) -> np.ndarray:
        """0: no run resumes from an earlier store."""
        return np.zeros(len(cells), int)

    def load_states(self, cells: np.ndarray, epochs: int) -> Mapping[str, np.ndarray]:
        """Raises `StoreError`: states of training are kept in folders only."""
        raise StoreError("store: a MemoryStore keeps no states of training")

    def running(self) -> None:
        """None: states of blocks being trained are kept in folders only."""

    def prepare(self) -> None:
        """Makes room for the sweep's runs."""
        self._memory.grow(self._sweep)

    def require_parameters(self) -> None:
        """Raises `StoreError` if a finished block was written without weights."""
        self._memory.require_parameters()

    def keeps_parameters(self) -> bool:
        """Whether there are finished blocks, all of them with weights."""
        return self._memory.keeps_parameters()

    def write(
        self,
        name: str,
        cells: np.ndarray,
        values: Mapping[str, np.ndarray],
        weights: Weights | None = None,
        states: Mapping[str, np.ndarray] | None = None,
        **facts: Any,
    ) -> None:
        """Keeps a finished block, without its states; see `rnnjax.store.Sink`."""
        at = self._places()
        self._memory.keep(cells if at is None else at.cells(cells), values, weights)

    def read(self) -> xr.Dataset:
        """A copy of the dataset that is filled, or of its part where it has more runs."""
        at, dataset = self._places(), self._memory.held()[2]
        if at is None:
            return dataset.copy(deep=True)
        return part(dataset, empty_results(self._sweep, *self._recorded), at)

    def view(self) -> xr.Dataset:
        """As `read`, without a copy of arrays, which cannot be written to."""
        return read_only(self._memory.held()[2]) if self._places() is None else self.read()
