"""Time of `import rdp` in a fresh interpreter, compared with numpy and with no import.

`import rdp` may take 0.25 s more than an interpreter that imports nothing.
"""

import subprocess
import sys
import time

from benchmarks.report import report

STATEMENTS = ("pass", "import numpy", "import rdp", "import solvers")
ROUNDS = 15


def seconds(statement: str) -> float:
    """Return the wall time of a fresh interpreter that runs `statement`."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", statement], check=True)
    return time.perf_counter() - start


def main() -> None:
    # Each round runs all statements, so that a busy moment affects all of them.
    rounds = [[seconds(statement) for statement in STATEMENTS] for _ in range(ROUNDS)]
    best = [min(times) for times in zip(*rounds, strict=True)]
    nothing, numpy = best[0], best[1] - best[0]
    report(
        "import",
        [
            {
                "statement": statement,
                f"seconds (best of {ROUNDS})": total,
                "seconds over nothing": total - nothing,
                "ratio to numpy": (total - nothing) / numpy,
            }
            for statement, total in zip(STATEMENTS, best, strict=True)
        ],
    )


if __name__ == "__main__":
    main()
