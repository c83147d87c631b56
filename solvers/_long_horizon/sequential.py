r"""Sequential objective: frame after frame, each given the ones before.

The decoder has orthonormal y_t: u_t, the new part of the representation, or its own noise at rate
zero. The past is Xhat^(t-1) = G y with G lower triangular, and frame t is Xhat_t = z . y,

.. math:: D_t = m_t + |z - z_0|^2, \qquad z_0 = E[y \tilde X_t], \qquad z_t \ge 0 .

The threshold compares with a Gaussian of factor F, last row :math:`\beta` (JD: X^t; SA:
Xhat^(t-1), X_t). With :math:`F^T G = U s V^T` squared W2 is the sum of squares
:math:`\|F U V^T - G\|_F^2`, never a difference of traces. There are two kinds of frame.

Without room, W2^2 of the past is P_t already and may not grow. Then Xhat_t agrees with X_t in the
best coupling of the past wherever that coupling is determined, and what X_t has besides points
along z_0. No other z is feasible. The rounding of W2^2 would leave others, and a frame can feel it
by much more than its own size: `bound_without_room` is below D_t by that.

With room, the Lagrangian is stationary where :math:`(1+\mu) z = z_0 + \mu\, V U^T \beta`, and one
number mu is searched. In (z_1..z_(t-1), H_tt) the frame is a convex program, so that a point where
:math:`\kappa = 1 + \mu - \mu \sum_i s_i V_{ti}^2 / z_t^2 > 0` bounds it:
:math:`D_t \ge D_t(z) - \mu (P_t - W_2^2) - |r|^2 / \kappa`, r what is left of stationarity.

Rounding leaves a frame that meets its threshold a slack, and the next distortion changes with its
square root; a slack below ROOM is no room, but the bound allows for it. Derived in this project.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rdp.gaussian import bures_of_factors
from rdp.mmse import estimate_factor, mmse_recursion
from rdp.problem import Problem

Array = np.ndarray

# Squared W2 is a sum of squares, so that its rounding is that of its root.
ROOM = 1e-13  # slack below which a frame has no choice, relative to sqrt(threshold * variances)
_LOSS = 1e-15  # rounding of squared W2, relative to the same
_BEYOND = 1e-14  # root of squared W2 beyond a threshold that is rounding, relative to the deviation
_LEAST = 1e-60  # 1 / (1 + mu) at which the search is given up: rounding hides the threshold
_NULL = 1e-13  # singular value of F^T G, relative to the largest, that counts as zero
_ZERO = 1e-15  # singular value of F^T G that is rounding, relative to the largest
_NEWS = 1e-8  # least part of y_t in the estimate that is assumed, relative to sigma_t
_ACCURACY = 1e-13  # of stationarity, relative to sigma_t


class Outcome(NamedTuple):
    """Factor G of Cov Xhat in y, and the distortions with a bound on each given the past."""

    root: Array
    distortion: Array
    bounds: Array  # -inf where rounding hides whether a frame keeps its threshold
    tight: int  # frames without room


class Point(NamedTuple):
    """One frame at one z."""

    z: Array
    loss: float
    pull: Array  # V U^T beta
    left: Array  # U
    singular: Array
    along: Array  # U^T beta
    right: Array  # V


class Frame(NamedTuple):
    """The program of one frame."""

    target: Array  # F
    past: Array  # G
    goal: Array  # z_0
    level: float
    before: float  # squared W2 of the past
    scale: float  # sigma_t

    def at(self, z: Array) -> Point:
        """Evaluate squared W2 and its gradient."""
        root = np.zeros_like(self.target)
        root[:-1, :-1] = self.past
        root[-1] = z
        left, singular, right = np.linalg.svd(self.target.T @ root)
        loss = float(((self.target @ (left @ right) - root) ** 2).sum())
        along = left.T @ self.target[-1]
        return Point(z, loss, right.T @ along, left, singular, along, right.T)


def solve_frames(problem: Problem) -> Outcome:
    """Least D_1, then D_2 given that, and so on; JD or SA, a GaussMarkov."""
    source = problem.source
    return solve_given(
        problem,
        estimate_factor(source, problem.rates),
        source.transition() * np.sqrt(source.innovation),
        mmse_recursion(source, problem.rates).mmse,
    )


def solve_given(problem: Problem, estimate: Array, whole: Array, mmse: Array) -> Outcome:
    """Solve the frames of any source: these factors say all about it.

    Parameters
    ----------
    problem : Problem
        PLF-JD or PLF-SA with its thresholds.
    estimate, whole : (T, T) arrays, lower triangular
        Factors of the covariances of the MMSE estimate and of the source. The diagonal of
        `estimate` is not negative; a column is zero where a frame sends nothing.
    mmse : (T,) array
        m_t.
    """
    joint = problem.plf == "JD"
    variance = (whole**2).sum(axis=1)
    sigma, frames = np.sqrt(variance), len(whole)
    # under JD a past beyond a later threshold could not be continued
    levels = problem.thresholds
    if joint:
        levels = np.minimum.accumulate(levels[::-1])[::-1]
    root = np.zeros((frames, frames))
    distortion, bounds = mmse.copy(), mmse.copy()
    tight, before = 0, 0.0
    for t in range(frames):
        goal = estimate[t, : t + 1]
        root[t, : t + 1] = goal
        if not np.isfinite(levels[t]):
            continue
        target = whole[: t + 1, : t + 1]
        if not joint:
            target = root[: t + 1, : t + 1].copy()
            target[t, t] = np.sqrt(mmse[t] + goal[t] ** 2)
        total = float(variance[: t + 1].sum())
        loss = bures_of_factors(target, root[: t + 1, : t + 1])
        size = float(np.sqrt(levels[t] * total))
        if loss > levels[t] + _LOSS * size:
            known = before if joint else 0.0
            own = goal.copy()
            own[t] = max(goal[t], _NEWS * sigma[t])
            frame = Frame(target, root[:t, :t], own, levels[t], known, sigma[t])
            rounding = _LOSS * (size + _LOSS * total)
            least = mmse[t] - (own[t] ** 2 - goal[t] ** 2)
            if levels[t] - known <= ROOM * size:
                point, tight = frame.at(continuation(frame, goal)), tight + 1
                slack = max(levels[t] - known, 0.0) + rounding
                least += bound_without_room(frame, point, slack)
            else:
                point, mu = with_room(frame)
                least += bound_at(frame, point, mu) - mu * rounding
            root[t, : t + 1] = point.z
            distortion[t] = mmse[t] + float(((point.z - goal) ** 2).sum())
            bounds[t] = min(max(mmse[t], least), distortion[t])
            loss = bures_of_factors(target, root[: t + 1, : t + 1])
            seen = resolved(point, target, root[: t + 1, : t + 1])
            if not seen or np.sqrt(loss) > np.sqrt(levels[t]) + _BEYOND * np.sqrt(total):
                bounds[t] = -np.inf
        before = loss
    return Outcome(root, distortion, bounds, tight)


def resolved(point: Point, target: Array, root: Array) -> bool:
    """Whether rounding leaves F^T G the rank that it has."""
    rank = min(np.count_nonzero(np.diagonal(target)), np.count_nonzero(np.diagonal(root)))
    return bool(np.count_nonzero(point.singular > _NULL * point.singular[0]) >= rank)


def continuation(frame: Frame, goal: Array) -> Array:
    """Return z that leaves W2 as it is, best for `goal` where there is a choice."""
    past, own = frame.target[-1, :-1], frame.target[-1, -1]
    z, rest, spare = np.zeros_like(goal), goal.copy(), own**2
    if len(past):
        left, singular, right = np.linalg.svd(frame.target[:-1, :-1].T @ frame.past)
        used = singular > _NULL * max(singular[0], 1e-300)
        z[:-1] = right[used].T @ (left[:, used].T @ past)
        # empty sums where the coupling is determined everywhere
        rest[:-1] = right[~used].T @ (right[~used] @ goal[:-1])
        spare += float(((left[:, ~used].T @ past) ** 2).sum())
    size = float(np.linalg.norm(rest))
    if size > 0:
        return z + np.sqrt(spare) / size * rest
    z[-1] = np.sqrt(spare)
    return z


def half_hessian(point: Point, mu: float) -> Array:
    """Half the Hessian of |z - z_0|^2 + mu W2^2."""
    # singular values that are both 0 meet only rounding of `along`
    least = max(np.finfo(np.float64).eps * point.singular[0], 1e-300)
    share = 1 / np.maximum(point.singular[:, None] + point.singular, least)
    np.fill_diagonal(share, 0.0)  # these terms cancel
    bent = np.diag(share @ point.along**2) - share * np.outer(point.along, point.along)
    return (1 + mu) * np.eye(len(point.z)) - mu * point.right @ bent @ point.right.T


def residual(frame: Frame, point: Point, mu: float) -> Array:
    """Half the gradient of |z - z_0|^2 + mu W2^2."""
    return point.z - frame.goal + mu * (point.z - point.pull)


def _cost(frame: Frame, point: Point, mu: float) -> float:
    return float(((point.z - frame.goal) ** 2).sum()) + mu * point.loss


def stationary(frame: Frame, point: Point, mu: float, accuracy: float) -> Point:
    """Minimise |z - z_0|^2 + mu W2^2 by Newton steps, or by steps of the linearised polar factor.

    The second kind never raises the cost and is taken where a Newton step fails.
    """
    for _ in range(50):
        slope = residual(frame, point, mu)
        if float(np.linalg.norm(slope)) <= accuracy * (1 + mu) * frame.scale:
            break
        cost, moved = _cost(frame, point, mu), None
        values, basis = np.linalg.eigh(half_hessian(point, mu))
        # directions of negative curvature, where G is singular, are followed downhill
        step = -basis @ (basis.T @ slope / np.maximum(np.abs(values), 1e-6 * values[-1]))
        for length in (1.0, 0.5, 0.2):
            z = point.z + length * step
            if z[-1] > 0:
                trial = frame.at(z)
                if _cost(frame, trial, mu) <= cost + 1e-15 * (1 + mu) * frame.scale**2:
                    moved = trial
                    break
        if moved is None:
            moved = frame.at((frame.goal + mu * point.pull) / (1 + mu))
        point = moved
    return point


def with_room(frame: Frame) -> tuple[Point, float]:
    """Best z within the threshold, and its multiplier.

    W2 above that of the past falls like 1 / (1 + mu)^2, so the search is Newton's in its root as a
    function of 1 / (1 + mu), inside a bracket.
    """
    room = frame.level - frame.before
    rounding = _LOSS * float(np.sqrt(frame.level * (frame.target**2).sum()))
    low, high = 0.0, 1.0  # of the share 1 / (1 + mu): at low W2 is within the threshold
    point = frame.at(frame.goal)
    share = min(0.9, np.sqrt(room / max(point.loss - frame.before, room)))
    best = np.inf, frame.at(continuation(frame, frame.goal)), 0.0
    accuracy = max(min(1e-4, 0.01 * np.sqrt(room) / frame.scale), _ACCURACY)
    for _ in range(80):
        if share < _LEAST:
            break
        mu = 1 / share - 1
        point = stationary(frame, point, mu, accuracy)
        miss = point.loss - frame.level
        if accuracy == _ACCURACY:
            if abs(miss) <= rounding:
                return point, mu
            if miss <= rounding and -miss < best[0]:
                best = -miss, point, mu
            if high - low <= 1e-15 * high:
                break
        low, high = (max(low, share), high) if miss <= 0 else (low, min(high, share))
        slope = point.z - point.pull
        turned = np.linalg.solve(half_hessian(point, mu), slope)
        excess = max(point.loss - frame.before, 1e-300)
        # d W2^2 / d mu = -2 slope . turned, d mu = -d share / share^2
        rise = float(slope @ turned) / np.sqrt(excess) / share**2
        wanted = share + (np.sqrt(room) - np.sqrt(excess)) / rise if rise > 0 else np.nan
        if not low < wanted < high:
            wanted = share * np.sqrt(room / excess)
        if not low < wanted < high:
            wanted = 0.5 * (low + high)
        z = point.z - (1 / wanted - 1 / share) * turned
        if z[-1] > 0:
            point = frame.at(z)
        share = wanted
        if accuracy > _ACCURACY and abs(miss) < 0.3 * room:
            accuracy, low, high = _ACCURACY, 0.0, 1.0
    return best[1], best[2]


def bound_without_room(frame: Frame, point: Point, slack: float) -> float:
    r"""Lower bound on D_t - m_t where z adds nothing to W2, and leaves a slack.

    With M0 = U s^-1 U^T the slope of W2^2 in Cov Xhat is I - F M0 F^T. The dual point
    mu I - N = F (mu M0 - Z) F^T has the bound

    .. math::
        |z - z_0|^2 - \mu\,\mathrm{slack} - |r|^2 / \kappa - C / (\mu - f)

    where r is what is left of stationarity, W = s^(1/2) (U^T Z U) s^(1/2), C = tr W^2 s, f = |W|.
    Z makes r = 0, at the least C (:func:`solvers._barrier.frame_dual_points.equality_slope`).
    """
    singular, along = point.singular, point.along
    used = singular > _ZERO * singular[0]
    s, c = singular[used], along[used]
    wanted = point.right[:, used].T @ (frame.goal - point.z) / s
    weight = 2 / (np.outer(s, s) * (s[:, None] + s))
    try:
        a = np.linalg.solve(weight * np.outer(c, c) + np.diag(weight @ c**2), wanted)
    except np.linalg.LinAlgError:
        return 0.0
    slope = weight * (np.outer(a, c) + np.outer(c, a))
    product = np.outer(s, s) * slope**2
    bend, norm = float((s @ product).sum()), float(np.sqrt(product.sum()))
    # with n the last rows of F Z F^T and of I - F M0 F^T, of which the second is rounding: G^T n
    right, turned = point.right[:, used], slope @ c
    own, moved = right @ (s * turned), point.z - right @ c
    own_last, moved_last = float(c @ turned), float(1 - c @ (c / s))
    missed = frame.goal - point.z
    value, best = float(missed @ missed), 0.0
    for share in 0.03 ** np.arange(12):
        mu = norm + share * np.sqrt(bend / slack)
        kappa = 1 + own_last + mu * moved_last
        if kappa > 0 and mu > norm:
            rest = missed - own - mu * moved
            lost = mu * slack + float(rest @ rest) / kappa + bend / (mu - norm)
            best = max(best, value - lost)
    return best


def bound_at(frame: Frame, point: Point, mu: float) -> float:
    """Lower bound on D_t - m_t from a point and a multiplier; -inf where it gives none."""
    own = point.z[-1]
    if not own > 0:
        return -np.inf
    curvature = float((point.singular * point.right[-1] ** 2).sum()) / own**2
    kappa = 1 + mu - mu * curvature
    if not kappa > 0:
        return -np.inf
    slope = residual(frame, point, mu)
    value = float(((point.z - frame.goal) ** 2).sum())
    return value + mu * (point.loss - frame.level) - float(slope @ slope) / kappa
