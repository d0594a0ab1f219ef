import numpy as np
import pytest
import xarray as xr
from test_figures import drawn, titles

from learning_curves import planted
from populations import without
from rnnjax.analysis import Resampling, smoothed_loss
from rnnjax.studies.rescaling.analysis import slowdown
from rnnjax.studies.rescaling.figures import rescaling_curves, slowdown_figure

FIGURES = (rescaling_curves, slowdown_figure)


def texts(figure):
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def lines(axes):
    """The lines that hold data, as opposed to the dashed one across."""
    return [line for line in axes.lines if line.get_linestyle() == "-"]


@pytest.fixture(scope="module")
def data():
    return planted({"torch": 0.4, "scaled": 0.0}, total=400, points=100, seeds=3, first=5)


@pytest.mark.parametrize("draw", FIGURES)
def test_every_figure_draws(draw, data):
    assert drawn(draw(data)).startswith(b"\x89PNG")


@pytest.mark.parametrize("draw", FIGURES)
@pytest.mark.parametrize("keep", ["none", "torch"])
def test_every_figure_draws_a_sweep_in_progress(draw, keep, data):
    figure = draw(without(data, data["eps_scaling"] == keep))
    drawn(figure)
    assert "nothing to show yet" in texts(figure) or keep == "torch"


@pytest.mark.parametrize("draw", FIGURES)
def test_every_figure_draws_one_size_and_one_rate(draw, data):
    drawn(draw(data.isel(hidden=[0], learning_rate=[1])))


@pytest.mark.parametrize("draw", FIGURES)
def test_another_dimension_is_in_the_titles(draw, data):
    one = data.sel(learning_rate=[0.1])
    both = xr.concat([one, one], xr.Variable("init", ["gaussian", "torch"]))
    assert any(title.startswith("init = gaussian, ") for title in titles(draw(both)))
    drawn(draw(both))


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
    seen = failed.get_xdata()[~np.isnan(failed.get_ydata())]
    assert seen.max() < 200 < trained.get_xdata().max()


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
    assert texts(figure)[0].startswith(f"eps fixed: {float(torch):+.2f} [")


def test_slowdown_marks_the_steps_of_the_fit(data):
    fit = slowdown(data, targets=[0.1], resampling=Resampling(resamples=50))
    axes = slowdown_figure(data, fit=fit).axes[1]
    part = fit.sel(target=0.1, learning_rate=0.1)
    marks = [line.get_ydata() for line in axes.lines if line.get_marker() in ("o", "s")]
    for arm, found in zip(("torch", "scaled"), marks, strict=True):
        np.testing.assert_array_equal(found, part["steps"].sel(eps_scaling=arm))
