r"""Method "lookahead": the best decoder at zero perception loss, in time linear in T.

.. math::
    \min \sum_t w_t E(X_t - \hat X_t)^2 \quad\text{subject to PLF-JD or PLF-SA} = 0
    \text{ at the rates } R_1..R_T.

**Reduction to T scalars** (derived in this project). Let :math:`\tilde X_t = a_t \tilde X_{t-1}
+ \sqrt{p_t} u_t` be the MMSE estimate, :math:`p_t = v_t - m_t`, and e_t the innovation of the
reconstruction, white, so that :math:`\hat X_t` is a linear function of :math:`e_1..e_t`. A decoder
may hold information back: let :math:`y_t = \operatorname{Var}(\tilde X_t | \hat X^t)` be what it
knows of the present and the reconstruction does not contain. With :math:`g_t = E[\tilde X_t e_t]`,

.. math:: y_t = a_t^2 y_{t-1} + p_t - g_t^2 \ge 0, \qquad y_0 = 0,

since u_t is independent of the past and e_t of :math:`\hat X^{t-1}`. Conversely every g with
:math:`y \ge 0` is reached: take e_t along the part of the estimate that is still unknown, plus
decoder noise. Later frames see e_t only through :math:`E[\tilde X_s e_t] = \phi(s,t) g_t`. Hence

.. math::
    \text{JD: } & \hat X_t = a_t \hat X_{t-1} + \sqrt{q_t} e_t, \qquad
    \sum_t w_t D_t = 2\sum_r S_r (q_r - \sqrt{q_r} g_r), \quad
    S_r = \sum_{t \ge r} w_t \phi(t,r)^2, \\
    \text{SA: } & \hat X_t = E[X_t | \hat X^{t-1}] + \sqrt{\omega_t} e_t, \qquad
    D_t = 2\omega_t - 2 g_t \sqrt{\omega_t}, \quad \omega_t = v_t + a_t^2 y_{t-1}.

JD maximises a concave function whose dual, :math:`\min \sum_r [S_r^2 q_r / (4\beta_r) + \beta_r
p_r]` over :math:`\beta_r \ge a_{r+1}^2 \beta_{r+1}`, is an isotonic regression: pooling adjacent
violators solves it exactly in O(T). It replaces the maximisation of :math:`\langle K, M\rangle`
over lower-triangular contractions K, whose dual is a nuclear norm of T x T matrices. SA is convex
in y, because :math:`\sqrt{\omega_t g_t^2}` is the geometric mean of two affine functions of
:math:`(y_{t-1}, y_t)`: a barrier method with tridiagonal Newton steps, O(T) each. Both return a
bound from a dual feasible point.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from rdp.perception import Perception, zero_loss_name
from rdp.problem import Problem
from rdp.source import GaussMarkov
from solvers._lookahead import joint, self_adaptive
from solvers._lookahead.decoder import Decoder, Frames, moments
from solvers.scheme import Scheme
from solvers.ties import SHARES, break_ties, unfelt

Array = np.ndarray

_LOST = 5e-10  # of the objective: what breaking ties may cost


@dataclass(frozen=True, eq=False)
class Lookahead:
    """Best decoder at zero perception loss.

    Parameters
    ----------
    distortion : (T,) array
        D_t, squared units of the source.
    correlation : (T,) array
        g_t = E[Xtil_t e_t], how much of frame t's innovation follows the estimate.
    held : (T,) array
        y_t = Var(Xtil_t | Xhat_1..Xhat_t), what is known and held back.
    lower_bound : float
        Value of the dual problem: no decoder of these rates has a smaller weighted distortion.
    problem : Problem
        Source, rates, weights and perception loss.
    """

    distortion: Array
    correlation: Array
    held: Array
    lower_bound: float
    problem: Problem

    @property
    def objective(self) -> float:
        """Weighted distortion, or the sum for the sequential objective."""
        return float(self.problem.frame_weights @ self.distortion)

    @property
    def gap(self) -> float:
        """Objective minus lower bound."""
        return self.objective - self.lower_bound


def lookahead(
    source: GaussMarkov, rates: object, weights: object = None, plf: Perception | str = "JD"
) -> Lookahead:
    r"""Least weighted distortion under perfect joint or self-adaptive realism.

    .. math:: \min \sum_t w_t D_t \quad\text{s.t.}\quad P_{\hat X^t} = P_{X^t}
              \text{ (JD) or } P_{\hat X^t} = P_{\hat X^{t-1} X_t} \text{ (SA)}.

    Parameters
    ----------
    source : GaussMarkov
        T scalar frames.
    rates : float or (T,) array, >= 0, bits per frame
        Rates; inf allowed.
    weights : (T,) array, >= 0, or None
        Weights of the distortions. None is the sequential objective: minimise D_1, then D_2
        given that, and so on.
    plf : {"JD", "SA"}, JD(0) or SA(0)
        Perception loss that is zero.

    Returns
    -------
    Lookahead

    Raises
    ------
    ValueError
        Vector frames, bad rates or weights, an unknown plf.

    Notes
    -----
    Derived in this project (see the module docstring); loss functions of Salehkalaibar et al.,
    arXiv:2305.19301 and arXiv:2502.10628.

    Examples
    --------
    A first frame sent with almost no rate stays wrong under the sequential decoder. A decoder
    that plans for frame 3 reconstructs less of frame 2 and repairs frame 3:

    >>> source = GaussMarkov.stationary(rho=0.9, frames=3)
    >>> lookahead(source, [0.05, 8, 8]).distortion.round(3)
    array([1.482, 0.733, 0.594])
    >>> lookahead(source, [0.05, 8, 8], weights=[0, 0, 1]).distortion.round(3)
    array([1.482, 0.947, 0.514])
    """
    name = zero_loss_name(plf)
    if name not in ("JD", "SA"):
        raise ValueError(f"plf: expected 'JD' or 'SA', got {plf!r}")
    problem = Problem(source, rates, name, weights)  # type: ignore[arg-type]
    if source.modes is not None:
        raise ValueError(f"source: expected scalar frames, got {source.modes} modes")
    found = _best_decoder(problem, Frames.of(source, problem.rates))
    return Lookahead(*found, problem)


def lookahead_points(problem: Problem, rates: Array) -> tuple[Array, Array]:
    """Distortion (N, T) and lower bound (N,) of a problem at rates (N, T)."""
    frames = Frames.of(problem.source, rates)
    if problem.plf == "SA" and problem.weights is not None:
        scale = problem.weights.max()
        found = self_adaptive.weighted_self_adaptive_points(frames, problem.weights / scale)
        distortion = found[0]
        tied = unfelt(problem.weights, frames.mmse, distortion).any(axis=1)
        for point in np.flatnonzero(tied).tolist():
            distortion[point] = _best_decoder(problem, frames.at(point)).distortion
        return distortion, scale * found[3]
    each = [_best_decoder(problem, frames.at(point)) for point in range(len(rates))]
    return np.array([a.distortion for a in each]), np.array([a.lower_bound for a in each])


def _best_decoder(problem: Problem, frames: Frames) -> Decoder:
    if problem.weights is None:
        sequential = {"JD": joint.sequential_joint, "SA": self_adaptive.sequential_self_adaptive}
        return sequential[problem.plf](frames)
    # weights relative to the largest, so that the tolerances are relative
    scale = problem.weights.max()
    weights = problem.weights / scale
    if problem.plf == "JD":
        found = joint.weighted_joint(frames, weights)
    else:
        found = self_adaptive.weighted_self_adaptive(frames, weights)
        bound = found.lower_bound
        again = _self_adaptive_at(frames)
        found = break_ties(
            weights, frames.mmse, found, bound, again, lost=_LOST, shares=SHARES[-1:]
        )
        at_once = self_adaptive.sequential_self_adaptive(frames)
        if weights @ at_once.distortion <= weights @ found.distortion:
            found = at_once  # there is nothing to plan for, and it is explicit
        found = found._replace(lower_bound=bound)
    return found._replace(lower_bound=found.lower_bound * scale)


def _self_adaptive_at(frames: Frames) -> Callable[[Array], Decoder]:
    return lambda weights: self_adaptive.weighted_self_adaptive(frames, weights / weights.max())


def solve_lookahead(problem: Problem) -> Scheme:
    """Scheme of a problem at zero perception loss.

    The MMSE encoder is optimal for scalar frames, so both encoders have the same answer. Under
    PLF-JD threshold 0 at the last frame makes the distributions of all frames equal.
    """
    source = problem.source
    frames = Frames.of(source, problem.rates)
    found = _best_decoder(problem, frames)
    v, power = frames.prediction_error, frames.power
    cov_xhat, cross = moments(source, v, power, found.correlation, found.held, problem.plf)
    method = "exact, by pooling" if problem.plf == "JD" else "barrier, tridiagonal Newton"
    message = "sequential rule" if problem.weights is None else method
    return Scheme(
        cov_xhat,
        cross,
        frames.mmse,
        found.lower_bound,
        message,
        distortion=found.distortion,
        frame_bounds=found.distortion if problem.weights is None else None,
    )
