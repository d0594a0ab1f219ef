"""A page as Markdown with references to image files.

Text is escaped, as in the HTML page: values such as labels, commands and errors have no effect as
markup. Characters that mean nothing where they stand are left alone, for readers of the source.
"""

import re

from rnnjax.report.page import SUPERSCRIPT, Page, Picture, Section, Table, TextBlock, text_blocks

__all__ = ["render_markdown"]

_MARKUP = re.compile(
    r"[\\`*|~]"
    r"|<(?=[A-Za-z/!?])"  # of a tag or an address
    r"|&(?=#?\w+;)"  # of a character reference
    r"|(?<![^\W_])_|_(?![^\W_])"  # not inside a word
    r"|\](?=[(\[:])"  # of a link
)
_OPENING = re.compile(r"(\d*)([-#>+=.)])")
"""Start of a heading, quotation, list, rule or underline."""


def _plain(text: str) -> str:
    """Text in one line, without effect as Markdown or HTML."""
    line = _MARKUP.sub(lambda found: "\\" + found[0], " ".join(text.split()))
    return SUPERSCRIPT.sub(r"<sup>\1</sup>", line)


def _paragraph(text: str) -> str:
    """Text that begins a line."""
    line = _plain(text)
    opening = _OPENING.match(line)
    return f"{opening[1]}\\{line[len(opening[1]) :]}" if opening else line


def _fenced(lines: tuple[str, ...]) -> str:
    runs = re.findall("`+", "\n".join(lines))
    fence = "`" * max([3, *(len(run) + 1 for run in runs)])
    return "\n".join([fence, *lines, fence])


def _block(block: TextBlock) -> str:
    if block.kind == "code":
        return _fenced(block.lines)
    if block.kind == "list":
        return "\n".join(f"- {_paragraph(line)}" for line in block.lines)
    return "\n".join(map(_paragraph, block.lines))


def _table(table: Table) -> str:
    rules = ["---" if side == "l" else "---:" for side in table.align]
    rows = [[_plain(cell) for cell in row] for row in (table.columns, *table.rows)]
    rows.insert(1, rules)
    lines = "\n".join("| " + " | ".join(row) + " |" for row in rows)
    return f"*{_plain(table.caption)}*\n\n{lines}" if table.caption else lines


def _picture(picture: Picture, folder: str) -> str:
    alternative = re.sub(r"(?<!\\)[\[\]]", r"\\\g<0>", _plain(picture.alternative))
    image = f"![{alternative}]({folder}/{picture.name}.{picture.suffix})"
    return f"{image}\n\n*{_plain(picture.caption)}*" if picture.caption else image


def _section(section: Section, folder: str) -> list[str]:
    parts = [f"## {_plain(section.heading)}", *map(_block, text_blocks(section.text))]
    parts += [_picture(picture, folder) for picture in section.figures]
    return parts + [_table(table) for table in section.tables]


def render_markdown(page: Page, folder: str = "figures") -> str:
    """Returns the page as Markdown: text escaped, images at `<folder>/<name>.png`."""
    subtitle = page.subtitle and f"*{_plain(page.subtitle)}*"
    parts = [f"# {_plain(page.title)}", subtitle, f"**{_plain(page.lead)}**"]
    for section in page.sections:
        parts += _section(section, folder)
    if page.provenance:
        table = Table(("", ""), page.provenance, align="ll")
        parts += ["## How this page was made", _table(table)]
    return "\n\n".join(part for part in parts if part) + "\n"
