"""The degeneracy studies as users run them: presets, flags, resumption, the summary."""

import concurrent.futures
import dataclasses
import shutil
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import xarray as xr

from commands import call, refused, rnnjax, settings
from commands import study as module_of
from rnnjax import Engine, stopping
from rnnjax.store import digest, lacking, load_results, read_checked, same_runs, write_checked
from rnnjax.studies.degeneracy import conditions, reporting, table1
from rnnjax.studies.degeneracy.measuring import _SOLVER, checked_options, measures_file
from rnnjax.studies.measures_file import read_measures, remove_measures
from rnnjax.studies.papers import DEGENERACY_ARROWS
from rnnjax.studies.workdir import checked_workdir
from rnnjax.sweep import sweep_config

STUDIES = tuple(DEGENERACY_ARROWS)
ALL = (*STUDIES, "training_stages")
FF, DD = "flip_flop", "delayed_discrimination"

# Per study and preset: the factors' levels, and how many conditions they come to.
LAPTOP = {
    "task_complexity": ({"flip_flop_bits": "2 3 4", f"{DD}_channels": "1 2",
                         f"{DD}_delay": "20 40 60", f"{DD}_auxiliary": "without with"}, 8),
    "feature_learning": ({f"{FF}_mup": "1 2 4", f"{DD}_mup": "1 2 4",
                          f"{FF}_gamma_trick": "1 2 4"}, 9),
    "network_size": ({f"{FF}_mup": "32 64 128", f"{DD}_mup": "32 64 128",
                      f"{FF}_standard": "32 64 128"}, 9),
    "regularization": ({f"{FF}_l1": "0 1e-05 0.0001", f"{FF}_nuclear": "0 0.0001 0.001",
                        f"{DD}_l1": "0 1e-05 0.0001", f"{DD}_nuclear": "0 0.0001 0.001"}, 10),
    "training_stages": ({f"{FF}_2": "0.03 0.01 0.003 0.001",
                         f"{DD}_1": "0.3 0.1 0.03 0.01"}, 8),
}  # fmt: skip
FACTORS = {"task_complexity": 6, "feature_learning": 8, "network_size": 8, "regularization": 8,
           "training_stages": 5}  # fmt: skip
"""In the `paper` preset."""


@pytest.mark.parametrize(("preset", "discrimination"), [("laptop", 0.03), ("paper", 0.01)])
def test_every_task_has_its_rate_under_mup(preset, discrimination):
    config = settings("feature_learning", preset)
    rates = {FF: 0.01, DD: discrimination}
    for task, rate in rates.items():
        assert (
            dict(conditions.condition(config, task, rule="mup").settings)["learning_rate"] == rate
        )
        assert dict(conditions.condition(config, task).settings)["learning_rate"] == 1e-3


@pytest.mark.parametrize("study", ALL)
def test_laptop_compares_the_listed_levels(study):
    config = settings(study, "laptop")
    factors = module_of(study).factors(config)
    levels, count = LAPTOP[study]
    assert {f.name: " ".join(f.levels) for f in factors} == levels
    found = conditions.all_conditions(factors)
    assert len(found) == count
    assert {c.sweep(config).shape[-1] for c in found} == {8}
    assert all(c.recipe.batch == 128 for c in found)
    for factor in factors:
        assert len(factor.conditions) == len(factor.levels)
        assert len({c.name for c in factor.conditions}) == len(factor.levels)


@pytest.mark.parametrize("study", ALL)
def test_paper_compares_fifty_networks_on_all_tasks(study):
    config = settings(study, "paper")
    factors = module_of(study).factors(config)
    assert config.seeds == 50
    assert len(factors) == FACTORS[study]
    assert {c.task.name for c in conditions.all_conditions(factors)} == {
        "flip_flop", "delayed_discrimination", "sine_wave", "path_integration"
    }  # fmt: skip
    names = [c.name for c in conditions.all_conditions(factors)]
    assert len(set(names)) == len(names)


def test_stages_are_the_same_networks_at_falling_losses():
    factors = module_of("training_stages").factors(settings("training_stages", "laptop"))
    stages = factors[0].conditions
    assert [c.loss for c in stages] == [0.03, 0.01, 0.003, 0.001]
    assert len({dataclasses.replace(c, loss=None) for c in stages}) == 1
    recipe = stages[0].recipe
    assert (recipe.snapshots, recipe.threshold) == ((0.03, 0.01, 0.003, 0.001), 0.001)


def test_arrows_are_followed_at_every_stage():
    config = settings("training_stages", "arrows")
    factors = module_of("training_stages").factors(config)
    found = {}
    for factor in factors:
        name = factor.name.rsplit("_", 1)[0]
        found.setdefault((name, factor.setting, factor.levels), []).append(factor.stage)
    assert {(name, *levels) for (name, _, levels) in found} == {
        (f"task_complexity_{FF}_bits", "2", "4"),
        (f"feature_learning_{FF}_mup", "1", "4"), (f"feature_learning_{DD}_mup", "1", "4"),
        (f"network_size_{FF}_mup", "32", "64"), (f"network_size_{DD}_mup", "32", "64"),
        (f"regularization_{FF}_l1", "0", "0.0001"), (f"regularization_{DD}_l1", "0", "0.0001"),
    }  # fmt: skip
    assert all(stages == [30, 10, 3, 1] for stages in found.values())
    tried = conditions.all_conditions(factors)
    assert (len(tried), len({c.folder for c in tried})) == (4 * 12, 12)
    one = next(c for c in tried if c.task.name == DD)
    # Epochs of 32 steps in place of 128: the schedule has the same period in steps.
    assert (one.recipe.steps_per_epoch, one.recipe.schedule.period) == (32, 40)
    assert (
        conditions.condition(settings("regularization", "laptop"), DD).recipe.schedule.period == 10
    )


@pytest.mark.slow
def test_arrows_along_training_on_a_worker_and_in_threads(tmp_path):
    config = settings("training_stages", "smoke")
    config.dsa.update(components=(2,), delays=(1,), order=4)
    config.update(arrows=("task_complexity",), auxiliary=False, delays=(), stages=(1.4, 1.2, 1.0))
    config.channels.flip_flop = (1, 2)
    with concurrent.futures.ThreadPoolExecutor(1) as threads:
        module_of("training_stages").run(config, tmp_path, executor=threads)
    assert len(list((tmp_path / "store").glob("*/manifest.json"))) == 2
    assert len(list((tmp_path / "measures").glob("[!.]*.nc"))) == 6
    before = (tmp_path / "report.md").read_text()
    assert " nan" not in before.lower()
    assert (tmp_path / "figures" / "arrow_curves.png").exists()
    assert rnnjax("report", tmp_path) == 0
    after = (tmp_path / "report.md").read_text()
    assert before.split("## How this page")[0] in after
    # In threads of this process the measures are the same to the last bit.
    one_by_one = {}
    for file in (tmp_path / "measures").glob("[!.]*.nc"):
        one_by_one[file] = read_measures(file)
        remove_measures(file)
    module_of("training_stages").run(config, tmp_path)
    for file, expected in one_by_one.items():
        found = read_measures(file)
        assert 0 < found.attrs.pop("seconds") < 60
        del expected.attrs["seconds"]
        xr.testing.assert_identical(found, expected)


def test_measures_are_those_of_as_many_seeds_as_are_wanted(tmp_path, monkeypatch):
    """A folder with more networks is measured on its own, with either number."""
    config = settings("feature_learning", "smoke")
    (one, *_) = conditions.all_conditions(module_of("feature_learning").factors(config))
    seeds = []
    monkeypatch.setattr(
        conditions, "read_manifest",
        lambda _: {"hash": "same", "config": {"axes": {"seed": list(range(seeds[-1]))}}},
    )  # fmt: skip

    def name(in_store, wanted):
        seeds.append(in_store)
        config.seeds = wanted
        return measures_file(config, tmp_path, one).name

    assert name(8, 8) == name(12, 12)  # told apart by the hash of their store
    assert len({name(12, 12), name(12, 8), name(12, 4)}) == 3


def test_measures_are_found_again_once_their_store_has_grown(tmp_path, monkeypatch):
    config = settings("feature_learning", "smoke")
    config.seeds = 8
    (one, *_) = conditions.all_conditions(module_of("feature_learning").factors(config))
    seeds = []

    def manifest(_):
        described = {"cell": "rate", "axes": {"seed": list(range(seeds[-1])), "gamma": [1.0]}}
        return {"hash": digest(described), "config": described}

    def file(in_store):
        seeds.append(in_store)
        return measures_file(config, tmp_path, one)

    monkeypatch.setattr(conditions, "read_manifest", manifest)
    assert file(8) == file(16) == file(4)
    # Earlier versions named them by the store that they were in.
    named = file(16)
    inputs = {**vars(checked_options(config)), "seed": config.seed, "solver": _SOLVER}
    inputs |= {"store": manifest(None)["hash"], "seeds": 8}
    old = named.with_name(f"{one.name}-{digest(inputs)[:12]}.nc")
    old.parent.mkdir()
    old.touch()
    assert file(16) == old != file(12)
    file(8).touch()
    assert file(16) == file(8)


@pytest.mark.parametrize(
    ("folders", "text"),
    [("aab", "2 conditions, 3 measurements"), ("aabb", "2 conditions at 2 losses each"),
     ("a", "1 condition")],
)  # fmt: skip
def test_measurements_that_are_left_are_counted(folders, text):
    assert conditions._counted([mock.Mock(folder=folder) for folder in folders]) == text


def test_series_under_mup_can_be_left_out():
    config = settings("feature_learning", "laptop")
    config.gammas = ()
    names = [factor.name for factor in module_of("feature_learning").factors(config)]
    assert names == [f"{FF}_gamma_trick"]
    config = settings("network_size", "laptop")
    config.gamma = None
    names = [factor.name for factor in module_of("network_size").factors(config)]
    assert names == [f"{FF}_standard"]


def test_a_penalty_of_zero_is_one_condition_of_both_series():
    factors = module_of("regularization").factors(settings("regularization", "laptop"))
    first, second = factors[0], factors[1]
    assert first.conditions[0].name == second.conditions[0].name
    assert first.conditions[0].recipe.penalties == ()
    assert dict(first.conditions[2].settings)["l1"] == 1e-4
    assert first.conditions[2].recipe.penalties == ("l1",)


@pytest.mark.slow
def test_a_study_trains_measures_and_reports_once(tmp_path, capsys):
    workdir = tmp_path / "run"
    # A program is compiled per order of the operators.
    dsa = [f"--config.dsa.{field}" for field in ("components=2,", "delays=1,", "order=4")]
    flags = ("--config=smoke", *dsa, f"--workdir={workdir}")
    assert call("task_complexity", *flags) == 0
    page = (workdir / "report.md").read_text()
    assert "rnnjax run task_complexity --config=smoke" in page
    assert " nan" not in page.lower()
    names = {file.stem for file in (workdir / "figures").glob("*.png")}
    assert names >= {"levels", "dynamics_charts", "network_maps", "stretched_losses", "features"}
    kept = [*(workdir / "store").glob("*/blocks/*.json"), *(workdir / "measures").glob("*.nc")]
    before = {file: (file.read_bytes(), file.stat().st_mtime_ns) for file in kept}
    assert len(before) == 2 + 2
    # As after an interruption: one condition's measures are gone, a half-written copy is there.
    (lost,) = (workdir / "measures").glob("flip_flop-standard-bits_2*.nc")
    lost.rename(lost.with_name("." + lost.name))
    capsys.readouterr()
    assert call("task_complexity", *flags, "--dry_run") == 0
    (row,) = [line.split() for line in capsys.readouterr().out.splitlines() if "bits_2" in line]
    assert row[1] == "0"  # networks to train, and only measures that are missing
    wrong = "--config.training.flip_flop.learning_rate=0.02"
    index = (workdir / "study.json").read_bytes()
    for run in (["--dry_run"], ["--dry_run", "--config.samples=2"], []):
        assert call("task_complexity", *flags, *run, wrong) == 2
        assert "another config: learning_rate" in capsys.readouterr().err
    assert (workdir / "study.json").read_bytes() == index
    # And a manifest is damaged, which the same command restores.
    manifest = next((workdir / "store").glob("*bits_1*/manifest.json"))
    whole = manifest.read_text()
    manifest.write_text("{")
    capsys.readouterr()
    assert call("task_complexity", *flags) == 0
    printed = capsys.readouterr().out
    assert printed.count("Measuring") == 1
    assert "Measuring flip_flop-standard-bits_2" in printed
    assert '"config"' in whole and '"config"' in manifest.read_text()
    for file, was in before.items():
        assert file == lost or (file.read_bytes(), file.stat().st_mtime_ns) == was
    index = read_checked(workdir / "study.json")
    assert [len(factor["conditions"]) for factor in index["factors"]] == [2]
    assert {row["population"] for row in index["fixed_points"]} == {
        "Flip flop, 1 bits", "Flip flop, 2 bits"
    }  # fmt: skip
    # Its report can be made again without the networks.
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in ("measures", "figures"):
        shutil.copytree(workdir / name, copy / name)
    shutil.copy(workdir / "study.json", copy)
    assert rnnjax("report", copy) == 0
    before, after = (
        (folder / "report.md").read_text().split("## How this page")[0]
        for folder in (workdir, copy)
    )
    assert after == before
    assert rnnjax("report", tmp_path / "none") == 2
    assert "none" in capsys.readouterr().err
    half = tmp_path / "half"
    shutil.copytree(workdir, half)
    write_checked(
        half / "study.json", {name: index[name] for name in ("study", "command", "settings")}
    )
    for file in (half / "measures").glob("flip_flop-standard-bits_2*.nc"):
        file.unlink()
    assert rnnjax("report", half) == 0
    assert "(partial results)" in (half / "report.md").read_text()
    # The summary needs all four; this one is there.
    flags = [f"--config.{study}={tmp_path / 'none'}" for study in STUDIES[1:]]
    error = refused(
        "summary", [*flags, f"--config.task_complexity={workdir}"], tmp_path / "new", capsys
    )
    assert "task_complexity" not in error
    for study in STUDIES[1:]:
        assert f"{study}: expected the workdir of a finished study" in error
    wrong = refused("summary", [f"--config.regularization={workdir}"], tmp_path / "new", capsys)
    assert "regularization: expected its workdir, got that of task_complexity" in wrong
    # Four studies of this size make a page.
    for study in STUDIES[1:]:
        copy = tmp_path / study
        (copy / "measures").parent.mkdir()
        (copy / "measures").symlink_to(workdir / "measures")
        write_checked(copy / "study.json", {**index, "study": study})
    flags = [f"--config.{study}={tmp_path / study}" for study in STUDIES[1:]]
    twice = f"--config.task_complexity={workdir},{workdir}/../{workdir.name}"
    error = refused("summary", [*flags, twice], tmp_path / "new", capsys)
    assert "task_complexity: expected each series in one folder" in error
    flags += [f"--config.task_complexity={workdir}", f"--workdir={tmp_path / 'summary'}"]
    assert call("summary", *flags) == 0
    page = (tmp_path / "summary" / "report.md").read_text()
    assert "of 12 arrows" in page
    assert " nan" not in page.lower()
    assert call("summary", *flags) == 0
    assert rnnjax("status", tmp_path / "summary") == 0
    capsys.readouterr()
    assert rnnjax("report", tmp_path / "summary") == 2
    assert "error: study: summary" in capsys.readouterr().err
    config = settings("task_complexity", "smoke")
    config.dsa.update(components=(2,), delays=(1,), order=4)
    with concurrent.futures.ThreadPoolExecutor(1) as threads:
        module_of("task_complexity").run(config, tmp_path / "there", executor=threads)
    for file in (workdir / "measures").glob("[!.]*.nc"):
        there = read_measures(tmp_path / "there" / "measures" / file.name)
        xr.testing.assert_identical(read_measures(file).drop_attrs(), there.drop_attrs())
    for store in (workdir / "store").glob("*/manifest.json"):
        stores = (store.parent, tmp_path / "there" / "store" / store.parent.name)
        one, other = (load_results(path).drop_vars("seconds") for path in stores)
        xr.testing.assert_identical(one, other)


@pytest.mark.parametrize("study", ALL)
def test_dry_run_counts_training_and_measuring(study, tmp_path, capsys):
    workdir = tmp_path / "new"
    assert call(study, "--config=smoke", "--dry_run", f"--workdir={workdir}") == 0
    printed = capsys.readouterr().out
    stages = study == "training_stages"
    count = "1 condition at 2 losses each" if stages else "2 conditions"
    assert f"{count}: training" in printed
    header, *rows = printed.splitlines()[: 2 if stages else 3]
    place = header.split().index("epochs") - len(header.split())
    assert all(row.split()[place] == "6" for row in rows)  # as many as smoke allows
    assert "measuring" in printed
    assert not workdir.exists()


def test_a_dry_run_of_trained_conditions_counts_their_measuring_alone(tmp_path, monkeypatch):
    config = settings("feature_learning", "smoke")
    tried = conditions.all_conditions(module_of("feature_learning").factors(config))
    monkeypatch.setattr(
        conditions, "unfinished_runs",
        lambda store, sweep: np.full(sweep.shape, store.name == tried[1].folder),
    )  # fmt: skip
    header, *rows = conditions.costs(config, tmp_path, tried).splitlines()[:-1]
    names = header.split()
    found = [dict(zip(names[::-1], row.split()[::-1], strict=False)) for row in rows]
    assert [row["networks"] for row in found] == ["0", "3"]
    assert found[0]["minutes"] == "0.0" != found[1]["minutes"]
    assert all(float(row["measuring"]) > 0 for row in found)


@pytest.mark.parametrize("study", ALL)
def test_the_sweep_of_a_condition_is_that_of_its_store(study, tmp_path, monkeypatch):
    config, stored = settings(study, "smoke"), []
    monkeypatch.setattr("rnnjax.population.train.run_sweep", lambda sweep, *_, **__: stored.append(
        sweep))  # fmt: skip
    monkeypatch.setattr("rnnjax.population.train.load_population", mock.Mock())
    for one in conditions.all_conditions(module_of(study).factors(config)):
        conditions.train(config, tmp_path, one, None)
        here, there = (sweep_config(s, Engine()) for s in (one.sweep(config), stored[-1]))
        assert same_runs(there, here) is None
        assert lacking(there, here) == {}


@pytest.mark.parametrize(("study", "left"), [("training_stages", "2 measurements left"),
                                             ("task_complexity", "2 conditions left")])  # fmt: skip
def test_a_stop_counts_what_is_left_as_the_start_does(study, left, tmp_path, monkeypatch, capsys):
    from rnnjax.studies.degeneracy import study as module

    monkeypatch.setattr(module, "measure_at_losses", mock.Mock(side_effect=KeyboardInterrupt))
    assert call(study, "--config=smoke", f"--workdir={tmp_path / 'run'}") == 130
    assert f", {left}." in capsys.readouterr().err


def test_conditions_that_are_there_come_first_and_are_not_left(monkeypatch):
    from rnnjax.studies.degeneracy import study as module

    config = settings("training_stages", "arrows")
    tried = conditions.all_conditions(module_of("training_stages").factors(config))
    folders = [*dict.fromkeys(one.folder for one in tried)]
    lost = [one for one in tried if one.folder == folders[0]]

    def measure(config, workdir, together, progress):
        if together[0].folder == folders[0]:
            raise KeyboardInterrupt
        return together

    monkeypatch.setattr(module, "measure_at_losses", measure)
    with pytest.raises(KeyboardInterrupt):
        module._measured(config, None, tried, lost, "measurements")
    assert stopping.left()["measurements"] == 4  # of its losses
    stopping.withdraw()


def test_levels_of_a_partial_report_follow_each_other(monkeypatch):
    config = settings("task_complexity", "laptop")
    config.tasks = (FF,)
    factors = module_of("task_complexity").factors(config)
    monkeypatch.setattr(reporting, "read_measures", lambda file: file)

    def levels(*measured):
        files = dict(zip(factors[0].conditions, measured, strict=True))
        monkeypatch.setattr(reporting, "_measured", lambda *given: files[given[-1]])
        return [one.levels for one in reporting._measured_comparisons(factors, config, None)]

    assert levels("a", None, "c") == [("2",)]
    assert levels(None, "b", "c") == [("3", "4")]
    assert levels("a", "b", None) == [("2", "3")]
    assert levels(None, None, None) == []


def test_the_summary_finds_folders_in_the_home_folder(tmp_path, capsys):
    error = refused("summary", ["--config.feature_learning=~/none"], tmp_path / "new", capsys)
    assert str(Path.home() / "none") in error


def test_the_summary_refuses_folders_of_others(tmp_path, capsys):
    (tmp_path / "report.md").write_text("mine")
    assert call("summary", f"--workdir={tmp_path}") == 2
    assert "workdir: expected a new or empty folder" in capsys.readouterr().err
    assert (tmp_path / "report.md").read_text() == "mine"


def test_folders_measured_with_other_settings_are_not_pooled(tmp_path):
    def folder(name, **settings):
        (tmp_path / name).mkdir()
        index = {"study": "network_size", "command": name, "settings": settings, "factors": []}
        write_checked(tmp_path / name / "study.json", index)
        return str(tmp_path / name)

    first = folder("first", samples=16, dsa={"delays": [1, 2]})
    older = folder("older", dsa={"trials": 64, "delays": [1, 2]})
    others = {
        "samples": folder("samples", samples=8, dsa={}),
        "dsa.delays": folder("delays", dsa={"delays": [1]}),
        "dsa.trials": folder("trials", dsa={"trials": 32}),
    }
    assert table1._read_folders("network_size", [first, older])[0] == "first; older"
    for name, other in others.items():
        with pytest.raises(ValueError, match=f"^network_size: expected .* same {name}, got"):
            table1._read_folders("network_size", [first, older, other])


def test_a_summary_that_was_interrupted_is_written_again(tmp_path, monkeypatch):
    def interrupted(page, workdir):
        workdir.mkdir(exist_ok=True)
        (workdir / "report.md").write_text("")
        raise KeyboardInterrupt

    monkeypatch.setattr(table1, "_read_folders", lambda *_: ("", []))
    monkeypatch.setattr(table1, "table1_page", lambda *_, **__: None)
    monkeypatch.setattr(table1, "write_report", interrupted)
    with pytest.raises(KeyboardInterrupt):
        table1.run(settings("summary", "laptop"), tmp_path / "new")
    assert checked_workdir(tmp_path / "new", "summary")


def test_time_is_that_of_the_epochs_of_earlier_runs():
    config = settings("network_size", "laptop")
    usual = {c.name: conditions._usual_epochs(c) for factor in module_of("network_size").factors(
        config) for c in factor.conditions}  # fmt: skip
    assert usual["flip_flop-standard-N_64"] == 15
    assert usual["flip_flop-mup-N_64-gamma_4"] == 11


def test_measuring_is_counted_by_pairs():
    config = settings("network_size", "laptop")
    small, large = (
        conditions.measuring_seconds(config, c, 1e11)
        for c in module_of("network_size").factors(config)[0].conditions[1:]
    )
    assert small == large  # sixty-four and 128 units have as many starts as cost the same
    config.seeds = 50
    many = conditions.measuring_seconds(
        config, module_of("network_size").factors(config)[0].conditions[1], 1e11
    )
    assert many > 10 * small


@pytest.mark.parametrize(
    ("study", "flags", "words"),
    [
        ("training_stages", ["--config.stages=1,3"], ["stages", "losses that fall", "1.0, 3.0"]),
        ("training_stages", ["--config.arrows=network_sizes"], ["arrows", "'network_size'"]),
        ("training_stages", ["--config.arrows=regularization,regularization"], ["arrows", "once"]),
        ("training_stages", ["--config.flip_flop.bits=2"], ["flip_flop.bits", "arrows", "got 2"]),
        ("task_complexity", ["--config.tasks=flip_flop,flip_flop"], ["tasks", "once"]),
        ("feature_learning", ["--config.trick_tasks=flipflop"], ["trick_tasks", "'flip_flop'"]),
        ("network_size", ["--config.standard_tasks=flipflop"], ["standard_tasks", "'flip_flop'"]),
        ("regularization", ["--config.training.flip_flop.tau=0.5"], ["tau"]),
        ("task_complexity", ["--config.training.flip_flop.mup_rate=0.5"], ["mup_rate"]),
        ("training_stages", ["--config.stages=1.0004,1.0"], ["stages", "losses that fall"]),
        ("training_stages", ["--config.stages=0.3,0.299"], ["stages", "that fall", "0.3, 0.299"]),
        ("training_stages", ["--config.stages=()"], ["stages", "at least one loss"]),
        ("task_complexity", ["--config.tasks=flipflop"], ["tasks", "did you mean 'flip_flop'"]),
        ("task_complexity", ["--config.tasks="], ["tasks"]),
        ("task_complexity", ["--config.channels.flip_flop=0,1"], ["channels.flip_flop", "1"]),
        ("task_complexity", ["--config.seeds=0"], ["seeds", "at least 1"]),
        ("task_complexity", ["--config.samples=0"], ["samples", "at least 1"]),
        ("task_complexity", ["--config.dsa.components=2,2"], ["dsa.components", "once", "2 twice"]),
        ("task_complexity", ["--config.dsa.delays=0,1"], ["dsa.delays", "at least 1"]),
        ("task_complexity", ["--config.dsa.variance=1.5"], ["variance"]),
        ("task_complexity", ["--config.stretch=0"], ["stretch", "above 0"]),
        ("feature_learning", ["--config.gammas=0.0,1.0"], ["gamma"]),
        ("feature_learning", ["--config.gammas=2.0,1.0"], ["gammas", "expected values that rise"]),
        ("task_complexity", ["--config.fixed_points.networks=0"], ["fixed_points.networks"]),
        ("task_complexity", ["--config.training.flip_flop.learning_rate=-1.0"], ["learning_rate"]),
        ("network_size", ["--config.widths=0,8"], ["widths", "at least 1"]),
        ("network_size", ["--config.widths=()"], ["tasks", "to compare"]),
        ("network_size", ["--config.hidden=32"], ["hidden"]),
        ("regularization", ["--config.steps_per_epoch=0"], ["steps_per_epoch", "at least 1"]),
        ("regularization", ["--config.l1=-1.0,0.0"], ["l1", "at least 0"]),
        ("regularization", ["--config.l1=()"], ["tasks", "to compare"]),
    ],
)
def test_bad_input_is_one_line_and_touches_nothing(study, flags, words, tmp_path, capsys):
    error = refused(study, ["--config=smoke", *flags], tmp_path / "new", capsys)
    for word in words:
        assert word in error
