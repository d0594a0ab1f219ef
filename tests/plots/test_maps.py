"""Maps of networks and of fixed points show the positions they were given."""

import numpy as np
import pytest
import xarray as xr

from compared_levels import comparison
from drawings import EMPTY, drawn, panels, texts, titles
from rnnjax.analysis import embedding
from rnnjax.analysis.attractors import Attractors
from rnnjax.dynamics import FixedPoints
from rnnjax.plots import (
    Representative,
    fixed_point_maps,
    kind_shares,
    network_maps,
    solution_gallery,
)
from rnnjax.plots.distances import stress


@pytest.mark.slow
def test_maps_show_every_network_on_one_scale():
    found = comparison(missed=9)
    figure = drawn(network_maps([found]))
    counts = [len(axes.lines[0].get_xdata()) if axes.lines else 0 for axes in figure.axes]
    assert counts == [10, 10, 0]  # one network has no distances
    assert texts(figure.axes[2]) == [EMPTY]
    assert figure.axes[0].get_xlim() == figure.axes[1].get_xlim()
    for axes, data in zip(figure.axes[:2], found.data, strict=False):
        places = embedding(data["dsa"].values)
        np.testing.assert_allclose(axes.lines[0].get_xydata(), places)
        assert axes.get_xlabel() == f"stress {stress(data['dsa'].values, places):.2f}"
    bar, length = figure.axes[0].lines[1].get_xdata(), texts(figure.axes[0])[0].split()
    assert bar[1] - bar[0] == pytest.approx(float(length[0]))
    assert length[1] == "radians"


def test_fixed_points_are_drawn_by_kind():
    points = np.array([[1.0, 0, 0], [0, 1.0, 0], [0, 0, 1.0], [2.0, 0, 0]])
    fixed, stable = np.array([True, True, False, True]), np.array([True, False, False, True])
    one = FixedPoints(points, np.zeros(4), np.zeros((4, 3), complex), fixed, stable, np.ones(4))
    visited = np.random.default_rng(0).normal(size=(1, 20, 3))
    given = Attractors(
        np.array([5]),
        [one],
        np.eye(3)[None],
        np.zeros((1, 3)),
        visited,
        np.full((1, 3), 1 / 3),
        [np.zeros((4, 2))],
    )
    figure = drawn(fixed_point_maps({"Flip flop": given}))
    by_name = {line.get_label(): line for line in figure.axes[0].lines}
    assert sorted(by_name) == ["slow", "stable", "unstable", "visited"]
    np.testing.assert_allclose(by_name["stable"].get_xdata(), [1, 2])
    np.testing.assert_allclose(by_name["unstable"].get_ydata(), [1])
    assert by_name["unstable"].get_markerfacecolor() == "white"
    np.testing.assert_allclose(by_name["visited"].get_xydata(), visited[0, :, :2])
    assert panels(figure)[0].get_xlabel() == "PC 1 (33%)"
    assert titles(figure) == ["Flip flop\nseed 5"]
    assert figure.axes[0].lines[-1].get_label() == "slow"  # over the circles


@pytest.mark.parametrize(("second", "flat"), [(1e-4, True), (0.2, False)])
def test_states_on_a_line_are_drawn_as_one(second, flat):
    rng = np.random.default_rng(1)
    visited = rng.normal(size=(1, 20, 3)) * [10, 0.1, 0]
    none = FixedPoints(
        np.zeros((0, 3)), np.zeros(0), np.zeros((0, 3), complex), np.zeros(0, bool),
        np.zeros(0, bool), np.zeros(0, int),
    )  # fmt: skip
    shares = np.array([[1 - second, second, 0]])
    given = Attractors(
        np.array([5]), [none], np.eye(3)[None], np.zeros((1, 3)), visited, shares,
        [np.zeros((0, 2))],
    )  # fmt: skip
    one = Representative(given, np.zeros((0, 4, 3)))
    for figure in (fixed_point_maps({"a": given}), solution_gallery({"a": {"kind 1": one}})):
        axes = panels(drawn(figure))[0]
        box = axes.get_window_extent()
        scales = np.ptp(axes.get_xlim()) / box.width, np.ptp(axes.get_ylim()) / box.height
        assert (scales[0] == pytest.approx(scales[1])) == flat
        assert ("(20%)" in axes.get_ylabel()) != flat and "(0%)" not in axes.get_ylabel()


def test_at_least_one_population_is_needed():
    with pytest.raises(ValueError, match="^populations: expected at least one"):
        fixed_point_maps({})
    shape = np.zeros((0, 3))
    none = Attractors(np.array([]), [], shape[None], shape, shape[None], shape, [])
    with pytest.raises(ValueError, match="^populations: expected at least one network"):
        fixed_point_maps({"Flip flop": none})


def test_shares_of_kinds_add_up_to_one_at_every_level():
    counts = (("solution", "levels"), [[3, 1, 0], [1, 3, 4]])
    found = xr.Dataset({"count": counts}, {"levels": ["1", "2", "4"]})
    figure = kind_shares({"Flip flop": found}, "gamma")
    (axes,) = figure.axes
    assert axes.get_xlabel() == "gamma"
    heights = np.array([bar.get_height() for bar in axes.patches]).reshape(2, 3)
    np.testing.assert_allclose(heights, [[0.75, 0.25, 0], [0.25, 0.75, 1]])
    bottoms = [bar.get_y() for bar in axes.patches][3:]
    np.testing.assert_allclose(bottoms, heights[0])
    assert sorted(text.get_text() for text in axes.texts) == ["1", "1", "3", "3", "4"]
    assert {text.get_color() for text in axes.texts} == {"white", "black"}
    with pytest.raises(ValueError, match="^found: "):
        kind_shares({})
