"""The public names of rnnjax: where each is listed, documented and defined.

A name is public if it is in `__all__` of `rnnjax`, of a public package or of a public module of
one. It is documented once, at its shortest address, and every other address refers to that one.
"""

import ast
import functools
import importlib
import inspect
import itertools
import re
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import rnnjax

ROOT = Path(__file__).resolve().parents[2]

PACKAGES = ("rnnjax", *sorted(f"rnnjax.{name}" for name in (*rnnjax._PACKAGES, "trajectory")))
"""What has a page of its own in the reference."""


SENTENCE = re.compile(r".*?(?<! al)(\.(?= [A-Z`])|$)")


class Name(NamedTuple):
    """One public name at one of its addresses."""

    address: str
    """As a user writes it, such as `rnnjax.analysis.power_law`."""
    value: Any
    home: str
    """The module that defines it, such as `rnnjax.analysis.scaling`."""
    entry: str
    """The address at which it is documented; its own, or a shorter one of the same object."""

    @property
    def short(self) -> str:
        """The last part of the address."""
        return self.address.rpartition(".")[2]

    @property
    def kind(self) -> str:
        """`class`, `function`, `module` or `data`."""
        if inspect.ismodule(self.value):
            return "module"
        if inspect.isclass(self.value):
            return "class"
        ours = str(getattr(self.value, "__module__", "")).startswith("rnnjax")
        return "function" if callable(self.value) and ours else "data"

    @property
    def doc(self) -> str:
        """The docstring; of data, the string below the assignment."""
        if self.kind == "data":
            return data_docs(self.home).get(self.short, "")
        own = vars(self.value) if self.kind == "class" else {"__doc__": self.value.__doc__}
        text = inspect.cleandoc(own.get("__doc__") or "")
        return "" if text.startswith(f"{self.short}(") else text  # made by dataclass

    @property
    def summary(self) -> str:
        """The first sentence."""
        paragraph = " ".join(self.doc.split("\n\n")[0].split())
        return SENTENCE.match(paragraph).group()  # type: ignore[union-attr]


@functools.cache
def parsed(module: str) -> ast.Module:
    """The syntax tree of a module."""
    file = importlib.import_module(module).__file__
    return ast.parse(Path(str(file)).read_text(encoding="utf-8"))


@functools.cache
def data_docs(module: str) -> dict[str, str]:
    """Assigned name -> the string that follows its assignment."""
    body, found = parsed(module).body, {}
    for statement, after in itertools.pairwise(body):
        targets = getattr(statement, "targets", [getattr(statement, "target", None)])
        if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
            for target in targets:
                if isinstance(target, ast.Name):
                    found[target.id] = inspect.cleandoc(str(after.value.value))
    return found


def home(module: str, name: str, value: Any) -> str:
    """The module that defines a name which `module` lists."""
    if inspect.ismodule(value):
        return value.__name__
    imports = [each for each in ast.walk(parsed(module)) if isinstance(each, ast.ImportFrom)]
    for statement in imports:
        if any((alias.asname or alias.name) == name for alias in statement.names):
            return home(str(statement.module), name, value)
    return module if name in dir(importlib.import_module(module)) else str(value.__module__)


def listed(module: ModuleType) -> list[tuple[str, Any]]:
    """What `__all__` of a module lists."""
    return [(name, getattr(module, name)) for name in module.__all__]


@functools.cache
def public_names() -> dict[str, list[Name]]:
    """Package -> its public names, those of its public modules included."""
    pages: dict[str, list[tuple[str, str, Any]]] = {}
    for package in PACKAGES:
        pages[package] = rows = []
        for name, value in listed(importlib.import_module(package)):
            rows.append((package, name, value))
            if package != "rnnjax" and inspect.ismodule(value):
                rows += [(value.__name__, inner, v) for inner, v in listed(value)]
    entries: dict[tuple[str, str], str] = {}
    homes = {
        (module, name): (home(module, name, value), name)
        for rows in pages.values()
        for module, name, value in rows
    }
    for module, name in sorted(homes, key=lambda place: (place[0].count("."), place)):
        entries.setdefault(homes[module, name], f"{module}.{name}")
    return {
        package: [
            Name(f"{m}.{n}", value, homes[m, n][0], entries[homes[m, n]]) for m, n, value in rows
        ]
        for package, rows in pages.items()
    }
