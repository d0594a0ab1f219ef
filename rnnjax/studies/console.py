"""How a command ends: the line that was typed, to be given again, and errors in one line."""

import atexit
import contextlib
import gc
import logging
import os
import shlex
import shutil
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from rnnjax import stopping
from rnnjax.jobs import JobError
from rnnjax.stopping import OutOfTime
from rnnjax.studies.signals import Stopped, end_on_signals, stop_on_signals

__all__ = [
    "FAILED",
    "LONGEST",
    "OUT_OF_TIME",
    "command_line",
    "orderly_end",
    "print_error",
    "typed_line",
]

FAILED = 2
"""Exit code of a command that was given something wrong."""

OUT_OF_TIME = 75
"""Exit code at the time limit (`EX_TEMPFAIL`: the same command goes on)."""

LONGEST = 20_000
"""Most characters of an error; one may list the files of all blocks."""

_LATE = 8.0
"""Seconds after the time limit at which a process that still compiles is ended."""

_SAVING = 30.0
"""Seconds that it has to finish a save that is under way."""

_OWN = ("rnnjax", "rnnjax.exe", "__main__.py")
"""File names of the command `rnnjax`."""


def command_line(study: str, flags: Sequence[str]) -> str:
    """The command as a report lists it, which works on other machines too."""
    return shlex.join([*_start(study), *flags])


def _start(study: str) -> list[str]:
    script = Path(sys.argv[0])
    is_script = script.stem == study and script.suffix == ".py"
    return ["python", sys.argv[0]] if is_script else ["rnnjax", "run", study]


def typed_line(study: str, flags: Sequence[str]) -> str:
    """The command as it was typed, quoted: pasted into the same shell, it runs again."""
    if len(sys.orig_argv) < len(sys.argv):
        return command_line(study, flags)
    before = sys.orig_argv[: len(sys.orig_argv) - len(sys.argv) + 1]  # interpreter .. script
    if Path(sys.argv[0]).name in _OWN:
        if before[-1] == sys.argv[0]:  # a console script, started by the interpreter in its head
            before = [_shortened(before[-1])]
        return shlex.join([*before, *sys.argv[1:]])
    if _start(study)[0] == "python":
        return shlex.join([*before, *flags])
    return command_line(study, flags)


def _shortened(program: str) -> str:
    """A program as one would type it: by its name where the shell finds it, or a relative path."""
    path, found = Path(program), shutil.which(Path(program).name)
    if found and os.path.realpath(found) == os.path.realpath(path):
        return path.name
    relative = os.path.relpath(path)
    return program if relative.startswith("..") else os.path.join(".", relative)


@contextlib.contextmanager
def orderly_end(study: str, flags: Sequence[str], limit: float | None = None) -> Iterator[None]:
    """Ends the process in order after a signal or `limit` seconds, or with one line after a wrong
    input.

    The last line after a signal or the limit is the command that resumes the study.
    """
    lines = threading.Lock()
    late = None
    if limit is not None:
        late = threading.Timer(limit + _LATE, _end_late, [study, flags, lines])
        late.daemon = True
        late.start()
    try:
        with _limited(limit), stop_on_signals(limit):
            yield
        atexit.register(end_on_signals)  # runs before what JAX has registered
    except KeyboardInterrupt as stop:
        # Writes in progress are abandoned; asyncio and orbax would report that after our last line.
        for name in ("asyncio", "absl"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        gc.freeze()  # the interpreter can crash where it collects them at its end
        sys.exit(_print_stop(stop, study, flags, lines))
    except (ValueError, OSError, JobError) as error:
        if isinstance(error, BrokenPipeError) and _output_is_closed():
            raise  # the command line answers that
        sys.exit(print_error(error))
    finally:
        stopping.withdraw()
        if late is not None:
            late.cancel()


def _output_is_closed() -> bool:
    """Whether the reader of the output, such as `head`, has gone."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        return True
    return False


def _limited(seconds: float | None) -> contextlib.AbstractContextManager:
    """The context in which training stops before the limit, where there is one."""
    return contextlib.nullcontext() if seconds is None else stopping.time_limit(seconds)


def _print_stop(
    stop: KeyboardInterrupt, study: str, flags: Sequence[str], lines: threading.Lock
) -> int:
    """Prints, once, why the process ends, what is left and how to go on; returns the exit code."""
    if isinstance(stop, OutOfTime):
        reason, code = "Stopped at the time limit", OUT_OF_TIME
    else:
        stopped = stop if isinstance(stop, Stopped) else Stopped(signal.SIGINT)
        reason = "Interrupted" if stopped.name == "SIGINT" else f"Stopped by {stopped.name}"
        code = 128 + stopped.number
    left = [(count, things) for things, count in stopping.left().items() if count]
    if left:
        count, things = left[0]
        reason += f", {count} {things[:-1] if count == 1 else things} left"
    if lines.acquire(blocking=False):
        print(
            f"\n{reason}. Finished results are kept; to continue, give the same command again:"
            f"\n  {typed_line(study, flags)}",
            file=sys.stderr,
            flush=True,
        )
    return code


def _end_late(study: str, flags: Sequence[str], lines: threading.Lock) -> None:
    """Ends the process where it does not stop: all that a killed process keeps is kept."""
    code = _print_stop(OutOfTime(), study, flags, lines)
    until = time.monotonic() + _SAVING
    while stopping.saves() and time.monotonic() < until:
        time.sleep(0.1)
    os._exit(code)


def print_error(error: BaseException) -> int:
    """Prints an error in one line; returns the exit code.

    With `RNNJAX_TRACEBACK` in the environment the error is raised instead.
    """
    if os.environ.get("RNNJAX_TRACEBACK"):
        raise error
    text = " ".join(str(error).splitlines()) or type(error).__name__
    if isinstance(error, OSError) and error.filename and error.strerror:
        text = f"{error.filename}: {error.strerror}"
    if len(text) > LONGEST:
        text = f"{text[:LONGEST]}..."
    print(f"error: {text}", file=sys.stderr)
    return FAILED
