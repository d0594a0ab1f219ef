"""Settings of networks with weights divided by N: are larger networks slower, and why?"""

from typing import Any

from ml_collections import ConfigDict

from rnnjax.validate import one_of

PRESETS = ("smoke", "laptop", "paper")


def get_config(preset: str = "laptop") -> ConfigDict:
    """Settings of a preset; the others change those of `laptop`."""
    one_of("preset", preset, PRESETS)
    config: Any = _laptop()
    if preset == "smoke":
        config.update(hidden=(16, 32), seeds=2, epochs=60, batch=10, evaluation_trials=20)
        config.flip_flop.steps = 15
    elif preset == "paper":
        config.update(hidden=(500, 1000, 3000, 5000), seeds=5, epochs=2000, batch=50)
        config.update(inits=("gaussian", "uniform"))
        config.flip_flop.steps = 100
    return config


def _laptop() -> ConfigDict:
    config = ConfigDict()
    config.hidden = (125, 250, 500, 1000, 2000)
    config.learning_rates = (0.01, 0.1, 1.0)
    config.seeds = 3  # seeds 0 .. seeds-1

    # Adam's epsilon: PyTorch's 1e-8 for every weight, or scaled by N as the gradients are.
    config.eps_scalings = ("torch", "scaled")
    config.inits = ("gaussian",)  # N(0, 1) before the division; uniform: as in PyTorch's nn.Linear
    config.alpha = 0.5  # dt / tau
    config.bias = False

    config.epochs = 250  # one epoch is one step
    config.batch = 16
    config.reduction = "mean"  # over outputs
    config.eps = 1e-8
    config.evaluation_trials = 50
    config.flip_flop = ConfigDict({"bits": 3, "p": 0.05, "steps": 40})

    config.keep_parameters = False  # also write trained weights (orbax)
    return config
