"""Results and trained weights on disk."""

from rnnjax.store.manifest import describe, digest, first_difference, versions, write_atomically
from rnnjax.store.results import ResultStore, StoreError, load_results, read_manifest

__all__ = [
    "ResultStore",
    "StoreError",
    "describe",
    "digest",
    "first_difference",
    "load_results",
    "read_manifest",
    "versions",
    "write_atomically",
]
