"""The parts of the site that are computed when it is built.

They are figures, tables, API pages, commands and notebooks, and go to docs/generated. A number on a
page comes from here or from a tested example; none is typed. ``python -m generate`` in the folder
``docs`` writes the files without building the site.
"""

from __future__ import annotations

import re
import shutil

from generate.api import PACKAGES, missing, module_pages, public_modules
from generate.commands import commands
from generate.gallery import gallery
from generate.guide import SOLVER_BENCHMARKS, benchmarks, which_plf
from generate.paths import DOCS, GENERATED, PARTS, PROJECT, ROOT
from generate.tables import table

__all__ = [
    "PACKAGES", "PROJECT", "benchmarks", "gallery", "generate", "missing", "module_pages",
    "public_modules", "table",
]  # fmt: skip


def generate() -> None:
    """Write all parts, after deleting the old ones."""
    from sphinx.ext.autodoc.mock import mock

    from generate.experiments import experiments

    shutil.rmtree(GENERATED, ignore_errors=True)
    PARTS.mkdir(parents=True)
    figures()
    (PARTS / "which_plf.md").write_text(which_plf())
    (PARTS / "solver_benchmarks.md").write_text("\n".join(benchmarks(SOLVER_BENCHMARKS)))
    (PARTS / "window_benchmark.md").write_text("\n".join(benchmarks(["window"])))
    (PARTS / "clip_codec.md").write_text("\n".join(benchmarks(["clip_codec"])))
    (PARTS / "clip_schemes.md").write_text("\n".join(benchmarks(["clip_schemes"])))
    (PARTS / "coding_benchmark.md").write_text("\n".join(benchmarks(["coding"])))
    (PARTS / "robustness.md").write_text("\n".join(benchmarks(["fuzz_inputs", "kills", "mutants"])))
    for name, text in experiments(GENERATED):
        (PARTS / f"{name}.md").write_text(text)
    (GENERATED / "commands.md").write_text(commands())
    (GENERATED / "gallery.md").write_text(gallery(GENERATED))
    with mock(missing()):
        for package in PACKAGES:
            for name, text in module_pages(package):
                (GENERATED / f"{name}.rst").write_text(text)
    shutil.copytree(ROOT / "notebooks", GENERATED / "notebooks")


def figures() -> None:
    """Make the figures on the pages, and the tables behind them."""
    from figures import build

    pages = "".join(path.read_text() for path in sorted(DOCS.glob("**/*.md")))
    for name in sorted(set(re.findall(r"/generated/(\w+)\.svg", pages))):
        build(name, GENERATED, ["svg"])
