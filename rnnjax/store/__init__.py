"""Results and weights on disk."""

from rnnjax.store.checkpoints import Weights, gather_weights
from rnnjax.store.manifest import (
    StoreError,
    describe,
    digest,
    first_difference,
    read_checked,
    rebuild,
    remove_leftovers,
    versions,
    write_atomically,
    write_checked,
)
from rnnjax.store.parameters import axis_position, load_parameters, load_weights
from rnnjax.store.results import ResultStore, load_results, read_manifest
from rnnjax.store.sink import Sink

__all__ = [
    "ResultStore",
    "Sink",
    "StoreError",
    "Weights",
    "axis_position",
    "describe",
    "digest",
    "first_difference",
    "gather_weights",
    "load_parameters",
    "load_results",
    "load_weights",
    "read_checked",
    "read_manifest",
    "rebuild",
    "remove_leftovers",
    "versions",
    "write_atomically",
    "write_checked",
]
