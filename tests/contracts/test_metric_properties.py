"""Every metric and every analysis of arrays, given arrays with defects and of any scale.

The result is finite, symmetric and 0 on the diagonal, or an error names the argument.
"""

import functools
import inspect
from typing import NamedTuple

import hypothesis
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import strategies

from odd import assert_names, cases, odd_values
from rnnjax.analysis import estimate, factor_trend
from rnnjax.arrays import LARGEST, SMALLEST
from rnnjax.metrics import (
    METRICS,
    SolverOptions,
    behavior,
    dsa,
    features,
    pairwise,
    shape,
    structure,
    svcca,
    weights,
)

KEY = jax.random.key(0)
FEW = SolverOptions(starts=2, steps=3)
RNG = np.random.default_rng(0)
STATES = RNG.normal(size=(3, 4, 7, 3))
MATRICES = RNG.normal(size=(3, 4, 4))
LOSSES = np.array([1.0, 2.0, 4.0, 3.0])
DISTANCES = np.abs(MATRICES[0] + MATRICES[0].T) * (1 - np.eye(4))


class Call(NamedTuple):
    """A function with valid arguments, of which the arrays are made odd."""

    function: object
    arrays: dict
    options: dict = {}  # noqa: RUF012 - never changed
    scales: bool = True
    """Whether any scale within the bounds is valid."""


def metric_call(metric):
    names = list(inspect.signature(metric.function).parameters)
    array = MATRICES if metric.takes == "weights" else STATES
    options = {"key": KEY, "solver": FEW, "components": 2}
    return Call(
        metric.function,
        {names[0]: array},
        {name: value for name, value in options.items() if name in names},
    )


PAIRS = {"x": STATES[0], "y": STATES[1]}
SOLVER = {"key": KEY, "solver": FEW}
CALLS = {
    **{name: metric_call(metric) for name, metric in METRICS.items()},
    "wasserstein": Call(
        dsa.dsa_distances, {"states": STATES}, {**SOLVER, "score": "wasserstein", "components": 2}
    ),
    "delays": Call(
        dsa.dsa_distances, {"states": STATES}, {**SOLVER, "delays": (1, 2), "components": 2}
    ),
    "relative": Call(
        weights.pif_distances, {"weights": MATRICES}, {**SOLVER, "normalize": "relative"}
    ),
    "compare_operators": Call(dsa.compare_operators, {"operators": MATRICES[:, :2, :2]}, SOLVER),
    "operators": Call(
        dsa.operator_distances, {"a": MATRICES[:, :2, :2], "b": MATRICES[:, 2:, 2:]}, SOLVER
    ),
    "eigenvalues": Call(dsa.wasserstein_distances, {"a": MATRICES, "b": MATRICES[::-1]}),
    "spectra": Call(dsa.spectral_distances, {"eigenvalues": MATRICES[0]}),
    "fit": Call(dsa.fit_operators, {"states": STATES}),
    "scores": Call(dsa.principal_scores, {"states": STATES}, {"components": 2}),
    "choose": Call(dsa.choose_delays, {"states": STATES}, {"key": KEY, "candidates": (1, 2)}),
    "pif_pairs": Call(weights.pif_pairs, {"w1": MATRICES, "w2": MATRICES[::-1]}, SOLVER),
    "per_parameter": Call(
        weights.distances_per_parameter, {"distance": DISTANCES[:3, :3], "weights": MATRICES}
    ),
    "svcca_pair": Call(svcca.svcca_distance, PAIRS),
    "cka_pair": Call(shape.cka_distance, PAIRS),
    "procrustes_pair": Call(shape.procrustes_distance, PAIRS),
    "losses": Call(
        behavior.losses, {"predictions": STATES, "targets": STATES[0], "mask": np.ones((4, 7, 3))},
        scales=False,
    ),
    "spread": Call(behavior.spread, {"losses": LOSSES}),
    "near_zero": Call(structure.near_zero_share, {"weights": MATRICES}, {"bound": 0.1}),
    "rank": Call(structure.effective_rank, {"weights": MATRICES}),
    "kernels": Call(features.kernel_alignment, {"k0": MATRICES[0], "k1": MATRICES[1]}),
    "representations": Call(
        features.representation_alignment, {"h0": STATES[0], "h1": STATES[1]}
    ),
    "change": Call(
        features.weight_change, {"before": MATRICES, "after": MATRICES[::-1]}, scales=False
    ),
    "mean": Call(pairwise.mean_distance, {"distances": DISTANCES}),
    **{
        f"estimate_{kind}": Call(
            functools.partial(estimate, kind), {"values": DISTANCES if kind == "pairs" else LOSSES}
        )
        for kind in ("pairs", "mean", "spread")
    },
    "trend": Call(
        lambda levels: factor_trend("mean", [levels, LOSSES]),
        {"levels": LOSSES},
    ),
}  # fmt: skip

SQUARE = {*METRICS, "wasserstein", "delays", "relative", "spectra"}
"""Calls that return distances between all networks."""

NAMES = {
    *(name for call in CALLS.values() for name in (*call.arrays, *call.options)),
    "activities", "variance", "values", "predictions", "targets", "rank", "ridge", "regression",
    "delays", "score", "progress", "memory",
}  # fmt: skip


GAPS = {"losses", "trend", "estimate_pairs", "estimate_mean", "estimate_spread"}
"""Calls whose results flag by NaN what diverged, was left out, or has too few networks."""


def with_entry(array, value):
    found = np.array(array, np.result_type(array, value))
    found.flat[found.size // 2] = value
    return found


DEFECTS = {
    "nan": lambda a: with_entry(a, np.nan),
    "infinite": lambda a: with_entry(a, np.inf),
    "huge": lambda a: with_entry(a, 1e200),
    "complex": lambda a: a + 1j,
    "object": lambda a: a.astype(object),
    "strings": lambda a: a.astype(str),
    "dates": lambda a: a.astype("M8[s]"),
    "masked": lambda a: np.ma.array(a, mask=a > 1),
    "masked_list": lambda a: [np.ma.array(part) for part in a],
    "ragged": lambda a: [*a.tolist()[:-1], [1.0]],
    "empty": lambda a: a[..., :0],
    "none": lambda a: a[:0],
    "rank_below": lambda a: a[0],
    "rank_above": lambda a: a[None, None],
    "number": lambda a: a.flat[0],
    "mapping": lambda a: dict(enumerate(a)),
    "missing": lambda a: None,
    "text": lambda a: "abc",
}
"""Defects that no function accepts, with few exceptions below."""

FORMS = {
    "same": lambda a: a,
    "double": lambda a: a.astype("f8"),
    "swapped": lambda a: a.astype(">f8"),
    "long": lambda a: a.astype(np.longdouble),
    "list": lambda a: a.tolist(),
    "fortran": np.asfortranarray,
    "single": lambda a: a.astype("f4"),
    "half": lambda a: a.astype("f2"),
    "jax": jnp.asarray,
    "integers": lambda a: np.rint(8 * a).astype("i2"),
    "one": lambda a: a[:1],
    "zero": np.zeros_like,
    "constant": np.ones_like,
    "alike": lambda a: np.broadcast_to(a[:1], a.shape),
    "silent": lambda a: np.concatenate([0 * a[:1], a[1:]]),
    "tiny_member": lambda a: np.concatenate([1e-200 * a[:1], a[1:]]),
    "small_member": lambda a: np.concatenate([1e-60 * a[:1], a[1:]]),
}
"""Forms and contents that may be valid or not."""

VALID = ("same", "double", "swapped", "long", "list", "fortran", "single", "jax")
"""Forms that no function refuses."""


def evaluate(call, arrays, options):
    return jax.tree.map(np.asarray, call.function(**arrays, **{**call.options, **options}))


def assert_sound(name, found):
    """Checks that results are finite, and distances symmetric, at least 0 and 0 to itself."""
    for values in jax.tree.leaves(found):
        assert np.isfinite(values).all()
    if name in SQUARE:
        assert found.shape[0] == found.shape[1]
        np.testing.assert_array_equal(found, found.T)
        assert (found >= 0).all() and not np.diag(found).any()


@strategies.composite
def calls(draw):
    """A function and its arrays, one of them with a defect or in another form or scale."""
    name = draw(strategies.sampled_from(sorted(CALLS)))
    arrays = dict(CALLS[name].arrays)
    odd = draw(strategies.sampled_from(sorted(arrays)))
    forms = {**DEFECTS, **FORMS}
    form = draw(strategies.sampled_from(sorted(forms)))
    arrays[odd] = forms[form](arrays[odd])
    return name, form, arrays


@pytest.mark.slow
@cases(share=0.25)
@hypothesis.given(calls())
def test_a_sound_result_or_an_error_that_names_the_argument(case):
    name, form, arrays = case
    check(name, form, arrays, {})


def check(name, form, arrays, options):
    call = CALLS[name]
    try:
        found = evaluate(call, arrays, options)
    except ValueError as error:
        nested = name == "change" and form == "list"  # a tree whose leaves are numbers
        if form in VALID and not nested:
            raise
        assert_names(error, NAMES)
        return
    if name not in GAPS:
        assert_sound(name, found)


@pytest.mark.slow
@cases(share=0.15)
@hypothesis.given(strategies.sampled_from(sorted(CALLS)), strategies.integers(-300, 300))
def test_any_scale_within_the_bounds_is_valid_and_others_are_named(name, power):
    call, scale = CALLS[name], 10.0**power
    arrays = {key: scale * array for key, array in call.arrays.items()}
    within = 100 * SMALLEST <= scale <= LARGEST / 100
    check(name, "same" if within and call.scales else "other", arrays, {})


OPTIONS = {
    name: [p for p in inspect.signature(call.function).parameters if p not in call.arrays]
    for name, call in CALLS.items()
}


@strategies.composite
def optional(draw):
    name = draw(strategies.sampled_from(sorted(n for n, known in OPTIONS.items() if known)))
    return name, {draw(strategies.sampled_from(OPTIONS[name])): draw(odd_values)}


@cases(share=0.05)
@hypothesis.given(optional())
def test_odd_options_are_valid_or_named(case):
    name, options = case
    check(name, "other", CALLS[name].arrays, options)


SIZES = strategies.tuples(
    strategies.integers(1, 4),
    strategies.lists(strategies.integers(0, 9), min_size=1, max_size=4),
    strategies.sampled_from(("whole", "gap", "lost trial", "one unit", "constant")),
)
"""Units, steps of every trial, and what one of its trials has."""


def ragged(number, units, lengths, defect):
    """Trials [T_b, N] of one network."""
    rng = np.random.default_rng(number)
    found = [rng.normal(size=(steps, units)).cumsum(0) for steps in lengths]
    if defect == "constant":
        return [0 * trial for trial in found]
    middle = slice(len(found[-1]) // 2, len(found[-1]) // 2 + 1)
    if defect == "gap":
        found[-1][middle] = np.nan
    elif defect == "lost trial":
        found[-1][:] = np.nan
    elif defect == "one unit":
        found[-1][middle, :1] = np.nan
    return found


def padded(trials):
    """The same with NaN after the end of each trial, and a trial that was lost."""
    whole = np.full((len(trials) + 1, 10, trials[0].shape[1]), np.nan)
    for number, trial in enumerate(trials):
        whole[number, : len(trial)] = trial
    return whole


@pytest.mark.slow
@cases(share=0.1)
@hypothesis.given(
    strategies.sampled_from(["dsa", "svcca", "cka", "procrustes", "wasserstein", "delays"]),
    strategies.lists(SIZES, min_size=2, max_size=3),
)
def test_recordings_of_any_sizes(name, sizes):
    """A sound result, or an error that names the argument; the same of lists and padded arrays."""
    call = CALLS[name]
    argument = next(iter(call.arrays))
    lists = [ragged(number, *size) for number, size in enumerate(sizes)]
    options = {"components": 1} if "components" in call.options else {}
    found = []
    for form in (lists, [padded(trials) for trials in lists]):
        try:
            found.append(evaluate(call, {argument: form}, options))
        except ValueError as error:
            assert_names(error, NAMES)
        else:
            assert_sound(name, found[-1])
    if len(found) == 2:
        np.testing.assert_array_equal(*found)
    elif found:  # other trials, of which samples are compared one by one
        assert argument == "activities"


@pytest.mark.slow
@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_states_whose_squares_vanish_or_overflow_are_refused(scale):
    with pytest.raises(ValueError, match="^states: expected magnitudes"):
        dsa.dsa_distances(scale * STATES, key=KEY)
