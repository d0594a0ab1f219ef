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
    with_error,
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


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (7.0, 0.06, "7.00 ± 0.06"),
        (13.0, 0.096, "13.0 ± 0.1"),
        (-0.149, 0.0074, "-0.149 ± 0.007"),
        (0.00135, 0.0002, "0.0014 ± 0.0002"),
        (0.00705, 6e-5, "0.00705 ± 0.00006"),
        (9.04e-4, 1e-6, "(9.04 ± 0.01)\N{MULTIPLICATION SIGN}10⁻⁴"),
        (12345.0, 600.0, "12300 ± 600"),
        (1234567.0, 3000.0, "(1.235 ± 0.003)\N{MULTIPLICATION SIGN}10⁶"),
        (0.00135, 0.0, "0.00135"),
        (2.5e-5, np.nan, "2.5\N{MULTIPLICATION SIGN}10⁻⁵"),
        (0.0, 0.02, "0.00 ± 0.02"),
    ],
)
def test_digits_follow_the_error(value, error, text):
    assert with_error(value, error).replace("\N{NO-BREAK SPACE}", " ") == text


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
