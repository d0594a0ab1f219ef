"""Folders of studies: which study a folder belongs to, and whether it can be used."""

import json
from pathlib import Path
from typing import Any

from rnnjax.store import read_json, write_atomically

__all__ = ["INDEX", "checked_workdir", "claim_workdir", "read_index"]

INDEX = "study.json"
"""File of a workdir that names the study to which the folder belongs."""


def checked_workdir(workdir: str | Path, study: str) -> Path:
    """`workdir`, if it is new, empty, or holds an earlier run of `study`; else a `ValueError`.

    Nothing is created here, so that a refused run leaves no trace.
    """
    workdir = Path(workdir)
    if workdir.exists() and not workdir.is_dir():
        raise ValueError(f"workdir: expected a folder, got the file {workdir}")
    index = read_index(workdir)
    if index is not None and index["study"] != study:
        raise ValueError(
            f"workdir: expected that of {study}, got that of {index['study']}: {workdir}"
        )
    earlier = index is not None or (workdir / "store").is_dir()
    if not earlier and workdir.is_dir() and any(workdir.iterdir()):
        raise ValueError(
            f"workdir: expected a new or empty folder, or an earlier run, got {workdir}"
        )
    return workdir


def claim_workdir(workdir: Path, study: str) -> None:
    """Creates the workdir and names the study in it, so that no other study writes there."""
    workdir.mkdir(parents=True, exist_ok=True)
    if read_index(workdir) is None:
        write_atomically(workdir / INDEX, json.dumps({"study": study}) + "\n")


def read_index(workdir: str | Path) -> dict[str, Any] | None:
    """The index of a workdir, which has at least `study`; None if there is none.

    Raises `ValueError` for a damaged file.
    """
    file = Path(workdir) / INDEX
    if not file.exists():
        return None
    try:
        index = read_json(file)
        return {**index, "study": index["study"]}
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"workdir: {file} is damaged: {error!r}") from None
