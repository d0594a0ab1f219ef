"""Limits on what is read: a folder made by somebody else can at worst be refused.

Paths stay inside the folder, links are refused, sizes are compared with the free memory before
anything is allocated, and arrays are decoded only by the codecs that this package writes with:
older zarr formats also have filters that unpickle.
"""

import json
import math
import os
import stat
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from rnnjax.devices import free_memory
from rnnjax.store.damage import DamageError
from rnnjax.store.manifest import StoreError

__all__ = [
    "MOST_RUNS",
    "plain_size",
    "read_file",
    "read_json",
    "require_arrays",
    "require_block_name",
    "require_declared",
    "require_memory",
    "require_plain_entries",
    "require_plain_files",
    "require_size",
]

MOST_RUNS = 10**7
_SHARE = 0.5  # of the free memory: data are copied while they are checked
_SMALL = 2**20  # bytes that always fit: looking up the free memory takes longer than reading them
_CODECS = {"bytes", "vlen-utf8", "zstd"}
_TEXT = 16  # bytes of a label that is text, at least: a pointer and its length
_KINDS = {"bool": 1, "string": _TEXT} | {
    f"{kind}{bits}": bits // 8 for kind in ("int", "uint", "float") for bits in (8, 16, 32, 64)
}


def require_memory(what: str, needed: int, share: float = _SHARE) -> None:
    """Raises `StoreError` unless `needed` bytes fit into a share of the free memory, or 1 MiB."""
    if needed <= _SMALL:
        return
    free = int(share * free_memory())
    if needed > free:
        raise StoreError(f"store: {what} takes {needed:,} bytes, expected at most {free:,}")


def read_file(file: Path) -> bytes:
    """The content of a file; raises `StoreError` for a link, a device or a pipe, or if too large.

    Raises `OSError` for a file that is missing or cannot be read.
    """
    require_memory(str(file), plain_size(file))
    return file.read_bytes()


def plain_size(file: Path) -> int:
    """Size of a file, bytes; raises `StoreError` for a link, a device or a pipe.

    Raises `OSError` for a file that is missing.
    """
    facts = os.lstat(file)
    if not stat.S_ISREG(facts.st_mode):
        raise StoreError(f"store: expected a plain file, got {file}")
    return facts.st_size


def read_json(file: Path) -> Any:
    """The data of a JSON file; raises as `read_file`, and `ValueError` for other content."""
    try:
        return json.loads(read_file(file).decode("utf-8"))
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def require_declared(archive: zipfile.ZipFile, info: zipfile.ZipInfo, size: int) -> None:
    """Raises `ValueError` for an array that declares more than its file has."""
    if info.compress_type != zipfile.ZIP_STORED or info.file_size > size:
        raise ValueError("it has compressed arrays")
    with archive.open(info) as member:
        if np.lib.format.read_magic(member) != (1, 0):
            raise ValueError("it has arrays of another format")
        shape, _, dtype = np.lib.format.read_array_header_1_0(member)
    if math.prod(shape) * dtype.itemsize > info.file_size:
        raise ValueError("it has arrays that are cut off")


def require_plain_entries(folder: Path) -> None:
    """Raises `StoreError` if an entry of `folder` is a link, or no plain file or folder."""
    for path in folder.iterdir() if folder.is_dir() else ():
        _require_plain(path)


def _require_plain(path: str | os.PathLike[str]) -> None:
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:  # another process has renamed or removed it
        return
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise StoreError(f"store: expected plain files and folders, got {path}")


def require_plain_files(folder: Path) -> None:
    """Raises `StoreError` if anything in `folder` is a link, or no plain file or folder."""
    if folder.is_symlink():
        raise StoreError(f"store: expected a folder, got the link {folder}")
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files):
            _require_plain(os.path.join(place, name))


def require_size(config: Any) -> None:
    """Raises `StoreError` for the config of a sweep of more than ten million runs."""
    axes = config.get("axes") if isinstance(config, Mapping) else None
    if isinstance(axes, Mapping):
        runs = math.prod(len(values) for values in axes.values() if isinstance(values, list))
        if runs > MOST_RUNS:
            raise StoreError(f"store: expected at most {MOST_RUNS:,} runs in a sweep, got {runs:,}")


def require_block_name(name: str) -> None:
    """Raises `StoreError` unless a block's name, that of a folder, has letters, digits, - and _."""
    if not name or not all(c.isalnum() or c in "-_" for c in name):
        raise StoreError(
            f"store: expected letters, digits, - and _ in a block's name, got {name!r}"
        )


def require_arrays(group: Path) -> None:
    """Raises `StoreError` if arrays of a zarr group do not fit into memory or have other codecs."""
    needed = 0
    for file in sorted(group.glob("*/zarr.json")):
        try:
            found = read_json(file)
            codecs = {codec["name"] for codec in found["codecs"]}
            itemsize = _KINDS[found["data_type"]]
            shapes = found["shape"], found["chunk_grid"]["configuration"]["chunk_shape"]
            whole, chunk = (itemsize * math.prod(map(_length, shape)) for shape in shapes)
        except StoreError:
            raise
        except (ValueError, KeyError, TypeError) as error:
            raise DamageError(f"store: {file} is damaged ({error})", restorable=True) from None
        if others := codecs - _CODECS:
            known = ", ".join(sorted(_CODECS))
            raise StoreError(f"store: {file}: expected codecs among {known}, got {others}")
        needed += max(whole, chunk)
        if "zstd" in codecs:
            _require_declared_chunks(file.parent, chunk if itemsize < _TEXT else math.inf)
    require_memory(str(group), needed)


def _require_declared_chunks(array: Path, most: float) -> None:
    """Raises `DamageError` if a chunk decodes to an unknown size, or to more than `most` bytes.

    Raises `StoreError` for one of text, whose size the metadata do not state, that is too large.
    """
    for file in sorted(array.rglob("*")):
        written = file.suffix == ".partial"  # by another process, just now
        if written or not file.is_file() or file.name == "zarr.json":
            continue
        needed = _uncompressed(file)
        if needed == math.inf or needed > max(most, _SMALL):  # small ones are left to the decoder
            raise DamageError(f"store: {file} is damaged: its content does not fit", [file])
        if most == math.inf:
            require_memory(str(file), int(needed))


def _uncompressed(file: Path) -> float:
    """Size in its header of what a Zstandard frame decodes to, bytes; infinite if not declared.

    0 for a file without such a header, which the decoder refuses. RFC 8878, section 3.1.1.1.
    """
    with open(file, "rb") as opened:
        header = opened.read(18)
    if len(header) < 6 or header[:4] != b"\x28\xb5\x2f\xfd":
        return 0
    descriptor = header[4]
    flag, single = descriptor >> 6, bool(descriptor & 0x20)
    length = (int(single), 2, 4, 8)[flag]
    begin = 5 + (not single) + (0, 1, 2, 4)[descriptor & 3]
    if not length:
        return math.inf
    return int.from_bytes(header[begin : begin + length], "little") + 256 * (flag == 1)


def _length(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(f"a length is {value!r}")
    return value
