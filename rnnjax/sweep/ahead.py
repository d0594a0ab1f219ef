"""Compilation of the programs of coming blocks, in threads, while others train.

XLA releases the GIL while it compiles: one block's programs compile side by side, and beside the
training of the block before. JAX keeps what it has compiled: the call with data finds it.

XLA itself uses more than one core per program, so that a host which trains on all of its two or
three cores gains little. On an accelerator XLA tries variants of a program on the device, which
would disturb the training; there it is left to the caller.
"""

import concurrent.futures as futures
import functools
import threading
from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Self

import jax
import jax.numpy as jnp

from rnnjax.devices import Layout, available_cores, free_programs
from rnnjax.sweep.programs import (
    advance_block,
    end_epoch_block,
    evaluate_block,
    init_block,
    start_block,
)
from rnnjax.training import Hyper, Setup

__all__ = ["Ahead", "ProgramKey", "blocks_ahead", "trace_programs", "upcoming"]

_THREADS = 4
"""Largest number of threads: one block has at most five programs."""

_BLOCKS = 2
"""Blocks to compile ahead by default."""

_CORES = 4
"""Number of cores from which a host that trains on all of them compiles ahead."""


def blocks_ahead(layout: Layout, given: int | None = None) -> int:
    """Number of blocks to compile ahead: `given`, or 2 where a CPU of at least 4 cores trains."""
    if given is not None:
        return given
    return _BLOCKS if layout.on_cpu and available_cores() >= _CORES else 0


class ProgramKey(NamedTuple):
    """What the programs of a block depend on."""

    setup: Setup
    layout: Layout
    size: int
    """Runs in the programs, padding included."""
    segment: int
    """Steps per segment."""


def upcoming(programs: Sequence[ProgramKey], count: int) -> list[tuple[ProgramKey, ...]]:
    """For every block, its programs and those of the next `count` blocks that have others."""
    found: list[tuple[ProgramKey, ...]] = []
    coming: tuple[ProgramKey, ...] = ()
    for block in reversed(programs):  # once: sweeps have tens of thousands of blocks
        coming = (block, *(other for other in coming if other != block))[: 1 + count]
        found.append(coming)
    return found[::-1]


class Ahead:
    """Threads that compile the programs of blocks to come, until the context ends.

    For a `count` of 0 there are none: programs are compiled when they are first called.
    """

    def __init__(self, count: int):
        threads = min(available_cores(), _THREADS)
        self._pool = futures.ThreadPoolExecutor(threads) if count else None
        self._compiling: dict[Hashable, futures.Future[None]] = {}
        self._tracing: dict[ProgramKey, futures.Future[list[futures.Future[None]]]] = {}
        self._called: set[ProgramKey] = set()
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)

    def ready(self, block: ProgramKey) -> bool:
        """Whether the programs of a block are compiled."""
        if block in self._called:
            return True
        traced = self._tracing.get(block)
        if traced is None or not traced.done():
            return False
        return traced.exception() is not None or all(f.done() for f in traced.result())

    def prepare(self, coming: Sequence[ProgramKey]) -> None:
        """Returns when the first block's programs are compiled; starts those of the others.

        Errors are left to the calls of the programs, which raise them again.
        """
        self._called.add(coming[0])
        if self._pool is None:
            return
        self._start(coming[0])
        traced = self._tracing[coming[0]]
        if traced.exception() is None:
            futures.wait(traced.result())
        for block in coming[1:]:
            self._start(block)

    def free(self) -> None:
        """Drops all compiled programs near the limit of memory mappings (`free_programs`)."""
        if not free_programs():
            return
        with self._lock:
            self._called.clear()
            self._tracing.clear()
            self._compiling.clear()

    def _start(self, block: ProgramKey) -> None:
        assert self._pool is not None
        if block not in self._tracing:
            self._tracing[block] = self._pool.submit(self._trace, block)

    def _trace(self, block: ProgramKey) -> list["futures.Future[None]"]:
        """Traces the programs one after another, and submits their compilation."""
        assert self._pool is not None
        submitted = []
        with block.layout.context():
            for key, traced in trace_programs(block):
                with self._lock:  # blocks share programs
                    if key not in self._compiling:
                        self._compiling[key] = self._pool.submit(_compile, traced, block.layout)
                    submitted.append(self._compiling[key])
        return submitted


def _compile(traced: Any, layout: Layout) -> None:
    with layout.context():  # part of the key under which JAX keeps the program
        traced.lower().compile()


def trace_programs(block: ProgramKey) -> Iterator[tuple[Hashable, Any]]:
    """Traces the programs of a block: yields what each depends on, and the program.

    The programs that take longest to compile come first.
    """
    setup, layout, size, segment = block
    abstract = functools.partial(_abstract, layout, setup.cell.unit_axes)
    float_, int_, bool_ = (abstract(jax.ShapeDtypeStruct((size,), kind))
                           for kind in (jnp.float32, jnp.int32, jnp.bool_))  # fmt: skip
    hyper = Hyper(**{n: int_ if n == "seed" else float_ for n in Hyper._fields})

    init = init_block.trace(setup.cell, layout, hyper.seed)
    params = abstract(init.out_info)
    start = start_block.trace(setup, layout, hyper, params, bool_)
    runs = abstract(start.out_info)
    evaluation = setup.evaluation
    yield ("advance", block), advance_block.trace(setup, layout, runs, segment)
    yield (
        ("evaluate", evaluation, layout, size),
        evaluate_block.trace(evaluation, layout, runs.hyper, runs.params, runs.status),
    )
    if setup.recipe.validates:
        yield ("end_epoch", setup, layout, size), end_epoch_block.trace(setup, layout, runs)
    yield ("init", setup.cell, layout, size), init
    yield ("start", setup, layout, size), start


def _abstract(layout: Layout, unit_axes: Mapping[str, int], tree: Any) -> Any:
    """The shapes of a tree of arrays, spread over the devices of a layout."""

    def shape(leaf: Any, sharding: Any) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding)

    return jax.tree.map(shape, tree, layout.shardings(tree, unit_axes))
