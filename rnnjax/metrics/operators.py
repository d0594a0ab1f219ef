"""Linear operators of trajectories: PCA, delay embedding, and dynamic mode decomposition.

The embedding of a trial at time t is the row

    h_t = [x_t, x_{t-1}, ..., x_{t-L+1}],

L delays, newest first; no row combines two trials or spans a missing step. With the thin SVD
H = V S U^T of all rows, the operator acts on the whitened coordinates V (Ostrow et al. 2023):

    v_{t+1} ~ A v_t,   A^T = (V_-^T V_- + ridge I)^{-1} V_-^T V_+.

At full rank an invertible linear map of the states only conjugates A by an orthogonal matrix: the
operator describes how states move, and not how they are mixed. All arithmetic is in double
precision, one network at a time.
"""

import dataclasses
from typing import Any, NamedTuple

import numpy as np

from rnnjax import validate
from rnnjax.metrics import checks, trials
from rnnjax.metrics.activity import silent_units
from rnnjax.metrics.trials import Network, Rows

__all__ = [
    "NULL",
    "Operators",
    "Regression",
    "check_delays",
    "fit_operators",
    "principal_scores",
    "reduce_states",
    "relative_error",
    "where_text",
]

NULL = 1e-7
"""Singular values below this share of the largest are rounding of single-precision states."""


@dataclasses.dataclass(frozen=True)
class Regression:
    """Settings of the regression; raises `ValueError` for a number out of range."""

    rank: int | None = None
    """R, the number of leading whitened coordinates to keep; all by default."""
    ridge: float = 0.0
    """Penalty, in whitened coordinates."""

    def __post_init__(self):
        if self.rank is not None:
            validate.positive_integer("rank", self.rank)
        validate.nonnegative("ridge", self.ridge)


class Operators(NamedTuple):
    """The linear dynamics of every network of a population."""

    matrix: np.ndarray
    """A in whitened coordinates, [S, R, R]."""
    eigenvalues: np.ndarray
    """Of A, sorted by real, then imaginary part, [S, R]."""
    components: np.ndarray
    """Number of principal components that carry the share `variance` of each network, [S]."""
    shared: int
    """Number of components kept of every network: the largest of these, or the given number."""
    singular: np.ndarray
    """Singular values of the embedding H, [S, R]; where one is 0, the row of `matrix` is 0 too."""
    error: np.ndarray
    """Squared one-step prediction error over the sum of squares, in sample, [S]."""
    variance: np.ndarray
    """Share of each network's variance in the components kept, [S]; 1 without PCA."""


class _Reduced(NamedTuple):
    scores: dict[str, Network]
    components: np.ndarray  # [S]
    variance: np.ndarray  # [S]


class _Axes(NamedTuple):
    mean: np.ndarray  # [N]
    directions: np.ndarray  # [N, kept], by falling variance
    needed: int
    share: np.ndarray  # of the variance in the leading directions

    def leading(self, count: int, network: Network) -> "_Axes":
        """The axes with `count` directions, which are found again if there are fewer."""
        if self.directions.shape[1] < count:
            return _principal(_doubles(network), 1.0, count)
        return self._replace(directions=self.directions[:, :count].copy())


def _doubles(network: Network) -> np.ndarray:
    """All steps, [samples, N], in double precision."""
    return trials.samples(network).astype(np.float64, copy=False)


def _principal(states: np.ndarray, variance: float, count: int | None = None) -> _Axes:
    """Principal components of samples [samples, N], and how many carry the share `variance`.

    Keeps `count` directions, or somewhat more than are needed: all of all networks may not fit into
    memory. Where units outnumber samples, they are the samples' principal components, mapped back.
    """
    mean = states.mean(0)
    centered = states - mean
    samples, units = centered.shape
    few = units > samples >= (count or 0)
    values, vectors = np.linalg.eigh(centered @ centered.T if few else centered.T @ centered)
    values, vectors = np.maximum(values[::-1], 0.0), vectors[:, ::-1]
    share = np.cumsum(values) / values.sum()
    needed = int(np.argmax(share >= min(variance, share[-1])) + 1)
    vectors = vectors[:, : count or 2 * needed + 8].copy()
    if few:
        vectors = np.linalg.qr(centered.T @ vectors)[0]
    return _Axes(mean, vectors, needed, share)


def reduce_states(
    states: dict[str, Network], variance: float | None, components: int | None
) -> _Reduced:
    """Scores on the leading principal components, the same number for every network."""
    sizes = {which: trials.units(x) for which, x in states.items()}
    fewest = min(sizes, key=lambda which: sizes[which])
    units = sizes[fewest]
    if components is not None and validate.positive_integer("components", components) > units:
        where = "" if len(set(sizes.values())) == 1 else f" of {fewest}"
        raise ValueError(f"components: expected at most the {units} units{where}, got {components}")
    if variance is not None:
        validate.fraction("variance", variance, open_below=True)
    for which, x in states.items():
        if silent_units(trials.samples(x))[1].all():
            raise ValueError(
                f"states: expected activity that varies, but the activity of {which} is constant"
            )
    if components is None and variance in (None, 1):
        if len(set(sizes.values())) > 1:
            raise ValueError(
                "variance: expected a share below 1, or a number of components, since networks "
                f"have from {units} to {max(sizes.values())} units, got {variance}"
            )
        return _Reduced(states, np.full(len(states), units), np.ones(len(states)))
    share = 1.0 if variance is None else variance
    axes = [_principal(_doubles(x), share, components) for x in states.values()]
    needed = np.array([each.needed for each in axes])
    kept = components or min(int(needed.max()), units)
    axes = [each.leading(kept, x) for each, x in zip(axes, states.values(), strict=True)]
    scores = {
        which: trials.mapped(lambda run, each=each: (run - each.mean) @ each.directions, x)
        for (which, x), each in zip(states.items(), axes, strict=True)
    }
    return _Reduced(scores, needed, np.array([each.share[kept - 1] for each in axes]))


def principal_scores(states: np.ndarray, components: int) -> np.ndarray:
    """Every network's states on its leading principal components, centered: [S, B, T, k].

    For several fits to the same states: `fit_operators` of the first k columns with
    `variance=None` equals that of the states with `components=k`, and raises the same errors.
    Networks of different sizes, or with missing steps, raise `ValueError`.
    """
    states = checks.population("states", states, "S B T N", least=1)
    named = trials.networks("states", states, least=1)
    return np.stack([*reduce_states(named, None, components).scores.values()])


def where_text(states: dict[str, Network], which: str) -> str:
    """` in network 2`, or nothing if all networks are of one size."""
    shapes = {x.shape if isinstance(x, np.ndarray) else None for x in states.values()}
    return f" in {which}" if len(shapes) > 1 or None in shapes else ""


def check_delays(name: str, delays: int, states: dict[str, Network]) -> None:
    """Raises `ValueError` unless every network has trials long enough for the delays."""
    validate.positive_integer(name, delays)
    for which, network in states.items():
        steps = trials.longest_run(network)
        if delays > steps - 1:
            raise ValueError(
                f"{name}: expected at most {steps - 1}, since trials have {steps} steps"
                f"{where_text(states, which)}, "
                f"got {delays}"
            )


def _operator(rows: Rows, rank: int, ridge: float) -> tuple[np.ndarray, np.ndarray, float]:
    """A [R, R], singular values [R] and the relative error."""
    flat = rows.flat
    values, directions = np.linalg.eigh(flat.T @ flat)
    singular = np.sqrt(np.maximum(values[::-1], 0.0))[:rank]
    alive = singular > NULL * singular[0]
    scale = np.where(alive, 1 / np.where(alive, singular, 1.0), 0.0)
    whitened = flat @ (directions[:, ::-1][:, :rank] * scale)
    before, after = whitened[rows.before], whitened[rows.after]
    # The solution of least norm maps a direction without variance to 0.
    gram = before.T @ before + ridge * np.eye(rank)
    matrix = np.linalg.lstsq(gram, before.T @ after, rcond=NULL**2)[0].T
    missed = before @ matrix.T
    missed -= after  # in place: fresh memory of this size costs more than the arithmetic
    unexplained = float(relative_error(np.vdot(missed, missed), np.vdot(after, after)))
    return matrix, np.where(alive, singular, 0.0), unexplained


def relative_error(missed: Any, square: Any) -> Any:
    """Squared errors over the sum of squares; 0 where that is 0, as states at 0 have no error."""
    return np.zeros_like(missed) if square == 0 else missed / square


def fit_operators(
    states: Any,
    *,
    delays: int = 1,
    variance: float | None = 0.99,
    components: int | None = None,
    regression: Regression | None = None,
) -> Operators:
    """Fits the linear operator of every network to its trajectories (module equation).

    Args:
        states: [S, B, T, N]: networks, trials, time, units; or a recording per network, of any
            units, trials and lengths (`dsa_distances`).
        delays: L, the number of states in a row of the embedding; 1 is the state alone.
        variance: share of each network's variance that centered PCA keeps. All networks keep the
            same number of components, the largest that any of them needs, and at most the units of
            the smallest network, so that their operators have the same order. None or 1 leaves the
            states unchanged and uncentered.
        components: number of components to keep instead.
        regression: rank and ridge; full rank without a penalty by default.

    Raises:
        ValueError: another shape, a network that never varies, trials too short for the delays, no
            more transitions than R, different units without PCA, or an option out of range.
    """
    given = trials.networks("states", *trials.unnamed("states", states), least=1)
    check_delays("delays", delays, given)
    if regression is None:
        regression = Regression()
    validate.instance_of("regression", regression, Regression)
    reduced = reduce_states(given, variance, components)
    shared = trials.units(next(iter(reduced.scores.values())))
    full = delays * shared
    order = regression.rank or full
    if order > full:
        raise ValueError(f"rank: expected at most {full} (components x delays), got {order}")
    for which, network in given.items():
        found = trials.transitions(network, delays)
        if found <= order:
            raise ValueError(
                f"states: expected more than {order} transitions within trials to fit an operator "
                f"of that order, got {found} in {which}; use fewer components or delays"
            )
    ridge = float(regression.ridge)
    fitted = [_operator(trials.rows(x, delays), order, ridge) for x in reduced.scores.values()]
    matrix = np.stack([a for a, *_ in fitted])
    return Operators(
        matrix=matrix,
        eigenvalues=np.sort_complex(np.linalg.eigvals(matrix)),
        components=reduced.components,
        shared=shared,
        singular=np.stack([s for _, s, _ in fitted]),
        error=np.array([e for *_, e in fitted]),
        variance=reduced.variance,
    )
