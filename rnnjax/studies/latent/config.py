"""Settings of training in the latent space: does size matter, and what does it cost?"""

from typing import Any

from ml_collections import ConfigDict

from rnnjax.validate import one_of

PRESETS = ("smoke", "laptop", "paper")


def get_config(preset: str = "laptop") -> ConfigDict:
    """Settings of a preset; the others change those of `laptop`."""
    one_of("preset", preset, PRESETS)
    config: Any = _laptop()
    if preset == "smoke":
        config.update(hidden=(50, 200), seeds=2, epochs=40, evaluation_trials=20)
        config.update(cost_hidden=(200,), cost_repeats=2, cost_epochs=2)
    elif preset == "paper":
        sizes = (1000, 3000, 5000, 10_000, 30_000, 100_000)
        config.update(hidden=(*sizes, 1_000_000), seeds=5, epochs=500)
        config.flip_flop.update(steps=100, p=0.05)
        config.cost_hidden = (*sizes, 300_000, 1_000_000)
    return config


def _laptop() -> ConfigDict:
    config = ConfigDict()
    config.task = "flip_flop"
    config.hidden = (1000, 3000, 10_000, 30_000, 100_000)
    config.learning_rates = (0.01, 0.1)
    config.seeds = 3  # seeds 0 .. seeds-1

    config.rank = 1  # latent variables, K; at least one per bit of the flip-flop
    config.readout = "rates"  # W_out r, exactly; or latent (C kappa), activation
    config.eps_scaling = "torch"  # Adam's epsilon: 1e-8 for every weight, or scaled by N
    config.alpha = 0.5  # dt / tau
    config.bias = False

    config.epochs = 200  # one epoch is one step
    config.batch = 50
    config.reduction = "mean"  # over outputs
    config.eps = 1e-8  # Adam's
    config.evaluation_trials = 50

    # The cost of one epoch of one network, measured in a separate process that has all devices.
    config.cost_hidden = (1000, 3000, 10_000, 30_000, 100_000, 300_000, 1_000_000)
    config.cost_repeats = 5
    config.cost_epochs = 5  # per repeat

    config.flip_flop = ConfigDict({"bits": 1, "p": 0.15, "steps": 30})
    config.delayed_cue = ConfigDict({"cue": 4, "delay": 10, "response": 6})
    config.delayed_match = ConfigDict({"cue": 4, "delay": 10, "response": 6})

    config.keep_parameters = False  # also write trained weights (orbax)
    return config
