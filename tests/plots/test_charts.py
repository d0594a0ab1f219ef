"""Charts of degeneracy show the numbers they were given."""

import numpy as np
import pytest

from compared_levels import comparison
from drawings import EMPTY, drawn, labels, legends, panels, texts, titles
from rnnjax.analysis import chart_trends, interval, measure_interval, measure_trend
from rnnjax.plots import (
    ArrowCurve,
    arrow_curves,
    degeneracy_levels,
    dynamics_charts,
    network_maps,
    stage_levels,
    stretched_losses,
)
from rnnjax.plots.style import contrast_color


def test_levels_are_estimates_with_their_intervals():
    found = comparison()
    figure = drawn(degeneracy_levels([found], ("dsa", "ood_spread")))
    for axes, measure in zip(figure.axes, ("dsa", "ood_spread"), strict=True):
        (line, _, (bars,)) = axes.containers[0]
        wanted = np.array([measure_interval(data, measure) for data in found.data])
        np.testing.assert_allclose(line.get_ydata(orig=False), wanted[:, 0])
        ends = [segment[:, 1] for segment in bars.get_segments()]
        np.testing.assert_allclose(ends, wanted[:, 1:])
    assert figure.axes[1].get_ylabel().startswith("robust sd")
    assert labels(figure.axes[0]) == list(found.levels)
    assert figure.axes[1].get_xlabel() == "bits"
    assert "radians" in figure.axes[0].get_ylabel()
    with pytest.raises(ValueError, match="^measures: .*did you mean 'dsa'"):
        degeneracy_levels([found], ("dsaa",))


def test_titles_fit_their_panels():
    found = comparison()._replace(title="Flip flop (gamma-trick)")
    for draw in (lambda c: degeneracy_levels(c, ("dsa",)), dynamics_charts, stretched_losses):
        assert titles(draw([found])) == ["Flip flop\n(gamma-trick)\nbits"]


def test_many_comparisons_are_blocks_of_rows():
    found = [comparison()._replace(setting=f"setting {number}") for number in range(5)]
    figure = drawn(degeneracy_levels(found, ("dsa", "pif")))
    boxes = [axes.get_window_extent() for axes in figure.axes]
    assert len(boxes) == 2 * 5
    assert len({round(box.x0) for box in boxes}) == 3
    assert len({round(box.y0) for box in boxes}) == 4
    left = min(box.x0 for box in boxes)
    named = [bool(axes.get_ylabel()) for axes in figure.axes]
    assert named == [round(box.x0) == round(left) for box in boxes]
    assert len({title.split("\n")[1] for title in titles(figure)}) == 5


def test_a_measure_that_no_network_has_is_an_empty_panel():
    found = comparison()
    for data in found.data:
        data["pif"][:] = np.nan
    assert [texts(axes) for axes in degeneracy_levels([found], ("dsa", "pif")).axes] == [
        [],
        [EMPTY],
    ]
    stages = [found._replace(stage=stage) for stage in (3.0, 1.0)]
    figure = drawn(stage_levels([stages], [("dsa", "pif", "ood_spread")]))
    assert [texts(axes) for axes in figure.axes] == [[], [EMPTY], []]
    assert legends(figure) == list(found.levels)
    assert figure.axes[2].get_ylabel().startswith("robust sd")


def test_levels_show_the_chart_at_the_places_that_all_have():
    found = comparison()
    found.data[1]["dsa_chart"][0, 0] = np.nan
    axes = degeneracy_levels([found], ("dsa_chart",)).axes[0]
    heights = axes.lines[0].get_ydata()
    for height, data in zip(heights, found.data, strict=True):
        chart = data["dsa_chart"].values
        pairs = np.triu_indices(chart.shape[-1], 1)
        np.testing.assert_allclose(height, (chart[0, 1] + chart[1, 0])[pairs].mean() / 2)
    # Other measures need no shared chart.
    other = (found.data[0], found.data[1].assign_coords(delay=[1, 3]))
    assert (
        degeneracy_levels([found._replace(levels=("2", "3"), data=other)], ("dsa",)).axes[0].lines
    )


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
    cells = axes.collections[0].get_facecolors()[colors.mask.ravel() == 0]
    for text, cell in zip(axes.texts, cells, strict=True):
        assert text.get_color() == contrast_color(cell)


def test_stretched_losses_are_of_converged_networks():
    found = comparison(missed=3)
    figure = drawn(stretched_losses([found]))
    above, below = figure.axes
    assert [len(line.get_ydata()) for line in above.lines] == [10, 10, 7]
    losses = found.data[2]["ood_loss"].values[:7]
    np.testing.assert_allclose(np.sort(above.lines[2].get_ydata()), np.sort(losses))
    assert below.lines[2].get_xdata() == pytest.approx(losses.mean())
    assert below.lines[2].get_ydata() == pytest.approx(interval("spread", losses).value)
    assert below.get_ylabel() == "robust sd"
    assert not below.get_legend().get_window_extent().overlaps(below.get_window_extent())
    assert above.lines[2].get_color() == below.lines[2].get_color()


def test_losses_that_overflow_are_counted_and_a_single_one_is_drawn():
    found = comparison(missed=9)  # of the last level one network is left
    found.data[1]["ood_loss"][:2] = np.inf
    above, below = drawn(stretched_losses([found])).axes
    assert [len(line.get_ydata()) for line in above.lines] == [10, 8, 1]
    assert ["off scale" in label for label in labels(above)] == [False, True, False]
    assert "2 off" in labels(above)[1]
    (point,) = below.lines
    assert point.get_color() == above.lines[0].get_color()
    # The legend is that of all levels, also of those without a mean.
    assert [text.get_text() for text in below.get_legend().get_texts()] == list(found.levels)


def test_a_panel_of_arrows_covers_the_stages_of_all_its_curves():
    trend = measure_trend(comparison().data, "dsa")
    curves = [
        ArrowCurve("dynamics", "bits", name, stages, (trend,) * len(stages), f"note {name}")
        for name, stages in (("one", (2.0, 1.0)), ("other", (8.0, 1.0, 0.5)))
    ]
    (axes,) = panels(drawn(arrow_curves(curves)))
    high, low = axes.get_xlim()
    assert low < 0.5 < 8 < high
    assert labels(axes, "x") == ["0.5", "1", "2", "8"]
    assert axes.get_title("right") == "note one; note other"
    handles = axes.get_legend_handles_labels()[0]
    assert [(h.get_marker(), h.get_linestyle()) for h in handles] == [("o", "-"), ("s", "-")]


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
