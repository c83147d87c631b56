"""PLF-JD above threshold 0 in the long run, for sources of first order."""

from __future__ import annotations

import numpy as np

from rdp import AutoRegressive, GaussMarkov
from rdp import steady_state as formulas
from rdp.solution import Status
from rdp.steady_windowed import zero_perception_windowed
from solvers._steady.joint import steady_joint
from solvers._steady.window import steady_window
from solvers.errors import SolverError
from solvers.linear.steady_decoder import best_decoder

Array = np.ndarray

_WIDE = 1e-6  # gap relative to the mean above which the decoder of perfect realism is tried
_LEAST = 1e-8  # threshold, relative to that decoder's excess, below which no bound is near


def joint_above_zero(
    source: GaussMarkov, bits: Array, levels: Array, window: int | None
) -> tuple[Array, float | None]:
    """Distortion of each frame of a period, and a bound of its mean unless the value is explicit.

    Minimise the mean distortion over the period subject to the thresholds of PLF-JD or PLF-JD(w).

    Parameters
    ----------
    source : GaussMarkov
        A stationary scalar source.
    bits : (N,) array, bits per frame
        Rates of one period.
    levels : (N,) array, squared units of the source
        Thresholds, not all 0: the distance that each frame adds or, with a window, that of w
        frames.
    window : int or None
        w; None is all frames.

    Raises
    ------
    SolverError
        A window with thresholds of which some are 0; |rho| so near to 1 that the memory does not
        fit the grid, and thresholds that bind.

    Notes
    -----
    Derived in this project. With |rho| = 1 and any rate the estimate becomes exact, and its
    distance from the source, summed over all frames, stays finite. Between the estimate and a
    reconstruction of perfect realism lie those that mix the two, s of the way, at distance
    (1 - s)^2 E and excess s^2 E, with E the excess at perfect realism.

    Examples
    --------
    >>> source = GaussMarkov.stationary(rho=0.9, frames=2)
    >>> found, bound = joint_above_zero(source, np.array([1.0, 0.1]), np.full(2, 0.01), None)
    >>> print(found.mean().round(6), round(bound, 6))
    0.170036 0.170036
    """
    rho, sigma = formulas.parameters(source)
    if np.ptp(bits) == 0 and np.ptp(levels) == 0:
        return formulas.framewise(source, bits, levels / (window or 1)), None
    if abs(rho) == 1 and bits.any():
        return formulas.mmse(source, bits), None
    level, least = float(levels.mean()), 0.0
    if window is None:
        if np.ptp(bits) == 0 or np.isinf(level):  # the frames share the distance
            return formulas.framewise(source, bits, level), None
        least = _least(source, bits, level)
        found = steady_joint(source, bits, max(level, least))
    elif not levels.all():
        what = "with a window and thresholds of which some are 0"
        raise SolverError(Status.UNSUPPORTED, f"steady_state: PLF-JD at P > 0 {what} is not known")
    else:
        found = steady_window(source, bits, levels, window)
    if found is None:
        return _free(source, bits, levels, window)
    distortion = found.distortion * sigma**2
    lower_bound = (found.lower_bound - found.change) * sigma**2
    wide = distortion.mean() - lower_bound > _WIDE * distortion.mean()
    if window is None and (wide or level < least):
        mixed = _mixed(source, bits, level)
        if level < least or mixed.mean() < distortion.mean():
            distortion = mixed
    return distortion, lower_bound


def perfect_joint(source: GaussMarkov, bits: Array) -> tuple[Array, float]:
    """Distortion of each frame of the best decoder of perfect joint realism, bound of the mean.

    Parameters
    ----------
    source : GaussMarkov
        A stationary scalar source, |rho| < 1.
    bits : (N,) array, bits per frame
        Rates of one period.

    Examples
    --------
    >>> source = GaussMarkov.stationary(rho=0.9, frames=2)
    >>> found, bound = perfect_joint(source, np.array([1.0, 0.1]))
    >>> print(found.mean().round(6), round(bound, 6))
    0.237586 0.237586
    """
    rho, sigma = formulas.parameters(source)
    state, linear = formulas.backbone(source, bits), AutoRegressive(rho, sigma)
    gains = np.sqrt(state.captured * state.prediction_error)[:, None]
    found = best_decoder(linear, gains, state.mmse)
    each = float(formulas.framewise(source, bits).mean())  # what keeps the motion keeps each frame
    mean = float(found.distortion.mean())
    return found.distortion, min(max(found.lower_bound, each), mean)


def _perfect_excess(source: GaussMarkov, bits: Array) -> Array:
    """Excess over the MMSE of each frame of the best decoder of perfect joint realism."""
    return perfect_joint(source, bits)[0] - formulas.mmse(source, bits)


def _least(source: GaussMarkov, bits: Array, level: float) -> float:
    """Threshold whose bound serves all below it; 0 if this one is far above."""
    if level > _LEAST * 4 * formulas.parameters(source)[1] ** 2:
        return 0.0
    return _LEAST * float(_perfect_excess(source, bits).mean())


def _mixed(source: GaussMarkov, bits: Array, level: float) -> Array:
    """Distortion of the mixture of the estimate and the best decoder of perfect joint realism."""
    excess = _perfect_excess(source, bits)
    mean = float(excess.mean())
    share = 1 - np.sqrt(min(level / mean, 1.0)) if mean > 0 else 0.0
    return formulas.mmse(source, bits) + share**2 * excess


def _free(
    source: GaussMarkov, bits: Array, levels: Array, window: int | None
) -> tuple[Array, float]:
    """The MMSE estimate, where the distance from a decoder of perfect realism is allowed."""
    m = formulas.mmse(source, bits)
    if window is None:
        free = bool((_mixed(source, bits, float(levels.mean())) <= m).all())
    else:
        excess = zero_perception_windowed(source, bits, window).distortion - m
        place = np.arange(len(bits))[:, None] - np.arange(window)
        free = bool((excess[place % len(bits)].sum(axis=1) <= levels).all())
    if free:
        return m, float(m.mean())
    long = " or a window that is too long" if window is not None else ""
    what = f"rates that change and rho {formulas.parameters(source)[0]:g}, too near to 1{long},"
    raise SolverError(Status.UNSUPPORTED, f"steady_state: PLF-JD at P > 0 with {what} is not known")
