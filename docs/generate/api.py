"""Pages of the API: one for each package and each public module."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterable, Iterator
from types import ModuleType

PACKAGES = ("rdp", "solvers", "neural", "figures")
COMMANDS = ("cli", "explore", "__main__")  # documented by their own --help


def missing(names: Iterable[str] = ("torch",)) -> list[str]:
    """Return the libraries that are not installed: the pages of `neural` do without them."""
    out = []
    for name in names:
        try:
            importlib.import_module(name)
        except ModuleNotFoundError:
            out.append(name)
    return out


def public_modules(package: str) -> list[str]:
    """Names of the modules that users may import, also those of packages inside the package."""
    names = []
    for module in pkgutil.iter_modules(importlib.import_module(package).__path__):
        if module.name[0] != "_" and module.name not in COMMANDS:
            name = f"{package}.{module.name}"
            names += [name, *(public_modules(name) if module.ispkg else ())]
    return names


def members(module: ModuleType, exported: Iterable[object]) -> list[tuple[str, object]]:
    """Public functions and classes that a module defines and its package does not export."""
    hidden = {id(value) for value in exported}
    found = [
        (name, value)
        for name, value in vars(module).items()
        if name[0] != "_"
        and callable(value)
        and getattr(value, "__module__", None) == module.__name__
        and id(value) not in hidden
        and inspect.getdoc(value)
    ]
    return found


def describe(name: str, value: object) -> str:
    """Return the directive that shows a function or a class with its methods."""
    if not inspect.isclass(value):
        return f".. autofunction:: {name}\n"
    fields = ", ".join(getattr(value, "_fields", ()))  # of a named tuple: listed as parameters
    hidden = f"   :exclude-members: {fields}\n" if fields else ""
    return f".. autoclass:: {name}\n   :members:\n   :member-order: bysource\n{hidden}"


def module_pages(package: str) -> Iterator[tuple[str, str]]:
    """Yield name and text of the page of a package and of each of its public modules."""
    top = importlib.import_module(package)
    exported = {name: getattr(top, name) for name in getattr(top, "__all__", ())}
    modules = public_modules(package)
    parts = [heading(package), f".. automodule:: {package}\n"]
    parts += [describe(f"{package}.{name}", value) for name, value in exported.items()]
    parts.append(".. toctree::\n   :caption: Modules\n")
    parts.append("".join(f"   {name}\n" for name in modules))
    yield package, "\n".join(parts)
    for name in modules:
        yield name, module_page(name, exported)


def module_page(name: str, exported: dict[str, object]) -> str:
    """Text of the page of a module."""
    module = importlib.import_module(name)
    package, stem = name.split(".")[0], name.split(".")[-1]
    parts = [heading(name), f".. automodule:: {name}\n"]
    if stem in exported:  # a function of the same name owns the entry in the index
        parts[-1] += "   :no-index:\n"
    here = [key for key, value in exported.items() if getattr(value, "__module__", "") == name]
    if here:
        names = ", ".join(f":py:obj:`{package}.{key}`" for key in here)
        parts.append(f"Part of :doc:`{package}`: {names}.\n")
    parts.append(f".. py:currentmodule:: {name}\n")
    own = members(module, exported.values())
    parts += [describe(f"{name}.{key}", value) for key, value in own]
    return "\n".join(parts)


def heading(title: str) -> str:
    """Title of a reStructuredText page."""
    return f"{title}\n{'=' * len(title)}\n"
