r"""Lookahead at zero perception loss: the best decoder for any weights, in time linear in T.

.. math::
    \min \sum_t w_t E(X_t - \hat X_t)^2 \quad\text{subject to PLF-JD or PLF-SA} = 0
    \text{ at the rates } R_1..R_T.

**Reduction to T scalars** (derived in this project). Let :math:`\tilde X_t = a_t \tilde X_{t-1}
+ \sqrt{p_t} u_t` be the MMSE estimate, :math:`p_t = v_t - m_t`, and e_t the innovation of the
reconstruction, white, so that :math:`\hat X_t` is a linear function of :math:`e_1..e_t`. A decoder
may hold information back: let :math:`y_t = \operatorname{Var}(\tilde X_t | \hat X^t)` be what it
knows of the present and has not shown. With :math:`g_t = E[\tilde X_t e_t]`,

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

from typing import NamedTuple

import numpy as np

from rdp.mmse import mmse_recursion
from rdp.problem import Problem
from rdp.source import GaussMarkov
from solvers.errors import SolverError
from solvers.scheme import Scheme

Array = np.ndarray

_BARRIER_GAP = 1e-10  # relative gap at which the barrier method stops
_NEWTON_STEPS = 400
_NO_CORRELATION = 1e-17  # |rho| below it changes no distortion by more than a rounding error
_NO_GAIN = 1e-200  # likewise for a product of gains


class Lookahead(NamedTuple):
    """Best decoder at zero perception loss.

    Parameters
    ----------
    distortion : (T,) array
        D_t, squared units of the source.
    correlation : (T,) array
        g_t = E[Xtil_t e_t], how much of frame t's innovation follows the estimate.
    held : (T,) array
        y_t = Var(Xtil_t | Xhat_1..Xhat_t), what is known and not yet shown.
    lower_bound : float
        Value of the dual problem: no decoder of these rates has a smaller weighted distortion.
    """

    distortion: Array
    correlation: Array
    held: Array
    lower_bound: float


def lookahead(
    source: GaussMarkov, rates: object, weights: object = None, plf: str = "JD"
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
    plf : {"JD", "SA"}
        Perception loss function that is zero.

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
    that plans for frame 3 shows less of frame 2 and repairs frame 3:

    >>> source = GaussMarkov.stationary(rho=0.9, frames=3)
    >>> lookahead(source, [0.05, 8, 8]).distortion.round(3)
    array([1.482, 0.733, 0.594])
    >>> lookahead(source, [0.05, 8, 8], weights=[0, 0, 1]).distortion.round(3)
    array([1.482, 0.947, 0.514])
    """
    problem = Problem(source, rates, weights=weights)  # type: ignore[arg-type]
    if source.modes is not None:
        raise ValueError(f"source: expected scalar frames, got {source.modes} modes")
    if plf not in ("JD", "SA"):
        raise ValueError(f"plf: expected 'JD' or 'SA', got {plf!r}")
    frames = _Frames.of(source, problem.rates)
    if problem.weights is None:
        return _sequential(frames, plf)
    # weights relative to the largest, so that the tolerances are relative
    scale = problem.weights.max()
    solve = _joint if plf == "JD" else _self_adaptive
    found = solve(frames, problem.weights / scale)
    return found._replace(lower_bound=found.lower_bound * scale)


def solve_lookahead(problem: Problem) -> Scheme:
    """Solve a problem of scalar frames with perfect joint or self-adaptive realism.

    Minimise the weighted (or sequential) distortion over decoders; see `lookahead`. The MMSE
    encoder is optimal for scalar frames, so both encoders have the same answer.

    Parameters
    ----------
    problem : Problem
        Scalar frames; JD with threshold 0 at the last frame (which makes all laws equal), or SA
        with threshold 0 at every frame.

    Returns
    -------
    Scheme

    Raises
    ------
    SolverError
        Another perception loss, positive thresholds, or vector frames.
    """
    binding = problem.thresholds[-1:] if problem.plf == "JD" else problem.thresholds
    if problem.source.modes is not None or problem.plf not in ("JD", "SA") or binding.any():
        raise SolverError(
            "unsupported",
            "lookahead: expected scalar frames with JD or SA at threshold 0, got "
            f"{problem.plf} at thresholds {problem.thresholds}; use 'barrier' or 'waterfilling'",
        )
    source = problem.source
    found = lookahead(source, problem.rates, problem.weights, problem.plf)
    backbone = mmse_recursion(source, problem.rates)
    v = backbone.prediction_error
    power = backbone.gain**2 * v
    cov_xhat, cross = moments(source, v, power, found.correlation, found.held, problem.plf)
    method = "exact, by pooling" if problem.plf == "JD" else "barrier, tridiagonal Newton"
    message = "sequential rule" if problem.weights is None else method
    return Scheme(cov_xhat, cross, backbone.mmse, found.lower_bound, message)


def moments(
    source: GaussMarkov,
    prediction_error: Array,
    power: Array,
    correlation: Array,
    held: Array,
    plf: str,
) -> tuple[Array, Array]:
    r"""Covariance of the reconstruction and its covariance with the MMSE estimate.

    With Y_t the part of the estimate that :math:`\hat X^{t-1}` has not shown, known_t its variance,
    e_t = g_t Y_t / known_t + noise and :math:`E[Y_t \tilde X_s] = a_t (y_{t-1} / known_{t-1})
    E[Y_{t-1} \tilde X_s]` for s < t.

    Parameters
    ----------
    source : GaussMarkov
        T frames, or T frames of d modes.
    prediction_error : (T,) or (T, d) array
        v_t of the backbone.
    power : (T,) or (T, d) array
        p_t, what each frame adds to the variance of the estimate.
    correlation : (T,) or (T, d) array
        g_t of `Lookahead`.
    held : (T,) or (T, d) array
        y_t of `Lookahead`.
    plf : {"JD", "SA"}
        How the reconstruction is made from its innovations.

    Returns
    -------
    cov_xhat, cross : (T, T) or (d, T, T) arrays
    """
    phi = source.transition()
    time_first = source.gain, source.innovation, prediction_error, power, correlation, held
    a, q, v, p, g, y = (np.moveaxis(x, 0, -1) for x in time_first)
    known = p + a**2 * _shifted(y)
    keep = np.divide(y, known, out=np.zeros_like(y), where=known > 0)
    follow = np.divide(g, known, out=np.zeros_like(y), where=known > 0)
    unseen = np.zeros_like(phi)  # E[Y_t Xtil_s], s <= t
    for t in range(source.frames):
        if t:
            rest = a[..., t] * keep[..., t - 1]
            unseen[..., t, :t] = rest[..., None] * unseen[..., t - 1, :t]
        unseen[..., t, t] = known[..., t]
    past = np.tril(follow[..., None] * unseen, -1)
    innovations = past + g[..., None] * np.swapaxes(phi, -1, -2)  # E[e_t Xtil_s]
    if plf == "JD":
        cov_xhat, factor = source.covariance(), phi * np.sqrt(q)[..., None, :]
    else:
        factor = np.tril(phi * g[..., None, :], -1)
        omega = v + a**2 * _shifted(y)
        factor = factor + np.sqrt(omega)[..., None] * np.eye(source.frames)
        cov_xhat = factor @ np.swapaxes(factor, -1, -2)
    return cov_xhat, factor @ innovations


class _Frames(NamedTuple):
    """Backbone of a scalar source: a_t^2, q_t, v_t, m_t, p_t = v_t - m_t, Var Xtil_t."""

    gain2: Array
    innovation: Array
    prediction_error: Array
    mmse: Array
    power: Array
    estimate: Array

    @classmethod
    def of(cls, source: GaussMarkov, rates: Array) -> _Frames:
        backbone = mmse_recursion(source, rates)
        v, m = backbone.prediction_error, backbone.mmse
        power = backbone.gain**2 * v
        a2 = source.gain**2
        a2[1:][np.abs(source.rho) < _NO_CORRELATION] = 0.0
        estimate = np.empty_like(power)
        for t, new in enumerate(power):
            estimate[t] = new + (a2[t] * estimate[t - 1] if t else 0.0)
        return cls(a2, source.innovation, v, m, power, estimate)


def _show(frames: _Frames, wanted: Array) -> tuple[Array, Array]:
    """Run y_t = a_t^2 y_{t-1} + p_t - g_t^2 with the largest feasible g_t <= wanted_t."""
    g, y = np.empty_like(wanted), np.empty_like(wanted)
    before = 0.0
    for t, power in enumerate(frames.power):
        known = frames.gain2[t] * before + power
        all_of_it = np.sqrt(known)
        g[t] = min(wanted[t], all_of_it)
        y[t] = before = known - g[t] ** 2 if g[t] < all_of_it else 0.0
    return g, y


def _joint_distortion(frames: _Frames, g: Array, y: Array) -> Array:
    """D_t of JD as m_t + E(Xtil_t - Xhat_t)^2, the excess split into its own recursion.

    Xtil_t - Xhat_t = Y_t + Z_t, with Y_t the part not shown (variance y_t, orthogonal to Xhat)
    and Z_t = a_t Z_{t-1} + (g_t - sqrt(q_t)) e_t.
    """
    shown, total = np.empty_like(g), 0.0
    for t, gain2 in enumerate(frames.gain2):
        total = gain2 * total + (np.sqrt(frames.innovation[t]) - g[t]) ** 2
        shown[t] = total
    return frames.mmse + y + shown


def _sequential(frames: _Frames, plf: str) -> Lookahead:
    """Show all that is known at once; under JD, frames that the past determines show nothing."""
    wanted = np.full(frames.power.shape, np.inf)
    if plf == "JD":
        wanted[frames.innovation == 0] = 0.0
        g, y = _show(frames, wanted)
        distortion = _joint_distortion(frames, g, y)
    else:
        g, y = _show(frames, wanted)
        distortion = _self_adaptive_distortion(frames, y)
    # frame by frame the largest g_t is optimal, so the scheme is its own bound
    return Lookahead(distortion, g, y, float(distortion.sum()))


# --- JD ------------------------------------------------------------------------------------------


def _joint(frames: _Frames, weights: Array) -> Lookahead:
    """Primal from the dual: g_r = S_r sqrt(q_r) / (2 beta_r)."""
    future = _future_weight(frames.gain2, weights)
    beta = _pool(future * np.sqrt(frames.innovation), frames.power, frames.gain2)
    demand = future * np.sqrt(frames.innovation)
    wanted = np.divide(demand, 2 * beta, out=np.zeros_like(beta), where=beta > 0)
    g, y = _show(frames, wanted)
    bound = _joint_bound(frames, weights, future, beta)
    return Lookahead(_joint_distortion(frames, g, y), g, y, bound)


def _future_weight(gain2: Array, weights: Array) -> Array:
    """S_r = w_r + a_{r+1}^2 S_{r+1}: weight of all frames that repeat what frame r shows."""
    out, later = np.empty_like(weights), 0.0
    for r in range(len(weights) - 1, -1, -1):
        later = weights[r] + (gain2[r + 1] * later if r + 1 < len(weights) else 0.0)
        out[r] = later
    return out


def _pool(demand: Array, power: Array, gain2: Array) -> Array:
    """Minimise sum_r demand_r^2 / (4 beta_r) + beta_r power_r over beta_r >= a_{r+1}^2 beta_{r+1}.

    Pool adjacent violators. In a block the constraints are equalities, beta_r = f_r beta_last with
    f the product of the gains in between, so the block is one frame of demand^2 A = sum
    demand_r^2 / f_r and power B = sum f_r power_r, and beta_last = sqrt(A / B) / 2.
    """
    blocks: list[tuple[float, float, int, float]] = []  # A, B, first frame, f of the first frame
    for r in range(len(power)):
        block = (demand[r] ** 2, power[r], r, 1.0)
        while blocks:
            before = blocks[-1]
            to_last = gain2[block[2]] * block[3]
            if to_last < _NO_GAIN or _price(before) >= to_last * _price(block):
                break
            block = (
                before[0] / to_last + block[0],
                before[1] * to_last + block[1],
                before[2],
                before[3] * to_last,
            )
            blocks.pop()
        blocks.append(block)
    beta, end = np.empty_like(power), len(power)
    for block in reversed(blocks):
        first = block[2]
        beta[end - 1] = _price(block)
        for r in range(end - 1, first, -1):
            beta[r - 1] = beta[r] * gain2[r]
        end = first
    return beta


def _price(block: tuple[float, float, int, float]) -> float:
    """Multiplier beta of the last frame of a block: infinite where no power is."""
    return float(0.5 * np.sqrt(block[0] / block[1])) if block[1] > 0 else np.inf


def _joint_bound(frames: _Frames, weights: Array, future: Array, beta: Array) -> float:
    """Dual value sum_t w_t m_t + sum_r S_r (x_r - 1)(q_r - x_r p_r) / x_r, x_r = 2 beta_r / S_r.

    Near x = 1, the case of high rates, q_r - p_r = m_r - a_r^2 m_{r-1} avoids the cancellation.
    """
    before = _shifted(frames.mmse)
    surplus = frames.mmse - frames.gain2 * before
    total = float(weights @ frames.mmse)
    for r, weight in enumerate(future):
        if frames.power[r] == 0:  # beta may be infinite
            total += weight * frames.innovation[r] - (
                weight**2 * frames.innovation[r] / (2 * beta[r]) if beta[r] > 0 else 0.0
            )
        elif weight == 0:
            total -= 2 * beta[r] * frames.power[r]
        elif beta[r] > 0:
            x = 2 * beta[r] / weight
            near = abs(x - 1) < 0.5
            less = surplus[r] - (x - 1) * frames.power[r]
            rest = less if near else frames.innovation[r] - x * frames.power[r]
            total += weight * (x - 1) / x * rest
        else:  # no demand and a free price
            total += weight * (frames.innovation[r] + frames.power[r])
    return total


# --- SA ------------------------------------------------------------------------------------------


def _self_adaptive(frames: _Frames, weights: Array) -> Lookahead:
    """Barrier method in y_1..y_{T-1}; holding nothing back is the other candidate."""
    candidates = [np.zeros_like(frames.power), _barrier(frames, weights)]
    values = [float(weights @ _self_adaptive_distortion(frames, y)) for y in candidates]
    y = candidates[int(np.argmin(values))]
    _, g = _self_adaptive_scale(frames, y)
    bound = max(_self_adaptive_bound(frames, weights, point) for point in candidates)
    return Lookahead(_self_adaptive_distortion(frames, y), g, y, bound)


def _shifted(y: Array) -> Array:
    """Return y_{t-1} along the last axis, y_0 = 0."""
    return np.concatenate([np.zeros_like(y[..., :1]), y[..., :-1]], axis=-1)


def _self_adaptive_scale(frames: _Frames, y: Array) -> tuple[Array, Array]:
    """Return omega_t = v_t + a_t^2 y_{t-1} and g_t = sqrt(omega_t - m_t - y_t)."""
    held = frames.gain2 * _shifted(y)
    return frames.prediction_error + held, np.sqrt(np.maximum(held + frames.power - y, 0.0))


def _self_adaptive_distortion(frames: _Frames, y: Array) -> Array:
    """D_t = m + y + (sqrt(omega) - g)^2, where omega - g^2 = m + y leaves no cancellation."""
    omega, g = _self_adaptive_scale(frames, y)
    missing, root = frames.mmse + y, np.sqrt(omega) + g
    return missing + np.divide(missing, root, out=np.zeros_like(root), where=root > 0) ** 2


def _self_adaptive_bound(frames: _Frames, weights: Array, y: Array) -> float:
    r"""Dual value at the slopes alpha_t = g_t / sqrt(omega_t) of a primal point.

    2 g sqrt(omega) <= alpha omega + g^2 / alpha, for every alpha > 0, leaves a linear programme in
    y. Its dual is max sum_t w_t (2 - alpha_t) v_t - x_t p_t over x_t >= w_t / alpha_t and
    x_t >= a_{t+1}^2 (x_{t+1} - w_{t+1} (2 - alpha_{t+1})); the least x is best. With
    x_t = w_t / alpha_t + extra_t and p = v - m nothing cancels.
    """
    omega, g = _self_adaptive_scale(frames, y)
    total, least = 0.0, 0.0
    for t in range(len(weights) - 1, -1, -1):
        w, v, m, p = weights[t], frames.prediction_error[t], frames.mmse[t], frames.power[t]
        if frames.estimate[t] == 0:  # nothing is known, and nothing held helps: D_t = 2 v_t
            total, extra, used = total + 2 * w * v, 0.0, 0.0
        elif w == 0:
            total, extra, used = total - least * p, least, 0.0
        elif omega[t] > 0 and g[t] == 0:
            return -np.inf
        else:
            alpha = g[t] / np.sqrt(omega[t]) if omega[t] > 0 else 1.0
            extra, used = max(0.0, least - w / alpha), w * (1 - alpha) ** 2 / alpha
            near = w / alpha * m - used * v  # both are w ((2 - alpha) v - p / alpha)
            total += (near if alpha > 0.5 else w * ((2 - alpha) * v - p / alpha)) - extra * p
        least = frames.gain2[t] * (extra + used)
    return total


def _barrier(frames: _Frames, weights: Array) -> Array:
    """Follow the central path of sum_t w_t D_t - tau [sum log y_t + sum log g_t^2]."""
    free = _useful_to_hold(frames)
    y, before = np.zeros_like(frames.power), 0.0
    for t in np.flatnonzero(free):  # half of what is known is held back: strictly feasible
        before = y[t - 1] if t else 0.0
        y[t] = 0.5 * (frames.gain2[t] * before + frames.power[t])
    value = float(weights @ _self_adaptive_distortion(frames, y))
    if value == 0 or not free.any():
        return y
    tau = value / free.sum()
    for _ in range(_NEWTON_STEPS):
        step, decrement = _newton_step(frames, weights, y, tau, free)
        y = y + _length(frames, weights, y, step, tau, free, decrement) * step
        if decrement < 0.1 * tau:
            value = float(weights @ _self_adaptive_distortion(frames, y))
            if 2 * free.sum() * tau < _BARRIER_GAP * value:
                break
            tau *= 0.1
    return y


def _useful_to_hold(frames: _Frames) -> Array:
    """Frames where something is known that the next frame could use."""
    out = frames.estimate > 0
    out[:-1] &= frames.gain2[1:] > 0
    out[-1] = False
    return out


def _newton_step(
    frames: _Frames, weights: Array, y: Array, tau: float, free: Array
) -> tuple[Array, float]:
    r"""Newton step and squared decrement; the Hessian is tridiagonal.

    D_t depends on (y_{t-1}, y_t) with gradient (-a^2 (1 - alpha)^2, 1) / alpha and the rank-one
    Hessian b b^T / (2 g sqrt(omega)), b = (a^2 (1/alpha - alpha), -1/alpha), alpha = g/sqrt(omega).
    """
    from scipy.linalg import solveh_banded

    omega, g = _self_adaptive_scale(frames, y)
    known, a2 = g > 0, frames.gain2
    root, g = np.sqrt(np.where(known, omega, 1.0)), np.where(known, g, 1.0)
    alpha = g / root
    short = (frames.mmse + y) / (root * (root + g))  # 1 - alpha
    w, barrier = np.where(known, weights, 0.0), np.where(known, tau, 0.0)
    curve, pull = 0.5 * w / (g * root), barrier / g**4
    b_before, b_now = a2 * short * (1 + alpha) / alpha, -1 / alpha
    gradient = w / alpha + barrier / g**2
    gradient[:-1] -= (a2 * (w * short**2 / alpha + barrier / g**2))[1:]
    diagonal = curve * b_now**2 + pull
    diagonal[:-1] += (curve * b_before**2 + pull * a2**2)[1:]
    beside = (curve * b_before * b_now - pull * a2)[1:]
    inverse = np.divide(1.0, y, out=np.zeros_like(y), where=free)
    gradient = np.where(free, gradient - tau * inverse, 0.0)
    diagonal = np.where(free, diagonal + tau * inverse**2, 1.0)
    beside = np.where(free[1:] & free[:-1], beside, 0.0)
    # Jacobi scaling: the frames may differ by many orders of magnitude
    scale = 1 / np.sqrt(diagonal)
    bands = np.stack([np.concatenate([[0.0], beside * scale[1:] * scale[:-1]]), np.ones_like(y)])
    step = -scale * solveh_banded(bands, scale * gradient)
    return step, float(-gradient @ step)


def _length(
    frames: _Frames,
    weights: Array,
    y: Array,
    step: Array,
    tau: float,
    free: Array,
    decrement: float,
) -> float:
    """Largest tried step that stays inside and decreases the barrier function enough."""

    def value(point: Array) -> float:
        _, g = _self_adaptive_scale(frames, point)
        barrier = np.log(point[free]).sum() + 2 * np.log(g[inside]).sum()
        return float(weights @ _self_adaptive_distortion(frames, point)) - tau * float(barrier)

    inside = _self_adaptive_scale(frames, y)[1] > 0
    held = frames.gain2 * _shifted(y)
    change = frames.gain2 * _shifted(step) - step
    room = np.concatenate([y[free], (held + frames.power - y)[inside]])
    closing = -np.concatenate([step[free], change[inside]])
    length = 1.0
    if (closing > 0).any():
        length = min(1.0, 0.99 * float((room[closing > 0] / closing[closing > 0]).min()))
    start = value(y)
    while value(y + length * step) > start - 0.1 * length * decrement + 1e-13 * abs(start):
        length *= 0.5
    return length
