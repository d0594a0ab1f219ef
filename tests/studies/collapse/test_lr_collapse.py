"""The collapse study as users run it: presets, flags, errors, interruption."""

import hashlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from unittest import mock

import numpy as np
import pytest

import commands
import rnnjax
from rnnjax.store import ResultStore, load_results
from rnnjax.studies.collapse import study
from rnnjax.studies.console import FAILED
from rnnjax.studies.grids import unfinished_runs
from rnnjax.studies.workdir import read_index
from rnnjax.sweep import empty_results, sweep_config

SCRIPT = commands.EXPERIMENTS / "lr_collapse.py"
NETWORKS = {"smoke": 24, "laptop": 2 * 2 * 6 * 9 * 4, "bisect": 2 * 7 * 41 * 8,
            "bisect_flip_flop": 2 * 5 * 41 * 8, "paper": 3900}  # fmt: skip


def call(*flags):
    return commands.call("lr_collapse", *flags)


def fingerprint(folder):
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(f): (hashlib.sha256(f.read_bytes()).hexdigest(), f.stat().st_mtime) for f in files}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A workdir with a finished smoke run."""
    workdir = tmp_path_factory.mktemp("smoke") / "run"
    assert call("--config=smoke", f"--workdir={workdir}") == 0
    return workdir


@pytest.mark.parametrize("preset", NETWORKS)
def test_every_preset_describes_a_sweep(preset):
    config = commands.settings("lr_collapse", preset)
    assert study.build_sweep(config).size == NETWORKS[preset]


def test_the_length_of_a_trial_replaces_the_delay():
    config = commands.settings("lr_collapse", "smoke")
    config.delayed_cue.steps = 30
    (task,) = study.build_sweep(config).axis("task").values
    assert (task.cue, task.delay, task.response) == (6, 30 - 6 - 10, 10)


def test_a_dry_run_of_a_bisection_counts_what_the_folder_has(tmp_path, monkeypatch):
    config = commands.settings("lr_collapse", "bisect")
    sweep = study.build_sweep(config)
    left = np.ones(sweep.shape, bool)
    left.flat[:1234] = False
    monkeypatch.setattr(study, "unfinished_runs", lambda *_: left)
    monkeypatch.setattr(study, "runs_of", lambda *_: None)
    texts = []
    for more in (True, False):
        monkeypatch.setattr(study, "next_runs", lambda *_, more=more, **__: left & more)
        texts.append(study._cost(config, sweep, tmp_path))
    assert "1,234" in texts[0].splitlines()[-1]
    assert "networks x" in texts[0] and "networks x" not in texts[1]


def test_a_stopped_bisection_does_not_count_the_blocks_of_its_round(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(study, "bisect_critical_rates", mock.Mock(side_effect=KeyboardInterrupt))
    assert call("--config=smoke", "--config.bisect=True", f"--workdir={tmp_path / 'run'}") == 130
    assert ", 1 bisection left." in capsys.readouterr().err


@pytest.mark.slow
def test_smoke_writes_store_figures_and_report(finished):
    index = read_index(finished)
    assert index["study"] == "lr_collapse" and index["settings"]["seeds"] == 2
    assert index["command"].endswith(f"--config=smoke --workdir={finished}")
    results = load_results(finished / "store")
    assert dict(results.sizes) == {
        "task": 1, "optimizer": 2, "hidden": 2, "learning_rate": 3, "seed": 2, "step": 30,
    }  # fmt: skip
    assert (results.status != rnnjax.Status.PENDING).all()
    page = (finished / "report.html").read_text()
    assert "0.33" in page and "1.34" in page  # the paper's exponents stand beside ours
    assert 'src="http' not in page and 'href="http' not in page.split("<body")[0]
    assert (finished / "report.md").stat().st_size > 1000
    assert len(list((finished / "figures").glob("*.png"))) >= 3


@pytest.mark.slow
def test_the_same_command_again_computes_nothing(finished, capsys):
    before = fingerprint(finished / "store")
    assert call("--config=smoke", f"--workdir={finished}") == 0
    assert fingerprint(finished / "store") == before
    assert "lr_collapse: all there, 4 blocks" in capsys.readouterr().err


@pytest.mark.slow
def test_the_state_and_the_report_of_a_finished_folder(finished, tmp_path, capsys):
    assert commands.rnnjax("status", finished) == 0
    printed = capsys.readouterr().out
    assert "24 of 24 networks, complete; 4 blocks" in printed
    assert "study lr_collapse, by: rnnjax run lr_collapse --config=smoke" in printed
    copy = tmp_path / "run"
    shutil.copytree(finished, copy)
    assert commands.reports_again(copy)
    first = sorted((copy / "store" / "blocks").glob("*.json"))[0]
    first.unlink()  # as if it had not been computed yet
    assert commands.rnnjax("status", copy) == 0
    assert "18 of 24 networks, 6 not run" in capsys.readouterr().out
    assert commands.rnnjax("report", copy) == 0
    assert "(partial results)" in (copy / "report.md").read_text()
    (copy / "report.html").unlink()
    assert commands.rnnjax("status", copy) == 1
    printed = capsys.readouterr().out
    assert f"damaged: report: {copy / 'report.html'} is missing" in printed
    assert "report.html: not written yet" in printed
    assert commands.rnnjax("status", "--no-verify", copy) == 0
    (copy / "store" / "manifest.json").write_text("")
    assert commands.rnnjax("status", "--no-verify", copy) == commands.rnnjax("status", copy) == 1
    (copy / "study.json").write_text("{}")
    capsys.readouterr()
    assert commands.rnnjax("report", copy) == FAILED
    assert "study.json is damaged" in capsys.readouterr().err


@pytest.mark.slow
def test_a_report_is_of_the_runs_of_its_settings(finished, tmp_path, capsys):
    copy = tmp_path / "run"
    shutil.copytree(finished, copy)
    tasks = rnnjax.tasks.DelayedMatch(4, 2, 3), *study.build_sweep(settings_of(copy)).axes["task"]
    more = study.build_sweep(settings_of(copy)).with_axes(task=tasks, seed=range(3))
    template, axes = empty_results(more), len(more.shape)
    cells = np.argwhere(np.ones((1,) * (axes - 1) + (3,)))  # another task, as after an interruption
    values = {
        name: np.ones((len(cells), *array.shape[axes:]), array.dtype)
        for name, array in template.data_vars.items()
    }
    with ResultStore(copy / "store", template, sweep_config(more, rnnjax.Engine())) as store:
        store.write("another", cells, values, seconds=1.0)
    assert commands.rnnjax("report", copy) == 0
    text, before = (copy / "report.md").read_text(), (finished / "report.md").read_text()
    assert "(partial results)" not in text
    assert text.split("## Settings")[0] == before.split("## Settings")[0]
    capsys.readouterr()
    assert call("--config=smoke", "--dry_run", f"--workdir={copy}") == 0
    assert "Nothing to train" in capsys.readouterr().out
    same = study.build_sweep(settings_of(copy))
    rounded = [float(np.float32(rate)) for rate in same.axes["learning_rate"]]
    for other, lacks in ((same.with_axes(learning_rate=rounded), 0),
                         (same.with_axes(seed=range(4)), 12 + 12)):  # fmt: skip
        assert unfinished_runs(copy / "store", other).sum() == lacks


def settings_of(workdir):
    return study.SETTINGS.restored(read_index(workdir)["settings"])


@pytest.mark.slow
def test_another_config_is_refused_and_named(finished, capsys):
    before = fingerprint(finished)
    assert call("--config=smoke", "--config.alpha=0.25", f"--workdir={finished}") == FAILED
    error = capsys.readouterr().err
    assert "cell.alpha is 0.5 in the store but 0.25 in this call" in error
    assert len(error.strip().splitlines()) == 1
    assert fingerprint(finished) == before


@pytest.mark.slow
def test_dry_run_prints_the_cost_and_writes_nothing(tmp_path, capsys):
    assert call("--config=paper", "--dry_run", f"--workdir={tmp_path / 'new'}") == 0
    printed = capsys.readouterr().out
    assert "3,900 networks x 5,000 steps" in printed
    assert len(printed.splitlines()) == 1 + 13 + 1  # all conditions of one size in a row
    assert "minutes" in printed and "MB" in printed
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--config.hidden=16,-4"], ["hidden", "at least 1", "-4"]),
        (["--config.hidden=16,16"], ["hidden", "distinct"]),
        (["--config.learning_rates=0.1,0"], ["learning_rate", "above 0"]),
        (["--config.learning_rates=(0.1, 'nan')"], ["learning_rate", "finite"]),
        (["--config.learning_rates=1e999,0.1"], ["learning_rate", "finite"]),
        (["--config.tasks=delayed_que"], ["task", "did you mean 'delayed_cue'"]),
        (["--config.optimizers=adm"], ["optimizer", "did you mean 'adam'"]),
        (["--config=smok"], ["preset", "did you mean 'smoke'"]),
        (["--config.arm=xaver"], ["arm", "did you mean 'xavier'"]),
        (["--config.seeds=0"], ["seeds", "at least 1", "0"]),
        (["--config.seedz=1"], ["seedz", "seeds"]),
        (["--config.optimizers=sgd", "--config.eps=1e-3"], ["eps", "Adam's", "0.001"]),
        (["--config.epochs=0"], ["epochs", "at least 1"]),
        (["--config.alpha=1.5"], ["alpha", "(0, 1]", "1.5"]),
        (["--config.level=0"], ["level"]),
        (["--config.delayed_cue.steps=12", "--config.delayed_cue.response=50"], ["response", "50"]),
        (["--config.delayed_cue.response=0"], ["response", "at least 1"]),
        (["--config=nowhere.py"], ["nowhere.py"]),
        (["--wrkdir=x"], ["wrkdir", "workdir"]),
        (["extra"], ["extra"]),
    ],
)
def test_bad_input_is_one_line_and_touches_nothing(flags, words, tmp_path, capsys):
    assert call(*flags, f"--workdir={tmp_path / 'new'}") == FAILED
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert len(error.strip().splitlines()) == 1
    for word in words:
        assert word in error
    assert not (tmp_path / "new").exists()


def test_workdirs_that_are_not_ours_are_left_alone(tmp_path, capsys):
    (tmp_path / "thesis.tex").write_text("years of work")
    before = fingerprint(tmp_path)
    assert call("--config=smoke", f"--workdir={tmp_path}") == FAILED
    assert call("--config=smoke", f"--workdir={tmp_path / 'thesis.tex'}") == FAILED
    assert call("--config=smoke", f"--workdir={tmp_path / 'thesis.tex' / 'run'}") == FAILED
    assert capsys.readouterr().err.count("error: ") == 3
    assert fingerprint(tmp_path) == before


@pytest.mark.slow
@pytest.mark.usefixtures("default_handlers")
def test_a_signal_leaves_a_folder_that_the_same_command_finishes(tmp_path, capsys):
    workdir = tmp_path / "a run"
    # Enough epochs that the signal finds the second block in training.
    flags = (
        "--config=smoke", "--config.epochs=400", "--config.tasks=delayed_cue",
        "--config.optimizers=sgd", f"--workdir={workdir}",
    )  # fmt: skip
    command = [sys.executable, str(SCRIPT), *flags]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(
        command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True
    )
    blocks = workdir / "store" / "blocks"
    deadline = time.monotonic() + 120
    while not list(blocks.glob("*.json")):
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    assert "Traceback" not in error
    assert shlex.split(error.splitlines()[-1]) == command
    kept = {f.name: f.read_text() for f in blocks.glob("*.json")}
    assert len(kept) == 1
    capsys.readouterr()
    assert call(*flags) == 0
    found = "1 of 2 blocks found, 1 to do"
    assert f"lr_collapse: {found}" in capsys.readouterr().err
    assert {name: (blocks / name).read_text() for name in kept} == kept
    assert (workdir / "report.html").exists()


ABANDONED = """
import asyncio, atexit
from rnnjax.studies import launch
from rnnjax.studies.catalog import STUDIES
from rnnjax.studies.console import orderly_end

def run(*args, **options):
    loop = asyncio.new_event_loop()
    writes = [loop.create_task(asyncio.sleep(60))]  # stands for a store's unfinished write
    loop.run_until_complete(asyncio.sleep(0))
    atexit.register(writes.clear)
    atexit.register(loop.close)
    raise KeyboardInterrupt

with orderly_end("lr_collapse", ["--config=smoke"]):
    launch.start(STUDIES["lr_collapse"]._replace(run=run), ["--config=smoke"])
"""


@pytest.mark.slow
def test_ctrl_c_in_the_middle_of_a_write_ends_with_the_command_to_give_again(tmp_path):
    ended = subprocess.run(
        [sys.executable, "-c", ABANDONED],
        cwd=tmp_path, capture_output=True, text=True,
        timeout=120,
    )  # fmt: skip
    assert ended.returncode == 128 + signal.SIGINT
    assert ended.stderr.splitlines()[-1].endswith("--config=smoke")
