"""Timing of one case: our distances in one process, those of the peers in one process per core."""

import contextlib
import dataclasses
import time
from pathlib import Path
from typing import Any

import numpy as np
from metrics_work import PEERS, POPULATION_PAIRS, QUICK, Case, Work, dsa_products, pairs_of_round
from script import spread
from worker import Answer, Worker

from rnnjax.devices import available_cores
from rnnjax.metrics.pairwise import square

OURS = "ours"
WINDOW = 0.5
"""Shortest window, seconds; short computations are repeated."""


@dataclasses.dataclass(frozen=True)
class Window:
    """One timed window of one competitor."""

    seconds: float
    """Per pair, with the whole machine."""
    cores: float
    """Average number of busy cores; a number far below that of all cores means other load."""
    idle_cores: float
    """Number of cores that its processes kept busy while they waited."""
    distances: tuple[float, ...]
    """Distances of the pairs of the window, in their order."""


class Ours:
    """The process that trains the networks or computes our distances."""

    def __init__(self, stack: contextlib.ExitStack, path: Path, work: Work):
        self._work = work
        settings = {"path": str(path), "quick": work == QUICK}
        self._worker = Worker("metrics_worker.py", settings)
        stack.callback(self._worker.close)
        self._worker.receive()

    def make(self, networks: int) -> Answer:
        """Trains `networks` networks and writes the file."""
        return self._worker.request(do="make", networks=networks)

    def first(self, case: Case, networks: int) -> Answer:
        """All pairs of the first `networks`, at the first call of this case in the process."""
        return self._worker.request(do="first", case=case.name, networks=networks)

    def window(self, case: Case, pairs: np.ndarray | None, seconds: float, seed: int) -> Window:
        """Times these pairs, or all. SVCCA is timed on all, since its pairs share computations."""
        shared = case.metric == "svcca"
        sent = None if pairs is None or shared else pairs.tolist()
        request = {"case": case.name, "pairs": sent}
        answer = self._worker.request(do="window", seconds=seconds, seed=seed, **request)
        distances = np.array(answer["distances"])
        each = answer["seconds"] / (answer["times"] * len(distances))
        if pairs is not None and shared:
            first, second = pairs.T
            distances = square(distances, self._work.contestants)[first, second]
        reached = tuple(distances.tolist())
        return Window(each, answer["cores"], answer["idle_cores"], reached)

    def peak_bytes(self) -> int:
        """Largest memory so far."""
        return self._worker.request(do="facts")["peak_bytes"]


class Peers:
    """Single-threaded processes of one Python, each with an equal share of the pairs."""

    def __init__(self, stack: contextlib.ExitStack, path: Path, work: Work, python: str):
        settings = {"path": str(path), "work": dataclasses.asdict(work), "python": python}
        self._workers = [Worker("metrics_peer.py", settings) for _ in range(available_cores())]
        for worker in self._workers:
            stack.callback(worker.close)
        about = self._receive()[0]
        self.versions, self.python = about["versions"], about["python"]
        self.absent = {
            peer: f"{PEERS[peer]} is not installed completely: no module {', '.join(missing)}"
            for peer, missing in about["lacks"].items()
        }

    def _receive(self) -> list[Answer]:
        return [worker.receive() for worker in self._workers]

    def prepare(self, peer: str, case: Case) -> None:
        """Imports and warms up the peer in every process."""
        for worker in self._workers:
            worker.send(do="prepare", peer=peer, case=case.name)
        self._receive()

    def window(self, peer: str, case: Case, pairs: np.ndarray, seconds: float, seed: int) -> Window:
        """Wall time until the last process has ended, over the number of pairs of all processes."""
        count = len(self._workers)
        shares = [pairs[start::count].tolist() for start in range(count)]
        begin = time.perf_counter()
        for worker, share in zip(self._workers, shares, strict=True):
            request = {"peer": peer, "case": case.name, "pairs": share}
            worker.send(do="window", seconds=seconds, seed=seed, **request)
        answers = self._receive()
        wall = time.perf_counter() - begin
        done = sum(a["times"] * len(share) for a, share in zip(answers, shares, strict=True))
        distances = np.zeros(len(pairs))
        for start, answer in enumerate(answers):
            distances[start::count] = answer["distances"]
        return Window(
            wall / done,
            sum(answer["busy"] for answer in answers) / wall,
            sum(answer["idle_cores"] for answer in answers),
            tuple(distances.tolist()),
        )


def time_case(
    case: Case, work: Work, ours: Ours, peers: Peers | None, repeats: int, window: float
) -> dict[str, Any]:
    """Windows of all competitors on the same pairs, round by round; ours also on all pairs."""
    first = ours.first(case, work.contestants)
    count = case.per_core * available_cores()
    rounds = [pairs_of_round(work.contestants, count, turn) for turn in range(repeats)]
    ours.window(case, rounds[0], 0.0, 0)  # compiles for this number of pairs
    timed = [peer for peer in case.peers if peers is not None and peer not in peers.absent]
    if peers is not None:
        for peer in timed:
            peers.prepare(peer, case)
    windows: dict[str, list[Window]] = {name: [] for name in (OURS, *timed)}
    whole: list[Window] = []
    for turn, pairs in enumerate(rounds):
        windows[OURS].append(ours.window(case, pairs, window, turn))
        if peers is not None:
            for peer in timed:
                windows[peer].append(peers.window(peer, case, pairs, window, turn))
        if case.metric != "svcca":
            whole.append(ours.window(case, None, window, turn))
    return {
        "case": case,
        "first": first,
        "pairs": np.concatenate(rounds),
        "windows": windows,
        "whole": whole or windows[OURS],
    }


def _summarize(windows: list[Window], all_seconds: float) -> dict[str, Any]:
    """Times and distances of a competitor; `all_seconds` is the time per pair for all pairs."""
    seconds = [window.seconds for window in windows]
    return {
        "seconds_per_pair": {**spread(seconds), "repeats": seconds},
        "extrapolated_seconds": {str(POPULATION_PAIRS): all_seconds * POPULATION_PAIRS},
        "mean_distance": float(np.mean([window.distances for window in windows])),
        "cores_busy": spread([window.cores for window in windows]),
        "idle_cores": spread([window.idle_cores for window in windows]),
    }


def summary(row: dict[str, Any], absent: dict[str, str], product_peak: float) -> dict[str, Any]:
    """Medians and ranges of one case, with ratios to the peers and to the floor."""
    case: Case = row["case"]
    windows: dict[str, list[Window]] = row["windows"]
    seconds = {name: np.array([w.seconds for w in all_]) for name, all_ in windows.items()}
    reached = {name: np.concatenate([w.distances for w in all_]) for name, all_ in windows.items()}
    whole = [window.seconds for window in row["whole"]]
    found: dict[str, Any] = {
        "contest": case.name,
        "metric": case.metric,
        "pairs_per_window": len(row["pairs"]) // len(windows[OURS]),
        "skipped": {peer: absent[peer] for peer in case.peers if peer in absent},
        OURS: {
            **_summarize(windows[OURS], float(np.median(whole))),
            "seconds_per_pair_of_all": {**spread(whole), "repeats": whole},
            "first_call_seconds": row["first"]["seconds"],
            "all_pairs": row["first"]["pairs"],
            "mean_distance_of_all": row["first"]["mean_distance"],
            "mean_lower_bound_of_all": row["first"]["mean_lower_bound"],
            "solver": row["first"]["solver"],
        },
    }
    if case.metric == "dsa":
        found |= {key: getattr(case, key) for key in ("rank", "components", "delays")}
        found["floor"] = _floor(case.rank, np.array(whole), product_peak)
    peers = [name for name in windows if name != OURS]
    for peer in peers:
        gap = reached[OURS] - reached[peer]
        found[peer] = {
            **_summarize(windows[peer], float(np.median(seconds[peer]))),
            "ours_minus_theirs": spread(gap),
            "largest_difference": float(np.abs(gap).max()),
            "pairs_where_ours_is_longer": int(np.sum(gap > 1e-3)),
        }
    found["ratios"] = {peer: spread(seconds[peer] / seconds[OURS]) for peer in peers}
    found["distances"] = {
        "pairs": row["pairs"].tolist(),
        **{name: values.tolist() for name, values in reached.items()},
    }
    return found


def _floor(rank: int, seconds: np.ndarray, product_peak: float) -> dict[str, Any]:
    """Time of the matrix products of the solver at the best measured rate."""
    products = dsa_products(rank)
    flops = 2.0 * rank**3 * products
    floor = flops / product_peak
    return {
        "products_per_pair": products,
        "flops_per_pair": flops,
        "seconds_per_pair": floor,
        "fraction_of_floor": spread(floor / seconds),
    }
