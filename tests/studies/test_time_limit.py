"""Time limits and signals keep the block in training; the same command goes on, bit for bit."""

import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import xarray as xr

import rnnjax
from commands import refused
from rnnjax.studies.limit import seconds_of, time_limit_of, without_limit

pytestmark = pytest.mark.usefixtures("default_handlers")

SCRIPT = """
import sys, time
import jax
jax.config.update("jax_num_cpu_devices", 2)
import rnnjax
from rnnjax.studies import console, signals
from rnnjax.studies.limit import time_limit_of

signals._SEGMENT, console._LATE = 0.5, float(sys.argv[3])
sweep = rnnjax.Sweep(
    rnnjax.tasks.delayed_match(2, 2, 2), rnnjax.cells.rate(5),
    rnnjax.Recipe("sgd", epochs=20, batch=4),
    {"learning_rate": (0.03, 0.3), "seed": (0, 1)}, evaluation_trials=12,
)
engine = rnnjax.Engine(block_runs=2, segment=1)

class Slow:
    def begin(self, *_): pass
    compile = end = begin
    def advance(self, block, segment):
        print(segment.step, flush=True)
        time.sleep(float(sys.argv[2]))

rnnjax.run_sweep(sweep, engine=engine)  # compiles
flags = sys.argv[4:]
with console.orderly_end("lr_collapse", flags, time_limit_of(flags)):
    rnnjax.run_sweep(sweep, sys.argv[1], engine=engine, progress=Slow())
"""


def start(path, pause, *flags, late=60):
    environment = {**os.environ, "PYTHONPATH": str(Path(rnnjax.__file__).parent.parent)}
    arguments = [sys.executable, "-c", SCRIPT, path, pause, late, *flags]
    return subprocess.Popen(
        list(map(str, arguments)), env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def finish(process):
    """Exit code, steps at the ends of segments, and the lines of the end."""
    output, errors = process.communicate(timeout=120)
    assert "Traceback" not in errors
    return process.returncode, [int(step) for step in output.split()], errors.splitlines()


def same(one, other):
    here, there = (rnnjax.load_results(path).drop_vars("seconds") for path in (one, other))
    xr.testing.assert_identical(here, there)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The store of an uninterrupted run."""
    path = tmp_path_factory.mktemp("whole") / "store"
    code, steps, _ = finish(start(path, 0))
    assert (code, steps) == (0, [*range(1, 21)] * 2)
    return path


@pytest.mark.slow
def test_a_time_limit_three_times_in_a_row(whole, tmp_path):
    path, taken, codes = tmp_path / "store", [], []
    while 0 not in codes:
        ended, steps, lines = finish(start(path, 0.18, "--time_limit=2s"))
        codes.append(ended)
        taken += steps
        if ended:
            left = 1 if list((path / "blocks").glob("*.json")) else 2
            assert f"{left} block{'s' * (left - 1)} left" in lines[-2]
            assert shlex.split(lines[-1])[-1] == "--time_limit=2s"
        assert len(codes) < 40
    assert codes == [75] * (len(codes) - 1) + [0]
    assert len(codes) > 3
    assert taken == [*range(1, 21)] * 2  # no step was lost, and none was taken twice
    assert not (path / "running").exists()
    same(path, whole)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["SIGTERM", "SIGUSR1"])
def test_signals_of_batch_systems_keep_the_block_in_training(name, whole, tmp_path):
    path, number = tmp_path / "store", getattr(signal, name)
    process = start(path, 0.1)
    assert process.stdout.readline() == "1\n"
    process.send_signal(number)
    code, steps, lines = finish(process)
    assert code == 128 + number
    assert "2 blocks left" in lines[-2]
    last = steps[-1] if steps else 1
    code, steps, _ = finish(start(path, 0))
    assert (code, steps[0]) == (0, last + 1)
    same(path, whole)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_segment_that_does_not_end_is_left(name, tmp_path):
    process = start(tmp_path, 60)
    assert process.stdout.readline() == "1\n"
    process.send_signal(getattr(signal, name))
    code, steps, _ = finish(process)
    assert (code, steps) == (128 + getattr(signal, name), [])
    assert not (tmp_path / "running").exists()


STUCK = """
import signal, time
from rnnjax.studies import console
console._LATE = 0.2
with console.orderly_end("lr_collapse", ["--time_limit=1s"], 0.2):
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])  # as code that no signal reaches
    time.sleep(60)
"""


def test_a_process_that_does_not_stop_is_ended():
    ended = subprocess.run(
        [sys.executable, "-c", STUCK], capture_output=True, text=True, timeout=50
    )
    assert ended.returncode == 75
    assert ended.stderr.splitlines()[-1].endswith("--time_limit=1s")


def test_times():
    texts = {"90s": 90, "55m": 3300, "2h": 7200, "1h30m": 5400, "1h1m1s": 3661}
    assert {text: seconds_of(text) for text in texts} == texts
    for wrong in ("", "55", "0s", "-5m", "1.5h", "30m1h", "1 h", "5d", "m", "9" * 30 + "h"):
        with pytest.raises(ValueError, match=r"^time_limit: expected a time such as .*, got "):
            seconds_of(wrong)


def test_flags_with_times():
    flags = ["--config=smoke", "--time_limit=1s", "-time_limit", "2m", "--workdir=time_limit"]
    assert time_limit_of(flags) == 120
    assert without_limit(flags) == ["--config=smoke", "--workdir=time_limit"]
    assert time_limit_of(["--config=smoke"]) is None
    with pytest.raises(ValueError, match="^time_limit: expected"):
        time_limit_of(["--time_limit"])


def test_a_wrong_time_is_one_line(tmp_path, capsys):
    error = refused("lr_collapse", ["--time_limit=55"], tmp_path / "new", capsys)
    assert error.startswith("error: time_limit: expected")
