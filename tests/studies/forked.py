"""Processes that begin in a moment: forked from one that has imported what takes long.

That one has computed nothing yet, and started no backend of JAX. A forked process ends as the
interpreter does, with the cleanups of packages.
"""

import atexit
import contextlib
import multiprocessing
import os
import signal
import threading
import time

__all__ = ["ended", "start", "wait_for"]

_IMPORTED = (
    "jax", "rnnjax.population", "rnnjax.sweep", "rnnjax.studies.console", "rnnjax.studies.limit",
    "orbax.checkpoint", "pytest",
)  # fmt: skip
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(list(_IMPORTED))
_SIGNALS = ("SIGHUP", "SIGTERM", "SIGUSR1", "SIGALRM")


@contextlib.contextmanager
def start(text, output=None, **names):
    """Executes a script in which `names` are defined; kills it at the end of the context.

    With `output`, a path, what it prints is written to the files `output.out` and `output.err`.
    """
    process = _CONTEXT.Process(target=_execute, args=(text, output and str(output), names))
    process.start()
    try:
        yield process
    finally:
        process.kill()
        process.join()


def _execute(text, output, names):
    signal.signal(signal.SIGINT, signal.default_int_handler)  # as in a terminal
    for name in _SIGNALS:
        signal.signal(getattr(signal, name), signal.SIG_DFL)
    for number, ending in enumerate(("out", "err") if output else (), start=1):
        os.dup2(os.open(f"{output}.{ending}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    try:
        exec(text, names)
    finally:
        threading._shutdown()
        atexit._run_exitfuncs()


def ended(process, seconds=120):
    """The exit code of a process that ends by itself."""
    process.join(timeout=seconds)
    assert process.exitcode is not None
    return process.exitcode


def wait_for(condition, process, seconds=60):
    """Waits until something is the case, before the process ends."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert process.exitcode is None
        assert time.monotonic() < deadline
        time.sleep(0.001)
