"""Figures of degeneracy and of fixed points show the numbers they were given."""

import io

import numpy as np
import pytest

from compared_levels import comparison
from rnnjax.analysis import chart_trends, measure_estimate
from rnnjax.analysis.attractors import Attractors
from rnnjax.dynamics import FixedPoints
from rnnjax.plots import (
    degeneracy_levels,
    dynamics_charts,
    fixed_point_maps,
    network_maps,
    stretched_losses,
)


def drawn(figure):
    figure.savefig(io.BytesIO(), format="png", dpi=40)
    return figure


def test_levels_are_estimates_with_their_errors():
    found = comparison()
    figure = drawn(degeneracy_levels([found], ("dsa", "ood_spread")))
    (line, _, (bars,)) = figure.axes[0].containers[0]
    wanted = [measure_estimate(data, "dsa") for data in found.data]
    np.testing.assert_allclose(line.get_ydata(orig=False), [w.value for w in wanted])
    ends = np.array([segment[:, 1] for segment in bars.get_segments()])
    np.testing.assert_allclose(np.ptp(ends, axis=1) / 2, [w.error for w in wanted])
    assert [t.get_text() for t in figure.axes[0].get_xticklabels()] == list(found.levels)
    assert figure.axes[1].get_xlabel() == "bits"


def test_titles_fit_their_panels():
    found = comparison()._replace(title="Flip flop (gamma-trick)")
    titles = [axes.get_title(loc="left") for axes in degeneracy_levels([found], ("dsa",)).axes]
    assert titles == ["Flip flop\n(gamma-trick)"]


def test_charts_mark_arrows_and_what_is_left_out():
    found = comparison()
    figure = drawn(dynamics_charts([found, found]))
    axes = figure.axes[0]
    marks = [text.get_text() for text in axes.texts]
    assert marks == ["▲"] * 3  # of four places one is beyond the bound
    colors = axes.collections[0].get_array()
    np.testing.assert_allclose(colors.filled(np.nan), chart_trends(found.data)["relative"].values.T)
    assert [t.get_text() for t in axes.get_xticklabels()] == ["2", "4"]


def test_maps_hold_every_network_on_one_scale():
    found = comparison(missed=9)
    figure = drawn(network_maps([found]))
    counts = [len(axes.lines[0].get_xdata()) if axes.lines else 0 for axes in figure.axes]
    assert counts == [10, 10, 0]  # one network has no distances
    assert "nothing to show yet" in [text.get_text() for text in figure.axes[2].texts]
    assert figure.axes[0].get_xlim() == figure.axes[1].get_xlim()


def test_stretched_losses_are_of_converged_networks():
    found = comparison(missed=3)
    figure = drawn(stretched_losses([found]))
    above, below = figure.axes
    assert [len(line.get_ydata()) for line in above.lines] == [10, 10, 7]
    losses = found.data[2]["ood_loss"].values[:7]
    np.testing.assert_allclose(np.sort(above.lines[2].get_ydata()), np.sort(losses))
    assert below.lines[2].get_xdata() == pytest.approx(losses.mean())
    assert below.lines[2].get_ydata() == pytest.approx(losses.std())


def test_fixed_points_are_told_apart():
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
    assert len(by_name["visited"].get_xdata()) == 20


@pytest.mark.parametrize(
    "draw", [degeneracy_levels, dynamics_charts, network_maps, stretched_losses]
)
def test_nothing_to_draw_is_said(draw):
    with pytest.raises(ValueError, match="^comparisons: expected at least one"):
        draw([])
    with pytest.raises(ValueError, match="^populations: expected at least one"):
        fixed_point_maps({})
