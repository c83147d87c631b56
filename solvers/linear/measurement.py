r"""Representation of a scalar source of any order: one measurement of the state for each frame.

The encoder measures one direction c_t of the state with white noise; its rate fixes the noise.
With the covariances :math:`P_t^-` and P_t of the state given the representation before and after
frame t, and :math:`k_t^2 = 1 - 2^{-2R_t}`,

.. math::
    u_t = k_t \frac{c_t^T (S_t - A \hat S_{t-1})}{\sqrt{c_t^T P_t^- c_t}}
          + \sqrt{1 - k_t^2}\, n_t, \qquad
    \hat S_t = A \hat S_{t-1} + \gamma_t u_t, \qquad
    \gamma_t = \frac{k_t P_t^- c_t}{\sqrt{c_t^T P_t^- c_t}},

:math:`P_t = P_t^- - \gamma_t \gamma_t^T` and :math:`P_{t+1}^- = A P_t A^T + W`. The u_t are white,
so the MMSE estimate of the frames is :math:`\tilde X = E u` with
:math:`E_{ts} = h^T A^{t-s} \gamma_s`. Tanaka et al., arXiv:1411.7632, for the structure.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rdp import _check
from rdp.linear_source import LinearSource, scalar

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class Representation:
    """Measurements of a source and what a Kalman filter makes of them.

    Parameters
    ----------
    source : LinearSource
        Scalar frames.
    rates : (T,) array, bits per frame
        R_t.
    measurement : (T, n) array
        c_t, the direction of the state that frame t measures; its length has no meaning.
    gain : (T, n) array
        gamma_t = E[S_t u_t].
    error : (T, n, n) array
        P_t, covariance of the state given the representation up to frame t.
    factor : (T, T) array, lower triangular
        E, with Xtil = E u: E[t, s] = E[X_t u_s] for s <= t.
    cross : (T, T) array
        E[X_t u_s] for all t and s; equal to `factor` for s <= t.
    """

    source: LinearSource
    rates: Array
    measurement: Array
    gain: Array
    error: Array
    factor: Array
    cross: Array

    @property
    def mmse(self) -> Array:
        """Error m_t of the MMSE estimate of each frame, (T,)."""
        a, w, h = scalar(self.source)
        out = np.empty(len(self.rates))
        ahead = self.source.realisation().initial
        for t, error in enumerate(self.error):
            sent = self.rates[t] if self.gain[t].any() else 0.0
            out[t] = frame_error(h, ahead, self.measurement[t], sent)
            ahead = a @ error @ a.T + w
        return out

    def simulate(self, n: int, rng: np.random.Generator | int) -> tuple[Array, Array]:
        """Draw sequences, measure them and return the frames x and the white variables u, (n, T).

        Parameters
        ----------
        n : int
            Number of sequences.
        rng : numpy.random.Generator or int
            Randomness of source and encoder; an int is a seed.

        Raises
        ------
        ValueError
            A source that does not return its states.
        """
        from rdp.state_space import StateSpace

        draw = _check.generator("rng", rng)
        frames = len(self.rates)
        states, x = StateSpace(*self.source.realisation()).sample_states(n, frames, draw)
        a, w, _ = scalar(self.source)
        ahead = self.source.realisation().initial
        known, u = np.zeros((n, len(a))), draw.standard_normal((n, frames))
        for t in range(frames):
            c, k = self.measurement[t], np.sqrt(-np.expm1(-2 * np.log(2) * self.rates[t]))
            known = known @ a.T if t else known
            spread = float(c @ ahead @ c)
            u[:, t] *= np.sqrt((1 - k) * (1 + k))
            if spread > 0:
                u[:, t] += k * ((states[:, t] - known) @ c) / np.sqrt(spread)
            known = known + u[:, t, None] * self.gain[t]
            ahead = a @ self.error[t] @ a.T + w
        return x, u


def frame_error(output: Array, ahead: Array, measurement: Array, rate: float) -> float:
    r"""Error of a frame after a measurement, as a sum of two parts that are not negative.

    .. math:: h^T P h = 2^{-2R} h^T P^- h + (1 - 2^{-2R})\, r^T P^- r, \qquad
              r = h - \frac{h^T P^- c}{c^T P^- c} c,

    which keeps its digits at high rates, where :math:`P = P^- - \gamma \gamma^T` loses them.

    Parameters
    ----------
    output, measurement : (n,) arrays
        h and c.
    ahead : (n, n) array
        P^-, covariance of the state before the measurement.
    rate : float, bits
        R; 0 where nothing is measured.
    """
    before = max(float(output @ ahead @ output), 0.0)
    column = ahead @ measurement
    spread = float(measurement @ column)
    if rate == 0 or not spread > 0:
        return before
    rest = output - float(output @ column) / spread * measurement
    share = -float(np.expm1(-2 * np.log(2) * rate))
    return float(np.exp2(-2 * rate)) * before + share * max(float(rest @ ahead @ rest), 0.0)


def represent(source: LinearSource, rates: object, measurement: object = None) -> Representation:
    r"""Run the Kalman filter of an encoder that measures one direction of the state for each frame.

    Parameters
    ----------
    source : LinearSource
        Scalar frames.
    rates : (T,) array, >= 0, bits per frame
        Rates; inf measures without noise.
    measurement : (n,) or (T, n) array, or None
        c_t. None measures the frame itself, c_t = h, which gives the least m_1, then the least m_2
        given that, and so on (the sequential objective): :math:`m_t \ge 2^{-2R_t} v_t` for any
        representation, because frame t gets at most R_t bits.

    Returns
    -------
    Representation

    Raises
    ------
    ValueError
        Vector frames, bad rates, a measurement of the wrong shape or zero.

    Examples
    --------
    >>> from rdp.autoregressive import AutoRegressive
    >>> represent(AutoRegressive([0.9]), [0.5, 0.5]).mmse
    array([0.5   , 0.2975])
    """
    a, w, h = scalar(source)
    bits = _check.nonnegative("rates", rates, ndim=1)
    frames, n = len(bits), len(a)
    if frames == 0:
        raise ValueError("rates: expected at least one frame, got none")
    given = h if measurement is None else _check.array("measurement", measurement, ndim=(1, 2))
    if given.shape not in ((n,), (frames, n)):
        raise ValueError(
            f"measurement: expected shape ({n},) or ({frames}, {n}), got {given.shape}"
        )
    directions = np.array(np.broadcast_to(_check.finite("measurement", given), (frames, n)))
    if not (np.abs(directions).max(axis=1) > 0).all():
        raise ValueError("measurement: expected directions that are not zero")
    captured = -np.expm1(-2 * np.log(2) * bits)
    gain, before, after = np.zeros((frames, n)), np.empty((frames, n, n)), np.empty((frames, n, n))
    ahead = source.realisation().initial
    for t in range(frames):
        before[t] = ahead
        c = directions[t] / np.abs(directions[t]).max()
        column = ahead @ c
        spread = float(c @ column)
        floor = 1e-15 * n * float(np.abs(c) @ np.sqrt(np.maximum(np.diag(ahead), 0.0))) ** 2
        if spread > floor:
            gain[t] = np.sqrt(captured[t] / spread) * column
        after[t] = ahead - np.outer(gain[t], gain[t])
        ahead = a @ after[t] @ a.T + w
        ahead = 0.5 * (ahead + ahead.T)
    cross = _cross(a, h, directions, captured, gain, before, after)
    return Representation(source, bits, directions, gain, after, np.tril(cross), cross)


def _cross(
    a: Array,
    h: Array,
    directions: Array,
    captured: Array,
    gain: Array,
    before: Array,
    after: Array,
) -> Array:
    """E[X_t u_s]: for s <= t by prediction, for s > t through the error that frame t leaves."""
    frames = len(gain)
    out = np.zeros((frames, frames))
    powers = gain.T.copy()  # column s: A^(t-s) gamma_s
    for lag in range(frames):
        count = frames - lag
        out[np.arange(lag, frames), np.arange(count)] = h @ powers[:, :count]
        powers = a @ powers[:, : count - 1] if count > 1 else powers
    # E[S_s - A S^_{s-1} | error of frame t]: rows r = h^T P_t (A F_{s-1} .. F_{t+1} A)^T
    rows = np.einsum("i,tij->tj", h, after)
    for s in range(1, frames):
        rows[:s] = rows[:s] @ a.T
        spread = float(directions[s] @ before[s] @ directions[s])
        if captured[s] > 0 and gain[s].any():
            follow = np.sqrt(captured[s] / spread) * directions[s]
            out[:s, s] = rows[:s] @ follow
            rows[:s] -= np.outer(rows[:s] @ follow, gain[s])
    return out
