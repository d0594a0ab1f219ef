"""Settings of networks with weights divided by N: are larger networks slower, and why?"""

from rnnjax.studies.settings import REDUCTIONS, Preset, Setting, Settings, task_options

__all__ = ["SETTINGS"]

_TABLE = {
    "hidden": Setting((125, 250, 500, 1000, 2000), "network sizes"),
    "learning_rates": Setting((0.01, 0.1, 1.0), "learning rates"),
    "seeds": Setting(3, "networks per condition, seeds 0 .. seeds-1"),
    "eps_scalings": Setting(
        ("torch", "scaled"),
        "Adam's epsilon: torch (the same for every weight) and scaled (by N, as the gradients "
        "are), or torch alone",
        choices=("torch", "scaled"),
    ),
    "inits": Setting(
        ("gaussian",),
        "weights before the division by N: gaussian, N(0, 1), or uniform, as PyTorch's nn.Linear",
        choices=("gaussian", "uniform"),
    ),
    "alpha": Setting(0.5, "time step over time constant, dt / tau"),
    "bias": Setting(False, "whether networks have biases"),
    "epochs": Setting(250, "training steps"),
    "batch": Setting(16, "trials per step"),
    "reduction": Setting("mean", "mean or sum of squared errors over outputs", choices=REDUCTIONS),
    "eps": Setting(1e-8, "Adam's epsilon"),
    "evaluation_trials": Setting(50, "held-out trials on which networks are evaluated"),
    "flip_flop": task_options(bits=3, p=0.05, steps=40),
    "keep_parameters": Setting(False, "whether to save the trained weights as well"),
}

_PAPER = {
    "hidden": (500, 1000, 3000, 5000), "seeds": 5, "epochs": 2000, "batch": 50,
    "eps_scalings": ("torch",), "flip_flop.steps": 100,
}  # fmt: skip
"""Fig. 4 and Table 3."""

SETTINGS = Settings(
    _TABLE,
    {
        "smoke": Preset(
            "checks the installation",
            "seconds",
            {
                "hidden": (16, 32), "seeds": 2, "epochs": 60, "batch": 10, "evaluation_trials": 20,
                "flip_flop.steps": 15,
            },
        ),
        "laptop": Preset(
            "weights W/N: do larger networks learn more slowly, and is it Adam's epsilon? "
            "N = 125..2000",
            "26 min",
            shared=True,
        ),
        "paper": Preset(
            "the collapse paper's 60 networks: N = 500..5000, 2,000 steps, 5 seeds",
            "needs an accelerator",
            _PAPER,
        ),
        "arms": Preset(
            "the same with both of Adam's epsilons and two kinds of initial weights",
            "needs an accelerator",
            {
                **_PAPER, "eps_scalings": ("torch", "scaled"), "inits": ("gaussian", "uniform")
            },
        ),
    },
)  # fmt: skip
