"""``python -m figures [NAME...] [--out DIR] [--format png,pdf,svg]``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from tqdm import tqdm

from figures.build import FigureError, MissingResults, build, check, names

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def main(
    which: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="Figures; all by default.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder to write to.")] = Path("rdp-figures"),
    formats: Annotated[
        str, typer.Option("--format", help="Image formats, comma-separated: png, pdf, svg.")
    ] = "png",
    show: Annotated[bool, typer.Option("--list", help="List the figures and exit.")] = False,
) -> None:
    """Make figures, each with the numbers behind it as CSV.

    Without names, the command leaves out a figure whose results do not exist, and says so.
    """
    if show:
        typer.echo("\n".join(names()))
        return
    chosen, forms = which or names(), [form.strip() for form in formats.split(",")]
    try:
        check(chosen, forms)
    except FigureError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    bar = tqdm(chosen, unit="figure")
    missing = []
    for name in bar:
        bar.set_description(name)
        try:
            build(name, out, forms)
        except MissingResults as error:
            missing.append(f"{name}: left out: {error}")
    made = len(chosen) - len(missing)
    typer.echo(f"{made} figure{'s' * (made != 1)} in {out}")
    if missing:
        typer.echo("\n".join(missing), err=True)
        raise typer.Exit(1 if which else 0)


if __name__ == "__main__":
    app(prog_name="python -m figures")
