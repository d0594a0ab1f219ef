"""Figures of latent training show the losses, accuracies and costs they were given."""

from itertools import pairwise

import numpy as np
import pytest

from drawings import EMPTY, drawn, labels, panels, texts, titles
from learning_curves import cost, latent
from populations import without
from rnnjax.analysis import smoothed_loss
from rnnjax.studies.latent.figures import latent_accuracy, latent_cost, latent_curves

FIGURES = (latent_curves, latent_accuracy)
SIZES = (1000, 3000, 5000, 10000, 30000, 100000)


@pytest.fixture(scope="module")
def data():
    return latent(sizes=SIZES, seeds=3, total=100)


@pytest.mark.slow
@pytest.mark.parametrize("draw", FIGURES)
def test_one_task_alone_is_its_panel_without_the_task_in_the_title(draw, data):
    both = drawn(draw(data))
    alone = drawn(draw(data.isel(task=0, drop=True).assign_coords(criterion=0.9)))
    assert titles(both)[0].startswith("Flip flop")
    assert not any("Flip flop" in title for title in titles(alone))
    assert len(panels(alone)) == len(panels(both)) // 2
    for one, other in zip(panels(alone), panels(both), strict=False):
        assert len(one.lines) == len(other.lines)
        np.testing.assert_allclose(one.lines[0].get_ydata(), other.lines[0].get_ydata())


@pytest.mark.slow
@pytest.mark.parametrize("draw", FIGURES)
@pytest.mark.parametrize("tasks", [["delayed_cue"], []])
def test_panels_without_runs_are_labelled_empty(draw, tasks, data):
    figure = drawn(draw(without(data, data["task"].isin(tasks))))
    for axes, title in zip(panels(figure), titles(figure), strict=True):
        empty = "cue" not in title or not tasks
        assert (EMPTY in texts(axes)) == empty, title
        assert bool(axes.lines) != empty


def test_one_size_is_one_curve_and_one_tick(data):
    one = data.isel(hidden=[2])
    assert [len(axes.lines) for axes in panels(drawn(latent_curves(one)))] == [1] * 4
    for axes in panels(drawn(latent_accuracy(one))):
        assert labels(axes) == ["5000"]
    assert labels(drawn(latent_cost(cost((1000,)))).axes[0]) == ["1000"]


def test_a_missing_variable_is_a_clear_error(data):
    with pytest.raises(ValueError, match="variable 'loss'"):
        latent_curves(data.drop_vars("loss"))
    with pytest.raises(ValueError, match="'accuracy_pearson'"):
        latent_accuracy(data.drop_vars("accuracy_pearson"))
    with pytest.raises(ValueError, match="'peak_bytes'"):
        latent_cost(cost().drop_vars("peak_bytes"))


def test_curves_have_a_row_per_task_and_a_column_per_rate(data):
    figure = latent_curves(data)
    rows = [f"{task}, rate {rate}" for task in ("Flip flop", "Delayed cue") for rate in (0.01, 0.1)]
    assert titles(figure) == rows
    assert all(len(axes.lines) == len(SIZES) for axes in figure.axes)
    means = smoothed_loss(data.sel(task="delayed_cue", learning_rate=0.1), 10).mean("seed")
    for line, size in zip(figure.axes[3].lines, SIZES, strict=True):
        np.testing.assert_allclose(line.get_ydata(), means.sel(hidden=size))


def test_accuracy_shows_means_over_finished_seeds(data):
    half = without(data, data["seed"] > 0).copy(deep=True)
    half["accuracy_pearson"][0, :, 0, 1] = 0.25
    half["accuracy_pearson"][0, :, 0, 2] = 0.75
    axes = latent_accuracy(half).axes[0]
    bars = {bar.get_label(): bar for bar in axes.containers}
    assert list(bars) == [
        f"{kind}, rate {rate}" for rate in ("0.01", "0.1") for kind in ("pearson", "decision")
    ]
    line, _, (ranges,) = bars["pearson, rate 0.01"]
    np.testing.assert_allclose(line.get_ydata(), 0.5)
    np.testing.assert_allclose(ranges.get_segments()[0][:, 1], [0.25, 0.75])


def test_names_of_sizes_do_not_touch(data):
    figure = latent_accuracy(data)
    drawn(figure)
    boxes = [label.get_window_extent() for label in figure.axes[0].get_xticklabels()]
    assert len(boxes) == 5  # all but 5000
    assert all(one.x1 < other.x0 for one, other in pairwise(boxes))
    (wide,) = np.unique([len(label) for label in labels(figure.axes[0])])[-1:]
    assert wide == 6
    for axes in drawn(latent_cost(cost((1000, 3000, 10000, 100000, 200000, 1000000)))).axes:
        boxes = [label.get_window_extent() for label in axes.get_xticklabels()]
        assert all(one.x1 < other.x0 for one, other in pairwise(boxes))


def test_cost_beside_a_slope_of_one_and_the_papers_epoch():
    axes, memory = latent_cost(cost()).axes
    lines = {line.get_label(): line for line in axes.lines}
    np.testing.assert_allclose(lines["here"].get_ydata(), cost()["seconds_per_epoch"])
    guide = lines["proportional to N"]
    np.testing.assert_allclose(guide.get_ydata()[1] / guide.get_ydata()[0], 100)
    np.testing.assert_allclose(guide.get_ydata()[1], lines["here"].get_ydata()[-1])
    flat = cost()
    flat["peak_bytes"][:] = 2.0**30 * np.linspace(1, 1.5, flat.sizes["hidden"])
    assert latent_cost(flat).axes[1].get_ylim()[0] > 0.5  # whatever the guide does
    assert lines["paper: 250 ms"].get_ydata() == [0.25, 0.25]
    np.testing.assert_allclose(memory.lines[0].get_ydata(), cost()["peak_bytes"] / 2**30)


def test_cost_that_was_not_measured():
    half = cost().copy(deep=True)
    half["peak_bytes"][:] = np.nan
    half["seconds_per_epoch"][1] = np.nan
    figure = latent_cost(half)
    drawn(figure)
    assert figure.axes[0].lines[0].get_xdata().tolist() == [1000, 10000, 100000]
    assert texts(figure.axes[1]) == [EMPTY]
