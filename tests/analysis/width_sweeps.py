"""Simulated sweeps over width rules whose best and critical rates follow known power laws."""

from typing import NamedTuple

import numpy as np
import xarray as xr

DIMS = ("cell", "hidden", "learning_rate", "seed")
WIDTHS = (32, 64, 128, 256, 512)
QUARTER_DECADES = 10.0 ** np.arange(-4.5, 0.01, 0.25)
BLIND = 0.19


class Law(NamedTuple):
    """log10 of the best rate at N = 128, and its slope; the critical rate is `room` higher."""

    best: float
    best_slope: float
    room: float = 0.8
    critical_slope: float | None = None
    lowest: float = 0.003
    wander: float = 0.05
    diverges: bool = False


RULES = {
    "standard": Law(-2.0, -0.8, critical_slope=-1.1),
    "inverse_width": Law(-1.6, -0.5, diverges=True),
    "mup_adam": Law(-1.9, 0.0),
    "latent": Law(-1.4, 0.0, lowest=0.02),
}


def losses(rng, law, sizes, rates, seeds, noise):
    """Held-out losses, and whether they are finite, [hidden, learning_rate, seed]."""
    scale = np.log10(np.asarray(sizes) / 128.0)[:, None, None]
    rate = np.log10(rates)[None, :, None]
    shape = (len(sizes), len(rates), seeds)
    own = law.wander * rng.normal(size=(len(sizes), 1, seeds))
    slope = law.best_slope if law.critical_slope is None else law.critical_slope
    away = rate - (law.best + law.best_slope * scale + own)
    failed = rate > law.best + law.room + slope * scale + own
    # As in trained networks, the loss is steeper above the best rate than below it.
    log = (
        np.log(law.lowest) + np.where(away > 0, 5.0, 1.5) * away**2 + noise * rng.normal(size=shape)
    )
    loss = np.where(failed, BLIND * 1.2, np.minimum(np.exp(log), BLIND * 1.05))
    return loss, ~(failed & law.diverges)


def transfer_sweep(
    rules=None, sizes=WIDTHS, rates=QUARTER_DECADES, seeds=6, noise=0.15, random_seed=0
):
    """A sweep of networks under each rule in the format of the engine, without learning curves."""
    rules = RULES if rules is None else rules
    rng = np.random.default_rng(random_seed)
    parts = [losses(rng, law, sizes, rates, seeds, noise) for law in rules.values()]
    loss, finite = (np.stack(part) for part in zip(*parts, strict=True))
    learned = finite & (loss < 0.8 * BLIND)
    runs = {
        "final_loss": np.where(finite, loss, np.nan).astype("f4"),
        "blind_loss": np.full(loss.shape, BLIND, "f4"),
        "accuracy_decision": np.where(learned, 0.99, np.where(finite, 0.5, 0.0)).astype("f4"),
        "steps_taken": np.where(finite, 1000, 20).astype("i4"),
        "status": np.where(finite, 4, 3).astype("i1"),
    }
    return xr.Dataset(
        {name: (DIMS, values) for name, values in runs.items()},
        {
            "cell": list(rules),
            "hidden": list(sizes),
            "learning_rate": rates,
            "seed": np.arange(seeds),
            "step": [1000],
            "criterion": 0.75,
            "task": "delayed_cue",
        },
    )
