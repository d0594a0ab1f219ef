"""Results and weights on disk."""

from rnnjax.store.checked import read_checked, write_checked
from rnnjax.store.checkpoints import Weights, gather_weights, has_some_weights
from rnnjax.store.damage import DamageError
from rnnjax.store.grid import lacking, same_runs
from rnnjax.store.layout import read_settled
from rnnjax.store.limits import read_file, read_json
from rnnjax.store.manifest import (
    StoreError,
    StoreInUse,
    describe,
    digest,
    first_difference,
    leftovers,
    rebuild,
    remove_leftovers,
    versions,
    write_atomically,
)
from rnnjax.store.merging import merge
from rnnjax.store.parameters import axis_position, load_parameters, load_weights
from rnnjax.store.reading import load_results, read_manifest
from rnnjax.store.results import ResultStore
from rnnjax.store.sink import Sink

__all__ = [
    "DamageError",
    "ResultStore",
    "Sink",
    "StoreError",
    "StoreInUse",
    "Weights",
    "axis_position",
    "describe",
    "digest",
    "first_difference",
    "gather_weights",
    "has_some_weights",
    "lacking",
    "leftovers",
    "load_parameters",
    "load_results",
    "load_weights",
    "merge",
    "read_checked",
    "read_file",
    "read_json",
    "read_manifest",
    "read_settled",
    "rebuild",
    "remove_leftovers",
    "same_runs",
    "versions",
    "write_atomically",
    "write_checked",
]
