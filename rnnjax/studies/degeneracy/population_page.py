"""The report on populations trained to a threshold."""

import numpy as np
import xarray as xr

from rnnjax.analysis import MEASURES, require
from rnnjax.plots.style import name_value, plain_number
from rnnjax.report.page import Page, Picture, Section, Table
from rnnjax.report.provenance import Provenance, settings_section
from rnnjax.report.wording import bullets, task_name
from rnnjax.studies.degeneracy.endings import ENDS, epochs_text
from rnnjax.studies.degeneracy.population_figures import threshold_curves
from rnnjax.studies.papers import DEGENERACY_PAPER
from rnnjax.training import Status

__all__ = ["population_page"]

SHOWN = (
    "weight_change", "kernel_alignment", "recurrent_kernel_alignment", "near_zero_share",
    "effective_rank",
)  # fmt: skip


def _select_converged(dataset: xr.Dataset, measure: str) -> xr.DataArray:
    """A measure of the networks that met their stopping rule; NaN for the others."""
    return dataset[measure].where(dataset["status"] == Status.CONVERGED)


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


def _condition_table(dataset: xr.Dataset) -> Table:
    rows = []
    for place in range(dataset.sizes["condition"]):
        part = dataset.isel(condition=place)
        good, run = _counts(part)
        loss = _select_converged(part, "held_out_loss").values
        rows.append(
            (
                name_value(part["task"].item()),
                str(int(part["hidden"])),
                f"{good} of {run}",
                epochs_text(_select_converged(part, "epochs").values),
                plain_number(float(part["threshold"]), 3),
                "none" if not good else plain_number(np.nanmedian(loss), 2),
                _spread(_select_converged(part, "ood_loss").values),
            )
        )
    columns = (
        "task", "N", "converged", "epochs", "threshold", "held-out loss", "stretched loss",
    )  # fmt: skip
    patience = dataset["patience"].values
    caption = (
        f"Networks (of those trained) whose loss was below the threshold after {patience.min()} "
        "consecutive epochs; epochs they needed, median and range; the median of their lowest "
        "held-out losses; mean and standard deviation of their losses on the stretched task."
    )
    return Table(columns, tuple(rows), caption)


def _spread(values: np.ndarray) -> str:
    known = values[np.isfinite(values)]
    if not len(known):
        return "none"
    mean = plain_number(known.mean(), 2)
    return mean if len(known) < 2 else f"{mean}, sd {plain_number(known.std(ddof=1), 2)}"


def _left_out_text(dataset: xr.Dataset) -> str:
    """Networks that did not converge, by name."""
    named = []
    for place in range(dataset.sizes["condition"]):
        part = dataset.isel(condition=place)
        for seed, code in zip(part["seed"].values, part["status"].values, strict=True):
            if code not in (Status.CONVERGED, Status.PENDING):
                loss = float(part["held_out_loss"].sel(seed=seed))
                named.append(
                    f"{name_value(part['task'].item())}, N = {int(part['hidden'])}, "
                    f"seed {seed} ({ENDS[Status(int(code)).name]}): lowest held-out loss "
                    f"{plain_number(loss, 2) if np.isfinite(loss) else 'none'}"
                )
    if not named:
        return "Every network trained reached its threshold."
    return "Left out of every mean, since they missed their threshold:\n\n" + bullets(named)


def _measure_table(dataset: xr.Dataset) -> Table:
    rows = []
    for place in range(dataset.sizes["condition"]):
        part = dataset.isel(condition=place)
        cells = [_mean_error(_select_converged(part, name).values) for name in SHOWN]
        rows.append(
            (
                name_value(part["task"].item()),
                str(int(part["hidden"])),
                *cells,
            )
        )
    columns = ("task", "N", *(MEASURES[name].title for name in SHOWN))
    caption = (
        "Mean ± standard error over the converged networks. Of the effective recurrent weights: "
        "Frobenius norm of their change, share of near-zero weights "
        f"({dataset['near_zero_share'].attrs['bound']}), exponential of the entropy of the "
        "normalized singular values. Alignment of the outputs' tangent kernels before and after "
        "training, by all raw weights and by the recurrent ones alone."
    )
    return Table(columns, tuple(rows), caption)


def _lead(dataset: xr.Dataset) -> str:
    good, run = _counts(dataset)
    parts = [f"{good} of {run} networks reached their threshold."]
    short = []
    for task in dict.fromkeys(dataset["task"].values.tolist()):
        part = dataset.isel(condition=np.flatnonzero(dataset["task"].values == task))
        epochs = _select_converged(part, "epochs").values
        if np.isfinite(epochs).any():
            low, high = np.nanmin(epochs), np.nanmax(epochs)
            short.append(f"{task_name(task)} {low:.0f} to {high:.0f}")
    if short:
        parts.append(f"Epochs needed: {', '.join(short)}.")
    return " ".join(parts)


def _caveats() -> str:
    return bullets(
        [
            "The held-out trials that stop training are not those of the losses in the tables.",
            "Losses of the stretched task are averaged over a longer trial: where only the first "
            "steps are hard, they are lower than on the task itself.",
            "Weight change is that of the effective recurrent weights; it grows with the number of "
            "steps taken, and networks that learn faster take fewer.",
        ]
    )


def population_page(
    dataset: xr.Dataset, provenance: Provenance, *, pictures: tuple[Picture, ...] = ()
) -> Page:
    """The report on populations.

    `dataset` has the measures of `rnnjax.analysis.measure_population` over `condition` and `seed`,
    `held_out` over `epoch` too, and along `condition` the coordinates `task`, `hidden`, `threshold`
    and `patience`. `pictures` show outputs of the networks. Raises `ValueError` for missing
    variables or dimensions.
    """
    names = ["status", "epochs", "held_out", "held_out_loss", "ood_loss", *SHOWN]
    require(dataset, variables=names, dims=["condition", "seed", "epoch"])
    curves = Picture(
        threshold_curves(dataset),
        "threshold_curves",
        "Loss on held-out trials at the end of every epoch, one line per network; dashed: the "
        "threshold.",
    )
    sections = [
        Section(
            "To the threshold", _left_out_text(dataset), (_condition_table(dataset),), (curves,)
        ),
        Section("What training changed", "", (_measure_table(dataset),)),
    ]
    if pictures:
        sections.append(Section("Outputs in one trial", "", (), pictures))
    sections += [
        Section("Limitations", _caveats()),
        settings_section(provenance.settings),
    ]
    return Page(
        "Populations trained to a threshold",
        _lead(dataset),
        tuple(sections),
        subtitle=f"After “{DEGENERACY_PAPER}”",
        provenance=provenance.rows(),
    )
