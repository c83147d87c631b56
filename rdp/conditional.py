r"""Conditional perception: a reconstruction that is likely given the bits, not only by itself.

A decoder that samples the posterior, as diffusion decoders do, keeps the conditional distribution
of the frame given all bits received so far. The loss that measures it is the mean squared
Wasserstein-2 distance between the two conditional distributions,

.. math::
    \min D_t \quad\text{subject to}\quad
    E\, W_2^2\big(P_{X_t | X_r^t}, P_{\hat X_t | X_r^t}\big) \le P_t .

Given the bits, the frame is Gaussian with mean :math:`\tilde X_t` and variance m_t. So the frames
do not compete, the smallest m_t is best for each of them, and

.. math:: D_t = m_t + \big(\sqrt{m_t} - \sqrt{P_t}\big)_+^2 .
"""

from __future__ import annotations

import numpy as np

from rdp import _check
from rdp.linear_scheme import LinearScheme
from rdp.linear_source import need_first_order
from rdp.mmse import check_rates, estimate_factor, mmse_recursion
from rdp.source import GaussMarkov

Array = np.ndarray


def conditional(source: GaussMarkov, rates: object, levels: object = 0.0) -> Array:
    r"""Distortion of each frame under the conditional perception loss.

    Minimise every D_t at once subject to the constraint of the module docstring:

    .. math:: D_t = m_t + \big(\sqrt{m_t} - \sqrt{P_t}\big)_+^2 .

    Parameters
    ----------
    source : GaussMarkov
        T frames, or T frames of d modes.
    rates : (..., T) array, or (..., T, d)
        Bits per frame (and mode), >= 0, inf allowed.
    levels : float or array that broadcasts with rates, >= 0
        Threshold P_t, squared units of the source; inf is no constraint.

    Returns
    -------
    array of the broadcast shape, squared units of the source

    Raises
    ------
    ValueError
        Rates or levels of the wrong shape, negative or NaN.

    Notes
    -----
    The loss is in Salehkalaibar et al., arXiv:2401.12207; the form for frames with memory is
    derived in this project. At P = 0 it is 2 m_t, the factor two that PLF-FMD reaches only where
    nothing is known: realism given the bits costs more than realism of the frame by itself.

    Examples
    --------
    >>> source = GaussMarkov.stationary(rho=0.9, frames=2)
    >>> conditional(source, [0.5, 0.5])
    array([1.   , 0.595])
    >>> conditional(source, [0.5, 0.5], levels=0.02).round(4)
    array([0.82  , 0.4607])
    """
    given, allowed = _both(source, rates, levels)
    m = mmse_recursion(source, given).mmse
    return m + np.maximum(np.sqrt(m) - np.sqrt(allowed), 0.0) ** 2


def posterior_sampling(source: GaussMarkov, rates: object, levels: object = 0.0) -> LinearScheme:
    r"""The scheme: :math:`\hat X_t = \tilde X_t + (\sqrt{m_t} - \sqrt{P_t})_+\, z_t`.

    At P = 0 the decoder draws each frame from its distribution given the bits. The noise of
    different frames is independent, so frames in a row do not look like the source.

    Parameters
    ----------
    source : GaussMarkov
        T scalar frames.
    rates : (T,) array, >= 0, bits per frame
        Rates; inf allowed.
    levels : float or (T,) array, >= 0
        Threshold P_t, squared units of the source.

    Returns
    -------
    LinearScheme
        Its distortion is that of :func:`conditional`.

    Raises
    ------
    ValueError
        Vector frames; rates or levels of the wrong shape, negative or NaN.

    Examples
    --------
    >>> source = GaussMarkov.stationary(rho=0.9, frames=2)
    >>> posterior_sampling(source, [0.5, 0.5]).distortion
    array([1.   , 0.595])
    """
    need_first_order("the closed form", source)
    if source.modes is not None:
        raise ValueError(f"source: expected scalar frames, got {source.modes} modes")
    given, allowed = _both(source, rates, levels)
    if given.ndim != 1:
        raise ValueError(f"rates: expected shape ({source.frames},), got {given.shape}")
    m = mmse_recursion(source, given).mmse
    noise = np.maximum(np.sqrt(m) - np.sqrt(allowed), 0.0)
    return LinearScheme(source, given, estimate_factor(source, given), np.diag(noise))


def _both(source: GaussMarkov, rates: object, levels: object) -> tuple[Array, Array]:
    given, allowed = check_rates(source, rates), _check.nonnegative("levels", levels)
    try:
        given, allowed = np.broadcast_arrays(given, allowed)
    except ValueError:
        raise ValueError(
            f"levels: expected a shape that broadcasts with rates {given.shape}, "
            f"got {allowed.shape}"
        ) from None
    return check_rates(source, given), allowed
