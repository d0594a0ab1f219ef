"""Reports of workers that somebody has made are refused, or fit no dataset."""

import io
import zipfile
from types import SimpleNamespace

import numpy as np
import pytest

import tiny
from rnnjax.stopping import OutOfTime, time_limit
from rnnjax.store import StoreError, attempts
from rnnjax.store.attempts import (
    Report,
    attempt_folder,
    fits,
    new_attempt,
    pack_report,
    read_report,
)
from rnnjax.sweep import empty_results, remote


def archive(compression=zipfile.ZIP_STORED, **members):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", compression) as file:
        for name, data in members.items():
            file.writestr(f"{name}.npy", data)
    return content.getvalue()


def array(values):
    content = io.BytesIO()
    np.save(content, values)
    return content.getvalue()


def text(data):
    return array(np.frombuffer(data, np.uint8))


CELLS = array(np.zeros((1, 2), int))


@pytest.mark.parametrize(
    "content",
    [
        b"", b"PK", archive(text=text(b"{}")), archive(cells=CELLS),
        archive(text=text(b"[" * 100_000), cells=CELLS),
        archive(text=text(b"[1]"), cells=CELLS),
        archive(zipfile.ZIP_DEFLATED, text=text(b"{}"), cells=array(np.zeros(10**6))),
        archive(text=b"no array", cells=CELLS),
        archive(text=text(b"{}"), cells=array(np.zeros(3)).replace(b"(3,),", b"(9**9,),")),
        archive(text=text(b"{}"), cells=array(np.array([None]))),
    ],
    ids=["empty", "cut", "no cells", "no text", "nested", "a list", "compressed", "no array",
         "declared", "objects"],
)  # fmt: skip
def test_odd_reports_are_damaged(content):
    with pytest.raises(ValueError):  # noqa: PT011 - any reason
        read_report(content)


def test_a_damaged_archive_is_an_error_of_its_own():
    whole, refused = archive(text=text(b"{}"), cells=CELLS), 0
    places = range(0, len(whole), 7)
    for place in places:
        damaged = bytearray(whole)
        damaged[place] ^= 0xFF
        try:
            read_report(bytes(damaged))
        except ValueError:
            refused += 1
    assert refused > 0.5 * len(places)  # not those of names, dates and zeros


def test_reports_fit_by_shape_type_and_range():
    template = empty_results(tiny.sweep())
    values = {
        name: np.zeros((1, *value.shape[2:]), value.dtype)
        for name, value in template.data_vars.items()
    }
    good = Report(np.zeros((1, 2), int), values, {"seconds": 1.0}, "0" * 64)
    read = read_report(pack_report(good))
    assert fits(read, template)
    assert (read.facts, read.work) == (good.facts, good.work)
    for cells in (np.full((1, 2), 9), np.full((1, 2), -1), np.zeros((1, 3), int), np.zeros((1, 2))):
        assert not fits(good._replace(cells=cells), template)
    for odd in (
        {"loss": np.full(1, "text")},
        {"final_loss": np.zeros(2, "f4")},
        {"new": values["loss"]},
    ):
        assert not fits(good._replace(values={**values, **odd}), template)


WORK = "0a" * 32


def left(store):
    """The folder of a finished attempt with states, at the block `block`."""
    folder = attempt_folder(store, "block", new_attempt(WORK))
    folder.mkdir(parents=True)
    report = Report(np.zeros((1, 2), int), {"loss": np.ones((1, 3), "f4")}, {}, WORK)
    attempts.save_attempt(folder, "block", report, None, {"losses": np.ones((1, 3), "f4")})
    return folder


@pytest.mark.parametrize("part", ["report", "state"])
def test_attempts_that_cannot_be_read_are_not_called_damaged(part, tmp_path, monkeypatch):
    folder = left(tmp_path)
    ((_, _, found),) = attempts.finished_attempts(tmp_path, WORK, {"block"})
    assert attempts.has_parts(folder, "block", found, tmp_path, "block")
    assert not list(attempts.finished_attempts(tmp_path, WORK, {"other"}))

    def refuses(*_):
        raise PermissionError(13, "Permission denied")

    def read():
        ((_, _, found),) = attempts.finished_attempts(tmp_path, WORK)
        return attempts.has_parts(folder, "block", found, tmp_path, "block")

    with monkeypatch.context() as patch:
        if part == "report":
            patch.setattr(attempts, "read_file", refuses)
        else:
            patch.setattr("rnnjax.store.states.file_digest", refuses)
        with pytest.raises(PermissionError):
            read()
    state = folder / "states" / "block.npz"
    state.write_bytes(state.read_bytes()[:-1])
    assert not read()
    state.unlink()
    assert not read()


def test_an_attempt_that_is_removed_meanwhile_is_no_error(tmp_path, monkeypatch):
    for block in ("gone", "kept"):
        attempts.save_error(
            attempt_folder(tmp_path, block, new_attempt("0a" * 32)), OSError("full")
        )
    read = attempts.read_file

    def removes(file):
        if "gone" in str(file):
            file.unlink()
        return read(file)

    monkeypatch.setattr(attempts, "read_file", removes)
    assert attempts.failed_attempts(tmp_path) == {"kept": "OSError: full"}


def test_a_stop_does_not_wait_for_a_part_that_is_late(tmp_path, monkeypatch):
    folder = left(tmp_path)
    ((_, _, found),) = attempts.finished_attempts(tmp_path, WORK)
    part, away = folder / "states" / "block.npz", tmp_path / "away.npz"
    part.rename(away)
    looks = []
    monkeypatch.setattr(attempts.time, "sleep", looks.append)
    with time_limit(1e-9), pytest.raises(OutOfTime):
        attempts.move_parts(folder, "block", found, tmp_path, "block")
    assert looks == []
    away.rename(part)
    with time_limit(1e-9):  # what is there is moved, also when time is up
        attempts.move_parts(folder, "block", found, tmp_path, "block")
    assert attempts.has_parts(folder, "block", found, tmp_path, "block")


@pytest.mark.parametrize("error", [PermissionError(13, "denied"), StoreError("store: too large")])
def test_a_worker_trains_itself_what_it_cannot_read(error, tmp_path, monkeypatch):
    left(tmp_path)
    sweep, block = SimpleNamespace(folder=tmp_path, work=WORK), SimpleNamespace(name="block")
    assert remote._left_by_another(sweep, block) is not None

    def refuses(*_):
        raise error

    monkeypatch.setattr(attempts, "read_file", refuses)
    assert remote._left_by_another(sweep, block) is None
