"""Studies run as users run them, but in this process."""

import importlib
import importlib.util
from pathlib import Path

from rnnjax.studies import launch

EXPERIMENTS = Path(__file__).parent.parent.parent / "experiments"


def _loaded(file):
    spec = importlib.util.spec_from_file_location(f"_{file.parent.name}_{file.stem}", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def script(name):
    """The script of a study."""
    return _loaded(EXPERIMENTS / f"{name}.py")


def study(name):
    """The module of the study that a script runs."""
    return importlib.import_module(script(name).STUDY.run)


def settings(name, preset):
    return _loaded(EXPERIMENTS / "configs" / f"{name}.py").get_config(preset)


def call(name, *flags):
    """Runs a script's main in this process; returns its exit code."""
    file = EXPERIMENTS / f"{name}.py"
    try:
        launch.main(script(name).STUDY, [str(file), *flags])
    except SystemExit as end:
        return end.code
    return 0


def refused(name, flags, workdir, capsys):
    """The one-line error of a call with bad flags, which creates no workdir."""
    assert call(name, *flags, f"--workdir={workdir}") == launch.FAILED
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert len(error.strip().splitlines()) == 1
    assert not workdir.exists()
    return error
