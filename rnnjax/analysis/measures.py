"""The table of measures by which conditions are compared, one entry each.

An entry of `rnnjax.metrics.METRICS` is a measure; the table below adds those that
`rnnjax.analysis.degeneracy` derives from the same solves, and the measures of single networks.
"""

from typing import NamedTuple

from rnnjax.analysis.trends import Statistic
from rnnjax.metrics import METRICS
from rnnjax.metrics.base import Level

__all__ = ["MEASURES", "Measure", "measures_at"]


class Measure(NamedTuple):
    """One number per condition: a statistic of a variable of `degeneracy`'s dataset."""

    level: Level
    """Level of comparison, or `features` for measures of single networks."""
    statistic: Statistic
    """Reduction of the variable to one number per condition."""
    variable: str
    """Name in the dataset; of a chart over components and delays the mean over its places is used,
    in a comparison over those that all conditions have."""
    title: str
    """Label in tables and figures."""
    direction: int = 1
    """1 where larger values mean more degeneracy, or stronger feature learning; -1 where smaller
    values do; 0 where neither do."""
    unit: str = ""
    """Unit of the values; empty for a pure number."""

    @property
    def label(self) -> str:
        """The title with the unit, for an axis."""
        return f"{self.title} ({self.unit})" if self.unit else self.title


_DERIVED = {
    "dsa_raw": Measure("dynamics", "pairs", "dsa_raw", "DSA, raw"),
    "dsa_chord": Measure("dynamics", "pairs", "dsa_chord", "DSA, chord"),
    "dsa_lower_bound": Measure(
        "dynamics", "pairs", "dsa_lower_bound", "DSA, lower bound", unit="radians"
    ),
    "dsa_chart": Measure(
        "dynamics", "pairs", "dsa_chart", "DSA, mean over the chart", unit="radians"
    ),
    "eigenvalues": Measure("dynamics", "pairs", "eigenvalues", "eigenvalue distance"),
    "pif_per_parameter": Measure("weights", "pairs", "pif_per_parameter", "PIF per parameter"),
    "pif_relative": Measure("weights", "pairs", "pif_relative", "PIF over mean norm"),
    "pif_untrained": Measure("weights", "pairs", "pif_untrained", "PIF over norm, untrained"),
    "pif_gain": Measure("weights", "pairs", "pif_gain", "PIF over norm, less untrained"),
    "pif_lower_bound": Measure("weights", "pairs", "pif_lower_bound", "PIF, lower bound"),
    "ood_spread": Measure("behavior", "spread", "ood_loss", "sd of stretched loss"),
    "ood_mean": Measure("behavior", "mean", "ood_loss", "mean stretched loss"),
    "excess_spread": Measure("behavior", "spread", "ood_excess", "sd of stretched less own loss"),
    "loss_spread": Measure("behavior", "spread", "loss", "sd of own loss"),
    "loss": Measure("behavior", "mean", "loss", "mean loss", 0),
    "weight_change": Measure("features", "mean", "weight_change", "weight change"),
    "kernel_alignment": Measure("features", "mean", "kernel_alignment", "kernel alignment", -1),
    "recurrent_kernel_alignment": Measure(
        "features", "mean", "recurrent_kernel_alignment", "kernel alignment, recurrent", -1
    ),
    "representation_alignment": Measure(
        "features", "mean", "representation_alignment", "representation alignment", -1
    ),
    "effective_rank": Measure("features", "mean", "effective_rank", "effective rank", 0),
    "near_zero_share": Measure(
        "features", "mean", "near_zero_share", "share of near-zero weights", 0
    ),
    "held_out_loss": Measure("features", "mean", "held_out_loss", "held-out loss", 0),
}

MEASURES: dict[str, Measure] = {
    **{m.name: Measure(m.level, "pairs", m.name, m.title, unit=m.unit) for m in METRICS.values()},
    **_DERIVED,
}
"""Every measure by name."""


def measures_at(level: Level) -> tuple[str, ...]:
    """Names of the measures of a level, in the order of the table."""
    return tuple(name for name, measure in MEASURES.items() if measure.level == level)
