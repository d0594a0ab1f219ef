"""Loggers receive the numbers of the sweep, and change nothing."""

import struct
import sys
from types import SimpleNamespace

import numpy as np
import pytest

import rnnjax
import tiny
from rnnjax.loggers import LoggedProgress
from rnnjax.loggers.tensorboard import TensorBoard
from rnnjax.loggers.wandb import WeightsAndBiases
from rnnjax.sweep import Segment

SWEEP = tiny.sweep("delayed_match")
ENGINE = rnnjax.Engine(block_runs=4, segment=5, map_width=1)


class Kept:
    """A logger that keeps what it receives."""

    def __init__(self):
        self.rows, self.flushed = [], 0

    def log(self, name, step, values):
        self.rows.append((name, step, dict(values)))

    def flush(self):
        self.flushed += 1


@pytest.mark.slow
def test_every_segment_is_logged_with_the_median_loss():
    kept = Kept()
    results = rnnjax.run_sweep(SWEEP, engine=ENGINE, progress=LoggedProgress(kept))
    losses = results["loss"].stack(run=("learning_rate", "seed")).values  # [T, S] or [S, T]
    losses = losses if losses.shape[0] == tiny.STEPS else losses.T
    assert [step for _, step, _ in kept.rows] == [5, 10, 15, 20]
    for _, step, values in kept.rows:
        assert values["loss"] == pytest.approx(np.median(losses[step - 1]))
        assert values["steps_per_second"] > 0 and "held_out_loss" not in values
    assert [values["running"] for _, _, values in kept.rows] == [4, 4, 4, 0]
    assert len({name for name, _, _ in kept.rows}) == 1 and kept.flushed == 1
    again = rnnjax.run_sweep(SWEEP, engine=ENGINE)
    np.testing.assert_array_equal(again["loss"].values, results["loss"].values)


def test_blocks_of_workers_have_no_rate():
    kept = Kept()
    progress = LoggedProgress(kept)
    for remote in (False, True):
        segment = Segment(None, 20, 20, step=20, loss=0.5, remote=remote)
        progress.advance(SimpleNamespace(name="b"), segment)
    assert ["steps_per_second" in values for _, _, values in kept.rows] == [True, False]


def test_the_other_progress_is_called_too_and_ends_after_an_error():
    calls = []

    class Other:
        def begin(self, blocks, finished, found):
            calls.append(("begin", len(blocks), finished))

        def compile(self, block):
            calls.append(("compile",))

        def advance(self, block, segment):
            calls.append(("advance", segment.step))
            raise RuntimeError("stop")

        def end(self):
            calls.append(("end",))

    kept = Kept()
    with pytest.raises(RuntimeError, match="stop"):
        rnnjax.run_sweep(SWEEP, engine=ENGINE, progress=LoggedProgress(kept, Other()))
    assert calls[0] == ("begin", 1, 0) and calls[-2:] == [("advance", 5), ("end",)]
    assert kept.flushed == 1


@pytest.mark.parametrize("method", ["log", "flush"])
def test_a_logger_that_fails_is_left_and_training_goes_on(method, monkeypatch):
    kept, calls, ended = Kept(), [], []

    def fails(*_):
        calls.append(method)
        raise ConnectionError("offline")

    monkeypatch.setattr(kept, method, fails)
    bar = SimpleNamespace(begin=print, compile=print, advance=print, end=lambda: ended.append(1))
    progress = LoggedProgress(kept, bar)
    segment = Segment(None, 20, 20, step=20, loss=0.5)

    def log_all():
        for _ in range(2):
            progress.advance(SimpleNamespace(name="b"), segment)
        progress.end()

    with pytest.warns(UserWarning, match="ConnectionError: offline") as warned:
        log_all()
    assert len(warned) == 1
    assert len(calls) == 1 and ended == [1]
    assert kept.flushed == (method == "log")  # what was logged before is kept
    progress.begin([], 0, 0)
    with pytest.warns(UserWarning, match="ConnectionError: offline"):
        log_all()
    assert len(calls) == 2


def test_objects_without_the_methods_are_refused():
    for logger in (None, Kept, SimpleNamespace(log=print)):
        with pytest.raises(ValueError, match="^logger: expected an object with .*, got "):
            LoggedProgress(logger)
    with pytest.raises(ValueError, match="^progress: expected an object with the methods"):
        LoggedProgress(Kept(), print)


def records(file):
    """The records of a TFRecord file: length, checksum, data, checksum."""
    content, begin = file.read_bytes(), 0
    while begin < len(content):
        (length,) = struct.unpack_from("<Q", content, begin)
        yield content[begin + 12 : begin + 12 + length]
        begin += 16 + length


def test_event_files_have_the_scalars(tmp_path):
    pytest.importorskip("tensorboardX")
    from tensorboardX.proto.event_pb2 import Event

    board = TensorBoard(tmp_path)
    board.log("a", 5, {"loss": 0.5, "running": 4.0})
    board.log("b", 5, {"loss": 0.25})
    board.close()
    (file,) = tmp_path.iterdir()
    events = [Event.FromString(record) for record in records(file)]
    found = {(v.tag, event.step): v.simple_value for event in events for v in event.summary.value}
    assert found == {("loss/a", 5): 0.5, ("running/a", 5): 4.0, ("loss/b", 5): 0.25}


class Run:
    """Stands for a run of wandb."""

    def __init__(self):
        self.metrics, self.rows, self.finished = {}, [], False

    def define_metric(self, name, step_metric=None, hidden=False):
        self.metrics[name] = step_metric

    def log(self, row):
        self.rows.append(row)

    def finish(self):
        self.finished = True


def test_every_block_has_steps_of_its_own():
    run = Run()
    logger = WeightsAndBiases(run)
    for name, step in (("a", 5), ("a", 10), ("b", 5)):
        logger.log(name, step, {"loss": 1.0 / step})
    logger.flush()
    logger.close()
    assert run.metrics == {
        "a/step": None, "a/*": "a/step", "b/step": None, "b/*": "b/step"
    }  # fmt: skip
    assert run.rows[1] == {"a/step": 10, "a/loss": 0.1}
    assert run.rows[2] == {"b/step": 5, "b/loss": 0.2}
    assert run.finished


@pytest.mark.parametrize(
    ("package", "make"), [("tensorboardX", lambda: TensorBoard("x")), ("wandb", WeightsAndBiases)]
)
def test_a_missing_package_names_its_extra(package, make, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=r"pip install 'rnnjax\[\w+\]'"):
        make()
