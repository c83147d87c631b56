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
    table = Table(title=what, box=None, padding=(0, 1, 0, 0), pad_edge=False)
    for place, name in enumerate(rows[0]):  # only names in the first column may take more lines
        table.add_column(name.replace(" ", "\n"), no_wrap=place > 0)
    for row in rows:
        table.add_row(*(f"{v:.4g}" if isinstance(v, float) else str(v) for v in row.values()))
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
