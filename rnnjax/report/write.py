"""Writing a page to `report.html`, `report.md` and `figures/`."""

import os
from pathlib import Path

from rnnjax.report.html import render_html
from rnnjax.report.markdown import render_markdown
from rnnjax.report.page import Page, drawn
from rnnjax.store import write_atomically

__all__ = ["write_report"]


def write_report(page: Page, folder: str | os.PathLike[str]) -> Path:
    """Writes `figures/*.png`, `report.md` and `report.html` into `folder`; returns the HTML's path.

    All files are rendered before the first is written, and each is replaced atomically: a call that
    fails or is interrupted leaves no partial file. Raises `OSError` if `folder` is not writable.
    """
    page, folder = drawn(page), Path(folder)
    files = {
        folder / "figures" / f"{picture.name}.{picture.suffix}": picture.image
        for section in page.sections
        for picture in section.figures
    }
    files[folder / "report.md"] = render_markdown(page).encode()
    files[folder / "report.html"] = render_html(page).encode()
    for path, data in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        assert isinstance(data, bytes)
        write_atomically(path, data)
    return folder / "report.html"
