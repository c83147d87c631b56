"""Gallery of all figures: each with its picture and the code that computes and draws it."""

from __future__ import annotations

import inspect
import shutil
from importlib import import_module
from pathlib import Path
from types import ModuleType

from generate.paths import ROOT

GALLERY = ROOT / "figures" / "gallery"


def gallery(folder: Path) -> str:
    """Text of the page; the pictures of the repository are copied to a folder."""
    from figures.build import names

    parts = [
        "# Gallery\n",
        "All figures of the package, each from one module. `python -m figures NAME` makes one, "
        "with the numbers behind it as CSV; `make figures` makes all. `--rho` and `--rates` "
        "give a figure that has them other values. Each says below for which width it is made: "
        "there its text has 6 to 8 points. For a figure of your own, with your points laid over, "
        "take `rdp curve` or "
        "{py:mod}`solvers.plotting` ({doc}`/your_figure`).\n",
    ]
    for name in names():
        module = import_module(f"figures.{name}")
        picture = GALLERY / f"{name}.png"
        parts.append(f"## {module.TITLE}\n")
        parts.append((module.__doc__ or "").split("\n\n")[0].replace("\n", " ") + "\n")
        if picture.exists():
            shutil.copy(picture, folder / picture.name)
            parts.append(f"![{module.TITLE}](/generated/{picture.name})\n")
        parts.append(
            f"    python -m figures {name}\n\n"
            f"Made for {_width(module.SIZE)} of a paper. API: {{py:mod}}`figures.{name}`.\n\n"
            f"<details><summary>Code</summary>\n\n```python\n{code(module)}```\n\n</details>\n"
        )
    return "\n".join(parts)


def _width(size: tuple[float, float]) -> str:
    """Words for the width of a figure, with its size."""
    width, height = size
    return f"{'one column' if width < 4 else 'both columns'} ({width:g} × {height:g} inches)"


def code(module: ModuleType) -> str:
    """Source of a figure, without its docstring."""
    return inspect.getsource(module).split('"""\n', maxsplit=1)[1].strip() + "\n"
