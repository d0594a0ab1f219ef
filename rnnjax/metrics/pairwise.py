"""Loops over all pairs of a population, in batches of bounded memory."""

import functools
from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar

import jax
import numpy as np

from rnnjax.arrays import array, symmetric
from rnnjax.devices import padded_index
from rnnjax.validate import callback, positive_integer

__all__ = [
    "BatchCallback",
    "Kernel",
    "all_pairs",
    "in_batches",
    "mean_distance",
    "square",
]

BatchCallback: TypeAlias = Callable[[int, int], None]
"""Callback after every batch: the number of pairs done and of all pairs."""

Result = TypeVar("Result")


def all_pairs(networks: int) -> tuple[np.ndarray, np.ndarray]:
    """First and second members, each [M], of all pairs i < j of a population, row by row.

    Raises:
        ValueError: fewer than two networks.
    """
    if positive_integer("networks", networks) < 2:
        raise ValueError(f"networks: expected at least 2 to compare, got {networks}")
    first, second = np.triu_indices(networks, k=1)
    return first, second


def in_batches(
    kernel: Callable[[np.ndarray], Result],
    pairs: int,
    *,
    size: int,
    progress: BatchCallback | None = None,
) -> Result:
    """Applies `kernel` to the indices 0 .. `pairs` - 1 in batches and concatenates the results.

    Apart from the results, memory is that of one batch.

    Args:
        kernel: takes the indices of the pairs of a batch, [C], and returns a tree of arrays
            [C, ...]. C is the same in every call, so that one compiled program serves all: the
            last batch is padded with its last pair.
        pairs: number of pairs.
        size: largest number of pairs in a batch.
        progress: called after every batch.

    Raises:
        ValueError: no pairs, or a size below 1.
    """
    callback("progress", progress)
    positive_integer("pairs", pairs)
    batches = -(-pairs // positive_integer("size", size))
    size = -(-pairs // batches)  # of equal size, so that the last needs little padding
    parts: list[Any] = []
    for start in range(0, pairs, size):
        kept = min(size, pairs - start)
        result = kernel(padded_index(start, size, pairs))
        parts.append(jax.tree.map(lambda leaf, kept=kept: np.array(leaf[:kept]), result))
        if progress is not None:
            progress(start + kept, pairs)
    return jax.tree.map(lambda *leaves: np.concatenate(leaves), *parts)


class Kernel:
    """`jax.jit`, on a GPU without the autotuning of matrix products.

    For programs that run for seconds, trying variants of every product takes several times as long
    as it saves. Not to be called inside another jitted function: compiler options apply to
    outermost programs only.
    """

    def __init__(self, function: Callable[..., Any], *, static: str | tuple[str, ...] = ()) -> None:
        """Takes the function to compile and the names of its static arguments."""
        functools.update_wrapper(self, function)
        self._function, self._static = function, static
        self._jitted: dict[str, Any] = {}  # by backend

    def _of_backend(self) -> Any:
        backend = jax.default_backend()
        if backend not in self._jitted:
            options: Any = {"xla_gpu_enable_triton_gemm": False, "xla_gpu_autotune_level": 0}
            self._jitted[backend] = jax.jit(
                self._function,
                static_argnames=self._static,
                compiler_options=options if backend == "gpu" else None,
            )
        return self._jitted[backend]

    def __call__(self, *args: Any, **settings: Any) -> Any:
        """Calls the compiled function."""
        return self._of_backend()(*args, **settings)

    def programs(self) -> int:
        """Number of compiled programs."""
        return self._of_backend()._cache_size()


def square(values: np.ndarray, networks: int) -> np.ndarray:
    """Symmetric array [S, S, ...] of values [M, ...] in the order of `all_pairs`, else 0.

    Raises:
        ValueError: not one value per pair.
    """
    first, second = all_pairs(networks)
    values = np.asarray(values)
    if values.shape[:1] != first.shape:
        raise ValueError(f"values: expected {len(first)} of them, got shape {values.shape}")
    full = np.zeros((networks, networks, *values.shape[1:]), values.dtype)
    full[first, second] = full[second, first] = values
    return full


def mean_distance(distances: np.ndarray) -> float:
    """Degeneracy: the mean over all pairs of symmetric distances [S, S].

    Raises:
        ValueError: not a square symmetric matrix, NaN or infinity, or fewer than two networks.
    """
    distances = symmetric("distances", array("distances", distances, "S S", least=2))
    return float(distances[all_pairs(len(distances))].mean())
