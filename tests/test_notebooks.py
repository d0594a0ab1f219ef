"""The notebooks run from top to bottom, to outputs like those committed, which the site shows."""

from pathlib import Path

import nbclient
import nbformat
import pytest

import rnnjax

NOTEBOOKS = sorted((Path(__file__).parent.parent / "notebooks").glob("*.ipynb"))


def kinds(notebook):
    """The kinds of outputs of every code cell; progress, on stderr, is not kept."""
    return [
        [sorted(output.get("data", {"stdout": ""})) for output in cell.outputs
         if output.get("name") != "stderr"]
        for cell in notebook.cells if cell.cell_type == "code"
    ]  # fmt: skip


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the Jupyter machinery
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_notebook_runs(path, tmp_path):
    notebook = nbformat.read(path, as_version=4)
    committed = kinds(notebook)
    resources = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(notebook, timeout=300, resources=resources).execute()
    assert kinds(notebook) == committed


def test_committed_outputs_are_of_this_version():
    (quickstart,) = (path for path in NOTEBOOKS if path.stem == "quickstart")
    assert f"('{rnnjax.__version__}', [" in quickstart.read_text(encoding="utf-8")
