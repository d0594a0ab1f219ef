"""Folders of studies: which study a folder belongs to, and whether it can be used."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from rnnjax.store import leftovers, read_checked, remove_leftovers, write_checked

if TYPE_CHECKING:
    from rnnjax.report import Provenance

__all__ = [
    "CACHES",
    "INDEX",
    "MEASURED_AGAIN",
    "checked_workdir",
    "claim_workdir",
    "read_index",
    "read_values",
    "record_run",
]

INDEX = "study.json"
"""File of a workdir that names the study to which the folder belongs."""

CACHES = ("cost.json", "coordinates.json", "sharpness.json", "store/memory_demand.json")
"""Files of a workdir with values that studies have measured."""

MEASURED_AGAIN = "the command of the study measures its values again"


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
    earlier = index is not None or _holds_results(workdir)
    others = set(workdir.glob("*")) - set(leftovers(workdir))  # of a process killed at its start
    if not earlier and others:
        raise ValueError(
            f"workdir: expected a new or empty folder, or an earlier run, got {workdir}"
        )
    return workdir


def _holds_results(workdir: Path) -> bool:
    """Whether a folder without an index is a workdir all the same."""
    store = workdir / "store"
    ours = ("store/lock", "store/manifest.json", *CACHES)
    return (
        any((workdir / name).exists() for name in ours)
        or any(store.glob("*/manifest.json"))
        or (store.is_dir() and not any(store.iterdir()))
    )


def claim_workdir(workdir: Path, study: str, about: "Provenance | None" = None) -> None:
    """Creates the workdir and names the study in it, so that no other study writes there.

    Command and settings of `about` are kept too, unless blocks of an earlier command are finished,
    so that a report can be written before the end.
    Files that a killed process left half-written are removed.
    """
    workdir.mkdir(parents=True, exist_ok=True)
    for folder in (workdir, workdir / "figures", workdir / "measures", workdir / "store"):
        remove_leftovers(folder)
    index = read_index(workdir)
    if index is None or (about is not None and not _has_blocks(workdir)):
        write_checked(workdir / INDEX, {**(index or {}), "study": study, **_recorded(about)})


def record_run(workdir: Path, study: str, about: "Provenance", **found: Any) -> None:
    """Keeps command, settings, versions and duration of a finished run, and what it `found`."""
    write_checked(workdir / INDEX, {"study": study, **_recorded(about), **found})


def _recorded(about: "Provenance | None") -> dict[str, Any]:
    if about is None:
        return {}
    known = {"command": about.command, "settings": about.settings, "versions": about.versions}
    return known if about.seconds is None else {**known, "seconds": about.seconds}


def _has_blocks(workdir: Path) -> bool:
    store = workdir / "store"
    measured = (store / "memory_demand.json").exists()  # the study that trains no networks
    return measured or any(store.glob("blocks/*.json")) or any(store.glob("*/blocks/*.json"))


def read_index(workdir: str | Path) -> dict[str, Any] | None:
    """The index of a workdir, which has at least `study`; None if there is none.

    Raises `ValueError` for a damaged file.
    """
    file = Path(workdir) / INDEX
    if not file.exists():
        return None
    index = read_values(file, "the command of the study writes it again")
    if not isinstance(index.get("study"), str):
        raise ValueError(f"workdir: {file} is damaged (it names no study)")
    return index


def read_values(file: Path, then: str) -> dict[str, Any]:
    """The values of a file of `write_checked`.

    Raises `ValueError` for a damaged file, with what happens once it is deleted, and `OSError` for
    one that cannot be read.
    """
    try:
        return read_checked(file)
    except ValueError as reason:
        raise ValueError(
            f"workdir: {file} is damaged ({reason}); if you delete it, {then}"
        ) from None
