"""Results and trained weights on disk."""

from rnnjax.store.checkpoints import load_parameters, save_parameters
from rnnjax.store.manifest import describe, digest, first_difference, versions, write_atomically
from rnnjax.store.results import ResultStore, StoreError, load_results, read_manifest

__all__ = [
    "ResultStore",
    "StoreError",
    "describe",
    "digest",
    "first_difference",
    "load_parameters",
    "load_results",
    "read_manifest",
    "save_parameters",
    "versions",
    "write_atomically",
]
