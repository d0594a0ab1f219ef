"""The report on one factor of degeneracy: its arrows beside the paper's, what is behind them."""

from collections.abc import Mapping, Sequence

import numpy as np

from rnnjax.analysis.comparison import Comparison, measure_estimate, measure_trend
from rnnjax.analysis.rest import Attractors
from rnnjax.plots import (
    degeneracy_levels,
    dynamics_charts,
    fixed_point_maps,
    network_maps,
    stretched_losses,
)
from rnnjax.report.arrows import (
    arrow_measures,
    chart_counts,
    estimate_text,
    matched_table,
    series_title,
    shown_measures,
    trend_table,
)
from rnnjax.report.common import bullets, provenance, settings_section
from rnnjax.report.page import Page, Picture, Section, Table
from rnnjax.report.reference import DEGENERACY_ARROWS, DEGENERACY_PAPER
from rnnjax.training import Status

__all__ = ["degeneracy_page"]

_BEHIND = (
    "eigenvalues", "dsa_lower_bound", "pif", "pif_relative", "pif_untrained", "pif_gain",
    "pif_per_parameter", "pif_lower_bound", "excess_spread", "loss_spread", "ood_mean", "svcca",
    "cka",
)  # fmt: skip

_FEATURES = (
    "weight_change", "kernel_alignment", "recurrent_kernel_alignment", "representation_alignment",
    "effective_rank", "near_zero_share", "held_out_loss",
)  # fmt: skip


def _condition_table(comparisons: Sequence[Comparison]) -> Table:
    rows = []
    for comparison in comparisons:
        for level, data in zip(comparison.levels, comparison.data, strict=True):
            status = data["status"].values
            good = status == Status.CONVERGED
            epochs = data["epochs"].values[good]
            about = data["dsa"].attrs
            wanted, kept = about["wanted_components"], about["components"]
            rows.append(
                (
                    series_title(comparison),
                    level,
                    f"{good.sum()} of {(status != Status.PENDING).sum()}",
                    f"{np.median(epochs):.0f} ({epochs.min():.0f} to {epochs.max():.0f})"
                    if good.any()
                    else "none",
                    estimate_text(measure_estimate(data, "held_out_loss")),
                    f"{kept}" if wanted == kept else f"{kept} of {wanted} wanted",
                    f"{about['delays']} of {about['longest_tried']}",
                    *(_certainty(data[name].attrs) for name in ("dsa", "pif")),
                )
            )
    columns = (
        "series", "level", "converged", "epochs", "held-out loss", "k", "L", "DSA", "PIF",
    )  # fmt: skip
    caption = (
        "Networks that met the stopping rule, of those trained; their epochs, median and range; "
        "mean of their lowest held-out losses; principal components and delays of the dynamical "
        "distances, with the most delays that the bound on their product allowed; how far DSA and "
        "PIF lie above what is proven to be their least, in percent, and the share of pairs whose "
        "solver ended short of a stationary point."
    )
    return Table(columns, tuple(rows), caption, align="llrrrrrrr")


def _certainty(about: Mapping[str, float]) -> str:
    if np.isnan(about["above_bound"]):
        return "none"
    return f"{about['above_bound']:.0%}, {about['unsettled']:.0%}"


def _left_out(comparisons: Sequence[Comparison]) -> str:
    named = [
        f"{series_title(comparison)}, {level}: {data.attrs['left_out']}"
        for comparison in comparisons
        for level, data in zip(comparison.levels, comparison.data, strict=True)
        if data.attrs["left_out"]
    ]
    if not named:
        return "Every network trained reached its threshold."
    return "Left out of everything, since they missed their threshold:\n\n" + bullets(named)


def _chart_text(comparisons: Sequence[Comparison]) -> str:
    lines = []
    for comparison in comparisons:
        if len(comparison.data) < 2:
            continue
        texts = []
        for variable, name in (("dsa_chart", "DSA"), ("eigenvalue_chart", "eigenvalues")):
            falls, rises, places = chart_counts(comparison, variable)
            texts.append(f"{name} falls at {falls} and rises at {rises} of {places} places")
        lines.append(f"{series_title(comparison)}: {'; '.join(texts)}; {_places_taken(comparison)}")
    return (
        "The sign of a dynamics arrow can depend on how many components k and delays L are kept: "
        "small k compares the coarse dynamics, large k whitens directions of little variance into "
        "full partners. A claim holds as far as its color does.\n\n" + bullets(lines)
    )


def _places_taken(comparison: Comparison) -> str:
    """With which components and delays the arrow above was made."""
    abouts = [data["dsa"].attrs for data in comparison.data]
    taken = ", ".join(f"({about['components']}, {about['delays']})" for about in abouts)
    held = [
        level
        for level, about in zip(comparison.levels, abouts, strict=True)
        if about["delays"] == about["longest_tried"]
        or about["components"] < about["wanted_components"]
    ]
    text = f"the arrow above is of (k, L) = {taken} by level"
    return text + (f", held down by the bound on k L at {', '.join(held)}." if held else ".")


def _lead(study: str, comparisons: Sequence[Comparison]) -> str:
    parts = []
    for comparison in comparisons:
        if len(comparison.data) < 2:
            continue
        here = []
        for level, measure in arrow_measures(study).items():
            trend = measure_trend(comparison.data, measure)
            paper = DEGENERACY_ARROWS[study][level]
            said = "" if trend.verdict == paper else f" (paper: {paper})"
            here.append(f"{level} {trend.verdict}{said}")
        parts.append(f"{series_title(comparison)}: {', '.join(here)}.")
    return " ".join(parts) or "One condition: nothing to compare it with."


def _attractor_section(
    attractors: Mapping[str, Attractors], expected: Mapping[str, int]
) -> Section:
    rows = []
    short = []
    for name, population in attractors.items():
        members = zip(population.seeds, population.found, strict=True)
        for row, (seed, found) in enumerate(members):
            stable = int(found.stable.sum())
            unstable = int((found.fixed & ~found.stable).sum())
            slow = int((~found.fixed).sum())
            leading = (
                ", ".join(f"{abs(v[0]):.3f}" for v in found.eigenvalues[found.stable][:3]) or "none"
            )
            wanted = expected.get(name)
            held = population.memories(row)
            rows.append(
                (name, str(seed), str(stable), "-" if wanted is None else f"{held} of {wanted}",
                 str(unstable), str(slow), leading)
            )  # fmt: skip
            if wanted is not None and held < wanted:
                short.append(
                    f"{name}, seed {seed}: {stable} stable points hold {held} of {wanted} "
                    f"memories; {unstable} unstable and {slow} slow points, the slow ones at "
                    f"speeds q up to {found.speeds.max(initial=0.0):.1g}"
                )
    columns = ("population", "seed", "stable", "memories", "unstable", "slow", "largest |λ|")
    caption = (
        "Distinct points without input, from searches that start in visited states: fixed points "
        "by their Jacobian's eigenvalues, and slow points, where the speed is small and not zero; "
        "how many of the task's memories the stable points hold, by the signs of the outputs "
        "there; largest moduli at the first stable points. Near 1, a direction that hardly decays."
    )
    text = (
        "Networks whose stable points hold fewer memories than the task has keep the others some "
        "other way:\n\n" + bullets(short)
        if short
        else "Every network shown holds each memory of its task by a stable point."
        if any(name in expected for name in attractors)
        else ""
    )
    picture = Picture(fixed_point_maps(attractors), "fixed_points", caption)
    return Section(
        "Where they come to rest", text, (Table(columns, tuple(rows), "", "lrrrrrr"),), (picture,)
    )


def _caveats(comparisons: Sequence[Comparison]) -> str:
    networks = max(data.sizes["seed"] for c in comparisons for data in c.data)
    return bullets(
        [
            f"Intervals and tests count networks ({networks} per condition), not pairs, and take "
            "levels as independent though networks of one seed begin alike.",
            "The paper's dynamical distance is |A - C B C^T|, here “DSA, raw”. It grows with the "
            "order of the operators, which differs between conditions; the arrow is that of the "
            "angle.",
            "DSA sees linear predictions one step ahead. At full rank it does not see how states "
            "are mixed; dynamics that differ only where the trials never go are alike to it. Its "
            "values are upper bounds of a minimum.",
            "Components, delays, held-out trials, batches and clipping are silent details of the "
            "paper; those taken here are among the settings.",
            "PIF grows with the norm of the weights and with N; read it beside its value over the "
            "norm and that of untrained networks.",
            "A stretched trial can be easier than the trained one per step, where only the first "
            "steps are hard; then the spread of its loss is that of the moment at which training "
            "stopped. The spread of the difference stands beside it.",
            "A loss averages over outputs. With more channels its spread falls by that alone, and "
            "with an auxiliary output it is on another scale.",
            "A spread's interval is that of the standard deviation, its p value that of deviations "
            "from the median, which one network far away moves less.",
            "Arrows are drawn at p < 0.05 each; no correction is made for their number.",
        ]
    )


def degeneracy_page(
    study: str,
    comparisons: Sequence[Comparison],
    *,
    settings: Mapping[str, object],
    command: str,
    versions: Mapping[str, str],
    elapsed_seconds: float | None = None,
    attractors: Mapping[str, Attractors] | None = None,
    expected: Mapping[str, int] | None = None,
) -> Page:
    """The report on one of the factors of study 2.

    Args:
        study: a key of `DEGENERACY_ARROWS`.
        comparisons: the factor's series (`rnnjax.analysis.Comparison`).
        settings, command, versions, elapsed_seconds: how the page came about.
        attractors: fixed points by population, if they were searched.
        expected: how many stable points its task asks of a population.

    Raises:
        ValueError: an unknown study, or no comparisons.
    """
    if study not in DEGENERACY_ARROWS:
        raise ValueError(f"study: expected one of {', '.join(DEGENERACY_ARROWS)}, got {study!r}")
    if not comparisons:
        raise ValueError("comparisons: expected at least one, got none")
    several = [c for c in comparisons if len(c.data) > 1]
    sections = [
        Section(
            "Arrows: paper versus here",
            "",
            (
                trend_table(
                    study, comparisons, shown_measures(study),
                    "Values with jackknife errors over networks, by level; slope per level, in "
                    "percent of the mean, with its interval and the p value of a permutation of "
                    "networks between levels; networks by level; arrows.",
                ),
                matched_table(study, comparisons),
            ),
            (
                Picture(
                    degeneracy_levels(comparisons, tuple(arrow_measures(study).values())),
                    "levels",
                    "What decides on the arrow of each level, with jackknife errors over networks.",
                ),
            ),
        ),
    ]  # fmt: skip
    if several:
        sections.append(
            Section(
                "Dynamics: by components and delays",
                _chart_text(comparisons),
                (),
                (
                    Picture(
                        dynamics_charts(several),
                        "dynamics_charts",
                        "Slope of the mean distance per level, over its mean, at every number of "
                        "components and delays. Triangles: p < 0.05; dots: no arrow; grey: left "
                        "out, since components x delays exceed the bound or components the units, "
                        "or since too few networks converged.",
                    ),
                ),
            )
        )
    sections += [
        Section(
            "Behind the arrows",
            "",
            (
                trend_table(
                    study, comparisons, [m for m in _BEHIND if m not in shown_measures(study)],
                    "What stands beside the measures of the paper: the distance of eigenvalues; "
                    "weights over their norm, of trained and of untrained networks; the stretched "
                    "loss less that of the task itself; representations.",
                ),
            ),
            (
                Picture(
                    network_maps(comparisons),
                    "network_maps",
                    "Networks placed so that distances in the plane are near their dynamical "
                    "distances (multidimensional scaling); one scale per row.",
                ),
            ),
        ),
        Section(
            "Behavior in detail",
            "",
            (),
            (
                Picture(
                    stretched_losses(comparisons),
                    "stretched_losses",
                    "Loss of every network on the stretched task, and mean against standard "
                    "deviation.",
                ),
            ),
        ),
        Section(
            "Feature learning",
            "",
            (
                trend_table(
                    study, comparisons, _FEATURES,
                    "Mean over converged networks. Lower alignment and larger weight change mean "
                    "stronger feature learning.",
                ),
            ),
            (
                Picture(
                    degeneracy_levels(comparisons, ("weight_change", "kernel_alignment")),
                    "features",
                    "Weight change and alignment of tangent kernels before and after training.",
                ),
            ),
        ),
    ]  # fmt: skip
    if attractors:
        sections.append(_attractor_section(attractors, expected or {}))
    sections += [
        Section("Networks", _left_out(comparisons), (_condition_table(comparisons),)),
        Section("What these numbers do not say", _caveats(comparisons)),
        settings_section(settings),
    ]
    return Page(
        f"Degeneracy: {study.replace('_', ' ')}",
        _lead(study, comparisons),
        tuple(sections),
        subtitle=f"After “{DEGENERACY_PAPER}”",
        provenance=provenance(command, versions, elapsed_seconds, work="training and measuring"),
    )
