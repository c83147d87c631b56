"""``python -m figures [NAME...] [--out DIR] [--format png,pdf,svg]``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from tqdm import tqdm

from figures.build import FigureError, MissingResults, build, check, names

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.command()
def main(
    which: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="Figures; all by default.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder to write to.")] = Path("rdp-figures"),
    formats: Annotated[
        str, typer.Option("--format", help="Image formats, comma-separated: png, pdf, svg.")
    ] = "png",
    rho: Annotated[
        list[float] | None,
        typer.Option(help="Correlation in place of that of the gallery; repeat it for several."),
    ] = None,
    rates: Annotated[
        list[str] | None,
        typer.Option(
            metavar="X or X1,X2,...",
            help="Bits in place of those of the gallery: of the first frame, of the first and of "
            "each later frame, or of each frame, as the figure has them.",
        ),
    ] = None,
    show: Annotated[bool, typer.Option("--list", help="List the figures and exit.")] = False,
) -> None:
    """Make figures, each with the numbers behind it as CSV.

    Without names, the command leaves out a figure whose results do not exist, and says so.

    python -m figures error_permanence --rho 0.8 --rates 0.5,2
    """
    if show:
        typer.echo("\n".join(names()))
        return
    chosen, forms = which or names(), [form.strip() for form in formats.split(",")]
    try:
        check(chosen, forms)
        if (rho or rates) and len(chosen) != 1:
            raise FigureError("rho, rates: expected the name of one figure")
        bits = [[float(bit) for bit in row.split(",")] for row in rates or []]
    except ValueError as error:
        what = error if isinstance(error, FigureError) else f"rates: expected numbers, {error}"
        typer.echo(str(what), err=True)
        raise typer.Exit(2) from None
    bar = tqdm(chosen, unit="figure")
    missing = []
    for name in bar:
        bar.set_description(name)
        try:
            build(name, out, forms, rho or (), bits)
        except MissingResults as error:
            missing.append(f"{name}: left out: {error}")
        except FigureError as error:
            bar.close()
            typer.echo(str(error), err=True)
            raise typer.Exit(2) from None
    made = len(chosen) - len(missing)
    typer.echo(f"{made} figure{'s' * (made != 1)} in {out}")
    if missing:
        typer.echo("\n".join(missing), err=True)
        raise typer.Exit(1 if which else 0)


if __name__ == "__main__":
    app(prog_name="python -m figures")
