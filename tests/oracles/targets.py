"""Targets and masks recomputed from the inputs alone, step by step."""

import numpy as np


def flip_flop(inputs):
    """Output k is the last pulse of input k; the whole trial is response period."""
    targets = np.zeros_like(inputs)
    for k in range(inputs.shape[1]):
        held = 0.0
        for t in range(inputs.shape[0]):
            if inputs[t, k] != 0:
                held = inputs[t, k]
            targets[t, k] = held
    return targets, np.ones_like(targets)


def delayed_cue(inputs, cue, delay, response):
    """The cue shown in the first steps, repeated in the last ones."""
    targets, mask = np.zeros_like(inputs), np.zeros_like(inputs)
    for t in range(cue + delay, cue + delay + response):
        targets[t] = inputs[0]
        mask[t] = 1
    return targets, mask


def delayed_match(inputs, cue, delay, response):
    """+1 in the last steps if both cues were the same, else -1."""
    targets = np.zeros((len(inputs), 1), inputs.dtype)
    mask = np.zeros_like(targets)
    same = all(inputs[0, k] == inputs[cue + delay, k] for k in range(2))
    for t in range(2 * cue + delay, 2 * cue + delay + response):
        targets[t] = 1 if same else -1
        mask[t] = 1
    return targets, mask


def delayed_discrimination(inputs, pulse, auxiliary=False):
    """The sign of the second pulse less the first, from the second one's end on."""
    steps, channels = inputs.shape
    signs, differences, mask = (np.zeros_like(inputs) for _ in range(3))
    for k in range(channels):
        first = inputs[0, k]
        onset = next(t for t in range(pulse, steps) if inputs[t, k] != 0)
        second = inputs[onset, k]
        for t in range(onset + pulse, steps):
            signs[t, k] = 1 if second > first else -1
            differences[t, k] = second - first
            mask[t, k] = 1
    if not auxiliary:
        return signs, mask
    return np.hstack([signs, differences]), np.hstack([mask, mask])


def sine_wave(inputs, dt):
    """The sine of the frequency that is shown, in float64."""
    targets, mask = np.zeros(inputs.shape), np.ones_like(inputs)
    mask[0] = 0
    for t in range(inputs.shape[0]):
        for k in range(inputs.shape[1]):
            targets[t, k] = np.sin(2 * np.pi * float(inputs[t, k]) * dt * t)
    return targets, mask


def path_integration(inputs, dimensions, unit):
    """Positions: the sum of speed times direction, from the start position at t = 0."""
    position = inputs[0, dimensions:].astype(float) * unit
    targets = np.zeros((len(inputs), dimensions))
    for t in range(len(inputs)):
        azimuth, speed = float(inputs[t, 0]), float(inputs[t, dimensions - 1])
        elevation = float(inputs[t, 1]) if dimensions == 3 else 0.0
        step = [np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth)]
        position = position + speed * np.array([*step, np.sin(elevation)][:dimensions])
        targets[t] = position / unit
    return targets, np.ones_like(targets)
