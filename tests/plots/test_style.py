"""Numbers and names as figures spell them."""

import numpy as np
import pytest

from rnnjax.plots.style import (
    condition_look,
    contrast_color,
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
    assert plain_numbers([10**-1.8, 0.1], 2) == ["0.016", "0.1"]
    assert plain_numbers([]) == []


def test_ninety_conditions_look_different():
    looks = [condition_look(number) for number in range(90)]
    assert len({(look.color, look.marker) for look in looks}) == 90
    assert looks[0].line != looks[10].line
    assert len({look.color for look in looks[:10]}) == 10


@pytest.mark.parametrize(
    ("background", "text"), [("#0072B2", "white"), ("#56B4E9", "black"), ((0.4, 0, 0.1), "white")]
)
def test_text_is_written_in_the_color_of_more_contrast(background, text):
    assert contrast_color(background) == text


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
        ((6.0, 19.0), ["7", "10", "15"]),
        ((4.1, 6.9), ["4.5", "5", "5.5", "6", "6.5"]),
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
