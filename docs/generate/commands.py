"""Page of the command lines, from the programs themselves."""

import os
import re
import subprocess
import sys

from generate.paths import ROOT

STATUS = """Every command takes `-h`. `rdp --install-completion` completes commands and options with
the tab key. Tables go to standard output; messages, progress and errors go to standard error.

| exit status | of `rdp`, `python -m figures` and `python -m neural` |
|---|---|
| 0 | done; every number has its certificate, every check passes |
| 1 | a solver found no certified answer, or a check failed; what was found is printed |
| 2 | the input is wrong, or an extra is not installed; one line says what was expected |
| 130 | stopped by Ctrl-C |
| 141 | the reader of a pipe has gone, as in `rdp sweep --csv - | head` |
"""


def commands() -> str:
    """Reference of the command lines, from the programs themselves."""
    environment = os.environ | {"COLUMNS": "88"}
    python = [sys.executable, "-m"]

    def output(*arguments: str) -> str:
        command = [*python, *arguments]
        run = subprocess.run(
            command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True
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
    return "\n".join(["# Command line", STATUS, *typer, "## `python -m neural`", *blocks])
