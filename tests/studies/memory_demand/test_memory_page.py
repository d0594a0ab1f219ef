"""The page gives every demand beside the paper's, in the table and in the summary."""

import re

import pytest
import xarray as xr

from rnnjax.report import Provenance
from rnnjax.studies.memory_demand.page import memory_page

PROVENANCE = Provenance("python experiments/memory_demand.py", {"trials": 8})


@pytest.fixture
def demand():
    error = [[[[0.5, 0.7], [0.1, 0.1]]], [[[0.2, 0.2], [0.3, 0.3]]]]
    return xr.Dataset(
        {"error": (("task", "variant", "history", "initialization"), error),
         "demand": (("task", "variant"), [[2], [1]]),
         "censored": (("task", "variant"), [[True], [False]]),
         "variance": (("task", "variant"), [[1.0], [0.5]])},
        {"task": ["flip_flop", "path_integration"], "variant": ["as printed"], "history": [1, 2],
         "paper": ("task", [2.0, 1.0])},
    )  # fmt: skip


def test_the_table_has_the_demand_errors_and_variance_of_every_task(demand):
    rows = memory_page(demand, PROVENANCE).sections[0].tables[0].rows
    assert len(rows) == 2
    printed, first = rows[0][1], rows[0][2]
    assert printed == "2"
    assert [float(x) for x in re.findall(r"[\d.]+", first)] == [2, 0.6, 0.1]  # censored at 2
    assert [float(x) for x in re.findall(r"[\d.]+", rows[1][2])] == [1, 0.2, 0.2]
    assert float(rows[1][3]) == 0.5


@pytest.mark.parametrize(("paper", "decided"), [(2.0, False), (3.0, False), (1.0, True)])
def test_a_censored_demand_never_agrees_with_the_paper(demand, paper, decided):
    """At least 2 can be the paper's 2 or 3, and differs from 1."""
    lead = memory_page(demand.assign_coords(paper=("task", [paper, 1.0])), PROVENANCE).lead
    agree, other = lead.split(";")
    assert "path integration" in agree and "flip-flop" not in agree
    assert "flip-flop" in other and "path integration" not in other
    assert ("differs" in other) == decided == ("decided" not in other)


@pytest.mark.parametrize(
    ("histories", "place", "paper", "group"),
    [
        ((5, 10), 0, 5.0, "decided"),  # at most 5
        ((5, 10), 0, 6.0, "differs"),
        ((1, 3), 0, 1.0, "as in"),
        ((2, 5, 9), 1, 5.0, "decided"),  # 3, 4 or 5
        ((2, 5, 9), 1, 3.0, "decided"),
        ((2, 5, 9), 1, 2.0, "differs"),
        ((4, 5, 9), 1, 5.0, "as in"),
    ],
)
def test_a_demand_between_histories_is_compared_with_the_paper_as_far_as_it_is_known(
    demand, histories, place, paper, group
):
    one = demand.isel(task=[0], history=[0] * len(histories)).assign_coords(
        history=list(histories), paper=("task", [paper])
    )
    one["demand"][:], one["censored"][:] = histories[place], False
    page = memory_page(one, PROVENANCE)
    assert [word for word in ("as in", "differs", "decided") if word in page.lead] == [group]
    low = histories[place - 1] if place else 0
    known = histories[place] == low + 1
    assert ("at most" in page.lead) == (not known and not low)
    assert (f"{low + 1} to {histories[place]}" in page.lead) == (not known and low > 0)
    ring = [x for x in page.sections[0].figures[0].image.axes[0].lines if x.get_mfc() == "none"]
    assert len(ring) == known


def test_a_censored_demand_has_no_ring(demand):
    figure = memory_page(demand, PROVENANCE).sections[0].figures[0].image
    rings = [[x.get_mfc() for x in axes.lines].count("none") for axes in figure.axes]
    assert rings == [0, 1]


def test_a_task_without_a_number_of_the_paper_has_an_empty_cell(demand):
    other = demand.assign_coords(paper=("task", [float("nan"), 1.0]))
    assert memory_page(other, PROVENANCE).sections[0].tables[0].rows[0][1] == ""


def test_a_missing_variant_is_named(demand):
    with pytest.raises(ValueError, match="expected the variant 'as printed'"):
        memory_page(demand.assign_coords(variant=["other"]), PROVENANCE)
