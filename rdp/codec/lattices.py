r"""Lattices for quantisation: nearest point, dither over the Voronoi cell, gap to the rate bound.

The error of a lattice quantiser with subtractive dither,
:math:`Q(x + d) - d - x` with :math:`d` uniform over the Voronoi cell, is independent of
:math:`x` and uniform over the (reflected) cell, of variance :math:`\Delta^2 G` per sample at step
:math:`\Delta`. G is the second moment of the cell per coordinate. At high rate the entropy-coded
quantiser needs :math:`\frac12 \log_2(2\pi e\, G V^{-2/n})` bit per sample more than the
rate-distortion function, with V the volume of the cell:

============  =========  ==================
lattice       dimension  gap, bit per sample
============  =========  ==================
Z             1          0.2546
E8            8          0.1460
BW16          16         0.1111
============  =========  ==================

E8 and BW16 are the points c + 2z, c in a binary code, z integers of even sum (construction B):
the repetition code gives 2 E8, the first-order Reed-Muller code gives the Barnes-Wall lattice.
Both contain 4 Z^n. So dither that is uniform over the cube [0, 4)^n does the same as dither over
the Voronoi cell: the two differ by a lattice point.

Conway and Sloane, Sphere Packings, Lattices and Groups (nearest points, second moments of Z and
E8); Pook-Kolb, Agrell and Allen, arXiv:2301.06092 (second moment of BW16); Zamir and Feder, "On
lattice quantization noise", IEEE Trans. Inf. Theory 42 (1996) (dither).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rdp import _check

Array = np.ndarray

_CHUNK = 4096  # blocks per pass of the nearest-point search, so that they stay in cache


@dataclass(frozen=True, eq=False)
class Lattice:
    """A lattice in Z^n that contains period * Z^n.

    Parameters
    ----------
    name : str
        Its key in `LATTICES`.
    dimension : int
        Number of coordinates n.
    period : int
        Side of the cube over which dither is drawn.
    volume : int
        Volume of the Voronoi cell.
    second_moment : float
        Mean of x^2 per coordinate, for x uniform over the Voronoi cell.
    code : (C, n) array of 0 and 1, or None
        Codewords c of construction B; None for Z.

    Examples
    --------
    >>> lattice("E8").nearest(np.full((8, 1), 0.9)).T
    array([[1, 1, 1, 1, 1, 1, 1, 1]])
    """

    name: str
    dimension: int
    period: int
    volume: int
    second_moment: float
    code: Array | None = None

    @property
    def gap(self) -> float:
        """Rate above the rate-distortion function at high rate, bit per sample."""
        normalised = self.second_moment / self.volume ** (2 / self.dimension)
        return float(0.5 * np.log2(2 * np.pi * np.e * normalised))

    def nearest(self, x: Array) -> Array:
        """Return the lattice point nearest to each column of x, (n, B), as integers (n, B)."""
        x = _check.finite("x", _check.array("x", x, ndim=2))
        if len(x) != self.dimension:
            raise ValueError(f"x: expected {self.dimension} rows, got {len(x)}")
        if self.code is None:
            return np.rint(x).astype(np.int64)
        out = np.empty(x.shape, dtype=np.int64)
        for start in range(0, x.shape[1], _CHUNK):
            block = slice(start, start + _CHUNK)
            out[:, block] = _nearest(self.code, x[:, block])
        return out

    def voronoi(self, blocks: int, rng: np.random.Generator | int) -> Array:
        """Draw points uniformly from the Voronoi cell, (n, blocks); an int rng is a seed."""
        rng = _check.generator("rng", rng)
        x = rng.uniform(0, self.period, (self.dimension, _check.count("blocks", blocks)))
        return x - self.nearest(x)


def _nearest(code: Array, x: Array) -> Array:
    """Return the nearest c + 2z, sum z even, over all codewords c.

    For one c each coordinate takes the nearest integer with the parity of c. If sum z is then odd,
    the coordinate with the largest error moves by 2 to the other side. That adds 4 - 4 max |error|
    to the squared distance.
    """
    even = 2 * np.rint(x / 2)
    error = x - even
    off = np.abs(error)  # distance to the nearest even integer; 1 - off to the nearest odd one
    odd = even + np.where(error < 0, -1, 1)
    parity = (even / 2).astype(np.int64) & 1, ((odd - 1) / 2).astype(np.int64) & 1
    best = np.full(x.shape[1], np.inf)
    choice = np.zeros(x.shape[1], dtype=np.int64)
    for index, word in enumerate(code):
        ones, zeros = np.flatnonzero(word), np.flatnonzero(word == 0)
        flip = np.zeros(x.shape[1], dtype=np.int64)
        cost = np.zeros(x.shape[1])
        worst = np.zeros(x.shape[1])
        for i in zeros:
            flip ^= parity[0][i]
            np.maximum(worst, off[i], out=worst)
        for i in ones:
            flip ^= parity[1][i]
            cost += 1 - 2 * off[i]
            np.maximum(worst, 1 - off[i], out=worst)
        cost += flip * (4 - 4 * worst)
        better = cost < best
        best[better] = cost[better]
        choice[better] = index
    word = code[choice].T
    point = np.where(word, odd, even)
    rest = x - point
    flip = ((point - word) / 2).sum(axis=0).astype(np.int64) & 1
    far = np.abs(rest).argmax(axis=0)
    blocks = np.arange(x.shape[1])
    point[far, blocks] += flip * np.where(rest[far, blocks] < 0, -2, 2)
    return point.astype(np.int64)


def _reed_muller() -> Array:
    """Return the 32 codewords of the first-order Reed-Muller code of length 16."""
    place = np.arange(16)
    rows = np.array([np.ones(16, dtype=np.int64), *(place >> bit & 1 for bit in range(4))])
    coefficients = np.arange(32)[:, None] >> np.arange(5) & 1
    return coefficients @ rows % 2


_REPETITION = np.array([np.zeros(8, dtype=np.int64), np.ones(8, dtype=np.int64)])

LATTICES: dict[str, Lattice] = {
    "Z": Lattice("Z", 1, 1, 1, 1 / 12),
    "E8": Lattice("E8", 8, 4, 2**8, 4 * 929 / 12960, _REPETITION),
    "BW16": Lattice("BW16", 16, 4, 2**12, 4 * 207049815983 / 4287303820800, _reed_muller()),
}


def lattice(name: str) -> Lattice:
    """Return the lattice "Z", "E8" or "BW16".

    Examples
    --------
    >>> round(lattice("E8").gap, 4)
    0.146
    """
    if name not in LATTICES:
        raise ValueError(f"lattice: expected one of {', '.join(LATTICES)}, got {name!r}")
    return LATTICES[name]
