"""Charts of degeneracy show the numbers they were given."""

import numpy as np
import pytest

from compared_levels import comparison
from drawings import EMPTY, drawn, labels, panels, texts, titles
from rnnjax.analysis import chart_trends, measure_estimate
from rnnjax.plots import degeneracy_levels, dynamics_charts, network_maps, stretched_losses


def test_levels_are_estimates_with_their_errors():
    found = comparison()
    figure = drawn(degeneracy_levels([found], ("dsa", "ood_spread")))
    (line, _, (bars,)) = figure.axes[0].containers[0]
    wanted = [measure_estimate(data, "dsa") for data in found.data]
    np.testing.assert_allclose(line.get_ydata(orig=False), [w.value for w in wanted])
    ends = np.array([segment[:, 1] for segment in bars.get_segments()])
    np.testing.assert_allclose(np.ptp(ends, axis=1) / 2, [w.error for w in wanted])
    assert labels(figure.axes[0]) == list(found.levels)
    assert figure.axes[1].get_xlabel() == "bits"


def test_titles_fit_their_panels():
    found = comparison()._replace(title="Flip flop (gamma-trick)")
    assert titles(degeneracy_levels([found], ("dsa",))) == ["Flip flop\n(gamma-trick)"]


def test_charts_mark_arrows_and_what_is_left_out():
    found = comparison()
    figure = drawn(dynamics_charts([found, found]))
    assert len(panels(figure)) == 4  # two distances of two comparisons
    axes = figure.axes[0]
    assert texts(axes) == ["▲"] * 3  # of four places one is beyond the bound
    colors = axes.collections[0].get_array()
    np.testing.assert_allclose(colors.filled(np.nan), chart_trends(found.data)["relative"].values.T)
    assert labels(axes, "x") == ["2", "4"]
    assert labels(axes, "y") == ["1", "2"]
    assert axes.collections[0].get_clim() == (-0.6, 0.6)


def test_stretched_losses_are_of_converged_networks():
    found = comparison(missed=3)
    figure = drawn(stretched_losses([found]))
    above, below = figure.axes
    assert [len(line.get_ydata()) for line in above.lines] == [10, 10, 7]
    losses = found.data[2]["ood_loss"].values[:7]
    np.testing.assert_allclose(np.sort(above.lines[2].get_ydata()), np.sort(losses))
    assert below.lines[2].get_xdata() == pytest.approx(losses.mean())
    assert below.lines[2].get_ydata() == pytest.approx(losses.std())
    assert above.lines[2].get_color() == below.lines[2].get_color()


def test_a_task_without_converged_networks_is_an_empty_panel():
    found = comparison(scales=(1.0, 2.0), networks=3, missed=3)
    nothing = found._replace(data=(found.data[1],) * 2)
    for axes in panels(drawn(stretched_losses([nothing]))):
        assert not axes.lines
        assert texts(axes) == [EMPTY]


@pytest.mark.parametrize(
    "draw", [degeneracy_levels, dynamics_charts, network_maps, stretched_losses]
)
def test_at_least_one_comparison_is_needed(draw):
    with pytest.raises(ValueError, match="^comparisons: expected at least one"):
        draw([])
