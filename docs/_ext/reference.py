"""The API reference, made from `__all__` of the public packages.

The page of a package, `docs/api/<package>.rst`, has a title and an introduction; the names of the
package follow, by the module that defines them.
"""

import importlib
import inspect
from itertools import groupby
from typing import Any

import public_names
import signatures
from docstrings import to_rst
from public_names import Name
from sphinx.application import Sphinx

import rnnjax.typing


def page(package: str) -> list[str]:
    """The names of a package: by module, a table of all and the description of each."""
    names = public_names.public_names()[package]
    lines: list[str] = []
    if package == "rnnjax":
        lines += section("", "Packages", [name for name in names if name.kind == "module"])
        return lines + section("", "Names", [name for name in names if name.kind != "module"])
    for module in sorted({package, *(n.value.__name__ for n in names if n.kind == "module")}):
        lines += [f".. py:module:: {module}", ""]
    plain = sorted((n for n in names if n.kind != "module"), key=lambda n: (n.home, n.short))
    for home, members in groupby(plain, key=lambda name: name.home):
        title = "Whole package" if home == package else home.rpartition(".")[2].replace("_", " ")
        first = inspect.cleandoc(importlib.import_module(home).__doc__ or "").split("\n\n")[0]
        sentence = "" if home == package else first
        lines += section(sentence, title.capitalize(), list(members))
    return lines


def section(sentence: str, title: str, members: list[Name]) -> list[str]:
    """A heading, a table of names and summaries, and the descriptions."""
    rows = {name.entry: name for name in members}.values()  # second addresses once
    lines = [title, "-" * len(title), "", *to_rst(sentence.splitlines()), ""]
    lines += [".. list-table::", "   :widths: auto", "   :class: names", ""]
    for name in rows:
        role = "py:mod" if name.kind == "module" else "py:obj"
        lines.append(f"   * - :{role}:`{name.short} <{name.entry}>`")
        lines.append(f"     - {to_rst([name.summary])[0]}")
    lines.append("")
    for name in members:
        lines += description(name)
    return lines


def description(name: Name) -> list[str]:
    """The entry of a name, or nothing where it is described at another address."""
    if name.entry != name.address or name.kind == "module":
        return []
    if name.kind in ("class", "function"):
        return [f".. auto{name.kind}:: {name.address}", ""]
    body = [f"   {line}" for line in to_rst(name.doc.splitlines())]
    module = name.address.rpartition(".")[0]
    return [f".. py:currentmodule:: {module}", "", f".. py:data:: {name.short}", "", *body, ""]


def overview() -> list[str]:
    """The packages with their first sentences, and the letters of axes; Markdown."""
    lines = ["| package | content |", "|---|---|"]
    for package in public_names.PACKAGES:
        doc = inspect.cleandoc(importlib.import_module(package).__doc__ or "").split("\n")[0]
        lines.append(f"| [{package}]({package.removeprefix('rnnjax.')}.rst) | {doc} |")
    legend = inspect.cleandoc(rnnjax.typing.__doc__ or "").partition("\n\n")[2]
    return [*lines, "", "## Letters of axes", "", legend, ""]


def read_source(app: Sphinx, docname: str, source: list[str]) -> None:
    """Appends what is generated to the pages of the reference."""
    if docname == "docs/api/index":
        source[0] += "\n" + "\n".join(overview())
    elif docname.startswith("docs/api/"):
        package = docname.rpartition("/")[2]
        full = package if package == "rnnjax" else f"rnnjax.{package}"
        source[0] += "\n" + "\n".join(page(full))


def skip_member(app: Sphinx, what: str, name: str, obj: Any, skip: bool, _: Any) -> bool | None:
    """Leaves out fields of named tuples that only have the docstring of every such field."""
    return True if str(getattr(obj, "__doc__", "")).startswith("Alias for field number") else None


def process_docstring(app: Sphinx, what: str, name: str, obj: Any, _: Any, text: list[str]) -> None:
    """Converts a docstring in place."""
    text[:] = to_rst(text)


def process_signature(app: Sphinx, what: str, name: str, obj: Any, *_: Any) -> Any:
    """Arguments and result as in the source; None leaves them as they are."""
    if what == "class" and not issubclass(obj, BaseException):
        return signatures.of_class(obj)
    if what in ("function", "method") and inspect.isfunction(inspect.unwrap(obj)):
        return signatures.of_function(obj, bound=what == "method")
    return None


def setup(app: Sphinx) -> dict[str, bool]:
    """Connects the extension."""
    app.connect("source-read", read_source)
    app.connect("autodoc-skip-member", skip_member)
    app.connect("autodoc-process-docstring", process_docstring, priority=400)  # before napoleon
    app.connect("autodoc-process-signature", process_signature)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
