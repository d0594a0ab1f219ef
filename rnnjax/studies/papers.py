"""Numbers printed in the papers we reproduce, each with its place. Nothing here is ours."""

from collections.abc import Mapping
from types import MappingProxyType

__all__ = [
    "BEST_RATES",
    "CONDITIONS",
    "DEGENERACY_ARROWS",
    "DEGENERACY_PAPER",
    "EXPONENTS",
    "MEMORY_DEMAND",
    "PAPER",
    "paper_best_rate",
    "paper_exponent",
]

PAPER = "Learning rate collapse prevents training recurrent neural networks at scale"
"""Title of study 1."""

DEGENERACY_PAPER = (
    "Measuring and Controlling Solution Degeneracy across Task-Trained Recurrent Neural Networks"
)
"""Title of study 2."""

DEGENERACY_ARROWS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        factor: MappingProxyType({"dynamics": dynamics, "weights": weights, "behavior": behavior})
        for factor, (dynamics, weights, behavior) in {
            "task_complexity": ("falls", "rises", "falls"),
            "feature_learning": ("falls", "rises", "rises"),
            "network_size": ("falls", "falls", "falls"),
            "regularization": ("falls", "falls", "falls"),
        }.items()
    }
)
"""Table 1 of study 2: how degeneracy at each level moves as a factor grows."""

MEMORY_DEMAND: Mapping[str, int] = MappingProxyType(
    {"flip_flop": 1, "sine_wave": 2, "path_integration": 1, "delayed_discrimination": 25}
)
"""Fig. 9 of study 2: history lengths in steps."""

EXPONENTS: Mapping[tuple[str, str], float] = MappingProxyType(
    {
        ("flip_flop", "adam"): 0.66,
        ("delayed_match", "adam"): 0.99,
        ("delayed_cue", "adam"): 1.34,
        ("flip_flop", "sgd"): 0.46,
        ("delayed_match", "sgd"): 0.66,
        ("delayed_cue", "sgd"): 0.33,
    }
)
"""Caption of Fig. 3: exponents of the critical rate, printed without the sign of the text."""

CONDITIONS: Mapping[str, str] = MappingProxyType(
    {
        "network sizes": "13, from 10 to 10000",
        "learning rates": "5, whole decades from 10⁻⁵ to 0.1",
        "seeds": "10",
        "training steps": "5000 epochs",
        "success": "accuracy > 0.5, the definition of accuracy not stated",
    }
)
"""Fig. 2, Table 2 and the appendix's statistical treatment."""

_SIZES = (100, 177, 316, 562, 1000, 1778, 3162, 5623, 10000)

BEST_RATES: Mapping[tuple[str, str], Mapping[int, float]] = MappingProxyType(
    {
        condition: MappingProxyType(
            {size: 10.0**power for size, power in zip(_SIZES, powers, strict=True)}
        )
        for condition, powers in {
            ("flip_flop", "adam"): (-3, -3, -3, -3, -4, -4, -4, -4, -5),
            ("flip_flop", "sgd"): (-1, -1, -1, -2, -2, -2, -2, -2, -2),
            ("delayed_match", "adam"): (-4, -4, -4, -5, -5, -5, -1, -2, -3),
            ("delayed_match", "sgd"): (-2, -2, -2, -2, -2, -2, -2, -2, -3),
            ("delayed_cue", "adam"): (-3, -4, -4, -4, -5, -5, -5, -5, -5),
            ("delayed_cue", "sgd"): (-1, -1, -1, -2, -2, -2, -2, -2, -2),
        }.items()
    }
)
"""Table 1: best rate by (task, optimizer) and network size."""


def paper_exponent(labels: Mapping[str, object]) -> float | None:
    """The exponent's absolute value printed for a condition's task and optimizer, if any."""
    return EXPONENTS.get((str(labels.get("task")), str(labels.get("optimizer"))))


def paper_best_rate(labels: Mapping[str, object], size: int) -> float | None:
    """Table 1's rate for a size within 1 % of one of its rows (its 177 is our 178), if any."""
    rates = BEST_RATES.get((str(labels.get("task")), str(labels.get("optimizer"))), {})
    near = [rate for row, rate in rates.items() if abs(row / size - 1) < 0.01]
    return near[0] if near else None
