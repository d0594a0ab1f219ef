"""One PyTorch process that trains a population's networks one after another, on request.

`population.py` starts one per core, or one with all cores, and speaks to it in lines of JSON. The
network is `nn.RNN` with biases and a linear readout, as study 2's vanilla network; loss, clipping,
optimizer and held-out loss are ours. Courtesies paid to it: it draws no trials but goes round a
few batches of ours, it tracks no accuracies, and denormal numbers are flushed to zero, as in XLA.
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
    """A new network per task, and epochs of it."""

    def __init__(self):
        self._ready: dict[str, Any] = {}

    def prepare(self, file: str, hidden: int, learning_rate: float, clip: float) -> dict[str, Any]:
        """Builds a network for the batches in `file` and takes a few steps."""
        with np.load(file) as data:
            # Time first, as nn.RNN prefers it.
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
        """One epoch, its held-out loss included."""
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
    with contextlib.suppress(KeyboardInterrupt):  # the parent says what there is to say
        main()
