"""Time limits and signals keep the block in training; the same command goes on, bit for bit."""

import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import xarray as xr

import forked
import rnnjax
from commands import refused
from rnnjax.studies.limit import seconds_of, time_limit_of, without_limit

pytestmark = pytest.mark.usefixtures("default_handlers")

SCRIPT = """
import sys, time
import jax
jax.config.update("jax_num_cpu_devices", 2)
jax.config.update("jax_disable_most_optimizations", True)  # as in other tests, wherever it runs
import rnnjax
from rnnjax.studies import console, signals
from rnnjax.studies.limit import time_limit_of

signals._SEGMENT, console._LATE = 0.5, 60.0
sweep = rnnjax.Sweep(
    rnnjax.tasks.delayed_match(2, 2, 2), rnnjax.cells.rate(5),
    rnnjax.Recipe("sgd", epochs=16, batch=4),
    {"learning_rate": (0.03, 0.3), "seed": (0, 1)}, evaluation_trials=12,
)
engine = rnnjax.Engine(block_runs=2, segment=1)

class Slow:
    def begin(self, *_): pass
    compile = end = begin
    def advance(self, block, segment):
        print(segment.step, flush=True)
        time.sleep(pause)

rnnjax.run_sweep(sweep, engine=engine)  # compiles
with console.orderly_end("lr_collapse", flags, time_limit_of(flags)):
    rnnjax.run_sweep(sweep, path, engine=engine, progress=Slow())
"""
STEPS = [*range(1, 17)]  # of each of the two blocks
REAL = """
import sys
path, pause, flags = sys.argv[1], float(sys.argv[2]), sys.argv[3:]
"""


def start(path, pause, *flags):
    return forked.start(SCRIPT, f"{path}.printed", path=str(path), pause=pause, flags=list(flags))


def lines(path, stream="out"):
    return Path(f"{path}.printed.{stream}").read_text().splitlines()


def finish(process, path):
    """Exit code, steps at the ends of segments, and the lines of the end."""
    code = forked.ended(process)
    assert "Traceback" not in "\n".join(lines(path, "err"))
    return code, [int(step) for step in lines(path)], lines(path, "err")


def run(path, pause, *flags):
    with start(path, pause, *flags) as process:
        return finish(process, path)


def run_as_users_do(path, pause, *flags):
    """The same in an interpreter of its own."""
    ended = subprocess.run(
        [sys.executable, "-c", REAL + SCRIPT, path, str(pause), *flags],
        capture_output=True, text=True, timeout=120,
        env={**os.environ, "PYTHONPATH": str(Path(rnnjax.__file__).parent.parent)},
    )  # fmt: skip
    assert "Traceback" not in ended.stderr
    steps = [int(step) for step in ended.stdout.split()]
    return ended.returncode, steps, ended.stderr.splitlines()


def send_in_first_segment(process, path, number):
    forked.wait_for(lambda: Path(f"{path}.printed.out").exists() and lines(path), process)
    os.kill(process.pid, number)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("whole") / "store"
    code, steps, _ = run(path, 0)
    assert (code, steps) == (0, STEPS * 2)
    return path


def same(one, other):
    here, there = (rnnjax.load_results(path).drop_vars("seconds") for path in (one, other))
    xr.testing.assert_identical(here, there)


@pytest.mark.slow
def test_a_time_limit_three_times_in_a_row(whole, tmp_path):
    path, taken, codes = tmp_path / "store", [], []
    while 0 not in codes:
        how = run if codes else run_as_users_do
        ended, steps, printed = how(path, 0.2, "--time_limit=2s")
        codes.append(ended)
        taken += steps
        if ended:
            left = 1 if list((path / "blocks").glob("*.json")) else 2
            assert f"{left} block{'s' * (left - 1)} left" in printed[-2]
            assert shlex.split(printed[-1])[-1] == "--time_limit=2s"
        assert len(codes) < 40
    assert codes == [75] * (len(codes) - 1) + [0]
    assert len(codes) > 3
    assert taken == STEPS * 2  # no step was lost, and none was taken twice
    assert not (path / "running").exists()
    same(path, whole)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["SIGTERM", "SIGUSR1"])
def test_signals_of_batch_systems_keep_the_block_in_training(name, whole, tmp_path):
    path, number = tmp_path / "store", getattr(signal, name)
    with start(path, 0.1) as process:
        send_in_first_segment(process, path, number)
        code, steps, printed = finish(process, path)
    assert code == 128 + number
    assert "2 blocks left" in printed[-2]
    last = steps[-1]
    code, steps, _ = run(path, 0)
    assert (code, steps[0]) == (0, last + 1)
    same(path, whole)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_segment_that_does_not_end_is_left(name, tmp_path):
    path, number = tmp_path / "store", getattr(signal, name)
    with start(path, 60) as process:
        send_in_first_segment(process, path, number)
        code, steps, _ = finish(process, path)
    assert (code, steps) == (128 + number, [1])
    assert not (path / "running").exists()


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
