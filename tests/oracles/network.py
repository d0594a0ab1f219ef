"""The rate network, its gradient by backpropagation through time, and PyTorch's optimizers."""

import numpy as np


def rate(params, inputs, alpha, initial=None, phi=np.tanh):
    """States [T, N] and outputs [T, O] of one trial."""
    weights, w_in, w_out = params["recurrent"], params["input"], params["readout"]
    bias = params.get("bias", np.zeros(len(weights)))
    readout_bias = params.get("readout_bias", np.zeros(len(w_out)))
    state = np.zeros(len(weights)) if initial is None else initial
    states, outputs = [], []
    for u in inputs:
        state = (1 - alpha) * state + alpha * phi(weights @ state + w_in @ u + bias)
        states.append(state)
        outputs.append(w_out @ state + readout_bias)
    return np.array(states), np.array(outputs)


def gradient(params, inputs, targets, alpha, reduction):
    """Gradient of the squared error over a batch, at rest before the first step."""
    trials, steps, channels = targets.shape
    scale = 2 / (trials * steps * (channels if reduction == "mean" else 1))
    weights, w_out = params["recurrent"], params["readout"]
    slopes = {name: np.zeros_like(value) for name, value in params.items()}
    for u, z in zip(inputs, targets, strict=True):
        states, outputs = rate(params, u, alpha)
        before = np.concatenate([np.zeros((1, len(weights))), states[:-1]])
        carried = np.zeros(len(weights))
        for t in reversed(range(steps)):
            error = scale * (outputs[t] - z[t])
            slopes["readout"] += np.outer(error, states[t])
            carried = carried + w_out.T @ error
            rise = (states[t] - (1 - alpha) * before[t]) / alpha  # tanh of the current
            delta = alpha * (1 - rise**2) * carried
            slopes["recurrent"] += np.outer(delta, before[t])
            slopes["input"] += np.outer(delta, u[t])
            if "bias" in params:
                slopes["bias"] += delta
                slopes["readout_bias"] += error
            carried = (1 - alpha) * carried + weights.T @ delta
    return slopes


def clipped(slopes, largest):
    norm = np.sqrt(sum(np.sum(g**2) for g in slopes.values()))
    return {name: g * min(1.0, largest / norm) for name, g in slopes.items()}


class Adam:
    """torch.optim.Adam with its defaults."""

    def __init__(self, eps=1e-8):
        self.eps, self.count, self.m, self.v = eps, 0, {}, {}

    def change(self, slopes):
        self.count += 1
        change = {}
        for name, g in slopes.items():
            self.m[name] = 0.9 * self.m.get(name, 0.0) + 0.1 * g
            self.v[name] = 0.999 * self.v.get(name, 0.0) + 0.001 * g**2
            mean = self.m[name] / (1 - 0.9**self.count)
            spread = np.sqrt(self.v[name] / (1 - 0.999**self.count))
            change[name] = mean / (spread + self.eps)
        return change


class Descent:
    """torch.optim.SGD without momentum."""

    def change(self, slopes):
        return slopes
