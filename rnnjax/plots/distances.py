"""Distances between named networks: as a matrix, as a map, and as a tree."""

from collections.abc import Sequence

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rnnjax.analysis import MEASURES, embedding
from rnnjax.arrays import symmetric
from rnnjax.plots.style import (
    CONDITION_COLORS,
    FONT,
    GREY,
    SMALL,
    new_figure,
    plain_number,
    tidy,
)
from rnnjax.validate import flag, one_of, shown

__all__ = [
    "dendrogram",
    "distance_matrix",
    "distance_title",
    "embedding_map",
    "scale_bar",
    "stress",
]

_MOST_NUMBERS = 12
"""Most networks whose distances are written into the matrix."""

_COLORS = "cividis_r"
_LINKAGES = ("average", "complete", "single")


def _distances(comparison: xr.Dataset | xr.DataArray, metric: str) -> xr.DataArray:
    """The distances of a metric between networks that are not left out, at least two."""
    if isinstance(comparison, xr.Dataset):
        pairs = [str(name) for name, values in comparison.items() if values.ndim == 2]
        comparison = comparison[one_of("metric", metric, pairs)]
    if not isinstance(comparison, xr.DataArray):
        raise ValueError(f"comparison: expected a dataset of compare, got {shown(comparison)}")
    first, *others = comparison.dims
    if len(others) != 1 or len({comparison.sizes[name] for name in comparison.dims}) != 1:
        raise ValueError(f"comparison: expected a square matrix, got shape {comparison.shape}")
    there = np.flatnonzero(np.isfinite(np.diag(comparison.values)))
    found = comparison.isel({first: there, others[0]: there})
    if len(there) < 2:
        raise ValueError(f"comparison: expected at least 2 networks, got {len(there)}")
    odd = found.values[~(np.isfinite(found.values) & (found.values >= 0))]
    if odd.size:
        raise ValueError(f"comparison: expected finite distances of at least 0, got {odd[0]:g}")
    symmetric("comparison", found.values)
    return found


def _names(distances: xr.DataArray) -> list[str]:
    return [str(name) for name in distances[distances.dims[0]].values.tolist()]


def distance_title(distances: xr.DataArray, power: int = 0) -> str:
    """`DSA, angular (radians)`; of multiples of 10^power, `PIF (×10⁻⁴)`."""
    name, unit = distances.attrs.get("long_name"), distances.attrs.get("units")
    known = MEASURES.get(str(distances.name))
    if name is None and known is not None:  # of `rnnjax.analysis.degeneracy`
        name, unit = known.title, known.unit
    parts = [f"\N{MULTIPLICATION SIGN}{plain_number(10.0**power)}" if power else "", unit or ""]
    shown_unit = " ".join(filter(None, parts))
    title = str(name or distances.name or "distance")
    return f"{title} ({shown_unit})" if shown_unit else title


def _linkage(distances: np.ndarray, linkage: str) -> np.ndarray:
    """scipy's linkage of symmetric distances."""
    from scipy.cluster import hierarchy  # slow to import
    from scipy.spatial.distance import squareform

    np.fill_diagonal(distances := np.array(distances, np.float64), 0.0)
    condensed = squareform((distances + distances.T) / 2)
    return hierarchy.linkage(
        condensed, one_of("linkage", linkage, _LINKAGES), optimal_ordering=True
    )


def _label_size(count: int) -> float:
    """Size of the labels of a row of `count` networks, points."""
    return SMALL if count <= 25 else max(SMALL - 0.05 * (count - 25), 4.5)


def distance_matrix(
    comparison: xr.Dataset | xr.DataArray, metric: str = "dsa", *, sort: bool = False
) -> Figure:
    """The matrix of distances between named networks, 0 on the diagonal.

    Up to 12 networks the numbers are written into the matrix. Where all are below 0.01, they are
    multiples of the power of ten in the title.

    Args:
        comparison: a dataset of `rnnjax.compare`, or labelled distances.
        metric: name of the distances in the dataset.
        sort: whether networks are in the order of the dendrogram, so that those alike are
            neighbors, and not in the given order.

    Raises:
        ValueError: no such distances, fewer than two networks, or distances that are not finite,
            symmetric and at least 0.
    """
    found = _distances(comparison, metric)
    if flag("sort", sort):
        from scipy.cluster.hierarchy import leaves_list

        order = leaves_list(_linkage(found.values, "average"))
        found = found.isel(dict.fromkeys(found.dims, order))
    power = _common_power(found.values.max())
    names, values = _names(found), found.values / 10.0**power
    count = len(names)
    side = max(2.4, min(0.42 * count, 5.2)) if count <= 12 else min(0.13 * count + 2.6, 9.0)
    figure, grid = new_figure(1, 1, side + 1.5, side + 0.6)
    axes: Axes = grid[0, 0]
    image = axes.imshow(values, cmap=_COLORS, vmin=0)
    tidy(axes, distance_title(found, power))
    size = _label_size(count)
    axes.set_xticks(range(count), names, rotation=90, fontsize=size)
    axes.set_yticks(range(count), names, fontsize=size)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    if count <= _MOST_NUMBERS:
        _write_numbers(axes, values)
    bar = figure.colorbar(image, ax=axes, shrink=0.7, aspect=22, pad=0.02)
    bar.ax.tick_params(labelsize=SMALL)
    bar.outline.set_visible(False)
    return figure


def _common_power(largest: float) -> int:
    """The power of ten of distances that three decimals would not tell apart, else 0."""
    return int(np.floor(np.log10(largest))) if 0 < largest < 0.01 else 0


def _write_numbers(axes: Axes, values: np.ndarray) -> None:
    """Writes each distance off the diagonal with as many digits, 2 or 3, as show the smallest.

    One that three digits do not show is written with its own power of ten.
    """
    apart = values[~np.eye(len(values), dtype=bool)]
    smallest = apart[apart > 0].min(initial=1.0)
    digits = int(np.clip(np.ceil(-np.log10(smallest)) + 1, 2, 3))
    largest = values.max() or 1.0
    for row, column in zip(*np.nonzero(~np.eye(len(values), dtype=bool)), strict=True):
        value = float(values[row, column])
        dark = value > 0.5 * largest  # the map is light at 0
        text = plain_number(value) if 0 < value < 1e-3 else f"{value:.{digits}f}"
        axes.text(
            column, row, text, ha="center", va="center", fontsize=SMALL - 0.5,
            color="white" if dark else "black",
        )  # fmt: skip


def embedding_map(
    comparison: xr.Dataset | xr.DataArray, metric: str = "dsa", *, seed: int = 0
) -> Figure:
    """Named networks in a plane, placed by `rnnjax.analysis.embedding` of their distances.

    A plane rarely holds all distances: the note below gives Kruskal's stress, the root of the
    summed squares of the differences over that of the distances. 0 is exact, 0.2 is poor.

    Args:
        comparison: a dataset of `rnnjax.compare`, or labelled distances.
        metric: name of the distances in the dataset.
        seed: seed of the starts of the placement.

    Raises:
        ValueError: as `distance_matrix`.
    """
    found = _distances(comparison, metric)
    names, values = _names(found), found.values
    places = embedding(values, seed=seed)
    large = len(names) > 20
    figure, grid = new_figure(1, 1, *((7.2, 6.6) if large else (4.4, 3.9)))
    axes: Axes = grid[0, 0]
    tidy(axes, distance_title(found))
    axes.plot(*places.T, "o", ms=4 if large else 6, color=CONDITION_COLORS[0], alpha=0.85)
    reach = 1.2 * np.abs(places).max() or 1.0
    axes.set_xlim(-reach, reach)
    axes.set_ylim(-reach, reach)
    axes.set_aspect("equal", adjustable="box")
    axes.set_yticks([])
    axes.set_xticks([])
    scale_bar(axes, reach)
    note = f"distances in the plane; stress {stress(values, places):.2f}"
    axes.set_xlabel(note, fontsize=SMALL, color=GREY)
    _label_points(figure, axes, places, names, 5.5 if large else SMALL)
    return figure


def stress(distances: np.ndarray, places: np.ndarray) -> float:
    """Kruskal's stress of places `[S, 2]` for distances `[S, S]`."""
    placed = np.linalg.norm(places[:, None] - places[None], axis=-1)
    total = np.sqrt((distances**2).sum()) or 1.0
    return float(np.sqrt(((placed - distances) ** 2).sum()) / total)


def scale_bar(axes: Axes, reach: float, unit: str = "", below: float = 0.0) -> None:
    """A bar of a round length, with its length, in the lower left corner or `below` it."""
    power = 10.0 ** np.floor(np.log10(reach / 2))
    length = max(step * power for step in (1, 2, 5) if step * power <= reach / 2)
    left, low = -0.95 * reach, -(0.95 + below) * reach
    axes.plot([left, left + length], [low, low], color=GREY, lw=1.5, solid_capstyle="butt")
    text = f"{length:g} {unit}".strip()
    axes.text(left, low + 0.02 * reach, text, fontsize=SMALL, color=GREY, va="bottom")


_SIDES = (
    ("left", "center", 1, 0), ("right", "center", -1, 0), ("center", "bottom", 0, 1),
    ("center", "top", 0, -1), ("left", "bottom", 0.7, 0.7), ("right", "bottom", -0.7, 0.7),
    ("left", "top", 0.7, -0.7), ("right", "top", -0.7, -0.7),
)  # fmt: skip
"""Places of a label around its point: alignments, and direction of the offset."""


def _label_points(
    figure: Figure, axes: Axes, places: np.ndarray, names: list[str], size: float
) -> None:
    """Writes each name beside its point, on the side where it covers the least of the others."""
    figure.draw_without_rendering()  # lays the axes out, so that positions are final
    points = axes.transData.transform(places)
    frame = axes.get_window_extent()
    radius = 3.0 * figure.dpi / 72
    taken = [(*(p - radius), *(p + radius)) for p in points]
    for place, name in zip(places, names, strict=True):
        tried = []
        for horizontal, vertical, dx, dy in _SIDES:
            text = axes.annotate(
                name, tuple(place), (5 * dx, 5 * dy), textcoords="offset points", fontsize=size,
                ha=horizontal, va=vertical, annotation_clip=False,
            )  # fmt: skip
            box = tuple(text.get_window_extent().extents)
            outside = max(frame.x0 - box[0], 0) + max(box[2] - frame.x1, 0)
            cost = sum(_overlap(box, other) for other in taken) + outside * (box[3] - box[1])
            tried.append((cost, text, box))
        best = min(tried, key=lambda each: each[0])
        for each in tried:
            if each is not best:
                each[1].remove()
        taken.append(best[2])


def _overlap(box: Sequence[float], other: Sequence[float]) -> float:
    """Area that two boxes (left, low, right, high) share."""
    width = min(box[2], other[2]) - max(box[0], other[0])
    height = min(box[3], other[3]) - max(box[1], other[1])
    return max(width, 0.0) * max(height, 0.0)


def dendrogram(
    comparison: xr.Dataset | xr.DataArray, metric: str = "dsa", *, linkage: str = "average"
) -> Figure:
    """The tree of hierarchical clustering of named networks.

    Two branches join at the distance between their networks: the mean (`average`), the largest
    (`complete`) or the smallest (`single`).

    Args:
        comparison: a dataset of `rnnjax.compare`, or labelled distances.
        metric: name of the distances in the dataset.
        linkage: `average`, `complete` or `single`.

    Raises:
        ValueError: as `distance_matrix`, or an unknown linkage.
    """
    from scipy.cluster import hierarchy

    found = _distances(comparison, metric)
    names = _names(found)
    tree = _linkage(found.values, linkage)
    figure, grid = new_figure(1, 1, 4.6, max(1.6, 0.16 * len(names) + 0.7))
    axes: Axes = grid[0, 0]
    drawn = hierarchy.dendrogram(tree, no_plot=True)
    for heights, branches in zip(drawn["dcoord"], drawn["icoord"], strict=True):
        axes.plot(heights, branches, color=CONDITION_COLORS[0], lw=1.2, solid_joinstyle="miter")
    tidy(axes, distance_title(found))
    axes.set_xlim(1.05 * tree[:, 2].max() or 1.0, 0)
    axes.set_ylim(0, 10 * len(names))  # scipy's leaves are 10 apart
    axes.yaxis.tick_right()
    order = [names[leaf] for leaf in drawn["leaves"]]
    axes.set_yticks(5 + 10 * np.arange(len(names)), order, fontsize=_label_size(len(names)))
    axes.tick_params(axis="y", length=0)
    axes.spines[["left", "right"]].set_visible(False)
    axes.set_xlabel(f"distance at which branches join ({linkage})", fontsize=FONT)
    return figure
