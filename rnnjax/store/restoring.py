"""What opening a store for writing mends; its lock is held meanwhile."""

import contextlib
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from rnnjax.store.layout import DATA, METADATA
from rnnjax.store.limits import require_plain_files
from rnnjax.store.manifest import StoreError, remove_leftovers, write_atomically
from rnnjax.store.reading import metadata_digest

__all__ = ["remove_store_leftovers", "restored_metadata", "write_metadata_digest"]


def write_metadata_digest(path: Path) -> None:
    """Writes the digest of the metadata of the zarr group in `path`, beside the group."""
    write_atomically(path / METADATA, metadata_digest(path / DATA) + "\n")


@contextlib.contextmanager
def restored_metadata(path: Path, write_template: Callable[[Path], None]):
    """New metadata of zarr in place of those that differ; the old ones come back after an error.

    `write_template(folder)` writes a group without data. Raises `StoreError` if there are arrays
    that it does not write.
    """
    folder = path / "results.zarr"
    require_plain_files(folder)  # nothing is written through a link
    with tempfile.TemporaryDirectory(dir=path, prefix=".results.zarr.") as template:
        write_template(Path(template))
        new = {
            folder / file.relative_to(template): file.read_bytes()
            for file in sorted(Path(template).rglob("*"))
            if file.is_file()
        }
    others = sorted(file.parent for file in folder.rglob("zarr.json") if file not in new)
    if others:
        raise StoreError(
            f"store: expected the arrays of the sweep alone, got {others[0]}; move it away"
        )
    old = {file: _content(file) for file in (*new, path / METADATA)}
    try:
        for file, content in new.items():
            if content != old[file]:
                file.parent.mkdir(parents=True, exist_ok=True)
                write_atomically(file, content)
        write_metadata_digest(path)
        yield
    except BaseException:
        for file, content in old.items():
            if content is None:
                file.unlink(missing_ok=True)
            elif content != _content(file):
                write_atomically(file, content)
        raise


def _content(file: Path) -> bytes | None:
    return file.read_bytes() if file.is_file() else None


def remove_store_leftovers(path: Path) -> None:
    """Removes what killed processes left half-written: as the lock is held, none is alive."""
    for folder in (path, path / "blocks", path / "states"):
        remove_leftovers(folder, age=0)
    for file in (path / "results.zarr").rglob("*.partial"):
        file.unlink(missing_ok=True)
    for pattern in (
        "parameters/*.orbax-checkpoint-tmp*",
        ".results.zarr.*",
        ".growing-*",
        ".earlier-*",
    ):
        for folder in path.glob(pattern):
            shutil.rmtree(folder, ignore_errors=True)
