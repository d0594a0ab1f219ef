"""Imports run strictly downward through the floors of DESIGN, and heavy guests stay in their rooms.

The checker reads the source, so that an import inside a function counts too.
"""

import ast
from pathlib import Path

import pytest

import rnnjax

ROOT = Path(rnnjax.__file__).parent.parent

FLOORS = {
    "typing": 0, "validate": 0,
    "numerics": 1,
    "tasks": 2, "parametrization": 2, "metrics": 2,
    "cells": 3,
    "rollout": 4,
    "dynamics": 5, "training": 5,
    "store": 6,
    "sweep": 7,
    "population": 8,
    "analysis": 9, "plots": 9.5,  # figures are drawn of what the analyses return
    "report": 10,
    "": 11,  # the face, rnnjax/__init__.py: it may show everything, and no room may look at it
}  # fmt: skip

GUESTS = {
    "matplotlib": ("plots", "report"),
    "jinja2": ("report",),
    "ml_collections": (),
    "absl": (),
    "torch": (),
    "orbax": ("store",),
    "zarr": ("store",),
}
"""Package -> the only rooms that may know it."""


def modules(root: Path) -> dict[str, str]:
    """Module name -> source, of every file of the package."""
    found = {}
    for file in sorted((root / "rnnjax").rglob("*.py")):
        parts = file.relative_to(root).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file.read_text()
    return found


def imported(source: str, known: set[str]) -> list[str]:
    """The modules that a source imports; `from package import module` counts as the module."""
    names = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports are not read by this test"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                names.append(inner if inner in known else node.module)
    return names


def room(module: str) -> str:
    return [*module.split("."), ""][1]


def violations(sources: dict[str, str]) -> list[str]:
    """Every import that does not run downward, or names a guest that has no business there."""
    found = []
    for module, source in sources.items():
        for name in imported(source, set(sources)):
            top = name.split(".")[0]
            if top == "rnnjax":
                here, there = room(module), room(name)
                if here != there and not FLOORS[there] < FLOORS[here]:
                    found.append(f"{module} (floor {FLOORS[here]}) imports {name}")
            elif room(module) not in GUESTS.get(top, (room(module),)):
                found.append(f"{module} imports {name}")
    return found


def test_every_room_has_a_floor():
    assert {room(module) for module in modules(ROOT)} <= set(FLOORS)


def test_imports_run_downward():
    assert violations(modules(ROOT)) == []


@pytest.mark.parametrize(
    "planted",
    [
        "from rnnjax.sweep import Sweep",
        "def late():\n    import rnnjax.store",
        "from rnnjax import training",
        "from rnnjax import rollout",
        "import rnnjax",
        "from rnnjax.parametrization.base import Leaf",  # sideways: tasks and rules share a floor
        "import matplotlib.pyplot as plt",
        "from absl import flags",
    ],
)
def test_the_checker_catches(planted):
    sources = modules(ROOT)
    sources["rnnjax.tasks.planted"] = planted
    assert len(violations(sources)) == 1


def test_importing_the_library_changes_no_setting_and_starts_no_backend():
    import subprocess
    import sys

    script = """
import jax
before = dict(jax.config.values)
import rnnjax
from jax._src import xla_bridge
changed = [k for k, v in jax.config.values.items() if k in before and before[k] != v]
assert not changed, changed
assert not xla_bridge.backends_are_initialized()
import sys
heavy = {"matplotlib", "jinja2", "ml_collections", "absl.flags"} & set(sys.modules)
assert heavy <= {"absl.flags"}, heavy
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
