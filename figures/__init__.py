"""Figures: one module for each, each with the numbers behind it as CSV.

A figure module has a TITLE, a SIZE in inches, ``compute()`` from package calls to a table, and
``draw(table, figure)`` from the table to axes. The module's name is the figure's name. A figure
that moves has ``animate(table, figure)``, too, which yields after each step, and the size of its
film, STRIP.
"""

from figures.build import FigureError, build, names

__all__ = ["FigureError", "build", "names"]
