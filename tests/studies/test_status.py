"""`rnnjax status --verify` finds a flipped bit in every file of a workdir."""

import hashlib
import shutil

import pytest
import xarray as xr

import tiny
from rnnjax import Engine, run_sweep
from rnnjax.report import Page, Section, write_report
from rnnjax.studies import status
from rnnjax.studies.grids import cached
from rnnjax.studies.measures_file import write_measures
from rnnjax.studies.workdir import claim_workdir


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    """A workdir with a store of two blocks with weights, measures, remembered values, a report."""
    path = tmp_path_factory.mktemp("workdir") / "run"
    claim_workdir(path, "lr_collapse")
    run_sweep(tiny.sweep(), path / "store", engine=Engine(block_runs=2), keep_parameters=True)
    (path / "measures").mkdir()
    write_measures(xr.Dataset({"dsa": ("seed", [1.0, 2.0])}), path / "measures" / "one.nc")
    cached(path / "cost.json", "N=8", {"hidden": 8}, lambda: {"seconds": [0.5]})
    write_report(Page("Title", "Lead", (Section("Heading", "Text"),)), path)
    return path


def run(*arguments):
    with pytest.raises(SystemExit) as ended:
        status.main(["status", *map(str, arguments)])
    return ended.value.code


def test_runs_are_counted(workdir, capsys):
    assert run(workdir) == 0
    assert (
        capsys.readouterr().out
        == f"{workdir / 'store'}: 4 of the 4 runs on its axes are finished\n"
    )
    assert run(workdir / "store", "--verify") == 0


@pytest.mark.slow
def test_a_flipped_bit_in_any_file_is_found(workdir, tmp_path):
    assert list(status.damages(workdir)) == []
    files = [f.relative_to(workdir) for f in workdir.rglob("*") if f.is_file() and f.name != "lock"]
    assert len(files) > 30
    copy = tmp_path / "run"
    shutil.copytree(workdir, copy)
    for name in files:
        content = (workdir / name).read_bytes()
        middle = len(content) // 2
        changed = content[:middle] + bytes([content[middle] ^ 4]) + content[middle + 1 :]
        (copy / name).write_bytes(changed)
        assert any(str(copy) in problem for problem in status.damages(copy)), name
        (copy / name).write_bytes(content)
    assert list(status.damages(copy)) == []


def test_damage_is_printed_and_ends_with_1(workdir, tmp_path, capsys):
    copy = tmp_path / "run"
    shutil.copytree(workdir, copy)
    (copy / "report.html").unlink()
    assert run(copy, "--verify") == 1
    assert f"{copy / 'report.html'} is missing or damaged" in capsys.readouterr().out
    (copy / "store" / "manifest.json").write_text("")
    assert run(copy) == 1
    (copy / "store" / "manifest.json").unlink()
    assert run(copy, "--verify") == 1
    (copy / "store" / "manifest.json").write_text('{"format": 1, "hash": "x", "config": {}}')
    assert run(copy) == 1


def test_a_list_of_digests_is_complete_and_names_only_files_of_the_report(workdir, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(workdir, copy)
    listed = copy / "report.sha256"
    text = listed.read_text()
    listed.write_text("")
    assert len(list(status.damages(copy))) == 2  # both pages
    secret = tmp_path / "secret"
    secret.write_text("mine")
    digest = hashlib.sha256(b"mine").hexdigest()
    for name in (str(secret), "../secret", "store/manifest.json", "figures/../../secret"):
        listed.write_text(f"{text}{digest}  {name}\n")
        (problem,) = status.damages(copy)  # not read, whatever it holds
        assert name in problem


def test_a_folder_without_results_is_an_error(tmp_path, capsys):
    assert run(tmp_path) == 2
    assert str(tmp_path) in capsys.readouterr().err
