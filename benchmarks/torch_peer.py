"""One PyTorch process that trains one network after another, on request.

`sweep_throughput.py` starts one per core and exchanges lines of JSON with it. Weights, task, batch,
loss and optimizer are those of our runs; there are no biases, as in our cell, which only makes the
peer faster. It neither computes accuracies nor checks for divergence, as our step does, denormal
numbers are flushed to zero, as in XLA, and every timed window starts warm.
"""

import contextlib
import json
import sys
from collections.abc import Callable
from typing import Any

import torch  # pyright: ignore[reportMissingImports]
from torch import nn  # pyright: ignore[reportMissingImports]
from worker import reply, run_for

ALPHA = 0.5


class LeakyRNN(nn.Module):
    """The leaky rate network in the common form: linear layers and a Python loop over time."""

    def __init__(self, inputs: int, hidden: int, outputs: int):
        super().__init__()
        self.hidden = hidden
        self.input = nn.Linear(inputs, hidden, bias=False)
        self.recurrent = nn.Linear(hidden, hidden, bias=False)
        self.readout = nn.Linear(hidden, outputs, bias=False)

    def forward(self, inputs):
        """Outputs [T, B, O] of inputs [T, B, I]."""
        rate = torch.zeros(inputs.shape[1], self.hidden, device=inputs.device)
        rates = []
        for at_t in inputs:
            current = self.recurrent(rate) + self.input(at_t)
            rate = (1 - ALPHA) * rate + ALPHA * torch.tanh(current)
            rates.append(rate)
        return self.readout(torch.stack(rates))


class FusedRNN(nn.Module):
    """The vanilla tanh network (alpha = 1), by `nn.RNN`."""

    def __init__(self, inputs: int, hidden: int, outputs: int):
        super().__init__()
        self.rnn = nn.RNN(inputs, hidden, bias=False)
        self.readout = nn.Linear(hidden, outputs, bias=False)

    def forward(self, inputs):
        """Outputs [T, B, O] of inputs [T, B, I]."""
        return self.readout(self.rnn(inputs)[0])


KINDS = {"torch_loop": LeakyRNN, "torch_fused": FusedRNN}


def flip_flop(trials: int, steps: int, bits: int, p: float, device: str):
    """A fresh batch of the flip-flop task, time first: inputs and targets [T, B, I]."""
    draw = torch.rand(steps, trials, bits, device=device)
    time_index = torch.arange(steps, device=device)[:, None, None]
    edge = torch.where(time_index == 0, 1.0, p)
    inputs = (draw < edge).float() - 2.0 * (draw < edge / 2).float()
    when = torch.where(inputs != 0, time_index, 0)
    return inputs, inputs.gather(0, when.cummax(0).values)


def training_step(kind: str, hidden: int, work: dict[str, Any]) -> Callable[[], float]:
    """A function that takes one training step of a new network and returns the loss."""
    bits, device = work["bits"], work["device"]
    network = KINDS[kind](bits, hidden, bits).to(device)
    optimizer = torch.optim.Adam(network.parameters(), lr=work["learning_rate"])

    def step() -> float:
        inputs, targets = flip_flop(work["trials"], work["steps"], bits, work["p"], device)
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(network(inputs), targets)
        loss.backward()
        optimizer.step()
        return loss.item()  # on a GPU this also waits for the step, some 20 us in milliseconds

    return step


def main() -> None:
    """Answers requests until the parent closes the pipe."""
    work = json.loads(sys.argv[1])
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    torch.backends.cudnn.allow_tf32 = False
    torch.manual_seed(work["seed"])
    reply({"torch": torch.__version__, "cuda": torch.cuda.is_available()})
    steps: dict[str, Callable[[], float]] = {}
    for line in sys.stdin:
        request = json.loads(line)
        kind = request["kind"]
        if request["do"] == "prepare":
            steps[kind] = training_step(kind, request["hidden"], work)
            reply(run_for(steps[kind], 0.5, least=3))
        else:
            run_for(steps[kind], 0.0, least=2)
            reply({"ready": True})
            sys.stdin.readline()  # the barrier: the parent answers once every process is ready
            reply(run_for(steps[kind], request["seconds"], least=1))


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):  # the parent prints the message
        main()
