r"""The model that the header of a stream carries: a stationary Gauss-Markov source for each mode.

Deviations, correlations and quality are powers of :math:`2^{1/16}`, one byte each. The powers are
products of a table and of powers of two, so that encoder and decoder have the same numbers on any
machine.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

Array = np.ndarray

PER_OCTAVE = 16  # values of a scale from one power of two to the next
ZERO = 64  # index of the scale 1
_MOST_OCTAVES = 12  # between 1 and the least 1 - rho
# 2^(k/16), k = 0..15, to the last digit
_TABLE = (
    1.0, 1.0442737824274138, 1.0905077326652577, 1.1387886347566916,
    1.189207115002721, 1.241857812073484, 1.2968395546510096, 1.3542555469368927,
    1.4142135623730951, 1.4768261459394993, 1.5422108254079407, 1.6104903319492543,
    1.681792830507429, 1.7562521603732995, 1.8340080864093424, 1.9152065613971474,
)  # fmt: skip


def scale(index: int) -> float:
    """Return 2^((index - 64) / 16): from 1/16 to 3915 for an index 0..255.

    Examples
    --------
    >>> scale(64), scale(80), round(scale(72), 4)
    (1.0, 2.0, 1.4142)
    """
    whole, part = divmod(int(index) - ZERO, PER_OCTAVE)
    return math.ldexp(_TABLE[part], whole)


def index_of(value: float) -> int:
    """Return the index of the scale nearest to a value > 0, within 0..255."""
    return min(max(round(PER_OCTAVE * math.log2(value)) + ZERO, 0), 255)


@dataclass(frozen=True, eq=False)
class ModeModel:
    """Deviation and correlation of d modes, as bytes and as numbers.

    Parameters
    ----------
    deviations : (d,) array of uint8
        Indices of sigma; 0 is a mode that the clip does not use.
    correlations : (d,) array of uint8
        Index k of rho = 1 - 2^(-k/16); 0 is no correlation.
    """

    deviations: Array
    correlations: Array

    @property
    def sigma(self) -> Array:
        """Standard deviations, (d,); 0 for unused modes."""
        return np.array([scale(k) if k else 0.0 for k in self.deviations.tolist()])

    @property
    def rho(self) -> Array:
        """Correlations with the frame before, (d,), from 0 to 1."""
        return np.array([1 - scale(ZERO - k) for k in self.correlations.tolist()])

    @classmethod
    def nearest(cls, sigma: Array, rho: Array) -> ModeModel:
        """Return the model nearest to given deviations >= 0 and correlations; negative ones are 0.

        Examples
        --------
        >>> model = ModeModel.nearest(np.array([100.0, 0.0]), np.array([0.97, -0.2]))
        >>> model.sigma.round(1), model.rho.round(3)
        (array([98.7,  0. ]), array([0.97, 0.  ]))
        """
        least = scale(1)
        deviations = [index_of(s) if s >= least else 0 for s in sigma.tolist()]
        gaps = np.clip(1 - rho, 2.0**-_MOST_OCTAVES, 1.0)
        correlations = np.rint(-PER_OCTAVE * np.log2(gaps))
        return cls(np.array(deviations, np.uint8), correlations.astype(np.uint8))


def fit_model(frames: Iterable[Array]) -> ModeModel:
    """Fit a stationary model to the modes of frames, in memory that does not grow with them.

    Parameters
    ----------
    frames : iterable of (n, d) arrays
        Samples of the modes, frame after frame.
    """
    squares: Array | float = 0.0
    products: Array | float = 0.0
    ends: Array | float = 0.0  # squares of the first and the last frame, which have one neighbour
    before: Array | None = None
    count = samples = 0
    for modes in frames:
        own = (modes**2).sum(axis=0)
        squares = squares + own
        if before is None:
            ends = own
        else:
            products = products + (before * modes).sum(axis=0)
        before, count, samples = modes, count + 1, len(modes)
    if before is None:
        raise ValueError("frames: expected at least 1, got none")
    inner = squares - 0.5 * (ends + (before**2).sum(axis=0))
    rho = np.divide(products, inner, out=np.zeros_like(own), where=inner > 0)
    return ModeModel.nearest(np.sqrt(squares / (count * samples)), rho)
