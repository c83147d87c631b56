"""Brute force: search over all jointly Gaussian schemes, encoder and decoder, frame after frame.

Variables are rows of coefficients over independent unit-variance ones: source, encoder noise,
decoder noise. What later frames add is optimised while the earlier frames are fixed.
"""

import math

import numpy as np
from scipy.optimize import minimize

from rdp import FMD, JD, SA


class Rows:
    """Source, representation and reconstruction of the first frames, as rows."""

    def __init__(self, source):
        self.frames = frames = source.frames
        self.sigma = source.sigma
        self.x = np.zeros((frames, 3 * frames))
        for t in range(frames):
            self.x[t] = source.gain[t] * self.x[t - 1]
            self.x[t, t] = math.sqrt(source.innovation[t])
        self.u = np.zeros((0, 3 * frames))
        self.xhat = np.zeros((0, 3 * frames))

    def extended(self, variables, rate):
        """Representation and reconstruction of one more frame, from any real numbers.

        The encoder sends X_t + (mix of earlier frames) + noise. The variance of the noise makes
        I(X_t; U_t | U_1..U_{t-1}) the rate. The decoder mixes all it has with fresh noise.
        """
        t = len(self.u)
        mix, weights, noise = np.split(variables, [t, 2 * t + 1])
        sent = self.x[t] + mix @ self.x[:t]
        if self.x[t, t] == 0:  # no innovation: its error leaves the encoder undetermined
            sent = self.x[t]
        known = residual(sent, self.u)
        beyond = residual(sent, np.vstack([self.u, self.x[t]]))  # the part independent of X_t
        growth = 4.0**rate
        if rate == 0:
            u = np.zeros_like(sent)
        elif rate == math.inf:
            u = sent
        else:
            power = (known @ known - growth * beyond @ beyond) / (growth - 1)
            u = sent.copy()
            u[self.frames + t] = math.sqrt(max(power, 0.0))
        u = np.vstack([self.u, u])
        xhat = weights @ u
        xhat[2 * self.frames : 2 * self.frames + t + 1] += noise
        return u, np.vstack([self.xhat, xhat])

    def start(self, rng):
        """Random variables for `extended`: mixes near none, weights and noise of order sigma."""
        t = len(self.u)
        weights = rng.normal(size=2 * t + 2) * self.sigma[t]
        return np.concatenate([0.1 * rng.normal(size=t), weights])


def residual(row, others):
    """The part of a row outside the span of other rows."""
    basis = others[np.abs(others).sum(axis=1) > 0]
    if len(basis) == 0:
        return row
    return row - np.linalg.lstsq(basis.T, row, rcond=1e-12)[0] @ basis


def realism_errors(plf, rows, xhat):
    """Constraints that are zero at perfect realism of the last frame, in units of sigma."""
    t = len(xhat) - 1
    frames = list(range(t))
    if plf is JD:  # a frame without innovation repeats the one before, in X and in Xhat
        frames = [s for s in frames if rows.x[s, s] > 0]
    elif plf is FMD:
        frames = []
    past = rows.xhat if plf is SA else rows.x  # JD: the past of X; SA: that of Xhat
    errors = [rows.xhat[s] @ xhat[t] - past[s] @ rows.x[t] for s in frames]
    variance = xhat[t] @ xhat[t] / rows.sigma[t] ** 2
    return np.append(np.array(errors) / (rows.sigma[frames] * rows.sigma[t]), variance - 1)


def brute_force(source, rates, plf=None, levels=None, starts=3):
    """Least D_1, then least D_2 given that, and so on; levels are FMD thresholds on squared W2."""
    rng = np.random.default_rng(0)
    rows, best = Rows(source), []
    for t, rate in enumerate(rates):

        def distortion(variables, t=t, rate=rate):
            xhat = rows.extended(variables, rate)[1]
            return ((rows.x[t] - xhat[t]) ** 2).sum() / rows.sigma[t] ** 2

        def equality(variables, rate=rate):
            return realism_errors(plf, rows, rows.extended(variables, rate)[1])

        def slack(variables, t=t, rate=rate):
            xhat = rows.extended(variables, rate)[1]
            away = rows.sigma[t] - np.linalg.norm(xhat[t])
            return (levels[t] - away**2) / rows.sigma[t] ** 2

        constraints = []
        if levels is not None:
            constraints = [{"type": "ineq", "fun": slack}]
        elif plf is not None:
            constraints = [{"type": "eq", "fun": equality}]
        found = [
            minimize(
                distortion,
                rows.start(rng),
                method="SLSQP",
                constraints=constraints,
                options={"maxiter": 500, "ftol": 1e-13},
            )
            for _ in range(starts)
        ]
        tight = [
            r
            for r in found
            if all(
                np.min(-np.abs(c["fun"](r.x)) if c["type"] == "eq" else c["fun"](r.x)) > -1e-8
                for c in constraints
            )
        ]
        least = min(tight, key=lambda result: result.fun)
        rows.u, rows.xhat = rows.extended(least.x, rate)
        best.append(least.fun * rows.sigma[t] ** 2)
    return np.array(best)
