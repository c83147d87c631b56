"""PLF-JD(w) in the long run: the fixed point of its recursion over one period of rates."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rdp import _check
from rdp.source import GaussMarkov
from rdp.steady_state import (
    backbone,
    check_period,
    contraction,
    framewise,
    missing_deviation,
    parameters,
    zero_perception_joint,
)

Array = np.ndarray

_TOLERANCE = 4e-15  # change of a period, relative to the deviation and to w, that counts as none
_SETTLE, _LONGEST = 8, 40_000  # frames before the first Newton step, and at most
MOST_FRAMES = 2000  # of a window: time and memory grow with its square
_STEP = 1e-7  # of the differences that give the derivatives


class WindowedState(NamedTuple):
    """Periodic state of PLF-JD(w).

    Parameters
    ----------
    distortion : (N,) array
        D_t of each frame of the period, squared units of the source.
    change : float
        How much another period changes the state, relative to the deviation of the source.
    contraction : float
        Factor by which a small disturbance shrinks in a period: the spectral radius over the states
        that rates can lead to.
    """

    distortion: Array
    change: float
    contraction: float


def zero_perception_windowed(source: GaussMarkov, rates: object, window: int) -> WindowedState:
    r"""Distortion of each frame of the period under perfect realism of w frames, 0-PLF-JD(w).

    The limit of :func:`rdp.windowed.zero_perception_windowed`: a fixed point of its recursion over
    one period, in w numbers. It is found by running the recursion and Newton's method, with
    derivatives by differences, from the state of a constant rate.

    Parameters
    ----------
    source : GaussMarkov
        A stationary scalar source.
    rates : float or (N,) array, >= 0, bits per frame
        Rates of one period; inf allowed.
    window : int, >= 1
        w, the number of consecutive frames whose joint distribution is kept.

    Returns
    -------
    WindowedState

    Raises
    ------
    ValueError
        The source is not stationary; bad rates; a window below 1 or above `MOST_FRAMES`.
    ArithmeticError
        The recursion does not come to rest within 40 000 frames.

    Notes
    -----
    Derived in this project. With a period of two the error often alternates in sign from period to
    period and shrinks by rho^2 only, which is why the recursion alone is slow.

    Examples
    --------
    >>> source = GaussMarkov.stationary(rho=0.97, frames=2)
    >>> for window in (1, 2, 4):
    ...     found = zero_perception_windowed(source, [2.25] + 7 * [0.25], window)
    ...     print(window, found.distortion.mean().round(4))
    1 0.0849
    2 0.0893
    4 0.1002
    """
    rho, sigma = parameters(source)
    width, bits = _check.count("window", window), check_period(rates)
    if bits.ndim != 1:
        raise ValueError(f"rates: expected one period, got shape {bits.shape}")
    if width == 1 or abs(rho) == 1 or not bits.any():  # explicit
        simple = framewise if width == 1 else zero_perception_joint
        return WindowedState(simple(source, bits), 0.0, contraction(source, bits, width > 1))
    if width > MOST_FRAMES:
        raise ValueError(
            f"window: expected at most {MOST_FRAMES} frames in the long run, got {width}; JD "
            "without a window is the limit of long ones"
        )
    state = backbone(source, bits)
    period = _Period(
        rho=rho,
        power=(state.captured * state.prediction_error / sigma**2).tolist(),
        missing=(missing_deviation(state, rho, sigma) / sigma).tolist(),
        width=width,
        variance=float(state.variance[-1]) / sigma**2,
    )
    point, change, radius = period.rest()
    excess = sigma**2 * np.array(period.run(point)[1])
    return WindowedState(state.mmse + excess, change, max(radius, contraction(source, bits)))


class _Period:
    """One period of the recursion of `rdp.windowed`, unit variance, in plain numbers.

    The state is d_1..d_{w-1} and f, with y = f^2 what the window does not explain. With c the
    coordinates of the last reconstruction in the basis of the window, |c + d|^2 + f^2 is the
    variance of the estimate.
    """

    def __init__(
        self, rho: float, power: list[float], missing: list[float], width: int, variance: float
    ) -> None:
        self.rho, self.across = rho, ((1 - rho) * (1 + rho)) ** 0.5
        self.power, self.missing, self.width = power, missing, width
        self.variance, last = variance, width - 2
        self.coordinates = np.array(
            [rho**last, *(self.across * rho ** (last - j) for j in range(1, last + 1)), 0.0]
        )

    def run(self, state: list[float]) -> tuple[list[float], list[float]]:
        """State after a period, and the excess of each of its frames."""
        rho, across = self.rho, self.across
        *errors, rest = state
        excess = []
        for p, missing in zip(self.power, self.missing, strict=True):
            waiting = (rho * rest) ** 2
            known = (p + waiting) ** 0.5
            total = known + p**0.5
            # sqrt q - r = (sqrt q - sqrt p) - (r - sqrt p)
            less = waiting / total if total > 0 else 0.0
            errors = [rho * error for error in errors]
            errors.append(less - missing)
            excess.append(sum(error * error for error in errors))
            first, second = errors[0], errors[1]
            rest = across * first - rho * second
            errors[:2] = [rho * first + across * second]
        return [*errors, rest], excess

    def rest(self) -> tuple[list[float], float, float]:
        """Fixed point, how far a period moves it, and the spectral radius there."""
        # of a constant rate: the estimate is the reconstruction scaled down
        state = ((self.variance**0.5 - 1) * self.coordinates).tolist()
        settle, frames, period = _SETTLE, 0, len(self.power)
        while frames < _LONGEST:
            for _ in range(max(1, settle // period)):
                state = self.run(state)[0]
                frames += period
            state, change, jacobian = self._newton(state)
            if change <= _TOLERANCE * self.width:
                return state, change, self.radius(state, jacobian)
            settle *= 2
        raise ArithmeticError(f"no periodic state within {frames} frames, last change {change:.1e}")

    def radius(self, state: list[float], jacobian: Array) -> float:
        """Spectral radius of the period over the states of the variance that the estimate has."""
        inside = np.linalg.svd((state + self.coordinates)[None])[2][1:]
        return float(np.abs(np.linalg.eigvals(inside @ jacobian @ inside.T)).max(initial=0.0))

    def _newton(self, state: list[float]) -> tuple[list[float], float, Array]:
        """Newton steps while they bring the state closer to rest."""
        after = self.run(state)[0]
        change = _distance(after, state)
        jacobian = np.zeros((self.width, self.width))
        for _ in range(12):
            for j in range(self.width):
                moved = list(state)
                moved[j] += _STEP
                jacobian[:, j] = np.subtract(self.run(moved)[0], after) / _STEP
            if change <= _TOLERANCE * self.width:
                break
            solved = np.linalg.lstsq(
                np.eye(self.width) - jacobian, np.subtract(after, state), rcond=1e-13
            )[0]
            new = (np.array(state) + solved).tolist()
            new_after = self.run(new)[0]
            new_change = _distance(new_after, new)
            if not new_change < change:
                break
            state, after, change = new, new_after, new_change
        return after, change, jacobian


def _distance(one: list[float], other: list[float]) -> float:
    return max(abs(a - b) for a, b in zip(one, other, strict=True))
