"""Settings of width transfer: under which width rule does one learning rate suit every width?"""

from collections.abc import Mapping
from typing import Any

from rnnjax.spacing import log_rates
from rnnjax.studies.settings import REDUCTIONS, Preset, Setting, Settings, Table, task_options

__all__ = ["SETTINGS"]


_RATES: dict[str, tuple[float, float]] = {
    "standard": (5e-4, 0.6),
    "inverse_width": (0.03, 2.0),
    "mup": (0.03, 2.0),
    "latent": (3e-3, 10.0),
    "gru": (1e-3, 1.0),
    "lstm": (0.0015, 3.0),
    "mgu": (0.003, 1.0),
    "lru": (0.0005, 4.0),
    "attention": (0.002, 0.4),
    "gru_mup": (0.03, 4.0),
    "lstm_mup": (0.05, 4.0),
    "mgu_mup": (0.03, 4.0),
    "lru_mup": (0.01, 6.0),
    "attention_mup": (0.03, 10.0),
    "dale": (5e-4, 2.0),
    "sparse": (5e-4, 2.0),
    "blocks": (5e-4, 2.0),
    "orthogonal": (5e-4, 2.0),
    "antisymmetric": (5e-4, 2.0),
    "low_rank_plus_random": (5e-4, 2.0),
}
"""Lowest and highest rate of each rule, which contain its best and its critical rate."""

_WIDEST = {"gru": 256, "gru_mup": 256, "lstm": 256, "lstm_mup": 256}
"""Largest width of rules that cost several times as much as the others."""


def _by_rule(meaning: str, values: Mapping[str, Any]) -> dict[str, Setting]:
    return {rule: Setting(value, f"{meaning}, {rule}") for rule, value in values.items()}


_TABLE: Table = {
    "task": Setting(
        "delayed_cue", "task: flip_flop, delayed_cue or delayed_match"
    ),
    "optimizer": Setting("adam", "adam or sgd", choices=("adam", "sgd")),
    "rules": Setting(
        ("standard", "inverse_width", "mup", "latent", "gru"), "width rules", choices=tuple(_RATES)
    ),
    "hidden": Setting((32, 64, 128, 256, 512), "network sizes"),
    "learning_rates": Setting(log_rates(1e-4, 10, 4), "learning rates"),
    "seeds": Setting(6, "networks per condition, seeds 0 .. seeds-1"),
    "lowest": _by_rule("lowest rate", {rule: low for rule, (low, _) in _RATES.items()}),
    "highest": _by_rule("highest rate", {rule: high for rule, (_, high) in _RATES.items()}),
    "widest": _by_rule("largest width", {rule: _WIDEST.get(rule, 10**6) for rule in _RATES}),
    "arm": Setting(
        "xavier",
        "initial weights of rate networks and structures under the standard rule: xavier, uniform "
        "or gaussian; other cells have xavier",
        choices=("xavier", "uniform", "gaussian"),
    ),
    "bias": Setting(True, "whether rate networks have biases; other recurrences always have"),
    "rank": Setting(1, "latent variables of the latent network, K"),
    "eps_scaling": Setting(
        "scaled", "Adam's epsilon under the 1/N rules: scaled, as the gradients are, or torch",
        choices=("torch", "scaled"),
    ),
    "alpha": Setting(0.5, "time step over time constant of rate networks, dt / tau"),
    "epochs": Setting(300, "training steps"),
    "batch": Setting(50, "trials per step"),
    "reduction": Setting(
        "mean", "mean or sum of squared errors over outputs", choices=REDUCTIONS
    ),
    "eps": Setting(1e-8, "Adam's epsilon"),
    "evaluation_trials": Setting(200, "held-out trials on which networks are evaluated"),
    "level": Setting(0.5, "share of seeds that must learn at a trainable rate"),
    "keep_parameters": Setting(False, "whether to save the trained weights as well"),
    "coordinates": {
        "widths": Setting((256, 512, 1024, 2048), "widths of the coordinate check"),
        "seeds": Setting(8, "networks of the coordinate check"),
        "steps": Setting(4, "training steps of the coordinate check"),
        "learning_rate": Setting(3e-3, "learning rate of the coordinate check"),
    },
    # A delay of 10 steps, half of that of the collapse. With 20, weights of order 1/N forget the
    # cue before learning begins, and no rate trains them in a few hundred steps.
    "delayed_cue": task_options(cue=4, delay=10, response=6),
    "delayed_match": task_options(cue=4, delay=10, response=6),
    "flip_flop": task_options(bits=3, p=0.05, steps=100),
}  # fmt: skip

SETTINGS = Settings(
    _TABLE,
    {
        "smoke": Preset(
            "checks the installation",
            "seconds",
            {
                "hidden": (8, 16), "seeds": 2, "epochs": 30, "evaluation_trials": 50,
                "rules": ("standard", "latent"), "learning_rates": log_rates(1e-2, 1, 1),
                "coordinates.widths": (16, 32), "coordinates.seeds": 2, "coordinates.steps": 2,
            },
        ),
        "laptop": Preset(
            "loss against rate and width for five rules, N = 32..512", "45 min", shared=True
        ),
        "recurrences": Preset(
            "gated units, a linear recurrence and linear attention, standard and muP, N = 16..128",
            "29 min",
            {
                "rules": tuple(
                    f"{cell}{rule}"
                    for cell in ("gru", "lstm", "mgu", "lru", "attention")
                    for rule in ("", "_mup")
                ),
                "hidden": (16, 32, 64, 128), "seeds": 4,
                "coordinates.widths": (128, 256, 512, 1024), "coordinates.seeds": 4,
            },
        ),
        "structures": Preset(
            "the standard rule with structures of the recurrent weights, N = 32..256",
            "17 min",
            {
                "rules": (
                    "standard", "dale", "sparse", "blocks", "orthogonal", "antisymmetric",
                    "low_rank_plus_random",
                ),
                "hidden": (32, 64, 128, 256), "seeds": 4,
                "coordinates.widths": (64, 128, 256, 512), "coordinates.seeds": 4,
            },
        ),
        "paper": Preset(
            "N = 128..4096, 5,000 steps, 10 seeds",
            "needs an accelerator",
            {
                "hidden": (128, 256, 512, 1024, 2048, 4096), "seeds": 10, "epochs": 5000,
                "learning_rates": log_rates(1e-5, 10),
                "lowest.standard": 1e-5, "lowest.inverse_width": 1e-3, "lowest.mup": 1e-3,
                "lowest.latent": 1e-3, "lowest.gru": 1e-5,
                "highest.standard": 1.0, "highest.inverse_width": 10.0, "highest.mup": 10.0,
                "widest.gru": 4096, "coordinates.widths": (256, 512, 1024, 2048, 4096),
            },
        ),
    },
)  # fmt: skip
