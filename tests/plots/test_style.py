"""Numbers and names as figures spell them."""

import numpy as np
import pytest

from rnnjax.plots.style import (
    log_ticks,
    name_condition,
    name_value,
    new_figure,
    ordered_colors,
    plain_number,
    plain_numbers,
    signed,
    size_ticks,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (10**-1.5, "0.03"),
        (1.0, "1"),
        (0.001, "0.001"),
        (1e-4, "10⁻⁴"),
        (10**-3.5, "3\N{MULTIPLICATION SIGN}10⁻⁴"),
        (178, "200"),
        (1e5, "10⁵"),
    ],
)
def test_plain_numbers(value, text):
    assert plain_number(value) == text


def test_different_values_get_different_texts():
    assert plain_numbers([0.1, 10**-0.9]) == ["0.1", "0.13"]
    assert plain_numbers([]) == []


def test_names():
    assert name_condition({"task": "flip_flop", "optimizer": "sgd"}) == "Flip flop, SGD"
    assert name_condition({"init": "xavier"}) == "init = xavier"
    assert [name_value(value) for value in ("mup_sgd", 0.5, 3)] == ["muP SGD", "0.5", "3"]
    assert [signed(value) for value in (-0.001, 0.5, -1.0)] == ["0.00", "+0.50", "-1.00"]


def test_ordered_colors_run_from_dark_to_light():
    light = [sum(color[:3]) for color in ordered_colors(5)]
    assert len(light) == 5
    assert np.all(np.diff(light) > 0)
    assert ordered_colors(0) == []


@pytest.mark.parametrize(
    ("limits", "texts"),
    [
        ((0.01, 100.0), ["0.01", "0.1", "1", "10", "100"]),
        ((1.0, 100.0), ["1", "3", "10", "30", "100"]),
        ((10.0, 50.0), ["10", "15", "20", "30", "40", "50"]),
    ],
)
def test_logarithmic_ticks_are_round_numbers(limits, texts):
    _, ((axes,),) = new_figure(1, 1)
    axes.set_yscale("log")
    axes.set_ylim(limits)
    log_ticks(axes, "y")
    assert [tick.get_text() for tick in axes.get_yticklabels()] == texts
    np.testing.assert_allclose(axes.get_yticks(), [float(text) for text in texts])


@pytest.mark.parametrize("drawn", [[], [16], [16, 64]])
@pytest.mark.parametrize("sizes", [[16], [16, 32, 64]])
def test_a_size_axis_covers_the_sizes_whatever_is_drawn(sizes, drawn):
    _, grid = new_figure(1, 1, 2, 2)
    axes = grid[0, 0]
    axes.set_xscale("log")
    axes.plot(drawn, np.ones(len(drawn)), "o")
    size_ticks(axes, sizes)
    low, high = axes.get_xlim()
    assert low < min(sizes) and max(sizes) < high
    assert all(low < x < high for x in drawn)


def test_a_single_value_has_ticks_on_both_sides():
    _, grid = new_figure(1, 1, 2, 2)
    axes = grid[0, 0]
    axes.set_yscale("log")
    axes.plot([0, 1], [0.1, 0.1])
    axes.set_ylim(0.1, 0.1001)
    log_ticks(axes, "y")
    low, high = axes.get_ylim()
    assert low < 0.1 < high
    assert len([tick for tick in axes.get_yticks() if low <= tick <= high]) >= 2
