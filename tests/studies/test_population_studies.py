"""The studies of populations and of memory demand as users run them."""

import json
from pathlib import Path
from unittest import mock

import pytest

from commands import call, refused, reports_again, settings, study
from rnnjax import Status, load_population
from rnnjax.report import Page, Provenance
from rnnjax.studies.signals import Stopped
from rnnjax.studies.workdir import read_index

SIZES = {
    "smoke": {"flip_flop": 3, "sine_wave": 3},
    "laptop": dict.fromkeys(
        ("flip_flop", "delayed_discrimination", "sine_wave", "path_integration"), 2 * 4
    ),
    "paper": dict.fromkeys(
        ("flip_flop", "delayed_discrimination", "sine_wave", "path_integration"), 50
    ),
}


@pytest.mark.parametrize("preset", SIZES)
def test_every_preset_describes_its_populations(preset):
    sweeps = study("population").build_sweeps(settings("population", preset))
    assert {name: sweep.size for name, sweep in sweeps.items()} == SIZES[preset]


def unfinished_page(name, there, monkeypatch):
    """The page that `report` of a study writes where only the task `there` is complete."""
    module, config = study(name), settings(name, "laptop")
    config.tasks = ("flip_flop", "sine_wave")
    about, pages = Provenance("python", config.to_dict()), []
    parts = {
        "population": {"_every_size": lambda store, sweep: store.name == there,
                       "_complete": lambda store, sweep: store.name == there},
        "solutions": {"_is_examined": lambda config, workdir, one: one.task.name == there},
        "memory_demand": {
            "_missing": lambda tasks, *_: [(task, "as printed") for task in tasks if task != there],
            "measure_demands": lambda *_: (None, 1.0),
        },
    }  # fmt: skip
    for function, replacement in parts[name].items():
        monkeypatch.setattr(module, function, replacement)
    page = Page("Some", "Flip.", (), subtitle="After")
    monkeypatch.setattr(
        module, "_page", lambda *_: page if name == "memory_demand" else (page, {}, about)
    )
    monkeypatch.setattr(module, "write_report", lambda page, workdir: pages.append(page))
    module.report(Path("none"), about)
    return pages[0]


@pytest.mark.parametrize("name", ["population", "solutions", "memory_demand"])
def test_reports_of_some_tasks_are_partial_and_name_the_others(name, monkeypatch):
    page = unfinished_page(name, "flip_flop", monkeypatch)
    assert page.lead.startswith("Partial results")
    assert "sine-wave" in page.lead and "flip-flop" not in page.lead
    assert page.lead.endswith("Flip.")
    assert page.subtitle == "After (partial results)"


def test_a_stopped_population_counts_tasks(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("rnnjax.run_sweep", mock.Mock(side_effect=KeyboardInterrupt))
    assert call("population", "--config=smoke", f"--workdir={tmp_path / 'run'}") == 130
    assert ", 2 tasks left." in capsys.readouterr().err


@pytest.mark.slow
def test_populations_train_report_and_resume(tmp_path):
    workdir = tmp_path / "run"
    assert call("population", "--config=smoke", f"--workdir={workdir}") == 0
    assert read_index(workdir)["study"] == "population"
    found = load_population(workdir / "store" / "flip_flop")
    assert Status.CONVERGED in found.status
    page = (workdir / "report.md").read_text()
    assert "rnnjax run population --config=smoke" in page
    assert " nan" not in page.lower()
    names = {file.stem for file in (workdir / "figures").glob("*.png")}
    assert names == {"threshold_curves", "answers_flip_flop", "answers_sine_wave"}
    markers = {f: f.read_text() for f in (workdir / "store").glob("*/blocks/*.json")}
    assert len(markers) == 2
    assert call("population", "--config=smoke", f"--workdir={workdir}") == 0
    assert {f: f.read_text() for f in (workdir / "store").glob("*/blocks/*.json")} == markers
    assert reports_again(workdir)
    other = "--config.training.flip_flop.learning_rate=0.02"
    assert call("population", "--config=smoke", other, f"--workdir={workdir}") == 0
    assert reports_again(workdir)


@pytest.mark.slow
def test_memory_demand_reports_and_resumes(tmp_path, capsys):
    workdir = tmp_path / "run"
    small = ("--config=smoke", "--config.tasks=sine_wave", f"--workdir={workdir}")
    assert call("memory_demand", *small) == 0
    assert read_index(workdir)["study"] == "memory_demand"
    cache = workdir / "store" / "memory_demand.json"
    before = cache.read_text()
    assert len(json.loads(before)) == 4 + 1  # and their digest
    assert "rnnjax run memory_demand --config=smoke" in (workdir / "report.md").read_text()
    assert (workdir / "figures" / "memory_demand.png").exists()
    assert call("memory_demand", *small) == 0
    assert cache.read_text() == before
    capsys.readouterr()
    for flags, found in ((small, "Nothing to train"), ((*small, "--config.units=8"), "4 programs")):
        assert call("memory_demand", *flags, "--dry_run") == 0
        assert capsys.readouterr().out.startswith(found)
    assert reports_again(workdir)
    other = [*small, "--config.units=8"]
    with mock.patch("rnnjax.studies.memory_demand.study.measure_demands", side_effect=Stopped(2)):
        assert call("memory_demand", *other) == 130
    assert read_index(workdir)["settings"]["units"] == 16  # of the last command that finished
    assert reports_again(workdir)


@pytest.mark.parametrize(
    ("name", "flags", "words"),
    [
        ("population", ["--config.tasks=flipflop"], ["tasks", "did you mean 'flip_flop'"]),
        ("population", ["--config.seeds=0"], ["seeds", "at least 1"]),
        ("population", ["--config.patience=0"], ["patience", "at least 1"]),
        ("population", ["--config.training.sine_wave.threshold=nan"], ["threshold", "above 0"]),
        ("population", ["--config.training.sine_wave.schedule=plato"], ["schedule", "'plateau'"]),
        ("population", ["--config.sine_wave.channels=0"], ["channels", "at least 1"]),
        ("population", ["--config.stretch=0"], ["stretch", "above 0"]),
        ("population", ["--config.probe_times=200"], ["probe_times", "at most 15"]),
        ("memory_demand", ["--config.tasks=sine"], ["task", "'sine_wave'"]),
        ("memory_demand", ["--config.tasks="], ["tasks", "at least 1"]),
        ("memory_demand", ["--config.histories=5,1"], ["histories", "ascending"]),
        ("memory_demand", ["--config.histories=5"], ["histories", "at least two", "[5]"]),
        ("memory_demand", ["--config.initializations=0"], ["initializations", "at least 1"]),
    ],
)
def test_bad_input_is_one_line_and_touches_nothing(name, flags, words, tmp_path, capsys):
    error = refused(name, ["--config=smoke", *flags], tmp_path / "new", capsys)
    for word in words:
        assert word in error
