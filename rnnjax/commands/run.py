"""Runs a study: trains what its folder lacks, and writes the report.

    rnnjax run lr_collapse                    four minutes on 2 cores
    rnnjax run lr_collapse --config=smoke     seconds; checks the installation
    rnnjax run lr_collapse --dry_run          what would be trained, and what it would cost
    rnnjax run lr_collapse --time_limit=55m   stops in order after 55 minutes, with exit code 75
    rnnjax run lr_collapse --help             its presets, and all settings with their defaults

Results and report go to runs/STUDY, or to --workdir=FOLDER. Ctrl-C stops a run at any time; the
same command resumes it.
"""

import argparse
import itertools
from collections.abc import Sequence

from rnnjax.commands import require
from rnnjax.studies.catalog import STUDIES, find_study
from rnnjax.studies.console import orderly_end
from rnnjax.studies.help import study_help
from rnnjax.studies.limit import time_limit_of

__all__ = ["add_arguments", "execute"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the study and its flags."""
    names = "\n".join(f"  {name:<18}{study.asks}" for name, study in STUDIES.items())
    parser.epilog = f"studies:\n{names}"
    parser.add_argument("study", metavar="STUDY", nargs="?", help="one of those below")
    parser.add_argument(
        "flags", metavar="FLAG", nargs=argparse.REMAINDER,
        help="flags of the study, such as --config=smoke; rnnjax run STUDY --help lists them",
    )  # fmt: skip


def execute(given: argparse.Namespace) -> int:
    """Runs the study or prints its help; returns the exit code."""
    if given.study is None:
        raise ValueError(f"study: expected one of {', '.join(STUDIES)}, got none")
    study = find_study(given.study)
    if {"-h", "--help"} & set(given.flags):
        print(study_help(study, _preset(given.flags)))
        return 0
    require()
    with orderly_end(study.name, given.flags, time_limit_of(given.flags)):
        from rnnjax.studies.launch import start

        start(study, given.flags)
    return 0


def _preset(flags: Sequence[str]) -> str | None:
    """The preset of `--config=PRESET` or `--config PRESET`; None for a config file or without."""
    named = [""]
    for flag, following in itertools.zip_longest(flags, flags[1:], fillvalue=""):
        name, equals, value = flag.partition("=")
        if name in ("--config", "-config"):
            named.append(value if equals else following)
    return named[-1] if named[-1].isidentifier() else None
