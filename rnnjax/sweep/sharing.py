"""Networks whose units several devices share: what can be shared, and the sink of many processes.

Under `jax.distributed` all processes train the same blocks. The first one alone has the store. The
others get from it what the store holds, and its errors, so that none of them waits for ever.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import jax
import numpy as np
import xarray as xr
from jax.experimental import multihost_utils

from rnnjax.cells import UnrolledCell
from rnnjax.store import Sink, StoreError, Weights
from rnnjax.store.scatter import read_only
from rnnjax.training import Setup

__all__ = ["SharedSink", "require_shared_units"]

_MESSAGE = 2000
"""Longest error that goes to the other processes, bytes."""

_T = TypeVar("_T")


def require_shared_units(setup: Setup, devices: int) -> None:
    """Raises `ValueError` unless so many devices can share the units of a network evenly."""
    cell = setup.cell
    if isinstance(cell, UnrolledCell) and cell.divides_units:
        return
    if not cell.unit_axes:
        raise ValueError(
            f"share: expected 'runs' for cell {cell.name!r}, got 'units', which needs weights with "
            "an axis of units, or a kernel that divides the units"
        )
    if cell.hidden % devices:
        raise ValueError(
            f"hidden: expected a multiple of the {devices} devices that share the units, got "
            f"{cell.hidden}"
        )
    if "nuclear" in setup.recipe.penalties:
        raise ValueError(
            "share: expected 'runs' with the penalty 'nuclear', got 'units', with which no device "
            "has the whole matrix"
        )


class SharedSink:
    """The sink of a sweep that several processes train together; a `rnnjax.store.Sink`.

    Every method is called by all processes. Raises `StoreError` in the others for an error in the
    first one.

    Args:
        begin: opens the store; called in the first process only.
        template: the dataset before any run.
    """

    def __init__(self, begin: Callable[[], Sink], template: xr.Dataset):
        self._template, self._sink = template, _first(begin)

    def finished(self) -> np.ndarray:
        """Boolean array over the run dimensions: which cells are computed."""
        shape = self._template["status"].shape
        return _everywhere(lambda: self._store.finished(), np.zeros(shape, bool))

    def epochs_before(self, cells: np.ndarray) -> np.ndarray:
        """0; raises `StoreError` where runs would resume from an earlier store."""

        def found() -> np.ndarray:
            epochs = self._store.epochs_before(cells)
            if epochs.any():
                raise StoreError(
                    "store: expected a single process for runs that resume with more epochs, got "
                    f"{jax.process_count()}"
                )
            return epochs

        return _everywhere(found, np.zeros(len(cells), int))

    def load_states(self, cells: np.ndarray, epochs: int) -> Mapping[str, np.ndarray]:
        """Raises `StoreError`: no run resumes from an earlier store."""
        raise StoreError("store: several processes keep no states of training")

    def running(self) -> None:
        """None: several processes keep no block being trained."""

    def prepare(self) -> None:
        """Makes room for the sweep's runs; the first process may write the results again."""
        _first(lambda: self._store.prepare())

    def require_parameters(self) -> None:
        """Raises `StoreError` if a finished block was written without weights."""
        _first(lambda: self._store.require_parameters())

    def keeps_parameters(self) -> bool:
        """Whether there are finished blocks, all of them with weights."""
        return bool(
            _everywhere(lambda: np.array([self._store.keeps_parameters()]), np.zeros(1, bool))
        )

    def write(
        self,
        name: str,
        cells: np.ndarray,
        values: Mapping[str, np.ndarray],
        weights: Weights | None = None,
        states: Mapping[str, np.ndarray] | None = None,
        **facts: Any,
    ) -> None:
        """Writes a finished block; see `rnnjax.store.Sink`."""
        facts["processes"] = jax.process_count()
        _first(lambda: self._store.write(name, cells, values, weights, states, **facts))

    def read(self) -> xr.Dataset:
        """The dataset with all blocks written so far, in every process."""
        return self._shared(lambda: self._store.read())

    def view(self) -> xr.Dataset:
        """The same without reading again what the first process holds; its arrays are read-only."""
        return read_only(self._shared(lambda: self._store.view()))

    def _shared(self, read: Callable[[], xr.Dataset]) -> xr.Dataset:
        """What `read` returns in the first process, in every process."""
        dataset = _first(read)
        like = self._template.copy(deep=True)
        for name in like.data_vars:
            first = None if dataset is None else dataset[name].values
            like[name].values[...] = _broadcast(like[name].values if first is None else first)
        return like if dataset is None else dataset

    @property
    def _store(self) -> Sink:
        assert self._sink is not None
        return self._sink


def _first(function: Callable[[], _T]) -> _T | None:
    """What `function` returns in the first process; None in the others, or its error."""
    result, error = None, None
    if jax.process_index() == 0:
        try:
            result = function()
        except Exception as raised:
            error = raised
    text = "" if error is None else str(error) or type(error).__name__
    sent = np.frombuffer(text.encode()[:_MESSAGE].ljust(_MESSAGE, b"\0"), np.uint8)
    message = bytes(_broadcast(sent)).rstrip(b"\0").decode(errors="replace")
    if error is not None:
        raise error
    if message:
        raise StoreError(message)
    return result


def _everywhere(function: Callable[[], np.ndarray], like: np.ndarray) -> np.ndarray:
    """What `function` returns in the first process, an array like `like`, in all processes."""
    found = _first(function)
    return _broadcast(like if found is None else found).astype(like.dtype)


def _broadcast(array: np.ndarray) -> np.ndarray:
    """The first process's array, in all processes, bit for bit."""
    data = np.ascontiguousarray(array)
    sent = multihost_utils.broadcast_one_to_all(data.reshape(-1).view(np.uint8))
    return np.asarray(sent, np.uint8).view(data.dtype).reshape(data.shape)
