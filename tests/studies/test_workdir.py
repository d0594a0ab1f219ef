"""A workdir belongs to one study: no other study writes there."""

import json
from unittest import mock

import pytest

from commands import call
from rnnjax.report import Provenance
from rnnjax.studies.catalog import STUDIES
from rnnjax.studies.workdir import INDEX, checked_workdir, claim_workdir, read_index


def test_a_new_or_empty_folder_is_left_as_it_is(tmp_path):
    for folder in (tmp_path, tmp_path / "new"):
        assert checked_workdir(folder, "latent") == folder
    assert list(tmp_path.iterdir()) == []


def test_a_claimed_folder_is_refused_to_other_studies(tmp_path):
    claim_workdir(tmp_path / "run", "latent")
    assert read_index(tmp_path / "run") == {"study": "latent"}
    assert checked_workdir(tmp_path / "run", "latent") == tmp_path / "run"
    with pytest.raises(
        ValueError, match="^workdir: expected that of rescaling, got that of latent"
    ):
        checked_workdir(tmp_path / "run", "rescaling")


def test_a_second_claim_keeps_the_index_of_a_finished_study(tmp_path):
    index = {"study": "latent", "command": "python"}
    (tmp_path / INDEX).write_text(json.dumps(index))
    claim_workdir(tmp_path, "latent")
    assert read_index(tmp_path) == index


def test_the_settings_are_those_of_the_last_claim_until_a_block_is_finished(tmp_path):
    def claim(seeds):
        claim_workdir(tmp_path, "latent", Provenance("python", {"seeds": seeds}))
        return read_index(tmp_path)["settings"]["seeds"]

    assert claim(1) == 1
    (tmp_path / "store" / "blocks").mkdir(parents=True)
    (tmp_path / "store" / "manifest.json").write_text("{}")
    assert claim(2) == 2
    (tmp_path / "store" / "blocks" / "one.json").write_text("{}")
    assert claim(3) == 2


def test_a_store_without_an_index_is_resumed(tmp_path):
    """Earlier versions wrote no index before the end of a study."""
    (tmp_path / "store").mkdir()
    assert checked_workdir(tmp_path, "latent") == tmp_path


@pytest.mark.parametrize("text", ["{", "{}", "[]", "null"])
def test_a_damaged_index_is_named(tmp_path, text):
    (tmp_path / INDEX).write_text(text)
    with pytest.raises(ValueError, match=f"^workdir: .*{INDEX} is damaged"):
        checked_workdir(tmp_path, "latent")


def test_a_folder_called_store_alone_is_no_workdir(tmp_path):
    (tmp_path / "store" / "goods").mkdir(parents=True)
    with pytest.raises(ValueError, match="^workdir: expected a new or empty folder"):
        checked_workdir(tmp_path, "latent")


@pytest.mark.parametrize("name", ["cost.json", "store/lock", "store/one/manifest.json"])
def test_a_workdir_that_has_lost_its_index_is_one(tmp_path, name):
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_text("{}")
    assert checked_workdir(tmp_path, "latent") == tmp_path


def test_a_folder_of_a_run_that_was_killed_at_its_start_is_one(tmp_path, monkeypatch):
    killed = mock.Mock(side_effect=KeyboardInterrupt)
    monkeypatch.setattr("os.replace", killed)
    monkeypatch.setattr(
        "pathlib.Path.unlink", lambda *_, **__: None
    )  # a dead process cleans nothing
    with pytest.raises(KeyboardInterrupt):
        claim_workdir(tmp_path / "new", "latent")
    monkeypatch.undo()
    assert len(list((tmp_path / "new").iterdir())) == 1
    assert checked_workdir(tmp_path / "new", "latent") == tmp_path / "new"


def test_other_folders_and_files_are_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    for folder in (tmp_path, tmp_path / "notes.txt"):
        with pytest.raises(ValueError, match="^workdir: expected a"):
            checked_workdir(folder, "latent")


@pytest.mark.parametrize("name", sorted(STUDIES))
def test_every_study_refuses_the_folder_of_another(name, tmp_path, capsys):
    claim_workdir(tmp_path / "run", "another")
    before = (tmp_path / "run" / INDEX).read_bytes()
    assert call(name, "--dry_run", f"--workdir={tmp_path / 'run'}") != 0
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: workdir: expected")
    assert [file.name for file in (tmp_path / "run").iterdir()] == [INDEX]
    assert (tmp_path / "run" / INDEX).read_bytes() == before
