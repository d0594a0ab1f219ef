"""A page as Markdown with references to image files."""

from rnnjax.report.page import Page, Picture, Section, Table

__all__ = ["render_markdown"]


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _table(table: Table) -> str:
    rules = ["---" if side == "l" else "---:" for side in table.align]
    rows = [table.columns, tuple(rules), *table.rows]
    lines = ["| " + " | ".join(_cell(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines) + (f"\n\n*{table.caption}*" if table.caption else "")


def _picture(picture: Picture, folder: str) -> str:
    image = f"![{picture.name.replace('_', ' ')}]({folder}/{picture.name}.{picture.suffix})"
    return image + (f"\n\n*{picture.caption}*" if picture.caption else "")


def _section(section: Section, folder: str) -> list[str]:
    parts = [f"## {section.heading}", section.text.strip()]
    parts += [_picture(picture, folder) for picture in section.figures]
    return parts + [_table(table) for table in section.tables]


def render_markdown(page: Page, folder: str = "figures") -> str:
    """Returns the page as Markdown, with images at the relative path `<folder>/<name>.png`."""
    parts = [f"# {page.title}", page.subtitle and f"*{page.subtitle}*", f"**{page.lead}**"]
    for section in page.sections:
        parts += _section(section, folder)
    if page.provenance:
        table = Table(("", ""), page.provenance, align="ll")
        parts += ["## How this page was made", _table(table)]
    return "\n\n".join(part for part in parts if part) + "\n"
