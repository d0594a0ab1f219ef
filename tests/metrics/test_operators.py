"""Linear operators of trajectories against other packages, linear systems and regressions."""

import jax
import numpy as np
import pytest

from references import metrics
from rnnjax.metrics.delays import choose_delays, delay_errors, reconstruction_errors
from rnnjax.metrics.operators import Regression, fit_operators

KEY = jax.random.key(0)
X = metrics()["traj_X"]


def sorted_eigenvalues(values):
    return np.sort_complex(np.asarray(values, complex))


@pytest.mark.parametrize(
    ("options", "reference"),
    [
        ({"delays": 1}, "dmd_full_nd1_di1_eig"),
        ({"delays": 3}, "dmd_full_nd3_di1_eig"),
        ({"delays": 3, "regression": Regression(rank=6)}, "dmd_rank6_nd3_eig"),
        ({"delays": 2, "regression": Regression(rank=8, ridge=0.1)}, "dmd_rank8_nd2_lamb0.1_eig"),
    ],
    ids=["one delay", "three delays", "truncated", "ridge"],
)
@pytest.mark.parametrize("variance", [None, 1])
def test_eigenvalues_are_those_of_dsa_metric(options, reference, variance):
    found = fit_operators(X, variance=variance, **options)
    expected = np.stack([sorted_eigenvalues(e) for e in metrics()[reference]])
    np.testing.assert_allclose(found.eigenvalues, expected, atol=1e-3)
    assert (found.components == X.shape[-1]).all()


def test_components_are_counted_per_network_and_shared_at_the_maximum():
    found = fit_operators(X)
    np.testing.assert_array_equal(found.components, metrics()["pca99_ncomp"])
    assert found.shared == found.matrix.shape[-1] == metrics()["pca99_ncomp"].max()
    expected = np.linalg.eigvals(metrics()["dsa_ops"])  # of the scores on as many components
    for got, want in zip(found.eigenvalues, expected, strict=True):
        np.testing.assert_allclose(got, sorted_eigenvalues(want), atol=1e-3)


def spiral(key, trials=12, steps=30, units=5):
    """A linear system x' = M x from random states, and M."""
    rng = np.random.default_rng(key)
    matrix = 0.95 * np.linalg.qr(rng.normal(size=(units, units)))[0]
    states = [rng.normal(size=(trials, units))]
    for _ in range(steps - 1):
        states.append(states[-1] @ matrix.T)
    return np.stack(states, axis=1), matrix


def test_eigenvalues_of_a_linear_system_are_recovered():
    states, matrix = spiral(0)
    found = fit_operators(states[None], variance=None)
    np.testing.assert_allclose(
        found.eigenvalues[0], sorted_eigenvalues(np.linalg.eigvals(matrix)), atol=1e-10
    )
    assert found.error[0] < 1e-20


def test_no_row_combines_two_trials():
    """The order of the trials of a linear system has no effect; joined trials are not linear."""
    states, _ = spiral(1)
    order = np.random.default_rng(0).permutation(len(states))
    one, other = (fit_operators(x[None], delays=2, regression=Regression(rank=5), variance=None)
                  for x in (states, states[order]))  # fmt: skip
    assert one.error[0] < 1e-18
    np.testing.assert_allclose(one.eigenvalues, other.eigenvalues, atol=1e-8)
    joined = states.reshape(1, 1, -1, states.shape[-1])
    assert fit_operators(joined, variance=None).error[0] > 1e-3


def test_the_regression_is_the_textbook_one():
    """Against whitening by SVD and least squares, with rows built one by one."""
    x, delays, ridge = X[0].astype(float), 2, 0.3
    rows = [np.concatenate([trial[t], trial[t - 1]]) for trial in x for t in range(1, len(trial))]
    u, s, vt = np.linalg.svd(np.array(rows), full_matrices=False)
    whitened = u.reshape(len(x), -1, u.shape[1])
    before, after = whitened[:, :-1].reshape(-1, len(s)), whitened[:, 1:].reshape(-1, len(s))
    a = np.linalg.solve(before.T @ before + ridge * np.eye(len(s)), before.T @ after).T
    found = fit_operators(X[:1], delays=delays, variance=None, regression=Regression(ridge=ridge))
    np.testing.assert_allclose(found.singular[0], s, rtol=1e-6)
    sign = np.sign(np.sum(vt * _right_vectors(np.array(rows)), axis=1))
    np.testing.assert_allclose(found.matrix[0], sign[:, None] * a * sign, atol=1e-6)


def _right_vectors(rows):
    values, vectors = np.linalg.eigh(rows.T @ rows)
    return vectors[:, np.argsort(values)[::-1]].T


def test_full_rank_ignores_every_linear_mixing():
    mixing = np.random.default_rng(0).normal(size=(16, 16))
    one = fit_operators(X[:1], variance=None)
    other = fit_operators(X[:1] @ mixing, variance=None)
    np.testing.assert_allclose(one.eigenvalues, other.eigenvalues, atol=1e-4)
    np.testing.assert_allclose(
        np.linalg.svd(one.matrix, compute_uv=False),
        np.linalg.svd(other.matrix, compute_uv=False),
        atol=1e-4,
    )


def test_silent_units_only_add_zero_directions():
    padded = np.concatenate([X[:1], np.zeros_like(X[:1, ..., :3])], axis=-1)
    one, other = fit_operators(X[:1], variance=None), fit_operators(padded, variance=None)
    assert (other.singular[0] > 0).sum() == 16
    assert np.isfinite(other.matrix).all()
    nonzero = other.eigenvalues[0][np.abs(other.eigenvalues[0]) > 1e-9]
    np.testing.assert_allclose(nonzero, one.eigenvalues[0], atol=1e-5)


def test_number_of_components_can_be_given():
    found = fit_operators(X, components=5, delays=2)
    assert found.shared == 5
    assert found.matrix.shape == (4, 10, 10)


@pytest.mark.parametrize("units", [40, 400])
def test_networks_of_few_dimensions_keep_as_many_as_others_need(units):
    rng = np.random.default_rng(0)
    weak = 1e-3 * rng.normal(size=(8, 20, units))
    one = weak + rng.normal(size=(8, 20, 1)) * np.ones(units)
    many = rng.normal(size=(8, 20, units))
    found = fit_operators([one, many], variance=0.99, delays=1)
    alone = fit_operators([one], components=found.shared)
    assert found.components[0] == 1 and found.shared > 30
    np.testing.assert_allclose(found.variance[0], alone.variance[0], rtol=1e-9)
    np.testing.assert_allclose(found.singular[0], alone.singular[0], rtol=1e-6)


def test_more_units_than_samples_have_the_components_of_fewer():
    """Random copies of few signals: the same scores up to signs, without a Gram matrix of units."""
    rng = np.random.default_rng(0)
    mixed = X[..., :6] @ np.linalg.qr(rng.normal(size=(400, 6)))[0].T
    few, many = X[:, :2, :, :6], mixed[:, :2]
    assert many.shape[-1] > many.shape[1] * many.shape[2]
    for options in ({"variance": 0.9}, {"components": 4}):
        one, other = fit_operators(few, **options), fit_operators(many, **options)
        assert other.shared == one.shared
        np.testing.assert_allclose(other.eigenvalues, one.eigenvalues, atol=1e-4)
        np.testing.assert_allclose(other.variance, one.variance, atol=1e-5)


def second_order(networks=2, trials=20, steps=40):
    """One observed coordinate of noisy rotations: one delay cannot predict it, two can."""
    rng = np.random.default_rng(3)
    phase = rng.uniform(0, 2 * np.pi, (networks, trials, 1))
    rate = 0.5 + 0.1 * np.arange(networks)[:, None, None]
    angle = phase + rate * np.arange(steps)
    return (np.cos(angle) + 0.01 * rng.normal(size=angle.shape))[..., None]


def test_delays_are_chosen_by_held_out_error():
    states = second_order()
    errors = delay_errors(states, candidates=(1, 2, 3, 8), key=KEY)
    assert errors[0] > 10 * errors[1]
    assert choose_delays(states, candidates=(1, 2), key=KEY) == 2
    # White noise is unpredictable: fewer delays overfit less, while in-sample error prefers more.
    noise = np.random.default_rng(0).normal(size=(2, 20, 20, 4))
    assert choose_delays(noise, candidates=(1, 2, 4, 8), key=KEY) == 1


def test_a_trial_of_another_scale_leaves_the_others_their_digits():
    """Held out, it is predicted from them, and has nearly all of the error."""
    states = np.random.default_rng(0).normal(size=(1, 5, 30, 3)).cumsum(2)
    states[0, 2] *= 1e6
    candidates = (1, 2, 4)
    found = delay_errors(states, candidates=candidates, key=KEY, variance=None)
    missed, rest = np.zeros(3), np.delete(states[0], 2, axis=0)
    for number, delays in enumerate(candidates):

        def rows(trials, delays=delays):
            now = [np.concatenate([trial[t - d] for d in range(delays)])
                   for trial in trials for t in range(3, 29)]  # fmt: skip
            return np.array(now), trials[:, 4:].reshape(-1, 3)

        weights = np.linalg.lstsq(*rows(rest), rcond=None)[0]
        before, after = rows(states[0, 2:3])
        missed[number] = ((after - before @ weights) ** 2).sum() / (after**2).sum()
    np.testing.assert_allclose(found, missed, rtol=1e-5)


def test_held_out_error_is_that_of_plain_regressions():
    """By least squares in every fold, on the rows of the longest embedding."""
    states, candidates = X[:1], (1, 3)
    order = np.asarray(jax.random.permutation(KEY, states.shape[1]))
    missed, total = np.zeros(2), 0.0
    for fold in np.array_split(order, 5):
        rest = np.setdiff1d(np.arange(states.shape[1]), fold)
        for number, delays in enumerate(candidates):

            def rows(trials, delays=delays):
                x = states[0][trials].astype(float)
                now = [np.concatenate([trial[t - d] for d in range(delays)])
                       for trial in x for t in range(2, x.shape[1] - 1)]  # fmt: skip
                return np.array(now), x[:, 3:].reshape(-1, x.shape[-1])

            weights = np.linalg.lstsq(*rows(rest), rcond=None)[0]
            before, after = rows(fold)
            missed[number] += ((after - before @ weights) ** 2).sum()
        total += (after**2).sum()
    found = delay_errors(states, candidates=candidates, key=KEY, variance=None)
    np.testing.assert_allclose(found, missed / total, rtol=1e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"delays": 40}, "delays: expected at most 39"),
        ({"delays": 0}, "delays: expected an integer of at least 1"),
        ({"variance": 1.5}, "variance"),
        ({"variance": 0}, "variance"),
        ({"components": 17}, "components: expected at most the 16 units"),
        ({"regression": Regression(rank=99)}, "rank: expected at most 14"),
    ],
)
def test_bad_options_are_named(change, message):
    with pytest.raises(ValueError, match=message):
        fit_operators(X, **change)


@pytest.mark.parametrize("change", [{"rank": 0}, {"ridge": -1}])
def test_bad_regressions_are_named(change):
    with pytest.raises(ValueError, match=f"^{next(iter(change))}: expected"):
        Regression(**change)


def test_bad_states_are_named():
    spoiled = X.copy()
    spoiled[2, 0, 0, 0] = np.nan
    with pytest.raises(ValueError, match="network 2"):
        fit_operators(spoiled)
    with pytest.raises(ValueError, match=r"states: expected shape \[S, B, T, N\]"):
        fit_operators(X[0])
    still = X.copy()
    still[1] = 0.5
    with pytest.raises(ValueError, match="states: .* of network 1 is constant"):
        fit_operators(still)
    still[1] = np.nextafter(np.float32(0.1), still[0] > 0)  # rounding errors of 0.1
    with pytest.raises(ValueError, match="states: .* of network 1 is constant"):
        fit_operators(still, variance=None)
    with pytest.raises(ValueError, match="more than 16 transitions"):
        fit_operators(X[:, :1, :10], variance=None)
    with pytest.raises(ValueError, match="at least 2 trials"):
        choose_delays(X[:, :1], candidates=(1, 2), key=KEY)
    with pytest.raises(ValueError, match="candidates: expected at most 39"):
        choose_delays(X[:, :1], candidates=(40,), key=KEY)
    assert choose_delays(X[:, :1], candidates=(3,), key=KEY) == 3  # nothing to compare
    with pytest.raises(ValueError, match="candidates: 30 delays"):
        choose_delays(X, candidates=(1, 30), key=KEY)


def test_a_unit_that_moves_in_the_last_step_alone():
    """Its direction has no successor, so that its Gram matrix of predecessors is singular."""
    late = X[:1, ..., :4].copy()
    late[..., 3] = 0
    late[:, :, -1, 3] = 1.0
    assert np.isfinite(fit_operators(late, variance=None).matrix).all()


def test_states_that_stay_at_zero_have_no_error():
    states = np.zeros((1, 6, 9, 2))
    states[0, :, 0] = np.random.default_rng(0).normal(size=(6, 2))
    assert fit_operators(states, variance=None).error == 0
    for errors in (
        reconstruction_errors(states, candidates=(1, 2), variance=None),
        delay_errors(states, candidates=(1, 2), variance=None, key=KEY),
    ):
        np.testing.assert_array_equal(errors, 0)


def test_a_silent_trial_predicts_nothing_of_the_other():
    states = np.zeros((1, 2, 9, 2))
    states[0, 0] = np.random.default_rng(0).normal(size=(9, 2)).cumsum(0)
    errors = delay_errors(states, candidates=(1, 2), variance=None, key=KEY)
    np.testing.assert_allclose(errors, 1)


def test_reconstruction_errors_are_those_of_least_squares_on_every_transition():
    rng = np.random.default_rng(3)
    states = rng.normal(size=(2, 6, 14, 3)).cumsum(2)
    found = reconstruction_errors(states, candidates=(1, 2, 4), variance=None)
    for place, delays in enumerate((1, 2, 4)):
        errors = []
        for network in states:
            rows = [
                (trial[t - delays + 1 : t + 1][::-1].ravel(), trial[t + 1])
                for trial in network for t in range(delays - 1, 13)
            ]  # fmt: skip
            before, after = (np.array(side) for side in zip(*rows, strict=True))
            fit = np.linalg.lstsq(before, after, rcond=None)[0]
            errors.append(((after - before @ fit) ** 2).sum() / (after**2).sum())
        assert found[place] == pytest.approx(np.mean(errors), rel=1e-8)
    held_out = delay_errors(states, candidates=(1, 2, 4), variance=None, key=KEY)
    assert (found < held_out).all()  # the fit knows these trials
    with pytest.raises(ValueError, match="^candidates: 12 delays of 3 components"):
        reconstruction_errors(states, candidates=(1, 12), variance=None)
