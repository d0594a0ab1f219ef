"""Studies run as users run them, but in this process."""

import importlib
from pathlib import Path

from rnnjax import commands
from rnnjax.studies.catalog import STUDIES
from rnnjax.studies.console import FAILED

EXPERIMENTS = Path(__file__).parent.parent.parent / "experiments"


def study(name):
    """The module of a study."""
    return importlib.import_module(STUDIES[name].run)


def settings(name, preset):
    return STUDIES[name].settings.config(preset)


def rnnjax(*arguments):
    """Runs the command `rnnjax` in this process; returns its exit code."""
    try:
        return commands.main([str(argument) for argument in arguments])
    except SystemExit as end:
        return end.code


def call(name, *flags):
    """Runs a study as `rnnjax run` does; returns the exit code."""
    return rnnjax("run", name, *flags)


def reports_again(workdir):
    """Whether `rnnjax report` writes the same results again, from the folder alone."""
    page = workdir / "report.md"
    before = page.read_text().partition("## How this page was made")[0]
    page.unlink()
    return rnnjax("report", workdir) == 0 and page.read_text().startswith(before)


def refused(name, flags, workdir, capsys):
    """The one-line error of a call with bad flags, which creates no workdir."""
    assert call(name, *flags, f"--workdir={workdir}") == FAILED
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert len(error.strip().splitlines()) == 1
    assert not workdir.exists()
    return error
