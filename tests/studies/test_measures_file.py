"""Damage to a file of measures is found, wherever it is."""

import hashlib
import json

import numpy as np
import pytest
import xarray as xr

from rnnjax.studies.degeneracy.study import read_study
from rnnjax.studies.measures_file import read_measures, write_measures


def measures() -> xr.Dataset:
    rng = np.random.default_rng(0)
    distances = rng.normal(size=(3, 3))
    distances[1] = np.nan
    return xr.Dataset(
        {
            "dsa": (("seed", "other"), distances, {"components": 4, "above_bound": 0.25}),
            "loss": ("seed", rng.normal(size=3).astype("f4")),
        },
        {"seed": range(3), "other": range(3)},
        {"left_out": "seed 1: DIVERGED", "seconds": 1.5},
    )


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "flip_flop-0123.nc"
    write_measures(measures(), path)
    return path


def test_what_is_written_is_read(file):
    found = read_measures(file)
    xr.testing.assert_equal(found, measures())
    assert found.attrs == measures().attrs
    assert found["dsa"].attrs == measures()["dsa"].attrs


@pytest.mark.parametrize("suffix", ["", ".sha256"])
def test_flipped_bits_are_found(file, suffix):
    target = file.with_name(file.name + suffix)
    content = target.read_bytes()
    rng = np.random.default_rng(1)
    for _ in range(200):
        at, bit = int(rng.integers(len(content))), int(rng.integers(8))
        damaged = bytearray(content)
        damaged[at] ^= 1 << bit
        target.write_bytes(bytes(damaged))
        if suffix and bytes(damaged).strip() == content.strip():
            continue  # the end of the line
        with pytest.raises(ValueError, match=f"^measures: .*{file.name} is damaged"):
            read_measures(file)
    target.write_bytes(content)
    xr.testing.assert_equal(read_measures(file), measures())


@pytest.mark.parametrize("length", [0, 3, 100])
def test_a_file_without_digest_is_read_and_a_short_one_refused(file, length):
    file.with_name(file.name + ".sha256").unlink()
    xr.testing.assert_equal(read_measures(file), measures())
    file.write_bytes(file.read_bytes()[:length])
    with pytest.raises(ValueError, match=r"^measures: .* is damaged"):
        read_measures(file)


def test_other_content_with_its_digest_is_refused(file):
    content = b"CDF\x01" + b"\xff" * 100
    file.write_bytes(content)
    file.with_name(file.name + ".sha256").write_text(hashlib.sha256(content).hexdigest())
    with pytest.raises(ValueError, match=r"^measures: .* is damaged"):
        read_measures(file)


@pytest.mark.parametrize(
    "place",
    ["../elsewhere.nc", "/etc/passwd", "measures/../../elsewhere.nc", "measures/link.nc", 3, ".."],
)
def test_measures_outside_the_workdir_are_not_read(place, file, tmp_path):
    workdir = tmp_path / "workdir"
    (workdir / "measures").mkdir(parents=True)
    write_measures(measures(), tmp_path / "elsewhere.nc")
    (workdir / "measures" / "link.nc").symlink_to(tmp_path / "elsewhere.nc")
    factor = {"name": "a", "title": "A", "setting": "b", "levels": ["1"], "conditions": [place]}
    index = {"study": "table1", "command": "python", "factors": [factor]}
    (workdir / "study.json").write_text(json.dumps(index))
    with pytest.raises(ValueError, match=r"^table1: .* is damaged"):
        read_study("table1", workdir)


def test_an_index_that_is_a_link_is_not_read(tmp_path):
    (tmp_path / "elsewhere.json").write_text('{"study": "table1"}')
    (tmp_path / "study.json").symlink_to(tmp_path / "elsewhere.json")
    with pytest.raises(ValueError, match=r"^workdir: .*study.json"):
        read_study("table1", tmp_path)


def test_a_missing_file_is_an_error_of_the_system(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_measures(tmp_path / "none.nc")


@pytest.mark.parametrize("failure", [MemoryError, PermissionError])
def test_a_failure_to_read_is_not_called_damage(file, monkeypatch, failure):
    def fail(*_, **__):
        raise failure

    monkeypatch.setattr(xr, "load_dataset", fail)
    with pytest.raises(failure):
        read_measures(file)
