"""Both sides of a contest, as the parent sees them: ours in one process, peers in one per core."""

import contextlib
import dataclasses
import time
from pathlib import Path
from typing import Any

import machine
import numpy as np
from metrics_work import ANNOUNCED, PEERS, QUICK, Contest, Work, dsa_products, pairs_of_round
from script import spread
from worker import Answer, Worker

from rnnjax.metrics.pairwise import square

OURS = "ours"
SPARE = 0.5
"""Seconds that a window takes at least; what is quick is repeated."""


@dataclasses.dataclass(frozen=True)
class Window:
    """One timed window of one contestant."""

    seconds: float
    """Per pair, with the whole machine."""
    cores: float
    """Cores that it kept busy on average; far fewer than there are means a busy machine."""
    idle_cores: float
    """What its processes had kept busy since their last turn, with nothing to do."""
    distances: tuple[float, ...]
    """Reached on the window's pairs, in their order."""


class Ours:
    """The process that computes our distances, or that makes the networks."""

    def __init__(self, stack: contextlib.ExitStack, path: Path, work: Work):
        self._work = work
        settings = {"path": str(path), "quick": work == QUICK}
        self._worker = Worker("metrics_worker.py", settings)
        stack.callback(self._worker.close)
        self._worker.hear()

    def make(self, networks: int) -> Answer:
        """Trains so many and writes the file at the path."""
        return self._worker.ask(do="make", networks=networks)

    def first(self, contest: Contest, networks: int) -> Answer:
        """All pairs of the first `networks`, from a cold start."""
        return self._worker.ask(do="first", contest=contest.name, networks=networks)

    def window(
        self, contest: Contest, pairs: np.ndarray | None, seconds: float, seed: int
    ) -> Window:
        """These pairs, or all. SVCCA is only ever asked for all, since pairs share their work."""
        shared = contest.metric == "svcca"
        asked = None if pairs is None or shared else pairs.tolist()
        request = {"contest": contest.name, "pairs": asked}
        answer = self._worker.ask(do="window", seconds=seconds, seed=seed, **request)
        distances = np.array(answer["distances"])
        each = answer["seconds"] / (answer["times"] * len(distances))
        if pairs is not None and shared:
            first, second = pairs.T
            distances = square(distances, self._work.contestants)[first, second]
        told = tuple(distances.tolist())
        return Window(each, answer["cores"], answer["idle_cores"], told)

    def peak_bytes(self) -> int:
        """Largest memory so far."""
        return self._worker.ask(do="facts")["peak_bytes"]


class Peers:
    """Single-threaded processes of one Python, which all do an equal share of the pairs."""

    def __init__(self, stack: contextlib.ExitStack, path: Path, work: Work, python: str):
        settings = {"path": str(path), "work": dataclasses.asdict(work), "python": python}
        self._workers = [Worker("metrics_peer.py", settings) for _ in range(machine.cores())]
        for worker in self._workers:
            stack.callback(worker.close)
        about = self._hear()[0]
        self.versions, self.python = about["versions"], about["python"]
        self.absent = {
            peer: f"{PEERS[peer]} is not complete here: no module {', '.join(missing)}"
            for peer, missing in about["lacks"].items()
        }

    def _hear(self) -> list[Answer]:
        return [worker.hear() for worker in self._workers]

    def prepare(self, peer: str, contest: Contest) -> None:
        """Imports and warms the peer up in every process."""
        for worker in self._workers:
            worker.tell(do="prepare", peer=peer, contest=contest.name)
        self._hear()

    def window(
        self, peer: str, contest: Contest, pairs: np.ndarray, seconds: float, seed: int
    ) -> Window:
        """Wall time until the last process has ended, over the pairs that all have done."""
        count = len(self._workers)
        shares = [pairs[start::count].tolist() for start in range(count)]
        begin = time.perf_counter()
        for worker, share in zip(self._workers, shares, strict=True):
            request = {"peer": peer, "contest": contest.name, "pairs": share}
            worker.tell(do="window", seconds=seconds, seed=seed, **request)
        answers = self._hear()
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


def time_contest(
    contest: Contest, work: Work, ours: Ours, peers: Peers | None, repeats: int, spare: float
) -> dict[str, Any]:
    """The windows of every contestant on the same pairs, round by round; ours alone on all."""
    first = ours.first(contest, work.contestants)
    count = contest.per_core * machine.cores()
    rounds = [pairs_of_round(work.contestants, count, turn) for turn in range(repeats)]
    ours.window(contest, rounds[0], 0.0, 0)  # compiles for this number of pairs
    timed = [peer for peer in contest.peers if peers is not None and peer not in peers.absent]
    if peers is not None:
        for peer in timed:
            peers.prepare(peer, contest)
    windows: dict[str, list[Window]] = {name: [] for name in (OURS, *timed)}
    whole: list[Window] = []
    for turn, pairs in enumerate(rounds):
        windows[OURS].append(ours.window(contest, pairs, spare, turn))
        if peers is not None:
            for peer in timed:
                windows[peer].append(peers.window(peer, contest, pairs, spare, turn))
        if contest.metric != "svcca":
            whole.append(ours.window(contest, None, spare, turn))
    return {
        "contest": contest,
        "first": first,
        "pairs": np.concatenate(rounds),
        "windows": windows,
        "whole": whole or windows[OURS],
    }


def _told(windows: list[Window], all_seconds: float) -> dict[str, Any]:
    """One contestant's times and distances; `all_seconds`: per pair where all are asked for."""
    seconds = [window.seconds for window in windows]
    return {
        "seconds_per_pair": {**spread(seconds), "repeats": seconds},
        "extrapolated_seconds": {str(ANNOUNCED): all_seconds * ANNOUNCED},
        "mean_distance": float(np.mean([window.distances for window in windows])),
        "cores_busy": spread([window.cores for window in windows]),
        "idle_cores": spread([window.idle_cores for window in windows]),
    }


def summary(row: dict[str, Any], absent: dict[str, str], product_peak: float) -> dict[str, Any]:
    """Medians and ranges of one contest, set against the peers and the floor."""
    contest: Contest = row["contest"]
    windows: dict[str, list[Window]] = row["windows"]
    seconds = {name: np.array([w.seconds for w in all_]) for name, all_ in windows.items()}
    reached = {name: np.concatenate([w.distances for w in all_]) for name, all_ in windows.items()}
    whole = [window.seconds for window in row["whole"]]
    found: dict[str, Any] = {
        "contest": contest.name,
        "metric": contest.metric,
        "pairs_per_window": len(row["pairs"]) // len(windows[OURS]),
        "skipped": {peer: absent[peer] for peer in contest.peers if peer in absent},
        OURS: {
            **_told(windows[OURS], float(np.median(whole))),
            "seconds_per_pair_of_all": {**spread(whole), "repeats": whole},
            "first_call_seconds": row["first"]["seconds"],
            "all_pairs": row["first"]["pairs"],
            "mean_distance_of_all": row["first"]["mean_distance"],
            "mean_lower_bound_of_all": row["first"]["mean_lower_bound"],
            "solver": row["first"]["solver"],
        },
    }
    if contest.metric == "dsa":
        found |= {key: getattr(contest, key) for key in ("rank", "components", "delays")}
        found["floor"] = _floor(contest.rank, np.array(whole), product_peak)
    peers = [name for name in windows if name != OURS]
    for peer in peers:
        gap = reached[OURS] - reached[peer]
        found[peer] = {
            **_told(windows[peer], float(np.median(seconds[peer]))),
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
    """The solver's matrix products at the best measured rate."""
    products = dsa_products(rank)
    flops = 2.0 * rank**3 * products
    floor = flops / product_peak
    return {
        "products_per_pair": products,
        "flops_per_pair": flops,
        "seconds_per_pair": floor,
        "fraction_of_floor": spread(floor / seconds),
    }
