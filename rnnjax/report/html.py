"""A page as one self-contained HTML file: images and styles embedded, no script, no link."""

import base64
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup, escape

from rnnjax.report.page import SUPERSCRIPT, Page, Picture, drawn, plain, text_blocks

__all__ = ["render_html"]

_MEDIA = {"png": "image/png", "svg": "image/svg+xml"}


def _data_address(picture: Picture) -> str:
    """The image as a data address; an SVG too, so that its markup does not become the page's."""
    assert isinstance(picture.image, bytes)
    return f"data:{_MEDIA[picture.suffix]};base64,{base64.b64encode(picture.image).decode()}"


def _marked(text: str) -> Markup:
    """Escaped text with its superscripts."""
    return Markup(SUPERSCRIPT.sub(r"<sup>\1</sup>", str(escape(text))))


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("rnnjax.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["marked"] = _marked
    environment.filters["plain"] = plain
    environment.filters["text_blocks"] = text_blocks
    environment.filters["data_address"] = _data_address
    return environment.get_template("page.html")


def render_html(page: Page) -> str:
    """Returns the page as HTML: text escaped, figures as PNG at twice the displayed size."""
    return _template().render(page=drawn(page))
