"""Figures: one module for each figure, which also writes the numbers behind it as CSV.

The name of a module is the name of its figure. It has a TITLE, a SIZE in inches, ``compute()``,
which returns a table, and ``draw(table, figure)``, which draws the table. An animated figure also
has ``animate(table, figure)``, which yields after each step, and STRIP, the size of the animation.
"""

from figures.build import FigureError, build, names

__all__ = ["FigureError", "build", "names"]
