"""How a benchmark reports: a table to read, and the same numbers with their provenance as JSON."""

import json
import os
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from rdp.operating_point import environment

RESULTS = Path(__file__).parent / "results"


def report(
    what: str,
    rows: Sequence[Mapping[str, object]],
    libraries: Sequence[str] = (),
    write: bool = True,
) -> None:
    """Print `rows`, which share their keys, and write them to results/`what`.json."""
    cells = [list(rows[0])] + [
        [f"{v:.4g}" if isinstance(v, float) else str(v) for v in row.values()] for row in rows
    ]
    table = Table(title=what, box=None, padding=(0, 1, 0, 0), pad_edge=False)
    for column in zip(*cells, strict=True):  # words stay whole where a table must be narrow
        longest = max(len(word) for cell in column for word in cell.split() or [""])
        table.add_column(column[0], min_width=longest)
    for row in cells[1:]:
        table.add_row(*row)
    Console().print(table)
    if not write:
        return
    RESULTS.mkdir(exist_ok=True)
    content = {"benchmark": what, "provenance": provenance(libraries), "rows": list(rows)}
    (RESULTS / f"{what}.json").write_text(json.dumps(content, indent=1) + "\n")


def provenance(libraries: Sequence[str] = ()) -> dict[str, object]:
    """Return what the numbers were made with: commit, versions, date, interpreter, processor."""
    return environment(("numpy", *libraries)) | {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
    }
