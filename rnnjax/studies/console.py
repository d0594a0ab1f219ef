"""How a command ends: the line that was typed, to be given again, and errors in one line."""

import contextlib
import logging
import os
import shlex
import shutil
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from rnnjax.jobs import JobError
from rnnjax.studies.signals import Stopped, stop_on_signals

__all__ = ["FAILED", "LONGEST", "command_line", "orderly_end", "print_error", "typed_line"]

FAILED = 2
"""Exit code of a command that was given something wrong."""

LONGEST = 20_000
"""Most characters of an error; one may list the files of all blocks."""

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
def orderly_end(study: str, flags: Sequence[str]) -> Iterator[None]:
    """Ends the process in order after a signal, or with one line after a wrong input.

    The last line after a signal is the command that resumes the study.
    """
    try:
        with stop_on_signals():
            yield
    except KeyboardInterrupt as stop:
        # Zarr abandons the write in progress; asyncio would report that after our last line.
        logging.getLogger("asyncio").setLevel(logging.CRITICAL)
        stopped = stop if isinstance(stop, Stopped) else Stopped(signal.SIGINT)
        reason = "Interrupted" if stopped.name == "SIGINT" else f"Stopped by {stopped.name}"
        print(
            f"\n{reason}. Finished results are kept; to continue, give the same command again:"
            f"\n  {typed_line(study, flags)}",
            file=sys.stderr,
        )
        sys.exit(128 + stopped.number)
    except (ValueError, OSError, JobError) as error:
        sys.exit(print_error(error))


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
