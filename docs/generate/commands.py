"""Page of the command lines, from the programs themselves."""

import os
import re
import subprocess
import sys

from generate.paths import ROOT


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
    return "\n".join(["# Command line", *typer, "## `python -m neural`", *blocks])
