"""What every study's script shares: flags, devices, and how errors and Ctrl-C end.

A script declares its `Study` and calls `main`; the work is in the study's `run`, which notebooks
and tests call directly.
"""

import contextlib
import logging
import os
import shlex
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, NoReturn, TypeAlias

from absl import flags
from ml_collections import config_flags

from rnnjax.devices import available_cores

__all__ = ["Config", "Study", "checked_workdir", "main", "run_in_parallel_on_cpu"]

Config: TypeAlias = Any
"""An `ml_collections.ConfigDict`; what its fields are only its file tells."""

FAILED, INTERRUPTED = 2, 130


class Study(NamedTuple):
    """One script under experiments/."""

    name: str
    config_file: Path
    run: Callable[..., object]
    """Called as `run(config, workdir, dry_run=..., command=...)`."""


def main(study: Study, arguments: Sequence[str] | None = None) -> None:
    """Parses the command line and runs the study; exits non-zero with one line on bad input."""
    arguments = list(sys.argv if arguments is None else arguments)
    try:
        config, workdir, dry_run = _parse(study, arguments)
        run_in_parallel_on_cpu()
        warnings.showwarning = _warn_in_one_line
        study.run(config, workdir, dry_run=dry_run, command=command_line(arguments))
    except KeyboardInterrupt:
        # What zarr was writing is given up, which asyncio would report after our last line.
        logging.getLogger("asyncio").setLevel(logging.CRITICAL)
        print(
            "\nInterrupted. What was finished is kept; to go on, give the same command again:"
            f"\n  {command_line(arguments)}",
            file=sys.stderr,
        )
        sys.exit(INTERRUPTED)
    except (ValueError, OSError) as error:
        if os.environ.get("RNNJAX_TRACEBACK"):
            raise
        _fail(error)


def _parse(study: Study, arguments: list[str]) -> tuple[Config, Path, bool]:
    arguments = _with_preset(arguments, study.config_file)
    values = flags.FlagValues()
    default = Path("runs") / study.name
    flags.DEFINE_string(
        "workdir", str(default), "Folder of results and report.", flag_values=values
    )
    flags.DEFINE_bool(
        "dry_run", False, "Say what would be computed, and what it would cost.", flag_values=values
    )
    flags.DEFINE_bool("help", False, "Show this help.", short_name="h", flag_values=values)
    try:
        config_flags.DEFINE_config_file(
            "config", str(study.config_file), "A preset, or a config file with :preset.",
            flag_values=values, lock_config=True, sys_argv=arguments,
        )  # fmt: skip
        rest = values(arguments)
        given = values.flag_values_dict()
        given["config"].to_dict()  # a file that failed to load says so only when used
    except (flags.Error, AttributeError, KeyError, TypeError, ValueError, OSError) as error:
        _fail(error)
    if given["help"]:
        print(f"python experiments/{study.name}.py [flags]\n\n{values.get_help()}")
        print(f"Presets and fields of --config are in {study.config_file}.")
        sys.exit(0)
    if len(rest) > 1:
        _fail(ValueError(f"expected flags only, got {' '.join(rest[1:])!r}"))
    return given["config"], Path(given["workdir"]), given["dry_run"]


def _with_preset(arguments: list[str], config_file: Path) -> list[str]:
    """`--config=smoke` and `--config smoke` become `--config=FILE:smoke`."""
    full = list(arguments)
    for i, argument in enumerate(full):
        name, equals, value = argument.partition("=")
        if name not in ("--config", "-config"):
            continue
        if not equals and i + 1 < len(full):
            value = full[i + 1]
        if value and ".py" not in value and os.sep not in value:
            replacement = f"{config_file}:{value}"
            if equals:
                full[i] = f"--config={replacement}"
            else:
                full[i + 1] = replacement
    return full


def _fail(error: BaseException) -> NoReturn:
    # A config file's own error comes wrapped in its traceback; the last line is what it said.
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    wrapped = any(line.startswith("Traceback") for line in lines)
    text = lines[-1].partition("Error: ")[2] if wrapped else " ".join(lines)
    if isinstance(error, AttributeError):  # an unknown field of the config, quoted twice over
        text = "config: unknown field " + text.strip("'\"").replace("\\'", "'").replace("\\n", ". ")
    text = text or type(error).__name__
    print(f"error: {text}", file=sys.stderr)
    sys.exit(FAILED)


def _warn_in_one_line(message, category, filename, lineno, file=None, line=None) -> None:
    print(f"warning: {message}", file=sys.stderr)


def run_in_parallel_on_cpu() -> None:
    """Gives JAX one CPU device per core; must come before JAX is first used."""
    import jax

    with contextlib.suppress(RuntimeError):  # JAX is in use already, on the devices it has
        jax.config.update("jax_num_cpu_devices", available_cores())


def command_line(arguments: Sequence[str]) -> str:
    """The command that was given, as it can be given again."""
    return shlex.join(["python", *arguments])


def checked_workdir(workdir: Path) -> Path:
    """`workdir`, if it is new, empty, or a study's own; raises `ValueError` otherwise.

    Nothing is made yet: a refused run leaves no trace.
    """
    if workdir.exists() and not workdir.is_dir():
        raise ValueError(f"workdir: expected a folder, got the file {workdir}")
    if workdir.is_dir() and any(workdir.iterdir()) and not (workdir / "store").is_dir():
        raise ValueError(
            f"workdir: expected a new or empty folder, or an earlier run, got {workdir}"
        )
    return workdir
