"""``python -m figures [NAME...] [--out DIR] [--format png,pdf,svg]``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from tqdm import tqdm

from figures.build import FigureError, build, check, names

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def main(
    which: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="Figures to make; all if none.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder to write to.")] = Path("rdp-figures"),
    formats: Annotated[
        str, typer.Option("--format", help="Image formats, comma-separated: png, pdf, svg.")
    ] = "png",
    show: Annotated[bool, typer.Option("--list", help="List the figures and stop.")] = False,
) -> None:
    """Make theory figures, each with the numbers behind it as CSV."""
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
    for name in bar:
        bar.set_description(name)
        build(name, out, forms)
    typer.echo(f"{len(chosen)} figure{'s' * (len(chosen) > 1)} in {out}")


if __name__ == "__main__":
    app(prog_name="python -m figures")
