r"""The MMSE backbone: the representation that is best for all frames.

.. math::
    v_t = a_t^2 m_{t-1} + q_t, \qquad m_t = 2^{-2R_t} v_t, \qquad k_t^2 = 1 - 2^{-2R_t}, \qquad
    \tilde X_t = E[X_t | X_r^t] = a_t \tilde X_{t-1} + k_t \sqrt{v_t}\, u_t,

with white :math:`u_t` of unit variance. All decoders use this representation; each has the
distortion :math:`D_t = m_t + E(\tilde X_t - \hat X_t)^2`. Sequential coding of Gauss-Markov
sources: Ma and Ishwar, arXiv:cs/0701197; Tanaka et al., arXiv:1411.7632.

Every function raises ValueError for rates that are negative, NaN or of the wrong shape.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import numpy as np

from rdp import _check
from rdp.linear_source import need_first_order
from rdp.source import GaussMarkov

Array = np.ndarray

_BLOCK = 8192  # values per frame processed at one time, so that temporaries stay in the cache


class Step(NamedTuple):
    """The backbone at one frame; arrays without the axis of time.

    Parameters
    ----------
    t : int
        Index of the frame, from 0.
    exponent : array
        -2 R_t ln 2.
    residual : array
        2^(-2 R_t), the share of the prediction error that remains.
    inherited : array
        a_t^2 m_{t-1}, the part of v_t that comes from the error of the frame before.
    v : array
        Prediction error v_t.
    m : array
        MMSE distortion m_t.
    """

    t: int
    exponent: Array
    residual: Array
    inherited: Array
    v: Array
    m: Array

    def captured(self) -> Array:
        """k_t^2 = 1 - 2^(-2 R_t), accurate for small rates too."""
        return -np.expm1(self.exponent)


def steps(source: GaussMarkov, rates: Array) -> Iterator[Step]:
    """Yield the backbone frame by frame, for rates (T, ...) with the axis of time first.

    The other axes of the rates broadcast with the modes of the source.
    """
    m: Array = np.zeros(())
    for t in range(source.frames):
        exponent = rates[t] * (-2 * np.log(2))
        residual = np.exp(exponent)
        inherited = source.gain[t] ** 2 * m
        v = inherited + source.innovation[t]
        m = residual * v
        yield Step(t, exponent, residual, inherited, v, m)


def check_rates(source: GaussMarkov, rates: object) -> Array:
    """Return rates as a float64 array whose last axes have the shape of source.sigma."""
    need_first_order("the closed form", source)
    out = _check.nonnegative("rates", rates)
    wanted = source.sigma.shape
    if out.shape[-len(wanted) :] != wanted:
        raise ValueError(
            f"rates: expected shape (..., {', '.join(map(str, wanted))}) for "
            f"{source.frames} frames, got {out.shape}"
        )
    return out


def over_blocks(
    source: GaussMarkov, compute: Callable[..., Iterable[Array]], *arrays: Array
) -> Array:
    """Evaluate a recursion over frames for all leading axes, block by block.

    Parameters
    ----------
    source : GaussMarkov of T frames
    compute : callable
        Takes one block of each array with the axis of time first, (T, n) or (T, n, d). Yields T
        arrays, one for each frame.
    *arrays : (..., T) arrays, or (..., T, d) for d modes
        All of one shape, which is also the shape of the result.
    """
    core = source.sigma.shape
    flat = [array.reshape(-1, *core) for array in arrays]
    out = np.empty(flat[0].shape)
    rows = max(1, _BLOCK // (source.modes or 1))
    for start in range(0, len(out), rows):
        rows_now = slice(start, start + rows)
        blocks = [np.ascontiguousarray(np.moveaxis(array[rows_now], 1, 0)) for array in flat]
        for t, frame in enumerate(compute(*blocks)):
            out[rows_now, t] = frame
    return out.reshape(arrays[0].shape)


class Backbone(NamedTuple):
    """MMSE backbone of every frame; arrays of the shape of the rates.

    Parameters
    ----------
    prediction_error : array
        v_t, error of predicting frame t from the representation of the past.
    mmse : array
        m_t, error after frame t is received.
    gain : array
        k_t = sqrt(1 - 2^(-2 R_t)), correlation of the test channel of the innovation.
    variance : array
        Variance of the MMSE estimate, sigma_t^2 - m_t, without cancellation.
    """

    prediction_error: Array
    mmse: Array
    gain: Array
    variance: Array


def mmse_recursion(source: GaussMarkov, rates: object) -> Backbone:
    """Prediction errors, MMSE distortions, gains and variances of the estimate, of every frame.

    Parameters
    ----------
    source : GaussMarkov, T frames or T frames of d modes
    rates : (..., T) array or (..., T, d), bits per frame (and mode), >= 0, inf allowed

    Examples
    --------
    >>> mmse_recursion(GaussMarkov.stationary(rho=0.9, frames=2), [0.5, 0.5]).mmse
    array([0.5   , 0.2975])
    """
    given = check_rates(source, rates)
    found = Backbone(*(np.empty(given.shape) for _ in Backbone._fields))
    by_frame = Backbone(*(_frames_first(source, part) for part in found))
    variance: Array | float = 0.0
    for step in steps(source, _frames_first(source, given)):
        captured = step.captured()
        variance = source.gain[step.t] ** 2 * variance + captured * step.v
        by_frame.prediction_error[step.t] = step.v
        by_frame.mmse[step.t] = step.m
        by_frame.gain[step.t] = np.sqrt(captured)
        by_frame.variance[step.t] = variance
    return found


def _frames_first(source: GaussMarkov, values: Array) -> Array:
    """View of values of the shape of rates, (..., T) or (..., T, d), with the frames first."""
    time = values.ndim - source.sigma.ndim  # np.moveaxis takes longer than a frame of one point
    return values.transpose(time, *range(time), *range(time + 1, values.ndim))


def estimate_factor(source: GaussMarkov, rates: object) -> Array:
    r"""Factor of the MMSE estimate in white variables, :math:`\tilde X = \tilde L u`.

    :math:`\tilde L_{ts} = \phi(t, s)\, k_s \sqrt{v_s}` for :math:`s \le t`. The shape is
    (..., T, T), or (..., d, T, T). Column s is zero if frame s has rate 0.

    Parameters
    ----------
    source : GaussMarkov, T frames or T frames of d modes
    rates : (..., T) array or (..., T, d), bits per frame (and mode), >= 0, inf allowed
    """
    return factor_of_backbone(source, mmse_recursion(source, rates))


def factor_of_backbone(source: GaussMarkov, backbone: Backbone) -> Array:
    """Factor of the MMSE estimate, as `estimate_factor`, from the backbone instead of rates."""
    return _factor(source, backbone.gain * np.sqrt(backbone.prediction_error))


def factor_from_mmse(source: GaussMarkov, mmse: Array) -> Array:
    """Factor of the MMSE estimate, as `estimate_factor`, from errors m_t instead of rates.

    The errors have the shape of rates, and m_t <= a_t^2 m_{t-1} + q_t.
    """
    captured = prediction_errors(source, mmse) - mmse
    return _factor(source, np.sqrt(np.maximum(captured, 0.0)))


def prediction_errors(source: GaussMarkov, mmse: Array) -> Array:
    """Errors v_t of predicting each frame, from errors m_t of the shape of rates."""
    need_first_order("the closed form", source)
    previous = np.zeros(mmse.shape)
    _frames_first(source, previous)[1:] = _frames_first(source, mmse)[:-1]
    return np.asarray(source.gain**2 * previous + source.innovation)


def _factor(source: GaussMarkov, scale: Array) -> Array:
    """Columns phi(., s) times the standard deviation that frame s adds to the estimate."""
    columns = scale if source.modes is None else np.swapaxes(scale, -1, -2)
    return source.transition() * columns[..., None, :]
