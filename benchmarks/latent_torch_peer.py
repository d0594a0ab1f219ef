"""One PyTorch process that trains the latent network of one size, on request.

`latent_scaling.py` starts one for every size. Weights, task, batch, loss and optimizer are those of
our network. The network is a Python loop over time that autograd differentiates, as is common, in
the fastest of the forms tried: time is the first axis and every intermediate array is one
contiguous [B, N]; recurrent and external inputs of the units are one product, so that autograd
keeps a single [B, N] per time step; the factor 1/N multiplies [B, K], not [B, N]; the readout is
computed once, after the loop. One process has all cores, denormal numbers are flushed to zero in
all its threads, as in XLA, and it neither computes accuracies nor checks for divergence, as our
step does.
"""

import contextlib
import json
import sys
from collections.abc import Callable
from typing import Any

import torch  # pyright: ignore[reportMissingImports]
from torch import nn  # pyright: ignore[reportMissingImports]
from torch_peer import flip_flop
from worker import Answer, free_memory, resident_peak, run_for, serve

ALPHA = 0.5
SHARE = 0.6


class LatentRNN(nn.Module):
    """tau kappa' = -kappa + (1/N) n^T tanh(m kappa + W_in u), read out by C kappa."""

    def __init__(self, hidden: int, rank: int, inputs: int, outputs: int):
        super().__init__()
        self.hidden, self.rank = hidden, rank
        self.entering = nn.Parameter(torch.randn(rank + inputs, hidden))  # m^T above W_in^T
        self.leaving = nn.Parameter(torch.randn(hidden, rank))  # n
        self.readout = nn.Linear(rank, outputs, bias=False)
        nn.init.normal_(self.readout.weight)

    def forward(self, inputs):
        """Outputs [T, B, O] of inputs [T, B, I]."""
        kappa = torch.zeros(inputs.shape[1], self.rank, device=inputs.device)
        kappas = []
        for at_t in inputs:
            phi = torch.tanh(torch.cat([kappa, at_t], 1) @ self.entering)
            kappa = (1 - ALPHA) * kappa + ALPHA / self.hidden * (phi @ self.leaving)
            kappas.append(kappa)
        return self.readout(torch.stack(kappas))


def bytes_needed(hidden: int, work: dict[str, Any]) -> int:
    """Memory of the [B, N] that autograd keeps per time step, and of a few intermediates."""
    return 4 * hidden * work["trials"] * (work["steps"] + 6)


class Network:
    """Handlers of the requests for one network."""

    def __init__(self, hidden: int, rank: int, work: dict[str, Any], device: str):
        self._size, self._work, self._device = (hidden, rank), work, device
        self._step: Callable[[], float] | None = None
        self._losses = [float("nan")]
        self._epochs = 0

    def _free_memory(self) -> int:
        return free_memory() if self._device == "cpu" else torch.cuda.mem_get_info()[0]

    def _training_step(self) -> Callable[[], float]:
        work, device = self._work, self._device
        network = LatentRNN(*self._size, work["bits"], work["bits"]).to(device)
        optimizer = torch.optim.Adam(network.parameters(), lr=work["learning_rate"])

        def step() -> float:
            inputs, targets = flip_flop(
                work["trials"], work["steps"], work["bits"], work["p"], device
            )
            optimizer.zero_grad()
            loss = nn.functional.mse_loss(network(inputs), targets)
            loss.backward()
            optimizer.step()
            return loss.item()

        return step

    def prepare(self, window: float) -> Answer:
        """Creates the network and warms it up; returns a reason under `skip` if it is too large."""
        wanted, budget = bytes_needed(self._size[0], self._work), SHARE * self._free_memory()
        if wanted > budget:
            of = f"{SHARE:.0%} of the free memory are {budget / 1e9:.1f} GB"
            return {"skip": f"would take about {wanted / 1e9:.1f} GB, and {of}"}
        self._step = self._training_step()
        first = run_for(self._step, 0.0, least=2)
        warm = run_for(self._step, window, least=2)
        self._losses = [first["loss"], warm["loss"]]
        self._epochs = int(first["steps"] + warm["steps"])
        return {}

    def window(self, seconds: float) -> Answer:
        """Trains for `seconds` and at least two epochs."""
        assert self._step is not None
        found = run_for(self._step, seconds, least=2)
        if self._device != "cpu":
            torch.cuda.empty_cache()  # other processes use this GPU in between
        self._losses.append(found["loss"])
        self._epochs += int(found["steps"])
        return {
            "rate": found["steps"] / found["seconds"],
            "cores": found["busy"] / found["seconds"],
        }

    def facts(self) -> Answer:
        """Peak memory so far, and the first and last loss."""
        on_cpu = self._device == "cpu"
        return {
            "peak_bytes": resident_peak() if on_cpu else torch.cuda.max_memory_allocated(),
            "first_loss": self._losses[0],
            "last_loss": self._losses[-1],
            "epochs": self._epochs,
        }


def main() -> None:
    """Answers requests until the parent closes the pipe."""
    settings = json.loads(sys.argv[1])
    torch.set_flush_denormal(True)  # before other threads start, which inherit it
    torch.set_num_threads(settings["cores"])
    torch.manual_seed(settings["work"]["seed"])
    network = Network(settings["hidden"], settings["rank"], settings["work"], settings["device"])
    handlers = {"prepare": network.prepare, "window": network.window, "facts": network.facts}
    serve({"torch": torch.__version__, "cuda": torch.cuda.is_available()}, handlers)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):  # the parent prints the message
        main()
