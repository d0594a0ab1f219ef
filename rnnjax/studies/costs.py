"""Costs of a study before it runs, as `--dry_run` prints them."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

import rnnjax
from rnnjax.devices import Layout, default_layout
from rnnjax.sweep import cost, plan
from rnnjax.training import Setup

__all__ = ["SECONDS_TO_COMPILE", "CostModel", "cost_text", "text_table"]

SECONDS_TO_COMPILE = 4  # one program, on a laptop's core


class CostModel(NamedTuple):
    """Devices of this process and their measured speed, from which `--dry_run` estimates costs."""

    layout: Layout
    machine: cost.Machine

    @classmethod
    def measure(cls) -> "CostModel":
        """The model of all devices; timing them takes well under a second."""
        layout = default_layout()
        return cls(layout, cost.measure_machine(layout))

    def step_seconds(self, setup: Setup, runs: int) -> float:
        """Estimated seconds of one training step of each of `runs` runs."""
        return cost.step_seconds(setup, runs, self.layout, self.machine)

    def block_bytes(self, setup: Setup, runs: int, keep_parameters: bool) -> int:
        """Estimated memory of a block of `runs` runs, whose weights may be kept."""
        kept = cost.kept_copies(setup.recipe, keep_parameters, keep_state=False)
        return cost.block_bytes(setup, runs, self.layout, kept)

    @property
    def devices(self) -> str:
        """`2 cpu device(s) of 400 GFLOP/s together; estimated times are accurate to ...`."""
        return (
            f"{len(self.layout.devices)} {self.layout.devices[0].platform} device(s) of "
            f"{self.machine.flops / 1e9:,.0f} GFLOP/s together; estimated times are "
            "accurate to a factor of 2"
        )


def text_table(rows: Sequence[Sequence[str]]) -> str:
    """Rows in columns as wide as their longest cell; the first column is flush left."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for first, *rest in rows:
        cells = [cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True)]
        lines.append("  ".join([first.ljust(widths[0]), *cells]))
    return "\n".join(lines)


def _label(sweep: rnnjax.Sweep, place: Sequence[int]) -> str:
    """The labels on the sweep's static axes other than the width."""
    axes = zip(sweep.static_axes, place, strict=False)
    return " ".join(str(axis.labels[i]) for axis, i in axes if axis.name != "hidden")


class _Part(NamedTuple):
    """Cost of one or several blocks."""

    label: str
    hidden: int
    networks: int
    blocks: int
    minutes: float
    megabytes: float
    """Of the largest block: one is trained at a time."""

    def joined(self, other: "_Part") -> "_Part":
        return self._replace(
            networks=self.networks + other.networks,
            blocks=self.blocks + other.blocks,
            minutes=self.minutes + other.minutes,
            megabytes=max(self.megabytes, other.megabytes),
        )


_MOST_ROWS = 36
"""Rows of a table of costs, above which conditions of one size are added up."""


def _cost_rows(parts: Sequence[_Part]) -> list[tuple[str, ...]]:
    """A row per condition and size; of many, a row per size."""
    found = _added_up(parts)
    if len(found) > _MOST_ROWS:
        found = _added_up(part._replace(label="all conditions") for part in parts)
    rows = [("", "N", "networks", "blocks", "minutes", "MB")]
    for part in found:
        numbers = f"{part.networks:,}", f"{part.blocks:,}", f"{part.minutes:,.2f}"
        rows.append((part.label, f"{part.hidden}", *numbers, f"{part.megabytes:.0f}"))
    return rows


def _added_up(parts: Iterable[_Part]) -> list[_Part]:
    """One part for each label and size, in order."""
    found: dict[tuple[str, int], _Part] = {}
    for part in parts:
        key = part.label, part.hidden
        found[key] = found[key].joined(part) if key in found else part
    return list(found.values())


def cost_text(
    sweep: rnnjax.Sweep,
    *,
    wanted: np.ndarray | None = None,
    bisect: bool = False,
    keep_parameters: bool = False,
) -> str:
    """Networks, programs, and estimated time and memory of a sweep, as `--dry_run` prints them."""
    if wanted is not None and not wanted.any():
        return "Nothing to train: the folder has all networks."
    model = CostModel.measure()
    blocks = plan(sweep, model.layout, rnnjax.Engine(), wanted, keep_parameters)
    # A bisection trains about eight of the rates on its grid.
    share = min(1.0, 8 / len(sweep.axis("learning_rate").values)) if bisect else 1.0
    parts, minutes, networks = [], 0.0, 0
    for block in blocks:
        setup, runs = block.setup, round(block.runs * share)
        took = model.step_seconds(setup, runs) * setup.recipe.steps / 60
        minutes, networks = minutes + took, networks + runs
        label = _label(sweep, block.cells[0]) or setup.task.name
        memory = model.block_bytes(setup, block.size, keep_parameters) / 1e6
        parts.append(_Part(label, setup.cell.hidden, runs, 1, took, memory))
    programs = {(block.setup, block.size) for block in blocks}
    compiling = len(programs) * SECONDS_TO_COMPILE / 60
    lines = [
        text_table(_cost_rows(parts)),
        f"{networks:,} networks x {blocks[0].setup.recipe.steps:,} steps in {len(programs)} "
        f"programs: about {minutes + compiling:.1f} minutes, {compiling:.1f} of them compiling, on "
        f"{model.devices}",
    ]
    if any(block.setup.recipe.stop == "threshold" for block in blocks):
        lines.append("This is an upper bound: networks stop at their threshold.")
    if bisect:
        lines.append("A bisection chooses its rates as it runs; 8 rates per condition are counted.")
    return "\n".join(lines)
