"""Figures of rescaled networks show the losses and exponents they were given."""

import numpy as np
import pytest
import xarray as xr

from drawings import EMPTY, drawn, panels, texts, titles
from learning_curves import planted
from populations import without
from rnnjax.analysis import Resampling, smoothed_loss
from rnnjax.studies.rescaling.analysis import slowdown
from rnnjax.studies.rescaling.figures import rescaling_curves, slowdown_figure

FIGURES = (rescaling_curves, slowdown_figure)


def lines(axes):
    """The solid lines: curves of losses, without the dashed line across."""
    return [line for line in axes.lines if line.get_linestyle() == "-"]


@pytest.fixture(scope="module")
def data():
    return planted({"torch": 0.4, "scaled": 0.0}, total=400, points=100, seeds=3, first=5)


@pytest.mark.parametrize("draw", FIGURES)
def test_before_the_first_run_every_panel_is_labelled_empty(draw, data):
    for axes in panels(drawn(draw(without(data, data["seed"] < 0)))):
        assert texts(axes) == [EMPTY]
        assert not axes.lines


@pytest.mark.slow
def test_an_arm_without_runs_has_no_curves_and_no_fit(data):
    half = without(data, data["eps_scaling"] == "torch")
    above, below = np.split(np.array(panels(drawn(rescaling_curves(half)))), 2)
    assert [len(lines(axes)) for axes in above] == [4, 4, 4]
    assert [texts(axes) for axes in below] == [[EMPTY]] * 3
    for axes in panels(drawn(slowdown_figure(half))):
        assert texts(axes)[1] == "eps scaled with N: no fit"


def test_one_size_and_one_rate_are_one_curve_without_a_fit(data):
    one = data.isel(hidden=[0], learning_rate=[1])
    assert [len(lines(axes)) for axes in panels(drawn(rescaling_curves(one)))] == [1, 1]
    for axes in panels(drawn(slowdown_figure(one))):
        assert [text.split(": ")[1] for text in texts(axes)] == ["no fit"] * 2


@pytest.mark.slow
@pytest.mark.parametrize("draw", FIGURES)
def test_another_dimension_is_in_the_titles(draw, data):
    one = data.sel(learning_rate=[0.1])
    both = drawn(draw(xr.concat([one, one], xr.Variable("init", ["gaussian", "torch"]))))
    found = titles(both)
    assert len(found) == 2 * len(panels(draw(one)))
    for label in ("gaussian", "torch"):
        assert sum(title.startswith(f"init = {label}, ") for title in found) == len(found) / 2


@pytest.mark.parametrize("draw", FIGURES)
def test_a_missing_variable_is_a_clear_error(draw, data):
    with pytest.raises(ValueError, match="variable 'loss'"):
        draw(data.drop_vars("loss"))
    with pytest.raises(ValueError, match="dimension 'hidden'"):
        draw(data.isel(hidden=0))


def test_curves_have_rows_of_arms_and_columns_of_rates(data):
    figure = rescaling_curves(data)
    assert titles(figure) == [
        f"{arm}, rate {rate}"
        for arm in ("eps fixed", "eps scaled with N")
        for rate in ("0.01", "0.1", "1")
    ]
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == ["N = 500", "N = 1000", "N = 3000", "N = 5000", "loss 0.06"]
    assert len({axes.get_ylim() for axes in figure.axes}) == 1


def test_curves_are_the_mean_over_seeds_up_to_the_first_that_stopped(data):
    figure = rescaling_curves(data, window=20)
    curves = smoothed_loss(data, 20).sel(eps_scaling="scaled", hidden=3000)
    trained = lines(figure.axes[4])[2]
    mean = curves.sel(learning_rate=0.1).mean("seed")
    np.testing.assert_allclose(trained.get_ydata(), mean)
    failed = lines(figure.axes[5])[2]
    drawn_steps = failed.get_xdata()[~np.isnan(failed.get_ydata())]
    assert drawn_steps.max() < 200 < trained.get_xdata().max()


def test_pending_seeds_do_not_shorten_a_curve(data):
    figure = rescaling_curves(without(data, data["seed"] != 1))
    found = lines(figure.axes[1])
    assert len(found) == 4
    for line in found:
        assert not np.isnan(line.get_ydata()).any()


def test_slowdown_states_exponents_and_leaves_out_rates_without_arrivals(data):
    fit = slowdown(data, targets=[0.1, 0.06], resampling=Resampling(resamples=100))
    figure = slowdown_figure(data, fit=fit)
    assert titles(figure) == [
        f"loss {target}, rate {rate}" for target in ("0.1", "0.06") for rate in ("0.01", "0.1")
    ]
    torch = fit["exponent"].sel(eps_scaling="torch", target=0.1, learning_rate=0.01)
    assert texts(figure.axes[0])[0].startswith(f"eps fixed: {float(torch):+.2f} [")


def test_slowdown_marks_the_steps_of_the_fit(data):
    fit = slowdown(data, targets=[0.1], resampling=Resampling(resamples=50))
    axes = slowdown_figure(data, fit=fit).axes[1]
    part = fit.sel(target=0.1, learning_rate=0.1)
    marks = [line.get_ydata() for line in axes.lines if line.get_marker() in ("o", "s")]
    for arm, found in zip(("torch", "scaled"), marks, strict=True):
        np.testing.assert_array_equal(found, part["steps"].sel(eps_scaling=arm))
