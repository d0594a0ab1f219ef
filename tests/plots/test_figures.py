import io
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

import rnnjax.plots
from populations import sweep, without
from rnnjax.analysis import Resampling, power_law, success_density
from rnnjax.plots import critical_rates, loss_curves, success_maps
from rnnjax.plots.style import name_condition, plain_number, plain_numbers, signed
from rnnjax.studies.collapse.figures import steps_to_criterion

FIGURES = (critical_rates, loss_curves, steps_to_criterion, success_maps)
THIRTEEN = np.round(np.geomspace(10, 10000, 13)).astype(int)


def drawn(figure: Figure) -> bytes:
    """Draws for good: layout faults and missing glyphs are warnings, and warnings are errors."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=40)
    return buffer.getvalue()


def titles(figure: Figure) -> list[str]:
    return [axes.get_title(loc="left") for axes in figure.axes if axes.get_title(loc="left")]


def legends(figure: Figure) -> list[str]:
    found = [axes.get_legend() for axes in figure.axes]
    return [text.get_text() for legend in found if legend for text in legend.get_texts()]


@pytest.fixture(scope="module")
def data():
    return sweep()


@pytest.mark.parametrize("draw", FIGURES)
def test_every_figure_draws_two_tasks_and_optimizers(draw, data):
    figure = draw(data)
    assert isinstance(figure, Figure)
    assert drawn(figure).startswith(b"\x89PNG")


@pytest.mark.parametrize("draw", FIGURES)
def test_every_figure_draws_one_condition_of_an_unlabelled_sweep(draw, data):
    drawn(
        draw(
            data.sel(task="delayed_cue", optimizer="adam", drop=True).assign_coords(criterion=0.75)
        )
    )


@pytest.mark.parametrize("draw", FIGURES)
def test_every_figure_draws_thirteen_sizes(draw):
    wide = sweep(tasks=("delayed_cue",), sizes=THIRTEEN, rates=10.0 ** np.arange(-5, 0))
    drawn(draw(wide))


@pytest.mark.parametrize("draw", FIGURES)
@pytest.mark.parametrize("tasks", [["delayed_cue"], []])
def test_every_figure_draws_a_sweep_in_progress(draw, tasks, data):
    drawn(draw(without(data, data["task"].isin(tasks))))


def test_an_extra_dimension_is_a_condition(data):
    small = data.isel(task=[0], optimizer=[0]).expand_dims(init=["gaussian", "xavier"])
    assert titles(success_maps(small))[1] == "Delayed cue, Adam, init = xavier"
    assert any(text.startswith("Adam, init = xavier: β") for text in legends(critical_rates(small)))


@pytest.mark.parametrize("draw", FIGURES)
def test_a_missing_variable_is_a_clear_error(draw, data):
    with pytest.raises(ValueError, match=r"no variable|no dimension"):
        draw(data[["status"]])
    with pytest.raises(ValueError, match="dimension 'hidden'"):
        draw(data.isel(hidden=0))


def test_panels_are_named_task_by_task(data):
    assert titles(success_maps(data)) == [
        "Delayed cue, Adam",
        "Delayed match, Adam",
        "Delayed cue, SGD",
        "Delayed match, SGD",
    ]
    assert titles(critical_rates(data)) == ["Delayed cue", "Delayed match"]


def test_critical_rates_state_exponent_interval_and_points(data):
    texts = legends(critical_rates(data))
    assert any(text.startswith("Adam: β = -") and "of 6 sizes" in text for text in texts)


def test_curves_name_size_and_rate_and_mark_failures(data):
    failed = data.sel(task=["delayed_cue"], optimizer=["adam"]).copy(deep=True)
    failed["accuracy_decision"][:, :, 0] = 0.5
    texts = legends(loss_curves(failed))
    assert texts[0].startswith("10: ")
    assert texts[0].endswith("(failed)")
    assert not any(text.endswith("(failed)") for text in texts[1:])


def test_maps_keep_the_densities(data):
    image = success_maps(data).axes[0].get_images()[0].get_array()
    expected = success_density(data).isel(task=0, optimizer=0).transpose("learning_rate", "hidden")
    np.testing.assert_array_equal(image, expected)


def test_a_given_fit_is_used(data):
    law = power_law(data, resampling=Resampling(resamples=50))
    law["exponent"] = law["exponent"] * 0 + 7
    assert any("β = +7.00" in text for text in legends(critical_rates(data, fit=law)))


def test_pyplot_is_left_alone():
    sources = Path(rnnjax.plots.__file__).parent.glob("*.py")
    assert not [path.name for path in sources if "matplotlib.pyplot" in path.read_text()]


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
    assert [signed(value) for value in (-0.001, 0.5, -1.0)] == ["0.00", "+0.50", "-1.00"]
