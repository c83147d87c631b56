r"""Sequential objective in decimal arithmetic: one frame after the other, the past given.

The past is :math:`\hat X^{t-1} = G y` with white y. Frame t is :math:`x^T y + b\,y_t`, where
:math:`y_t` is the innovation of the estimate given y, of variance :math:`r_0^2`. In the unknowns x
and :math:`h = |x|^2 + b^2 = E \hat X_t^2` the covariance of :math:`\hat X^t` is linear and

.. math:: D_t = m_t + E \tilde X_t^2 - 2 x^T x_0 - 2 r_0 \sqrt{h - |x|^2} + h

is convex. The bound of a frame replaces squared W2 by its tangent plane, as in
:mod:`solvers._precise.weighted`, and its minimum over x and b is explicit.
"""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

import numpy as np

from rdp.problem import Problem
from solvers._precise.arithmetic import cholesky, exact, joined, solve_lower, zeros
from solvers._precise.newton import Derivatives, Value, follow
from solvers._precise.source import exact_problem
from solvers._precise.transport import Transport, transport

Array = np.ndarray

# Gap relative to the distortion. A frame that meets its threshold leaves a room of this order to
# the next, whose distortion depends on its root.
GAP = Decimal("1e-22")
SMALLEST = Decimal("1e-30")  # gap, relative to the variance
FRESH = Decimal("1e-30")  # least deviation of what a frame adds to the past, relative to its own


class Found(NamedTuple):
    """Distortions, losses and bounds of the frames, gains K, G with Cov Xhat = G G^T."""

    distortion: Array
    perception: Array
    bound: Array
    gains: Array
    factor: Array


def solve_sequential(problem: Problem) -> Found:
    """Return the least D_1, then the least D_2 given frame 1, and so on; PLF-JD or PLF-SA."""
    return _Frames(problem).solve()


class _Frames:
    def __init__(self, problem: Problem) -> None:
        self.given, self.joint = exact_problem(problem, frame_by_frame=True), problem.plf == "JD"
        frames = self.frames = problem.source.frames
        self.factor, self.gains = zeros(frames, frames), zeros(frames, frames)
        self.known = zeros(frames, frames)  # E[y_i u_j]
        self.cross = zeros(frames)  # E[Xhat_s Xtil_s]
        self.losses = np.full(frames, Decimal("nan"), dtype=object)
        self.source = zeros(0, 0)
        if self.joint:
            found = cholesky(self.given.covariance)
            if found is None:
                raise ArithmeticError("precise: the covariance of the source is singular")
            self.source = found
        self.coupled: Transport | None = None  # the past with its target

    def solve(self) -> Found:
        distortion, bound = zeros(self.frames), zeros(self.frames)
        for t in range(self.frames):
            distortion[t], bound[t] = self._add(t)
        return Found(distortion, self.losses, bound, self.gains, self.factor)

    def _level(self, t: int) -> Decimal | None:
        """Threshold; under PLF-JD a past beyond a later one could not be continued."""
        levels = self.given.levels[t : None if self.joint else t + 1]
        return min((level for level in levels if level is not None), default=None)

    def _add(self, t: int) -> tuple[Decimal, Decimal]:
        given, level = self.given, self._level(t)
        past = self.factor[:t, :t]
        ahead = given.phi[t, :t] * self.cross[:t]  # E[Xhat_s Xtil_t]
        x0 = solve_lower(past, ahead) if t else zeros(0)
        power = given.variance[t] - given.mmse[t]
        rest = power - x0 @ x0
        r0 = rest.sqrt() if rest > power * Decimal("1e-70") else Decimal(0)
        x, b = x0, max(r0, FRESH * given.variance[t].sqrt())
        bound = given.mmse[t]
        if level is not None:
            program = _Frame(self, t, past, x0, r0, level)
            self.coupled = program.transport(x, b)
            if self.coupled is None or self.coupled.distance > level:
                x, b, bound = program.solve()
                self.coupled = program.transport(x, b)
            if self.coupled is None:
                raise ArithmeticError("precise: a covariance of the past is singular")
            self.losses[t] = self.coupled.distance
        news = zeros(self.frames)
        if r0 > 0:
            news = (given.estimate[t] - x0 @ self.known[:t]) / r0
        self.known[t] = news
        self.factor[t, :t], self.factor[t, t] = x, b
        self.gains[t] = x @ self.known[:t] + b * news
        self.cross[t] = x @ x0 + b * r0
        apart = x - x0
        return given.mmse[t] + apart @ apart + (b - r0) ** 2, bound


class _Frame:
    """The program of one frame, in the unknowns (x, h)."""

    def __init__(
        self, frames: _Frames, t: int, past: Array, x0: Array, r0: Decimal, level: Decimal
    ) -> None:
        given = frames.given
        self.t, self.past, self.x0, self.r0, self.level = t, past, x0, r0, level
        self.variance, self.mmse = given.variance[t], given.mmse[t]
        # the frame that adds nothing to the distance: X_t, given what the past is coupled to; and
        # a factor of the target, that of the last covariance that it was compared with
        if frames.joint:
            self.near = frames.source[:, : t + 1].copy()
            self.continued = zeros(0)
            if frames.coupled is not None:
                self.near[:, :t] = frames.coupled.factor
                self.continued = frames.coupled.turn @ self.near[t, :t]
            self.news = frames.source[t, t]
        else:
            self.continued, self.news = x0, (self.mmse + r0 * r0 + given.noise[t]).sqrt()
            self.near = self._factor(x0, self.news)

    def _factor(self, x: Array, b: Decimal) -> Array:
        """Factor of the covariance of the past and x^T y + b y_t."""
        out = zeros(self.t + 1, self.t + 1)
        out[:-1, :-1] = self.past
        out[-1, :-1], out[-1, -1] = x, b
        return out

    def transport(self, x: Array, b: Decimal) -> Transport | None:
        """Map of a reconstruction; None where it is singular."""
        found = transport(self.near, self._factor(x, b))
        if found is not None:
            self.near = found.factor
        return found

    def solve(self) -> tuple[Array, Decimal, Decimal]:
        """Return x, b and the bound on the distortion."""
        x = self.continued
        start = joined(x, x @ x + self.news * self.news)
        first = 2 / self.variance

        def enough(point: Array, s: Decimal) -> bool:
            return 2 / s <= max(GAP * self.distortion(point), SMALLEST * self.variance)

        point, _ = follow(self, start, first, enough)
        x = point[:-1]
        return x, (point[-1] - x @ x).sqrt(), self._bound(point)

    def distortion(self, point: Array) -> Decimal:
        """D_t of (x, h)."""
        x, h = point[:-1], point[-1]
        root = (h - x @ x).sqrt()
        apart = x - self.x0
        return Decimal(self.mmse + apart @ apart + (root - self.r0) ** 2)

    # -- the barrier function --------------------------------------------------------------------

    def state(self, point: Array) -> Transport | None:
        """Transport of a point; None outside the interior."""
        x, h = point[:-1], point[-1]
        left = h - x @ x
        if not left > 0:
            return None
        found = self.transport(x, left.sqrt())
        return found if found is not None and found.distance < self.level else None

    def value(self, point: Array, state: Transport) -> Value:
        """The objective, and what the barrier is the logarithm of."""
        x, h = point[:-1], point[-1]
        return Value(self.distortion(point), (h - x @ x) * (self.level - state.distance))

    def derivatives(self, point: Array, state: Transport, s: Decimal) -> Derivatives:
        """Gradient and matrix of second derivatives of the barrier function."""
        x, h = point[:-1], point[-1]
        left = h - x @ x
        inner = joined(-2 * x, Decimal(1))
        bent = exact(np.diag([-2.0] * self.t + [0.0]))
        root = left.sqrt()
        # of -2 s r0 left^(1/2) - ln left
        first = -s * self.r0 / root - 1 / left
        second = s * self.r0 / (2 * root * left) + 1 / left**2
        linear = joined(-2 * self.x0, Decimal(1))
        slope, bend = self.loss_derivatives(state)
        room = self.level - state.distance
        gradient = s * linear + first * inner + slope / room
        hessian = second * np.outer(inner, inner) + first * bent
        hessian = hessian + np.outer(slope, slope) / room**2 + bend / room
        return Derivatives(gradient, hessian, linear - self.r0 / root * inner)

    def loss_derivatives(self, found: Transport) -> tuple[Array, Array]:
        """Gradient and second derivatives of squared W2.

        The unknowns change B by u v^T + v u^T, of which u is that of the last frame for all.
        """
        own, values = found.inverse[:, self.t], found.values
        rows = found.inverse[:, : self.t] @ self.past
        rows = np.column_stack([rows, own / 2])
        slope = -2 * (own @ rows)
        slope[-1] += 1
        share = 1 / (values[:, None] + values)
        inner = np.diag(share @ (own * own)) + share * np.outer(own, own)
        return slope, 2 * (rows.T @ inner @ rows)

    def _bound(self, point: Array) -> Decimal:
        r"""The best bound that the tangent plane of squared W2 at a point gives.

        With slope (g, c) and k = 1 + mu c, the bound at the multiplier mu is

        .. math:: m_t + E \tilde X_t^2 - \mu K - (|x_0 - \mu g / 2|^2 + r_0^2) / k,

        K the room of the plane at 0. In k it is linear but for the last term, in which x_0 - mu g/2
        is u - k v with v = g / 2c and u = x_0 + v. So its maximum over k is explicit.
        """
        state = self.state(point)
        assert state is not None
        slope, _ = self.loss_derivatives(state)
        curve, least = slope[-1], self.level - state.distance + slope @ point
        if curve == 0:
            return self.mmse
        v = slope[:-1] / (2 * curve)
        u = self.x0 + v
        fixed, falls = u @ u + self.r0**2, least / curve + v @ v
        if not falls > 0:
            return self.mmse
        k = (fixed / falls).sqrt()
        mu = (k - 1) / curve
        if mu <= 0:
            return self.mmse
        paid = (fixed * falls).sqrt() - 2 * (u @ v) + k * (v @ v)
        return max(self.mmse, Decimal(self.variance - mu * least - paid))
