"""Files with digests: JSON files that contain their own, and folders of files."""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from rnnjax.store.limits import plain_size, read_json
from rnnjax.store.manifest import digest, write_atomically

__all__ = ["digest_files", "file_digest", "read_checked", "write_checked"]

_DIGEST = re.compile("[0-9a-f]{64}")


def write_checked(path: Path, values: Mapping[str, Any], indent: int | None = 1) -> None:
    """Writes a JSON file that contains its own digest, for `read_checked`."""
    content = {**values, "sha256": digest(values)}
    write_atomically(path, json.dumps(content, indent=indent) + "\n")


def read_checked(path: Path) -> dict[str, Any]:
    """The values in a file of `write_checked`; one without a digest is read as it is.

    Raises `ValueError` with the reason if the file is damaged, and `OSError` if it is missing or
    cannot be read.
    """
    values = read_json(path)
    if not isinstance(values, dict):
        raise ValueError("it holds no values by name")
    expected = values.pop("sha256", None)
    if expected is None:
        # Files from before there were digests have no other one than a manifest's `hash`; in a
        # later one it is the name of the field that is damaged.
        damaged = any(_DIGEST.fullmatch(str(v)) for key, v in values.items() if key != "hash")
    else:
        damaged = expected != digest(values)
    if damaged:
        raise ValueError("it is not what was written")
    return values


def digest_files(folder: Path, files: Iterable[Path]) -> str:
    """SHA-256 of the content of files below `folder`, with their names."""
    found = hashlib.sha256()
    for file in sorted(files):
        found.update(f"{file.relative_to(folder).as_posix()} {file_digest(file)}\n".encode())
    return found.hexdigest()


def file_digest(file: Path) -> str:
    """SHA-256 of a file, which is read piece by piece; raises as `read_file` but for its size."""
    plain_size(file)
    with open(file, "rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
