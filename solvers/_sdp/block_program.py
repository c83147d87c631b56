"""General vector sources: unknowns, objective and constraints of one semidefinite program.

Every matrix is affine in one vector of unknowns. The coefficients are read off by evaluating it at
the unit vectors. The solver and the certificate both use them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rdp import _check
from rdp.perception import JD, SA, Perception
from rdp.vector_source import VectorGaussMarkov, spread

Array = np.ndarray


class BlockProgram:
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
        self.bits = _check.per_frame("rates", _check.positive("rates", rates), frames)
        shares = _check.finite("weights", _check.nonnegative("weights", weights))
        self.weights = _check.per_frame("weights", shares, frames)
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

    def compared(self, x: Array, t: int) -> tuple[Array, Array]:
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
        self.semidefinite: list[Affine] = [self.affine(self._joint)]
        self.zero: list[Affine] = []
        self.positive: list[Affine] = []
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

    def affine(self, function: Callable[..., Array], *args: Any) -> Affine:
        """Coefficients of an affine function, by evaluating it at 0 and the unit vectors."""
        base = np.asarray(function(np.zeros(self.length), *args))
        unit = np.eye(self.length)
        columns = [(np.asarray(function(e, *args)) - base).ravel() for e in unit]
        return Affine(np.stack(columns, axis=1), base)

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
        target, cov = self.compared(x, t)
        return cov - target

    def _coupling(self, x: Array, t: int) -> Array:
        target, cov = self.compared(x, t)
        z = self.general(x, f"coupling {t}")
        return np.block([[target, z], [z.T, cov]])

    def _slack(self, x: Array, t: int) -> Array:
        target, cov = self.compared(x, t)
        z = self.general(x, f"coupling {t}")
        return self.levels[t] - (np.trace(target) + np.trace(cov) - 2 * np.trace(z))

    def rate_terms(self, last: int) -> tuple[float, list[str]]:
        """The rate up to a frame: a constant minus ln det / 2 of the unknowns named."""
        constant = 0.5 * np.linalg.slogdet(self.noise[: last + 1])[1].sum()
        return float(constant), [f"floor {t}" for t in range(last)] + [f"mmse {last}"]


class Affine:
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
