"""The dataset of a sweep, and the losses that it keeps."""

import numpy as np
import pytest

import tiny
from rnnjax import Status
from rnnjax.sweep import FIELDS, empty_results, results, run_sweep
from rnnjax.sweep.results import recorded_steps, results_template, thinned


def test_the_empty_dataset():
    axes = {"task": list(tiny.TASKS.values()), "hidden": (4, 8)}
    dataset = empty_results(tiny.sweep(axes=axes))
    dims = ("task", "hidden", "learning_rate", "seed")
    assert set(dataset.data_vars) == {*FIELDS, "loss"}
    for name, (kind, meaning) in FIELDS.items():
        assert dataset[name].dims == dims
        assert dataset[name].dtype == kind
        assert dataset[name].attrs["long_name"] == meaning
        empty = np.isnan(dataset[name]) if kind.kind == "f" else dataset[name] == 0
        assert bool(empty.all())
    assert dataset["loss"].dims == (*dims, "step")
    assert bool(np.isnan(dataset["loss"]).all())
    assert dataset["task"].values.tolist() == list(tiny.TASKS)
    assert dataset["learning_rate"].values.tolist() == [0.03, 0.3]
    assert dataset["step"].values.tolist() == list(range(1, tiny.STEPS + 1))
    assert dataset["criterion"].to_series().to_dict() == {
        "delayed_cue": 0.75, "delayed_match": 0.75, "flip_flop": 0.9
    }  # fmt: skip
    meanings = dataset["status"].attrs["flag_meanings"].split()
    assert dict(zip(meanings, dataset["status"].attrs["flag_values"], strict=True)) == {
        status.name: status.value for status in Status
    }
    assert float(empty_results(tiny.sweep("flip_flop"))["criterion"]) == 0.9


def test_the_template_takes_no_memory_and_too_large_results_are_refused(tmp_path, monkeypatch):
    sweep = tiny.sweep("delayed_match", {"seed": range(1000)})
    template = results_template(sweep)
    assert template.identical(empty_results(sweep))
    assert all(not any(v.values.strides) for v in template.data_vars.values())
    monkeypatch.setattr(results, "free_memory", lambda: 2 * template.nbytes - 2)
    for store in (None, tmp_path / "new"):
        with pytest.raises(ValueError, match=r"^axes: expected results that fit.* 2,000 runs"):
            run_sweep(sweep, store)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("spacing", ["even", "log"])
@pytest.mark.parametrize(("total", "points"), [(7, 500), (500, 500), (501, 500), (5000, 37)])
def test_recorded_steps(total, points, spacing):
    steps = recorded_steps(total, points, spacing)
    assert len(steps) <= points
    assert steps[-1] == total
    assert steps[0] >= 1
    assert np.all(np.diff(steps) > 0)
    if total <= points:
        assert len(steps) == total
    else:
        assert len(steps) == points if spacing == "even" else len(steps) > 0.4 * points


def test_log_spacing_keeps_early_steps_and_even_spacing_is_even():
    assert recorded_steps(5000, 100, "log")[:10].tolist() == list(range(1, 11))
    assert set(np.diff(recorded_steps(5000, 100, "even"))) == {50}


@pytest.mark.parametrize("spacing", ["even", "log"])
def test_thinning_averages_the_finite_losses_since_the_last_recorded_step(spacing, monkeypatch):
    rng = np.random.default_rng(0)
    losses = rng.exponential(size=(4, 60)).astype("f4")
    losses[1, 20:] = np.nan
    losses[2, 5] = np.inf
    losses[3] = np.nan
    steps = recorded_steps(60, 9, spacing)
    got = thinned(losses, steps)
    assert got.dtype == np.float32
    monkeypatch.setattr(results, "_AT_ONCE", 2 * 60)  # two rows at once
    assert thinned(losses, steps).tobytes() == got.tobytes()
    for s in range(4):
        before = 0
        for k, step in enumerate(steps):
            kept = [float(x) for x in losses[s, before:step] if np.isfinite(x)]
            expected = sum(kept) / len(kept) if kept else np.nan
            np.testing.assert_allclose(got[s, k], expected, rtol=1e-6)
            before = step
