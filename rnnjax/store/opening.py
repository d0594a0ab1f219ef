"""Whether a folder holds the store of a config, before anything in it is changed."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rnnjax.store.damage import DamageError
from rnnjax.store.earlier import kept_apart, more_epochs, obstacle, require_states
from rnnjax.store.growing import read_backup
from rnnjax.store.layout import METADATA
from rnnjax.store.limits import require_plain_entries
from rnnjax.store.manifest import StoreError, digest
from rnnjax.store.markers import read_markers
from rnnjax.store.reading import read_manifest
from rnnjax.store.states import require_whole_states

__all__ = ["existing_manifest", "has_lost_manifest"]


def existing_manifest(
    path: Path, config: Mapping[str, Any], *, states: bool = False
) -> dict[str, Any] | None:
    """The manifest of the store that a folder holds already, or None; changes nothing.

    With `states`, those from which runs of more epochs resume are read too. Raises `StoreError`
    unless its runs and those of `config` differ in their axes alone.
    """
    if not path.exists():
        return None
    if not path.is_dir():
        raise StoreError(f"store: expected a folder, got the file {path}")
    require_plain_entries(path)
    names = {entry.name for entry in path.iterdir()}
    # The manifest is written first: a process that died before left at most these.
    if all(name == "lock" or name.startswith(".manifest.json.") for name in names):
        return None
    try:
        manifest = read_manifest(path)
    except DamageError:
        manifest = read_backup(path)
    if manifest is None:
        if _is_of(path, config, names):
            return None
        raise StoreError(
            f"store: {path / 'manifest.json'} is missing or damaged, and the blocks do "
            "not name this config; choose another folder, or the same config"
        ) from None
    difference = obstacle(manifest["config"], config)
    if more_epochs(manifest["config"], config):
        require_states(path, manifest, config)
        if states:
            require_whole_states(path, read_markers(path))
    elif difference is not None:
        field, old, new = difference
        earlier = kept_apart(path, config)
        raise StoreError(
            f"store: {path} was made with another config: {field} is {old!r} in the store "
            f"but {new!r} in this call; choose another folder, or the same config"
            + (f" (the results of this one are in {earlier})" if earlier else "")
        )
    return manifest


def _is_of(path: Path, config: Mapping[str, Any], names: set[str]) -> bool:
    """Whether a folder with a lost or damaged manifest is a store of this config.

    Raises `DamageError` for a damaged marker, if another one shows that it is a store.
    """
    files = sorted((path / "blocks").glob("*.json"))
    if "manifest.json" not in names and not files:
        raise StoreError(f"store: {path} holds files that are not a results store")
    try:
        markers = read_markers(path)
    except DamageError:
        if "manifest.json" in names:
            raise
        raise StoreError(f"store: {path} holds files that are not a results store") from None
    if markers:
        return {m.get("sweep") for m in markers.values()} == {digest(config)}
    # Nothing is finished yet. The other names show that the manifest is not somebody else's.
    return {"results.zarr", "blocks", METADATA} <= names


def has_lost_manifest(path: Path) -> bool:
    """Whether the manifest is missing or damaged."""
    try:
        read_manifest(path)
    except DamageError:
        return True
    return False
