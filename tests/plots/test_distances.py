"""Matrix, map and tree of named distances: what is drawn, and whether it can be read."""

import itertools

import numpy as np
import pytest
import xarray as xr

from drawings import texts
from rnnjax import plots
from rnnjax.plots.distances import _overlap


def named(count, seed=0, dimensions=2):
    """Distances of points, which a plane holds exactly; names as long as those of sessions."""
    places = np.random.default_rng(seed).normal(size=(count, dimensions))
    values = 0.1 * np.linalg.norm(places[:, None] - places[None], axis=-1)
    names = [f"mouse {i // 5} day {i % 5}" for i in range(count)]
    return xr.DataArray(
        values, {"network": names, "other": names}, dims=("network", "other"), name="dsa",
        attrs={"long_name": "DSA, angular", "units": "radians"},
    )  # fmt: skip


FIVE = named(5)


def boxes(figure, artists):
    figure.draw_without_rendering()
    return [artist.get_window_extent().extents for artist in artists]


def test_the_matrix_shows_every_distance_under_its_names():
    figure = plots.distance_matrix(FIVE)
    axes, bar = figure.axes
    np.testing.assert_array_equal(axes.images[0].get_array(), FIVE.values)
    for labels in (axes.get_xticklabels(), axes.get_yticklabels()):
        assert [label.get_text() for label in labels] == list(FIVE["network"].values)
    apart = FIVE.values[~np.eye(5, dtype=bool)]
    assert sorted(map(float, texts(axes))) == pytest.approx(sorted(apart), abs=5e-3)
    assert axes.get_title("left") == "DSA, angular (radians)"
    assert axes.images[0].get_clim() == (0, FIVE.values.max())
    assert len(bar.get_yticks()) > 1


def test_small_distances_have_digits():
    """As those per parameter: three decimals would all be 0.001."""
    small = 1e-2 * FIVE.drop_attrs()
    assert 1e-3 < small.values.max() < 1e-2
    axes = plots.distance_matrix(small.rename("pif_per_parameter")).axes[0]
    wanted = 1e3 * small.values[~np.eye(5, dtype=bool)]
    assert sorted(map(float, texts(axes))) == pytest.approx(sorted(wanted), abs=5e-3)
    assert axes.get_title("left") == "PIF per parameter (\N{MULTIPLICATION SIGN}0.001)"
    assert "10⁻⁵ radians)" in plots.distance_matrix(1e-4 * FIVE).axes[0].get_title("left")
    close = FIVE.copy()
    close[0, 1] = close[1, 0] = 8.8e-6
    assert texts(plots.distance_matrix(close).axes[0]).count("9\N{MULTIPLICATION SIGN}10⁻⁶") == 2


def test_a_dataset_of_degeneracy_has_titles():
    plain = FIVE.drop_attrs().rename("dsa_lower_bound")
    assert plots.dendrogram(plain).axes[0].get_title("left") == "DSA, lower bound (radians)"


def test_a_sorted_matrix_puts_like_beside_like():
    clusters = np.array([0.0, 5.0, 0.1, 5.1, 0.2])
    values = np.abs(clusters[:, None] - clusters[None])
    mixed = FIVE.copy(data=values)
    drawn = plots.distance_matrix(mixed, sort=True).axes[0].images[0].get_array()
    beside = np.diag(drawn, 1)
    assert (np.sort(beside)[:3] < 0.5).all() and beside.max() > 4


@pytest.mark.slow
@pytest.mark.parametrize("count", [5, 50])
def test_names_do_not_cover_one_another(count):
    """In the matrix and the tree; the numbers stay within their cells."""
    distances = named(count)
    for figure in (plots.distance_matrix(distances), plots.dendrogram(distances)):
        axes = figure.axes[0]
        for labels in (axes.get_yticklabels(), axes.get_xticklabels()):
            shown = [label for label in labels if label.get_text()]
            found = boxes(figure, shown)
            for one, other in itertools.pairwise(found):
                assert _overlap(one, other) <= 0.15 * min(
                    (box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)
                )
        width = 0.9 * axes.get_window_extent().width / count
        assert all(box[2] - box[0] < width for box in boxes(figure, axes.texts))
    assert bool(plots.distance_matrix(distances).axes[0].texts) == (count == 5)


@pytest.mark.slow
@pytest.mark.parametrize("count", [5, 50])
def test_the_map_keeps_distances_that_a_plane_can_hold(count):
    distances = named(count)
    figure = plots.embedding_map(distances)
    axes = figure.axes[0]
    places = np.column_stack(axes.lines[0].get_data())
    drawn = np.linalg.norm(places[:, None] - places[None], axis=-1)
    stress = np.sqrt(((drawn - distances.values) ** 2).sum() / (distances.values**2).sum())
    assert stress < 0.05
    assert f"stress {stress:.2f}" in axes.get_xlabel()
    assert [*distances["network"].values] == [
        text for text in texts(axes) if text.startswith("mouse")
    ]
    bar, length = axes.lines[1].get_xdata(), float(texts(axes)[0])
    assert bar[1] - bar[0] == pytest.approx(length)
    labels = boxes(figure, axes.texts[1:])
    covered = sum(_overlap(one, other) for i, one in enumerate(labels) for other in labels[i + 1 :])
    area = sum((box[2] - box[0]) * (box[3] - box[1]) for box in labels)
    assert covered < (0.001 if count == 5 else 0.05) * area


def test_the_tree_joins_pairs_at_their_distances():
    clusters = np.array([0.0, 5.0, 0.1, 5.3, 0.25])
    distances = FIVE.copy(data=np.abs(clusters[:, None] - clusters[None]))
    for linkage, top in (("single", 4.75), ("complete", 5.3)):
        axes = plots.dendrogram(distances, linkage=linkage).axes[0]
        joints = np.concatenate([line.get_xdata() for line in axes.lines])
        assert joints.max() == pytest.approx(top)
        assert np.isclose(joints, 0.1).any() and np.isclose(joints, 0.3).any()
        names = [label.get_text() for label in axes.get_yticklabels()]
        assert sorted(names) == sorted(FIVE["network"].values)
        assert abs(names.index("mouse 0 day 1") - names.index("mouse 0 day 3")) == 1


def test_networks_left_out_are_not_drawn():
    some = FIVE.copy()
    some[2] = np.nan
    some[:, 2] = np.nan
    for plot in (plots.distance_matrix, plots.embedding_map, plots.dendrogram):
        figure = plot(some.to_dataset(), "dsa")
        figure.draw_without_rendering()
        shown = " ".join(
            [*texts(figure.axes[0]), *(t.get_text() for t in figure.axes[0].get_yticklabels())]
        )
        assert "day 1" in shown and "day 2" not in shown


@pytest.mark.parametrize("plot", [plots.distance_matrix, plots.embedding_map, plots.dendrogram])
@pytest.mark.parametrize(
    ("given", "message"),
    [
        (FIVE.to_dataset(), "metric: expected one of dsa, got 'svcca'"),
        (FIVE.values, "comparison: expected a dataset"),
        (FIVE[:3], "comparison: expected a square matrix"),
        (FIVE[:1, :1], "comparison: expected at least 2"),
        (FIVE - 1, "comparison: expected finite distances of at least 0, got -1"),
        (FIVE.where(np.eye(5, dtype=bool)), "comparison: expected finite distances .* got nan"),
        (FIVE + np.arange(5.0)[:, None], "comparison: expected a symmetric"),
    ],
)
def test_bad_distances_are_named(plot, given, message):
    with pytest.raises(ValueError, match=message):
        plot(given, "svcca")


def test_equal_networks_are_drawn():
    same = 0 * FIVE
    for plot in (plots.distance_matrix, plots.embedding_map, plots.dendrogram):
        plot(same).draw_without_rendering()
