"""A sweep as a page for people: one self-contained HTML file, or Markdown with images beside it."""

from rnnjax.report.collapse import collapse_page
from rnnjax.report.degeneracy import degeneracy_page
from rnnjax.report.html import render_html
from rnnjax.report.latent import latent_page
from rnnjax.report.markdown import render_markdown
from rnnjax.report.memory import memory_page
from rnnjax.report.page import Page, Picture, Section, Table
from rnnjax.report.population import population_page
from rnnjax.report.rescaling import rescaling_page
from rnnjax.report.summary import summary_page
from rnnjax.report.transfer import transfer_page
from rnnjax.report.write import write_report

__all__ = [
    "Page",
    "Picture",
    "Section",
    "Table",
    "collapse_page",
    "degeneracy_page",
    "latent_page",
    "memory_page",
    "population_page",
    "render_html",
    "render_markdown",
    "rescaling_page",
    "summary_page",
    "transfer_page",
    "write_report",
]
