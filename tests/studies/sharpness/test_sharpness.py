"""Predicted against measured rates: known power laws, verdicts, and the study as users run it."""

import numpy as np
import pytest
import xarray as xr

import rnnjax
from commands import call, refused, reports_again, settings, study
from rnnjax.report import Provenance, render_markdown
from rnnjax.store import StoreInUse, load_results
from rnnjax.store.locking import acquire
from rnnjax.studies.grids import cached
from rnnjax.studies.sharpness.analysis import compare_rates, fit_predictions, with_stability
from rnnjax.studies.sharpness.figures import predicted_rates, sharpness_curves
from rnnjax.studies.sharpness.page import _edge_text, _joined, sharpness_page

SIZES = (16, 32, 64, 128, 256)
RATES = 10.0 ** np.arange(-4, 1.01, 0.25)
RULES = {"xavier": (-1.0, -1.0), "mup": (0.0, -0.6)}
"""Slopes of the predicted and of the stable rate."""
ABOVE = 4.0
"""The stable rate over the predicted one at the smallest size."""


def power(slope, rng, seeds):
    """log10 of rates `[N, seed]` that follow a power law from 0.05 at N = 16."""
    line = np.log10(0.05) + slope * np.log10(np.array(SIZES) / SIZES[0])
    return line[:, None] + 0.1 * rng.normal(size=(len(SIZES), seeds))


@pytest.fixture(scope="module")
def simulated(seeds=8):
    """Results and sharpness of both rules: above the stable rate the loss ends higher, or NaN."""
    rng = np.random.default_rng(0)
    shape = (2, 1, len(SIZES), len(RATES), seeds)
    predicted = np.stack([power(slopes[0], rng, seeds) for slopes in RULES.values()])[:, None]
    edge = np.stack([power(slopes[1], rng, seeds) for slopes in RULES.values()])[:, None]
    edge = edge + np.log10(ABOVE)
    above = np.log10(RATES)[:, None] - edge[..., None, :]
    loss = np.where(above > 0.5, np.nan, np.where(above > 0, 3.0, 0.05))
    dims = ("cell", "activation", "hidden", "learning_rate", "seed")
    runs = {
        "final_loss": loss,
        "blind_loss": np.full(shape, 0.2),
        "accuracy_decision": (above < -0.3).astype(float),
        "steps_taken": np.full(shape, 300),
        "status": np.where(np.isnan(loss), 3, 4),
    }
    coords = {
        "cell": list(RULES), "activation": ["linear"], "hidden": list(SIZES),
        "learning_rate": RATES, "seed": np.arange(seeds), "step": [0, 299], "criterion": 0.75,
    }  # fmt: skip
    results = xr.Dataset({name: (dims, values) for name, values in runs.items()}, coords)
    at = {name: coords[name] for name in dims if name != "learning_rate"}
    rates = xr.DataArray(10**predicted, at, tuple(at))
    start = xr.Dataset({"largest_rate": rates, "sharpness": 2 / rates})
    return results, start.assign(loss=xr.ones_like(rates))


def test_stability_is_a_finite_loss_that_fell(simulated):
    results, start = simulated
    found = with_stability(results, start)["accuracy_stable"]
    expected = (results["final_loss"] < 1).astype(float)
    np.testing.assert_array_equal(found, expected)
    pending = results.assign(status=results["status"].where(results["seed"] > 0, 0))
    assert with_stability(pending, start)["accuracy_stable"].isel(seed=0).isnull().all()
    higher = start.assign(loss=start["loss"] * 4)  # above the loss of failures that stay finite
    found = with_stability(results, higher)["accuracy_stable"]
    np.testing.assert_array_equal(found, results["final_loss"].notnull())


def test_figures_name_a_dimension_that_is_missing(simulated):
    results, start = simulated
    with pytest.raises(ValueError, match="dimension 'activation'"):
        predicted_rates(results.isel(activation=0, drop=True), start)
    with pytest.raises(ValueError, match="variable 'sharpness'"):
        sharpness_curves(xr.Dataset())


def test_slopes_of_predictions():
    slopes = np.array([-1.2, -1.0, -0.8])
    rates = 0.3 * np.array(SIZES)[:, None] ** slopes
    found = fit_predictions(xr.DataArray(rates, {"hidden": list(SIZES)}, ("hidden", "seed")))
    np.testing.assert_allclose(found["exponent"], -1.0)
    half = 4.3027 * 0.2 / np.sqrt(3)  # Student's t of 2 degrees of freedom
    np.testing.assert_allclose(found["exponent_high"], -1.0 + half, rtol=1e-4)
    rates[2, 1:] = np.nan
    one = fit_predictions(xr.DataArray(rates, {"hidden": list(SIZES)}, ("hidden", "seed")))
    np.testing.assert_allclose(one["exponent"], -1.2)
    assert np.isnan(one["exponent_low"])


def test_known_power_laws_are_compared(simulated):
    agrees, differs = compare_rates(*simulated)
    assert (agrees.labels["cell"], differs.labels["cell"]) == ("xavier", "mup")
    for one, slopes in zip((agrees, differs), RULES.values(), strict=True):
        np.testing.assert_allclose(one.predicted["exponent"], slopes[0], atol=0.1)
        np.testing.assert_allclose(one.stable["exponent"], slopes[1], atol=0.1)
        np.testing.assert_allclose(one.learned["exponent"], slopes[1], atol=0.1)
    assert (agrees.verdict(0.5), differs.verdict(0.5)) == ("agrees", "differs")
    middle, low, high = differs.difference
    ends = [float(differs.stable[f"exponent{end}"]) for end in ("", "_low", "_high")]
    mean, down, up = (float(differs.predicted[f"exponent{end}"]) for end in ("", "_low", "_high"))
    np.testing.assert_allclose(middle, ends[0] - mean)
    np.testing.assert_allclose((middle - low) ** 2, (ends[0] - ends[1]) ** 2 + (up - mean) ** 2)
    np.testing.assert_allclose((high - middle) ** 2, (ends[2] - ends[0]) ** 2 + (mean - down) ** 2)
    np.testing.assert_allclose(np.exp(np.log(agrees.ratio).mean()), ABOVE, rtol=0.25)
    np.testing.assert_allclose(differs.ratio.isel(hidden=-1), ABOVE * 16**-0.6, rtol=0.6)
    beside = differs._replace(stable=differs.stable.assign(exponent_low=ends[0] + 1.0))
    np.testing.assert_allclose(middle - beside.difference[1], up - mean)  # an end beyond its slope
    wide = agrees._replace(stable=agrees.stable.assign(exponent_low=-2.0))
    assert wide.verdict(0.5) == "undecided"
    none = agrees._replace(stable=agrees.stable.assign(exponent_low=np.nan, exponent_high=np.nan))
    assert none.verdict(0.5) == "unfitted"


def test_the_page_has_the_numbers(simulated):
    results, sharpness = simulated
    about = Provenance("python experiments/sharpness.py")
    page = sharpness_page(results, about, sharpness=sharpness, curves=None, below=0.5, above=2.0)
    agrees, _ = compare_rates(results, sharpness)
    text = render_markdown(page)
    assert f"| {float(agrees.predicted['exponent']):.2f} (" in text
    assert text.index("Xavier, linear") < text.index("muP, linear")


def test_rules_that_define_one_network_are_one_finding(simulated):
    agrees, differs = compare_rates(*simulated)
    same = agrees._replace(labels={**agrees.labels, "cell": "gaussian"})
    first, second = _joined([agrees, differs, same])
    assert first.startswith("Xavier, linear and Gaussian, linear (one finding")
    assert second == "muP, linear"


def test_the_rates_tried_are_stated_as_far_as_the_grid_reaches(simulated):
    results, sharpness = simulated
    about = Provenance("python experiments/sharpness.py")
    page = sharpness_page(results, about, sharpness=sharpness, curves=None, below=0.5, above=2.0)
    assert page.sections[0].text.endswith("from 10⁻⁴ to 10.")


def test_the_text_names_the_last_step_and_counts_the_runs_that_stayed_finite():
    dims = ("cell", "activation", "factor", "seed", "step")
    sharpness = [[[[[1.0, 3.0, 2.5], [1.0, 3.0, np.nan], [1.0, np.nan, np.nan]]]]]
    loss = [[[[[1.0, 0.5, 0.2], [1.0, 0.5, 0.1], [1.0, np.nan, np.nan]]]]]
    curves = xr.Dataset(
        {
            "sharpness": (dims, sharpness), "loss": (dims, loss),
            "learning_rate": (dims[:3], [[[1.0]]]),
        },
        {"activation": ["linear"], "step": [0, 7, 14]}, {"hidden": 8},
    )  # fmt: skip
    first, both = curves.isel(seed=[0]), curves.isel(seed=[1, 2])
    assert "finite at the end" in _edge_text(first, 14)
    assert "finite at step 14" in _edge_text(first, 20)
    assert "1 of the 1 that have" in _edge_text(curves, 14)  # of one the sharpness is not known
    assert "of 1 runs that stayed finite" in _edge_text(both, 14)
    assert "none of 1 runs stayed" in _edge_text(curves.isel(seed=[2]), 14)


def test_predicted_rates_are_drawn_in_the_order_of_sizes(simulated):
    results, start = simulated
    figure = predicted_rates(results, start.isel(hidden=[2, 0, 1, 4, 3]))
    (line,) = (x for x in figure.axes[0].lines if x.get_linestyle() == "-" and len(x.get_xdata()))
    assert line.get_xdata().tolist() == list(SIZES)


def measured_at_start(task, cell, recipe, *, widths, seeds, trials):
    shape = {"hidden": widths, "seed": range(seeds)}
    rates = xr.DataArray(np.ones((len(widths), seeds)) / np.array(widths)[:, None], shape, [*shape])
    return xr.Dataset({"sharpness": 2 / rates, "largest_rate": rates, "loss": rates})


def test_sizes_that_are_measured_are_read(monkeypatch, tmp_path):
    module, config = study("sharpness"), settings("sharpness", "smoke")
    config.rules, config.hidden, seen = ("xavier",), (8, 16), []

    def measure(*given, widths, **how):
        seen.append(widths)
        return measured_at_start(*given, widths=widths, **how)

    def predicted():
        return module.predictions(config, module.build_sweep(config), tmp_path)

    monkeypatch.setattr(module, "sharpness_at_start", measure)
    predicted()
    config.hidden = (16, 32, 8)
    found = predicted()
    assert seen == [[8], [16], [32]]
    assert found["hidden"].values.tolist() == [16, 32, 8]
    assert found["largest_rate"].sel(hidden=32).values.ravel().tolist() == [1 / 32] * 2


def test_sizes_measured_together_by_earlier_versions_are_read(monkeypatch, tmp_path):
    module, config = study("sharpness"), settings("sharpness", "smoke")
    config.rules = ("xavier",)
    sweep = module.build_sweep(config)
    ((_, cell),) = module._each(sweep)
    monkeypatch.setattr(module, "sharpness_at_start", measured_at_start)
    of, measure = module._at_start(config, sweep, cell, [8, 16])
    name = "sharpness at start, xavier, linear"
    cached(tmp_path / "sharpness.json", name, of, lambda: measure().to_dict())
    found = module.predictions(config, sweep, tmp_path, measures=False)
    assert found["largest_rate"].isel(seed=0).values.ravel().tolist() == [1 / 8, 1 / 16]


def test_two_commands_do_not_measure_in_one_folder(monkeypatch, tmp_path):
    module, store = study("sharpness"), tmp_path / "run" / "store"

    def predictions(*_):
        with pytest.raises(StoreInUse):
            acquire(store)
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "predictions", predictions)
    with pytest.raises(KeyboardInterrupt):
        module.run(settings("sharpness", "smoke"), tmp_path / "run")
    acquire(store).release()


def test_a_size_without_a_prediction_is_passed_over(monkeypatch, tmp_path):
    module, config = study("sharpness"), settings("sharpness", "smoke")
    config.rules, config.hidden, config.training.hidden, seen = ("xavier",), (8, 16, 32), 16, []

    def follow(*given, learning_rates, seeds, every, trials):
        seen.extend(learning_rates)
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "sharpness_along_training", follow)
    monkeypatch.setattr(module, "sharpness_at_start", measured_at_start)
    sweep = module.build_sweep(config)
    start = module.predictions(config, sweep, tmp_path)
    start["largest_rate"] = start["largest_rate"].where(start["hidden"] != 16)
    with pytest.raises(KeyboardInterrupt):
        module.followed(config, sweep, start, tmp_path)
    np.testing.assert_allclose(seen, np.array(config.training.factors) / 16, rtol=1e-2)


def test_a_dry_run_takes_the_predictions_that_are_there(monkeypatch, tmp_path):
    module, config = study("sharpness"), settings("sharpness", "smoke")
    sweep, masks = module.build_sweep(config), []
    at = {name: list(sweep.axis(name).labels) for name in ("cell", "activation", "hidden")}
    rates = xr.DataArray(np.full([*map(len, at.values()), 2], 0.01), {**at, "seed": [0, 1]},
                         (*at, "seed"))  # fmt: skip
    monkeypatch.setattr(module, "train_and_report", lambda *given: masks.append(given[-1]))

    def dry_run(found):
        monkeypatch.setattr(module, "predictions", lambda *_, measures: measures or found)
        module.run(config, tmp_path / "new", dry_run=True)

    dry_run(xr.Dataset({"largest_rate": rates}))
    near = np.array(sweep.axis("learning_rate").values)
    near = (near > 0.01 / 10**0.51) & (near < 0.01 * 10**1.01)
    np.testing.assert_array_equal(masks[0], np.broadcast_to(near[:, None], sweep.shape))
    dry_run(None)
    assert masks[1].sum() == masks[0].sum() > 0
    far = rates.where(rates["cell"] == "mup", 1e9)
    with pytest.raises(ValueError, match=r"^learning_rates: .*none for xavier, linear"):
        dry_run(xr.Dataset({"largest_rate": far}))


@pytest.mark.slow
def test_smoke_measures_trains_reports_and_resumes(tmp_path):
    workdir = tmp_path / "run"
    assert call("sharpness", "--config=smoke", f"--workdir={workdir}") == 0
    results = load_results(workdir / "store")
    done = results["status"] != rnnjax.Status.PENDING
    module, config = study("sharpness"), settings("sharpness", "smoke")
    start = module.predictions(config, module.build_sweep(config), workdir, measures=False)
    expected, rates = start["largest_rate"].median("seed"), results["learning_rate"]
    wanted = (rates >= expected * 10**-0.5) & (rates <= expected * 10)
    assert bool((done.all("seed") == wanted).all()) and bool((done.any("seed") == wanted).all())
    figures = {file.stem for file in (workdir / "figures").glob("*.png")}
    assert figures == {"predicted_rates", "sharpness_curves"}
    markers = {f: f.read_text() for f in (workdir / "store" / "blocks").glob("*.json")}
    values = (workdir / "sharpness.json").read_text()
    assert call("sharpness", "--config=smoke", f"--workdir={workdir}") == 0
    assert {f: f.read_text() for f in (workdir / "store" / "blocks").glob("*.json")} == markers
    assert (workdir / "sharpness.json").read_text() == values
    assert reports_again(workdir)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--config.rules=xavier,mupp"], ["rules", "did you mean 'mup'"]),
        (["--config.activations=tahn"], ["activation", "tanh"]),
        (["--config.hidden=16"], ["hidden", "at least two"]),
        (["--config.start_seeds=3"], ["start_seeds", "at least 4"]),
        (["--config.training.hidden=512"], ["training.hidden", "from 16 to 256"]),
        (["--config.training.factors=0"], ["training.factors", "above 0"]),
        (["--config.training.factors=()"], ["training.factors", "at least one"]),
        (["--config.training.every=0"], ["training.every", "at least 1"]),
        (["--config.training.every=301"], ["training.every", "at most 300"]),
        (["--config.above=-1"], ["above", "at least 0"]),
    ],
)
def test_bad_input_is_one_line_and_touches_nothing(flags, words, tmp_path, capsys):
    error = refused("sharpness", flags, tmp_path / "new", capsys)
    for word in words:
        assert word in error


def test_every_preset_describes_a_sweep():
    sizes = {"smoke": 2 * 2 * 8 * 2, "laptop": 8 * 5 * 37 * 4, "paper": 8 * 7 * 37 * 10}
    for preset, size in sizes.items():
        assert study("sharpness").build_sweep(settings("sharpness", preset)).size == size
