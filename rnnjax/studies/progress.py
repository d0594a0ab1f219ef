"""The progress bar of a study, which first states what its store has."""

from pathlib import Path

from rnnjax.sweep import Block, ProgressBar

__all__ = ["StudyProgress"]


class StudyProgress(ProgressBar):
    """A progress bar that states how many blocks a store has, and how many are left."""

    def __init__(self, label: str, store: Path, *, rounds: bool = False):
        """`rounds`: the sweep is computed in several calls, so that the rest is not known."""
        super().__init__(label)
        self._found, self._rounds = _blocks(store), rounds
        self._announced = True  # not in runs as well

    def begin(self, blocks: list[Block], finished: int) -> None:
        """Prints what is found, once, and shows the bar."""
        if self._found and blocks:
            left, rest = f" of {self._found + len(blocks)}", f", {len(blocks)} to do"
            if self._rounds:
                left = rest = ""
            print(f"{self._label}: {self._found}{left} blocks found{rest}", file=self._file)
        if blocks:
            self._found = 0
        super().begin(blocks, finished)

    def close(self) -> None:
        """States that there was nothing to compute, if that is so."""
        if self._found:
            print(f"{self._label}: all there, {self._found} blocks", file=self._file)


def _blocks(store: Path) -> int:
    return sum(1 for _ in store.glob("blocks/*.json"))
