"""JSON files that contain their own digest."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rnnjax.store.limits import read_json
from rnnjax.store.manifest import StoreError, digest, write_atomically

__all__ = ["read_checked", "write_checked"]

_DIGEST = re.compile("[0-9a-f]{64}")


def write_checked(path: Path, values: Mapping[str, Any], indent: int | None = 1) -> None:
    """Writes a JSON file that contains its own digest, for `read_checked`."""
    content = {**values, "sha256": digest(values)}
    write_atomically(path, json.dumps(content, indent=indent) + "\n")


def read_checked(
    path: Path, name: str, advice: str, error: type[ValueError] = ValueError
) -> dict[str, Any]:
    """The values in a file of `write_checked`; one without a digest is read as it is.

    Raises an `error` with `name`, the file and the `advice` for a damaged file, and
    `FileNotFoundError`.
    """
    try:
        values = read_json(path)
        expected = values.pop("sha256", None)
    except FileNotFoundError:
        raise
    except StoreError as refused:  # a link, or a file that is too large
        raise error(f"{name}: {str(refused).removeprefix('store: ')}") from None
    except (OSError, ValueError, AttributeError, TypeError) as reason:
        raise error(f"{name}: {path} is damaged ({reason}); {advice}") from None
    if expected is None:
        # Files from before there were digests have no other one than a manifest's `hash`; in a
        # later one it is the name of the field that is damaged.
        damaged = any(_DIGEST.fullmatch(str(v)) for key, v in values.items() if key != "hash")
    else:
        damaged = expected != digest(values)
    if damaged:
        raise error(f"{name}: {path} is damaged (not what was written); {advice}")
    return values
