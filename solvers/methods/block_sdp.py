r"""General vector sources: all perception losses and the encoder in one semidefinite program.

.. math:: \min \sum_t w_t E\|X_t - \hat X_t\|^2 \quad\text{s.t.}\quad
          \sum_{s \le k} R_s \le B_k, \quad \phi(\cdot, \cdot) \le P_t .

Unknowns: the errors m_t of the representation, their floors Pi_t, and the second moments
H = Cov(Xhat), C = E[Xhat Xtil^T] in d x d blocks. Tanaka et al. (arXiv:1411.7632) write the rate
with log-determinants of the floors,

.. math:: \sum_{s \le k} R_s = \tfrac12 \ln\det W_1 - \tfrac12 \ln\det m_k
          + \sum_{t < k} \tfrac12 (\ln\det W_{t+1} - \ln\det \Pi_t), \qquad
          \begin{bmatrix} m_t - \Pi_t & m_t A^T \\ A m_t & A m_t A^T + W \end{bmatrix} \succeq 0,

which is convex for sums from the first frame on, not for the rate of one frame. The decoder adds,
derived in this project, [[Cov Xtil, C^T], [C, H]] >= 0 with C[t, s] = C[t, t] phi(s, t)^T for
s > t (causality), and for each threshold tr A + tr B - 2 tr Z <= P, [[A, Z], [Z^T, B]] >= 0; a
threshold 0 is an equality.

Every matrix is affine in one vector of unknowns. The coefficients are read off by evaluating it
at the unit vectors, and serve both the solver (cvxpy with CLARABEL) and the certificate: the
Lagrangian at the solver's multipliers, projected on their cones, minimised by our own code.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from rdp import _check, gaussian
from rdp.perception import JD, SA, Perception
from rdp.vector_source import VectorGaussMarkov, spread
from solvers.errors import SolverError

Array = np.ndarray

_RESIDUAL = 1e-6  # relative to the variance of the source
_GAP = 1e-5  # relative to the objective


@dataclass(frozen=True, eq=False)
class BlockSolution:
    """Answer for a general vector source, recomputed from its second moments.

    Parameters
    ----------
    distortion : (T,) array
        E|X_t - Xhat_t|^2.
    perception : (T,) array
        Perception loss of each frame; nan where the problem has none.
    rates : (T,) array
        Bits per frame that the representation takes.
    mmse : (T, d, d) array
        Error covariances m_t of the representation.
    cov_xhat : (T d, T d) array
        Covariance of the reconstruction.
    cross : (T d, T d) array
        E[Xhat_t Xtil_s^T] in blocks.
    objective : float
        sum_t w_t D_t.
    lower_bound : float
        Value of the dual at the projected multipliers.
    gap : float
        objective - lower_bound.
    """

    distortion: Array
    perception: Array
    rates: Array
    mmse: Array
    cov_xhat: Array
    cross: Array
    objective: float
    lower_bound: float
    gap: float


def solve_block(
    source: VectorGaussMarkov,
    rates: object,
    perception: Perception | None = None,
    weights: object = 1.0,
    budget: str = "cumulative",
    marginals: object = None,
) -> BlockSolution:
    r"""Least weighted distortion of a general vector source, encoder and decoder together.

    Parameters
    ----------
    source : VectorGaussMarkov
        T frames in R^d; the program has O((T d)^2) unknowns.
    rates : float or (T,) array, > 0, finite, bits per frame
        Rates whose sums bound the sums of the rates used.
    perception : FMD, JD, SA or None
        Perception loss with thresholds on squared W2.
    weights : float or (T,) array, >= 0
        Weights of the distortions.
    budget : {"cumulative", "total"}
        Bound the rate used up to every frame, so that unused bits can be spent later, or only
        the total.
    marginals : (T, d, d) array or None
        For FMD: covariances that the reconstruction of each frame is compared with, instead of
        those of the source (output-constrained coding, arXiv:2503.03744).

    Returns
    -------
    BlockSolution

    Raises
    ------
    ValueError
        Bad rates, weights, marginals or budget; a KL threshold.
    SolverError
        The solver failed, or its answer is not accurate.

    Examples
    --------
    The optimal rates of Table I of arXiv:2503.03744, in bits:

    >>> from rdp import FMD
    >>> source = VectorGaussMarkov([], [np.diag([2.0, 3.0, 1.0])])
    >>> answer = solve_block(source, 2.1, FMD(0.0), marginals=[np.diag([3.0, 1.0, 1.0])])
    >>> (0.5 * np.log2([2, 3, 1] / np.diag(answer.mmse[0]))).round(3)
    array([0.929, 0.726, 0.445])
    """
    program = _Program(source, rates, perception, weights, budget, marginals)
    return program.solve()


class _Program:
    """Affine maps of the unknowns, in units of the largest variance of a frame."""

    def __init__(
        self,
        source: VectorGaussMarkov,
        rates: object,
        perception: Perception | None,
        weights: object,
        budget: str,
        marginals: object,
    ) -> None:
        if not isinstance(source, VectorGaussMarkov):
            raise ValueError(f"source: expected a VectorGaussMarkov, got {type(source).__name__}")
        if budget not in ("cumulative", "total"):
            raise ValueError(f"budget: expected 'cumulative' or 'total', got {budget!r}")
        if perception is not None and perception.metric != "w2":
            raise ValueError(f"perception: expected metric 'w2', got {perception.metric!r}")
        self.source, self.perception = source, perception
        self.unit = float(np.trace(source.variance, axis1=1, axis2=2).max())
        self.noise, self.variance = source.noise / self.unit, source.variance / self.unit
        frames, size = source.frames, source.size
        bits = _check.positive("rates", rates)
        self.bits = _per_frame("rates", bits, frames)
        self.weights = _per_frame("weights", _check.nonnegative("weights", weights), frames)
        if not self.weights.any():
            raise ValueError("weights: expected at least one weight > 0, got all zero")
        self.levels = np.full(frames, np.inf)
        if perception is not None:
            self.levels = perception.thresholds(frames) / self.unit
        self.targets = self.variance
        if marginals is not None:
            if perception is None or perception.name != "FMD":
                raise ValueError("marginals: expected None unless the perception loss is FMD")
            given = _check.finite("marginals", _check.array("marginals", marginals, ndim=3))
            if given.shape != source.noise.shape:
                raise ValueError(
                    f"marginals: expected shape {source.noise.shape}, got {given.shape}"
                )
            self.targets = given / self.unit
        self.checkpoints = range(frames) if budget == "cumulative" else range(frames - 1, frames)
        self._lay_out(frames, size)
        self._collect()

    def _lay_out(self, frames: int, size: int) -> None:
        """Where each unknown sits: symmetric matrices by their upper triangle."""
        self.places: dict[str, tuple[slice, int]] = {}
        self.length = 0

        def reserve(name: str, numbers: int, side: int) -> None:
            self.places[name] = (slice(self.length, self.length + numbers), side)
            self.length += numbers

        for t in range(frames):
            reserve(f"mmse {t}", size * (size + 1) // 2, size)
        for t in range(frames - 1):
            reserve(f"floor {t}", size * (size + 1) // 2, size)
        whole = frames * size
        reserve("cov", whole * (whole + 1) // 2, whole)
        for t in range(frames):
            for s in range(t + 1):
                reserve(f"cross {t} {s}", size * size, size)
        for t in map(int, np.flatnonzero(np.isfinite(self.levels) & (self.levels > 0))):
            side = size if self._framewise() else (t + 1) * size
            reserve(f"coupling {t}", side * side, side)

    def _framewise(self) -> bool:
        return not isinstance(self.perception, (JD, SA))

    # --- reading the unknowns

    def symmetric(self, x: Array, name: str) -> Array:
        """A symmetric unknown as a matrix."""
        place, side = self.places[name]
        out = np.zeros((side, side))
        out[np.triu_indices(side)] = x[place]
        return out + np.triu(out, 1).T

    def general(self, x: Array, name: str) -> Array:
        """A general unknown as a matrix."""
        place, side = self.places[name]
        return x[place].reshape(side, side)

    def errors(self, x: Array) -> Array:
        """Errors m_t, (T, d, d)."""
        return np.stack([self.symmetric(x, f"mmse {t}") for t in range(self.source.frames)])

    def estimate(self, x: Array) -> Array:
        """Covariance of the MMSE estimates, (T d, T d)."""
        return spread(self.source.reach, self.variance - self.errors(x))

    def cross(self, x: Array) -> Array:
        """C in blocks, its upper part by causality."""
        frames, reach = self.source.frames, self.source.reach
        own = [self.general(x, f"cross {t} {t}") for t in range(frames)]
        return np.block(
            [
                [
                    self.general(x, f"cross {t} {s}") if s <= t else own[t] @ reach[s, t].T
                    for s in range(frames)
                ]
                for t in range(frames)
            ]
        )

    def laws(self, x: Array, t: int) -> tuple[Array, Array]:
        """The two covariances that the perception loss of frame t compares."""
        size, cov = self.source.size, self.symmetric(x, "cov")
        now, end = slice(t * size, (t + 1) * size), (t + 1) * size
        if isinstance(self.perception, JD):
            return spread(self.source.reach, self.variance)[:end, :end], cov[:end, :end]
        if isinstance(self.perception, SA):
            kept = cov[:end, :end].copy()
            kept[:, now] = self.cross(x)[:end, now]  # E[Xhat_s X_t^T] = C[s, t]
            kept[now, :] = kept[:, now].T
            kept[now, now] = self.variance[t]
            return kept, cov[:end, :end]
        return self.targets[t], cov[now, now]

    # --- objective and constraints

    def objective(self, x: Array) -> float:
        """Weighted distortion."""
        return float(self.weights @ self.distortion(x))

    def distortion(self, x: Array) -> Array:
        """Mean squared error of each frame, tr Sigma_t + tr H_tt - 2 tr C_tt."""
        shape = (self.source.frames, self.source.size)
        own = np.diag(self.symmetric(x, "cov")) - 2 * np.diag(self.cross(x))
        return np.trace(self.variance, axis1=1, axis2=2) + own.reshape(shape).sum(axis=1)

    def _collect(self) -> None:
        """List the constraints: matrices >= 0, matrices = 0, numbers >= 0."""
        self.semidefinite: list[_Affine] = [self.affine(self._joint)]
        self.zero: list[_Affine] = []
        self.positive: list[_Affine] = []
        for t in range(self.source.frames - 1):
            self.semidefinite += [self.affine(self._floor, t), self.affine(self._prediction, t)]
        self.semidefinite.append(self.affine(lambda x: self.noise[0] - self.symmetric(x, "mmse 0")))
        for t in map(int, np.flatnonzero(np.isfinite(self.levels))):
            if self.levels[t] == 0:
                self.zero.append(self.affine(self._difference, t))
            else:
                self.semidefinite.append(self.affine(self._coupling, t))
                self.positive.append(self.affine(self._slack, t))
        self.cost = self.affine(lambda x: np.array(self.objective(x)))

    def affine(self, function: Callable[..., Array], *args: Any) -> _Affine:
        """Coefficients of an affine function, by evaluating it at 0 and the unit vectors."""
        base = np.asarray(function(np.zeros(self.length), *args))
        unit = np.eye(self.length)
        columns = [(np.asarray(function(e, *args)) - base).ravel() for e in unit]
        return _Affine(np.stack(columns, axis=1), base)

    def _joint(self, x: Array) -> Array:
        cross = self.cross(x)
        return np.block([[self.estimate(x), cross.T], [cross, self.symmetric(x, "cov")]])

    def _floor(self, x: Array, t: int) -> Array:
        m, a = self.symmetric(x, f"mmse {t}"), self.source.transition[t]
        predicted = a @ m @ a.T + self.noise[t + 1]
        return np.block([[m - self.symmetric(x, f"floor {t}"), m @ a.T], [a @ m, predicted]])

    def _prediction(self, x: Array, t: int) -> Array:
        m, a = self.symmetric(x, f"mmse {t}"), self.source.transition[t]
        return a @ m @ a.T + self.noise[t + 1] - self.symmetric(x, f"mmse {t + 1}")

    def _difference(self, x: Array, t: int) -> Array:
        target, law = self.laws(x, t)
        return law - target

    def _coupling(self, x: Array, t: int) -> Array:
        target, law = self.laws(x, t)
        z = self.general(x, f"coupling {t}")
        return np.block([[target, z], [z.T, law]])

    def _slack(self, x: Array, t: int) -> Array:
        target, law = self.laws(x, t)
        z = self.general(x, f"coupling {t}")
        return self.levels[t] - (np.trace(target) + np.trace(law) - 2 * np.trace(z))

    def rate_terms(self, last: int) -> tuple[float, list[str]]:
        """The rate up to a frame: a constant minus ln det / 2 of the unknowns named."""
        constant = 0.5 * np.linalg.slogdet(self.noise[: last + 1])[1].sum()
        return float(constant), [f"floor {t}" for t in range(last)] + [f"mmse {last}"]

    # --- solving

    def solve(self) -> BlockSolution:
        """Solve, recompute, check and certify."""
        x, bound = self._optimise()
        cov, cross, errors = self.symmetric(x, "cov"), self.cross(x), self.errors(x)
        rates = self._rates(errors)
        perception = np.full(self.source.frames, np.nan)
        if self.perception is not None:
            pairs = [self.laws(x, t) for t in range(self.source.frames)]
            perception = np.array([float(gaussian.bures(*pair)) for pair in pairs])
        self._check(x, rates, perception)
        objective = self.objective(x)
        if not abs(objective - bound) <= _GAP * objective:
            raise SolverError(
                "inaccurate", f"block_sdp: objective {objective:.9g}, certified bound {bound:.9g}"
            )
        return BlockSolution(
            distortion=self.distortion(x) * self.unit,
            perception=perception * self.unit,
            rates=rates,
            mmse=errors * self.unit,
            cov_xhat=cov * self.unit,
            cross=cross * self.unit,
            objective=objective * self.unit,
            lower_bound=bound * self.unit,
            gap=(objective - bound) * self.unit,
        )

    def _rates(self, errors: Array) -> Array:
        """Bits of each frame: half the log-ratio of prediction error and error."""
        a = self.source.transition
        predicted = self.noise.copy()
        predicted[1:] += a @ errors[:-1] @ np.swapaxes(a, 1, 2)
        gain = np.linalg.slogdet(predicted)[1] - np.linalg.slogdet(errors)[1]
        return np.asarray(0.5 * gain / np.log(2))

    def _optimise(self) -> tuple[Array, float]:
        """Return the unknowns and the certified bound."""
        import cvxpy as cp

        x = cp.Variable(self.length)

        def matrix(name: str) -> Any:
            map_ = self.affine(self.symmetric, name)
            return map_.expression(x)

        semidefinite = [item.expression(x) >> 0 for item in self.semidefinite]
        zero = [item.expression(x) == 0 for item in self.zero]
        positive = [item.expression(x) >= 0 for item in self.positive]
        rate = []
        for k in self.checkpoints:
            constant, names = self.rate_terms(k)
            spare = self.bits[: k + 1].sum() * np.log(2) - constant
            rate.append(spare + sum(0.5 * cp.log_det(matrix(name)) for name in names) >= 0)
        objective = cp.Minimize(self.cost.expression(x))
        problem = cp.Problem(objective, semidefinite + zero + positive + rate)
        try:
            problem.solve(solver=cp.CLARABEL)
        except cp.error.SolverError as failure:
            raise SolverError("failed", f"block_sdp: {failure}") from None
        if problem.status != cp.OPTIMAL:
            raise SolverError("failed", f"block_sdp: solver says {problem.status}")
        prices = np.array([float(constraint.dual_value) for constraint in rate])
        multipliers = [c.dual_value for c in (*semidefinite, *zero, *positive)]
        found = np.asarray(x.value)
        return found, self._bound(found, prices, multipliers)

    def _check(self, x: Array, rates: Array, perception: Array) -> None:
        """Refuse an answer that violates a constraint."""
        spent = np.cumsum(rates - self.bits)[list(self.checkpoints)]
        worst = {
            "moments": -min(np.linalg.eigvalsh(item.at(x)).min() for item in self.semidefinite),
            "rate": spent.max(),
            "perception": 0.0 if self.perception is None else (perception - self.levels).max(),
        }
        for name, value in worst.items():
            if not value <= _RESIDUAL:
                raise SolverError("inaccurate", f"block_sdp: residual of {name} is {value:.2e}")

    # --- certificate

    def _bound(self, x: Array, prices: Array, multipliers: list[Any]) -> float:
        """Minimum of the Lagrangian over the unknowns, at multipliers projected on their cones.

        Linear in all but the errors and floors, where it is <G, m> - (price / 2) ln det m. What
        is left of the coefficients of the others, which should vanish, is charged at its worst.
        """
        value, slope = float(self.cost.base), self.cost.map[0].copy()
        items = [*self.semidefinite, *self.zero, *self.positive]
        for i, (item, raw) in enumerate(zip(items, multipliers, strict=True)):
            dual = np.asarray(raw, dtype=np.float64).reshape(item.base.shape)
            if i < len(self.semidefinite):
                dual = _positive_part(0.5 * (dual + dual.T))
            elif i >= len(self.semidefinite) + len(self.zero):
                dual = np.maximum(dual, 0.0)
            else:
                dual = -dual  # cvxpy adds the multiplier of an equality, we subtract it
            value -= float((dual * item.base).sum())
            slope -= item.map.T @ dual.ravel()
        weight = dict.fromkeys(self.places, 0.0)
        for k, price in zip(self.checkpoints, np.maximum(prices, 0.0), strict=True):
            constant, names = self.rate_terms(k)
            value += price * (constant - self.bits[: k + 1].sum() * np.log(2))
            for name in names:
                weight[name] += 0.5 * price
        largest = self._largest_entry(x)
        for name, (place, side) in self.places.items():
            if name.startswith(("mmse", "floor")):
                t = int(name.split()[1])
                gradient = self._gradient(slope[place], side)
                value += _least(gradient, weight[name], float(np.trace(self.variance[t])))
            else:
                value -= largest * float(np.abs(slope[place]).sum())
        return value

    @staticmethod
    def _gradient(coefficients: Array, side: int) -> Array:
        """Matrix G with <G, m> for the upper triangle's coefficients."""
        out = np.zeros((side, side))
        out[np.triu_indices(side)] = coefficients
        return 0.5 * (out + out.T)

    def _largest_entry(self, x: Array) -> float:
        """Bound on the entries of H, C and Z over all schemes as good as this one.

        |Xhat_t| is at most |X_t| plus the root of the distortion, or of the threshold. A frame
        with neither weight nor threshold can as well be set to zero.
        """
        objective = self.objective(x)
        largest = 0.0
        for t, weight in enumerate(self.weights):
            binding = self.levels[t:].min() if isinstance(self.perception, JD) else self.levels[t]
            distance = min(binding, objective / weight if weight > 0 else np.inf)
            if np.isinf(distance) and isinstance(self.perception, SA):
                raise ValueError(
                    f"weights: expected > 0 at frame {t}, which has no threshold under SA"
                )
            size = float(max(np.trace(self.variance[t]), np.trace(self.targets[t])))
            reach = 0.0 if np.isinf(distance) else np.sqrt(distance)
            largest = max(largest, (np.sqrt(size) + reach) ** 2)
        return largest


class _Affine:
    """x -> map @ x + base, a matrix or a number."""

    def __init__(self, coefficients: Array, base: Array) -> None:
        self.map, self.base = coefficients, base

    def at(self, x: Array) -> Array:
        """Value at x."""
        return self.base + (self.map @ x).reshape(self.base.shape)

    def expression(self, x: Any) -> Any:
        """The same as a cvxpy expression."""
        import cvxpy as cp

        flat = self.map @ x
        if self.base.ndim == 0:
            return flat[0] + float(self.base)
        return cp.reshape(flat, self.base.shape, order="C") + self.base


def _per_frame(name: str, value: Array, frames: int) -> Array:
    if value.ndim and value.shape != (frames,):
        raise ValueError(
            f"{name}: expected shape ({frames},) for {frames} frames, got {value.shape}"
        )
    return np.array(np.broadcast_to(_check.finite(name, value), (frames,)))


def _positive_part(matrix: Array) -> Array:
    """Projection on the positive semidefinite cone."""
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.maximum(values, 0.0)) @ vectors.T


def _least(gradient: Array, weight: float, trace: float) -> float:
    """Lower bound of <G, m> - weight ln det m over positive m with tr m <= trace.

    At m = weight G^-1 it is weight (d + ln det(G / weight)). Eigenvalues of G below a floor are
    raised to it, which costs at most the difference times the trace.
    """
    values = np.linalg.eigvalsh(gradient)
    if weight == 0:
        return min(0.0, float(values.min())) * trace
    floor = max(1e-3 * weight / trace, 1e-12)
    raised = np.maximum(values, floor)
    cost = float((raised - values).max()) * trace
    return weight * (len(values) + float(np.log(raised / weight).sum())) - cost
