"""Tables of the guide: which loss, which solver, and the benchmarks of the codecs."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from generate.paths import GENERATED, ROOT
from generate.tables import number, table

RESULTS = ROOT / "benchmarks" / "results"
# Benchmarks that say which solver to take, in the order of the page.
SOLVER_BENCHMARKS = ("newton", "agreement", "fuzz", "lookahead", "vector", "closed_form")


def which_plf() -> str:
    """Table of distortions and correlations, from the numbers behind the figure."""
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
    """Yield a section for each benchmark with results: title, table, command and versions."""
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
        where = f"-m benchmarks.{script.stem}"
        yield (
            f"`python {where}`, {made['date'][:10]}, {made['cores']} cores, "
            f"Python {made['python']}, {versions}.\n"
        )


def docstring(path: Path) -> str:
    """Docstring of a module, without importing it."""
    return ast.get_docstring(ast.parse(path.read_text())) or ""
