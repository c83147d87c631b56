r"""Entropy coding of lattice points, given the dither, for Gaussian input.

The probability of the point :math:`\lambda = Q(x + d)` of Gaussian x, given the dither d, is the
probability that x falls in the cell around :math:`\lambda - d`.

- Z: exactly a difference of Gaussian distribution functions at the two ends of the cell.
- Construction B, :math:`\lambda = c + 2z`: a point has the weight
  :math:`\prod_i g(\lambda_i - d_i)`. Here g is the Gaussian density with the variance of
  :math:`x + N`. The weights are normalised *exactly* over the lattice: with
  :math:`A_i = \sum_{z_i} g` and :math:`B_i = \sum_{z_i} (-1)^{z_i} g`, the points of one codeword
  that have even :math:`\sum z_i` weigh :math:`\frac12 (\prod_i A_i + \prod_i B_i)`. The codeword
  is coded first, then one coordinate after another, given the parity that the remaining
  coordinates must have. So the last coordinate needs one bit less. Derived in this project.

The weights are made by additions, multiplications and divisions of single elements. So encoder and
decoder agree to the last bit on any machine. If they do not, the checksum of the chunk detects it.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable

import numpy as np

from rdp.codec.bitstream import Coder, CorruptStream
from rdp.codec.lattices import Lattice

Array = np.ndarray

SMOOTH_SD = 1.8  # above it, sums over every second integer differ from the integral by < 1e-6
MAX_WINDOW = 40  # integers on each side in the tables; samples farther away are coded without them
_CHUNK = 1024  # blocks whose tables are in memory at one time


def code_points(
    coder: Coder, lattice: Lattice, dither: Array, sd: float, points: Array | None = None
) -> Array:
    """Encode lattice points, or decode them where points is None; return them, (n, B) integers.

    Parameters
    ----------
    coder : Encoder or Decoder
    lattice : Lattice of dimension n
    dither : (n, B) array, in [0, period]
        Added to the input before quantisation, in units of the lattice.
    sd : float, > 0
        Standard deviation of the input per coordinate, in units of the lattice.
    points : (n, B) array of int, or None
        Lattice points to encode; None to decode.
    """
    if lattice.code is None:
        return coder.gaussian(dither, sd, points)
    spread = np.sqrt(sd * sd + lattice.second_moment)
    window = coder.number(None if points is None else _window(dither, spread, points))
    if window > MAX_WINDOW:
        raise CorruptStream(f"chunk: expected a window of at most {MAX_WINDOW}, got {window}")
    if window == 0:
        return _code_smooth(coder, lattice.code, dither, spread, points)
    out = np.empty(dither.shape, dtype=np.int64)
    for start in range(0, dither.shape[1], _CHUNK):
        block = slice(start, start + _CHUNK)
        part = None if points is None else points[:, block]
        out[:, block] = _code_exact(coder, lattice.code, dither[:, block], spread, window, part)
    return out


def _window(dither: Array, spread: float, points: Array) -> int:
    """Return the number of integers on each side of the dither in the tables; 0: no tables."""
    farthest = int(np.abs(points - dither).max(initial=0)) + 1
    window = max(farthest, int(np.ceil(8 * spread)))
    return 0 if spread >= SMOOTH_SD or window > MAX_WINDOW else window


def _code_smooth(
    coder: Coder, code: Array, dither: Array, spread: float, points: Array | None
) -> Array:
    """Code points of a wide distribution: codewords and parities are equally likely.

    Coordinates are Gaussian in steps of 2. The parity of the last one is known, so it comes in
    steps of 4. A rounded Gaussian of variance s^2 - 1/12 has the variance s^2.
    """
    word = None if points is None else _codeword(code, points)
    word = coder.table(np.ones((dither.shape[1], len(code))), word)
    c = code[word].T
    z = None if points is None else (points - c) // 2
    mean = (dither - c) / 2
    first = coder.gaussian(mean[:-1], _rounded_sd(spread / 2), None if z is None else z[:-1])
    parity = first.sum(axis=0) & 1
    half = None if z is None else (z[-1] - parity) // 2
    half = coder.gaussian((mean[-1] - parity) / 2, _rounded_sd(spread / 4), half)
    z = np.concatenate([first, (parity + 2 * half)[None]])
    return c + 2 * z


def _rounded_sd(sd: float) -> float:
    return float(np.sqrt(max(sd * sd - 1 / 12, 1 / 12)))


def _code_exact(
    coder: Coder, code: Array, dither: Array, spread: float, window: int, points: Array | None
) -> Array:
    """Code points of a narrow distribution by tables of weights, normalised over the lattice."""
    n, blocks = dither.shape
    least = -2 * (window // 4 + 1)  # even, so that a column has the parity of its z
    weights = _weights(dither, spread, range(least, window // 2 + 4))
    total = [_sum(w) for w in weights]
    signed = [_sum(w[::2]) - _sum(w[1::2]) for w in weights]
    word = None if points is None else _codeword(code, points)
    word = coder.table(_word_weights(code, total, signed).T, word)
    c = code[word].T
    columns = None if points is None else (points - c) // 2 - least
    ahead = _products_ahead(*(np.where(c, pair[1], pair[0]) for pair in (total, signed)))
    out = np.empty(dither.shape, dtype=np.int64)
    parity = np.zeros(blocks, dtype=np.int64)
    for i in range(n):
        all_sums, signed_sums = ahead[i + 1]
        even, odd = all_sums + signed_sums, all_sums - signed_sums
        table = np.where(c[i], weights[1][:, i], weights[0][:, i])
        table[::2] *= np.where(parity, odd, even)  # later ones must have the parity of the earlier
        table[1::2] *= np.where(parity, even, odd)
        np.maximum(table, 0.0, out=table)
        column = coder.table(table.T, None if columns is None else columns[i])
        parity ^= column & 1
        out[i] = c[i] + 2 * (column + least)
    return out


def _weights(dither: Array, spread: float, z: range) -> tuple[Array, Array]:
    """Return g(c + 2z - d) for c = 0 and 1, each (Z, n, B), up to one factor per coordinate.

    g(a - d) is proportional to exp(-a^2 / 2 s^2) exp(d / s^2)^a.
    """
    variance = spread * spread
    base = portable_exp(dither / variance)
    square = base * base
    power = np.ones_like(dither)
    for _ in range(-z[0]):
        power /= square
    out = np.empty((2, len(z), *dither.shape))
    for k, a in enumerate(range(2 * z[0], 2 * z[-1] + 1, 2)):
        out[0, k] = portable_exp(np.array(-a * a / (2 * variance))) * power
        out[1, k] = portable_exp(np.array(-((a + 1) * (a + 1)) / (2 * variance))) * (power * base)
        power *= square
    out /= _sum(out[0]) + _sum(out[1])
    return out[0], out[1]


def _word_weights(code: Array, total: list[Array], signed: list[Array]) -> Array:
    """Twice the weight of all points of each codeword, (C, B)."""
    out = np.empty((len(code), total[0].shape[1]))
    for index, word in enumerate(code):
        both = [np.ones(out.shape[1]), np.ones(out.shape[1])]
        for i, bit in enumerate(word):
            both[0] *= total[bit][i]
            both[1] *= signed[bit][i]
        out[index] = both[0] + both[1]
    return np.maximum(out, 0.0)


def _products_ahead(total: Array, signed: Array) -> list[tuple[Array, Array]]:
    """Products of A_j and of B_j over j >= i, for i = 0..n; the last is 1."""
    out = [(np.ones(total.shape[1]), np.ones(total.shape[1]))]
    for a, b in zip(total[::-1], signed[::-1], strict=True):
        out.append((out[-1][0] * a, out[-1][1] * b))
    return out[::-1]


def _codeword(code: Array, points: Array) -> Array:
    """Index of the codeword c = points mod 2 of each block."""
    place = 1 << np.arange(code.shape[1])
    keys = code @ place
    order = np.argsort(keys)
    return order[np.searchsorted(keys[order], (points & 1).T @ place)]


def _sum(terms: Iterable[Array]) -> Array:
    """Sum in a fixed order, so that the rounding does not depend on a library."""
    return functools.reduce(np.add, terms)


def portable_exp(x: Array) -> Array:
    """Return exp(x) with the same rounding on every machine: series at x / 2^k, then k squarings.

    The exponential functions of libraries round differently.
    """
    halvings = 1 + int(np.frexp(np.abs(x).max(initial=1.0))[1])
    small = x / 2.0**halvings
    out = np.ones_like(small)
    for order in range(14, 0, -1):
        out = 1 + small * out / order
    for _ in range(halvings):
        out = out * out
    return out
