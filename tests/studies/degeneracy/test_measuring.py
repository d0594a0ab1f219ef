"""Conditions of one folder that are measured side by side."""

import threading
import time

import pytest

from rnnjax.studies.degeneracy import measuring


def test_an_error_in_one_comparison_stops_the_others(monkeypatch):
    started, stopped = threading.Event(), []

    def compare(config, workdir, condition, population, clock, check=None):
        if condition == "bad":
            assert started.wait(10)
            raise ValueError("bad")
        if condition == "slow":
            started.set()
            for _ in range(1000):
                try:
                    check(0, 1)
                except Exception:
                    stopped.append(condition)
                    raise
                time.sleep(0.01)

    monkeypatch.setattr(measuring, "_compare", compare)
    monkeypatch.setattr(measuring, "train", lambda *_: None)
    monkeypatch.setattr(measuring, "available_cores", lambda: 2)
    with pytest.raises(ValueError, match="bad"):
        measuring.measure_at_losses(None, None, ["first", "slow", "bad"], None)
    assert stopped == ["slow"]


def test_seconds_side_by_side_add_up_to_the_time_of_all(monkeypatch):
    now = iter([0.0, 1.0, 3.0, 7.0, 12.0])
    monkeypatch.setattr(measuring.time, "monotonic", lambda: next(now))
    clock = measuring._SharedTime()
    clock.begin("a")
    clock.begin("b")  # after two seconds of a alone
    assert clock.end("a") == 2 + 4 / 2
    assert clock.end("b") == 4 / 2 + 5
