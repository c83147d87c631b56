r"""What to hold back: the best decoder for any weights under perfect joint realism.

.. math:: \min \sum_t w_t E\|X_t - \hat X_t\|^2 \quad\text{s.t.}\quad
          P_{\hat X_1..\hat X_T} = P_{X_1..X_T},

for an estimate with a state, :math:`\hat S_t = A_t \hat S_{t-1} + \Gamma_t u_t`, and a source in
innovations form, :math:`X_t = \sum_{s \le t} H A_t \cdots A_{s+1} b_s e_s`. Frames are scalars or
vectors of d values.

**Reduction** (derived in this project; the scalar case is in `solvers.methods.lookahead`). The
reconstruction is the same function of its own white innovations :math:`\hat e_t`. With
:math:`G_t = E[\hat S_t \hat e_t^T]` and :math:`Y_t = \operatorname{Cov}(\hat S_t | \hat e^t)`, what
the decoder knows and holds back,

.. math:: Y_t = A_t Y_{t-1} A_t^T + \Gamma_t \Gamma_t^T - G_t G_t^T \succeq 0, \qquad
          \sum_t w_t E[X_t^T \hat X_t] = \sum_t \operatorname{tr} F_t^T G_t, \qquad
          F_t = O_t b_t, \quad O_t = w_t H^T H + A_{t+1}^T O_{t+1} A_{t+1},

and every :math:`G_t G_t^T \preceq A_t Y_{t-1} A_t^T + \Gamma_t \Gamma_t^T` is reached, by
:math:`\hat e_t` along the part still held back, plus noise. The T x T program with a nuclear norm
as its dual becomes a chain of small linear matrix inequalities,

.. math:: \max \sum_t \operatorname{tr} F_t^T G_t \quad\text{s.t.}\quad
    \begin{bmatrix} A_t Y_{t-1} A_t^T + \Gamma_t\Gamma_t^T - Y_t & G_t \\ G_t^T & I \end{bmatrix}
    \succeq 0, \quad Y_t \succeq 0,

whose size grows with T only. Its dual,

.. math:: \min \sum_t \left[\tfrac14 \operatorname{tr} F_t^T B_t^{-1} F_t
          + \operatorname{tr} B_t \Gamma_t \Gamma_t^T\right] \quad\text{s.t.}\quad
          B_t \succeq A_{t+1}^T B_{t+1} A_{t+1}, \quad B_T \succeq 0,

bounds every decoder from any feasible B. The answer of the solver (CLARABEL) is repaired to be
exactly feasible on both sides, and the gap is that of the repaired points.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from rdp.solution import Status
from solvers.errors import SolverError
from solvers.linear._chain import Chain, solve_chain

Array = np.ndarray

_LESS = (0.0, 1e-10, 1e-9, 1e-8, 1e-7, 1e-6)
_TINY = 1e-200  # variances whose inverse leaves float64
_NO_DIRECTION = 1e-13  # share of the largest variance below which a direction does not exist


@dataclass(frozen=True, eq=False)
class HeldBack:
    """Best use of an estimate under perfect joint realism.

    Parameters
    ----------
    correlation : (T, n, d) array
        G_t = E[S^_t e^_t'].
    held : (T, n, n) array
        Y_t, covariance of what is known and not yet used.
    value : float
        sum_t tr F_t' G_t of this decoder: the weighted correlation with the source.
    upper_bound : float
        No decoder of this estimate has a larger value.
    """

    correlation: Array
    held: Array
    value: float
    upper_bound: float

    @property
    def gap(self) -> float:
        """Bound minus value, >= 0."""
        return self.upper_bound - self.value


def demand(
    transition: Array, output: Array, innovations: Array, weights: Array
) -> tuple[Array, Array]:
    """Return F_t, (T, n, d), and O_t, (T, n, n), by the backward recursion.

    Parameters
    ----------
    transition : (n, n) array
        A.
    output : (d, n) array
        H.
    innovations : (T, n, d) array
        b_t, gains of the innovations form of the source.
    weights : (T,) array, >= 0
    """
    frames = len(weights)
    seen = np.zeros((frames, len(transition), len(transition)))
    later = np.zeros_like(transition)
    for t in range(frames - 1, -1, -1):
        later = weights[t] * output.T @ output + transition.T @ later @ transition
        seen[t] = later
    return seen @ innovations, seen


def hold_back(transition: Array, arriving: Array, wanted: Array) -> HeldBack:
    r"""Maximise the weighted correlation with the source over causal decoders.

    Parameters
    ----------
    transition : (n, n) array
        A.
    arriving : (T, n, r) array
        Gamma_t, gains of the estimate: r new white variables for each frame.
    wanted : (T, n, d) array
        F_t, see `demand`.

    Returns
    -------
    HeldBack

    Raises
    ------
    SolverError
        The solver failed.

    Examples
    --------
    One frame: the decoder uses all it has.

    >>> answer = hold_back(np.eye(1), np.full((1, 1, 1), 0.6), np.ones((1, 1, 1)))
    >>> round(answer.value, 9), round(answer.upper_bound, 9)
    (0.6, 0.6)
    """
    roots = _roots(transition, arriving)
    inverses = [np.linalg.pinv(root, rcond=1e-13) if root.size else root.T for root in roots]
    chain = Chain(
        [
            inverses[t] @ transition @ (roots[t - 1] if t else roots[0][:, :0])
            for t in range(len(roots))
        ],
        [inverse @ gain for inverse, gain in zip(inverses, arriving, strict=True)],
        [root.T @ want for root, want in zip(roots, wanted, strict=True)],
    )
    scale = max((float(np.abs(want).max(initial=0.0)) for want in chain.wanted), default=0.0)
    if not scale > 0:
        return HeldBack(np.zeros(wanted.shape), np.zeros((len(wanted), *transition.shape)), 0, 0)
    scaled = Chain(chain.transition, chain.arriving, [want / scale for want in chain.wanted])
    best, dual = solve_chain(scaled)
    # G slightly smaller is feasible: G = 0 with Y_t = (1 - t / (T + 1)) Cov(S^_t) is an interior
    # point. The sequential rule (None) is exact where it is optimal.
    choices = [None, *([(1 - less) * g for g in best] for less in _LESS)]
    candidates = [_feasible(scaled, choice) for choice in choices]
    used, kept, value = max(candidates, key=lambda candidate: candidate[2])
    bound = _bound(scaled, dual)
    if value > bound + 1e-9 * abs(bound):
        raise SolverError(
            Status.INACCURATE, f"hold_back: value {value:g} above its bound {bound:g}"
        )
    return HeldBack(
        np.array([root @ g for root, g in zip(roots, used, strict=True)]),
        np.array([root @ y @ root.T for root, y in zip(roots, kept, strict=True)]),
        value * scale,
        max(bound, value) * scale,
    )


class Rows(NamedTuple):
    """Innovations of the reconstruction over u and the decoder's noise.

    Parameters
    ----------
    from_estimate : (T d, T r) array
        Coefficients of u.
    from_noise : (T d, T d) array
        Coefficients of the noise.
    """

    from_estimate: Array
    from_noise: Array


def innovations_of(transition: Array, arriving: Array, answer: HeldBack) -> Rows:
    r"""White innovations e^_t of the reconstruction as a function of u and noise.

    :math:`\hat e_t = G_t^T Q_t^+ r_t + N_t z_t`, with r_t the part of the estimate that is held
    back, of covariance Q_t, and :math:`N_t N_t^T = I - G_t^T Q_t^+ G_t`.

    Parameters
    ----------
    transition : (n, n) array
        A.
    arriving : (T, n, r) array
        Gamma_t.
    answer : HeldBack
    """
    frames, n, d = answer.correlation.shape
    r = arriving.shape[2]
    left = np.zeros((n, frames * (r + d)))  # r_t over u and z
    held = np.zeros((n, n))
    out = np.zeros((frames * d, frames * (r + d)))
    split = frames * r
    for t in range(frames):
        left = transition @ left
        left[:, t * r : (t + 1) * r] += arriving[t]
        known = transition @ held @ transition.T + arriving[t] @ arriving[t].T
        values, vectors = np.linalg.eigh(known)
        keep = values > max(1e-11 * float(values[-1]), _TINY)
        basis = vectors[:, keep]
        left = basis @ (basis.T @ left)  # nothing but rounding is outside
        left = left - (left @ out[: t * d].T) @ out[: t * d]
        rows = ((basis / values[keep]) @ (basis.T @ answer.correlation[t])).T @ left
        # exactly white whatever rounding did to a small residual
        for _ in range(2):
            rows = rows - (rows @ out[: t * d].T) @ out[: t * d]
        turn, stretch, white = np.linalg.svd(rows, full_matrices=False)
        rows = (turn * np.minimum(stretch, 1.0)) @ white
        values, vectors = np.linalg.eigh(np.eye(d) - rows @ rows.T)
        noise = vectors * np.sqrt(np.maximum(values, 0.0))
        rows[:, split + t * d : split + (t + 1) * d] += noise
        out[t * d : (t + 1) * d] = rows
        left = left - answer.correlation[t] @ rows
        held = answer.held[t]
    return Rows(out[:, :split], out[:, split:])


def _roots(transition: Array, arriving: Array) -> list[Array]:
    """Square factors (n, rank) of the covariance of the estimate at each frame."""
    out = []
    covariance = np.zeros_like(transition)
    for gain in arriving:
        covariance = transition @ covariance @ transition.T + gain @ gain.T
        values, vectors = np.linalg.eigh(covariance)
        keep = values > max(_NO_DIRECTION * float(values[-1]), _TINY)
        out.append(vectors[:, keep] * np.sqrt(values[keep]))
    return out


def _feasible(chain: Chain, wanted: list[Array] | None) -> tuple[list[Array], list[Array], float]:
    """Decoder nearest to the given correlations, or the sequential one, and its exact value."""
    used, kept, value = [], [], 0.0
    before = np.zeros((0, 0))
    for t, (a, gain, want) in enumerate(
        zip(chain.transition, chain.arriving, chain.wanted, strict=True)
    ):
        known = a @ before @ a.T + gain @ gain.T
        values, vectors = np.linalg.eigh(known)
        keep = values > 1e-13 * max(float(values[-1]), 0.0) if len(values) else values > 0
        root = vectors[:, keep] * np.sqrt(values[keep])
        if wanted is None:  # the nearest contraction to a far away point is the polar factor
            left, _, right = np.linalg.svd(root.T @ want, full_matrices=False)
            contraction = left @ right
        else:
            back = vectors[:, keep] / np.sqrt(values[keep])
            left, stretch, right = np.linalg.svd(back.T @ wanted[t], full_matrices=False)
            contraction = (left * np.minimum(stretch, 1.0)) @ right
        g = root @ contraction
        before = root @ (np.eye(root.shape[1]) - contraction @ contraction.T) @ root.T
        used.append(g)
        kept.append(before)
        value += float((g * want).sum())
    return used, kept, value


def _bound(chain: Chain, dual: list[Array]) -> float:
    """Dual value at a feasible point near the given one."""
    best = np.inf
    for lift in (0.0, 1e-13, 1e-12, 1e-11, 1e-10, 1e-9, 1e-8, 1e-7):
        value = 0.0
        later = None
        for t in range(len(dual) - 1, -1, -1):
            b = dual[t] + lift * np.eye(len(dual[t]))
            if later is not None:
                missing = chain.transition[t + 1].T @ later @ chain.transition[t + 1] - b
                values, vectors = np.linalg.eigh(0.5 * (missing + missing.T))
                b = b + (vectors * np.maximum(values, 0.0)) @ vectors.T
            values, vectors = np.linalg.eigh(0.5 * (b + b.T))
            values = np.maximum(values, 0.0)
            later = (vectors * values) @ vectors.T
            along = ((vectors.T @ chain.wanted[t]) ** 2).sum(axis=1)
            if (along[values == 0] > 0).any():
                value = np.inf
                break
            value += 0.25 * float((along[values > 0] / values[values > 0]).sum())
            value += float((later * (chain.arriving[t] @ chain.arriving[t].T)).sum())
        best = min(best, value)
    return best
