"""What is slow to import is imported only when it is used."""

import subprocess
import sys
from pathlib import Path

import pytest

import rnnjax

ROOT = Path(__file__).parent.parent

HEAVY = (
    "dask", "distributed", "equinox", "flax", "matplotlib", "optimistix", "orbax", "scipy.linalg",
    "scipy.optimize", "scipy.stats", "sklearn", "zarr",
)  # fmt: skip
"""Packages that few uses need."""

IN_USE = """
import sys
import rnnjax
assert "jax" not in sys.modules
rnnjax.train_population, rnnjax.run_sweep, rnnjax.rollout, rnnjax.analysis, rnnjax.metrics
"""

HELP = """
import sys
from rnnjax.commands import main

def code(*arguments):
    try:
        return main([*arguments])
    except SystemExit as end:
        return end.code

def imported(names):
    return {*names} & {*sys.modules}

for name in studies:
    assert code("run", name, "--help") == 0, name
    assert not imported(["absl", "ml_collections", *slow]), name
for name in studies:
    assert code("run", name, "--config.seedz=2") == 2, name
    assert not imported(slow), name
"""


def loaded(script: str) -> set[str]:
    """The modules that a script in a process of its own has imported at its end."""
    report = "\nprint('\\n' + ' '.join(sys.modules))"
    ended = subprocess.run(
        [sys.executable, "-c", script + report], cwd=ROOT, capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stderr
    return set(ended.stdout.splitlines()[-1].split())


@pytest.mark.slow
def test_the_library_loads_no_heavy_package():
    modules = loaded(IN_USE)
    assert {"jax", "rnnjax.sweep", "rnnjax.analysis"} < modules
    assert not modules.intersection(HEAVY)


def test_help_and_typos_do_not_wait_for_jax():
    studies = sorted(file.stem for file in (ROOT / "experiments").glob("*.py"))
    assert len(studies) > 10
    slow = ("jax", "numpy.linalg.linalg", "xarray", *HEAVY)
    modules = loaded(f"studies, slow = {studies!r}, {slow!r}\n{HELP}")
    assert "ml_collections" in modules
    assert not modules.intersection(slow)


def test_every_public_name_is_found_and_listed():
    assert set(rnnjax.__all__) <= set(dir(rnnjax))
    for name in rnnjax.__all__:
        assert getattr(rnnjax, name) is not None
    assert callable(rnnjax.plots.trial)
    assert rnnjax.rollout.__module__ == "rnnjax.trajectory"
    with pytest.raises(AttributeError, match="'rnnjax' has no attribute 'rolout'"):
        rnnjax.rolout  # noqa: B018
