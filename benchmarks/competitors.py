"""Competitors of a benchmark: blocks of our runs in this process, and PyTorch processes."""

import dataclasses
import time
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from worker import Worker

from rnnjax import cells, tasks
from rnnjax.devices import memory_budget, pad_to
from rnnjax.sweep import Layout, cost
from rnnjax.sweep.programs import advance_block, init_block, start_block
from rnnjax.training import Hyper, Recipe, Setup, Status

ENDLESS = 10**9  # optimizer steps, more than any run takes
LONGEST_SEGMENT = 100  # steps per program call, as in the engine


@dataclasses.dataclass(frozen=True)
class Work:
    """The task of all competitors: the flip-flop on fresh batches, Adam, float32."""

    runs: int
    trials: int = 50
    steps: int = 50
    bits: int = 3
    p: float = 0.05
    learning_rate: float = 1e-3
    seed: int = 0

    def setup(self, hidden: int, alpha: float) -> Setup:
        """The specs of our runs."""
        task = tasks.flip_flop(self.bits, self.p, self.steps)
        cell = cells.fitted(cells.rate(hidden, alpha=alpha), task)
        return Setup(task, cell, Recipe(epochs=ENDLESS, batch=self.trials))


class Window(NamedTuple):
    """One timed window of one competitor."""

    rate: float
    """Run-steps per second."""
    cores: float
    """Average number of busy cores; a number far below that of all cores means other load."""


class OurRuns:
    """A block of runs in the compiled programs of a sweep, one segment after another."""

    def __init__(self, setup: Setup, runs: int, layout: Layout, work: Work, segment: int):
        """Compiles by a first segment, which is not timed.

        If the layout needs more runs than `runs`, the others are padding that does not train.
        """
        self._setup, self._layout, self.runs = setup, layout, runs
        self.segment = segment
        size = layout.padded(runs)
        self._rows = layout.rows(size, runs)
        seeds = jnp.asarray(pad_to(size, work.seed + np.arange(runs, dtype=np.int32), self._rows))
        rates = jnp.full(seeds.shape, work.learning_rate, jnp.float32)
        none = jnp.zeros_like(rates)
        hyper = Hyper(rates, seeds, jnp.ones_like(rates), none, none)
        real = jnp.isin(jnp.arange(size), self._rows)
        hyper, real = jax.device_put((hyper, real), layout.sharding())
        with layout.context():
            params = init_block(setup.cell, layout, hyper.seed)
            self._runs = start_block(setup, layout, hyper, params, real)
        self._losses = self._advance()

    def _advance(self) -> np.ndarray:
        with self._layout.context():
            self._runs, losses = advance_block(self._setup, self._layout, self._runs, self.segment)
        return np.asarray(losses)[self._rows]  # waits for the devices, as the engine does

    def window(self, seconds: float) -> Window:
        """Trains whole segments for at least `seconds`."""
        begin, busy = time.perf_counter(), time.process_time()
        taken, now = 0, begin
        while now - begin < seconds:
            self._losses = self._advance()
            taken, now = taken + self._losses.size, time.perf_counter()
        busy = time.process_time() - busy
        if np.any(np.asarray(self._runs.status)[self._rows] != Status.RUNNING):
            raise RuntimeError("a run stopped, so its steps take no time: lower the learning rate")
        return Window(taken / (now - begin), busy / (now - begin))

    def loss(self) -> float:
        """Mean loss of all runs over the last segment."""
        return float(self._losses.mean())

    def epochs(self) -> int:
        """Optimizer steps that each run has taken."""
        return int(np.asarray(self._runs.step)[self._rows[0]])

    def temporary_bytes(self) -> int | None:
        """Temporary memory of the compiled program by XLA's count, without weights and moments."""
        with self._layout.context():
            lowered = advance_block.lower(self._setup, self._layout, self._runs, self.segment)
            analysis = lowered.compile().memory_analysis()
        return None if analysis is None else int(analysis.temp_size_in_bytes)


def our_runs(
    work: Work, hidden: int, alpha: float, layout: Layout, window: float, share: float
) -> OurRuns:
    """As many runs as fit into a share of the memory, in segments of half a window."""
    setup = work.setup(hidden, alpha)
    fits = cost.runs_that_fit(setup, work.runs, layout, memory_budget(layout, share))
    runs = layout.padded(fits)
    step = cost.step_seconds(setup, runs, layout, cost.measure_machine(layout))
    segment = min(max(1, int(0.5 * window / step)), LONGEST_SEGMENT)
    return OurRuns(setup, runs, layout, work, segment)


class TorchPeers:
    """Single-threaded PyTorch processes that train one network each, all at the same time."""

    def __init__(self, count: int, work: Work, device: str):
        self.count = count
        settings = {**dataclasses.asdict(work), "device": device}
        one_thread = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
        self._workers = [Worker("torch_peer.py", settings, one_thread) for _ in range(count)]
        self.about = self._receive()[0]
        self._losses: dict[str, float] = {}

    def _send(self, **message: Any) -> None:
        for worker in self._workers:
            worker.send(**message)

    def _receive(self) -> list[dict[str, Any]]:
        try:
            return [worker.receive() for worker in self._workers]
        except EOFError as error:
            raise RuntimeError(f"{error}; see its message above") from None

    def prepare(self, kind: str, hidden: int) -> None:
        """Creates a network of `kind` in every process and warms it up."""
        self._send(do="prepare", kind=kind, hidden=hidden)
        self._receive()

    def window(self, kind: str, seconds: float) -> Window:
        """Times all processes over a common window."""
        self._send(do="window", kind=kind, seconds=seconds)
        self._receive()  # all are warm and waiting
        self._send(do="go")
        answers = self._receive()
        self._losses[kind] = float(np.mean([answer["loss"] for answer in answers]))
        return Window(
            sum(answer["steps"] / answer["seconds"] for answer in answers),
            sum(answer["busy"] / answer["seconds"] for answer in answers),
        )

    def loss(self, kind: str) -> float:
        """Mean loss of the last step of every process."""
        return self._losses[kind]

    def close(self) -> None:
        """Ends the processes."""
        for worker in self._workers:
            worker.close()
