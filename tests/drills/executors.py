"""Studies at their smoke preset on workers: the results must be those of one process.

    python tests/drills/executors.py

Every study of `STUDIES` is trained in one process and by each executor: two and four workers of a
Dask cluster that is found by its scheduler file, and two processes of this machine. All results,
weights and measures must be equal to the last bit. Prints a table; exits with 1 if anything
differs.
"""

import contextlib
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from cluster import Cluster
from drill import content, start

STUDIES = ("lr_collapse", "population", "feature_learning")


@contextlib.contextmanager
def dask(workers: int) -> Iterator[str]:
    """A scheduler with workers, as a value of `--executor`."""
    with tempfile.TemporaryDirectory() as folder:
        cluster = Cluster(Path(folder), workers)
        try:
            cluster.repair()
            yield f"dask:{cluster.file}"
        finally:
            cluster.stop()


EXECUTORS = {
    "one process": lambda: contextlib.nullcontext(None),
    "2 workers of Dask": lambda: dask(2),
    "4 workers of Dask": lambda: dask(4),
    "2 local processes": lambda: contextlib.nullcontext("local:2"),
}


def train(study: str, workdir: Path, executor: str | None) -> str:
    """Trains a study; returns the digest of what it found, or how it failed."""
    options = [] if executor is None else [f"--executor={executor}"]
    process = start(study, workdir, *options)
    errors = process.communicate()[1]
    return (
        content(workdir) if process.returncode == 0 else f"exit code {process.returncode}\n{errors}"
    )


def main() -> None:
    """Trains all studies by all executors."""
    differ = 0
    with tempfile.TemporaryDirectory() as folder:
        expected = {}
        for number, (name, executor) in enumerate(EXECUTORS.items()):
            with executor() as option:
                for study in STUDIES:
                    begin = time.monotonic()
                    found = train(study, Path(folder) / f"{study}_{number}", option)
                    equal = found == expected.setdefault(study, found) and len(found) == 64
                    differ += not equal
                    print(
                        f"{study}, {name}: {'equal' if equal else 'DIFFERENT: ' + found} "
                        f"({time.monotonic() - begin:.0f} s)", flush=True,
                    )  # fmt: skip
    sys.exit(differ > 0)


if __name__ == "__main__":
    main()
