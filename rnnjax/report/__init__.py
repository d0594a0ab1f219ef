"""Reports: a page as one self-contained HTML file and as Markdown with image files."""

from rnnjax.report.comparison import comparison_page
from rnnjax.report.html import render_html
from rnnjax.report.markdown import render_markdown
from rnnjax.report.page import Page, Picture, Section, Table
from rnnjax.report.provenance import Provenance
from rnnjax.report.write import write_report

__all__ = [
    "Page",
    "Picture",
    "Provenance",
    "Section",
    "Table",
    "comparison_page",
    "render_html",
    "render_markdown",
    "write_report",
]
