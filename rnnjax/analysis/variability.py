"""Which ensemble of networks varies as the animals of a set of recordings do?

Distances between recordings depend on how many units and trials were recorded and on how noisy they
are, so that those of animals and of networks cannot be compared as they are. Here all recordings
and networks are brought to the same numbers of units and trials, drawn at random, and to the noise
of the noisiest recording; then the mean distance within every group is compared.

Intervals are too narrow where the members of a group are of two kinds far apart, most where these
are equally frequent (`rnnjax.analysis.interval`). Where all members of a group are equally far from
the others, the jackknife knows no error: its limits are NaN, and so are those and `p` of the ratios
that involve it; their verdict is `undecided`, and `nearest` is NaN for all ensembles.
"""

import dataclasses
import inspect
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
import xarray as xr

from rnnjax import arrays, validate
from rnnjax.analysis.trends import ALPHA, estimate
from rnnjax.metrics import METRICS, trials
from rnnjax.numerics.blas import one_blas_thread
from rnnjax.typing import Float, KeyLike

__all__ = ["MatchOptions", "match_variability", "noise_share"]

_RECORDINGS = "recordings"
_ROUNDING = 1e-6
"""Relative errors up to this are rounding: all members have the same mean distance to the others,
and the jackknife, which compares these, knows no error."""
_DRAWS = 20_000
"""Draws behind the probability that an ensemble is the nearest."""


def noise_share(recording: Any, conditions: Sequence[Any]) -> float:
    """The share of the variance of a recording that is noise: it differs between like trials.

    The variance within conditions, over trials at the same step, divided by the whole variance over
    trials and steps; summed over units. Nearly unbiased where trials are independent, conditions
    many, and all of them repeated equally often.

    Args:
        recording: an array [B, T, N], or as in `rnnjax.compare`.
        conditions: the condition of every trial, [B]; trials of one condition repeat it.

    Returns:
        A number from 0 to 1.

    Raises:
        ValueError: another number of conditions than trials, a missing one (NaN or None), a single
            condition, none with two trials, missing steps, or activity that does not vary.
    """
    x = _complete("recording", trials.recording("recording", recording)).astype(np.float64)
    given = arrays.members("conditions", conditions)
    # One by one: among strings, NumPy turns a missing label into the condition "nan".
    if xr.DataArray(np.array(given, object)).isnull().any():
        raise ValueError("conditions: expected one for every trial, got NaN or None")
    labels = np.asarray(given)
    if labels.shape != (len(x),):
        raise ValueError(
            f"conditions: expected one for each of the {len(x)} trials, got shape {labels.shape}"
        )
    kinds, counts = np.unique(labels, return_counts=True)
    if len(kinds) < 2:
        raise ValueError("conditions: expected at least two different ones, got one")
    if counts.max() < 2:
        raise ValueError("conditions: expected two trials of some condition, got one of each")
    within = [
        x[labels == kind].var(0, ddof=1) for kind, n in zip(kinds, counts, strict=True) if n > 1
    ]
    weights = counts[counts > 1] - 1
    noise = np.average(np.stack(within), axis=0, weights=weights).mean(0).sum()
    means = np.stack([x[labels == kind].mean(0) for kind in kinds])
    spread = means.reshape(-1, x.shape[-1]).var(0).sum()  # of the signal, and of what noise is left
    signal = max(spread - noise * np.mean(1 / counts), 0.0)
    if signal + noise == 0:
        raise ValueError("recording: expected activity that varies, got the same in every sample")
    return float(noise / (signal + noise))


@dataclasses.dataclass(frozen=True)
class MatchOptions:
    """How `match_variability` compares; raises `ValueError` for invalid values."""

    metric: str = "dsa"
    """Name of a distance between activities in `rnnjax.metrics.METRICS`. `svcca`, `cka` and
    `procrustes` compare the same trials of all, which must correspond."""
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """Arguments of the metric's function, such as `{"delays": 5}`."""
    units: int | None = None
    """Units drawn; by default as many as the smallest recording or network has."""
    trials: int | None = None
    """Trials drawn; by default as many as the shortest has."""
    resamples: int = 5
    """Number of resamples, over which distances are averaged."""
    margin: float = 1.25
    """Factor within which the spread of an ensemble counts as that of the recordings."""
    copies: int = 3
    """Networks of each ensemble of which two draws are compared in each resample, for the floor."""
    confidence: float = 1 - ALPHA
    """Coverage of all intervals."""

    def __post_init__(self):
        fit = [name for name, metric in METRICS.items() if metric.takes != "weights"]
        validate.one_of("metric", self.metric, fit)
        _, *known = inspect.signature(METRICS[self.metric].function).parameters
        for name in validate.instance_of("settings", self.settings, Mapping):
            validate.one_of("settings", name, [one for one in known if one != "key"])
        for name in ("units", "trials"):
            if getattr(self, name) is not None:
                validate.positive_integer(name, getattr(self, name))
        for name in ("resamples", "copies"):
            validate.positive_integer(name, getattr(self, name))
        if validate.finite_positive("margin", self.margin) <= 1:
            raise ValueError(f"margin: expected a factor above 1, got {self.margin}")
        validate.confidence("confidence", self.confidence)


class _Group(NamedTuple):
    """Recordings of one group, and the share of each that is noise."""

    members: dict[str, np.ndarray]
    noise: np.ndarray


@one_blas_thread()
def match_variability(
    ensembles: Mapping[str, Any],
    recordings: Any,
    options: MatchOptions | None = None,
    *,
    noise: float | Sequence[float],
    key: KeyLike = 0,
) -> xr.Dataset:
    """Compares how much the networks of each ensemble differ with how much recorded animals do.

    In each resample every network and recording is reduced to the same numbers of units and trials,
    drawn at random, and white noise is added to every unit until its share of the variance is
    that of the noisiest recording. All are compared by one metric with one choice of its settings.

    Args:
        ensembles: name -> networks, as activity: an array [S, B, T, N] such as
            `population.trajectories(key, trials).rates`, or recordings as in `rnnjax.compare`.
            Networks are taken to be without noise.
        recordings: one recording per animal, in any form that `rnnjax.compare` takes, with trials
            of the same length as those of the networks; for metrics that compare the same trials,
            trial b is the same stimulus in all.
        options: the metric, the numbers drawn, and the margin.
        noise: share of the variance of the recordings that is noise, one number or one per
            recording, from `noise_share`; 0 states that they have none.
        key: seed or key of all draws.

    Returns:
        A dataset. Over `group`, the ensembles and `recordings`: `distance`, the mean over pairs,
        with `distance_low` and `distance_high` (jackknife over networks or animals, on a log
        scale), and `count`. Over `ensemble`: `ratio`, its distance over that of the recordings,
        with `ratio_low`, `ratio_high` and `p` (Welch's test on a log scale); `verdict`: `as the
        recordings` if the whole interval lies within the margin and the floor is at most half of
        the ensemble's distance, `less` or `more` if it excludes 1, else `undecided`; `nearest`, the
        probability, drawing every mean distance from its error, that this ensemble's is closest to
        the recordings' (on a log scale); and `to_recordings`, the mean distance of its networks
        from the recordings, which equals that within the recordings if both are from one
        population. `floor` is the mean distance between two draws of the same network of the
        ensemble, which differ only in units, noise and, with `dsa`, trials: where it is most of
        the distance, that says little about the networks. Over (`network`, `other`): `distances`,
        the mean over resamples, with the metric's settings as attributes. Over `network`:
        `group_of`. No interval includes the error of `noise`; module text: other limits of them.

    Raises:
        ValueError: no ensemble, groups of fewer than three, missing steps, trials of different
            lengths, more units or trials than there are, an invalid share of noise, or whatever
            the metric refuses.
    """
    options = MatchOptions() if options is None else options
    validate.instance_of("options", options, MatchOptions)
    groups = _groups(ensembles, recordings, _shares(noise))
    size = _size(groups, options)
    level = float(groups[_RECORDINGS].noise.max())
    rng = np.random.default_rng(np.asarray(jax.random.key_data(arrays.random_key("key", key))))
    found = [_resampled(groups, size, level, options, rng) for _ in range(options.resamples)]
    distances = np.mean([one for one, _ in found], axis=0)
    floors = np.mean([one for _, one in found], axis=0)
    return _summary(groups, distances, floors, options, rng).assign_attrs(
        metric=options.metric, units=size[0], trials=size[1], noise=level,
        resamples=options.resamples, margin=options.margin, confidence=options.confidence,
    )  # fmt: skip


def _attributes(options: MatchOptions) -> dict[str, Any]:
    """Title, unit and settings of the distances."""
    metric, fit = METRICS[options.metric], options.settings.get("regression")
    fitted = {} if fit is None else vars(fit)
    return metric.attributes({**metric.settings(options.settings), **fitted})


def _resampled(
    groups: Mapping[str, _Group],
    size: tuple[int, int],
    level: float,
    options: MatchOptions,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Distances of all members in one draw, and the mean between two draws of each ensemble."""
    metric = METRICS[options.metric]
    same = None
    if metric.takes == "activities":  # of the same trials
        shortest = min(len(x) for group in groups.values() for x in group.members.values())
        same = rng.permutation(shortest)[: size[1]]
    drawn, again = (_drawn(groups, size, level, rng, same) for _ in range(2))
    owner = _owners(groups)
    twice = [
        rng.permutation(np.flatnonzero(owner == g))[: options.copies] for g in range(owner[-1])
    ]
    rows, seed, count = np.concatenate(twice), int(rng.integers(2**31)), len(drawn)
    names = _names(groups)
    both = dict(zip(names, drawn, strict=True))
    both |= {f"{names[i]}, drawn again": again[i] for i in rows}
    distances = np.asarray(metric.distances(both, key=seed, **options.settings))
    apart = distances[rows, count + np.arange(len(rows))]
    floors = [apart[owner[rows] == g].mean() for g in range(owner[-1])]
    return distances[:count, :count], np.array(floors)


def _names(groups: Mapping[str, _Group]) -> list[str]:
    """Name of every member, with that of its group."""
    return [f"{name}/{member}" for name, group in groups.items() for member in group.members]


def _owners(groups: Mapping[str, _Group]) -> np.ndarray:
    """The number of the group of every member."""
    return np.repeat(np.arange(len(groups)), [len(group.members) for group in groups.values()])


def _shares(noise: Any) -> np.ndarray:
    given = validate.sequence("noise", noise) if np.ndim(noise) else (noise,)
    shares = np.array([validate.fraction("noise", share) for share in given])
    if (shares >= 1).any():
        raise ValueError("noise: expected shares below 1, got 1, which leaves no signal")
    return shares


def _groups(ensembles: Any, recordings: Any, shares: np.ndarray) -> dict[str, _Group]:
    """All groups by name, the recordings last; raises `ValueError` for what does not compare."""
    validate.instance_of("ensembles", ensembles, Mapping)
    if not ensembles or _RECORDINGS in ensembles:
        raise ValueError(
            f"ensembles: expected at least one, with names other than {_RECORDINGS!r}, got "
            f"{validate.shown(list(ensembles))}"
        )
    given = {f"ensembles, {name}": value for name, value in ensembles.items()}
    groups = {}
    for label, value in {**given, _RECORDINGS: recordings}.items():
        members, names = trials.unnamed(label, value)
        trials.require_several(label, members, names)
        listed = arrays.members(label, members)
        if len(listed) < 3:
            raise ValueError(f"{label}: expected at least 3, got {len(listed)}")
        names = names or tuple(map(str, range(len(listed))))
        found = {
            name: _complete(f"{label}, {name}", trials.recording(f"{label}, {name}", x))
            for name, x in zip(names, listed, strict=True)
        }
        groups[label.removeprefix("ensembles, ")] = _Group(found, np.zeros(len(found)))
    named = _names(groups)
    if len(set(named)) < len(named):
        raise ValueError(f"ensembles: expected different names, got {validate.shown(named)}")
    animals = groups[_RECORDINGS]
    if len(shares) not in (1, len(animals.members)):
        raise ValueError(
            f"noise: expected one share, or one for each of the {len(animals.members)} "
            f"recordings, got {len(shares)}"
        )
    shared = np.broadcast_to(shares, len(animals.members))
    groups[_RECORDINGS] = animals._replace(noise=shared)
    lengths = {x.shape[1] for group in groups.values() for x in group.members.values()}
    if len(lengths) > 1:
        raise ValueError(
            "recordings: expected trials as long as those of the networks, got trials of "
            f"{', '.join(map(str, sorted(lengths)))} steps; cut or resample them"
        )
    return groups


def _complete(label: str, x: np.ndarray) -> np.ndarray:
    if not np.isfinite(x).all():
        raise ValueError(f"{label}: expected no missing steps, got NaN")
    return x


def _size(groups: Mapping[str, _Group], options: MatchOptions) -> tuple[int, int]:
    """Numbers of units and of trials that are drawn."""
    members = [x for group in groups.values() for x in group.members.values()]
    found = []
    for name, value, most in (
        ("units", options.units, min(x.shape[2] for x in members)),
        ("trials", options.trials, min(x.shape[0] for x in members)),
    ):
        chosen = most if value is None else value
        if chosen > most:
            raise ValueError(f"{name}: expected at most {most}, of the smallest, got {chosen}")
        found.append(chosen)
    return found[0], found[1]


def _drawn(
    groups: Mapping[str, _Group],
    size: tuple[int, int],
    level: float,
    rng: np.random.Generator,
    same: np.ndarray | None,
) -> list[np.ndarray]:
    """Every recording with `size` units and trials and noise of the share `level`.

    With `same` all have these trials.
    """
    units, count = size
    drawn = []
    for group in groups.values():
        for x, share in zip(group.members.values(), group.noise, strict=True):
            rows = rng.permutation(len(x))[:count] if same is None else same
            part = x[rows][:, :, rng.permutation(x.shape[2])[:units]].astype(np.float64)
            variance = part.reshape(-1, units).var(0)
            # Of a variance v with a share s of noise, v (1 - s) is signal: v (level - s) /
            # (1 - level) more raises the share to the level.
            more = np.sqrt(variance * (level - share) / (1 - level))
            drawn.append(part + more * rng.normal(size=part.shape))
    return drawn


def _summary(
    groups: Mapping[str, _Group],
    distances: Float[np.ndarray, "S S"],
    floors: np.ndarray,
    options: MatchOptions,
    rng: np.random.Generator,
) -> xr.Dataset:
    from scipy import special  # slow to import

    names = _names(groups)
    sizes = [len(group.members) for group in groups.values()]
    owner = _owners(groups)
    blocks = [distances[np.ix_(owner == g, owner == g)] for g in range(len(groups))]
    found = [estimate("pairs", block) for block in blocks]
    means = np.array([one.value for one in found])
    errors = np.array([one.error for one in found])
    if not (means > 0).all():
        equal = list(groups)[int(means.argmin())]
        raise ValueError(
            f"{equal}: expected members that differ, but all distances within this group are 0"
        )
    quantiles = special.stdtrit(np.array(sizes) - 1, (1 + options.confidence) / 2)
    logs, spread = np.log(means), errors / means  # of the logarithm, to first order
    spread = np.where(spread > _ROUNDING, spread, np.nan)
    ensembles = list(groups)[:-1]
    shown = floors <= means[:-1] / 2
    ratio = _compared(logs, spread, np.array(sizes), shown, options)
    away = np.abs(_draws(logs, spread, np.array(sizes), rng))
    nearest = np.bincount(away.argmin(1), minlength=len(ensembles)) / len(away)
    nearest = nearest if np.isfinite(spread).all() else np.full(len(ensembles), np.nan)
    across = [
        distances[np.ix_(owner == g, owner == owner[-1])].mean() for g in range(len(ensembles))
    ]
    return xr.Dataset(
        {
            "distance": ("group", means),
            "distance_low": ("group", np.exp(logs - quantiles * spread)),
            "distance_high": ("group", np.exp(logs + quantiles * spread)),
            "count": ("group", sizes),
            **{name: ("ensemble", values) for name, values in ratio.items()},
            "floor": ("ensemble", floors),
            "nearest": ("ensemble", nearest),
            "to_recordings": ("ensemble", across),
            "distances": (("network", "other"), distances, _attributes(options)),
            "group_of": ("network", np.array(list(groups))[owner]),
        },
        {"group": list(groups), "ensemble": ensembles, "network": names, "other": names},
    )


def _compared(
    logs: np.ndarray,
    spread: np.ndarray,
    sizes: np.ndarray,
    shown: np.ndarray,
    options: MatchOptions,
) -> dict[str, np.ndarray]:
    """Ratios to the last group with Welch's intervals, p values and verdicts.

    `shown`: whether the floor of each ensemble is small enough for agreement. NaN and `undecided`
    where the spread of a group is NaN.
    """
    from scipy import special

    difference = logs[:-1] - logs[-1]
    squares, own = spread[:-1] ** 2, spread[-1] ** 2
    error = np.sqrt(squares + own)
    freedom = error**4 / (squares**2 / (sizes[:-1] - 1) + own**2 / (sizes[-1] - 1))
    half = error * special.stdtrit(freedom, (1 + options.confidence) / 2)
    low, high, room = difference - half, difference + half, np.log(options.margin)
    words = np.full(len(difference), "undecided", "<U17")
    words[high < 0], words[low > 0] = "less", "more"
    words[(low > -room) & (high < room) & shown] = "as the recordings"
    return {
        "ratio": np.exp(difference),
        "ratio_low": np.exp(low),
        "ratio_high": np.exp(high),
        "p": 2 * special.stdtr(freedom, -np.abs(difference) / error),
        "verdict": words,
    }


def _draws(
    logs: np.ndarray, spread: np.ndarray, sizes: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Differences of log distances from the last group, drawn from their errors, [draws, G]."""
    drawn = logs + spread * rng.standard_t(sizes - 1, size=(_DRAWS, len(logs)))
    return drawn[:, :-1] - drawn[:, -1:]
