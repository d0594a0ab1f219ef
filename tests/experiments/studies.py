"""Studies called as their users call them, in this process."""

import importlib
from pathlib import Path

import launch


def script(name):
    return importlib.import_module(name)


def settings(name, preset):
    return importlib.import_module(f"configs.{name}").get_config(preset)


def call(name, *flags):
    """Runs a script's main in this process; returns its exit code."""
    file = Path(script(name).__file__)
    study = launch.Study(name, file.parent / f"configs/{name}.py", script(name).run)
    try:
        launch.main(study, [str(file), *flags])
    except SystemExit as end:
        return end.code
    return 0


def refused(name, flags, workdir, capsys):
    """The one line with which bad flags end; nothing was made."""
    assert call(name, *flags, f"--workdir={workdir}") == launch.FAILED
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert len(error.strip().splitlines()) == 1
    assert not workdir.exists()
    return error
