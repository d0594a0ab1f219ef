"""`damages` finds a flipped bit in every file of a workdir."""

import hashlib
import os
import shutil

import numpy as np
import pytest
import xarray as xr

import commands
import tiny
from rnnjax import Engine, load_results, run_sweep
from rnnjax.report import Page, Section, write_report
from rnnjax.store import read_json
from rnnjax.studies import status
from rnnjax.studies.grids import cached
from rnnjax.studies.measures_file import write_measures
from rnnjax.studies.results_file import read_results, write_results
from rnnjax.studies.workdir import claim_workdir


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    """A workdir with a store of one block with weights, measures, cached values, a report."""
    path = tmp_path_factory.mktemp("workdir") / "run"
    claim_workdir(path, "lr_collapse")
    engine = Engine(block_runs=4)
    run_sweep(tiny.sweep("delayed_match"), path / "store", engine=engine, keep_parameters=True)
    (path / "measures").mkdir()
    write_measures(xr.Dataset({"dsa": ("seed", [1.0, 2.0])}), path / "measures" / "one.nc")
    write_results(load_results(path / "store"), path)
    cached(path / "cost.json", "N=8", {"hidden": 8}, lambda: {"seconds": [0.5]})
    write_report(page("Text"), path)
    return path


def page(text):
    return Page("Title", "Lead", (Section("Heading", text),))


@pytest.mark.slow
def test_finished_and_missing_runs_are_counted_by_condition(workdir, tmp_path):
    found = status.progress(workdir / "store")
    assert (found.finished, found.runs, found.blocks, found.missing) == (4, 4, 1, ())
    blocks = (workdir / "store").glob("blocks/*.json")
    assert found.seconds == pytest.approx(sum(read_json(file)["seconds"] for file in blocks))
    sweep = tiny.sweep("delayed_match", {"hidden": (3, 5), "alpha": (0.5,)})
    mask = np.zeros(sweep.shape, bool)
    place = [axis.name for axis in sweep.dimensions].index("hidden")
    np.moveaxis(mask, place, 0)[0, ..., 0] = True
    run_sweep(sweep, tmp_path / "store", mask=mask)
    found = status.progress(tmp_path / "store")
    assert (found.finished, found.runs) == (int(mask.sum()), mask.size)
    assert {(name, missing) for name, missing, _ in found.missing} == {
        (f"hidden={hidden} alpha=0.5", int((~rows).sum()))
        for hidden, rows in zip((3, 5), np.moveaxis(mask, place, 0), strict=True)
    }
    assert all(runs == mask.size // 2 for _, _, runs in found.missing)


@pytest.mark.slow
def test_a_store_that_has_grown_is_complete_and_all_its_blocks_are_read(tmp_path):
    store = tmp_path / "store"
    for hidden in ((3, 5), (3, 4, 5)):
        run_sweep(tiny.sweep("delayed_match", {"hidden": hidden}), store, keep_parameters=True)
    found = status.progress(store)
    assert (found.finished, found.blocks, found.missing) == (found.runs, 3, ())
    assert list(status.damages(store)) == []
    for weights in (store / "parameters").iterdir():
        (weights / "_METADATA").unlink()
    assert len(list(status.damages(store))) == 3


@pytest.mark.slow
def test_a_flipped_bit_in_any_file_is_found(workdir, tmp_path, monkeypatch):
    monkeypatch.setattr(status, "_PAUSE", 0)
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


@pytest.mark.slow
def test_a_list_of_digests_is_complete_and_names_only_files_of_the_report(
    workdir, tmp_path, monkeypatch
):
    monkeypatch.setattr(status, "_PAUSE", 0)
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


def test_a_page_that_cannot_be_read_hides_no_other_damage(tmp_path, monkeypatch):
    monkeypatch.setattr(status, "_PAUSE", 0)
    write_report(page("Text"), tmp_path / "run")
    file = tmp_path / "run" / "report.html"
    file.rename(tmp_path / "report.html")
    file.symlink_to(tmp_path / "report.html")
    (tmp_path / "run" / "study.json").write_text("{")
    first, second = status.damages(tmp_path / "run")
    assert "study.json" in first and str(file) in second


def test_a_report_that_is_being_written_is_waited_for(tmp_path, monkeypatch):
    """Its pages are new, and its digests those of the page before."""
    write_report(page("before"), tmp_path)
    digests = (tmp_path / "report.sha256").read_bytes()
    write_report(page("after"), tmp_path)
    finished = (tmp_path / "report.sha256").read_bytes()
    (tmp_path / "report.sha256").write_bytes(digests)
    with monkeypatch.context() as patch:
        write = (tmp_path / "report.sha256").write_bytes
        patch.setattr(status.time, "sleep", lambda seconds: write(finished))
        patch.setattr(status, "_MOMENT", 1e9)  # however slow this machine is
        assert list(status.damages(tmp_path)) == []
    (tmp_path / "report.sha256").write_bytes(digests)
    for file in tmp_path.iterdir():
        os.utime(file, (1e9, 1e9))
    monkeypatch.setattr(status, "_PAUSE", None)  # nobody writes: nothing is waited for
    assert len(list(status.damages(tmp_path))) == 2


@pytest.mark.slow
def test_the_command_prints_what_it_finds_before_it_reads_every_file(workdir, tmp_path, capsys):
    copy = tmp_path / "run"
    shutil.copytree(workdir, copy)
    (copy / "store" / "running").mkdir()
    link = copy / "store" / "running" / "link"
    link.symlink_to("nowhere")
    assert list(status.damages(copy)) == []
    assert commands.rnnjax("status", copy) == 1
    assert (
        f"damaged: store: expected plain files and folders, got {link}" in capsys.readouterr().out
    )


def test_results_without_curves_are_those_of_the_store(workdir):
    whole = load_results(workdir / "store")
    found = read_results(workdir)
    assert "loss" in whole and "loss" not in found and "step" not in found.coords
    for name, values in found.variables.items():
        xr.testing.assert_equal(values, whole[name].variable)
