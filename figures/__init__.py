"""Theory figures: one module per figure, each with the numbers behind it as CSV.

A figure module has a TITLE, a SIZE in inches, ``compute()`` from package calls to a table, and
``draw(table, figure)`` from the table to axes. The module's name is the figure's name.
"""

from figures.build import FigureError, build, names

__all__ = ["FigureError", "build", "names"]
