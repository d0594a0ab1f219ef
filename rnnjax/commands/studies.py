"""Lists the studies: the question of each, and how long it takes.

Times are those of the default preset on 2 cores; rnnjax run STUDY --help lists the other presets.
"""

import argparse

from rnnjax.studies.catalog import STUDIES

__all__ = ["add_arguments", "execute"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds nothing."""


def execute(given: argparse.Namespace) -> int:
    """Prints one line per study; returns the exit code."""
    shared = False
    for name, study in STUDIES.items():
        preset = study.settings.presets["laptop"]
        shared |= preset.shared
        time = preset.time + (" *" if preset.shared else "")
        print(f"{name:<18}{time:<10}{study.asks}")
    print("\nTimes on 2 cores" + ("; * while other jobs ran on the machine" if shared else ""))
    print("rnnjax run STUDY --help: presets and settings; rnnjax run STUDY: runs it")
    return 0
