"""Compiled programs of the scripts, kept on disk between commands by JAX's compilation cache."""

import hashlib
import os
import platform
import sys
from pathlib import Path

import platformdirs

from rnnjax.validate import expanded

__all__ = ["OFF", "VARIABLE", "cache_folder", "use_compilation_cache"]

OFF = "off"

VARIABLE = "RNNJAX_COMPILATION_CACHE"
"""Environment variable: the folder of the cache, or `off`."""

LARGEST = 2**30
"""Size in bytes above which JAX removes the programs that were not used for longest."""

SHORTEST = 0.1
"""Seconds of compilation from which a program is kept."""


def cache_folder(given: str | None = None) -> Path | None:
    """The folder of the cache; None if it is switched off.

    `given` wins over `RNNJAX_COMPILATION_CACHE`; the default is `rnnjax/compiled` in the user's
    cache folder. A program for one kind of processor can crash on another that shares the folder,
    so each kind has a folder of its own within it.
    """
    chosen = (
        given or os.environ.get(VARIABLE) or platformdirs.user_cache_path("rnnjax") / "compiled"
    )
    if chosen == OFF:
        return None
    name = "compilation_cache" if given else VARIABLE
    return expanded(name, chosen) / _processor()


def use_compilation_cache(given: str | None = None) -> Path | None:
    """Keeps compiled programs in `cache_folder(given)`; returns the folder that is used, if any.

    JAX's own `JAX_COMPILATION_CACHE_DIR`, where it is set, stays as it is. A folder that cannot be
    written gives a warning, and programs are compiled every time.
    """
    import jax

    if given is None and os.environ.get("JAX_COMPILATION_CACHE_DIR"):
        return Path(os.environ["JAX_COMPILATION_CACHE_DIR"])
    folder = cache_folder(given)
    if folder is None:
        jax.config.update("jax_enable_compilation_cache", False)
        return None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            raise PermissionError("it is not writable")
    except OSError as error:
        reason = error.strerror or error
        print(f"warning: no compilation cache in {folder} ({reason})", file=sys.stderr)
        return None
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_compilation_cache_max_size", LARGEST)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", SHORTEST)
    return folder


def _processor() -> str:
    """A name of the kind of processor, by its instruction sets where the system lists them."""
    info = Path("/proc/cpuinfo")
    text = info.read_text() if info.exists() else ""
    kinds = [x for x in text.splitlines() if x.startswith(("model name", "flags", "Features"))]
    known = "\n".join(sorted(set(kinds))) or platform.processor()
    return f"{platform.machine()}-{hashlib.sha256(known.encode()).hexdigest()[:8]}"
