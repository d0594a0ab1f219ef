"""Simulated sweeps whose thresholds, and so whose exponents, are known."""

import numpy as np
import xarray as xr

DIMS = ("task", "optimizer", "hidden", "learning_rate", "seed")
SIZES = (10, 18, 32, 56, 100, 178)
HALF_DECADES = 10.0 ** np.arange(-4, 0.1, 0.5)
EXPONENTS = {"adam": -1.0, "sgd": -0.3}


def thresholds(rng, sizes, seeds, exponent, intercept=0.0, spread=0.15):
    """log10 of the largest learning rate at which each network succeeds, [hidden, seed]."""
    scale = spread * np.sqrt(3) / np.pi
    noise = rng.logistic(0, scale, (len(sizes), seeds))
    return intercept + exponent * np.log10(sizes)[:, None] + noise


def successes(limit, rates):
    """1 up to the threshold, 0 above it, [hidden, learning_rate, seed]."""
    return (np.log10(rates)[None, :, None] <= limit[:, None, :]).astype(float)


def from_success(success, sizes, rates, **coords):
    """The smallest dataset that analyses accept, from [..., hidden, learning_rate, seed]."""
    success = np.asarray(success, float)
    names = (*coords, "hidden", "learning_rate", "seed")
    status = np.where(np.isnan(success), 0, 4).astype(np.int8)
    return xr.Dataset(
        {
            "accuracy_decision": (names, success),
            "final_loss": (names, 1.0 - success),
            "blind_loss": (names, np.full(success.shape, 10.0)),
            "status": (names, status),
        },
        {
            **coords,
            "hidden": list(sizes),
            "learning_rate": list(rates),
            "seed": np.arange(success.shape[-1]),
            "criterion": 0.75,
        },
    )


def sweep(tasks=("delayed_cue", "delayed_match"), optimizers=("adam", "sgd"), sizes=SIZES,
          rates=HALF_DECADES, seeds=4, steps=400):  # fmt: skip
    """A sweep in the format of the engine, where SGD diverges above its threshold."""
    rng = np.random.default_rng(0)
    shape = (len(tasks), len(optimizers), len(sizes), len(rates), seeds)
    recorded = np.unique(np.round(np.geomspace(1, steps, 40)).astype(int))
    slopes = [EXPONENTS[name] for _ in tasks for name in optimizers]
    learned = np.stack(
        [successes(thresholds(rng, sizes, seeds, slope, 0.3), rates) for slope in slopes]
    ).reshape(shape)
    diverged = (learned == 0) & (np.array(optimizers) == "sgd")[:, None, None, None]
    rate = np.asarray(rates)[:, None]
    slow = 3.0 * (np.asarray(sizes) / 10.0)[:, None, None] ** 0.5 * rate**-0.3
    slow = np.broadcast_to(slow, shape) * rng.uniform(0.9, 1.1, shape)
    loss = 0.25 * np.exp(-recorded / slow[..., None]) + 0.001
    loss = np.where(learned[..., None] > 0, loss, 0.2 + 0.01 * rng.random(loss.shape))
    loss[diverged] = np.where(recorded < 12, loss[diverged], np.nan)
    accuracy = np.where(diverged, 0.0, np.where(learned > 0, 0.99, 0.5)).astype("f4")
    status = np.where(diverged, 3, 4).astype("i1")
    runs = {
        "final_loss": np.where(diverged, np.nan, loss[..., -1]).astype("f4"),
        "blind_loss": np.full(shape, 0.19, "f4"),
        "accuracy_decision": accuracy,
        "accuracy_matching": np.where(diverged, 0, np.maximum(accuracy, 0.8)).astype("f4"),
        "accuracy_pearson": np.where(diverged, 0, np.maximum(accuracy, 0.64)).astype("f4"),
        "steps_taken": np.where(diverged, 12, steps).astype("i4"),
        "steps_to_criterion": np.where(learned > 0, slow, np.nan).astype("f4"),
        "seconds": np.full(shape, 0.5, "f4"),
    }
    meanings = "PENDING RUNNING CONVERGED DIVERGED EXHAUSTED"
    flags = {"flag_values": [0, 1, 2, 3, 4], "flag_meanings": meanings}
    return xr.Dataset(
        {
            **{name: (DIMS, values) for name, values in runs.items()},
            "status": (DIMS, status, flags),
            "loss": ((*DIMS, "step"), loss.astype("f4")),
        },
        {
            "task": list(tasks),
            "optimizer": list(optimizers),
            "hidden": list(sizes),
            "learning_rate": rates,
            "seed": np.arange(seeds),
            "step": recorded,
            "criterion": ("task", [0.9 if task == "flip_flop" else 0.75 for task in tasks]),
        },
    )


def without(dataset, keep):
    """The dataset with the runs where `keep` is False reset to PENDING."""
    result = dataset.copy()
    for name, values in dataset.data_vars.items():
        kind = values.dtype
        blank = 0 if kind.kind == "i" else np.nan
        result[name] = values.where(keep, blank).transpose(*values.dims).astype(kind)
        result[name].attrs = values.attrs
    return result
