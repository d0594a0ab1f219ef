"""Settings of `rnnjax.analysis.degeneracy`."""

import dataclasses
from typing import Literal, get_args

from rnnjax.validate import finite_positive, fraction, one_of, positive_integer, sequence

__all__ = ["DegeneracyOptions"]

Lag = Literal["held_out", "reconstruction"]
Moving = Literal["rates", "states"]


@dataclasses.dataclass(frozen=True)
class DegeneracyOptions:
    """Settings of `degeneracy`; raises `ValueError` for a number out of range or one twice."""

    stretch: float = 2.0
    """Factor of the out-of-distribution variant of the task."""
    trials: int = 256
    """Trials for the losses."""
    probe_trials: int = 16
    """Trials of the tangent kernel's probe."""
    probe_times: int = 5
    """Time steps of each probe trial."""
    samples: int = 16
    """Trials for the distances between activities; each of their steps is a sample."""
    dsa_trials: int = 64
    """Trials for the dynamical distances."""
    variance: float = 0.99
    """Share of the variance that principal components keep."""
    longest_delay: int = 30
    """Longest delay to try; the shortest is 1."""
    order: int = 60
    """Largest order, components x delays, of an operator."""
    components: tuple[int, ...] = (2, 4, 8, 12, 16, 20)
    """Numbers of principal components in the chart."""
    delays: tuple[int, ...] = (1, 2, 3, 5)
    """Numbers of delays in the chart."""
    lag: Lag = "held_out"
    """Error that chooses the delays of the distance: `held_out`, of trials left out of the fit
    (`dsa.delay_errors`), or `reconstruction`, of the trials of the fit themselves
    (`dsa.reconstruction_errors`)."""
    activity: Moving = "rates"
    """What dynamical distances compare: `rates`, or `states`, which differ for cells whose state is
    a current (`Population.states`)."""

    def __post_init__(self):
        one_of("lag", self.lag, get_args(Lag))
        one_of("activity", self.activity, get_args(Moving))
        finite_positive("stretch", self.stretch)
        fraction("variance", self.variance, open_below=True)
        for name in ("components", "delays"):
            values = sequence(name, getattr(self, name))
            if not values:
                raise ValueError(f"{name}: expected at least one number, got none")
            twice = next((value for value in values if values.count(value) > 1), None)
            if twice is not None:
                raise ValueError(f"{name}: expected each number once, got {twice} twice")
            object.__setattr__(self, name, values)
        for field in dataclasses.fields(self):
            if field.name not in ("stretch", "variance", "lag", "activity"):
                value = getattr(self, field.name)
                for number in value if isinstance(value, tuple) else (value,):
                    positive_integer(field.name, number)
