"""Metrics of recordings that differ in units, trials and lengths, or miss steps."""

import jax
import numpy as np
import pytest
import xarray as xr

from rnnjax.metrics import (
    METRICS,
    SolverOptions,
    cka_distances,
    dsa_distances,
    procrustes_distances,
    svcca_distances,
)
from rnnjax.metrics.delays import delay_errors
from rnnjax.metrics.operators import fit_operators
from rnnjax.metrics.svcca import svcca_distance

KEY = jax.random.key(0)
FEW = SolverOptions(starts=2, steps=3)
SAMPLED = {"svcca": svcca_distances, "cka": cka_distances, "procrustes": procrustes_distances}


def noisy_rotation(seed, lengths, units):
    """Trials [T_b, units] of a noisy linear system."""
    rng = np.random.default_rng(seed)
    matrix = 0.9 * np.linalg.qr(rng.normal(size=(units, units)))[0]
    trials = []
    for length in lengths:
        state, states = rng.normal(size=units), []
        for _ in range(length):
            state = matrix @ state + 0.3 * rng.normal(size=units)
            states.append(state)
        trials.append(np.array(states))
    return trials


def padded(trials, steps=None):
    steps = steps or max(map(len, trials))
    ends = [np.full((steps - len(x), x.shape[1]), np.nan) for x in trials]
    return np.stack([np.concatenate(pair) for pair in zip(trials, ends, strict=True)])


MICE = {
    "Ada": noisy_rotation(0, [30, 10, 25, 40, 22, 31], 4),
    "Bo": noisy_rotation(1, [50] * 5, 7),
    "Cy": noisy_rotation(2, [9, 60, 33, 21], 5),
}


def by_hand(trials, delays, components):
    """Eigenvalues and singular values, from rows before and after a step stacked one by one."""
    whole = np.concatenate(trials)
    axes = np.linalg.svd(whole - whole.mean(0))[2][:components]
    rows, before, after = [], [], []
    for trial in trials:
        scores = (trial - whole.mean(0)) @ axes.T
        for t in range(delays - 1, len(scores)):
            if len(scores) <= delays:
                continue
            if t > delays - 1:
                before.append(len(rows) - 1)
                after.append(len(rows))
            rows.append(np.concatenate([scores[t - d] for d in range(delays)]))
    left, singular, _ = np.linalg.svd(np.array(rows), full_matrices=False)
    matrix = np.linalg.lstsq(left[before], left[after], rcond=None)[0].T
    return np.sort_complex(np.linalg.eigvals(matrix)), singular


@pytest.mark.parametrize("delays", [1, 3, 10])
def test_the_operator_is_that_of_rows_stacked_by_hand(delays):
    found = fit_operators(MICE, delays=delays, components=3)
    for number, trials in enumerate(MICE.values()):
        eigenvalues, singular = by_hand(trials, delays, 3)
        np.testing.assert_allclose(found.eigenvalues[number], eigenvalues, atol=1e-8)
        np.testing.assert_allclose(found.singular[number], singular, rtol=1e-6)


def test_held_out_errors_are_those_of_plain_regressions():
    """With trials too short for the longest candidate, and every trial in one fold."""
    trials, candidates = [MICE["Ada"][1][:3], *MICE["Ada"]], (1, 3)
    order = np.asarray(jax.random.permutation(KEY, len(trials)))
    missed, total = np.zeros(2), 0.0
    for fold in np.array_split(order, 5):
        for number, delays in enumerate(candidates):

            def rows(chosen, delays=delays):
                steps = [(trials[b], t) for b in chosen for t in range(2, len(trials[b]) - 1)]
                now = [np.concatenate([x[t - d] for d in range(delays)]) for x, t in steps]
                return np.array(now).reshape(-1, 4 * delays), np.array(
                    [x[t + 1] for x, t in steps]
                ).reshape(-1, 4)

            rest = np.setdiff1d(order, fold)
            weights = np.linalg.lstsq(*rows(rest), rcond=None)[0]
            before, after = rows(fold)
            missed[number] += ((after - before @ weights) ** 2).sum()
        total += (after**2).sum()
    found = delay_errors([trials], candidates=candidates, key=KEY, variance=None)
    np.testing.assert_allclose(found, missed / total, rtol=1e-5)


def dsa(recordings, **options):
    return np.asarray(
        dsa_distances(recordings, key=KEY, solver=FEW, **{"components": 2, **options})
    )


def test_lists_and_padded_arrays_are_the_same():
    expected = dsa(MICE, delays=2)
    wide = {name: padded(trials, 70) for name, trials in MICE.items()}
    extra = {name: np.concatenate([x, np.full_like(x[:1], np.nan)]) for name, x in wide.items()}
    nested = {name: [trial.tolist() for trial in trials] for name, trials in MICE.items()}
    mixed = [wide["Ada"], MICE["Bo"], extra["Cy"]]
    for form in (list(MICE.values()), wide, extra, mixed, nested, list(nested.values())):
        np.testing.assert_array_equal(dsa(form, delays=2), expected)
    boxed = np.empty(3, object)
    boxed[:] = list(MICE.values())
    np.testing.assert_array_equal(dsa(boxed, delays=2), expected)


@pytest.mark.parametrize("options", [{}, {"delays": (1, 2)}, {"components": None, "variance": 0.9}])
def test_padding_changes_nothing_to_the_last_bit(options):
    """Recordings of one size, without gaps, and the same within larger arrays of NaN."""
    states = np.stack([padded(noisy_rotation(seed, [30] * 6, 4)) for seed in range(3)])
    large = np.full((3, 8, 35, 4), np.nan)
    large[:, 1:7, 3:33] = states
    expected = dsa(states, **options)
    np.testing.assert_array_equal(dsa(large, **options), expected)
    np.testing.assert_array_equal(dsa([x.tolist() for x in states], **options), expected)
    for function in SAMPLED.values():
        np.testing.assert_array_equal(function(large), function(states))


def test_no_row_spans_a_missing_step():
    """A linear system without noise is predicted exactly only within its runs."""
    trials = noisy_rotation(0, [40, 40], 3)
    matrix = 0.95 * np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    for trial in trials:
        for t in range(1, len(trial)):
            trial[t] = matrix @ trial[t - 1]
    array = np.stack(trials)
    array[0, 17] = np.nan
    options = {"delays": 2, "variance": None}
    found = fit_operators([array[..., :2]], **options)
    split = fit_operators([[array[0, :17, :2], array[0, 18:, :2], array[1, :, :2]]], **options)
    np.testing.assert_array_equal(found.matrix, split.matrix)
    whole = fit_operators([array], variance=None)
    assert whole.error[0] < 1e-20
    joined = np.delete(array[0], 17, axis=0)
    assert fit_operators([joined], variance=None).error[0] > 1e-6


def test_runs_of_one_trial_are_held_out_together():
    states = padded(MICE["Ada"])
    states[3, 20] = np.nan  # two runs of one trial
    found = delay_errors([states], candidates=(1, 2), key=KEY)
    runs = [x[np.isfinite(x[:, 0])] for x in states]
    apart = [*runs[:3], states[3, :20], states[3, 21:], *runs[4:]]  # two trials
    assert not np.allclose(found, delay_errors([apart], candidates=(1, 2), key=KEY))


def test_components_are_at_most_the_units_of_the_smallest():
    found = fit_operators(MICE, variance=1 - 1e-9)
    assert found.shared == 4
    np.testing.assert_array_equal(found.components, [4, 7, 5])
    assert found.variance[0] == pytest.approx(1)
    fewer = fit_operators(MICE, variance=0.4)
    assert fewer.components.min() < fewer.shared == fewer.components.max() < 4
    whole = np.concatenate(MICE["Bo"])
    powers = np.linalg.svd(whole - whole.mean(0), compute_uv=False) ** 2
    assert found.variance[1] == pytest.approx(powers[:4].sum() / powers.sum())


def test_named_networks_give_labelled_distances():
    found = dsa_distances(MICE, key=KEY, solver=FEW, components=2)
    assert found.dims == ("network", "other")
    assert list(found["network"].values) == list(found["other"].values) == ["Ada", "Bo", "Cy"]
    np.testing.assert_array_equal(found.values, dsa(list(MICE.values())))
    states = np.random.default_rng(0).normal(size=(3, 5, 9, 4))
    labelled = xr.DataArray(
        np.moveaxis(states, 0, 2), dims=("trial", "time", "network", "unit"),
        coords={"network": ["a", "b", "c"]},
    )  # fmt: skip
    turned = labelled.transpose("unit", "network", "time", "trial")
    unnamed = turned.rename(network="animal").drop_vars("animal").transpose("animal", ...)
    trials = [[xr.DataArray(x.T, dims=("unit", "time")) for x in one] for one in states]
    for function in (*SAMPLED.values(), dsa):
        for form in (unnamed, trials):
            np.testing.assert_array_equal(function(form), function(states))
    for name, function in {**SAMPLED, "dsa": dsa}.items():
        for form in (labelled, turned, {"a": states[0], "b": states[1], "c": states[2]}):
            got = function(form)
            np.testing.assert_array_equal(got, function(states))
            if name != "dsa":
                assert list(got["other"].values) == ["a", "b", "c"]


@pytest.mark.parametrize("name", SAMPLED)
def test_pairs_are_compared_on_the_samples_that_neither_misses(name):
    """Against the metric of every pair alone, with its samples picked out one by one."""
    rng = np.random.default_rng(0)
    units = (4, 6, 3)
    states = [rng.normal(size=(5, 8, n)).cumsum(1) for n in units]
    for x in states:
        x[rng.random((5, 8)) < 0.2] = np.nan
    found = SAMPLED[name]({"a": states[0], "b": states[1], "c": states[2]})
    for i, j in ((0, 1), (0, 2), (1, 2)):
        rows = [
            (x, y)
            for x, y in zip(states[i].reshape(40, -1), states[j].reshape(40, -1), strict=True)
            if not np.isnan(x[0]) and not np.isnan(y[0])
        ]
        x, y = (np.array(side) for side in zip(*rows, strict=True))
        assert 0 < len(rows) < 40
        assert found.values[i, j] == SAMPLED[name]([x, y])[0, 1]
    assert svcca_distance(states[0], states[1]) == svcca_distances(states)[0, 1]


NAN_UNIT = padded(MICE["Bo"]).copy()
NAN_UNIT[2, 5, 1] = np.nan


@pytest.mark.parametrize(
    ("recordings", "options", "message"),
    [
        ({**MICE, "Dee": NAN_UNIT}, {}, "states, network Dee: .* units of trial 2, step 5"),
        ({**MICE, "Dee": np.full((2, 9, 3), np.nan)}, {}, "network Dee: .* in every step"),
        ({**MICE, "Dee": np.ma.ones((2, 9, 3))}, {}, "network Dee: .* masked .* NaN"),
        ({**MICE, "Dee": [np.ones((5, 3)), np.ones((4, 2))]}, {}, "network Dee, trial 1: "),
        ({**MICE, "Dee": [[[1.0, 2.0], [1.0]], [[1.0, 2.0]]]}, {}, "states, network Dee: "),
        ({**MICE, "Dee": [[1.0, 2.0], [1.0]]}, {}, "states, network Dee"),
        ({**MICE, "Dee": np.ones(5)}, {}, r"network Dee: expected shape \[B, T, N\] or \[T, N\]"),
        ({**MICE, "Dee": np.ones((2, 9, 3))}, {}, "activity of network Dee is constant"),
        ({**MICE, "Dee": MICE["Ada"][1][:3]}, {}, "transitions .* in network Dee"),
        (MICE, {"components": 5}, "components: .* 4 units of network Ada, got 5"),
        (MICE, {"delays": 45}, "delays: expected at most 39, .* in network Ada"),
        (MICE, {"components": None, "variance": None}, "variance: .* from 4 to 7 units, got None"),
        ({"Ada": MICE["Ada"]}, {}, "states: expected at least 2 networks, got 1"),
        ({1: MICE["Ada"], "1": MICE["Bo"]}, {}, "states: expected different names, got '1' twice"),
        ({**MICE, "Dee": MICE["Bo"][0]}, {"delays": (1, 2)}, "at least 2 trials.* network Dee"),
        (
            {"a": xr.DataArray(np.ones((5, 6, 7)), dims=("unit", "bin", "trial")), **MICE},
            {}, "states, network a: expected the dimensions trial, time, unit",
        ),
        (
            {"a": xr.DataArray(np.ones((5, 6)), dims=("trial", "time")), **MICE},
            {}, "states, network a: expected dimensions time, unit of one trial, .* trial, time",
        ),
        (
            {"a": xr.DataArray(np.ones((5, 6)), dims=("trial", "unit")), **MICE},
            {}, "states, network a: expected dimensions time, unit of one trial",
        ),
    ],
)  # fmt: skip
def test_bad_recordings_are_named(recordings, options, message):
    with pytest.raises(ValueError, match=message):
        dsa(recordings, **options)


@pytest.mark.parametrize("function", [*SAMPLED.values(), dsa, fit_operators])
def test_one_recording_is_no_population(function):
    """Its trials would be compared with each other."""
    one = xr.DataArray(np.random.default_rng(0).normal(size=(4, 9, 3)))
    for dims in (("trial", "time", "unit"), ("units", "step", "trials")):
        with pytest.raises(ValueError, match=f"^(states|activities): .*{', '.join(dims)}"):
            function(one.rename(dict(zip(one.dims, dims, strict=True))))


def test_networks_may_lie_along_training():
    states = np.random.default_rng(0).normal(size=(3, 4, 9, 3))
    labelled = xr.DataArray(states, dims=("step", "trial", "time", "unit"))
    np.testing.assert_array_equal(cka_distances(labelled), cka_distances(states))


@pytest.mark.parametrize("function", [*SAMPLED.values(), dsa])
def test_masked_populations_are_refused_with_a_way_out(function):
    with pytest.raises(ValueError, match=r"(states|activities): .* masked array; .*filled"):
        function(np.ma.ones((2, 5, 9, 3)))


def test_samples_must_correspond():
    states = {name: padded(trials) for name, trials in MICE.items()}
    with pytest.raises(ValueError, match="network Bo: expected the samples of .* Ada, .*NaN"):
        svcca_distances(states)
    few = np.full((2, 4, 6, 3), np.nan)
    few[0, :2] = few[1, 1:, :2] = 1.0
    with pytest.raises(ValueError, match="network 0 and .* network 1: expected at least 3 samples"):
        METRICS["cka"].distances(few, key=KEY)
