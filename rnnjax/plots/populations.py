"""Populations: the way to the threshold, what training made of them, and what they answer."""

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rnnjax.analysis import require
from rnnjax.analysis.populations import Series, converged_only, level_series
from rnnjax.plots.panels import note_empty
from rnnjax.plots.style import (
    CONDITION_COLORS,
    FONT,
    GREY,
    SMALL,
    log_ticks,
    name_value,
    new_figure,
    ordered_colors,
    plain_number,
    tidy,
)
from rnnjax.tasks import Trial

__all__ = ["answers", "level_measures", "measure_name", "series_name", "threshold_curves"]

_MEASURES = {
    "weight_change": "weight change |W - W₀|",
    "relative_weight_change": "weight change over |W₀|",
    "kernel_alignment": "kernel alignment",
    "recurrent_kernel_alignment": "alignment, recurrent",
    "near_zero_share": "share of near-zero weights",
    "effective_rank": "effective rank",
    "epochs": "epochs",
    "loss": "loss",
    "held_out_loss": "held-out loss",
    "ood_loss": "loss, stretched task",
    "ood_excess": "loss, stretched less own task",
}
_SETTINGS = {"gamma": "gamma", "l1": "L1 strength", "nuclear": "nuclear strength"}


def measure_name(name: str) -> str:
    """A measure for a reader."""
    return _MEASURES.get(name, name)


def series_name(series: Series) -> str:
    """`Flip flop, N = 64` and, where it has levels, the setting that differs."""
    return _title(series) if series.name is None else f"{_title(series)}, {_SETTINGS[series.name]}"


def _title(series: Series) -> str:
    return f"{name_value(series.labels['task'])}, N = {series.labels['hidden']}"


def _level(value: float) -> str:
    return plain_number(value) if value > 0 else "0"


def threshold_curves(dataset: xr.Dataset) -> Figure:
    """Held-out loss at the end of every epoch, a line per network, a panel per series.

    Dashed: the threshold. `dataset` has `held_out` over `condition`, `seed` and `epoch`, and the
    coordinate `threshold`. Raises `ValueError` where one is missing.
    """
    require(dataset, variables=["held_out"], dims=["condition", "seed", "epoch"])
    found = level_series(dataset)
    columns = min(2, len(found))
    figure, grid = new_figure(-(-len(found) // columns), columns, 3.4, 2.3)
    for axes in grid.flat[len(found) :]:
        axes.remove()
    for number, (series, axes) in enumerate(zip(found, grid.flat, strict=False)):
        tidy(axes, _title(series))
        axes.set_yscale("log")
        count = series.data.sizes["condition"]
        for place, color in enumerate(ordered_colors(count)):
            curves = series.data["held_out"].isel(condition=place).transpose("seed", "epoch")
            label = _level(series.levels[place]) if series.levels else None
            for row in curves.values:
                axes.plot(curves["epoch"], row, color=color, lw=1.1, alpha=0.8, label=label)
                label = None
        axes.axhline(float(series.data["threshold"].isel(condition=0)), color=GREY, lw=0.9, ls="--")
        reached = series.data["held_out"].notnull().any(["condition", "seed"])
        if not reached.any():  # all diverged in their first epoch
            note_empty(axes)
            continue
        axes.set_xlim(0, float(series.data["epoch"].where(reached).max()) + 1)
        log_ticks(axes, "y")
        if series.name is not None:
            axes.legend(
                title=_SETTINGS[series.name], fontsize=SMALL, title_fontsize=SMALL, frameon=False,
                loc="center left", bbox_to_anchor=(1.0, 0.5), handlelength=1.4,
            )  # fmt: skip
        if number % columns == 0:
            axes.set_ylabel("held-out loss")
        if number + columns >= len(found):
            axes.set_xlabel("epoch")
    return figure


def _draw_levels(axes: Axes, series: Series, measure: str) -> None:
    values = converged_only(series.data, measure).transpose("condition", "seed").values
    color = CONDITION_COLORS[0]
    for place, row in enumerate(values):
        known = row[np.isfinite(row)]
        spots = place + 0.24 * ((np.arange(len(known)) + 0.5) / max(len(known), 1) - 0.5)
        axes.plot(spots, known, ".", ms=4, color=color, alpha=0.45)
        if len(known) > 1:
            error = known.std(ddof=1) / np.sqrt(len(known))
            axes.errorbar(place, known.mean(), error, fmt="o", ms=4.5, color="black", capsize=3)
    axes.set_xticks(range(len(series.levels)), [_level(level) for level in series.levels])
    axes.set_xlim(-0.5, len(series.levels) - 0.5)


def level_measures(
    dataset: xr.Dataset,
    measures: tuple[str, ...] = (
        "weight_change", "kernel_alignment", "recurrent_kernel_alignment", "near_zero_share",
        "effective_rank",
    ),
) -> Figure:  # fmt: skip
    """Measures of the converged networks against the level of the setting that differs.

    A row per series, a column per measure; dots: networks, black: mean and standard error.
    `dataset` has the measures over `condition` and `seed` (`rnnjax.analysis.measure_population`).
    Raises `ValueError` where one is missing, or for conditions that differ in no setting.
    """
    require(dataset, variables=["status", *measures], dims=["condition", "seed"])
    found = [series for series in level_series(dataset) if series.levels]
    if not found:
        raise ValueError("dataset: expected conditions that differ in gamma, l1 or nuclear")
    figure, grid = new_figure(len(found), len(measures), 2.4, 2.1)
    for series, row in zip(found, grid, strict=True):
        assert series.name is not None
        for measure, axes in zip(measures, row, strict=True):
            tidy(axes, "")
            _draw_levels(axes, series, measure)
            axes.set_ylabel(measure_name(measure))
            axes.set_xlabel(_SETTINGS[series.name])
        row[0].set_title(_title(series), fontsize=FONT, fontweight="bold", loc="left")
    return figure


def answers(trial: Trial, outputs: np.ndarray, title: str = "") -> Figure:
    """One trial, [T, ...], and what every network of a population answered, [S, T, O].

    A panel for the inputs and one per output; black: the target, colors: networks.
    """
    count = outputs.shape[-1]
    figure, grid = new_figure(1 + count, 1, 5.0, 1.25)
    inputs, targets = np.asarray(trial.inputs), np.asarray(trial.targets)
    time = np.arange(len(targets))
    tidy(grid[0, 0], f"{title}: inputs" if title else "inputs")
    for channel, color in enumerate(ordered_colors(inputs.shape[1])):
        grid[0, 0].step(time, inputs[:, channel], where="mid", color=color, lw=1.1)
    for channel, axes in enumerate(grid[1:, 0]):
        tidy(axes, "targets and outputs" if channel == 0 else "")
        axes.plot(time, targets[:, channel], color="black", lw=2.2)
        for number, output in enumerate(outputs):
            color = CONDITION_COLORS[number % len(CONDITION_COLORS)]
            axes.plot(time, output[:, channel], color=color, lw=0.9)
    for axes in grid[:-1, 0]:
        axes.tick_params(labelbottom=False)
    for axes in grid[:, 0]:
        axes.margins(x=0.01)
    grid[-1, 0].set_xlabel("time step")
    return figure
