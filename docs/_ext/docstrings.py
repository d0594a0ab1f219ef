"""Docstrings as reStructuredText.

The docstrings of rnnjax use Markdown's code spans, indented equations and lists. Spans that are
names become links where something public has that name (`default_role` in conf.py).
"""

import re

SECTION = re.compile(r"\s*(Args|Returns|Raises|Yields|Examples?):$")  # of napoleon
ITEM = re.compile(r"\s*([-*]|\d\.) ")
SPAN = re.compile(r"(`[^`\n]+`)")
ROW = re.compile(r"   [* ] - ")  # of a table
NAME = re.compile(r"`[A-Za-z_][\w.]*`")


def to_rst(lines: list[str]) -> list[str]:
    """The lines of a docstring with the marks of reStructuredText."""
    found: list[str] = []
    code = False  # inside an indented equation
    for line in _tables(lines):
        before = found[-1] if found else ""
        indent = len(line) - len(line.lstrip())
        if line.strip() and indent == 0:
            code = False
        elif line.strip() and not before.strip() and indent >= 4 and not code:
            code = _is_equation(found)
            if code:
                found += ["::", ""]
        if not code and ITEM.match(line) and before.strip() and not _continues(before, indent):
            found.append("")
        found.append(line if code else mark(line))
    return found


def _tables(lines: list[str]) -> list[str]:
    """Tables of Markdown as lists of cells."""
    found: list[str] = []
    for line in lines:
        if not (line.startswith("|") and line.endswith("|")):
            found.append(line)
            continue
        if not (found and ROW.match(found[-1])):
            found += [".. list-table::", "   :header-rows: 1", "   :widths: auto", ""]
        if set(line) <= set("|-: "):
            continue
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        found += [f"   {'* ' if i == 0 else '  '}- {cell}" for i, cell in enumerate(cells)]
    return found


def _is_equation(above: list[str]) -> bool:
    """Whether an indented line below these begins an equation, not a part of a section or item."""
    last = next((line for line in reversed(above) if line.strip()), "")
    return not SECTION.match(last) and not ITEM.match(last) and not last.startswith("  ")


def _continues(before: str, indent: int) -> bool:
    """Whether the line above is in a list already: an item, or the continuation of one."""
    return bool(ITEM.match(before)) or len(before) - len(before.lstrip()) > indent


def mark(line: str) -> str:
    """One line of text: spans that are no names as literals, other characters as themselves."""
    item = ITEM.match(line)
    start = item.end() if item else 0
    parts = SPAN.split(line[start:])
    for i, part in enumerate(parts):
        if i % 2 == 0:
            escaped = part.replace("\\", "\\\\").replace("*", r"\*").replace("|", r"\|")
            parts[i] = re.sub(r"(\w)_(?!\w)", r"\1\\_", escaped)
            continue
        span = part if NAME.fullmatch(part) else f"``{part[1:-1].strip()}``"
        follows = parts[i + 1][:1]
        parts[i] = span + ("\\ " if follows.isalnum() else "")
    return line[:start] + "".join(parts)
