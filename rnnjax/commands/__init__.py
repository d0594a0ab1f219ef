"""The command `rnnjax`: one module per subcommand, imported when it is given.

A module's docstring is its help. It defines `add_arguments(parser)` and `execute(given)`, which
returns the exit code.
"""

import argparse
import ast
import importlib
import importlib.util
import os
import pkgutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import rnnjax
from rnnjax.studies.catalog import STUDIES
from rnnjax.studies.console import print_error
from rnnjax.validate import one_of

__all__ = ["STUDY_PACKAGES", "main", "require"]

STUDY_PACKAGES = ("absl", "jinja2", "matplotlib", "ml_collections", "platformdirs")
"""Packages of the extra `experiments`, by the names under which they are imported."""

_ORDER = ("studies", "run", "status", "report", "compare")

_INTERRUPTED = 130
_CLOSED = 141


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are `ValueError`s."""

    def error(self, message: str) -> NoReturn:
        """Raises the error in the form of all others."""
        _, found, missing = message.partition("the following arguments are required: ")
        raise ValueError(f"{missing}: expected a value, got none" if found else message)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns the exit code: 0, 1 for damage, 2 for wrong arguments."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        return _execute(given)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in STUDY_PACKAGES:
            raise
        return print_error(_missing([str(error.name)]))
    except BrokenPipeError:  # the reader of a pipe, such as head, has ended
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _CLOSED
    except (ValueError, OSError) as error:
        return print_error(error)
    except KeyboardInterrupt:
        print(file=sys.stderr)
        return _INTERRUPTED


def _execute(given: list[str]) -> int:
    commands = _commands()
    if not given or given[0] in ("-h", "--help", "help"):
        print(_help(commands))
        return 0
    if given[0] == "--version":
        print(rnnjax.__version__)
        return 0
    name, *rest = given
    if name.startswith("-"):
        one_of("flag", name, ("--help", "--version"))
    if name in STUDIES:
        raise ValueError(f"command: expected a command first, as in rnnjax run {name}")
    one_of("command", name, commands)
    module = importlib.import_module(f"rnnjax.commands.{name}")
    parser = _Parser(
        f"rnnjax {name}", description=module.__doc__, allow_abbrev=False,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    module.add_arguments(parser)
    takes_all = any(action.nargs == argparse.REMAINDER for action in parser._actions)
    in_order = takes_all or "--" in rest  # which intermixed parsing loses
    parse = parser.parse_known_args if in_order else parser.parse_known_intermixed_args
    known, unknown = parse(rest)
    if hasattr(known, "flags"):  # of a study, given before its name
        known.flags = [*unknown, *known.flags]
    elif unknown:
        flags = [flag for action in parser._actions for flag in action.option_strings]
        if unknown[0].startswith("-"):
            one_of("flag", unknown[0].partition("=")[0], flags)
        raise ValueError(f"{name}: expected nothing more, got {' '.join(unknown)!r}")
    return module.execute(known)


def _commands() -> list[str]:
    """The subcommands that this installation has."""
    found = [module.name for module in pkgutil.iter_modules(__path__)]
    return sorted(found, key=lambda name: (_ORDER.index(name) if name in _ORDER else 99, name))


def _help(commands: Sequence[str]) -> str:
    lines = [f"  rnnjax {name:<10}{_summary(name)}" for name in commands]
    return "\n".join(
        [
            f"rnnjax {rnnjax.__version__}: populations of recurrent networks, trained and compared",
            "",
            *lines,
            "",
            "rnnjax COMMAND --help: more about one of them; rnnjax --version: the version",
        ]
    )


def _summary(name: str) -> str:
    """The first line of a module's docstring; the module is not imported."""
    source = (Path(__file__).parent / f"{name}.py").read_text(encoding="utf-8")
    return (ast.get_docstring(ast.parse(source)) or "").partition("\n")[0].rstrip(".")


def require(packages: Sequence[str] = STUDY_PACKAGES) -> None:
    """Raises a `ValueError` that says how to install those of `packages` that are missing."""
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if missing:
        raise _missing(missing)


def _missing(packages: Sequence[str]) -> ValueError:
    are = "is" if len(packages) == 1 else "are"
    return ValueError(
        f"{', '.join(packages)} {are} not installed; to install what studies and reports need: "
        "pip install 'rnnjax[experiments]'"
    )
