"""Memory demand: windows against loops, and tasks whose answer is known by construction."""

import dataclasses

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

from commands import settings
from rnnjax import tasks
from rnnjax.store import StoreInUse, digest
from rnnjax.store.locking import acquire
from rnnjax.studies.memory_demand import study
from rnnjax.studies.memory_demand.analysis import (
    PredictorOptions,
    Window,
    _features,
    _samples,
    memory_demand,
    sufficient_history,
    with_demand,
)
from rnnjax.studies.memory_demand.study import cache_inputs
from rnnjax.tasks import Task, Trial


@dataclasses.dataclass(frozen=True)
class Echo(Task):
    """The target of step t is the sign of the input of step t - lag."""

    lag: int = 3
    length: int = 20

    name = "echo"
    inputs = outputs = 1  # pyright: ignore

    @property
    def steps(self):
        return self.length

    def sample(self, key):
        signs = jnp.sign(jax.random.normal(key, (self.length, 1)))
        late = jnp.concatenate([jnp.zeros((self.lag, 1)), signs[: self.length - self.lag]])
        return Trial(signs, late, jnp.ones_like(late))


QUICK = PredictorOptions(initializations=2, steps=400, trials=64, units=32)


@pytest.mark.slow
def test_the_demand_of_an_echo_is_its_lag():
    """y_{t+1} = x_{t+1-lag}: a window that ends at x_t needs lag steps, one at x_{t+1} one more."""
    found = memory_demand(Echo(3), (1, 2, 3, 4, 6), options=QUICK)
    assert int(found["demand"]) == 3
    error = found["error"].mean("initialization")
    assert float(error.sel(history=2)) > 0.7 > 0.2 > float(error.sel(history=3))
    assert float(found["variance"]) == pytest.approx(17 / 20, rel=0.1)
    assert not found["censored"]
    short = memory_demand(Echo(3), (1, 2, 3), options=QUICK)
    assert (int(short["demand"]), bool(short["censored"])) == (3, True)
    later = memory_demand(Echo(3), (1, 2, 3, 4, 6), Window(lead=1), QUICK)
    assert int(later["demand"]) == 4


@pytest.mark.slow
@pytest.mark.parametrize("before", ["first", "silence"])
@pytest.mark.parametrize("features", ["inputs", "targets"])
@pytest.mark.parametrize("lead", [0, 1])
def test_features_against_a_loop_over_steps(features, lead, before):
    trial = tasks.sine_wave(2, steps=6, frequencies=3, highest=3).batch(jax.random.key(0), 2)
    longest, history = 4, 3
    mean, scale = jnp.full((1, 1, 2), 3.0), jnp.full((1, 1, 2), 2.0)  # of other trials
    samples = _samples(trial, mean, scale, longest, Window(features, lead, before))
    rows = jnp.arange(longest) >= longest - history
    found, wanted = _features(samples, rows, jnp.arange(2 * 5))
    chex.assert_tree_all_finite((found, wanted))
    x, y = np.asarray(trial.inputs), np.asarray(trial.targets)
    scaled, silent = (x - 3) / 2, np.full(2, -1.5)
    for sample in range(10):
        b, t = divmod(sample, 5)
        entries = []
        for k in range(longest):
            step = t + lead - longest + 1 + k
            at = step - lead
            first = before == "first"
            entry = scaled[b, step] if step >= 0 else scaled[b, 0] if first else silent
            answer = y[b, at] if at >= 0 else y[b, 0] if first else 0 * y[b, 0]
            row = np.concatenate([entry, answer]) if features == "targets" else entry
            entries.append(row if k >= longest - history else 0 * row)
        want = np.concatenate([*entries, y[b, t]])
        np.testing.assert_allclose(found[sample], want, rtol=1e-4, atol=1e-5)
        np.testing.assert_array_equal(wanted[sample], y[b, t + 1])


def test_the_sufficient_history_is_the_first_of_the_plateau():
    def curve(*means):
        return np.array(means)[:, None] + np.zeros(3)

    assert sufficient_history(curve(1.0, 0.5, 0.1, 0.11, 0.1), 0.05) == 2
    assert sufficient_history(curve(1.0, 0.5, 0.14, 0.1, 0.2), 0.05) == 2  # tolerated
    assert sufficient_history(curve(1.0, 0.5, 0.15, 0.1, 0.2), 0.05) == 3
    assert sufficient_history(curve(0.1, 0.2, 0.3), 0.05) == 0
    assert sufficient_history(curve(0.3, 0.2, 0.1), 0.05, negligible=0.11) == 1
    noisy = curve(0.102, 0.1) + np.array([[0.0, 0.01, -0.01]])
    assert sufficient_history(noisy, 0.05) == 0  # a difference within its error


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"histories": ()}, "histories: expected ascending lengths"),
        ({"histories": (2, 1)}, "histories: expected ascending lengths"),
        ({"histories": (0, 1)}, "histories: expected an integer of at least 1"),
        ({"histories": (1, 99)}, "histories: .* up to the 20 steps of a trial of 'echo'"),
        ({"histories": 5}, "histories: expected a sequence of lengths, got 5"),
        ({"task": "echo"}, "task: expected a Task"),
    ],
)
def test_bad_arguments_are_named(options, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        memory_demand(**{"task": Echo(), "histories": (1, 2), **options})


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Window("outputs"), "features: expected one of inputs, targets"),
        (lambda: Window(before="zeros"), "before: expected one of first, silence"),
        (lambda: Window(lead=2), "lead: expected 0 or 1"),
        (lambda: PredictorOptions(steps=0), "steps: expected an integer of at least 1"),
        (lambda: PredictorOptions(tolerance=2), "tolerance: expected a number in"),
        (lambda: PredictorOptions(learning_rate=0), "learning_rate: expected .* above 0"),
    ],
)
def test_options_out_of_range_are_named(make, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        make()


def test_the_defaults_are_those_of_the_study():
    assert study._options(settings("memory_demand", "laptop")) == PredictorOptions()


def test_another_tolerance_decides_on_the_errors_that_are_measured(tmp_path, monkeypatch):
    measured = []

    def measure(task, histories, window, options):
        measured.append(options.tolerance)
        error = [[1.0, 1.0], [0.1, 0.1], [0.0, 0.0]]
        errors = xr.Dataset(
            {"error": (("history", "initialization"), error), "variance": ((), 1.0)},
            {"history": list(histories)},
        )
        return with_demand(errors, options.tolerance)

    monkeypatch.setattr(study, "memory_demand", measure)
    tried = {"flip_flop": tasks.flip_flop(bits=3)}
    strict, loose = (
        study.measure_demands(tried, (1, 2, 3), PredictorOptions(tolerance=share), tmp_path)[0]
        for share in (0.05, 0.2)
    )
    assert measured == [0.05] * len(study.VARIANTS)
    assert (strict["demand"] == 3).all() and strict["censored"].all()
    assert (loose["demand"] == 2).all() and not loose["censored"].any()


def test_errors_that_earlier_versions_kept_for_one_tolerance_are_read(tmp_path, monkeypatch):
    task, options = tasks.flip_flop(bits=3), PredictorOptions(tolerance=0.2)
    error = [[1.0, 1.0], [0.1, 0.1], [0.0, 0.0]]
    errors = xr.Dataset(
        {"error": (("history", "initialization"), error), "variance": ((), 1.0)},
        {"history": [1, 2, 3]},
    )
    value = {"seconds": 1.0, **with_demand(errors, 0.2).to_dict()}
    (tmp_path / study.CACHE).parent.mkdir(parents=True)
    for kind in study.VARIANTS:
        inputs = {**cache_inputs(task, (1, 2, 3), options, kind), "tolerance": 0.2}
        study.cached(tmp_path / study.CACHE, f"flip_flop {kind}", inputs, lambda: value)
    monkeypatch.setattr(study, "memory_demand", None)  # nothing is measured
    found, _ = study.measure_demands({"flip_flop": task}, (1, 2, 3), options, tmp_path)
    assert (found["demand"] == 2).all()


def test_two_commands_do_not_measure_in_one_folder(tmp_path, monkeypatch):
    def measure(*_):
        with pytest.raises(StoreInUse):
            acquire(tmp_path / "run" / "store")
        raise KeyboardInterrupt

    monkeypatch.setattr(study, "measure_demands", measure)
    with pytest.raises(KeyboardInterrupt):
        study.run(settings("memory_demand", "smoke"), tmp_path / "run")
    acquire(tmp_path / "run" / "store").release()


def test_cached_values_of_earlier_versions_keep_their_keys():
    options = PredictorOptions(initializations=2, units=16, steps=100, batch=64, trials=64)
    task = tasks.flip_flop(bits=3, p=0.3, steps=100)
    keys = {"as printed": "2e83b00ad961", "silence before": "94cbd93afbaa"}
    for variant, key in keys.items():
        assert digest(cache_inputs(task, (1, 2, 3), options, variant)).startswith(key)
