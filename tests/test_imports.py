"""What is slow to import is imported only when it is used."""

import subprocess
import sys
from pathlib import Path

import pytest

import rnnjax

ROOT = Path(__file__).parent.parent

HEAVY = (
    "equinox", "flax", "matplotlib", "optimistix", "orbax", "scipy.linalg", "scipy.optimize",
    "scipy.stats", "sklearn", "zarr",
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
assert main(["run", "{name}", "--help"]) == 0
assert not {{"absl", "ml_collections"}} & set(sys.modules)
try:
    main(["run", "{name}", "--config.seedz=2"])
except SystemExit as end:
    assert end.code == 2
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


@pytest.mark.parametrize("name", sorted(file.stem for file in (ROOT / "experiments").glob("*.py")))
def test_help_and_typos_do_not_wait_for_jax(name):
    modules = loaded(HELP.format(name=name))
    assert "ml_collections" in modules
    assert not modules.intersection({"jax", "numpy.linalg.linalg", "xarray", *HEAVY})


def test_every_public_name_is_found_and_listed():
    assert set(rnnjax.__all__) <= set(dir(rnnjax))
    for name in rnnjax.__all__:
        assert getattr(rnnjax, name) is not None
    assert callable(rnnjax.plots.trial)
    assert rnnjax.rollout.__module__ == "rnnjax.trajectory"
    with pytest.raises(AttributeError, match="'rnnjax' has no attribute 'rolout'"):
        rnnjax.rolout  # noqa: B018
