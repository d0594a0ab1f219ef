"""Threads of the linear algebra of NumPy and SciPy."""

import contextlib
from collections.abc import Iterator

from threadpoolctl import threadpool_limits

__all__ = ["one_blas_thread"]


@contextlib.contextmanager
def one_blas_thread() -> Iterator[None]:
    """NumPy and SciPy compute on one thread while the context lasts; also a decorator.

    For many small matrices: a factorization of 64 rows takes less time than its threads wait for
    each other and for those of XLA, most where other programs run too.
    """
    with threadpool_limits(1, "blas"):
        yield
