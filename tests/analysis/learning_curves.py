"""Simulated learning curves whose steps to any loss grow with width by known exponents."""

import numpy as np
import xarray as xr

from rnnjax.sweep.results import recorded_steps, thinned

SIZES = (500, 1000, 3000, 5000)
RATES = (0.01, 0.1, 1.0)
FLAGS = {
    "flag_values": [0, 1, 2, 3, 4],
    "flag_meanings": "PENDING RUNNING CONVERGED DIVERGED EXHAUSTED",
}
START = 0.9
FINISHED, DIVERGED = 4, 3


def decay(steps, scale):
    """A loss that falls from `START` to 0; a function of `steps / scale` alone."""
    return START / (1 + steps / scale) ** 2


def planted(slopes, *, sizes=SIZES, rates=RATES, seeds=5, total=2000, points=500, noise=0.1,
            jitter=0.02, arms="eps_scaling", failing=(1.0,), first=20.0, seed=0):  # fmt: skip
    """Runs of every arm in `slopes`, a mapping arm -> exponent of steps against width.

    The arms share the noise of a seed (standard deviation `noise`), up to `jitter`. At rates in
    `failing` no run learns, and odd seeds diverge halfway.
    """
    rng = np.random.default_rng(seed)
    shape = (len(slopes), len(sizes), len(rates), seeds)
    shift = rng.normal(0, noise, shape[1:]) + rng.normal(0, jitter, shape)
    grow = np.array(list(slopes.values()))[:, None] * np.log(np.asarray(sizes) / sizes[0])
    slow = np.log(np.asarray(rates) / max(rates)) * -0.5
    scale = first * np.exp(grow[:, :, None, None] + slow[:, None] + shift)
    every = np.arange(1, total + 1)
    losses = decay(every, scale[..., None]) * np.exp(rng.normal(0, 0.05, (*shape, total)))
    status = np.full(shape, FINISHED, "i1")
    for rate in np.flatnonzero(np.isin(rates, failing)):
        losses[:, :, rate] = START * np.exp(rng.normal(0, 0.05, losses[:, :, rate].shape))
        losses[:, :, rate, 1::2, total // 2 :] = np.nan
        status[:, :, rate, 1::2] = DIVERGED
    steps = recorded_steps(total, points)
    flat = thinned(losses.reshape(-1, total), steps)
    return _dataset(flat.reshape(*shape, -1), status, steps, {
        arms: list(slopes), "hidden": list(sizes), "learning_rate": list(rates),
        "seed": np.arange(seeds), "step": steps,
    })  # fmt: skip


def _dataset(loss, status, steps, coords):
    *names, _ = coords
    gone = status == DIVERGED
    final = np.where(gone, np.nan, loss[..., -1])
    learned = final < 0.1
    accuracy = np.where(gone, 0, np.where(learned, 0.97, 0.5))
    runs = {
        "final_loss": final,
        "blind_loss": np.full(final.shape, START),
        "accuracy_decision": accuracy,
        "accuracy_matching": accuracy,
        "accuracy_pearson": np.where(learned, 0.95, 0.1) * ~gone,
        "steps_to_criterion": np.where(learned, 100, np.nan),
        "seconds": np.full(final.shape, 0.5),
    }
    taken = np.where(gone, steps[-1] // 2, steps[-1])
    return xr.Dataset(
        {
            **{name: (names, values.astype("f4")) for name, values in runs.items()},
            "steps_taken": (names, taken.astype("i4")),
            "status": (names, status, FLAGS),
            "loss": ([*names, "step"], loss.astype("f4")),
        },
        {**coords, "criterion": 0.9},
    )


def latent(slope=0.0, *, sizes=(1000, 3000, 10000, 100000), tasks=("flip_flop", "delayed_cue"),
           **options):  # fmt: skip
    """Runs without arms, at two learning rates that train, for each task."""
    options = {"rates": (0.01, 0.1), "failing": (), "total": 500, "first": 15.0, **options}
    parts = [
        planted({name: slope}, sizes=sizes, arms="task", seed=place, **options)
        for place, name in enumerate(tasks)
    ]
    result = xr.concat(parts, "task", data_vars="minimal", coords="minimal", compat="override")
    return result.assign_coords(criterion=("task", [0.9, 0.75][: len(tasks)]))


def cost(sizes=(1000, 3000, 10000, 100000)):
    """Seconds and bytes that grow linearly with size."""
    sizes = np.asarray(sizes)
    seconds = 0.02 + sizes * 1.5e-6
    memory = 3e8 + sizes * 4e4
    return xr.Dataset(
        {
            "seconds_per_epoch": ("hidden", seconds),
            "seconds_per_epoch_low": ("hidden", seconds * 0.95),
            "seconds_per_epoch_high": ("hidden", seconds * 1.1),
            "peak_bytes": ("hidden", memory),
        },
        {"hidden": sizes},
    )
