"""Settings of training in the latent space: does size matter, and what does it cost?"""

from rnnjax.studies.settings import REDUCTIONS, Preset, Setting, Settings, task_options

__all__ = ["SETTINGS"]

_TABLE = {
    "task": Setting("flip_flop", "task: flip_flop, delayed_cue or delayed_match"),
    "hidden": Setting((1000, 3000, 10_000, 30_000, 100_000), "network sizes"),
    "learning_rates": Setting((0.01, 0.1), "learning rates"),
    "seeds": Setting(3, "networks per condition, seeds 0 .. seeds-1"),
    "rank": Setting(1, "latent variables, K; at least one per bit of the flip-flop"),
    "readout": Setting(
        "rates",
        "what is read out: rates (W_out r, exactly), latent or activation",
        choices=("rates", "latent", "activation"),
    ),
    "eps_scaling": Setting(
        "torch",
        "Adam's epsilon: torch, the same for every weight, or scaled by N",
        choices=("torch", "scaled"),
    ),
    "alpha": Setting(0.5, "time step over time constant, dt / tau"),
    "bias": Setting(False, "whether networks have biases"),
    "epochs": Setting(200, "training steps"),
    "batch": Setting(50, "trials per step"),
    "reduction": Setting("mean", "mean or sum of squared errors over outputs", choices=REDUCTIONS),
    "eps": Setting(1e-8, "Adam's epsilon"),
    "evaluation_trials": Setting(50, "held-out trials on which networks are evaluated"),
    # The cost of one epoch of one network, measured in a separate process that has all devices.
    "cost_hidden": Setting(
        (1000, 3000, 10_000, 30_000, 100_000, 300_000, 1_000_000),
        "network sizes at which an epoch is timed",
    ),
    "cost_repeats": Setting(5, "repeats of the timing"),
    "cost_epochs": Setting(5, "epochs per repeat"),
    "flip_flop": task_options(bits=1, p=0.15, steps=30),
    "delayed_cue": task_options(cue=4, delay=10, response=6),
    "delayed_match": task_options(cue=4, delay=10, response=6),
    "keep_parameters": Setting(False, "whether to save the trained weights as well"),
}

_PAPER_SIZES = (1000, 3000, 5000, 10_000, 30_000, 100_000)
_PAPER = {
    "hidden": _PAPER_SIZES, "cost_hidden": _PAPER_SIZES, "seeds": 5, "epochs": 500,
    "flip_flop.steps": 100, "flip_flop.p": 0.05,
}  # fmt: skip
"""Table 4. The task is not stated."""

SETTINGS = Settings(
    _TABLE,
    {
        "smoke": Preset(
            "checks the installation",
            "seconds",
            {
                "hidden": (50, 200), "seeds": 2, "epochs": 40, "evaluation_trials": 20,
                "cost_hidden": (200,), "cost_repeats": 2, "cost_epochs": 2,
            },
        ),
        "laptop": Preset(
            "latent training, N = 1,000..100,000; cost of an epoch up to N = 1,000,000", "10 min"
        ),
        "paper": Preset(
            "the collapse paper's 60 networks, N = 1,000..100,000, 500 steps, 5 seeds",
            "2 h",
            _PAPER,
        ),
        "million": Preset(
            "two networks of 1,000,000 units with the same settings",
            "needs an accelerator",
            {**_PAPER, "hidden": (1_000_000,), "cost_hidden": (1_000_000,), "seeds": 1},
        ),
    },
)  # fmt: skip
