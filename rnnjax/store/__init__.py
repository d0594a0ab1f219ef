"""Results and weights on disk."""

from rnnjax.store.checkpoints import (
    Weights,
    axis_position,
    load_parameters,
    load_weights,
    save_parameters,
)
from rnnjax.store.manifest import (
    describe,
    digest,
    first_difference,
    rebuild,
    versions,
    write_atomically,
)
from rnnjax.store.results import ResultStore, StoreError, load_results, read_manifest

__all__ = [
    "ResultStore",
    "StoreError",
    "Weights",
    "axis_position",
    "describe",
    "digest",
    "first_difference",
    "load_parameters",
    "load_results",
    "load_weights",
    "read_manifest",
    "rebuild",
    "save_parameters",
    "versions",
    "write_atomically",
]
