"""Page on training in the latent space: is learning the same at every network size?"""

from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr

from rnnjax.analysis import (
    Resampling,
    diverged,
    finished,
    iterate_conditions,
    require,
)
from rnnjax.plots.style import plain_number
from rnnjax.report.page import Page, Picture, Section, Table
from rnnjax.report.provenance import Provenance, incomplete, steps_taken
from rnnjax.report.wording import (
    duration,
    exponent_text,
    listed_rates,
    listed_sizes,
    listed_tasks,
    size_text,
    task_name,
)
from rnnjax.studies.fits import exponent_range, row_name
from rnnjax.studies.latent.analysis import curve_distance, loss_scaling
from rnnjax.studies.latent.figures import latent_accuracy, latent_cost, latent_curves
from rnnjax.studies.pages import setup_table, sweep_page
from rnnjax.studies.papers import (
    COLLAPSE_PAPER,
    LATENT_CLAIMS,
    LATENT_EPOCH_SECONDS,
    LATENT_EPOCHS,
    LATENT_LARGEST,
    LATENT_SETUP,
)

__all__ = ["latent_page"]

TARGETS = (0.5, 0.2, 0.1)
"""Shares of the blind loss, that of the best output that ignores the input."""

_GIB = 2.0**30


def _place(labels: Mapping[str, object]) -> str:
    """`in the flip-flop task, at rate 0.1`, from the coordinates of a condition and rate."""
    parts = [f"in {task_name(labels['task'])}"] if "task" in labels else []
    parts += [f"{k} = {v}" for k, v in labels.items() if k not in ("task", "learning_rate", "step")]
    return ", ".join([*parts, f"at rate {plain_number(float(str(labels['learning_rate'])), 2)}"])


def _widest(distance: xr.Dataset) -> tuple[dict[str, object], xr.Dataset] | None:
    """Condition, rate and step at which the curves lie farthest apart."""
    known = [
        item for item in iterate_conditions(distance, ()) if not np.isnan(float(item[1]["factor"]))
    ]
    return max(known, key=lambda item: float(item[1]["factor"]), default=None)


def _curves_sentence(dataset: xr.Dataset, distance: xr.Dataset) -> str:
    widest = _widest(distance)
    if widest is None:
        return "No two sizes can be compared."
    labels, part = widest
    first, last = int(distance["smallest"].min()), int(distance["largest"].max())
    steps = ", ".join(f"{step:.0f}" for step in np.unique(distance["step"]))
    chance = float(part["chance"])
    beside = (
        ""
        if np.isnan(chance)
        else (f", where seed-to-seed variation alone would give a factor of up to {chance:.2f}")
    )
    return (
        f"From {size_text(first)} to {last} learning curves stay within a factor "
        f"{float(part['factor']):.2f} of that of the smallest network (compared at steps {steps}); "
        f"they are farthest apart {_place(labels)}, step {float(part['step']):.0f}{beside}."
        f"{_left_out(dataset)}"
    )


def _left_out(dataset: xr.Dataset) -> str:
    """How many runs diverged, whose curves are compared up to then."""
    lost, ended = int(diverged(dataset).sum()), int(finished(dataset).sum())
    return f" {lost} of {ended} runs diverged and are left out from then on." if lost else ""


def _all_fits(scaling: xr.Dataset) -> list[xr.Dataset]:
    return [part for _, part in iterate_conditions(scaling, ("hidden", "seed"))]


def _speed_sentence(scaling: xr.Dataset) -> str:
    fits = [fit for fit in _all_fits(scaling) if not np.isnan(float(fit["exponent_low"]))]
    if not fits:
        return (
            "No exponent with an interval: it needs two seeds, and a loss that is reached at three "
            "sizes."
        )
    containing = sum(float(fit["exponent_low"]) <= 0 <= float(fit["exponent_high"]) for fit in fits)
    return f"The steps to a loss against N: {exponent_range(fits)}" + (
        f" fits, and containing zero in {containing}." if len(fits) > 1 else "."
    )


def _cost_sentence(cost: xr.Dataset) -> str:
    seconds = cost["seconds_per_epoch"].dropna("hidden")
    if not seconds.size:
        return ""
    first, last = seconds.isel(hidden=0), seconds.isel(hidden=-1)
    text = f"An epoch takes {_seconds(float(first))} at {size_text(int(first['hidden']))}"
    if seconds.size > 1:
        text += f" and {_seconds(float(last))} at {size_text(int(last['hidden']))}"
    return f"{text} (paper: {_seconds(LATENT_EPOCH_SECONDS)} for most sizes)."


def _seconds(value: float) -> str:
    return f"{value * 1e3:.3g} ms" if value < 1 else f"{value:.3g} s"


def _lead(
    dataset: xr.Dataset,
    distance: xr.Dataset,
    scaling: xr.Dataset,
    cost: xr.Dataset,
) -> str:
    if not bool(finished(dataset).any()):
        return ""
    sentences = [
        _curves_sentence(dataset, distance),
        _speed_sentence(scaling),
        _cost_sentence(cost),
    ]
    return " ".join(filter(None, sentences))


def _distance_table(distance: xr.Dataset) -> Table:
    rows = []
    for labels, part in iterate_conditions(distance, ()):
        place = {k: v for k, v in labels.items() if k not in ("learning_rate", "step")}
        factor, chance = float(part["factor"]), float(part["chance"])
        rows.append(
            (
                row_name(place),
                plain_number(float(part["learning_rate"]), 2),
                f"{float(part['step']):.0f}",
                "none" if np.isnan(factor) else f"{factor:.2f}",
                "none" if np.isnan(chance) else f"{chance:.2f}",
                "" if np.isnan(chance) else "yes" if factor > chance else "no",
                str(int(part["sizes"])),
            )
        )
    columns = ("condition", "rate", "step", "factor", "by chance", "beyond chance", "sizes")
    caption = (
        "Largest factor between the training loss of any size and that of the smallest, after the "
        "same number of steps (geometric means over seeds). By chance: the factor that the same "
        "losses stay below in 95% of the cases when sizes are exchanged at random within every "
        "seed. “none”: too few sizes or seeds with a finite loss."
    )
    return Table(columns, tuple(rows), caption)


def _scaling_table(scaling: xr.Dataset) -> Table:
    rows = []
    for labels, part in iterate_conditions(scaling, ("hidden", "seed")):
        place = {k: v for k, v in labels.items() if k not in ("learning_rate", "target")}
        steps = part["steps"].dropna("hidden")
        ends = "none"
        if steps.size:
            ends = f"{float(steps[0]):.0f} to {float(steps[-1]):.0f}"
        rows.append(
            (
                row_name(place),
                plain_number(float(part["learning_rate"]), 2),
                f"{float(part['target']):.0%}",
                exponent_text(part),
                ends,
                f"{int(part['points_used'])} / {int(part['points_missing'])}",
            )
        )
    columns = ("condition", "rate", "loss", "exponent", "steps", "sizes used / not")
    caption = (
        "Exponent (95% interval over seeds) of the steps to a training loss against N; the loss in "
        "percent of the blind loss, that of the best output that ignores the input. Steps: at the "
        "smallest and the largest size at which at least half of the seeds reached the loss."
    )
    return Table(columns, tuple(rows), caption)


def _cost_table(cost: xr.Dataset) -> Table:
    rows = []
    for size in cost["hidden"].values:
        part = cost.sel(hidden=size)
        seconds, memory = float(part["seconds_per_epoch"]), float(part["peak_bytes"])
        known = not np.isnan(seconds)
        rows.append(
            (
                str(size),
                _seconds(seconds) if known else "not measured",
                duration(LATENT_EPOCHS * seconds) if known else "",
                "not measured" if np.isnan(memory) else f"{memory / _GIB:.2f} GiB",
            )
        )
    caption = (
        "Measured in a process that trains one network. On CPUs the memory is that of the process, "
        "with Python and its libraries; on an accelerator, that of the device."
    )
    return Table(("N", "per epoch", f"{LATENT_EPOCHS} epochs", "peak memory"), tuple(rows), caption)


def _hundred_epochs(cost: xr.Dataset) -> str:
    """Time of 100 epochs at the paper's largest size, or the nearest one measured."""
    seconds = cost["seconds_per_epoch"].dropna("hidden")
    if not seconds.size:
        return "not measured"
    nearest = seconds.isel(
        hidden=np.abs(np.log(seconds["hidden"].values / LATENT_LARGEST)).argmin()
    )
    return f"100 epochs at {size_text(int(nearest['hidden']))}: {duration(100 * float(nearest))}"


def _epoch_range(cost: xr.Dataset) -> str:
    seconds = cost["seconds_per_epoch"].dropna("hidden")
    if not seconds.size:
        return "not measured"
    return f"{_seconds(float(seconds.min()))} to {_seconds(float(seconds.max()))}"


def _factor_text(distance: xr.Dataset) -> str:
    factor, chance = distance["factor"], distance["chance"]
    known = int((factor.notnull() & chance.notnull()).sum())
    if not known:
        return "not enough runs"
    beyond = int((factor > chance).sum())
    first, last = int(distance["smallest"].min()), int(distance["largest"].max())
    return (
        f"within a factor {float(factor.max()):.2f} from {size_text(first)} to {last}; beyond what "
        f"seeds alone give in {beyond} of {known} places"
    )


def _claims_table(distance: xr.Dataset, scaling: xr.Dataset, cost: xr.Dataset) -> Table:
    ours = {
        "learning curves of all sizes": _factor_text(distance),
        "steps to a loss against N": exponent_range(_all_fits(scaling)),
        "time per epoch": _epoch_range(cost),
        f"training at N = {LATENT_LARGEST}": _hundred_epochs(cost),
    }
    rows = tuple((name, LATENT_CLAIMS.get(name, ""), text) for name, text in ours.items())
    caption = "Claims of Fig. 5 and section 3.4 beside the same numbers here."
    return Table(("claim", "paper", "here"), rows, caption, align="lll")


def _ours(dataset: xr.Dataset, settings: Mapping[str, object]) -> dict[str, str]:
    rank, readout = settings.get("rank", "K"), settings.get("readout", "see Settings")
    return {
        "network": f"rank {rank} (Eqs. 7 to 9); readout: {readout}",
        "task": listed_tasks(dataset),
        "network sizes": listed_sizes(dataset["hidden"].values),
        "learning rates": listed_rates(dataset["learning_rate"].values),
        "seeds": str(dataset.sizes["seed"]),
        "training steps": steps_taken(dataset),
    }


_CAVEATS = [
    "These are networks of rank K from the start of training, with K variables in place of N. A "
    "network of full rank of the same size need not learn in the same way.",
    "The latent equations are no approximation: with W = m nᵀ / N, one leak for all neurons and "
    "κ(0) = nᵀ r(0) / N, κ = nᵀ r / N holds at every step. The readout `rates` is W_out r, the "
    "whole network's; `latent` is C κ, that of W_out = C nᵀ / N.",
    "The paper's Eqs. 10 and 11, W = m nᵀ and κ = nᵀ r, lack the factors 1/N of its Eq. 12: read "
    "literally, they differ by a factor N. Eqs. 7 to 9 are consistent, and used here.",
    "A readout of κ itself has no more dimensions than K. With K = 1, as in the paper's appendix, "
    "all outputs would be multiples of one number, which cannot solve the 3-bit flip-flop; it "
    "needs K = 3.",
    "Every sum over neurons is an average over N draws of the same distribution, so that curves "
    "must approach a limit, and sizes differ by terms that shrink as 1/√N. That holds for entries "
    "of m, n and the input weights of order one. Other scales of the initial weights need not "
    "give coinciding curves.",
    "“By chance” exchanges sizes, and estimates how far apart seeds alone would drive the curves. "
    "A factor below it shows no difference; it does not show that there is none.",
    "The intervals cover seeds. Times hold for the machine they were measured on, and for one "
    "network at a time.",
]


def _curve_section(dataset: xr.Dataset, distance: xr.Dataset, window: int) -> Section:
    picture = Picture(
        latent_curves(dataset, window=window),
        "latent_curves",
        f"Training loss (moving average over {window} steps): mean over seeds and their range. "
        "(Paper: Fig. 5A.)",
    )
    return Section("Learning curves", "", (_distance_table(distance),), (picture,))


def _accuracy_section(dataset: xr.Dataset) -> Section:
    picture = Picture(
        latent_accuracy(dataset),
        "latent_accuracy",
        "Held-out accuracy after training: mean over seeds and their range. Filled: correlation "
        "with the target, as in the paper; open: right choices. (Paper: Fig. 5B.)",
    )
    return Section("Accuracy", "", (), (picture,))


def _cost_section(cost: xr.Dataset) -> Section:
    picture = Picture(
        latent_cost(cost),
        "latent_cost",
        "Median time per epoch with the range of its repeats, and peak memory, against size. "
        "Dotted: proportional to N. (Paper: Fig. 5C.)",
    )
    return Section("Time and memory", "", (_cost_table(cost),), (picture,))


def latent_page(
    dataset: xr.Dataset,
    cost: xr.Dataset,
    provenance: Provenance,
    *,
    pending: bool = False,
    targets: Sequence[float] = TARGETS,
    window: int = 10,
    resampling: Resampling = Resampling(),
) -> Page:
    """The page on training in the latent space: whether size matters, and what it costs.

    Args:
        dataset: results of the sweep.
        cost: `seconds_per_epoch` and `peak_bytes` along `hidden`, NaN where not measured, and
            perhaps `seconds_per_epoch_low` and `_high`.
        provenance: how they were computed.
        pending: whether the sweep is still running.
        targets: training losses to reach, as shares of the blind loss.
        window: steps over which training losses are averaged.
        resampling: settings of the intervals.

    Raises `ValueError` for missing variables or dimensions.
    """
    require(dataset, variables=["final_loss", "blind_loss", "steps_taken", "status"])
    require(cost, variables=["seconds_per_epoch", "peak_bytes"], dims=["hidden"])
    dataset, cost = dataset.sortby(["hidden", "learning_rate"]), cost.sortby("hidden")
    distance = curve_distance(dataset, window=window, resampling=resampling)
    scaling = loss_scaling(
        dataset, targets=targets, of_blind=True, window=window, resampling=resampling
    )
    sections = (
        _curve_section(dataset, distance, window),
        Section("Steps to a loss", "", (_scaling_table(scaling),)),
        _accuracy_section(dataset),
        _cost_section(cost),
        Section(
            "Paper versus here",
            "",
            (
                _claims_table(distance, scaling, cost),
                setup_table(LATENT_SETUP, _ours(dataset, provenance.settings)),
            ),
        ),
    )
    return sweep_page(
        "Training in the latent space", _lead(dataset, distance, scaling, cost), sections, dataset,
        provenance, subtitle=f"After “{COLLAPSE_PAPER}”, section 3.4", caveats=_CAVEATS,
        partial=pending or incomplete(dataset),
    )  # fmt: skip
