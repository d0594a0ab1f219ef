"""Kinds of solutions: networks that solve a task alike, how many, and what moves their shares.

Networks are compared by their fingerprints (`fingerprints`): the mean over features of their
difference, at most 1 each, where log2(1 + value) of counts, times and dimensions is compared,
and, as one more feature, the share of choices on stretched trials that differ. Average linkage
on these distances gives the candidates for K kinds. Of those for which

* every kind has at least two networks and is stable: in resamples of networks it is found again,
  with a mean Jaccard similarity of at least 0.75 (Hennig 2007);
* kinds are apart: the mean silhouette is at least 0.5 (Kaufman and Rousseeuw 1990);
* kinds differ: the mean distance between any two is at least that of one feature that differs (in
  `solutions`; `find_kinds` takes `KindOptions.apart`, 0 by default),

the one with the largest silhouette is taken; without any, all networks count as one kind, though
they may differ. Networks that vary gradually can be divided all the same: look at the features
before naming kinds.
"""

from collections.abc import Mapping
from typing import NamedTuple

import jax
import numpy as np
import xarray as xr

from rnnjax import validate
from rnnjax.analysis.attractors import choices
from rnnjax.analysis.fingerprints import (
    FEATURES,
    FingerprintOptions,
    feature_matrix,
    fingerprints,
)
from rnnjax.arrays import array, random_key, symmetric
from rnnjax.population import Population
from rnnjax.typing import Float, Int, KeyLike
from rnnjax.validate import fraction, instance_of, nonnegative, positive_integer

__all__ = [
    "KindOptions",
    "Moved",
    "compare_fingerprints",
    "find_kinds",
    "share_intervals",
    "shares_moved",
    "solutions",
]


class KindOptions(NamedTuple):
    """Settings of `find_kinds`."""

    most: int = 8
    """Largest number of kinds."""
    stability: float = 0.75
    """Least mean Jaccard similarity of a kind over resamples."""
    separation: float = 0.5
    """Least mean silhouette."""
    apart: float = 0.0
    """Least mean distance between two kinds; `solutions` takes at least that of one feature."""
    resamples: int = 100
    """Resamples of networks."""

    def checked(self) -> "KindOptions":
        """The options themselves; raises `ValueError` for a number out of range."""
        positive_integer("most", self.most)
        positive_integer("resamples", self.resamples)
        fraction("stability", self.stability)
        fraction("separation", self.separation)
        nonnegative("apart", self.apart)
        return self


class Moved(NamedTuple):
    """Whether levels of a factor differ in the shares of their kinds."""

    p: float
    """Of a permutation test of chi squared; NaN for one kind or one level."""
    association: float
    """Cramer's V, from 0 to 1."""


def compare_fingerprints(found: xr.Dataset) -> Float[np.ndarray, "S S"]:
    """Distances of networks by their fingerprints, from 0 to 1 (module text).

    Args:
        found: the dataset of `fingerprints`, also of several conditions along `seed`.

    Raises:
        ValueError: a missing feature, or NaN.
    """
    instance_of("found", found, xr.Dataset)
    missing = [name for name in (*FEATURES, "answers") if name not in found]
    if missing:
        raise ValueError(f"found: expected the features of fingerprints, got no {missing[0]!r}")
    features = feature_matrix(found)
    answers = found["answers"].values
    if not (np.isfinite(features).all() and np.isfinite(answers).all()):
        raise ValueError("found: expected finite features and answers, got NaN or infinity")
    apart = np.minimum(np.abs(features[:, None] - features[None]), 1).sum(-1)
    chosen = choices(answers, found.attrs.get("decision", "sign"))
    differ = (chosen[:, None] != chosen[None]).mean(-1)
    return (apart + differ) / (features.shape[1] + 1)


def find_kinds(
    distances: Float[np.ndarray, "S S"], key: KeyLike, options: KindOptions | None = None
) -> tuple[Int[np.ndarray, " S"], Float[np.ndarray, " K"], float]:
    """Kinds of networks, numbered from 0 by falling size; their stability; the mean silhouette.

    Args:
        distances: symmetric distances of networks, at least 0, and 0 on the diagonal up to
            rounding.
        key: draws the resamples.
        options: criteria (module text).

    Raises:
        ValueError: not a square symmetric matrix, NaN, negative distances, another diagonal, or
            options out of range.
    """
    options = KindOptions() if options is None else instance_of("options", options, KindOptions)
    options.checked()
    from sklearn.metrics import silhouette_score  # takes as long to import as JAX

    distances = _checked(distances)
    count = len(distances)
    rng = np.random.default_rng(np.asarray(jax.random.key_data(random_key("key", key))))
    best = np.zeros(count, int), np.ones(1), np.nan
    for kinds in range(2, min(options.most, count - 1) + 1):
        labels = _cut(distances, kinds)
        if np.bincount(labels, minlength=kinds).min() < 2:
            continue
        separation = float(silhouette_score(distances, labels, metric="precomputed"))
        if separation < options.separation or separation <= best[2]:
            continue
        if _between(distances, labels).min() < options.apart * (1 - 1e-9):
            continue
        stability = _stability(distances, labels, kinds, rng, options.resamples)
        if stability.min() >= options.stability:
            best = labels, stability, separation
    return _ordered(*best)


def _checked(distances: object) -> np.ndarray:
    """Distances [S, S] with a diagonal of 0; raises `ValueError` for anything else."""
    given = symmetric("distances", array("distances", distances, "S S", least=1))
    own = np.diag(given)
    found = given - np.diag(own)
    rounding = 1e-5 * found.max()
    if (found < -rounding).any():
        raise ValueError(f"distances: expected numbers of at least 0, got {found.min():g}")
    odd = np.flatnonzero(np.abs(own) > rounding)
    if len(odd):
        raise ValueError(
            f"distances: expected 0 on the diagonal, got {own[odd[0]]:g} for network {odd[0]}"
        )
    return np.maximum(found, 0)  # of nearly equal networks rounding can leave less


def _ordered(
    labels: np.ndarray, stability: np.ndarray, separation: float
) -> tuple[np.ndarray, np.ndarray, float]:
    """The kinds numbered by falling size."""
    sizes = np.bincount(labels, minlength=len(stability))
    order = np.argsort(-sizes, kind="stable")
    return np.argsort(order)[labels], stability[order], separation


def _cut(distances: np.ndarray, kinds: int) -> np.ndarray:
    """Labels 0 .. kinds - 1 of average linkage."""
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import squareform

    condensed = squareform(distances, checks=False)
    return fcluster(linkage(condensed, "average"), kinds, "maxclust") - 1


def _between(distances: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Mean distances between all pairs of kinds."""
    kinds = [labels == kind for kind in range(labels.max() + 1)]
    return np.array([
        distances[np.ix_(one, other)].mean()
        for place, one in enumerate(kinds) for other in kinds[:place]
    ])  # fmt: skip


def _stability(
    distances: np.ndarray, labels: np.ndarray, kinds: int, rng: np.random.Generator, resamples: int
) -> np.ndarray:
    """Mean over resamples of the Jaccard similarity of each kind and the nearest one found there.

    Networks are drawn with replacement and counted once; a kind that was not drawn is left out.
    """
    total, drawn_times = np.zeros(kinds), np.zeros(kinds)
    for _ in range(resamples):
        drawn = np.unique(rng.integers(len(labels), size=len(labels)))
        there = labels[drawn]
        wanted = min(kinds, len(drawn))
        again = _cut(distances[np.ix_(drawn, drawn)], wanted) if len(drawn) > 1 else there * 0
        for kind in set(there.tolist()):
            own = there == kind
            shared = [(own & (again == c)).sum() / (own | (again == c)).sum() for c in set(again)]
            total[kind] += max(shared)
            drawn_times[kind] += 1
    return total / np.maximum(drawn_times, 1)


def share_intervals(
    kinds: Int[np.ndarray, " S"], seeds: np.ndarray, *, confidence: float = 0.95
) -> tuple[Float[np.ndarray, " K"], Float[np.ndarray, " K"], Float[np.ndarray, " K"]]:
    """Share of each kind among networks, and the lower and upper end of its interval.

    Wilson's interval of n / d networks instead of n. The design effect d allows for seeds that
    occur at several levels, whose networks begin alike: with n_sk of the m_s networks of seed s of
    kind k, shares p_k and S seeds (Rao and Scott 1992, all kinds pooled)

        d = S / (S - 1) * sum_sk (n_sk - m_s p_k)^2 / (n sum_k p_k (1 - p_k)),

    at least 1, and at most sum_s m_s^2 / n, its value where the networks of a seed are always of
    one kind, which is taken where there is only one kind or one seed. Without repeated seeds d is
    1.

    Args:
        kinds: kind of every network, from 0.
        seeds: its seed.
        confidence: coverage of the intervals, above 0 and below 1.

    Raises:
        ValueError: no networks, kinds that are no whole numbers from 0, different lengths, or
            another confidence.
    """
    validate.confidence("confidence", confidence)
    kinds, seeds = _checked_kinds(kinds), np.asarray(seeds)
    if kinds.shape != seeds.shape:
        raise ValueError(f"seeds: expected one per network, {kinds.shape}, got {seeds.shape}")
    rows = np.unique(seeds, return_inverse=True)[1]
    table = np.zeros((rows.max() + 1, kinds.max() + 1))
    np.add.at(table, (rows, kinds), 1)
    total, share = len(kinds), table.sum(0) / len(kinds)
    sizes = table.sum(1, keepdims=True)
    most = float((sizes**2).sum() / total)
    between, within = ((table - sizes * share) ** 2).sum(), total * (share * (1 - share)).sum()
    count = len(table)
    effect = count / (count - 1) * between / within if count > 1 and within > 0 else most
    low, high = _wilson(share, total / min(max(effect, 1.0), most), confidence)
    return share, low, high


def _checked_kinds(kinds: object) -> np.ndarray:
    """Kinds [S] of networks; raises `ValueError` for anything but whole numbers from 0."""
    given = np.asarray(kinds)
    if given.ndim != 1 or not len(given) or given.dtype.kind not in "iu" or given.min() < 0:
        raise ValueError(
            f"kinds: expected whole numbers from 0, one per network, got {validate.shown(kinds)}"
        )
    return given


def _wilson(share: np.ndarray, count: float, confidence: float) -> tuple[np.ndarray, np.ndarray]:
    """Wilson's interval of shares among `count` networks."""
    from scipy.special import ndtri

    z = ndtri((1 + confidence) / 2)
    center = (share + z**2 / (2 * count)) / (1 + z**2 / count)
    half = z * np.sqrt(share * (1 - share) / count + (z / (2 * count)) ** 2) / (1 + z**2 / count)
    return np.maximum(center - half, 0.0), np.minimum(center + half, 1.0)


def shares_moved(
    kinds: Int[np.ndarray, " S"],
    levels: np.ndarray,
    seeds: np.ndarray,
    key: KeyLike,
    *,
    permutations: int = 2000,
) -> Moved:
    """Whether the shares of kinds differ between levels of a factor.

    Chi squared of the table of kinds and levels, against tables in which the levels are exchanged
    among the networks of one seed, which begin alike; among all where no seed has several levels.

    Args:
        kinds: kind of every network, from 0.
        levels: its level.
        seeds: its seed.
        key: draws the permutations.
        permutations: their number.

    Raises:
        ValueError: no networks, kinds that are no whole numbers from 0, different lengths, or no
            permutations.
    """
    kinds, levels, seeds = _checked_kinds(kinds), np.asarray(levels), np.asarray(seeds)
    if not kinds.shape == levels.shape == seeds.shape:
        raise ValueError(
            f"levels: expected one per network, {kinds.shape}, got {levels.shape} and seeds "
            f"{seeds.shape}"
        )
    positive_integer("permutations", permutations)
    rows, columns = (np.unique(x, return_inverse=True)[1] for x in (kinds, levels))
    if rows.max() == 0 or columns.max() == 0:
        return Moved(np.nan, np.nan)
    rng = np.random.default_rng(np.asarray(jax.random.key_data(random_key("key", key))))
    groups = [np.flatnonzero(seeds == seed) for seed in np.unique(seeds)]
    if all(len(set(columns[group])) == 1 for group in groups):
        groups = [np.arange(len(seeds))]
    value, larger = _chi_squared(rows, columns), 0
    for _ in range(permutations):
        exchanged = columns.copy()
        for group in groups:
            exchanged[group] = columns[rng.permutation(group)]
        larger += _chi_squared(rows, exchanged) >= value * (1 - 1e-12)
    smaller = min(rows.max(), columns.max())
    return Moved((1 + larger) / (1 + permutations), float(np.sqrt(value / len(rows) / smaller)))


def _chi_squared(rows: np.ndarray, columns: np.ndarray) -> float:
    table = np.zeros((rows.max() + 1, columns.max() + 1))
    np.add.at(table, (rows, columns), 1)
    expected = table.sum(1, keepdims=True) * table.sum(0) / table.sum()
    return float(((table - expected) ** 2 / expected).sum())


def solutions(
    populations: Population | xr.Dataset | Mapping[str, Population] | Mapping[str, xr.Dataset],
    key: KeyLike,
    *,
    fingerprint: FingerprintOptions | None = None,
    kinds: KindOptions | None = None,
) -> xr.Dataset:
    """Which kinds of solutions networks found, how often, and whether a factor moves their shares.

    Args:
        populations: networks of one task, or several levels of a factor by name; also their
            `fingerprints`, or those of each level, if they are known.
        key: draws trials, starts, resamples and permutations.
        fingerprint: how single networks are examined.
        kinds: when networks count as different kinds.

    Returns:
        A dataset over `network` (with `level` and `seed`): the fingerprints, `kind` (from 0;
        figures and reports count from 1: their kind k is `kind == k - 1`), and
        `representative`, true for the network of each kind with the smallest mean distance to the
        others; `distance` over `network` and `other`; over `solution` (the kinds, from 0)
        `stability`, `share` of all networks with its 95% interval (`share_low`, `share_high`,
        `share_intervals`), as if the kinds were known, and, over `levels` too, `count`.
        Attributes: `separation`, the mean silhouette (NaN for one kind), and `p` and `association`
        of the test whether shares differ between levels (`shares_moved`).

    Raises:
        ValueError: no networks, options out of range, or fingerprints of other probes or options.
    """
    criteria = KindOptions() if kinds is None else instance_of("kinds", kinds, KindOptions)
    criteria.checked()  # before the searches, which take long
    found = _joined(populations, key, fingerprint)
    distances = compare_fingerprints(found)
    stream = jax.random.fold_in(random_key("key", key), 1)
    least = max(criteria.apart, 1 / (len(FEATURES) + 1))
    labels, stability, separation = find_kinds(distances, stream, criteria._replace(apart=least))
    levels, seeds = found["level"].values, found["seed"].values
    moved = shares_moved(labels, levels, seeds, jax.random.fold_in(stream, 1))
    names = list(dict.fromkeys(levels.tolist()))
    counts = np.array(
        [[((labels == k) & (levels == n)).sum() for n in names] for k in range(len(stability))]
    )
    share, low, high = share_intervals(labels, seeds)
    return found.assign(
        kind=("network", labels),
        representative=("network", _medoids(distances, labels)),
        distance=(("network", "other"), distances),
        stability=("solution", stability),
        share=("solution", share),
        share_low=("solution", low),
        share_high=("solution", high),
        count=(("solution", "levels"), counts),
    ).assign_coords(levels=names).assign_attrs(
        separation=separation, p=moved.p, association=moved.association
    )  # fmt: skip


def _joined(
    populations: Population | xr.Dataset | Mapping[str, Population] | Mapping[str, xr.Dataset],
    key: KeyLike,
    options: FingerprintOptions | None,
) -> xr.Dataset:
    """Fingerprints of all levels along `network`."""
    if isinstance(populations, Population | xr.Dataset):
        named = {"all": populations}
    else:
        named = dict(instance_of("populations", populations, Mapping))
    if not named:
        raise ValueError("populations: expected at least one, got none")
    parts = []
    for name, one in named.items():
        if not isinstance(one, xr.Dataset):
            one = fingerprints(instance_of("populations", one, Population), key, options)
        if "seed" not in one.dims:
            raise ValueError("populations: expected fingerprints over 'seed', got another dataset")
        parts.append(one.assign_coords(level=("seed", np.full(one.sizes["seed"], name, object))))
    for name in ("probes", "decision"):
        if len(values := {part.attrs.get(name) for part in parts}) > 1:
            raise ValueError(
                f"populations: expected levels of one task with one key, got {name} {values}"
            )
    for name in FingerprintOptions._fields:
        values = {part.attrs.get(f"option_{name}") for part in parts} - {None}  # None: older files
        if len(values) > 1:
            raise ValueError(
                f"populations: expected levels examined with one {name}, got {sorted(values)}"
            )
    return xr.concat(parts, "seed", combine_attrs="drop_conflicts").rename_dims(seed="network")


def _medoids(distances: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Whether each network is the one of its kind that is nearest to the others of it."""
    chosen = np.zeros(len(labels), bool)
    for kind in range(labels.max() + 1):
        rows = np.flatnonzero(labels == kind)
        chosen[rows[distances[np.ix_(rows, rows)].mean(1).argmin()]] = True
    return chosen
