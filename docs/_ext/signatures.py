"""Signatures as the source has them, so that shapes stay readable: `Float[Array, 'B T N']`."""

import ast
import dataclasses
import functools
import inspect
import textwrap
from typing import Any

import public_names


@functools.cache
def addresses() -> dict[int, str]:
    """Identity of a public class -> its address, for links."""
    rows = [name for names in public_names.public_names().values() for name in names]
    return {id(name.value): name.entry for name in rows if name.kind == "class"}


class Linked(ast.NodeTransformer):
    """Names of public classes in an annotation become their addresses."""

    def __init__(self, owner: Any):
        module = inspect.getmodule(owner)
        self.scope = vars(module) if module else {}

    def visit_Name(self, node: ast.Name) -> ast.AST:
        """Replaces the name of a public class."""
        address = addresses().get(id(self.scope.get(node.id)))
        return ast.parse(address, mode="eval").body if address else node


def syntax(thing: Any) -> Any:
    """The definition of a function or class in its source."""
    return ast.parse(textwrap.dedent(inspect.getsource(thing))).body[0]


def of_function(function: Any, bound: bool) -> tuple[str, str | None]:
    """Arguments and result; without the first argument of a bound method."""
    plain = inspect.unwrap(function)
    tree, linked = syntax(plain), Linked(plain)
    arguments = tree.args
    if bound and arguments.args and arguments.args[0].arg in ("self", "cls"):
        arguments.args.pop(0)
    linked.visit(arguments)
    result = None if tree.returns is None else ast.unparse(linked.visit(tree.returns))
    return f"({ast.unparse(arguments)})", result


def of_class(cls: type) -> tuple[str, str | None]:
    """Arguments of a class: its fields, or those of its `__init__`."""
    if dataclasses.is_dataclass(cls):
        names = [field.name for field in dataclasses.fields(cls) if field.init]
        return f"({', '.join(fields(cls, names))})", None
    if hasattr(cls, "_fields"):
        return f"({', '.join(fields(cls, list(getattr(cls, '_fields'))))})", None  # noqa: B009
    own = vars(cls).get("__init__")
    has_source = inspect.isfunction(own) and own.__module__ == cls.__module__
    return of_function(own, bound=True) if has_source and not is_protocol(cls) else ("", None)


def is_protocol(cls: type) -> bool:
    """Whether a class is an interface, whose `__init__` is of no use."""
    return bool(getattr(cls, "_is_protocol", False))


def fields(cls: type, names: list[str]) -> list[str]:
    """The fields of a dataclass or named tuple, each as an argument."""
    found: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        if not base.__module__.startswith("rnnjax"):
            continue
        for statement in syntax(base).body:
            if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
                kind = ast.unparse(Linked(base).visit(statement.annotation))
                default = f" = {ast.unparse(statement.value)}" if statement.value else ""
                found[statement.target.id] = f"{statement.target.id}: {kind}{default}"
    return [found[name] for name in names]
