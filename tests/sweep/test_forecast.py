"""The forecast of a sweep against sweeps whose times are known."""

import dataclasses
import io

import numpy as np
import pytest

import rnnjax
from rnnjax.devices import Layout, default_layout
from rnnjax.sweep import Engine, cost, forecast, plan, progress
from rnnjax.sweep.block import Segment
from rnnjax.sweep.forecast import Forecast

MACHINE = cost.Machine(flops=2e11, step_overhead=1e-5)


def layout():
    return Layout(default_layout().devices[:2], 1)


def planned(widths=(10, 18, 32, 56, 100, 178)):
    sweep = rnnjax.Sweep(
        task=rnnjax.tasks.delayed_cue(),
        cell=rnnjax.cells.rate(),
        recipe=rnnjax.Recipe(),
        axes={"hidden": widths, "learning_rate": [0.01, 0.1], "seed": range(4)},
    )
    return plan(sweep, layout(), Engine())


class Clock:
    """Stands in for the clock."""

    def __init__(self):
        self.now = 0.0

    def perf_counter(self):
        return self.now


def seconds_of_a_step(block, arithmetic, overhead):
    """As on a machine `arithmetic` and `overhead` times as slow as the model of `MACHINE`."""
    products = cost.step_flops(block.setup) / (0.5 * MACHINE.flops)
    both = cost.step_seconds(block.setup, block.runs, layout(), MACHINE) / block.runs
    return arithmetic * products + overhead * (both - products)


def simulate(monkeypatch, arithmetic, overhead, pause, segment=50, stop=1.0):
    """Times of the segments of a sweep with their forecasts, and the time at the end."""
    clock = Clock()
    monkeypatch.setattr(forecast, "time", clock)
    blocks = planned()
    watched = Forecast(blocks, layout(), MACHINE)
    moments = []
    for block in blocks:
        clock.now += pause
        per_step = seconds_of_a_step(block, arithmetic, overhead)
        last = round(stop * block.setup.recipe.steps)
        for begin in range(0, last, segment):
            taken = min(segment, last - begin) * block.runs
            clock.now += taken * per_step
            over = begin + segment >= last
            whole = block.runs * block.setup.recipe.steps
            done = whole if over else (begin + segment) * block.runs
            watched.advance(block, Segment(block.setup, taken, done))
            moments.append((clock.now, watched.remaining(), watched.share_done()))
    return np.array(moments), clock.now


@pytest.mark.parametrize("arithmetic", [0.8, 1.0, 1.4])
@pytest.mark.parametrize("overhead", [0.3, 1.0, 4.0])
def test_the_forecast_is_right_once_the_machine_is_timed(monkeypatch, arithmetic, overhead):
    moments, end = simulate(monkeypatch, arithmetic, overhead, pause=2.0)
    now, remaining, share = moments.T
    error = (now + remaining) / end - 1
    # At the end of three sizes, with at least half of the time to come.
    assert now[len(now) // 2] < end / 2
    assert np.abs(error[len(now) // 2 :]).max() < 0.3
    assert np.abs(error[-10:]).max() < 0.02
    assert remaining[-1] == pytest.approx(0, abs=1e-6)
    assert np.all(np.diff(share) > 0) and share[-1] == pytest.approx(1)


def test_all_steps_are_assumed_until_a_block_has_shown_when_runs_stop():
    for stop, expected in (("never", False), ("criterion", True)):
        blocks = [
            block._replace(setup=dataclasses.replace(
                block.setup, recipe=dataclasses.replace(block.setup.recipe, stop=stop)
            ))
            for block in planned()
        ]  # fmt: skip
        watched = Forecast(blocks, layout(), MACHINE)
        assert watched.assumes_all_steps() == expected
        first = blocks[0]
        whole = first.runs * first.setup.recipe.steps
        watched.advance(first, Segment(first.setup, whole // 8, whole))
        assert not watched.assumes_all_steps()


def test_steps_that_stopped_runs_skip_are_expected_of_later_blocks_too(monkeypatch):
    moments, end = simulate(monkeypatch, 1.0, 1.0, pause=0.0, segment=20, stop=0.2)
    now, remaining, _ = moments[len(moments) // 2 :].T
    np.testing.assert_allclose(now + remaining, end, rtol=0.3)


def test_runs_that_stop_one_by_one_leave_time_for_the_others(monkeypatch):
    """Half of the runs of the second block stop early; the others take all of their steps."""
    clock = Clock()
    monkeypatch.setattr(forecast, "time", clock)
    first, second = planned((16, 32))
    watched = Forecast([first, second], layout(), MACHINE)
    steps, runs = first.setup.recipe.steps, first.runs
    for begin in range(0, steps, steps // 4):  # a quarter of the steps of every run is enough
        clock.now += 1.0
        done = runs * (begin + steps // 4)
        watched.advance(first, Segment(first.setup, runs * steps // 16, done))
    begin, per_step = 0, 1e-3
    for end in range(steps // 10, steps + 1, steps // 10):
        running = runs if begin == 0 else runs // 2
        taken, begin = running * (end - begin), end
        clock.now += taken * per_step
        done = runs // 2 * steps + runs // 2 * end
        watched.advance(second, Segment(second.setup, taken, done))
        left = (steps - end) * (runs // 2) * per_step
        assert watched.remaining() >= 0.05 * left
    assert watched.remaining() == pytest.approx(0, abs=1e-9)


def test_halves_of_a_block_count_towards_it_and_what_they_repeat_does_not():
    (block,) = planned((16,))
    watched = Forecast([block], layout(), MACHINE)
    whole = block.runs * block.setup.recipe.steps
    watched.advance(block, Segment(block.setup, whole, whole))  # then evaluation runs out of memory
    for number, side in enumerate(("a", "b"), start=1):
        half = block.part(slice(4), name=f"{block.name}-{side}")
        watched.advance(half, Segment(block.setup, whole // 2, whole // 2))
        assert watched.share_done() == pytest.approx(number / 2)
    assert watched.remaining() == pytest.approx(0)


def test_a_block_that_was_not_planned_is_an_error():
    first, other = planned((16, 32))
    with pytest.raises(KeyError, match="not planned"):
        Forecast([first], layout(), MACHINE).advance(other, Segment(other.setup, 1, 1))


def test_slower_machines_are_forecast_to_take_longer():
    blocks = planned()
    fast = Forecast(blocks, layout(), MACHINE)
    slow = Forecast(blocks, layout(), MACHINE._replace(flops=MACHINE.flops / 4))
    assert slow.remaining() > 2 * fast.remaining()


def test_steps_of_a_stopped_call_are_not_forecast_as_skipped(monkeypatch):
    """The first block goes on at nine tenths of its steps; the others have all of theirs."""
    clock = Clock()
    monkeypatch.setattr(forecast, "time", clock)
    blocks = planned((64, 65, 66, 67, 68))
    watched = Forecast(blocks, layout(), MACHINE)
    first, steps = blocks[0], blocks[0].setup.recipe.steps
    for begin in range(steps * 9 // 10, steps, steps // 20):
        clock.now += first.runs * steps // 20 * seconds_of_a_step(first, 1.0, 1.0)
        done = (begin + steps // 20) * first.runs
        segment = Segment(first.setup, steps // 20 * first.runs, done, begin=begin)
        watched.advance(first, segment)
    wanted = sum(b.runs * steps * seconds_of_a_step(b, 1.0, 1.0) for b in blocks[1:])
    assert watched.remaining() == pytest.approx(wanted, rel=0.05)
    assert watched.share_done() == pytest.approx(0.1 / 4.1, rel=0.1)


def test_epochs_that_networks_have_are_not_forecast(monkeypatch):
    monkeypatch.setattr(forecast, "time", Clock())
    blocks = planned((64, 65))
    all_steps = Forecast(blocks, layout(), MACHINE).remaining()
    epochs = blocks[0].setup.recipe.epochs
    few = [block._replace(epochs_before=epochs * 3 // 4) for block in blocks]
    pauses = len(blocks) * forecast._FIRST_PAUSE
    fewer = Forecast(few, layout(), MACHINE).remaining()
    assert fewer - pauses == pytest.approx((all_steps - pauses) / 4, rel=0.02)


def test_the_time_of_workers_is_that_of_the_whole(monkeypatch):
    """Eight workers, each as fast as the model: blocks end in eighths of their time."""
    clock = Clock()
    monkeypatch.setattr(forecast, "time", clock)
    blocks = planned(tuple(range(64, 80)))
    watched = Forecast(blocks, layout(), MACHINE)
    each = [b.runs * b.setup.recipe.steps * seconds_of_a_step(b, 1.0, 1.0) for b in blocks]
    for block, seconds in zip(blocks[:8], each, strict=False):
        clock.now += seconds / 8
        steps = block.runs * block.setup.recipe.steps
        watched.advance(block, Segment(block.setup, steps, steps, remote=True))
    assert watched.remaining() == pytest.approx(sum(each[8:]) / 8, rel=0.05)


def test_the_bar_of_workers_uses_no_device(monkeypatch):
    """The process that collects the blocks leaves the devices to workers on its machine."""

    def used(*_):
        pytest.fail("a device is used")

    clock = Clock()
    monkeypatch.setattr(forecast, "time", clock)
    monkeypatch.setattr(progress, "time", clock)
    monkeypatch.setattr(progress, "all_devices", used)
    monkeypatch.setattr(cost, "measure_machine", used)
    blocks = planned((64, 65))
    bar = rnnjax.ProgressBar(file=io.StringIO())
    bar.begin(blocks, 0, 0)
    clock.now += 10.0
    steps = blocks[0].runs * blocks[0].setup.recipe.steps
    bar.advance(blocks[0], Segment(blocks[0].setup, steps, steps, remote=True))
    assert bar._bar.n == pytest.approx(0.5, rel=0.05)
    assert bar._bar.left == pytest.approx(10.0, rel=0.1)
    bar.end()


class Screen(io.StringIO):
    """A terminal."""

    def isatty(self):
        return True


class Notebook(io.StringIO):
    """The output of a notebook's cell."""

    __module__ = "ipykernel.iostream"


@pytest.mark.parametrize("file", [io.StringIO, Screen, Notebook])
def test_a_log_has_a_line_now_and_then_and_a_terminal_one_that_is_redrawn(monkeypatch, file):
    clock = Clock()
    monkeypatch.setattr(forecast, "time", clock)
    blocks = planned((64, 65))
    shown = file()
    bar = rnnjax.ProgressBar("some", shown)
    bar.begin(blocks, 0, 0)
    for block in blocks:
        bar.compile(block)
        steps = block.runs * block.setup.recipe.steps
        for done in range(steps // 100, steps + 1, steps // 100):
            clock.now += 0.01
            bar.advance(block, Segment(block.setup, steps // 100, done))
    bar.end()
    lines = [line for line in shown.getvalue().split("\n") if line]
    assert "100%" in lines[-1]
    if file is not io.StringIO:
        assert len(lines) == 1 and lines[0].count("\r") > 2 and "100%|" in lines[0]
    else:
        assert len(lines) == 3 and "\r" not in shown.getvalue()
        assert "compiling block 1 of 2" in lines[1]
