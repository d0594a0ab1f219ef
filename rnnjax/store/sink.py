"""The interface through which a sweep writes its results."""

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import xarray as xr

from rnnjax.store.checkpoints import Weights
from rnnjax.store.running import Running

__all__ = ["Sink"]


class Sink(Protocol):
    """Receives the finished blocks of one sweep."""

    def finished(self) -> np.ndarray:
        """Boolean array over the run dimensions: which cells are computed."""
        ...

    def require_parameters(self) -> None:
        """Raises `StoreError` if a finished block was written without weights."""
        ...

    def keeps_parameters(self) -> bool:
        """Whether there are finished blocks, all of them with weights."""
        ...

    def epochs_before(self, cells: np.ndarray) -> np.ndarray:
        """The epochs that each of the runs `cells`, [S, dimensions], can resume from; 0 if none."""
        ...

    def load_states(self, cells: np.ndarray, epochs: int) -> Mapping[str, np.ndarray]:
        """The states of training of the runs `cells` after these epochs, as given to `write`."""
        ...

    def running(self) -> Running | None:
        """Where the states of blocks being trained are kept; None for nowhere."""
        ...

    def prepare(self) -> None:
        """Makes room for the sweep's runs, once it is certain that they are computed.

        The results of a folder without room for some of them are rewritten.
        """
        ...

    def write(
        self,
        name: str,
        cells: np.ndarray,
        values: Mapping[str, np.ndarray],
        weights: Weights | None = None,
        states: Mapping[str, np.ndarray] | None = None,
        **facts: Any,
    ) -> None:
        """Writes a finished block.

        Args:
            name: the block's name, unique in the sink.
            cells: indices of its runs on the run dimensions, [S, dimensions].
            values: results by variable, [S] or [S, step].
            weights: the block's weights, if they are kept.
            states: its runs' states of training, arrays [S, ...], if they are kept.
            facts: further plain data about the block.
        """
        ...

    def read(self) -> xr.Dataset:
        """The dataset with all blocks written so far."""
        ...

    def view(self) -> xr.Dataset:
        """The same, which later blocks may fill further; cheap to call after every block."""
        ...
