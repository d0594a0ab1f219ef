"""Where the jobs of a study run: in this process, in others of this machine, or on a cluster."""

import contextlib
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rnnjax.validate import positive_integer

__all__ = ["check_executor", "open_executor"]

_FORMS = "local:N, with N processes on this machine, or dask:FILE, the scheduler file of Dask"


def check_executor(text: str | None) -> None:
    """Raises `ValueError` for a text that names no executor, or one that is not installed."""
    if text is None:
        return
    kind, _, value = text.partition(":")
    if kind not in ("local", "dask") or not value:
        raise ValueError(f"executor: expected {_FORMS}, got {text!r}")
    if kind == "local":
        if not (value.isascii() and value.isdigit()):
            raise ValueError(f"executor: expected local:N with a number N, got {text!r}")
        positive_integer("executor", int(value))
        from rnnjax.devices import available_cores  # imports JAX

        cores = available_cores()
        if int(value) > cores:
            most = f"local:{cores}, one process per core"
            raise ValueError(f"executor: expected at most {most}, got {text!r}")
    elif importlib.util.find_spec("distributed") is None:
        raise ValueError(
            "executor: dask.distributed is not installed; to install it: pip install "
            "'rnnjax[cluster]'"
        )
    elif not Path(value).is_file():
        raise ValueError(
            "executor: expected the file that `dask scheduler --scheduler-file FILE` writes, got "
            f"{value}, which does not exist"
        )


@contextlib.contextmanager
def open_executor(text: str | None) -> Iterator[Any]:
    """The executor that `--executor` names, while the context lasts; None for None.

    Raises `ValueError` as `check_executor`, and for a Dask scheduler that does not answer.
    """
    check_executor(text)
    kind, _, value = (text or "").partition(":")
    if kind == "local":
        from rnnjax.processes import LocalExecutor

        with LocalExecutor(int(value)) as executor:
            yield executor
    elif kind == "dask":
        with _client(value) as client:
            if not client.scheduler_info()["workers"]:
                print(f"Waiting for a worker of the Dask scheduler in {value}", file=sys.stderr)
                client.wait_for_workers(1)
            yield client
    else:
        yield None


def _client(file: str) -> Any:
    import distributed

    try:
        return distributed.Client(scheduler_file=file, timeout="10s", set_as_default=False)
    except (OSError, ValueError) as error:
        raise ValueError(
            f"executor: the Dask scheduler of {file} does not answer ({error}); start it again"
        ) from None
