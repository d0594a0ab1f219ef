"""The report on populations trained to a threshold: who got there, and what they became."""

from collections.abc import Mapping

import numpy as np
import xarray as xr

from rnnjax.analysis import level_trend, require
from rnnjax.analysis.populations import Series, converged_only, level_series
from rnnjax.plots import level_measures, threshold_curves
from rnnjax.plots.populations import measure_name, series_name
from rnnjax.plots.style import name_value, plain_number
from rnnjax.report.common import bullets, provenance, settings_section
from rnnjax.report.findings import task_name
from rnnjax.report.page import Page, Picture, Section, Table
from rnnjax.report.reference import DEGENERACY_PAPER
from rnnjax.training import Status

__all__ = ["population_page"]

SHOWN = (
    "weight_change", "kernel_alignment", "recurrent_kernel_alignment", "near_zero_share",
    "effective_rank",
)  # fmt: skip

EXPECTED = {
    ("gamma", "weight_change"): "rises",
    ("gamma", "kernel_alignment"): "falls",
    ("gamma", "recurrent_kernel_alignment"): "falls",
    ("l1", "near_zero_share"): "rises",
    ("nuclear", "effective_rank"): "falls",
}
"""What study 2 says of its own factors: Fig. 6 and section 3.4, section 3.5."""


def _counts(part: xr.Dataset) -> tuple[int, int]:
    """Converged networks, and all that were run."""
    status = part["status"].values
    return int((status == Status.CONVERGED).sum()), int((status != Status.PENDING).sum())


def _mean_error(values: np.ndarray, digits: int = 3) -> str:
    known = values[np.isfinite(values)]
    if not len(known):
        return "none"
    if len(known) < 2:
        return f"{known.mean():.{digits}f}"
    error = known.std(ddof=1) / np.sqrt(len(known))
    return f"{known.mean():.{digits}f} ± {error:.{digits}f}"


def _setting_text(part: xr.Dataset, varied: list[str]) -> tuple[str, ...]:
    values = (float(part[name]) for name in varied)
    return tuple(plain_number(value) if value > 0 else "0" for value in values)


def _varied(dataset: xr.Dataset) -> list[str]:
    names = ("gamma", "l1", "nuclear")
    return [name for name in names if len(set(dataset[name].values.tolist())) > 1]


def _condition_table(dataset: xr.Dataset) -> Table:
    varied, rows = _varied(dataset), []
    for place in range(dataset.sizes["condition"]):
        part = dataset.isel(condition=place)
        good, run = _counts(part)
        epochs = converged_only(part, "epochs").values
        epochs = epochs[np.isfinite(epochs)]
        span = (
            f"{np.median(epochs):.0f} ({epochs.min():.0f} to {epochs.max():.0f})"
            if good
            else "none"
        )
        loss = converged_only(part, "held_out_loss").values
        rows.append(
            (
                name_value(part["task"].item()),
                str(int(part["hidden"])),
                *_setting_text(part, varied),
                f"{good} of {run}",
                span,
                f"{float(part['threshold']):g}",
                "none" if not good else f"{np.nanmedian(loss):.2g}",
                _spread(converged_only(part, "ood_loss").values),
            )
        )
    columns = (
        "task", "N", *varied, "converged", "epochs", "threshold", "held-out loss", "stretched loss",
    )  # fmt: skip
    patience = dataset["patience"].values
    caption = (
        f"Networks below the threshold at {patience.min()} ends of epochs in a row, of those "
        "trained; the epochs that these took, median and range; the median of their lowest "
        "held-out losses; mean and standard deviation of their losses on the stretched task."
    )
    return Table(columns, tuple(rows), caption)


def _spread(values: np.ndarray) -> str:
    known = values[np.isfinite(values)]
    return "none" if not len(known) else f"{known.mean():.2g}, sd {known.std():.2g}"


def _left_out(dataset: xr.Dataset) -> str:
    """Networks that did not converge, by name."""
    named = []
    for place in range(dataset.sizes["condition"]):
        part = dataset.isel(condition=place)
        for seed, code in zip(part["seed"].values, part["status"].values, strict=True):
            if code not in (Status.CONVERGED, Status.PENDING):
                loss = float(part["held_out_loss"].sel(seed=seed))
                named.append(
                    f"{name_value(part['task'].item())}, N = {int(part['hidden'])}, "
                    + "".join(f"{name} {float(part[name]):g}, " for name in _varied(dataset))
                    + f"seed {seed}: {Status(int(code)).name}, lowest held-out loss {loss:.2g}"
                )
    if not named:
        return "Every network trained reached its threshold."
    return "Left out of every mean, since they missed their threshold:\n\n" + bullets(named)


def _measure_table(dataset: xr.Dataset) -> Table:
    varied, rows = _varied(dataset), []
    for place in range(dataset.sizes["condition"]):
        part = dataset.isel(condition=place)
        cells = [_mean_error(converged_only(part, name).values) for name in SHOWN]
        rows.append(
            (
                name_value(part["task"].item()),
                str(int(part["hidden"])),
                *_setting_text(part, varied),
                *cells,
            )
        )
    columns = ("task", "N", *varied, *(measure_name(name) for name in SHOWN))
    caption = (
        "Mean ± standard error over the converged networks. Of the effective recurrent weights: "
        "Frobenius norm of their change, share of near-zero weights "
        f"({dataset['near_zero_share'].attrs['bound']}), exponential of the entropy of the "
        "normalized singular values. Alignment of the outputs' tangent kernels before and after "
        "training, by all raw weights and by the recurrent ones alone."
    )
    return Table(columns, tuple(rows), caption)


def _trend(series: Series, measure: str) -> xr.Dataset:
    values = converged_only(series.data, measure).transpose("seed", "condition").values
    return level_trend(values)


def _trend_table(found: list[Series]) -> Table:
    rows = []
    for series in found:
        assert series.name is not None
        for measure in SHOWN:
            fit = _trend(series, measure)
            slope, low, high = (float(fit[name]) for name in ("slope", "low", "high"))
            interval = "none" if np.isnan(low) else f"{low:+.2g} to {high:+.2g}"
            rows.append(
                (
                    series_name(series),
                    measure_name(measure),
                    "none" if np.isnan(slope) else f"{slope:+.2g}",
                    interval,
                    str(int(fit["seeds"])),
                    EXPECTED.get((series.name, measure), ""),
                    str(fit["verdict"].item()),
                )
            )
    columns = ("series", "measure", "slope per level", "95% interval", "seeds", "paper", "here")
    caption = (
        "Least-squares slope per level (not per unit) of each seed's networks, which begin with "
        "the same weights at every level; mean over seeds with Student's interval."
    )
    return Table(columns, tuple(rows), caption, align="llrrrll")


def _lead(dataset: xr.Dataset, found: list[Series]) -> str:
    good, run = _counts(dataset)
    parts = [f"{good} of {run} networks reached their threshold."]
    short = []
    for task in dict.fromkeys(dataset["task"].values.tolist()):
        part = dataset.isel(condition=np.flatnonzero(dataset["task"].values == task))
        epochs = converged_only(part, "epochs").values
        if np.isfinite(epochs).any():
            low, high = np.nanmin(epochs), np.nanmax(epochs)
            short.append(f"{task_name(task)} {low:.0f} to {high:.0f}")
    if short:
        parts.append(f"Epochs needed: {', '.join(short)}.")
    for series in found:
        for (name, measure), paper in EXPECTED.items():
            if name == series.name:
                fit = _trend(series, measure)
                parts.append(
                    f"{series_name(series)}: {measure_name(measure)} {fit['verdict'].item()} "
                    f"(study 2: {paper})."
                )
    return " ".join(parts)


def _caveats() -> str:
    return bullets(
        [
            "The held-out trials that stop training are not those of the losses in the tables.",
            "Losses of the stretched task are averaged over a longer trial: where only the first "
            "steps are hard, they are lower than on the task itself.",
            "The intervals of trends cover seeds. Few seeds, few levels and one task each say "
            "little about other tasks and widths.",
            "Weight change is that of the effective recurrent weights; it grows with the number of "
            "steps taken, and networks that learn faster take fewer.",
        ]
    )


def population_page(
    dataset: xr.Dataset,
    *,
    settings: Mapping[str, object],
    command: str,
    versions: Mapping[str, str],
    elapsed_seconds: float | None = None,
    pictures: tuple[Picture, ...] = (),
) -> Page:
    """The report on populations.

    `dataset` has the measures of `rnnjax.analysis.measure_population` over `condition` and `seed`,
    `held_out` over `epoch` too, and along `condition` the coordinates `task`, `hidden`, `gamma`,
    `l1`, `nuclear`, `threshold` and `patience`. `pictures` show what the networks answer. Raises
    `ValueError` for what is missing.
    """
    names = ["status", "epochs", "held_out", "held_out_loss", "ood_loss", *SHOWN]
    require(dataset, variables=names, dims=["condition", "seed", "epoch"])
    found = [series for series in level_series(dataset) if series.levels]
    curves = Picture(
        threshold_curves(dataset),
        "threshold_curves",
        "Loss on held-out trials at the end of every epoch, one line per network; dashed: the "
        "threshold.",
    )
    sections = [
        Section("To the threshold", _left_out(dataset), (_condition_table(dataset),), (curves,))
    ]
    measured: list[Table] = [_measure_table(dataset)]
    figures: tuple[Picture, ...] = ()
    if found:
        measured.insert(0, _trend_table(found))
        caption = "Converged networks (dots), their mean and standard error, level by level."
        figures = (Picture(level_measures(dataset), "level_measures", caption),)
    sections.append(Section("What training changed", "", tuple(measured), figures))
    if pictures:
        sections.append(Section("What they answer", "", (), pictures))
    sections += [Section("What these numbers do not say", _caveats()), settings_section(settings)]
    return Page(
        "Populations trained to a threshold",
        _lead(dataset, found),
        tuple(sections),
        subtitle=f"After “{DEGENERACY_PAPER}”",
        provenance=provenance(command, versions, elapsed_seconds),
    )
