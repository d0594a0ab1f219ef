"""Settings of width transfer: under which width rule does one learning rate suit every width?"""

from typing import Any

from ml_collections import ConfigDict

from rnnjax.spacing import log_rates
from rnnjax.validate import one_of

PRESETS = ("smoke", "laptop", "paper")


def get_config(preset: str = "laptop") -> ConfigDict:
    """Settings of a preset; the others change those of `laptop`."""
    one_of("preset", preset, PRESETS)
    config: Any = _laptop()
    if preset == "smoke":
        config.update(hidden=(8, 16), seeds=2, epochs=30, evaluation_trials=50)
        config.update(rules=("standard", "latent"), learning_rates=log_rates(1e-2, 1, 1))
        config.coordinates.update(widths=(16, 32), seeds=2, steps=2)
    elif preset == "paper":
        config.update(hidden=(128, 256, 512, 1024, 2048, 4096), seeds=10, epochs=5000)
        config.update(learning_rates=log_rates(1e-5, 10))
        config.lowest.update(standard=1e-5, inverse_width=1e-3, mup=1e-3, latent=1e-3, gru=1e-5)
        config.highest.update(standard=1.0, inverse_width=10.0, mup=10.0)
        config.widest.gru = 4096
        config.coordinates.widths = (256, 512, 1024, 2048, 4096)
    return config


def _laptop() -> ConfigDict:
    config = ConfigDict()
    config.task = "delayed_cue"
    config.optimizer = "adam"
    config.rules = ("standard", "inverse_width", "mup", "latent", "gru")
    config.hidden = (32, 64, 128, 256, 512)
    config.learning_rates = log_rates(1e-4, 10, 4)  # quarter decades
    config.seeds = 6  # seeds 0 .. seeds-1

    # Every rule is trained at the rates from its `lowest` to its `highest`, which contain its best
    # and its critical rate, and at widths up to its `widest`: a GRU costs three times as much.
    config.lowest = ConfigDict(
        {"standard": 5e-4, "inverse_width": 0.03, "mup": 0.03, "latent": 3e-3, "gru": 1e-3}
    )
    config.highest = ConfigDict(
        {"standard": 0.6, "inverse_width": 2.0, "mup": 2.0, "latent": 10.0, "gru": 1.0}
    )
    config.widest = ConfigDict(
        {"standard": 10**6, "inverse_width": 10**6, "mup": 10**6, "latent": 10**6, "gru": 256}
    )

    config.arm = "xavier"  # initial weights of the standard rule, as in lr_collapse
    config.bias = True  # whether networks (GRUs always) have biases
    config.rank = 1  # of the latent network
    config.eps_scaling = "scaled"  # Adam's epsilon follows the gradients under the 1/N rules
    config.alpha = 0.5  # dt / tau

    config.epochs = 300  # one epoch is one step
    config.batch = 50
    config.reduction = "mean"  # over outputs
    config.eps = 1e-8  # Adam's
    config.evaluation_trials = 200
    config.level = 0.5  # success density that makes a rate trainable
    config.keep_parameters = False

    # The coordinate check of every rule: the effect of its first training steps.
    config.coordinates = ConfigDict({"widths": (256, 512, 1024, 2048), "seeds": 8, "steps": 4})
    config.coordinates.learning_rate = 3e-3

    # A delay of 10 steps, half of lr_collapse's. With 20, weights of order 1/N forget the cue
    # before learning begins, and no rate trains them in a few hundred steps.
    config.delayed_cue = ConfigDict({"cue": 4, "delay": 10, "response": 6})
    config.delayed_match = ConfigDict({"cue": 4, "delay": 10, "response": 6})
    config.flip_flop = ConfigDict({"bits": 3, "p": 0.05, "steps": 100})
    return config
