"""What a solver found: distortions with a certified bound, and the scheme that reaches them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import numpy as np

from rdp import _check, gaussian
from rdp.measure import excess_perception, perception_of, residuals_of
from rdp.mmse import factor_from_mmse
from rdp.perception import Perception
from rdp.problem import Problem

Array = np.ndarray


class Status(StrEnum):
    """How an attempt to solve a problem ended; equal to its text, and with a number as `code`.

    Examples
    --------
    >>> Status.SOLVED == "solved", Status.SOLVED.code, Status("failed").code
    (True, 0, 4)
    """

    SOLVED = "solved"  # the certified gap is within tolerance
    INACCURATE = "inaccurate"  # an answer was found, and its certificate is not good enough
    INFEASIBLE = "infeasible"  # no scheme meets the constraints
    UNSUPPORTED = "unsupported"  # the method does not cover the problem
    FAILED = "failed"  # the method found no answer
    ACHIEVABLE = "achievable"  # a scheme, and a bound on all codes that it does not meet

    @property
    def code(self) -> int:
        """Number of the status in arrays: 0 is solved."""
        return list(Status).index(self)


def failures(status: Array) -> Array:
    """Whether points with these codes of Status have no values.

    Parameters
    ----------
    status : int array
        Codes: 0 is solved.

    Examples
    --------
    >>> failures(np.array([Status.SOLVED.code, Status.FAILED.code, Status.ACHIEVABLE.code]))
    array([False,  True, False])
    """
    return np.asarray((status != Status.SOLVED.code) & (status != Status.ACHIEVABLE.code))


class Coefficients(Protocol):
    """Encoder and decoder of a source of higher order, see `solvers.linear.scheme`."""

    def residuals(self) -> dict[str, float]:
        """Return the violations "moments", "causality" and "rate" of `Solution.residuals`."""
        ...

    def simulate(self, n: int, rng: np.random.Generator) -> tuple[Array, Array, Array]:
        """Draw sequences: source, reconstruction and MMSE estimate, (n, T) each."""
        ...


@dataclass(frozen=True, eq=False, repr=False)
class Solution:
    """Distortion and perception of every frame, a lower bound, and the scheme itself.

    Parameters
    ----------
    problem : Problem
        The problem that was solved.
    distortion : (T,) array
        D_t, squared units of the source, summed over modes. Recomputed from the scheme.
    perception : (T,) array
        Perception loss of each frame, recomputed from the scheme; nan where the problem has none.
    rates : (T,) array
        Bits per frame that the scheme uses.
    mmse : (T,) array
        MMSE distortion m_t of the representation, summed over modes.
    objective : float
        sum_t w_t D_t; for the sequential objective, the sum of the D_t found one after the other.
    lower_bound : float
        No scheme does better than this; for the sequential objective, the sum of the bounds of
        the frames, each given the scheme's earlier frames.
    gap : float
        objective - lower_bound.
    method : str
        Solver that produced the answer.
    status : Status
        "solved", or "achievable": the distortion is that of a scheme, lower_bound is a converse,
        and what is best lies between the two (`Problem.scheme_and_bound`). With limited common
        randomness "solved" says that the scheme meets the bound; `message` says what is known of
        the codes that reach it. Anything else is raised by the solver, not returned.
    message : str
        What the solver says about how it got there.
    cov_xhat : (T, T) or (d, T, T) array
        Covariance of the reconstruction.
    cross : (T, T) or (d, T, T) array
        C[t, s] = E[Xhat_t Xtil_s], the reconstruction against the MMSE estimate.
    mode_mmse : (T, d) array or None
        m_t of each mode, for vector frames.
    mode_rates : (T, d) array or None
        Bits of each mode, for vector frames.
    frame_bounds : (T,) array or None
        Sequential objective: no scheme with the same earlier frames has a smaller D_t. None under
        weights, and where a method has one bound for all frames. See `solvers.frame_bounds` for
        what changes if the earlier frames do.
    coefficients : solvers.linear.scheme.MeasuredScheme or None
        Encoder and decoder, for sources of higher order.
    """

    problem: Problem
    distortion: Array
    perception: Array
    rates: Array
    mmse: Array
    objective: float
    lower_bound: float
    gap: float
    method: str
    status: Status
    message: str
    cov_xhat: Array
    cross: Array
    mode_mmse: Array | None = None
    mode_rates: Array | None = None
    coefficients: Coefficients | None = None
    frame_bounds: Array | None = None

    def __repr__(self) -> str:
        kind = "without perception loss"
        if self.problem.perception is not None:
            kind = f"of PLF-{self.problem.plf}"
        return f"<Solution {kind}: {self.objective:.6g} by {self.method}>"

    def __str__(self) -> str:
        """Summary in five lines."""
        problem = self.problem
        kind = "sequential" if problem.weights is None else "weighted"
        modes = "" if problem.source.modes is None else f" of {problem.source.modes} modes"
        loss = "no perception loss" if problem.perception is None else f"PLF-{problem.plf}"
        reached = "not constrained"
        if problem.perception is not None:
            reached = f"{_row(self.perception)} (allowed {_row(problem.thresholds)})"
        return "\n".join(
            [
                f"{loss}, {problem.source.frames} frames{modes}: {self.status} by {self.method}",
                f"rates       {_row(self.rates)} bits",
                f"distortion  {_row(self.distortion)}",
                f"perception  {reached}",
                f"objective   {self.objective:.6g} ({kind}), {self._certificate()}",
            ]
        )

    def _certificate(self) -> str:
        bound = f"no code does better than {self.lower_bound:.6g} (gap {max(self.gap, 0.0):.1e})"
        if self.status == Status.ACHIEVABLE:
            return f"of a scheme, achievable; {bound}"
        if self.problem.limited:
            return f"of a scheme that meets the bound; {bound}"
        return f"certified gap {self.gap:.1e}"

    @property
    def residuals(self) -> dict[str, float]:
        """Violation of each constraint, relative to the source variance; 0 is none.

        "moments": the joint covariance of estimate and reconstruction is not positive
        semidefinite; "causality": the reconstruction depends on later frames; "rate": more bits
        than allowed; "perception": beyond the thresholds.
        """
        if self.coefficients is not None:
            beyond = excess_perception(self.problem, self.perception)
            return {**self.coefficients.residuals(), "perception": beyond}
        mmse = self.mmse if self.mode_mmse is None else self.mode_mmse
        return residuals_of(self.problem, mmse, self.cov_xhat, self.cross, self.perception)

    def perception_under(self, perception: Perception | str) -> Array:
        """Perception loss of this scheme under another loss function.

        Parameters
        ----------
        perception : FMD, JD, SA, CP or their name
            The loss function; its thresholds play no role.

        Returns
        -------
        (T,) array
        """
        mmse = self.mmse if self.mode_mmse is None else self.mode_mmse
        return perception_of(self.problem.source, self.cov_xhat, self.cross, perception, mmse)

    def simulate(
        self, n: int, rng: np.random.Generator | int, representation: bool = False
    ) -> tuple[Array, ...]:
        r"""Draw source sequences and what this scheme reconstructs from them.

        The representation is the Gaussian test channel with errors m_t; the reconstruction is the
        linear decoder :math:`\hat X = G u + N` with the second moments of the scheme.

        Parameters
        ----------
        n : int
            Number of sequences.
        rng : numpy.random.Generator or int
            Source of randomness; an int is a seed.
        representation : bool
            Return the MMSE estimate :math:`\tilde X` too; the rate of frame t is
            :math:`I(X_t; \tilde X_t | \tilde X_{t-1})`.

        Returns
        -------
        x, xhat : (n, T) or (n, T, d) arrays
            And xtil of the same shape if asked for.

        Examples
        --------
        >>> from rdp import JD, GaussMarkov
        >>> from solvers import solve
        >>> source = GaussMarkov.stationary(rho=0.9, frames=2)
        >>> solution = solve(Problem(source, [0.5, 0.5], JD(0.0)))
        >>> x, xhat = solution.simulate(100_000, rng=0)
        >>> bool(abs(np.mean((x - xhat) ** 2, axis=0) - solution.distortion).max() < 0.02)
        True
        """
        source = self.problem.source
        draw = _check.generator("rng", rng)
        if self.coefficients is not None:
            drawn = self.coefficients.simulate(n, draw)
            return drawn if representation else drawn[:2]
        x = source.sample(n, draw)
        mmse = self.mmse if self.mode_mmse is None else self.mode_mmse
        estimate, white = _test_channel(self.problem, mmse, x, draw)
        # moments in units of each sigma, so that rounding is small next to frames of any size
        units = np.moveaxis(source.sigma, 0, -1)
        factor = factor_from_mmse(source, mmse) / units[..., :, None]
        pairs = units[..., :, None] * units[..., None, :]
        decoder = _decoder(self.cross / pairs, factor)
        noise = _root_of_remainder(self.cov_xhat / pairs - decoder @ np.swapaxes(decoder, -1, -2))
        fresh = draw.standard_normal(x.shape)
        if source.modes is None:
            xhat = white @ decoder.T + fresh @ noise.T
        else:
            xhat = np.einsum("nsd,dts->ntd", white, decoder)
            xhat += np.einsum("nsd,dts->ntd", fresh, noise)
        xhat *= source.sigma
        return (x, xhat, estimate) if representation else (x, xhat)


def _row(values: Array) -> str:
    """Values of the frames, at most eight of them."""
    texts = [f"{value:.4g}" for value in values]
    if len(texts) > 8:
        texts = [*texts[:4], "...", *texts[-3:]]
    return " ".join(texts)


def _test_channel(
    problem: Problem, mmse: Array, x: Array, rng: np.random.Generator
) -> tuple[Array, Array]:
    """MMSE estimates with errors m_t, and the white variables that drive them."""
    source = problem.source
    estimate, white = np.empty_like(x), np.zeros_like(x)
    prediction: Array | float = 0.0
    for t in range(source.frames):
        previous = mmse[t - 1] if t else 0.0
        v = source.gain[t] ** 2 * previous + source.innovation[t]
        captured = np.clip(1 - mmse[t] / np.where(v > 0, v, 1.0), 0.0, 1.0)
        if t:
            prediction = source.gain[t] * estimate[:, t - 1]
        error = x[:, t] - prediction
        noise = rng.standard_normal(error.shape)
        # k^2 e + noise of variance k^2 m has variance k^2 v and leaves the error m
        news = captured * error + np.sqrt(captured * mmse[t]) * noise
        estimate[:, t] = prediction + news
        scale = np.sqrt(captured * v)
        white[:, t] = news / np.where(scale > 0, scale, 1.0)
    return estimate, white


def _decoder(cross: Array, factor: Array) -> Array:
    """Lower-triangular G with G factor^T = cross on and below the diagonal, by substitution.

    Both are in units of sigma.
    """
    size = factor.shape[-1]
    out = np.zeros_like(cross)
    for s in range(size):
        pivot = factor[..., s, s]
        known = (out[..., :, :s] * factor[..., None, s, :s]).sum(axis=-1)
        used = pivot > 1e-9  # of sigma; less than that is no rate
        column = (cross[..., :, s] - known) / np.where(used, pivot, 1.0)[..., None]
        column[..., :s] = 0.0
        out[..., :, s] = np.where(used[..., None], column, 0.0)
    return out


def _root_of_remainder(rest: Array) -> Array:
    """Square root of what the decoder adds as noise; solver residue below 1e-5 counts as none."""
    values = np.linalg.eigvalsh(rest)
    if values.min() < -1e-5:
        raise ValueError(
            f"cross: expected moments of a causal scheme, got remainder {values.min():g}"
        )
    lift = np.maximum(-values[..., :1], 0.0)[..., None] * np.eye(rest.shape[-1])
    return gaussian.psd_sqrt(rest + lift)
