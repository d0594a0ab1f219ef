"""Page on weights divided by N: do larger networks learn more slowly, and is it Adam's eps?"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from rnnjax.analysis import (
    Resampling,
    finished,
    iterate_conditions,
    require,
    steps_to_loss,
)
from rnnjax.plots.style import plain_number
from rnnjax.report.page import Page, Picture, Section, Table
from rnnjax.report.provenance import Provenance, incomplete, steps_taken
from rnnjax.report.wording import (
    exponent_text,
    listed_rates,
    listed_sizes,
    listed_tasks,
    number,
    with_interval,
)
from rnnjax.studies.fits import condition_text, exponent_range, row_name
from rnnjax.studies.pages import setup_table, sweep_page
from rnnjax.studies.papers import (
    COLLAPSE_PAPER,
    RESCALING_OUTCOMES,
    RESCALING_SETUP,
    RESCALING_SLOWDOWN,
    SOLVED_ACCURACY,
    SOLVED_LOSS,
)
from rnnjax.studies.rescaling.analysis import loss_ratio, present_arms, slowdown
from rnnjax.studies.rescaling.figures import arm_name, rescaling_curves, slowdown_figure
from rnnjax.validate import counted

__all__ = ["rescaling_page"]

_SENTENCES = {
    "eps": "the slow-down of larger networks is due to Adam's eps",
    "eps in part": "the slow-down of larger networks is due to Adam's eps, at least in part",
    "structural in part": "the slow-down of larger networks is structural, at least in part",
    "structural": "the slow-down of larger networks is structural, not due to Adam's eps",
    "both": "the slow-down of larger networks is partly due to Adam's eps and partly structural",
    "none": "larger networks do not learn detectably more slowly (any slow-down is below N^{0.05})",
    "slower": "larger networks learn more slowly",
    "undecided": "the data do not decide whether and why larger networks learn more slowly",
}


class Answer(NamedTuple):
    """The verdict on one condition and learning rate."""

    labels: Mapping[str, object]
    """Coordinates of the condition."""
    rate: float
    fit: xr.Dataset
    """The fit at one target, along `arms`."""
    arms: str

    @property
    def verdict(self) -> str:
        """The verdict of `slowdown`."""
        return str(self.fit["verdict"].item())

    def arm(self, name: str) -> xr.Dataset:
        """The fit of one arm."""
        return self.fit.sel({self.arms: name})


def _main_target(fit: xr.Dataset, arms: str) -> xr.Dataset:
    """The fit at the lowest of the targets with the most sizes in both arms.

    Among those with an interval, if there are any.
    """
    used = fit["points_used"].min(arms)
    fitted = fit["verdict"] != "unfitted"
    used = used.where(fitted, -1) if bool(fitted.any()) else used
    chosen = fit["target"].where(used == used.max()).min()
    return fit.sel(target=chosen)


def _answers(fit: xr.Dataset, arms: str) -> list[Answer]:
    inner = ("hidden", "seed", "target", arms)
    answers = []
    for labels, part in iterate_conditions(fit, inner):
        rate = float(part["learning_rate"])
        place = {name: value for name, value in labels.items() if name != "learning_rate"}
        answers.append(Answer(place, rate, _main_target(part, arms), arms))
    return answers


def _difference(fit: xr.Dataset) -> str:
    low, high = float(fit["difference_low"]), float(fit["difference_high"])
    return f"{number(float(fit['difference']))} ({number(low)} to {number(high)})"


def _power(fit: xr.Dataset) -> str:
    """N to the fitted exponent, with its interval."""
    exponent, _, interval = exponent_text(fit).partition(" ")
    return f"N^{{{exponent}}} {interval}"


def _sentence(answer: Answer) -> str:
    fit = answer.fit
    place = f"In {condition_text(answer.labels)}, at" if answer.labels else "At"
    powers = [_power(answer.arm(name)) for name in present_arms(fit, answer.arms)]
    text = (
        f"{place} learning rate {plain_number(answer.rate, 2)} {_SENTENCES[answer.verdict]}: "
        f"from N = {int(fit['hidden_min'])} to {int(fit['hidden_max'])} the steps to a loss of "
        f"{float(fit['target']):g} scale as {powers[0]} with fixed eps"
    )
    if len(powers) > 1:
        text += (
            f" and as {powers[1]} with eps scaled like the gradients, a difference of "
            f"{_difference(fit)}"
        )
    return text + "; 95% intervals over seeds."


def _unfitted_text(answers: Sequence[Answer]) -> list[str]:
    lost = [answer for answer in answers if answer.verdict == "unfitted"]
    if not lost:
        return []
    rates = listed_rates(sorted({answer.rate for answer in lost}))
    return [
        f"At learning rate {rates} sizes cannot be compared: at none of the losses is there an "
        "exponent with an interval, which needs two seeds and three sizes at which they reached it"
        + (" in both arms." if len(lost[0].fit[lost[0].arms]) > 1 else ".")
    ]


def _lead(answers: Sequence[Answer]) -> str:
    """The answer at each rate of the first condition, and the number of each verdict over all."""
    first = [answer for answer in answers if answer.labels == answers[0].labels]
    fitted = [answer for answer in first if answer.verdict != "unfitted"]
    text = " ".join([*map(_sentence, fitted), *_unfitted_text(first)])
    if len(first) < len(answers):
        verdicts = [answer.verdict for answer in answers]
        counts = ", ".join(f"{name} {verdicts.count(name)}" for name in dict.fromkeys(verdicts))
        text += f" Over all {len(answers)} conditions and rates: {counts}."
    return text


def _agreement(fit: xr.Dataset, arms: str) -> str:
    """Whether the verdict depends on the target."""
    split = []
    for _, part in iterate_conditions(fit, ("hidden", "seed", "target", arms)):
        verdicts = set(part["verdict"].values.tolist()) - {"unfitted"}
        if len(verdicts) > 1:
            split.append(float(part["learning_rate"]))
    if not split:
        return "No verdict depends on which of the losses is taken."
    rates = listed_rates(sorted(set(split)))
    return f"At learning rate {rates} the verdict depends on which of the losses is taken."


def _slowdown_table(fit: xr.Dataset, arms: str) -> Table:
    names, rows = present_arms(fit, arms), []
    both = len(names) > 1
    for labels, part in iterate_conditions(fit, ("hidden", "seed", arms)):
        parts = [part.sel({arms: name}) for name in names]
        place = {k: v for k, v in labels.items() if k not in ("learning_rate", "target")}
        missing = np.isnan(float(part["difference_low"]))
        rows.append(
            (
                row_name(place),
                plain_number(float(part["learning_rate"]), 2),
                f"{float(part['target']):g}",
                *map(exponent_text, parts),
                *(["none" if missing else _difference(part)] if both else []),
                str(int(parts[0]["points_used"])),
                " / ".join(str(int(one["points_missing"])) for one in parts),
                str(part["verdict"].item()),
            )
        )
    columns = (
        "condition", "rate", "loss", *_SHORT[: len(names)], *(["difference"] if both else []),
        "sizes used", "not reached", "verdict",
    )  # fmt: skip
    caption = "Exponent (95% interval) of the steps to a training loss against N. " + (
        "“slower”: it lies above 0; “none”: at most 0.05. A size is used where half of the seeds "
        "reached the loss; “not reached” counts the others."
        if not both
        else "Difference of the arms, seed by seed. A size is used where half of the seeds reached "
        "the loss in both arms; “not reached” counts the others, eps fixed / scaled. Verdict: "
        "“eps”, only the first grows; “structural”, both grow alike; “in part”, the rest is open; "
        "“both”, both grow and differ; “none”, the first does not grow by more than 0.05."
    )
    return Table(columns, tuple(rows), caption, align="l" + "r" * (len(columns) - 2) + "l")


_SHORT = ("eps fixed", "eps scaled")
"""Columns of the arms."""


def _ratio_table(ratios: xr.Dataset, arms: str) -> Table:
    """Loss of the largest size relative to that of the smallest, at fixed steps."""
    sizes = ratios["hidden"].values
    last, names = ratios.isel(hidden=-1), present_arms(ratios, arms)
    rows = []
    for labels, part in iterate_conditions(last, (arms,)):
        place = {k: v for k, v in labels.items() if k not in ("learning_rate", "step")}
        cells = [_ratio_cell(part.sel({arms: name})) for name in names]
        rows.append(
            (
                row_name(place),
                plain_number(float(part["learning_rate"]), 2),
                f"{float(part['step']):.0f}",
                *cells,
            )
        )
    caption = (
        f"Training loss at N = {sizes[-1]} over that at N = {sizes[0]} after the same number of "
        "steps (geometric means over seeds, 95% interval). “none”: not run, or a run had "
        "stopped by then."
    )
    return Table(("condition", "rate", "step", *_SHORT[: len(names)]), tuple(rows), caption)


def _ratio_cell(part: xr.Dataset) -> str:
    ratio, low, high = (float(part[name]) for name in ("ratio", "ratio_low", "ratio_high"))
    return "none" if np.isnan(ratio) else with_interval(ratio, low, high)


def _count_solved(dataset: xr.Dataset, arms: str, window: int) -> dict[float, str]:
    """Number of runs that reached the paper's loss, by rate and arm."""
    done = finished(dataset)
    reached = steps_to_loss(dataset, SOLVED_LOSS, window).notnull() & done
    texts = {}
    for rate in dataset["learning_rate"].values.tolist():
        parts = []
        for label in dataset[arms].values:
            here = {"learning_rate": rate, arms: label}
            runs = int(done.sel(here).sum())
            parts.append(f"{arm_name(label)}: {int(reached.sel(here).sum())} of {runs}")
        texts[rate] = ", ".join(parts)
    return texts


def _accuracy_text(dataset: xr.Dataset) -> str:
    """The accuracy of runs with a held-out loss near the paper's."""
    loss = dataset["final_loss"]
    near = dataset["accuracy_decision"].where(
        (loss > SOLVED_LOSS / 1.5) & (loss < SOLVED_LOSS * 1.5)
    )
    count = int(near.notnull().sum())
    if not count:
        return f"no run ended with a held-out loss within a factor 1.5 of {SOLVED_LOSS:g}"
    low, high = float(near.min()), float(near.max())
    runs = counted(count, "run")
    return f"decision accuracy {low:.2f} to {high:.2f} in {runs} that ended near it"


def _claims_table(dataset: xr.Dataset, answers: Sequence[Answer], arms: str, window: int) -> Table:
    rows = []
    for rate, count in _count_solved(dataset, arms, window).items():
        name = f"runs at rate {plain_number(rate, 2)} that reach {SOLVED_LOSS:g}"
        outcomes = RESCALING_OUTCOMES.items()
        rows.append((name, next((t for r, t in outcomes if np.isclose(rate, r)), ""), count))
    for label in present_arms(dataset, arms):
        paper = RESCALING_SLOWDOWN[label]
        exponents = exponent_range([answer.arm(label) for answer in answers])
        rows.append((f"larger networks slower, {arm_name(label)}", paper, exponents))
    accuracy = f"accuracy at a loss of {SOLVED_LOSS:g}"
    rows.append((accuracy, SOLVED_ACCURACY, _accuracy_text(dataset)))
    caption = "Claims of Fig. 4 and section 3.3 beside the same numbers here."
    return Table(("claim", "paper", "here"), tuple(rows), caption, align="lll")


def _ours(dataset: xr.Dataset, arms: str) -> dict[str, str]:
    return {
        "task": listed_tasks(dataset),
        "network sizes": listed_sizes(dataset["hidden"].values),
        "learning rates": listed_rates(dataset["learning_rate"].values),
        "seeds": str(dataset.sizes["seed"]),
        "training steps": steps_taken(dataset),
        "eps of Adam": " and ".join(arm_name(label) for label in dataset[arms].values),
    }


def _loss_caveat(settings: Mapping[str, object]) -> str:
    """How losses relate to the paper's, which its Eq. 3 sums over the outputs."""
    if settings.get("reduction") == "sum":
        return "The losses are sums over outputs, as in the paper's Eq. 3."
    text = "The losses are averaged over outputs, as PyTorch's MSELoss does"
    options: Any = settings.get("flip_flop", {})
    if "bits" not in options:
        return f"{text}; the paper's Eq. 3 sums over them."
    return (
        f"{text}; under the paper's Eq. 3, which sums over them, its {SOLVED_LOSS:g} would be "
        f"{plain_number(SOLVED_LOSS / options['bits'], 2)} here."
    )


def _caveats(window: int, settings: Mapping[str, object], *, both: bool) -> list[str]:
    return [
        "The exponents hold for the sizes they were fitted to. Eps matters once gradients fall "
        "below it, which happens abruptly at some size: beyond the sizes tried, its effect may be "
        "larger.",
        f"Sizes that did not reach a loss within the training steps are left out"
        f"{' in both arms' if both else ''}, and counted. Where they are the largest ones, the "
        "exponent understates the slow-down.",
        _loss_caveat(settings),
        "The intervals cover seeds. They do not cover the initialization, the task's timing or "
        "the batch size.",
        "Every size is compared at the same learning rate, as in the paper. How large networks "
        "learn at their own best rate is another question.",
        f"Training losses are averaged over {window} steps, or over a quarter of the steps taken "
        "where that is fewer, and assigned to the middle of the window.",
    ]


def _curve_section(dataset: xr.Dataset, arms: str, window: int) -> Section:
    picture = Picture(
        rescaling_curves(dataset, arms=arms, window=window),
        "rescaling_curves",
        f"Training loss (moving average over {window} steps): mean over seeds and their range, up "
        f"to the step at which a seed stopped. Dashed: {SOLVED_LOSS:g}. (Paper: Fig. 4.)",
    )
    return Section("Learning curves", "", (), (picture,))


def _slowdown_section(dataset: xr.Dataset, fit: xr.Dataset, arms: str) -> Section:
    text = (
        "With weights divided by N, the gradients of the raw recurrent weights shrink as 1/N² and, "
        "near N = 1000, fall to the eps (PyTorch's: 10⁻⁸) that Adam adds to its denominator: its "
        "steps then shrink, whatever the network could learn. "
    )
    both = len(present_arms(fit, arms)) > 1
    if both:
        text += (
            "The two arms differ in eps alone: it is fixed in the first and shrinks with the "
            "gradients in the second; a structural slow-down must appear there too."
        )
    else:
        text += "Eps is fixed here, so that a slow-down may be that of eps or a structural one."
    picture = Picture(
        slowdown_figure(dataset, arms=arms, fit=fit),
        "slowdown",
        "Steps to a training loss against size. Open marks: half of the seeds reached it; dots: "
        "every run that did. Lines: power laws over the sizes that reached it"
        + (" in both arms." if both else "."),
    )
    table = _slowdown_table(fit, arms)
    return Section("Steps to a loss", f"{text}\n\n{_agreement(fit, arms)}", (table,), (picture,))


def rescaling_page(
    dataset: xr.Dataset,
    provenance: Provenance,
    *,
    pending: bool = False,
    arms: str = "eps_scaling",
    targets: Sequence[float] | None = None,
    window: int = 50,
    resampling: Resampling = Resampling(),
) -> Page:
    """The page on rescaled networks: whether the slow-down is structural or due to Adam's eps.

    Args:
        dataset: results of the sweep, with the arm `torch`, or also `scaled` with the same seeds.
        provenance: how they were computed.
        pending: whether the sweep is still running.
        arms: dimension of the arms.
        targets: training losses to reach (by default those of `slowdown`).
        window: steps over which training losses are averaged.
        resampling: settings of the intervals.

    Raises `ValueError` for missing variables, dimensions or arms.
    """
    require(dataset, variables=["final_loss", "accuracy_decision", "steps_taken", "status"])
    dataset = dataset.sortby(["hidden", "learning_rate"])
    fit = slowdown(dataset, targets=targets, arms=arms, window=window, resampling=resampling)
    answers = _answers(fit, arms)
    ratios = loss_ratio(dataset, window=window, resampling=resampling)
    sections = (
        _curve_section(dataset, arms, window),
        _slowdown_section(dataset, fit, arms),
        Section("The same number of steps", "", (_ratio_table(ratios, arms),)),
        Section(
            "Paper versus here",
            "",
            (
                _claims_table(dataset, answers, arms, window),
                setup_table(RESCALING_SETUP, _ours(dataset, arms)),
            ),
        ),
    )
    lead = _lead(answers) if bool(finished(dataset).any()) else ""
    return sweep_page(
        "Weights divided by N", lead, sections, dataset, provenance,
        subtitle=f"After “{COLLAPSE_PAPER}”, section 3.3",
        caveats=_caveats(window, provenance.settings, both=len(present_arms(dataset, arms)) > 1),
        partial=pending or incomplete(dataset),
    )  # fmt: skip
