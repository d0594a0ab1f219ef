"""What a study prints on its progress: what is found, and a bar."""

import sys

from rnnjax.sweep import Block, ProgressBar
from rnnjax.validate import counted

__all__ = ["StudyProgress", "print_found"]


def print_found(study: str, there: int, total: int, things: str) -> None:
    """Prints how many of the things that a study computes are found, if any are."""
    if there == total:
        print(f"{study}: all {there} {things} found", file=sys.stderr)
    elif there:
        print(f"{study}: {there} of {total} {things} found, {total - there} to do", file=sys.stderr)


class StudyProgress(ProgressBar):
    """A progress bar that also states that a store has all blocks."""

    def __init__(self, label: str, *, rounds: bool = False):
        """`rounds`: the sweep is computed in several calls, so that the rest is not known."""
        super().__init__(label)
        self._found, self._computed, self._rounds = 0, False, rounds

    def begin(self, blocks: list[Block], finished: int, found: int) -> None:
        """Notes what is found, and shows the bar."""
        self._found, self._computed = found, self._computed or bool(blocks)
        super().begin(blocks, finished, found)

    def announcement(self, blocks: list[Block], finished: int, found: int) -> str:
        """How much of the work the store has."""
        if self._rounds:
            return f"{self._label}: {counted(found, 'block')} found"
        return super().announcement(blocks, finished, found)

    def close(self) -> None:
        """States that there was nothing to compute, if that is so."""
        if self._found and not self._computed:
            print(f"{self._label}: all there, {counted(self._found, 'block')}", file=self._file)
