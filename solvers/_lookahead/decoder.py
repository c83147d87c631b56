"""Decoders at zero perception loss as T numbers, and the second moments of their schemes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rdp.mmse import mmse_recursion
from rdp.source import GaussMarkov

Array = np.ndarray

_NO_RATE = 1e-60  # bits; they change a distortion by less than 1e-29 of the variance
_NO_CORRELATION = 1e-17  # |rho| below it changes no distortion by more than a rounding error
_NO_POWER = 1e-60  # of the variance: its root is far below rounding, and its inverse is a number
_ALL = 1 - 1e-15  # of what is known: less is held back than rounding of the demand takes


class Decoder(NamedTuple):
    """A decoder at zero perception loss, and a bound on the weighted distortion."""

    distortion: Array  # D_t
    correlation: Array  # g_t = E[Xtil_t e_t]
    held: Array  # y_t = Var(Xtil_t | Xhat_1..Xhat_t)
    lower_bound: float


class Frames(NamedTuple):
    """Backbone of a scalar source: a_t^2, q_t, v_t, m_t, p_t = v_t - m_t, Var Xtil_t.

    The first two are (T,) arrays, the others have the shape of the rates, (T,) or (N, T).
    """

    gain2: Array
    innovation: Array
    prediction_error: Array
    mmse: Array
    power: Array
    estimate: Array

    @classmethod
    def of(cls, source: GaussMarkov, rates: Array) -> Frames:
        backbone = mmse_recursion(source, np.where(rates < _NO_RATE, 0.0, rates))
        v, m = backbone.prediction_error, backbone.mmse
        power = backbone.gain**2 * v
        power = np.where(power < _NO_POWER * source.variance, 0.0, power)
        a2 = source.gain**2
        a2[1:][np.abs(source.rho) < _NO_CORRELATION] = 0.0
        estimate = np.empty_like(power)
        for t in range(source.frames):
            past = a2[t] * estimate[..., t - 1] if t else 0.0
            estimate[..., t] = power[..., t] + past
        return cls(a2, source.innovation, v, m, power, estimate)

    def at(self, points: Array | int | None) -> Frames:
        """The backbone at some of N points; None makes one point of a single one."""
        return Frames(*self[:2], *(values[points] for values in self[2:]))


def innovations(frames: Frames, wanted: Array) -> tuple[Array, Array]:
    """Run y_t = a_t^2 y_{t-1} + p_t - g_t^2 with the largest feasible g_t <= wanted_t."""
    g, y = np.empty_like(wanted), np.empty_like(wanted)
    before = 0.0
    for t, power in enumerate(frames.power):
        known = frames.gain2[t] * before + power
        all_of_it = np.sqrt(known)
        held_back = wanted[t] < _ALL * all_of_it
        g[t] = wanted[t] if held_back else all_of_it
        y[t] = before = known - g[t] ** 2 if held_back else 0.0
    return g, y


def shifted(y: Array) -> Array:
    """Return y_{t-1} along the last axis, y_0 = 0."""
    return np.concatenate([np.zeros_like(y[..., :1]), y[..., :-1]], axis=-1)


def moments(
    source: GaussMarkov,
    prediction_error: Array,
    power: Array,
    correlation: Array,
    held: Array,
    plf: str,
) -> tuple[Array, Array]:
    r"""Covariance of the reconstruction and its covariance with the MMSE estimate.

    With Y_t the innovation of the estimate given :math:`\hat X^{t-1}`, known_t its variance,
    e_t = g_t Y_t / known_t + noise and :math:`E[Y_t \tilde X_s] = a_t (y_{t-1} / known_{t-1})
    E[Y_{t-1} \tilde X_s]` for s < t.

    Parameters
    ----------
    source : GaussMarkov
        T frames, or T frames of d modes.
    prediction_error : (T,) or (T, d) array
        v_t of the backbone.
    power : (T,) or (T, d) array
        p_t, what each frame adds to the variance of the estimate.
    correlation : (T,) or (T, d) array
        g_t of the decoder.
    held : (T,) or (T, d) array
        y_t of the decoder.
    plf : {"JD", "SA"}
        Perception loss that is zero.

    Returns
    -------
    cov_xhat, cross : (T, T) or (d, T, T) arrays
    """
    phi = source.transition()
    time_first = source.gain, source.innovation, prediction_error, power, correlation, held
    a, q, v, p, g, y = (np.moveaxis(x, 0, -1) for x in time_first)
    known = p + a**2 * shifted(y)
    keep = np.divide(y, known, out=np.zeros_like(y), where=known > 0)
    follow = np.divide(g, known, out=np.zeros_like(y), where=known > 0)
    unseen = np.zeros_like(phi)  # E[Y_t Xtil_s], s <= t
    for t in range(source.frames):
        if t:
            rest = a[..., t] * keep[..., t - 1]
            unseen[..., t, :t] = rest[..., None] * unseen[..., t - 1, :t]
        unseen[..., t, t] = known[..., t]
    past = np.tril(follow[..., None] * unseen, -1)
    innovations = past + g[..., None] * np.swapaxes(phi, -1, -2)  # E[e_t Xtil_s]
    if plf == "JD":
        cov_xhat, factor = source.covariance(), phi * np.sqrt(q)[..., None, :]
    else:
        factor = np.tril(phi * g[..., None, :], -1)
        omega = v + a**2 * shifted(y)
        factor = factor + np.sqrt(omega)[..., None] * np.eye(source.frames)
        cov_xhat = factor @ np.swapaxes(factor, -1, -2)
    return cov_xhat, factor @ innovations
