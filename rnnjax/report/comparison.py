"""A page of distances between recordings."""

from collections.abc import Mapping

import numpy as np
import xarray as xr

from rnnjax import plots
from rnnjax.metrics import METRICS, Solved
from rnnjax.plots.style import plain_number
from rnnjax.recordings.comparison import cautions
from rnnjax.report.page import Page, Picture, Section, Table
from rnnjax.report.provenance import Provenance, settings_section
from rnnjax.report.wording import bullets
from rnnjax.validate import counted, instance_of

__all__ = ["comparison_page"]

_MOST_PAIRS = 45
"""Pairs up to which a table lists all of them."""
_ENDS = 15
"""Closest and farthest pairs that a longer one lists."""

_BLIND = {
    "dsa": (
        "compares how states move, by linear operators up to a rotation; recordings need no trials "
        "in common",
        "does not detect what states encode: two recordings with the same time scales are alike",
        "depends on the number of components and delays; try several",
    ),
    "wasserstein": (
        "compares the time scales and frequencies of activity, by the eigenvalues of linear "
        "operators; recordings need no trials in common",
        "does not detect how states of different time scales drive each other (eigenvectors), nor "
        "what they encode",
        "depends on the number of components and delays; try several",
    ),
    "svcca": (
        "compares the leading subspaces of activity on the same trials and steps",
        "ignores time: in another order of the steps the value is the same",
        "with few samples for the number of dimensions unrelated activity correlates",
    ),
    "cka": (
        "compares activity on the same trials and steps, weighted by its variance",
        "ignores time, and directions with little variance",
        "with fewer samples than units unrelated activity looks alike",
    ),
    "procrustes": (
        "compares activity on the same trials and steps after the best rotation",
        "ignores time, and directions with little variance",
        "with fewer samples than units unrelated activity looks alike",
    ),
}
"""What each metric compares, and what it does not detect; `wasserstein` is a score of dsa."""


def comparison_page(comparison: xr.Dataset, provenance: Provenance | None = None) -> Page:
    """The page of a dataset of `rnnjax.compare`: matrix, map, tree and numbers of every metric.

    Args:
        comparison: the dataset.
        provenance: how it was computed.

    Raises:
        ValueError: another dataset.
    """
    instance_of("comparison", comparison, xr.Dataset)
    metrics = [name for name in str(comparison.attrs.get("metrics", "")).split() if name in METRICS]
    if not metrics or any(name not in comparison for name in metrics):
        raise ValueError("comparison: expected a dataset of rnnjax.compare, got another")
    settings = {name: dict(comparison[name].attrs) for name in metrics}
    bare = [name for name in metrics if "long_name" not in settings[name]]
    if bare:
        raise ValueError(
            f"comparison: expected the settings of {bare[0]} in its attributes, got none; "
            "arithmetic keeps them in `with xarray.set_options(keep_attrs=True)`"
        )
    sections = [_recordings(comparison), *(_metric(comparison, name) for name in metrics)]
    return Page(
        "Distances between recordings",
        " ".join([*(_finding(comparison[name]) for name in metrics), *cautions(comparison)]),
        (*sections, settings_section(_without_names(settings))),
        subtitle=f"{comparison.sizes['network']} recordings, by {', '.join(metrics)}",
        provenance=() if provenance is None else provenance.rows("computation"),
    )


def _without_names(settings: Mapping[str, Mapping[str, object]]) -> dict[str, dict[str, object]]:
    unset = ("long_name", "units")
    return {
        metric: {name: value for name, value in values.items() if name not in unset}
        for metric, values in settings.items()
    }


def _pairs(distances: xr.DataArray) -> list[tuple[float, int, int]]:
    """Distance and members of every pair, closest first."""
    values = distances.values
    first, second = np.triu_indices(len(values), 1)
    return sorted((float(values[i, j]), int(i), int(j)) for i, j in zip(first, second, strict=True))


def _finding(distances: xr.DataArray) -> str:
    names, pairs = distances["network"].values, _pairs(distances)
    title = distances.attrs["long_name"]
    (low, *close), (high, *far) = pairs[0], pairs[-1]
    if len(pairs) == 1:
        return f"{title}: {plain_number(low, 3)}."
    return (
        f"{title}: {names[close[0]]} and {names[close[1]]} are closest ({plain_number(low, 3)}), "
        f"{names[far[0]]} and {names[far[1]]} farthest apart ({plain_number(high, 3)})."
    )


def _recordings(comparison: xr.Dataset) -> Section:
    """Sizes, and how well linear dynamics describe each recording."""
    columns = ["recording", "units", "trials", "steps"]
    parts = [comparison[name].values for name in ("units", "trials", "steps")]
    rows = [[str(value) for value in column] for column in parts]
    caption = ""
    if "dsa" in comparison:
        columns += ["components needed", "variance kept", "one-step error"]
        rows.append([str(value) for value in comparison["dsa_components_needed"].values])
        rows.append([f"{value:.1%}" for value in comparison["dsa_variance"].values])
        rows.append([f"{value:.3f}" for value in comparison["dsa_error"].values])
        attributes = comparison["dsa"].attrs
        caption = (
            f"DSA keeps {counted(int(attributes['components']), 'component')} of every recording. "
            "One-step error: "
            "squared error of the fitted linear dynamics over the sum of squares, all components "
            "at equal weight; near 1 they predict nothing, and distances mean little."
        )
    names = [str(name) for name in comparison["network"].values]
    table = Table(tuple(columns), tuple(zip(names, *rows, strict=True)), caption)
    return Section("Recordings", "", (table,))


def _metric(comparison: xr.Dataset, name: str) -> Section:
    """Figures and numbers of one metric."""
    title = comparison[name].attrs["long_name"]
    captions = {
        "matrix": f"{title}: distances of all pairs; 0 means alike.",
        "map": "Recordings in a plane, at distances as close to these as a plane allows.",
        "tree": "Recordings joined by their mean distances.",
    }
    drawn = {
        "matrix": plots.distance_matrix(comparison, name),
        "map": plots.embedding_map(comparison, name),
        "tree": plots.dendrogram(comparison, name),
    }
    pictures = tuple(
        Picture(figure, f"{name}_{kind}", captions[kind]) for kind, figure in drawn.items()
    )
    kind = "wasserstein" if comparison[name].attrs.get("score") == "wasserstein" else name
    text = bullets([*_BLIND.get(kind, ()), *_certainty(comparison, name)])
    return Section(title, text, (_table(comparison, name),), pictures)


def _certainty(comparison: xr.Dataset, name: str) -> list[str]:
    """How close the solver came."""
    if f"{name}_status" not in comparison:
        return []
    pairs = np.triu_indices(comparison.sizes["network"], 1)
    settled = comparison[f"{name}_status"].values[pairs] == Solved.CONVERGED
    rest = "" if settled.all() else ", and took all of its steps for the others"
    return [
        "values are upper bounds: the smallest distance over all rotations lies between the lower "
        f"bound and the value; the solver converged for {settled.sum()} of "
        f"{counted(len(settled), 'pair')}{rest}"
    ]


def _table(comparison: xr.Dataset, name: str) -> Table:
    """The pairs, closest first; of many, the closest and the farthest."""
    names, pairs = comparison["network"].values, _pairs(comparison[name])
    caption = "All pairs, closest first."
    if len(pairs) > _MOST_PAIRS:
        caption = f"The {_ENDS} closest and the {_ENDS} farthest of {len(pairs)} pairs."
        pairs = [*pairs[:_ENDS], *pairs[-_ENDS:]]
    columns, bound = ["recording", "other", "distance"], f"{name}_lower_bound"
    rows = [[str(names[i]), str(names[j]), plain_number(value, 3)] for value, i, j in pairs]
    if bound in comparison:
        columns.append("lower bound")
        for row, (_, i, j) in zip(rows, pairs, strict=True):
            row.append(plain_number(max(float(comparison[bound].values[i, j]), 0.0), 3))
    align = "ll" + "r" * (len(columns) - 2)
    return Table(tuple(columns), tuple(map(tuple, rows)), caption, align=align)
