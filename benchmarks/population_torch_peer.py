"""One PyTorch process that trains the networks of a population one after another, on request.

`population.py` starts one per core, or one with all cores, and exchanges lines of JSON with it. The
network is `nn.RNN` with biases and a linear readout; loss, clipping, optimizer and held-out loss
are those of our networks. It draws no trials but cycles through a few of our batches, it computes
no accuracies, and denormal numbers are flushed to zero, as in XLA.
"""

import contextlib
import json
import sys
import time
from typing import Any

import numpy as np
import torch  # pyright: ignore[reportMissingImports]
from torch import nn  # pyright: ignore[reportMissingImports]
from worker import serve


class Network(nn.Module):
    """The vanilla tanh network and its readout."""

    def __init__(self, inputs: int, hidden: int, outputs: int):
        super().__init__()
        self.rnn = nn.RNN(inputs, hidden)
        self.readout = nn.Linear(hidden, outputs)

    def forward(self, inputs):
        """Outputs [T, B, O] of inputs [T, B, I]."""
        return self.readout(self.rnn(inputs)[0])


class Trainer:
    """Trains a new network per task."""

    def __init__(self):
        self._ready: dict[str, Any] = {}

    def prepare(self, file: str, hidden: int, learning_rate: float, clip: float) -> dict[str, Any]:
        """Creates a network for the batches in `file` and takes a few steps."""
        with np.load(file) as data:
            # Time is the first axis, the faster layout of nn.RNN.
            batches = {n: torch.from_numpy(np.swapaxes(data[n], -3, -2).copy()) for n in data}
        network = Network(batches["inputs"].shape[-1], hidden, batches["targets"].shape[-1])
        optimizer = torch.optim.Adam(network.parameters(), lr=learning_rate)
        self._ready = {"network": network, "optimizer": optimizer, "clip": clip, **batches}
        for number in range(3):
            self._step(number)
        return {}

    def _step(self, number: int) -> float:
        here = self._ready
        place = number % len(here["inputs"])
        here["optimizer"].zero_grad()
        outputs = here["network"](here["inputs"][place])
        loss = nn.functional.mse_loss(outputs, here["targets"][place])
        loss.backward()
        nn.utils.clip_grad_norm_(here["network"].parameters(), here["clip"])
        here["optimizer"].step()
        return loss.item()

    def epoch(self, steps: int) -> dict[str, Any]:
        """Trains one epoch and computes the held-out loss."""
        begin, busy = time.perf_counter(), time.process_time()
        for number in range(steps):
            loss = self._step(number)
        with torch.no_grad():
            outputs = self._ready["network"](self._ready["held_inputs"])
            held = nn.functional.mse_loss(outputs, self._ready["held_targets"]).item()
        seconds = time.perf_counter() - begin
        busy = (time.process_time() - busy) / seconds
        return {"seconds": seconds, "cores": busy, "loss": loss, "held_out": held}


def main() -> None:
    """Answers requests until the parent closes the pipe."""
    settings = json.loads(sys.argv[1])
    torch.set_num_threads(settings["threads"])
    torch.set_flush_denormal(True)
    torch.manual_seed(settings["seed"])
    trainer = Trainer()
    serve({"torch": torch.__version__}, {"prepare": trainer.prepare, "epoch": trainer.epoch})


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):  # the parent prints the message
        main()
