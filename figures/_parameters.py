"""Figures with another correlation or other rates than those of the gallery."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from figures._table import CORRELATIONS


class NotAParameter(ValueError):
    """A figure has no such parameter, or takes another number of values."""


@contextmanager
def changed(
    module: ModuleType, rho: Sequence[float] = (), rates: Sequence[Sequence[float]] = ()
) -> Iterator[None]:
    """Give the constants of a figure other values for a while.

    Parameters
    ----------
    module : module
        Module of the figure.
    rho : sequence of float
        Correlations: one for a figure of one source, several for a figure of several.
    rates : sequence of sequences of float
        Bits: of the first frame; of the first and of each later frame; or of each frame, several
        lists for a figure of several.

    Raises
    ------
    NotAParameter
        The figure has no such parameter, or takes another number of values.
    """
    values = (_correlations(module, rho) if rho else {}) | (_rates(module, rates) if rates else {})
    before = {name: getattr(module, name) for name in values}
    vars(module).update(values)
    try:
        yield
    finally:
        vars(module).update(before)


def _correlations(module: ModuleType, rho: Sequence[float]) -> dict[str, Any]:
    if any(not -1 <= value <= 1 for value in rho):
        raise NotAParameter(f"rho: expected |rho| <= 1, got {', '.join(f'{v:g}' for v in rho)}")
    if hasattr(module, "CORRELATIONS"):
        most = len(CORRELATIONS)
        if not 1 < len(rho) <= most:
            raise NotAParameter(f"rho: {_name(module)} takes 2 to {most} values, got {len(rho)}")
        return {"CORRELATIONS": tuple(sorted(rho))}
    now = getattr(module, "RHO", None)
    if now is None:
        raise NotAParameter(f"rho: {_name(module)} has no correlation to change")
    if isinstance(now, tuple):
        if len(rho) != len(now):
            raise NotAParameter(f"rho: {_name(module)} takes {len(now)} values, got {len(rho)}")
        return {"RHO": tuple(rho)}
    if len(rho) != 1:
        raise NotAParameter(f"rho: {_name(module)} takes one value, got {len(rho)}")
    return {"RHO": rho[0]}


def _rates(module: ModuleType, rates: Sequence[Sequence[float]]) -> dict[str, Any]:
    if any(value < 0 for row in rates for value in row):
        raise NotAParameter("rates: expected values >= 0")
    names = [name for name in ("FIRST_RATE", "LATER_RATE") if hasattr(module, name)]
    if names:
        if len(rates) != 1 or len(rates[0]) != len(names):
            what = " and ".join(name.lower().replace("_", " ") for name in names)
            raise NotAParameter(f"rates: {_name(module)} takes the {what}")
        return dict(zip(names, rates[0], strict=True))
    now = getattr(module, "RATES", None)
    if not isinstance(now, tuple):
        raise NotAParameter(f"rates: {_name(module)} has no rates to change")
    several = isinstance(now[0], tuple)
    count, length = (len(now), len(now[0])) if several else (1, len(now))
    if len(rates) != count or any(len(row) != length for row in rates):
        lists = f"{count} lists of {length} values" if several else f"one list of {length} values"
        raise NotAParameter(f"rates: {_name(module)} takes {lists}")
    return {"RATES": tuple(tuple(row) for row in rates) if several else tuple(rates[0])}


def _name(module: ModuleType) -> str:
    return module.__name__.rpartition(".")[2]
