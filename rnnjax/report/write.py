"""Writing a page to `report.html`, `report.md` and `figures/`."""

import hashlib
import os
from pathlib import Path

from rnnjax.report.html import render_html
from rnnjax.report.markdown import render_markdown
from rnnjax.report.page import Page, drawn
from rnnjax.store import write_atomically

__all__ = ["DIGESTS", "write_report"]

DIGESTS = "report.sha256"
"""File with the digests of a report's other files."""


def write_report(page: Page, folder: str | os.PathLike[str]) -> Path:
    """Writes `figures/*.png`, `report.md` and `report.html` into `folder`; returns the HTML's path.

    `report.sha256` has the digests of all of them, as `sha256sum --check` reads them. All files are
    rendered before the first is written, and each is replaced atomically: a call that fails or is
    interrupted leaves no partial file. Raises `OSError` if `folder` is not writable.
    """
    page, folder = drawn(page), Path(folder)
    files: dict[Path, bytes] = {}
    for section in page.sections:
        for picture in section.figures:
            assert isinstance(picture.image, bytes)
            files[folder / "figures" / f"{picture.name}.{picture.suffix}"] = picture.image
    files[folder / "report.md"] = render_markdown(page).encode()
    files[folder / "report.html"] = render_html(page).encode()
    lines = [
        f"{hashlib.sha256(data).hexdigest()}  {path.relative_to(folder).as_posix()}\n"
        for path, data in files.items()
    ]
    files[folder / DIGESTS] = "".join(lines).encode()
    for path, data in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, data)
    return folder / "report.html"
