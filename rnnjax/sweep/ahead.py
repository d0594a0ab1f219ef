"""Compilation of the programs of coming blocks, in threads, while others train.

XLA compiles without Python's lock: one block's programs compile side by side, and beside the
training of the block before. JAX keeps what it has compiled: the call with data finds it.

XLA itself uses about one and a half cores per program. A host that trains on all of its two or
three cores gains nothing (benchmarks/README.md).
"""

import concurrent.futures as futures
import functools
import threading
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Any, NamedTuple, Self

import jax
import jax.numpy as jnp

from rnnjax.devices import Layout, available_cores
from rnnjax.sweep.programs import (
    advance_block,
    end_epoch_block,
    evaluate_block,
    init_block,
    start_block,
)
from rnnjax.training import Hyper, Setup

__all__ = ["Ahead", "Programs", "blocks_ahead", "lower_programs"]

_THREADS = 4
"""Largest number of threads: one block has at most five programs."""

_BLOCKS = 2
"""Blocks to compile ahead by default."""

_CORES = 4
"""Number of cores from which a host that trains on all of them compiles ahead."""


def blocks_ahead(layout: Layout, given: int | None = None) -> int:
    """Number of blocks to compile ahead: `given`, or 0 where training leaves no core idle."""
    if given is not None:
        return given
    return _BLOCKS if not layout.on_cpu or available_cores() >= _CORES else 0


class Programs(NamedTuple):
    """What the programs of a block depend on."""

    setup: Setup
    layout: Layout
    size: int
    """Runs in the programs, padding included."""
    segment: int
    """Steps per segment."""


class Ahead:
    """Threads that compile the programs of `blocks` blocks ahead, until the context ends.

    With 0 blocks there are no threads: programs are compiled when they are first called.
    """

    def __init__(self, blocks: int):
        threads = min(available_cores(), _THREADS)
        self._pool = futures.ThreadPoolExecutor(threads) if blocks else None
        self._count = blocks
        self._compiling: dict[Hashable, futures.Future[None]] = {}
        self._lowering: dict[Programs, futures.Future[list[futures.Future[None]]]] = {}
        self._taken: set[Programs] = set()
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)

    def ready(self, programs: Programs) -> bool:
        """Whether the programs of a block are compiled."""
        if programs in self._taken:
            return True
        lowered = self._lowering.get(programs)
        if lowered is None or not lowered.done():
            return False
        return lowered.exception() is not None or all(f.done() for f in lowered.result())

    def take(self, coming: Sequence[Programs]) -> None:
        """Returns when the first block's programs are compiled; starts those of the next blocks.

        Errors are left to the calls of the programs, which raise them again.
        """
        self._taken.add(coming[0])
        if self._pool is None:
            return
        self._start(coming[0])
        lowered = self._lowering[coming[0]]
        if lowered.exception() is None:
            futures.wait(lowered.result())
        for programs in coming[1 : 1 + self._count]:
            self._start(programs)

    def _start(self, programs: Programs) -> None:
        assert self._pool is not None
        if programs not in self._lowering:
            self._lowering[programs] = self._pool.submit(self._lower, programs)

    def _lower(self, programs: Programs) -> list["futures.Future[None]"]:
        """Lowers the programs one after another, and submits their compilation."""
        assert self._pool is not None
        submitted = []
        with programs.layout.context():
            for key, lowered in lower_programs(programs):
                with self._lock:  # blocks share programs
                    if key not in self._compiling:
                        self._compiling[key] = self._pool.submit(_compile, lowered)
                    submitted.append(self._compiling[key])
        return submitted


def _compile(lowered: Any) -> None:
    lowered.compile()


def lower_programs(programs: Programs) -> Iterator[tuple[Hashable, Any]]:
    """Lowers the programs of a block: yields what each depends on, and the program.

    The programs that take longest to compile come first.
    """
    setup, layout, size, segment = programs
    abstract = functools.partial(_abstract, layout)
    float_, int_, bool_ = (abstract(jax.ShapeDtypeStruct((size,), kind))
                           for kind in (jnp.float32, jnp.int32, jnp.bool_))  # fmt: skip
    hyper = Hyper(**{n: int_ if n == "seed" else float_ for n in Hyper._fields})

    def lower(program: Callable[..., Any], *arguments: Any) -> tuple[Hashable, Any]:
        static = tuple(a for a in arguments if isinstance(a, Hashable))
        return (program, size, static), program.lower(*arguments)

    init = lower(init_block, setup.cell, layout, hyper.seed)
    params = abstract(init[1].out_info)
    start = lower(start_block, setup, layout, hyper, params, bool_)
    runs = abstract(start[1].out_info)
    yield lower(advance_block, setup, layout, runs, segment)
    yield lower(evaluate_block, setup.evaluation, layout, runs.hyper, runs.params, runs.status)
    if setup.recipe.validates:
        yield lower(end_epoch_block, setup, layout, runs)
    yield init
    yield start


def _abstract(layout: Layout, tree: Any) -> Any:
    """The shapes of a tree of arrays, spread over the devices of a layout."""
    sharding = layout.sharding()
    return jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding), tree
    )
