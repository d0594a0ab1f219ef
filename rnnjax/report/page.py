"""Content of a page, before any markup: title, sections, tables and pictures."""

import io
import re
from dataclasses import dataclass, replace

from matplotlib.figure import Figure

__all__ = ["Page", "Picture", "Section", "Table", "TextBlock", "drawn", "plain", "text_blocks"]

SUPERSCRIPT = re.compile(r"\^\{([^{}]*)\}")
"""`^{2}` in the texts of a page: a superscript."""

_DISPLAY_DPI = 100
_SHARPNESS = 2  # pixels of the image per pixel of the page


@dataclass(frozen=True)
class Table:
    """Rows of text under column headings; `align` holds `l` or `r` per column (default `lrr...`).

    Raises `ValueError` if a row or `align` does not match the number of columns.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str = ""
    align: str = ""

    def __post_init__(self) -> None:
        width = len(self.columns)
        for row in self.rows:
            if len(row) != width:
                raise ValueError(f"rows: expected {width} cells, one per column, got {row!r}")
        if not self.align:
            object.__setattr__(self, "align", "l" + "r" * (width - 1))
        if len(self.align) != width or set(self.align) - {"l", "r"}:
            raise ValueError(f"align: expected {width} letters l or r, got {self.align!r}")


def plain(text: str) -> str:
    """A text whose superscripts have carets, for places without markup."""
    return SUPERSCRIPT.sub(r"^\1", text)


@dataclass(frozen=True)
class Picture:
    """A figure, or the bytes of a PNG or SVG file, with a caption and a file name without suffix.

    `width` is the displayed width in pixels; by default that of the figure at 100 dots per inch.
    Raises `ValueError` for bytes of another format, or a name with other characters than letters,
    digits, `-` and `_`.
    """

    image: Figure | bytes
    name: str
    caption: str = ""
    width: int | None = None

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", self.name):
            raise ValueError(f"name: expected letters, digits, - and _ only, got {self.name!r}")
        if isinstance(self.image, bytes) and not _format(self.image):
            raise ValueError(f"image: expected a PNG or SVG file, got {self.image[:8]!r}...")

    @property
    def alternative(self) -> str:
        """Text in place of the image: the first sentence of the caption, or the name."""
        first = re.split(r"(?<=[.]) ", plain(self.caption), maxsplit=1)[0]
        return first or self.name.replace("_", " ")

    @property
    def suffix(self) -> str:
        """`png` or `svg`."""
        return "png" if isinstance(self.image, Figure) else _format(self.image)


def _format(data: bytes) -> str:
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    return "svg" if b"<svg" in data[:1000] else ""


@dataclass(frozen=True)
class Section:
    """A heading with text, then its pictures, then its tables.

    Text: paragraphs separated by blank lines; lines that start with `- ` form a list, lines
    indented by four spaces are code. In all texts of a page `N^{2}` is a superscript.
    """

    heading: str
    text: str = ""
    tables: tuple[Table, ...] = ()
    figures: tuple[Picture, ...] = ()


@dataclass(frozen=True)
class Page:
    """A report: `lead` states the finding, `provenance` its origin as (name, value) pairs.

    Raises `ValueError` if two pictures share a name.
    """

    title: str
    lead: str
    sections: tuple[Section, ...] = ()
    subtitle: str = ""
    provenance: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        names = [picture.name for section in self.sections for picture in section.figures]
        double = sorted({name for name in names if names.count(name) > 1})
        if double:
            raise ValueError(f"figures: expected different names, got {', '.join(double)} twice")


@dataclass(frozen=True)
class TextBlock:
    """A paragraph, list or code block: `kind` is `text`, `list` or `code`."""

    kind: str
    lines: tuple[str, ...]


def _block(lines: list[str]) -> TextBlock:
    if all(line.startswith("    ") for line in lines):
        return TextBlock("code", tuple(line[4:] for line in lines))
    if all(line.startswith("- ") for line in lines):
        return TextBlock("list", tuple(line[2:] for line in lines))
    return TextBlock("text", (" ".join(lines),))


def text_blocks(text: str) -> tuple[TextBlock, ...]:
    """Splits a section's text at its blank lines."""
    parts = [part.strip("\n").split("\n") for part in re.split(r"\n\s*\n", text) if part.strip()]
    return tuple(_block(lines) for lines in parts)


def _draw(picture: Picture) -> Picture:
    if isinstance(picture.image, bytes):
        return picture
    buffer = io.BytesIO()
    # Without the software entry the same figure always gives the same file.
    picture.image.savefig(
        buffer, format="png", dpi=_DISPLAY_DPI * _SHARPNESS, metadata={"Software": None}
    )
    width = round(picture.image.get_figwidth() * _DISPLAY_DPI)
    return replace(picture, image=buffer.getvalue(), width=picture.width or width)


def drawn(page: Page) -> Page:
    """The page with every figure rendered as PNG bytes."""
    sections = (
        replace(section, figures=tuple(_draw(picture) for picture in section.figures))
        for section in page.sections
    )
    return replace(page, sections=tuple(sections))
