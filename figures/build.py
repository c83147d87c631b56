"""Find figure modules, compute their tables, draw and save them."""

from __future__ import annotations

import pkgutil
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import numpy as np

from figures._parameters import NotAParameter, changed
from rdp._files import replacing

FORMATS = ("png", "pdf", "svg")
_NOT_FIGURES = ("build",)
STEP_MS = 700  # time of one step of an animation

# The files hold no dates, so that the same numbers give the same bytes.
_METADATA: dict[str, dict[str, None]] = {
    "png": {},
    "pdf": {"CreationDate": None, "ModDate": None},
    "svg": {"Date": None},
}


class FigureError(ValueError):
    """A figure or an image format is unknown."""


class MissingResults(FigureError):
    """The results that a figure draws do not exist."""


def names() -> list[str]:
    """Return the names of all figures.

    Returns
    -------
    list of str

    Examples
    --------
    >>> "error_permanence" in names()
    True
    """
    found = (module.name for module in pkgutil.iter_modules([str(Path(__file__).parent)]))
    return [name for name in found if not name.startswith("_") and name not in _NOT_FIGURES]


def build(
    name: str,
    out: Path | str,
    formats: Sequence[str] = ("png",),
    rho: Sequence[float] = (),
    rates: Sequence[Sequence[float]] = (),
) -> list[Path]:
    """Make one figure and the CSV behind it.

    Parameters
    ----------
    name : str
        Name of the figure, one of :func:`names`.
    out : path
        Folder to write to; it is created if missing.
    formats : sequence of {"png", "pdf", "svg"}
        Image formats.
    rho : sequence of float
        Correlations in place of those of the gallery, for figures that have some.
    rates : sequence of sequences of float
        Rates in place of those of the gallery: of the first frame, of the first and of each later
        frame, or of each frame, as the figure has them.

    Returns
    -------
    list of Path
        The files written: the table, the images, and the GIF of an animated figure.

    Raises
    ------
    FigureError
        Unknown figure or format, or parameters that the figure does not have.
    MissingResults
        The figure needs measured points, and none exist. Nothing is written.
    """
    check([name], formats)
    module = import_module(f"figures.{name}")
    try:
        with changed(module, rho, rates):
            return _built(module, name, Path(out), formats)
    except NotAParameter as error:
        raise FigureError(str(error)) from None


def _built(module: ModuleType, name: str, folder: Path, formats: Sequence[str]) -> list[Path]:
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from solvers.plotting import RC

    table = module.compute()
    folder.mkdir(parents=True, exist_ok=True)
    written = [folder / f"{name}.csv"]
    with replacing(written[0], "w", newline="", encoding="utf-8") as file:
        table.to_csv(file, index=False, float_format="%.10g")
    with mpl.rc_context(cast(Any, RC)):
        figure = Figure(figsize=module.SIZE)
        FigureCanvasAgg(figure)
        module.draw(table, figure)
        for form in formats:
            path = folder / f"{name}.{form}"
            with replacing(path) as file:
                figure.savefig(file, format=form, metadata=_METADATA[form])
            written.append(path)
        if hasattr(module, "animate"):
            written.append(_animated(module, table, folder / f"{name}.gif"))
    return written


def _animated(module: ModuleType, table: Any, path: Path) -> Path:
    """Save a GIF with one image for each step of `animate`."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from PIL import Image

    figure = Figure(figsize=module.STRIP, dpi=100)
    canvas = FigureCanvasAgg(figure)
    pictures = []
    for _ in module.animate(table, figure):
        canvas.draw()
        pictures.append(Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("L"))
    with replacing(path) as file:
        pictures[0].save(
            file, "GIF", save_all=True, append_images=pictures[1:], duration=STEP_MS, loop=0
        )
    return path


def check(which: Sequence[str], formats: Sequence[str]) -> None:
    """Raise FigureError if a figure or an image format is unknown.

    Parameters
    ----------
    which : sequence of str
        Names of figures.
    formats : sequence of str
        Image formats.

    Raises
    ------
    FigureError
        Unknown figure or format.
    """
    for name in which:
        if name not in names():
            raise FigureError(f"name: expected one of {', '.join(names())}, got {name!r}")
    for form in formats:
        if form not in FORMATS:
            raise FigureError(f"format: expected one of {', '.join(FORMATS)}, got {form!r}")
