"""The Python examples in the README and the docs."""

import re
from pathlib import Path

__all__ = ["PAGES", "ROOT", "SHORT", "python_blocks", "run_examples"]

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
SHORT = [
    ROOT / "docs" / f"{name}.md"
    for name in (
        "cells", "cluster", "commands", "extending", "gpu", "growing", "metrics", "sharpness",
        "tasks", "width",
    )
]  # fmt: skip
"""Pages whose programs take longer to compile than to run."""


def python_blocks(page: Path) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S)


def run_examples(page: Path) -> None:
    """Executes the examples of a page one after another, as in one session."""
    blocks, namespace = python_blocks(page), {"__name__": "example"}
    assert blocks
    for block in blocks:
        exec(compile(block, str(page), "exec"), namespace)
