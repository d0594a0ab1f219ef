"""Trained weights on disk, by orbax."""

import shutil
from pathlib import Path
from typing import Any

import orbax.checkpoint as ocp

from rnnjax.store.results import StoreError

__all__ = ["load_parameters", "save_parameters"]


def save_parameters(store: Path, block: str, params: Any) -> None:
    """Writes the stacked weights of a block; an unfinished earlier try is replaced."""
    target = (store / "parameters" / block).absolute()
    shutil.rmtree(target, ignore_errors=True)
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(target, params)


def load_parameters(store: str | Path, block: str) -> dict[str, Any]:
    """The weights of a block, leaf name -> array stacked over the block's runs.

    The block's marker, `STORE/blocks/<block>.json`, says which runs these are. Raises `StoreError`
    if the block's weights were not kept or are damaged.
    """
    target = (Path(store) / "parameters" / block).absolute()
    if not target.is_dir():
        raise StoreError(f"store: {store} holds no weights of a block {block!r}")
    try:
        with ocp.StandardCheckpointer() as checkpointer:
            return checkpointer.restore(target)
    except Exception as error:  # orbax and its back ends raise errors of their own
        raise StoreError(f"store: {target} is damaged ({error})") from None
