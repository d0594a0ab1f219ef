"""The study of kinds of solutions as users run it."""

import pytest
import xarray as xr

from commands import call, refused, reports_again, settings, study
from rnnjax.studies.console import FAILED
from rnnjax.studies.degeneracy import solutions
from rnnjax.studies.measures_file import read_measures
from rnnjax.studies.workdir import read_index
from rnnjax.training import Status


@pytest.mark.parametrize(("preset", "tasks", "levels"), [("laptop", 2, 3), ("paper", 4, 4)])
def test_every_task_is_compared_at_every_gamma(preset, tasks, levels):
    config = settings("solutions", preset)
    found = solutions.factors(config)
    assert [len(factor.conditions) for factor in found] == [levels] * tasks
    assert all(dict(c.settings)["gamma"] for factor in found for c in factor.conditions)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A workdir with a finished smoke run."""
    workdir = tmp_path_factory.mktemp("smoke") / "run"
    assert call("solutions", "--config=smoke", f"--workdir={workdir}") == 0
    return workdir


@pytest.mark.slow
def test_networks_are_trained_examined_and_reported_once(finished, capsys):
    workdir = finished
    assert read_index(workdir)["study"] == "solutions"
    measures = {file: file.read_bytes() for file in (workdir / "measures").iterdir()}
    assert len(measures) == 2 * 2  # each with its digest
    page = (workdir / "report.md").read_text()
    assert "rnnjax run solutions --config=smoke" in page
    assert " nan" not in page.lower()
    assert {file.stem for file in (workdir / "figures").glob("*.png")} == {"kind_shares", "gallery"}
    assert call("solutions", "--config=smoke", f"--workdir={workdir}") == 0
    assert "Examining" not in capsys.readouterr().out
    assert measures == {file: file.read_bytes() for file in (workdir / "measures").iterdir()}
    assert reports_again(workdir)


@pytest.mark.slow
def test_networks_examined_before_an_interruption_are_not_examined_again(
    finished, tmp_path, capsys, monkeypatch
):
    parts, examined = tmp_path / "parts", []
    plain = solutions.fingerprints

    def interrupted(population, *rest):
        examined.append(population.seeds.tolist())
        if len(examined) == 2:
            raise KeyboardInterrupt
        return plain(population, *rest)

    monkeypatch.setattr(solutions, "_PART", 1)
    monkeypatch.setattr(solutions, "fingerprints", interrupted)
    assert call("solutions", "--config=smoke", f"--workdir={parts}") == 130
    assert "2 conditions left" in capsys.readouterr().err
    assert call("solutions", "--config=smoke", f"--workdir={parts}") == 0
    assert examined == [[0], [1], [1], [2], [0], [1], [2]]
    files = sorted((finished / "measures").glob("*.nc"))
    assert [file.name for file in files] == sorted(
        file.name for file in (parts / "measures").glob("*.nc")
    )
    for file in files:
        xr.testing.assert_allclose(
            read_measures(file), read_measures(parts / "measures" / file.name), rtol=1e-4
        )


def test_a_dry_run_counts_the_searches(tmp_path, capsys):
    flags = ("--config=smoke", "--dry_run", f"--workdir={tmp_path / 'new'}")
    assert call("solutions", *flags, "--config.fingerprint.starts=100") == 0
    last = capsys.readouterr().out.splitlines()[-1]
    # 100 starts and the ends of 8 runs; 3 seeds at 2 gammas.
    assert all(words in last for words in ("108 searches", "8 runs of 264", "6 networks"))


@pytest.mark.parametrize(("seeds", "done"), [(2, True), (3, True), (4, False)])
def test_a_store_of_fewer_seeds_is_not_examined(seeds, done, tmp_path, monkeypatch):
    config = settings("solutions", "smoke")
    config.seeds = seeds
    one = solutions.factors(config)[0].conditions[0]
    (tmp_path / "store" / one.folder).mkdir(parents=True)
    (tmp_path / "store" / one.folder / "manifest.json").touch()
    ended = xr.Dataset({"status": ("seed", [Status.EXHAUSTED] * 3)}, {"seed": range(3)})
    monkeypatch.setattr(solutions.rnnjax, "load_results", lambda _: ended)
    for file in ("none", "store"):  # measures of more seeds than the store has may be there
        monkeypatch.setattr(solutions, "_file", lambda *_, file=file: tmp_path / file)
        assert solutions._is_examined(config, tmp_path, one) == done


@pytest.mark.slow
def test_a_level_at_which_no_network_converges_is_left_out(tmp_path, capsys):
    workdir = tmp_path / "run"
    flags = ("--config=smoke", "--config.gammas=0.0001,4.0", f"--workdir={workdir}")
    assert call("solutions", *flags) == 0
    page = (workdir / "report.md").read_text()
    assert "gamma 0.0001: 3 of 3 networks" in page
    assert "| Flip flop | 1 | 4: 3 |" in page
    assert reports_again(workdir)
    none = ("--config=smoke", "--config.gammas=0.0001", f"--workdir={tmp_path / 'none'}")
    assert call("solutions", *none) == FAILED
    assert capsys.readouterr().err.splitlines()[-1].startswith("error: tasks: ")


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--config.gammas=4.0,1.0"], ["gammas", "rise"]),
        (["--config.gammas=()"], ["gammas", "at least one"]),
        (["--config.stretch=4.0"], ["stretch"]),
        (["--config.fingerprint.settle=0"], ["settle", "at least 1"]),
        (["--config.kinds.stability=2.0"], ["stability", "1"]),
        (["--config.fingerprint.inputs=mean"], ["inputs", "median"]),
        (["--config.seed=4294967296"], ["seed", "2^31"]),
        (["--executor=local:1"], ["executor", "solutions"]),
    ],
)
def test_bad_input_is_one_line_and_touches_nothing(flags, words, tmp_path, capsys):
    error = refused("solutions", flags, tmp_path / "new", capsys)
    assert all(word in error for word in words)
    assert callable(study("solutions").run)
