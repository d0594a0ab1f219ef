"""Writes the report of a study again from what its folder has; nothing is trained.

    rnnjax report runs/lr_collapse

The folder may be half-finished: the report then says that its results are partial.
"""

import argparse
import importlib
import shlex
from pathlib import Path
from typing import Any

from rnnjax.commands import require
from rnnjax.studies.catalog import Study, find_study
from rnnjax.studies.workdir import read_index

__all__ = ["add_arguments", "execute"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the folder."""
    parser.add_argument("workdir", type=Path, metavar="WORKDIR", help="folder of a study")


def execute(given: argparse.Namespace) -> int:
    """Writes the report; returns the exit code."""
    workdir: Path = given.workdir
    index = read_index(workdir) if workdir.is_dir() else None
    if index is None:
        raise ValueError(f"workdir: expected the folder of a study, with study.json, got {workdir}")
    study = find_study(index["study"])
    require()
    from rnnjax.report import Provenance
    from rnnjax.studies.launch import run_in_parallel_on_cpu

    if "settings" not in index:
        raise ValueError(
            f"workdir: {workdir} is from before settings were kept, so give the study's command "
            f"again, with the flags it had: {_command(study, workdir)}"
        )
    run_in_parallel_on_cpu()
    about = Provenance(
        index.get("command", ""), index["settings"],
        {**index.get("versions", {}), "report": "written again from the results"},
        index.get("seconds"),
    )  # fmt: skip
    print(f"Report: {_module(study).report(workdir, about)}")
    return 0


def _command(study: Study, workdir: Path) -> str:
    return shlex.join(["rnnjax", "run", study.name, f"--workdir={workdir}"])


def _module(study: Study) -> Any:
    """The module of a study; raises `ValueError` for one that has no results of its own."""
    module = importlib.import_module(str(study.run))
    if not hasattr(module, "report"):
        raise ValueError(
            f"study: {study.name} has no results of its own; give its command again, which takes "
            "seconds"
        )
    return module
