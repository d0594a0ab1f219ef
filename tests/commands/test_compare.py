"""The command `rnnjax compare`: files in, a folder with distances and a page out."""

import argparse
import hashlib
import importlib.util
import os
import subprocess
import sys

import numpy as np
import pytest
import xarray as xr

import rnnjax
from rnnjax.commands import compare, main
from rnnjax.store import write_checked

SIZES = ((4, 6, 20), (7, 5, 31), (3, 9, 25), (5, 4, 40), (6, 7, 22))


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("recordings")
    rng = np.random.default_rng(0)
    found = {}
    for number, (units, trials, steps) in enumerate(SIZES):
        found[f"mouse{number}"] = rng.normal(size=(trials, steps, units)).cumsum(1)
        found[f"mouse{number}"][1, 15:] = np.nan
    np.savez(folder / "mice.npz", **{name: found[name] for name in list(found)[:4]})
    np.save(folder / "mouse4.npy", found["mouse4"])
    return [str(folder / "mice.npz"), str(folder / "mouse4.npy")]


def call(*arguments):
    parser = argparse.ArgumentParser()
    compare.add_arguments(parser)
    return compare.execute(parser.parse_args([str(argument) for argument in arguments]))


def contents(folder):
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in folder.rglob("*")
        if file.is_file()
    }


@pytest.mark.slow
def test_five_recordings_give_distances_and_a_page(files, tmp_path, capsys):
    folder, flags = tmp_path / "new" / "mice", ["--components=2", "--delays=2", "--key=4"]
    assert call(*files, f"--output={folder}", *flags) == 0
    assert capsys.readouterr().out.splitlines()[-1] == str(folder / "report.html")
    found = xr.load_dataset(folder / "distances.nc", engine="scipy")
    given = rnnjax.recordings.read(files)
    expected = rnnjax.compare(given, key=4, options={"dsa": {"components": 2, "delays": 2}})
    xr.testing.assert_equal(found, expected)
    assert {*contents(folder)} == {
        "comparison.json", "distances.nc", "report.html", "report.md", "report.sha256",
        "figures/dsa_map.png", "figures/dsa_matrix.png", "figures/dsa_tree.png",
    }  # fmt: skip
    page = (folder / "report.md").read_text()
    for name in given:
        assert f"| {name} |" in page
    values = expected["dsa"].values[np.triu_indices(5, 1)]
    assert all(f"| {value:.3g} |" in page for value in values)
    assert "| dsa.delays | 2 |" in page and "| dsa.key | 4 |" in page

    before = contents(folder)
    assert call(*files, f"--output={folder}", *flags) == 0  # the same again
    assert contents(folder) == before
    with pytest.raises(ValueError, match="output: .* same comparison.*options.dsa.delays"):
        call(*files, f"--output={folder}", "--components=2", "--delays=3", "--key=4")
    assert contents(folder) == before


@pytest.mark.slow
def test_metrics_of_shared_samples(tmp_path):
    states = np.random.default_rng(1).normal(size=(3, 6, 20, 4)).cumsum(2)
    np.save(tmp_path / "all.npy", states)
    metrics = "--metrics=svcca,cka,procrustes"
    assert call(tmp_path / "all.npy", f"--output={tmp_path / 'out'}", metrics) == 0
    found = xr.load_dataset(tmp_path / "out" / "distances.nc", engine="scipy")
    np.testing.assert_array_equal(found["cka"], rnnjax.metrics.cka_distances(states))
    assert list(found["network"].values) == ["all/0", "all/1", "all/2"]
    assert len([*(tmp_path / "out" / "figures").iterdir()]) == 9


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--metrics=dsaa"], "metrics: .*did you mean 'dsa'"),
        (["--metrics=pif"], "metrics: expected one of dsa, svcca, cka, procrustes, got 'pif'"),
        (["--metrics=,"], "metrics: expected at least one name"),
        (["--metrics=svcca"], "recording mouse1: expected the samples of recording mouse0"),
        (["--delays=1,a"], "delays: expected an integer, got 'a'"),
        (["--delays=0"], "delays: expected an integer of at least 1, got 0"),
        (["--delays=20"], "delays: expected at most"),
        (["--components=5"], "components: .*3 units of recording mouse2"),
        (["--delays="], "delays: expected at least one number"),
        (["--variance=2"], r"variance: expected a number in \(0, 1\]"),
        (["--metrics=cka", "--delays=2"], "delays: expected dsa among the metrics, got cka"),
        (["--metrics=cka", "--variance=0.9"], "variance: expected dsa or svcca among"),
        (["--bin_width=0.2"], r"bin_width: expected some .nwb file, got"),
        (["--trials=epochs"], r"trials: expected some .nwb file, got"),
        (["--score=angel"], "score: .*did you mean 'angular'"),
        (["--metrics=cka", "--key=1"], "key: expected dsa among the metrics, got cka"),
        (["--score=wasserstein", "--key=1"], "key: expected another score or several delays"),
        (["--key=-1"], "key: expected an integer of at least 0"),
        (["--bin_width=0"], "bin_width: expected"),
        (["--smoothing=x"], "smoothing: expected a number, got 'x'"),
        (["missing.npz"], "files: expected an existing file, got missing.npz"),
        (["notes.txt"], "files, suffix of notes.txt: expected one of"),
    ],
)
def test_what_is_refused_leaves_no_trace(files, tmp_path, flags, message):
    with pytest.raises((ValueError, OSError), match=message):
        call(*files, *flags, f"--output={tmp_path / 'x'}")
    assert not any(tmp_path.iterdir())


def test_names_that_begin_with_a_dash_are_files_after_two_dashes(tmp_path, capsys):
    assert main(["compare", f"--output={tmp_path / 'x'}", "--", "-a.npz", "-b.npz"]) == 2
    assert "existing file, got -a.npz" in capsys.readouterr().err


def test_folders_of_others_are_refused_at_once(files, tmp_path, monkeypatch):
    (tmp_path / "notes.txt").write_text("mine")
    monkeypatch.setattr(rnnjax.recordings, "read", None)  # they are refused before
    for output in (tmp_path, tmp_path / "notes.txt", tmp_path / "notes.txt" / "x"):
        with pytest.raises(ValueError, match="output: expected a (new or empty )?folder"):
            call(*files, f"--output={output}")
    assert contents(tmp_path).keys() == {"notes.txt"}
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "comparison.json").write_text("{")
    with pytest.raises(ValueError, match="comparison.json is damaged"):
        call(*files, f"--output={tmp_path / 'x'}")
    write_checked(tmp_path / "x" / "comparison.json", {"files": {}})
    with pytest.raises(ValueError, match="output: .* of another"):
        call(*files, f"--output={tmp_path / 'x'}")
    with pytest.raises(ValueError, match="^output: .*~nobody_at_all"):
        call(*files, "--output=~nobody_at_all/x")


def test_a_folder_with_what_a_killed_call_left_is_as_good_as_new(files, tmp_path, monkeypatch):
    def read(*given, **options):
        raise NotImplementedError

    monkeypatch.setattr(rnnjax.recordings, "read", read)
    (tmp_path / ".comparison.json.0123abcd.partial").write_text("{")
    with pytest.raises(NotImplementedError):
        call(*files, f"--output={tmp_path}")


def test_the_width_of_bins_is_called_by_its_flag(tmp_path, monkeypatch):
    def read(*given, **options):
        raise ValueError("width: expected less")

    monkeypatch.setattr(rnnjax.recordings, "read", read)
    (tmp_path / "a.nwb").write_bytes(b"x")
    with pytest.raises(ValueError, match="^bin_width: expected less"):
        call(tmp_path / "a.nwb", f"--output={tmp_path / 'x'}", "--bin_width=20")


HELP = """
import argparse, sys
from rnnjax.commands import compare
parser = argparse.ArgumentParser(description=compare.__doc__)
compare.add_arguments(parser)
parser.format_help()
try:
    compare.execute(parser.parse_args(["a.npz", "--output=x", "--metrics=dsaa"]))
except ValueError:
    print(*{"jax", "numpy", "xarray", "matplotlib"} & {*sys.modules})
"""


def test_help_and_typos_do_not_wait_for_jax():
    ended = subprocess.run([sys.executable, "-c", HELP], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == ""


def test_what_the_page_needs_is_looked_for_before_anything_is_computed(
    files, tmp_path, monkeypatch
):
    def compared(*given, **options):
        raise AssertionError("compared all the same")

    find, access = importlib.util.find_spec, os.access
    monkeypatch.setattr(rnnjax.recordings, "compare", compared)
    with monkeypatch.context() as patch:
        patch.setattr(importlib.util, "find_spec", lambda n: None if n == "jinja2" else find(n))
        with pytest.raises(ValueError, match="^jinja2 is not installed"):
            call(*files, f"--output={tmp_path / 'x'}")
    monkeypatch.setattr(os, "access", lambda path, mode: path != tmp_path and access(path, mode))
    with pytest.raises(ValueError, match="^output: expected a folder that can be written"):
        call(*files, f"--output={tmp_path / 'x' / 'y'}")
    assert not any(tmp_path.iterdir())


def test_a_missing_package_is_an_error_of_one_line(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pynapple", None)
    (tmp_path / "a.nwb").write_bytes(b"x")
    with pytest.raises(ValueError, match=r"pip install 'rnnjax\[nwb\]'"):
        call(tmp_path / "a.nwb", f"--output={tmp_path / 'x'}")
