"""What a higher order buys for the modes of a clip: innovation variance and whiteness."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from rdp.autoregressive import AutoRegressive, AutoRegressiveFit
from rdp.linear_source import LinearSource

Array = np.ndarray

MAX_ORDER = 4


class OrderGain(NamedTuple):
    """One order, over all modes that have innovations.

    Parameters
    ----------
    order : int
        p; each mode takes this order, or the highest that was fitted if that is lower.
    innovation : float
        Variance of the innovation of all modes together, over that at order 1.
    whiteness : float
        Median size of the correlation of a prediction error with the one before.
    modes : int
        Number of modes for which this order was taken.
    """

    order: int
    innovation: float
    whiteness: float
    modes: int


@dataclass(frozen=True, eq=False)
class ModeOrders:
    """An autoregressive source for each mode of a clip.

    Parameters
    ----------
    fits : tuple of AutoRegressiveFit or None
        None for modes without innovations.
    """

    fits: tuple[AutoRegressiveFit | None, ...]

    @property
    def order(self) -> Array:
        """Order of each mode, (d,) int array; 0 for modes without innovations."""
        return np.array([0 if fit is None else fit.source.order for fit in self.fits])

    @property
    def sources(self) -> list[LinearSource]:
        """Sources of the modes that have innovations."""
        return [fit.source for fit in self.fits if fit is not None]

    @property
    def innovation(self) -> float:
        """Innovation variance of all modes by the order of each, over that by order 1."""
        fits = [fit for fit in self.fits if fit is not None]
        left = sum(float(fit.innovation[fit.source.order]) for fit in fits)
        return left / sum(float(fit.innovation[min(1, len(fit.innovation) - 1)]) for fit in fits)

    def gains(self) -> list[OrderGain]:
        """What each order from 1 on gives."""
        fits = [fit for fit in self.fits if fit is not None]
        highest = max(len(fit.innovation) for fit in fits)
        first = sum(float(fit.innovation[min(1, len(fit.innovation) - 1)]) for fit in fits)
        out = []
        for p in range(1, highest):
            at = [min(p, len(fit.innovation) - 1) for fit in fits]
            left = sum(float(fit.innovation[i]) for fit, i in zip(fits, at, strict=True))
            white = [abs(float(fit.correlation[i])) for fit, i in zip(fits, at, strict=True)]
            chosen = sum(fit.source.order == p for fit in fits)
            out.append(OrderGain(p, left / first, float(np.median(white)), chosen))
        return out


def mode_orders(
    x: Array, used: Array, order: int | str = "auto", max_order: int = MAX_ORDER
) -> ModeOrders:
    """Fit one autoregressive source to each mode.

    Parameters
    ----------
    x : (n, T, d) array
        n samples of d modes.
    used : (d,) bool array
        Modes that have innovations.
    order : int or "auto"
        p >= 1, below T; "auto" takes, for each mode, the order of least BIC.
    max_order : int
        Largest order that "auto" tries.

    Raises
    ------
    ValueError
        An order that is not below the number of frames, or no mode with innovations.

    Examples
    --------
    >>> x = AutoRegressive([1.5, -0.8]).sample(50, 100, rng=0)[:, :, None]
    >>> mode_orders(x, np.array([True])).order
    array([2])
    """
    if not np.any(used):
        raise ValueError("order: expected a clip with innovations, got none in any mode")
    if order == 0:
        raise ValueError("order: expected an integer >= 1 or 'auto', got 0")
    return ModeOrders(
        tuple(
            AutoRegressive.from_samples(x[:, :, mode], order, max_order) if use else None
            for mode, use in enumerate(used)
        )
    )
