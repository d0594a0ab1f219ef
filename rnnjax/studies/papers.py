"""The two papers whose results are reproduced: citations, and printed numbers with their places.

- Collapse paper: "Learning rate collapse prevents training recurrent neural networks at scale".
- Degeneracy paper: Huang, Singh, Martinelli and Rajan, "Measuring and Controlling Solution
  Degeneracy across Task-Trained Recurrent Neural Networks".

Nothing here is measured by us.
"""

from collections.abc import Mapping
from types import MappingProxyType

__all__ = [
    "COLLAPSE_BEST_RATES",
    "COLLAPSE_EXPONENTS",
    "COLLAPSE_PAPER",
    "COLLAPSE_SETUP",
    "COLLAPSE_WIDTHS",
    "DEGENERACY_ARROWS",
    "DEGENERACY_PAPER",
    "LATENT_CLAIMS",
    "LATENT_EPOCHS",
    "LATENT_EPOCH_SECONDS",
    "LATENT_LARGEST",
    "LATENT_SETUP",
    "MEMORY_DEMAND",
    "RESCALING_OUTCOMES",
    "RESCALING_SETUP",
    "RESCALING_SLOWDOWN",
    "SOLVED_ACCURACY",
    "SOLVED_LOSS",
    "paper_best_rate",
    "paper_exponent",
]

COLLAPSE_PAPER = "Learning rate collapse prevents training recurrent neural networks at scale"
"""Title of the collapse paper."""

DEGENERACY_PAPER = (
    "Measuring and Controlling Solution Degeneracy across Task-Trained Recurrent Neural Networks"
)
"""Title of the degeneracy paper."""

# Collapse paper: the critical and the best learning rate against width.

COLLAPSE_EXPONENTS: Mapping[tuple[str, str], float] = MappingProxyType(
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

COLLAPSE_WIDTHS = (10, 17, 31, 56, 100, 177, 316, 562, 1000, 1778, 3162, 5623, 10000)
"""Fig. 2 and Table 2: network sizes."""

COLLAPSE_SETUP: Mapping[str, str] = MappingProxyType(
    {
        "network sizes": "13, from 10 to 10000",
        "learning rates": "5, whole decades from 10⁻⁵ to 0.1",
        "seeds": "10",
        "training steps": "5000 epochs",
        "success": "accuracy > 0.5, the definition of accuracy not stated",
    }
)
"""Fig. 2, Table 2 and the appendix's statistical treatment."""

COLLAPSE_BEST_RATES: Mapping[tuple[str, str], Mapping[int, float]] = MappingProxyType(
    {
        condition: MappingProxyType(
            {size: 10.0**power for size, power in zip(COLLAPSE_WIDTHS[4:], powers, strict=True)}
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
"""Table 1: best rate by (task, optimizer) and network size, from 100 on."""

# Collapse paper: weights divided by N.

RESCALING_SETUP: Mapping[str, str] = MappingProxyType(
    {
        "task": "3-bit flip-flop",
        "network sizes": "500, 1000, 3000, 5000",
        "learning rates": "0.01, 0.1, 1",
        "seeds": "5",
        "training steps": "2000 epochs",
        "eps of Adam": "PyTorch's default, 10⁻⁸",
    }
)
"""Table 3 and the text (section 3.3)."""

RESCALING_OUTCOMES: Mapping[float, str] = MappingProxyType(
    {0.01: "trains", 0.1: "trains", 1.0: "fails at every size"}
)
"""Fig. 4: whether networks train, by learning rate."""

RESCALING_SLOWDOWN: Mapping[str, str] = MappingProxyType(
    {"torch": "yes, “a structural limitation”", "scaled": "not tried"}
)
"""Fig. 4 and section 3.3: whether larger networks learn more slowly, by Adam's eps."""

SOLVED_LOSS = 0.06
"""Fig. 4 and section 3.3: training loss at which networks solve the 3-bit flip-flop."""

SOLVED_ACCURACY = "above 90%"
"""Fig. 4 and section 3.3: accuracy at `SOLVED_LOSS`."""

# Collapse paper: training in the latent space.

LATENT_SETUP: Mapping[str, str] = MappingProxyType(
    {
        "network": "“a rank-one RNN” (appendix A)",
        "task": "not stated",
        "network sizes": "1000, 3000, 5000, 10000, 30000, 100000",
        "learning rates": "0.01, 0.1",
        "seeds": "5",
        "training steps": "500 epochs",
    }
)
"""Table 4 and the text (section 3.4, appendix A)."""

LATENT_EPOCHS, LATENT_LARGEST = 500, 100_000
"""Table 4: training epochs, and the largest network."""

LATENT_EPOCH_SECONDS = 0.25
"""Caption of Fig. 5: seconds per epoch of most networks."""

LATENT_CLAIMS: Mapping[str, str] = MappingProxyType(
    {
        "learning curves of all sizes": "“nearly identical”",
        "time per epoch": "about 250 ms; more at N = 100000",
        "training at N = 100000": "“within about a minute”, of the order of 100 epochs",
    }
)
"""Fig. 5 and section 3.4."""

# Degeneracy paper.

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
"""Table 1: how degeneracy in each aspect moves as a factor grows."""

MEMORY_DEMAND: Mapping[str, int] = MappingProxyType(
    {"flip_flop": 1, "sine_wave": 2, "path_integration": 1, "delayed_discrimination": 25}
)
"""Fig. 9: history lengths in steps."""


def paper_exponent(labels: Mapping[str, object]) -> float | None:
    """The absolute exponent printed for a condition's task and optimizer, if any."""
    return COLLAPSE_EXPONENTS.get((str(labels.get("task")), str(labels.get("optimizer"))))


def paper_best_rate(labels: Mapping[str, object], size: int) -> float | None:
    """The rate of Table 1 for a size within 1% of one of its rows (its 177 is our 178), if any."""
    condition = (str(labels.get("task")), str(labels.get("optimizer")))
    rates = COLLAPSE_BEST_RATES.get(condition, {})
    near = [rate for row, rate in rates.items() if abs(row / size - 1) < 0.01]
    return near[0] if near else None
