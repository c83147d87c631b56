"""What the site computes when it is built: figures, tables, API pages, commands, notebooks.

All of it goes to docs/generated. A number on a page comes from here or from a tested example; none
is typed. ``python docs/generate.py`` writes the files without building the site.
"""

import ast
import importlib
import inspect
import json
import os
import pkgutil
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import ModuleType

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
GENERATED = DOCS / "generated"
PARTS = GENERATED / "parts"  # what pages include
RESULTS = ROOT / "benchmarks" / "results"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

PACKAGES = ("rdp", "solvers", "neural", "figures")
COMMANDS = ("cli", "explore", "__main__")  # documented by their own --help
# Benchmarks that say which solver to take, in the order of the page.
SOLVER_BENCHMARKS = ("newton", "agreement", "causal", "vector", "closed_form")


def generate() -> None:
    """Write everything anew."""
    shutil.rmtree(GENERATED, ignore_errors=True)
    PARTS.mkdir(parents=True)
    figures()
    (PARTS / "which_plf.md").write_text(which_plf())
    (PARTS / "solver_benchmarks.md").write_text("\n".join(benchmarks(SOLVER_BENCHMARKS)))
    (PARTS / "coding_benchmark.md").write_text("\n".join(benchmarks(["coding"])))
    (GENERATED / "commands.md").write_text(commands())
    for package in PACKAGES:
        for name, text in module_pages(package):
            (GENERATED / f"{name}.rst").write_text(text)
    shutil.copytree(ROOT / "notebooks", GENERATED / "notebooks")


def figures() -> None:
    """Make the figures that pages show, and the tables behind them."""
    from figures import build

    pages = "".join(path.read_text() for path in sorted(DOCS.glob("**/*.md")))
    for name in sorted(set(re.findall(r"/generated/(\w+)\.svg", pages))):
        build(name, GENERATED, ["svg"])


def table(rows: Iterable[Sequence[object]]) -> str:
    """Return a Markdown table; the first row is its head."""
    head, *body = ([escaped(cell) for cell in row] for row in rows)
    lines = [head, ["---"] * len(head), *body]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def escaped(cell: object) -> str:
    """Return a cell's text; nothing for None."""
    return "" if cell is None else str(cell).replace("|", "\\|")


def number(value: object) -> object:
    """Return a float with three significant digits, anything else as it is."""
    if not isinstance(value, float):
        return value
    return f"{value:.3g}" if value == 0 or 1e-3 <= abs(value) < 1e4 else f"{value:.1e}"


def which_plf() -> str:
    """Table of distortions paid and correlations kept, from the numbers behind the figure."""
    import pandas as pd

    found = pd.read_csv(GENERATED / "which_plf.csv")
    losses = list(found.plf.unique())
    rows: list[Sequence[object]] = [["Situation", "bits", *losses, *losses]]
    for (situation, bits), part in found.groupby(["situation", "rates_bits"], sort=False):
        part = part.set_index("plf").loc[losses]
        paid = [f"{value:.3f}" for value in part.distortion_3]
        kept = [f"{value:.2f}" for value in part.correlation_23]
        rows.append([situation, bits.replace(" ", ", "), *paid, *kept])
    return table(rows)


def benchmarks(names: Sequence[str]) -> Iterator[str]:
    """Yield a section for each benchmark that was run: what it is, its table, its provenance."""
    for name in names:
        path = RESULTS / f"{name}.json"
        if not path.exists():
            continue
        found = json.loads(path.read_text())
        made = found["provenance"]
        versions = ", ".join(f"{lib} {version}" for lib, version in made["versions"].items())
        script = next(
            path for path in (ROOT / "benchmarks").glob("*.py") if path.stem.endswith(name)
        )
        title, _, text = docstring(script).partition("\n")
        yield f"### {title.rstrip('.?')}\n{text}\n"
        rows = [list(found["rows"][0])]
        rows += [[number(row[key]) for key in rows[0]] for row in found["rows"]]
        yield table(rows)
        timed = script.name.startswith("bench_")
        where = f"benchmarks/{script.name}" if timed else f"-m benchmarks.{name}"
        yield (
            f"`python {where}`, {made['date'][:10]}, {made['cores']} cores, "
            f"Python {made['python']}, {versions}.\n"
        )


def docstring(path: Path) -> str:
    """Docstring of a module that is not imported."""
    return ast.get_docstring(ast.parse(path.read_text())) or ""


def commands() -> str:
    """Reference of the command lines, from the programs themselves."""
    told = os.environ | {"COLUMNS": "88"}
    python = [sys.executable, "-m"]

    def output(*arguments: str) -> str:
        run = subprocess.run(
            [*python, *arguments], cwd=ROOT, env=told, check=True, capture_output=True, text=True
        )
        return run.stdout

    typer = [
        re.sub(r"^#", "##", output("typer", module, "utils", "docs", "--name", name), flags=re.M)
        for module, name in (("solvers.cli", "rdp"), ("figures.__main__", "python -m figures"))
    ]
    typer = [re.sub(r"^(?=rdp |python )", "    ", text, flags=re.M) for text in typer]  # examples
    neural = [output("neural", "--help")]
    for command in re.search(r"\{([\w,]+)\}", neural[0])[1].split(","):
        neural.append(output("neural", command, "--help"))
    blocks = [f"```text\n{text}```\n" for text in neural]
    return "\n".join(["# Command line", *typer, "## `python -m neural`", *blocks])


def public_modules(package: str) -> list[str]:
    """Names of the modules of a package that users may import."""
    found = importlib.import_module(package)
    names = (module.name for module in pkgutil.iter_modules(found.__path__))
    return [f"{package}.{name}" for name in names if name[0] != "_" and name not in COMMANDS]


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
    package, _, stem = name.rpartition(".")
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


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    generate()
