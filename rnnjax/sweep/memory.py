"""Results and weights of a sweep in memory."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from rnnjax.store import StoreError, Weights, gather_weights
from rnnjax.sweep.axes import Sweep
from rnnjax.sweep.results import LossRecord, empty_results

__all__ = ["MemoryStore"]


class MemoryStore:
    """Keeps the results and weights of one sweep in memory, in place of a folder.

        memory = rnnjax.sweep.MemoryStore()
        results = rnnjax.run_sweep(sweep, memory, keep_parameters=True)
        population = rnnjax.load_population(memory, hidden=64)

    The same call after an interruption continues where it stopped, as with a folder.
    """

    def __init__(self):
        self._opened: tuple[Sweep, LossRecord] | None = None
        self._blocks: list[tuple[np.ndarray, Weights | None]] = []

    def open(self, sweep: Sweep, recorded: LossRecord) -> None:
        """Makes room for a sweep's results; raises `StoreError` if it holds another sweep's."""
        if self._opened is None:
            self._opened = sweep, recorded
            self._dataset = empty_results(sweep, *recorded)
        if self._opened != (sweep, recorded):
            raise StoreError("store: expected an empty MemoryStore, got one of another sweep")

    @property
    def sweep(self) -> Sweep:
        """The sweep whose results are kept; raises `StoreError` before there are any."""
        return self._require_opened()[0]

    @property
    def recorded(self) -> LossRecord:
        """The losses that are kept."""
        return self._require_opened()[1]

    def _require_opened(self) -> tuple[Sweep, LossRecord]:
        if self._opened is None:
            raise StoreError("store: expected a MemoryStore given to run_sweep, got an empty one")
        return self._opened

    def finished(self) -> np.ndarray:
        """Boolean array over the run dimensions: which cells are computed."""
        done = np.zeros(self.sweep.shape, bool)
        for cells, _ in self._blocks:
            done[tuple(cells.T)] = True
        return done

    def prepare(self) -> None:
        """Makes room for the sweep's runs."""

    def require_parameters(self) -> None:
        """Raises `StoreError` if a finished block was written without weights."""
        if any(weights is None for _, weights in self._blocks):
            raise StoreError("store: this MemoryStore kept no weights; train with keep_parameters")

    def write(
        self,
        name: str,
        cells: np.ndarray,
        values: Mapping[str, np.ndarray],
        weights: Weights | None = None,
        **facts: Any,
    ) -> None:
        """Keeps a finished block; see `rnnjax.store.Sink`."""
        for variable, block in values.items():
            self._dataset[variable].values[tuple(cells.T)] = block
        self._blocks.append((cells, weights))

    def read(self) -> xr.Dataset:
        """The dataset that is filled, not a copy; raises `StoreError` before there is one."""
        self._require_opened()
        return self._dataset

    def load_weights(self, cells: Sequence[Sequence[int]]) -> Weights:
        """The weights of the finished runs `cells`, stacked in this order.

        All runs must belong to one program. Raises `StoreError` if they were not kept.
        """
        self.require_parameters()
        blocks = ((held, lambda kept=kept: kept) for held, kept in self._blocks if kept is not None)
        try:
            return gather_weights(blocks, cells)
        except KeyError as missing:
            raise StoreError(f"store: this MemoryStore holds no finished run {missing}") from None
