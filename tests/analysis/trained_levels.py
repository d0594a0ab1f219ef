"""Made-up measures of populations along a setting, as the population study joins them."""

import numpy as np
import xarray as xr

from rnnjax.training import Status

MEASURES = (
    "epochs", "loss", "ood_loss", "ood_excess", "held_out_loss", "weight_change",
    "relative_weight_change", "kernel_alignment", "near_zero_share", "effective_rank",
    "recurrent_kernel_alignment",
)  # fmt: skip


def made(settings, task="flip_flop", hidden=8, seeds=4, slope=0.5, missed=0):
    """Conditions with `settings` (dicts of gamma, l1, nuclear).

    Measure k of `MEASURES` is k + 1 plus `slope` per condition, plus a little noise; kernel
    alignment falls, by a tenth of that. The first `missed` seeds of the last condition are
    exhausted.
    """
    rng, count = np.random.default_rng(0), len(settings)
    rise = slope * np.arange(count)[:, None] + 0.01 * rng.normal(size=(count, seeds))
    dims = ("condition", "seed")
    values = {name: (dims, k + 1 + rise, {}) for k, name in enumerate(MEASURES)}
    values["kernel_alignment"] = (dims, 1 - rise / 10, {})
    values["near_zero_share"][2]["bound"] = "below 0.2/√N"
    status = np.full((count, seeds), int(Status.CONVERGED))
    status[-1, :missed] = int(Status.EXHAUSTED)
    values["status"] = (("condition", "seed"), status)
    curves = np.broadcast_to(np.geomspace(1, 0.01, 6), (count, seeds, 6)).copy()
    curves[..., 5] = np.nan
    values["held_out"] = (("condition", "seed", "epoch"), curves)
    labels = {"gamma": 1.0, "l1": 0.0, "nuclear": 0.0}
    coords = {
        name: ("condition", [chosen.get(name, default) for chosen in settings])
        for name, default in labels.items()
    }
    coords |= {"task": ("condition", [task] * count), "hidden": ("condition", [hidden] * count)}
    coords |= {"threshold": ("condition", [0.02] * count), "seed": np.arange(seeds)}
    coords["patience"] = ("condition", [5] * count)
    return xr.Dataset(values, {**coords, "epoch": np.arange(1, 7)})
