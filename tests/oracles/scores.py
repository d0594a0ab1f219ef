"""Loss and accuracies by loops over single numbers."""

import math

import numpy as np


def mean_squared_error(outputs, targets, reduction):
    trials, steps, channels = outputs.shape
    total = 0.0
    for b in range(trials):
        for t in range(steps):
            for k in range(channels):
                total += (float(outputs[b, t, k]) - float(targets[b, t, k])) ** 2
    return total / (trials * steps * (channels if reduction == "mean" else 1))


def decision(outputs, targets, mask, how):
    trials, steps, channels = outputs.shape
    right, choices = 0, 0
    for b in range(trials):
        for t in range(steps):
            if how == "argmax":
                if mask[b, t].max() == 0:
                    continue
                choices += 1
                target = int(np.argmax(targets[b, t]))
                others = [outputs[b, t, k] for k in range(channels) if k != target]
                right += all(outputs[b, t, target] > other for other in others)
            else:
                for k in range(channels):
                    if mask[b, t, k] == 0:
                        continue
                    choices += 1
                    y, z = outputs[b, t, k], targets[b, t, k]
                    right += (y > 0 and z > 0) or (y < 0 and z < 0)
    return right / choices


def matching(outputs, targets):
    matches = 0
    for y, z in zip(outputs.ravel(), targets.ravel(), strict=True):
        if math.isnan(y):
            continue
        rounded = 1 if y > 0.5 else -1 if y < -0.5 else 0
        matches += rounded == z
    return matches / outputs.size


def pearson(outputs, targets):
    values = []
    for y, z in zip(outputs.astype(float), targets.astype(float), strict=True):
        if np.all(z == z.flat[0]):
            continue
        failed = not np.all(np.isfinite(y)) or np.all(y == y.flat[0])
        values.append(0.0 if failed else np.corrcoef(y.ravel(), z.ravel())[0, 1])
    return float(np.mean(values)) if values else 0.0


def blind_loss(targets, reduction):
    """Loss of the batch's mean target at every step, as the output of all trials."""
    average = sum(targets[b] for b in range(len(targets))) / len(targets)
    return mean_squared_error(np.stack([average] * len(targets)), targets, reduction)


def first_to_meet(accuracies, excess_losses, criterion, memory=0.9):
    """The first step at which the running mean of accuracy is above the criterion, and that of the
    excess loss below 0; 0 if there is none. Means are corrected for their start."""

    def mean(values, step):
        weights = [memory ** (step - 1 - k) for k in range(step)]
        return sum(w * v for w, v in zip(weights, values, strict=False)) / sum(weights)

    for step in range(1, len(accuracies) + 1):
        if mean(accuracies, step) > criterion and mean(excess_losses, step) < 0:
            return step
    return 0
