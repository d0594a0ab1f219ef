"""Power law of the seeds' thresholds, fitted to all outcomes, those of censored sizes included."""

from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import xarray as xr

from rnnjax import validate
from rnnjax.analysis.regression import LEAST_POINTS, fit_conditions
from rnnjax.analysis.schema import require
from rnnjax.analysis.success import ROUNDING, Edge, critical_bracket, succeeded
from rnnjax.numerics.blas import one_blas_thread

__all__ = ["threshold_model"]

Untrained = Literal["excluded", "below"]
"""A size at which fewer than half of the seeds learned at any rate: left out, or taken to have
thresholds below the rates tried."""

LEAST_SCALE = 0.05
"""Smallest scale of the seeds, in median brackets: a smaller one gives all but equal outcomes."""
LEAST_JITTER = 0.005
"""Smallest jitter of the sizes, likewise."""
LARGEST = 3.0
"""Largest scale and jitter, in decades."""
STEEPEST = 20.0
"""Largest exponent of the search, in either direction."""
RESOLUTION = 1e-5
"""Resolution of the ends of an interval."""

REASONS = (
    "",
    "fewer than three sizes have thresholds between rates tried",
    "fewer than two rates divide the thresholds",
    "no end of the interval",
)
"""Reasons for a missing exponent, by their code."""

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(60)


class Brackets(NamedTuple):
    """Brackets of the seeds' log10 thresholds by size, `[H, K]`; `count` seeds share each."""

    lower: np.ndarray
    upper: np.ndarray
    count: np.ndarray

    def select(self, sizes: np.ndarray) -> "Brackets":
        """The brackets of some of the sizes."""
        return Brackets(*(part[sizes] for part in self))

    @property
    def run(self) -> np.ndarray:
        """Sizes with any threshold, `[H]`."""
        return self.count.sum(1) > 0

    @property
    def located(self) -> np.ndarray:
        """Sizes of which some threshold is bounded above and some below, `[H]`."""
        used = self.count > 0
        above = (used & np.isfinite(self.lower)).any(1)
        return np.asarray(above & (used & np.isfinite(self.upper)).any(1))

    @property
    def width(self) -> float:
        """Median width of the brackets with two ends; 1 decade without any."""
        widths = (self.upper - self.lower).ravel()
        known = widths[(self.count.ravel() > 0) & np.isfinite(widths)]
        return float(np.median(known)) if len(known) else 1.0

    def divided(self, log_rates: np.ndarray) -> int:
        """Number of rates with thresholds known to lie above and others known to lie below.

        One such rate shows where the line crosses it, but not how steeply: a slope of any size
        fits, with seeds that scatter as much more.
        """
        used = self.count > 0
        above = self.lower[used].max(initial=-np.inf)
        below = self.upper[used].min(initial=np.inf)
        return int(((below <= log_rates) & (log_rates <= above)).sum())


def seed_brackets(
    success: np.ndarray, log_rates: np.ndarray, edge: Edge, untrained: Untrained
) -> tuple[np.ndarray, np.ndarray]:
    """log10 of the rates between which the threshold of each seed lies, each `[H, S]`.

    `success` `[H, L, S]` by rising rate, NaN where a run has not ended. The lower end is -inf for a
    seed that never learned, the upper end inf for one that learned at the largest rate. NaN where
    nothing was run, or the size is excluded.

    A seed that failed at every rate perhaps failed at the lowest rates because it had too few
    steps. It has a threshold below the rate at which most seeds of its size learned, if these are
    at least half.
    """
    rates = np.append(log_rates, [np.inf, -np.inf])  # [L] = inf, [-1] = -inf
    lower, upper, top = critical_bracket(np.moveaxis(success, 1, -1), 1.0, edge)
    low, high = rates[lower], rates[upper]
    run = ~np.isnan(success)
    passed = np.where(run, success, 0.0).sum(-1)
    density = np.where(run.any(-1), passed / np.maximum(run.sum(-1), 1), -1.0)
    learned = (density.max(-1) >= 0.5 - ROUNDING)[:, None]
    low = np.where(learned | (untrained == "below"), low, np.nan)
    best = log_rates[density.argmax(-1)][:, None]
    high = np.where((lower < 0) & learned, best, high)
    known = (top >= 0) & ~np.isnan(low)
    return np.where(known, low, np.nan), np.where(known, high, np.nan)


def _grouped(lower: np.ndarray, upper: np.ndarray) -> Brackets:
    """Equal brackets of a size's seeds counted, not repeated."""
    rows = []
    for low, high in zip(lower, upper, strict=True):
        pairs = np.stack([low, high], -1)[~np.isnan(low)]
        rows.append(np.unique(pairs, axis=0, return_counts=True))
    shape = len(rows), max([1, *(len(count) for _, count in rows)])
    found = Brackets(np.full(shape, -np.inf), np.full(shape, np.inf), np.zeros(shape))
    for row, (pairs, count) in enumerate(rows):
        found.lower[row, : len(count)], found.upper[row, : len(count)] = pairs.T
        found.count[row, : len(count)] = count
    return found


def _logistic(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """log F(x) and F(-x) of the logistic F."""
    small = np.exp(-np.abs(x))
    return np.minimum(x, 0.0) - np.log1p(small), np.where(x < 0, 1.0, small) / (1 + small)


class _Seeds:
    """Log likelihood of each size's seeds; every size has some."""

    def __init__(self, brackets: Brackets):
        used = brackets.count > 0
        # Finite, so that their products with probabilities that vanish there do too.
        self.lower = np.maximum(brackets.lower[used], -1e300)[:, None]
        self.upper = np.minimum(brackets.upper[used], 1e300)[:, None]
        self.count = brackets.count[used][:, None]
        self.size = np.nonzero(used)[0]
        self.first = np.unique(self.size, return_index=True)[1]

    def at(self, middle: np.ndarray, scale: float) -> tuple[np.ndarray, np.ndarray]:
        """The value and its derivative by log scale, each [H, Q].

        `middle` `[H, Q]`: median log10 threshold of the size. A bracket has the probability
        `F((upper - middle) / scale) - F((lower - middle) / scale)` with the logistic `F`.
        """
        middle = middle[self.size]
        above, below = (self.upper - middle) / scale, (self.lower - middle) / scale
        gap = np.exp((self.lower - self.upper) / scale)
        share = gap / (1 - gap)
        log_above, beyond = _logistic(above)
        log_below, short = _logistic(-below)
        value = log_above + log_below + np.log1p(-gap)  # F(u) - F(l) = F(u) F(-l) (1 - exp(l - u))
        slope = below * (short + share) - above * (beyond + share)
        sums = [np.add.reduceat(self.count * part, self.first) for part in (value, slope)]
        return sums[0], sums[1]


class Model:
    """Likelihood of the brackets at sizes with centered log10 N `x` `[H]`.

    The median log10 threshold of size h is `m_h ~ N(level + exponent * x_h, jitter^2)`, and its
    seeds are logistic about `m_h` with `scale`. Parameters: level, exponent, log scale, log jitter.
    """

    def __init__(self, brackets: Brackets, x: np.ndarray):
        self.by_seeds, self.x = _Seeds(brackets), x
        used = brackets.count > 0
        inner = np.where(used, brackets.lower, -np.inf).max(1)
        outer = np.where(used, brackets.upper, np.inf).min(1)
        self.start, self.end = np.minimum(inner, outer), np.maximum(inner, outer)
        self.seeds = brackets.count.sum(1)

    def _nodes(
        self, mean: np.ndarray, scale: float, jitter: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """Nodes and weights of the integral over `m_h`, `[H, Q]`, where both factors are large.

        If they are large nowhere together, from the mean to where the seeds would have it.
        """
        room = scale * (4 + 20 / self.seeds)
        start, end = self.start - room, self.end + room
        apart = (start > mean + 8 * jitter) | (end < mean - 8 * jitter)
        low = np.maximum(mean - 8 * jitter, np.where(apart, np.minimum(start, mean), start))
        high = np.minimum(mean + 8 * jitter, np.where(apart, np.maximum(end, mean), end))
        half = (high - low)[:, None] / 2
        return (high + low)[:, None] / 2 + half * _NODES, half * _WEIGHTS

    def loss(self, parameters: np.ndarray) -> tuple[float, np.ndarray]:
        """Minus the log likelihood, and its gradient `[4]`."""
        level, exponent, log_scale, log_jitter = parameters
        scale, jitter = np.exp(log_scale), np.exp(log_jitter)
        mean = level + exponent * self.x
        middle, weights = self._nodes(mean, scale, jitter)
        away = (middle - mean[:, None]) / jitter
        value, by_scale = self.by_seeds.at(middle, scale)
        value = value - away**2 / 2 + np.log(weights / (jitter * np.sqrt(2 * np.pi)))
        peak = value.max(1, keepdims=True)
        terms = np.exp(value - peak)
        total = terms.sum(1, keepdims=True)
        share = terms / total
        by_mean = (share * away).sum(1) / jitter
        gradient = [
            by_mean.sum(),
            (by_mean * self.x).sum(),
            (share * by_scale).sum(),
            (share * (away**2 - 1)).sum(),
        ]
        return -float((peak + np.log(total)).sum()), -np.array(gradient)


class Fit(NamedTuple):
    """The best parameters `[4]` of a `Model`, and their penalized log likelihood."""

    parameters: np.ndarray
    value: float


class Search(NamedTuple):
    """Maximization of the penalized likelihood of a model within bounds `[4, 2]`."""

    model: Model
    bounds: np.ndarray

    def loss(self, parameters: np.ndarray) -> tuple[float, np.ndarray]:
        """Minus the log likelihood and the log of the jitter, and the gradient `[4]`.

        The penalty (Chung et al. 2013) keeps the jitter off zero, where an estimate from few sizes
        often ends by chance and makes intervals too narrow.
        """
        value, gradient = self.model.loss(parameters)
        gradient[3] -= 1.0
        return value - parameters[3], gradient

    def best(self, start: np.ndarray, exponent: float | None = None) -> Fit:
        """The best parameters from `start`; with an `exponent`, the best of the others."""
        from scipy import optimize  # slow to import

        bounds = self.bounds.copy()
        if exponent is not None:
            bounds[1] = exponent
        found = optimize.minimize(
            self.loss, np.clip(start, *bounds.T), jac=True, method="L-BFGS-B", bounds=bounds,
            options={"ftol": 1e-10, "gtol": 1e-5},
        )  # fmt: skip
        return Fit(found.x, -float(found.fun))

    def end(self, best: Fit, drop: float, sign: int) -> float:
        """Exponent at which the profile has fallen by `drop`; NaN if it does not.

        The root of the fall is nearly linear in the exponent, which makes secants fast.
        """
        inside, outside = (best.parameters[1], 0.0), None
        step, start, target = 0.1, best.parameters, np.sqrt(drop)
        while outside is None or abs(outside[0] - inside[0]) > RESOLUTION:
            if outside is None:
                far = inside[0] + sign * step
            else:
                share = (target - inside[1]) / (outside[1] - inside[1])
                far = inside[0] + np.clip(share, 0.1, 0.9) * (outside[0] - inside[0])
            if abs(far) > STEEPEST:
                return np.nan
            fit = self.best(start, far)
            start, depth = fit.parameters, np.sqrt(max(best.value - fit.value, 0.0))
            if abs(depth - target) < 1e-3 * target:
                return float(far)
            if depth > target:
                outside = far, depth
            else:
                pace = max((depth - inside[1]) / abs(far - inside[0]), 1e-9)
                step = np.clip(1.05 * (target - depth) / pace, max(RESOLUTION, step / 5), 3 * step)
                inside = far, depth
        return float(outside[0])


def _best_fit(search: Search) -> Fit:
    """The better of the fits from a small and a large jitter: there can be two peaks."""
    start, end = search.model.start, search.model.end
    start, end = np.where(np.isfinite(start), start, end), np.where(np.isfinite(end), end, start)
    slope, level = np.polyfit(search.model.x, (start + end) / 2, 1)
    fits = [search.best(np.array([level, slope, *np.log([0.1, s])])) for s in (0.05, 0.3)]
    return max(fits, key=lambda fit: fit.value)


_SCALARS = (
    "exponent",
    "intercept",
    "exponent_low",
    "exponent_high",
    "seed_scatter",
    "size_scatter",
    "points_used",
    "points_censored",
    "points_untrained",
    "hidden_min",
    "hidden_max",
    "reason",
)


def _line(brackets: Brackets, log_sizes: np.ndarray, confidence: float) -> dict[str, float]:
    """The fit to sizes of which at least three are located; without an interval if it has no end.

    The fall of the profile is the one that gives Student's t interval of the line through the
    medians if these are known exactly.
    """
    from scipy import stats  # slow to import

    located = brackets.located
    center = log_sizes[located].mean()
    least = np.log(brackets.width * np.array([LEAST_SCALE, LEAST_JITTER]))
    bounds = [(-np.inf, np.inf), (-STEEPEST, STEEPEST), *((low, np.log(LARGEST)) for low in least)]
    search = Search(Model(brackets, log_sizes - center), np.array(bounds))
    best, freedom = _best_fit(search), int(located.sum()) - 2
    quantile = stats.t.ppf((1 + confidence) / 2, freedom)
    drop = float((freedom + 1) / 2 * np.log1p(quantile**2 / freedom))
    level, exponent, log_scale, log_jitter = best.parameters
    return {
        "exponent": exponent,
        "intercept": level - exponent * center,
        "exponent_low": search.end(best, drop, -1),
        "exponent_high": search.end(best, drop, 1),
        "seed_scatter": np.exp(log_scale) * np.pi / np.sqrt(3),
        "size_scatter": np.exp(log_jitter),
    }


def _summary(
    brackets: Brackets, log_rates: np.ndarray, sizes: np.ndarray, confidence: float
) -> dict[str, Any]:
    """The variables of one condition; without a line and with a reason if none is identified."""
    run, located = brackets.run, brackets.located
    found: dict[str, Any] = dict.fromkeys(_SCALARS, np.nan) | {
        "points_used": located.sum(),
        "points_censored": (run & ~located).sum(),
        "hidden_min": sizes[located].min() if located.any() else np.nan,
        "hidden_max": sizes[located].max() if located.any() else np.nan,
    }
    if located.sum() < LEAST_POINTS:
        return found | {"reason": 1}
    if brackets.divided(log_rates) < 2:
        return found | {"reason": 2}
    line = _line(brackets.select(run), np.log10(sizes[run]), confidence)
    if np.isnan([line["exponent_low"], line["exponent_high"]]).any():
        return found | {"reason": 3}
    return found | line | {"reason": 0}


_DIMS = ("hidden", "learning_rate", "seed")


def threshold_model(
    dataset: xr.Dataset,
    accuracy: str = "decision",
    threshold: float | xr.DataArray | None = None,
    *,
    edge: Edge = "last",
    untrained: Untrained = "excluded",
    confidence: float = 0.95,
) -> xr.Dataset:
    """Fits `log10 rate = intercept + exponent * log10 N` to the thresholds of all seeds.

    The threshold of a seed is the largest rate at which it learns. Only a bracket is known: from
    the last rate at which it learned to the next rate run, where it failed. It is infinite above if
    the seed learned at the largest rate, so that censored sizes contribute as censored
    observations. Success at lower rates does not count, since there learning may be too slow for
    the steps. `edge` is that of `critical_learning_rate`, seed by seed.

    Model: thresholds are logistic about the median of their size, and medians normal about the
    line; the likelihood is that of interval-censored data with a random effect of size, maximized
    with a weak penalty that keeps the scatter of sizes off zero (Chung et al. 2013). The interval
    is that of the profile likelihood, with the fall that gives Student's t interval, sizes used
    minus 2 degrees of freedom, where brackets are narrow.

    A size at which fewer than half of the seeds learned at any rate is left out: its networks may
    not learn the task in these steps at all. `untrained="below"` takes the thresholds of seeds that
    never learned there to lie below the smallest rate run.

    Returns a Dataset over the remaining dimensions: `exponent`, `intercept`, `exponent_low`,
    `exponent_high`, `seed_scatter` and `size_scatter` (standard deviations, in decades, of seeds
    within a size and of sizes about the line; never below 0.09 and 0.005 of a median bracket),
    `points_used` (sizes with thresholds bounded on both sides), `points_censored` (on one side
    alone, which enter too), `points_untrained` (left out), `hidden_min` and `hidden_max` of the
    sizes used, and `reason`: empty, or why the data identify no exponent, which then is NaN: fewer
    than three sizes used, fewer than two rates that divide the thresholds, or an interval without
    an end.

    Raises `ValueError` without the dimensions `hidden`, `learning_rate` and `seed`, or for an
    unknown `edge` or `untrained`, or a confidence that is not above 0 and below 1.
    """
    require(dataset, dims=_DIMS)
    validate.one_of("edge", edge, get_args(Edge))
    validate.one_of("untrained", untrained, get_args(Untrained))
    validate.confidence("confidence", confidence)
    ordered = dataset.sortby(["hidden", "learning_rate"])
    log_rates = np.log10(ordered["learning_rate"].values.astype(float))
    sizes = ordered["hidden"].values.astype(float)

    def fit(success: np.ndarray) -> dict[str, Any]:
        """`success` `[H, L, S]` of one condition -> its variables."""
        brackets = _grouped(*seed_brackets(success, log_rates, edge, untrained))
        started = int((~np.isnan(success)).any((1, 2)).sum())
        found = _summary(brackets, log_rates, sizes, confidence)
        return found | {"points_untrained": started - brackets.run.sum()}

    success = succeeded(ordered, accuracy, threshold)
    with one_blas_thread():
        fits = fit_conditions(fit, [success], [[*_DIMS]], scalars=_SCALARS)
    codes = fits["reason"].astype(int)
    return fits.assign(reason=codes.copy(data=np.array(REASONS)[codes.values]))
