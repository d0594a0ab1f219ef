"""Exact texts of the functions that word a report's numbers."""

import numpy as np
import pytest
import xarray as xr

from rnnjax.report.wording import (
    bullets,
    duration,
    exponent_text,
    listed_rates,
    listed_sizes,
    listed_tasks,
    number,
    size_text,
    task_name,
    with_interval,
)


def test_bullets():
    assert bullets(["one", "two"]) == "- one\n- two"
    assert bullets([]) == ""


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0.0 s"),
        (12.34, "12.3 s"),
        (59.4, "59.4 s"),
        (59.6, "1 min 0 s"),
        (365.0, "6 min 5 s"),
        (3599.7, "1 h 0 min"),
        (9640.0, "2 h 40 min"),
    ],
)
def test_duration(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0.126, "0.13"), (-0.004, "0.00"), (-1.0, "-1.00"), (np.nan, "nan")]
)
def test_number(value, text):
    assert number(value) == text


def test_with_interval():
    assert with_interval(-0.97, -1.35, -0.57) == "-0.97 (-1.35 to -0.57)"
    assert with_interval(-0.97, np.nan, -0.57) == "-0.97 (no interval)"


def test_exponent_text():
    fit = xr.Dataset({"exponent": -0.97, "exponent_low": -1.35, "exponent_high": -0.571})
    assert exponent_text(fit) == "-0.97 (-1.35 to -0.57)"
    assert exponent_text(fit * np.nan) == "no fit"


def test_task_name():
    assert task_name("flip_flop") == "the flip-flop task"
    assert task_name("path_integration") == "path integration"


def test_sizes_and_rates():
    assert size_text(10) == "N\N{NO-BREAK SPACE}=\N{NO-BREAK SPACE}10"
    assert listed_sizes(np.array([500, 1000])) == "500, 1000"
    assert listed_rates(10.0 ** np.arange(-4, 1, 2)) == "10⁻⁴, 0.01, 1"


def test_listed_tasks():
    two = xr.Dataset(coords={"task": ["delayed_cue", "sine_wave"]})
    assert listed_tasks(two) == "delayed cue discrimination, sine-wave generation"
    assert listed_tasks(two.isel(task=0)) == "delayed cue discrimination"
    assert listed_tasks(xr.Dataset()) == "see Settings"
