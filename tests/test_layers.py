"""The floors of the package: imports run downward, third-party packages stay where they belong, the
core names no study, and functions stay small.

The checks read the source, so that an import inside a function counts too.
"""

import ast
import functools
import re
import subprocess
import sys
from pathlib import Path

import pytest

import rnnjax

ROOT = Path(rnnjax.__file__).parent.parent

FLOORS = {
    "typing": 0, "validate": 0, "units": 0,
    "lanes": 1, "stopping": 1,
    "devices": 2, "spacing": 2, "arrays": 2,
    "contract": 3, "numerics": 3, "jobs": 3, "processes": 3,
    "tasks": 4, "parametrization": 4, "metrics": 4,
    "cells": 5,
    "trajectory": 6,
    "dynamics": 7, "training": 7,
    "store": 8,
    "sweep": 9,
    "population": 10, "loggers": 10,
    "analysis": 11,
    "recordings": 12,
    "plots": 13,
    "report": 14,
    "studies": 15,
    "": 16,  # rnnjax/__init__.py, which imports from every floor; imported by those below it
    "commands": 17,
    "__main__": 18,
}  # fmt: skip

GUESTS = {
    "matplotlib": ("plots", "report", "studies"),
    "jinja2": ("report", "studies"),
    "ml_collections": ("studies",),
    "absl": ("studies",),
    "tensorboardX": ("loggers",),
    "torch": (),
    "pynapple": ("recordings",),
    "h5netcdf": ("recordings",),
    "wandb": ("loggers",),
    "orbax": ("store",),
    "zarr": ("store",),
}
"""Third-party package -> the only parts of the package that may import it."""

SHARED = {
    "papers": 0,
    "compilation": 0,
    "limit": 0,
    "measures_file": 0,
    "results_file": 1,
    "progress": 0,
    "settings": 0,
    "signals": 0,
    "workdir": 0,
    "catalog": 1,
    "console": 1,
    "executors": 1,
    "fits": 1,
    "pages": 1,
    "status": 2,
    "help": 2,
    "launch": 2,
    "costs": 3,
    "grids": 4,
}
"""Files beside the folders of studies, below all of them."""

STUDY = {
    "config": 0,
    "analysis": 1, "cost": 1,  # cost: time and memory of an epoch (latent)
    "figures": 2, "coordinates": 2,  # coordinates: a section with its figure (width_transfer)
    "tables": 2, "findings": 2,  # tables and sentences of a page (collapse)
    "page": 3,
    "study": 4,
}  # fmt: skip
"""Files of a study's folder."""

SEVERAL = {"degeneracy"}
"""Folders of several studies: their files are named after factors, in an order of their own."""

NAMES = (
    "feature_learning", "lr_collapse", "memory_demand", "network_size", "regularization",
    "rescaling", "task_complexity", "width_transfer",
)  # fmt: skip
WORDS = re.compile(
    rf"\b(?:stud(?:y|ies)|papers?|presets?|appendix|appendices|{'|'.join(NAMES)})\b|\bfigs?\.",
    re.IGNORECASE,
)
"""Words that belong to studies."""

LINES, PARAMETERS = 60, 8
"""Longest function, and most parameters of a public function outside classes."""


parsed = functools.cache(ast.parse)


@functools.cache
def modules(root: Path) -> dict[str, str]:
    """Module name -> source, of every file of the package."""
    found = {}
    for file in sorted((root / "rnnjax").rglob("*.py")):
        parts = file.relative_to(root).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file.read_text()
    return found


@functools.cache
def imports(source: str) -> list[tuple[str, str | None]]:
    """What a source imports: modules, and names from modules."""
    found = []
    for node in ast.walk(parsed(source)):
        if isinstance(node, ast.Import):
            found += [(alias.name, None) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports are not read by this test"
            found += [(node.module, alias.name) for alias in node.names]
    return found


def imported(source: str, known: set[str]) -> list[str]:
    """The modules that a source imports; `from package import module` counts as the module."""
    inner = [(module, f"{module}.{name}") for module, name in imports(source)]
    return [whole if whole in known else module for module, whole in inner]


def part(module: str, depth: int = 1) -> str:
    """The part of the package that a module belongs to; empty for a package's own file."""
    return [*module.split("."), "", "", ""][depth]


def runs_downward(module: str, name: str) -> bool:
    """Whether `module` may import `name`, both of the package."""
    here, there = part(module), part(name)
    if here == "studies" == there:
        return study_runs_downward(module, name)
    if here == there or (here == "studies" and there == ""):  # a study uses the package as a user
        return True
    return FLOORS[there] < FLOORS[here]


def study_runs_downward(module: str, name: str) -> bool:
    """The same within studies."""
    here, there = part(module, 2), part(name, 2)
    if there in SHARED:
        return here not in SHARED or SHARED[there] < SHARED[here]
    if here != there:  # another study, or a folder from below
        return False
    return here in SEVERAL or STUDY[part(name, 3)] < STUDY[part(module, 3)]


def violations(sources: dict[str, str]) -> list[str]:
    """Every import that does not run downward, or of a package that does not belong there."""
    found = []
    for module, source in sources.items():
        for name in imported(source, set(sources)):
            top = name.split(".")[0]
            if top == "rnnjax":
                if not runs_downward(module, name):
                    found.append(f"{module} imports {name}")
            elif part(module) not in GUESTS.get(top, (part(module),)):
                found.append(f"{module} imports {name}")
    return found


@functools.cache
def core_files(root: Path) -> dict[str, str]:
    """Path -> text, of every file of the core, templates included."""
    files = (file for file in sorted((root / "rnnjax").rglob("*")) if file.is_file())
    outside = {"studies", "commands", "__pycache__"}
    core = [f for f in files if not outside.intersection(f.parts) and f.suffix != ".npz"]
    return {str(file.relative_to(root)): file.read_text() for file in core}


@functools.cache
def lines_with_words(text: str) -> list[tuple[int, str]]:
    """Numbered lines with a word that belongs to studies."""
    numbered = enumerate(text.splitlines(), 1)
    return [(number, line.strip()) for number, line in numbered if WORDS.search(line)]


def mentions(files: dict[str, str]) -> list[str]:
    """The same of all files."""
    return [
        f"{file}:{number}: {line}"
        for file, text in files.items()
        for number, line in lines_with_words(text)
    ]


def oversized(source: str) -> list[str]:
    """Functions with too many lines, and public ones outside classes with too many parameters."""
    tree, found = parsed(source), []
    outside = {id(node) for node in tree.body}
    for node in ast.walk(tree):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        lines = (node.end_lineno or node.lineno) - node.lineno + 1
        if lines > LINES:
            found.append(f"{node.name}: {lines} lines")
        given = node.args
        count = len(given.posonlyargs + given.args + given.kwonlyargs)
        if id(node) in outside and not node.name.startswith("_") and count > PARAMETERS:
            found.append(f"{node.name}: {count} parameters")
    return found


def test_every_part_has_a_floor():
    assert {part(module) for module in modules(ROOT)} <= set(FLOORS)


def test_every_file_of_a_study_has_a_place():
    for module in modules(ROOT):
        folder, file = part(module, 2), part(module, 3)
        if part(module) == "studies" and file and folder not in SEVERAL:
            assert file in STUDY, module


def test_imports_run_downward():
    assert violations(modules(ROOT)) == []


def test_the_core_names_no_study_and_no_paper():
    assert mentions(core_files(ROOT)) == []


def test_functions_are_small():
    found = {module: oversized(source) for module, source in modules(ROOT).items()}
    assert {module: names for module, names in found.items() if names} == {}


@pytest.mark.parametrize(
    "planted",
    [
        "from rnnjax.sweep import Sweep",
        "def late():\n    import rnnjax.store",
        "from rnnjax import training",
        "from rnnjax import rollout",
        "import rnnjax",
        "from rnnjax.parametrization.base import Leaf",  # sideways: tasks and rules share a floor
        "from rnnjax.studies.papers import COLLAPSE_PAPER",
        "import matplotlib.pyplot as plt",
        "from absl import flags",
    ],
)
def test_the_checker_catches(planted):
    found = violations({**modules(ROOT), "rnnjax.tasks.planted": planted})
    assert len(found) == 1
    assert found[0].startswith("rnnjax.tasks.planted imports")


@pytest.mark.parametrize(
    ("module", "planted"),
    [
        ("latent.config", "from rnnjax.studies.latent import page"),
        ("latent.analysis", "from rnnjax.studies.latent.figures import latent_cost"),
        ("latent.study", "from rnnjax.studies.rescaling.analysis import slowdown"),
        ("degeneracy.tasks", "from rnnjax.studies.latent.config import SETTINGS"),
        ("fits", "from rnnjax.studies.latent.page import latent_page"),
        ("papers", "from rnnjax.studies.grids import cached"),
    ],
)
def test_the_checker_catches_inside_studies(module, planted):
    sources = {**modules(ROOT), f"rnnjax.studies.{module}": planted}
    assert len(violations(sources)) == 1


@pytest.mark.parametrize(
    "planted",
    [
        '"""As in study 1."""',
        "# The Paper gives 0.06.",
        "# see Fig. 3",
        '"""Appendix C"""',
        "preset = 1",
        "import rnnjax.studies.papers",
        'name = "memory_demand"',
    ],
)
def test_a_word_of_a_study_in_the_core_is_found(planted):
    found = mentions({**core_files(ROOT), "rnnjax/tasks/planted.py": planted})
    assert [line for line in found if "planted" in line] == [
        f"rnnjax/tasks/planted.py:1: {planted}"
    ]


def test_words_within_words_are_no_mention():
    plain = "figure = steady + configure  # a studied wallpaper"
    assert mentions({"rnnjax/tasks/planted.py": plain}) == []


def test_an_oversized_function_is_found():
    body = "\n    pass" * LINES
    assert oversized(f"def long():{body}") == [f"long: {LINES + 1} lines"]
    many = ", ".join(f"a{i}" for i in range(PARAMETERS + 1))
    assert oversized(f"def wide({many}): ...") == [f"wide: {PARAMETERS + 1} parameters"]
    assert oversized(f"def _private({many}): ...\nclass A:\n    def method({many}): ...") == []


def test_importing_the_library_changes_no_setting_and_starts_no_backend():
    script = """
import jax
before = dict(jax.config.values)
import rnnjax
from jax._src import xla_bridge
changed = [k for k, v in jax.config.values.items() if k in before and before[k] != v]
assert not changed, changed
assert not xla_bridge.backends_are_initialized()
import sys
heavy = {"matplotlib", "jinja2", "ml_collections", "absl.flags", "rnnjax.studies"}
heavy &= set(sys.modules)
assert heavy <= {"absl.flags"}, heavy
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
