"""One process that trains one of our networks, or measures the machine, on request.

`latent_scaling.py` starts one for every competitor at every size, so that the peak memory of the
process is that of one network.
"""

import contextlib
import json
import sys
from collections.abc import Callable
from typing import Any

import jax
import machine
from competitors import ENDLESS, LONGEST_SEGMENT, OurRuns, Work
from worker import Answer, resident_peak, serve

from rnnjax import cells, tasks
from rnnjax.devices import available_cores, memory_budget
from rnnjax.sweep import Layout, cost, default_layout
from rnnjax.training import Recipe, Setup

ALPHA = 0.5
SHARE = 0.6
"""Largest share of the free memory that a network is expected to take."""

CELLS: dict[str, Callable[..., cells.Cell]] = {
    "latent": lambda *size, **options: cells.latent(*size, readout="latent", **options),
    "low_rank": cells.low_rank,
    "dense": cells.DenseLowRank,
}


def setup_of(kind: str, hidden: int, rank: int, work: Work) -> Setup:
    """The specs of a network of this kind."""
    task = tasks.flip_flop(work.bits, work.p, work.steps)
    cell = cells.fitted(CELLS[kind](hidden, rank=rank, alpha=ALPHA), task)
    recipe = Recipe(epochs=ENDLESS, batch=work.trials)
    return Setup(task, cell, recipe, evaluation_trials=2)  # not evaluated here


def layout_of(kind: str) -> Layout:
    """On CPU all devices share the units of a latent network; other networks have one device."""
    on_cpu = jax.default_backend() == "cpu"
    if kind == "latent" and on_cpu:
        return default_layout(share="units")
    return default_layout() if kind == "machine" and on_cpu else default_layout(devices=1)


class Network:
    """Handlers of the requests for one network."""

    def __init__(self, kind: str, hidden: int, rank: int, work: Work):
        self._kind, self._work = kind, work
        self._layout, self._setup = layout_of(kind), setup_of(kind, hidden, rank, work)
        self._matrices = 12 * hidden**2 if kind == "dense" else 0  # W, its transpose, its gradient
        self._runs: OurRuns | None = None
        self._first_loss = float("nan")

    def prepare(self, window: float) -> Answer:
        """Starts the network and trains it for two epochs, or for segments of half a window.

        Returns the reason under `skip` if the network is not started.
        """
        wanted = cost.block_bytes(self._setup, 1, self._layout) + self._matrices
        budget = memory_budget(self._layout, SHARE)
        if wanted > budget:
            return {"skip": too_large(wanted, budget)}
        try:
            self._runs = OurRuns(self._setup, 1, self._layout, self._work, segment=2)
        except ValueError as error:  # the dense form has an upper limit of units
            return {"skip": str(error)}
        self._first_loss = self._runs.loss()
        epochs = int(0.5 * window * self._runs.window(1e-9).rate)
        if epochs > self._runs.segment:
            self._runs.segment = min(epochs, LONGEST_SEGMENT)
            self._runs.window(1e-9)  # compiles
        return {}

    def window(self, seconds: float) -> Answer:
        """Trains for `seconds`."""
        assert self._runs is not None
        return self._runs.window(seconds)._asdict()

    def facts(self) -> Answer:
        """Peak memory so far, and the first and last loss."""
        assert self._runs is not None
        return {
            "peak_bytes": peak_bytes(self._layout),
            "first_loss": self._first_loss,
            "last_loss": self._runs.loss(),
            "epochs": self._runs.epochs(),
        }

    def program(self) -> Answer:
        """Temporary memory of the program according to XLA; compiles again."""
        assert self._runs is not None
        return {"temporary_bytes": self._runs.temporary_bytes()}

    def handlers(self) -> dict[str, Callable[..., Answer]]:
        """Handlers by the name of the request."""
        return {
            "prepare": self.prepare,
            "window": self.window,
            "facts": self.facts,
            "program": self.program,
        }


def too_large(wanted: float, budget: float) -> str:
    """Reason for not starting a network."""
    return (
        f"would take about {wanted / 1e9:.1f} GB, and {SHARE:.0%} of the free memory "
        f"are {budget / 1e9:.1f} GB"
    )


def peak_bytes(layout: Layout) -> int:
    """Peak memory of the accelerator, or of this process on CPU."""
    device = layout.devices[0]
    if device.platform == "cpu":
        return resident_peak()
    return int((device.memory_stats() or {}).get("peak_bytes_in_use", 0))


def measure_machine() -> None:
    """Answers `measure` with the best rate of tanh so far."""
    layout = layout_of("machine")
    tanh = machine.TanhRate(layout)

    def measure() -> Answer:
        tanh.measure(tries=50)
        return {"tanh_per_second": tanh.rate}

    serve(machine.describe(layout), {"measure": measure})


def main() -> None:
    """Answers requests until the parent closes the pipe."""
    settings: dict[str, Any] = json.loads(sys.argv[1])
    kind = settings["kind"]
    # The other networks run on one device, which then has all threads of the process.
    shared = kind in ("latent", "machine")
    jax.config.update("jax_num_cpu_devices", available_cores() if shared else 1)
    if kind == "machine":
        return measure_machine()
    work = Work(**settings["work"])
    network = Network(kind, settings["hidden"], settings["rank"], work)
    serve({"jax": jax.__version__}, network.handlers())


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):  # the parent prints the message
        main()
