"""Targets and masks recomputed from the inputs alone, step by step."""

import numpy as np


def flip_flop(inputs):
    """Output k holds the last pulse of input k; all of the trial is response."""
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
