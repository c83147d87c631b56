r"""Perfect realism as seen by a critic with a window of w frames: PLF-JD(w).

.. math::
    \min D_1, \text{ then } D_2, \dots \quad\text{subject to}\quad
    P_{\hat X_{t-w+1} .. \hat X_t} = P_{X_{t-w+1} .. X_t} \text{ for every } t,

frames before the first one dropped. JD(1) is PLF-FMD, JD(T) is PLF-JD.

**The decoder.** The source is Markov, so the constraint says
:math:`\hat X_t = a_t \hat X_{t-1} + \sqrt{q_t}\, e_t` with e_t of unit variance and orthogonal to
the w - 1 reconstructions before it. Only to these: older reconstructions may be part of e_t, which
is how an error is forgotten. The best e_t is the normalised residual of the MMSE estimate
:math:`\tilde X_t` given :math:`\hat X_{t-w+1..t-1}`.

**The recursion** (derived in this project). The last w - 1 reconstructions have the white basis
:math:`b_1 = \hat X_s / \sigma_s` with s the oldest frame, then :math:`e_{s+1}, .., e_t`. Let
:math:`d_j = E[(\tilde X_t - \hat X_t) b_j]`, and :math:`y_t` the variance of the part of
:math:`\tilde X_t` that the basis does not explain. With :math:`p_t = k_t^2 v_t`, frame t does

.. math::
    r_t^2 = p_t + a_t^2 y_{t-1}, \qquad d \leftarrow (a_t d,\; r_t - \sqrt{q_t}), \qquad
    D_t = m_t + \sum_j d_j^2.

Then the oldest reconstruction leaves the window. With :math:`\rho` its correlation with the next,

.. math::
    y_t = \big(\sqrt{1 - \rho^2}\, d_1 - \rho d_2\big)^2, \qquad
    (d_1, d_2) \leftarrow \rho d_1 + \sqrt{1 - \rho^2}\, d_2 .

Where q_t = 0 the past determines the frame: its entry of d is zero, and what the decoder has learnt
and cannot use yet, r_t^2, is added to y_t.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from rdp import _check
from rdp.closed_form import zero_perception_framewise
from rdp.linear_scheme import LinearScheme
from rdp.linear_source import need_first_order
from rdp.mmse import check_rates, estimate_factor, over_blocks, steps
from rdp.source import GaussMarkov

Array = np.ndarray

_NOTHING = 1e-12  # residual relative to the frame's deviation that rounding alone can explain


def check_window(source: GaussMarkov, window: object) -> int:
    """Return the window as an int in 1..T, or raise ValueError.

    Parameters
    ----------
    source : GaussMarkov
        T frames.
    window : int
        Number of frames that the critic sees.
    """
    need_first_order("the closed form", source)
    frames = _check.count("window", window)
    if frames > source.frames:
        raise ValueError(
            f"window: expected at most {source.frames}, the number of frames, got {frames}"
        )
    return frames


def zero_perception_windowed(source: GaussMarkov, rates: object, window: int) -> Array:
    r"""Distortion of each frame under perfect realism of every w consecutive frames, 0-PLF-JD(w).

    Minimise :math:`D_t = E(X_t - \hat X_t)^2` frame after frame subject to
    :math:`P_{\hat X_{t-w+1}..\hat X_t} = P_{X_{t-w+1}..X_t}` and rates :math:`R_1..R_T`. For w = 2
    and unit variance, with :math:`A_t = 1 - m_t`, this is :math:`D_t = 2 (1 - c_t)` and

    .. math:: c_t = \rho_t^2 c_{t-1} + \sqrt{1 - \rho_t^2} \sqrt{A_t - \rho_t^2 c_{t-1}^2} .

    Parameters
    ----------
    source : GaussMarkov
        T frames, or T frames of d modes.
    rates : (..., T) array, or (..., T, d)
        Bits per frame (and mode), >= 0, inf allowed.
    window : int
        w, from 1 to T: the number of consecutive frames whose joint distribution is kept.

    Returns
    -------
    array of the shape of rates, squared units of the source

    Raises
    ------
    ValueError
        Rates of the wrong shape, negative or NaN; a window that is not in 1..T.

    Notes
    -----
    Derived in this project; see the module docstring for the recursion, which costs O(w T) for
    each point. At every frame the value lies between those of PLF-FMD and PLF-JD. A larger window
    makes the first frame that it changes worse, and it can make a later frame better: the
    sequential objective does not plan, and what a larger window forbids to use now may be used
    then.

    Examples
    --------
    The first of four frames gets almost no rate. The more frames the critic sees, the longer the
    error stays:

    >>> source = GaussMarkov.stationary(rho=0.9, frames=4)
    >>> for window in (1, 2, 3, 4):
    ...     print(zero_perception_windowed(source, [0.05, 8, 8, 8], window).round(4)[1:])
    [0. 0. 0.]
    [0.733  0.2575 0.0476]
    [0.733  0.5937 0.1954]
    [0.733  0.5937 0.4809]
    """
    width = check_window(source, window)
    if width == 1:
        return zero_perception_framewise(source, rates)
    given = check_rates(source, rates)
    return over_blocks(source, lambda block: _frames(source, block, width), given)


def _frames(source: GaussMarkov, rates: Array, width: int) -> Iterator[Array]:
    """Run the recursion of the module docstring; rates are time first."""
    errors: list[Array] = []  # d
    unexplained: Array | float = 0.0  # y
    before: Array | float = 0.0  # m of the frame before
    for step in steps(source, rates):
        t, q = step.t, source.innovation[step.t]
        gain, captured = source.gain[t], step.captured()
        waiting = gain**2 * unexplained
        known = captured * step.v + waiting  # r^2
        # sqrt q - r, without cancellation; a root is zero or far above 1e-200
        total = np.maximum(np.sqrt(q) + np.sqrt(known), 1e-200)
        missing = (step.residual * q - captured * gain**2 * before - waiting) / total
        before = step.m
        new = q > 0
        if np.all(new):
            unexplained = 0.0
        else:  # the past determines the frame
            missing, unexplained = np.where(new, missing, 0.0), np.where(new, 0.0, known)
        errors = [gain * error for error in errors]
        errors.append(-missing)
        yield step.m + unexplained + np.sum([error**2 for error in errors], axis=0)
        if len(errors) == width:
            rho = source.rho[t + 1 - width]
            across = np.sqrt((1 - rho) * (1 + rho))
            first, second = errors[:2]
            unexplained = unexplained + (across * first - rho * second) ** 2
            errors[:2] = [rho * first + across * second]


def windowed_scheme(source: GaussMarkov, rates: object, window: int) -> LinearScheme:
    r"""The scheme behind 0-PLF-JD(w): test channels, decoder matrix and decoder noise.

    :math:`\hat X_t = a_t \hat X_{t-1} + \sqrt{q_t}\, e_t`, where e_t is the normalised residual of
    the MMSE estimate :math:`\tilde X_t` given :math:`\hat X_{t-w+1}, .., \hat X_{t-1}`, or decoder
    noise where that residual is zero. For w = 1, :math:`\hat X_t = \sigma_t e_t`.

    Parameters
    ----------
    source : GaussMarkov
        T scalar frames.
    rates : (T,) array, >= 0, bits per frame
        Rates; inf allowed.
    window : int
        w, from 1 to T.

    Returns
    -------
    LinearScheme
        Its distortion is that of :func:`zero_perception_windowed`, its reconstruction has the
        covariance of the source in every block of w frames.

    Raises
    ------
    ValueError
        Vector frames, bad rates, a window that is not in 1..T.

    Examples
    --------
    >>> source = GaussMarkov.stationary(rho=0.9, frames=3)
    >>> scheme = windowed_scheme(source, [0, 8, 8], window=2)
    >>> scheme.cov_xhat.round(3)
    array([[1.   , 0.9  , 0.643],
           [0.9  , 1.   , 0.9  ],
           [0.643, 0.9  , 1.   ]])
    """
    if source.modes is not None:
        raise ValueError(f"source: expected scalar frames, got {source.modes} modes")
    width, bits = check_window(source, window), check_rates(source, rates)
    if bits.ndim != 1:
        raise ValueError(f"rates: expected shape ({source.frames},), got {bits.shape}")
    found = windowed_decoder(source, estimate_factor(source, bits), width)
    return LinearScheme(source, bits, *found)


def windowed_decoder(source: GaussMarkov, factor: Array, width: int) -> tuple[Array, Array]:
    """Return decoder matrix and noise of the scheme, for the MMSE estimate factor @ u.

    Parameters
    ----------
    source : GaussMarkov
        T scalar frames.
    factor : (T, T) array
        Xtil = factor u with white u; column t is zero where frame t brings nothing.
    width : int
        w, from 1 to T.

    Returns
    -------
    decoder, noise : (T, T) arrays
        Xhat = decoder u + noise z. Column t of the noise is zero unless that of the factor is.
    """
    frames = source.frames
    estimate = np.hstack([factor, np.zeros((frames, frames))])
    rows = np.zeros((frames, 2 * frames))  # reconstruction over u_1..u_T, z_1..z_T
    for t in range(frames):
        seen = rows[max(0, t - width + 1) : t]
        # the basis of the window: its frames have the deviations and correlations of the source
        basis = np.zeros((0, 2 * frames))
        for s, row in enumerate(seen, start=t - len(seen)):
            basis = _extended(basis, row, source.sigma[s])
        new = _residual(basis, estimate[t])
        length = np.linalg.norm(new)
        if length > _NOTHING * source.sigma[t]:
            white = _residual(basis, new / length)
            white /= np.linalg.norm(white)
        else:
            white = np.zeros(2 * frames)
            white[frames + t] = 1.0
        if width == 1 or t == 0:
            rows[t] = source.sigma[t] * white
        else:
            rows[t] = source.gain[t] * rows[t - 1] + np.sqrt(source.innovation[t]) * white
    return rows[:, :frames], rows[:, frames:]


def _residual(basis: Array, row: Array) -> Array:
    """Part of a row that is orthogonal to orthonormal rows."""
    return row - (basis @ row) @ basis


def _extended(basis: Array, row: Array, scale: float) -> Array:
    """Orthonormal rows that span one more row, if rounding alone does not explain what it adds."""
    rest = _residual(basis, _residual(basis, row))
    length = np.linalg.norm(rest)
    return basis if length <= _NOTHING * scale else np.vstack([basis, rest / length])
