"""Make errors in the code, one at a time, and see whether the tests notice: `make mutants`.

The errors are those of mutants.toml. Each is made in a copy of the repository, and the tests that
are named for its module run there. The tests must pass before. A mutant that no test notices
survives; the exit status is 1 if more than one in twenty does.

Kernels are tested without compilation where the table says so: compiling takes a minute for each.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from benchmarks.report import report

ROOT = Path(__file__).resolve().parents[1]
TABLE = Path(__file__).with_suffix(".toml")
WANTED = 0.95  # share of the mutants that the tests must notice
LONGEST = 600  # seconds of the tests of one mutant; one that takes longer has been noticed


class Mutant(NamedTuple):
    """An error in a file, and the tests that should notice it."""

    what: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]
    compiled: bool


def mutants(table: Path = TABLE) -> list[Mutant]:
    """Return the mutants of a table."""
    modules: list[dict[str, Any]] = tomllib.loads(table.read_text())["module"]
    return [
        Mutant(
            one["what"],
            module["file"],
            one["old"],
            one["new"],
            tuple(module["tests"]),
            module.get("compiled", True),
        )
        for module in modules
        for one in module["mutant"]
    ]


def mutated(mutant: Mutant, content: str) -> str:
    """Return the content of the file with the error."""
    if content.count(mutant.old) != 1 or mutant.old == mutant.new:
        count = content.count(mutant.old)
        raise ValueError(f"{mutant.file}: expected {mutant.old!r} once, got it {count} times")
    return content.replace(mutant.old, mutant.new)


def copy_repository(target: Path) -> None:
    """Copy the files that git knows, and new ones that it does not ignore."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)


def tests_pass(folder: Path, tests: tuple[str, ...], compiled: bool) -> bool:
    """Return whether tests pass in a copy of the repository."""
    settings = os.environ | {
        "PYTHONDONTWRITEBYTECODE": "1",  # else an old error could be read from there
        "NUMBA_CACHE_DIR": str(folder / ".numba_cache"),
        "NUMBA_DISABLE_JIT": "0" if compiled else "1",
    }
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests]
    try:
        run = subprocess.run(
            command, cwd=folder, env=settings, capture_output=True, timeout=LONGEST, check=False
        )
    except subprocess.TimeoutExpired:
        return False
    if run.returncode not in (0, 1, 2):  # tests failed, or a module could not be imported
        raise RuntimeError(run.stdout.decode()[-2000:] + run.stderr.decode()[-2000:])
    return run.returncode == 0


def survivors(chosen: list[Mutant], folder: Path) -> list[Mutant]:
    """Return the mutants that the tests do not notice, in a copy of the repository."""
    found, sound = [], set()
    for mutant in chosen:
        if (mutant.tests, mutant.compiled) not in sound:
            if not tests_pass(folder, mutant.tests, mutant.compiled):
                raise RuntimeError(f"{' '.join(mutant.tests)}: these tests fail without an error")
            sound.add((mutant.tests, mutant.compiled))
        path, began = folder / mutant.file, time.monotonic()
        content = path.read_text()
        path.write_text(mutated(mutant, content))
        try:
            survives = tests_pass(folder, mutant.tests, mutant.compiled)
        finally:
            path.write_text(content)
        state = "SURVIVES" if survives else "noticed"
        seconds = time.monotonic() - began
        print(f"{state} {mutant.file}: {mutant.what} ({seconds:.0f} s)", flush=True)
        found += [mutant] * survives
    return found


def main(arguments: list[str] | None = None) -> int:
    """Try the mutants of the modules on the command line, or all; 0 if enough are noticed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="*", help="modules, by parts of their paths; all by default")
    names = parser.parse_args(arguments).files
    every = mutants()
    chosen = [m for m in every if not names or any(name in m.file for name in names)]
    with TemporaryDirectory() as folder:
        copy_repository(Path(folder))
        alive = survivors(chosen, Path(folder))
    rows = [
        {
            "module": file,
            "mutants": sum(m.file == file for m in chosen),
            "noticed": sum(m.file == file and m not in alive for m in chosen),
        }
        for file in dict.fromkeys(m.file for m in chosen)
    ]
    report("mutants", rows, write=len(chosen) == len(every))
    share = 1 - len(alive) / len(chosen)
    print(f"{len(chosen) - len(alive)} of {len(chosen)} noticed, {share:.0%}")
    return 0 if share >= WANTED else 1


if __name__ == "__main__":
    sys.exit(main())
