r"""The encoder made for perfect joint realism, and what the MMSE encoder loses against it.

Encoder and decoder together, in the steady state at rate R:

.. math:: \min E(X_t - \hat X_t)^2 \quad\text{s.t.}\quad
          P_{\hat X_1, \hat X_2, ..} = P_{X_1, X_2, ..} .

**It is a convex program** (derived in this project). Let P and Z be the covariances of the state
given the representation and given the reconstruction, :math:`Z \succeq P`, and
:math:`g = E[S_t \hat e_t]` with :math:`\hat e` the white innovation of the reconstruction. With
:math:`f = O b` of `steady_decoder`, which the encoder does not change,

.. math::
    D = 2\sigma^2 - 2 \max f^T g \quad\text{s.t.}\quad
    g g^T \preceq A Z A^T + W - Z, \quad Z \succeq P, \quad P \preceq A P A^T + W, \quad
    \tfrac12 \log_2 \frac{\det (A P A^T + W)}{\det P} \le R .

Each constraint is necessary for any representation and decoder, and Gaussian ones reach them.

**Certificate.** For any :math:`B \succ 0` with :math:`C = B - A^T B A \succeq 0`,

.. math:: f^T g \le \tfrac14 f^T B^{-1} f + \operatorname{tr} B W
          - \min_{P \text{ of rate } R} \operatorname{tr} C P,

and the last term is an MMSE problem with weight C, which `rate_bound` bounds. The search
assumes Z = P (nothing is held back) and one measured direction; then :math:`B = \lambda K` with K
the derivative of the rate. The bound does not assume it, so a closed gap proves the assumption for
the source at hand. It has closed in every case tried.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rdp import _check
from rdp.linear_source import LinearSource, lyapunov, scalar, steady_innovations
from rdp.solution import Status
from solvers.errors import SolverError
from solvers.linear._direction import Direction, rate_slope, square_root
from solvers.linear.steady_decoder import SteadyDistortion, steady_distortion
from solvers.linear.steady_encoder import measured_by, rate_bound, steady_encoder

Array = np.ndarray

_CLOSED = 1e-6  # relative gap at which no other start is tried


@dataclass(frozen=True, eq=False)
class JointEncoder:
    """Best encoder for perfect joint realism in the steady state.

    Parameters
    ----------
    measurement : (n,) array
        c, direction of the state that is measured, of unit length.
    gain : (n,) array
        gamma = E[S_t u_t]; the decoder uses all of it at once.
    error : (n, n) array
        P.
    mmse : float
        Error of the MMSE estimate from this representation.
    joint : float
        Distortion at perfect joint realism.
    lower_bound : float
        No encoder and decoder of this rate have a smaller joint distortion.
    """

    measurement: Array
    gain: Array
    error: Array
    mmse: float
    joint: float
    lower_bound: float


def joint_encoder(source: LinearSource, rate: float) -> JointEncoder:
    r"""Least distortion at perfect joint realism over encoders and decoders, in the steady state.

    Parameters
    ----------
    source : LinearSource
        Scalar frames, all poles inside the unit circle.
    rate : float, > 0, finite, bits per frame
        R.

    Returns
    -------
    JointEncoder

    Raises
    ------
    ValueError
        Vector frames, poles on or outside the unit circle, a rate that is not positive and finite.
    SolverError
        More than one part in a thousand is left between value and bound.

    Examples
    --------
    >>> from rdp.autoregressive import AutoRegressive
    >>> answer = joint_encoder(AutoRegressive.from_poles(0.95 * np.exp([0.3j, -0.3j])), 0.5)
    >>> round(answer.joint, 4), round(answer.mmse, 4)
    (0.0977, 0.0684)
    """
    a, w, h = scalar(source)
    bits = float(_check.positive("rate", rate, ndim=0))
    sigma = lyapunov(a, w)
    b, _ = steady_innovations(source)
    wanted = lyapunov(a.T, np.outer(h, h)) @ b
    root = square_root(sigma)
    seen = root.T @ wanted
    scale = float(np.linalg.norm(seen))

    def gained(gamma: Array) -> tuple[float, Array]:
        return float(seen @ gamma) / scale, seen / scale

    search = Direction(root, a, bits)
    start, _ = search.at(seen / scale)
    mmse_gain = np.linalg.pinv(root, rcond=1e-13) @ steady_encoder(source, bits).gain
    starts = [mmse_gain, seen, start, root.T @ h]
    seen_by = lyapunov(a.T, np.outer(h, h))
    rounding = 64 * np.finfo(np.float64).eps * np.sqrt(np.linalg.cond(root)) * float(h @ sigma @ h)
    try:
        for number in (1, len(starts)):
            gain, error = search.maximise(gained, starts[:number])
            gain = gain if wanted @ gain >= 0 else -gain
            m = float(h @ error @ h)
            # m + E(Xtil - Xhat)^2, without the cancellation in 2 sigma^2 - 2 f' g
            joint = m + float((b - gain) @ seen_by @ (b - gain))
            excess = _bound(a, w, wanted, root, gain, error, bits) - float(wanted @ gain)
            bound = joint - 2 * max(excess, 0.0) - rounding
            if joint - bound <= _CLOSED * joint:
                break
    except np.linalg.LinAlgError as singular:  # an error of the state that float64 cannot hold
        raise SolverError(Status.INACCURATE, f"joint_encoder: {singular}") from singular
    measured = measured_by(a, w, gain, error)
    if not joint - bound <= 1e-3 * joint + 4 * rounding:
        raise SolverError(
            Status.INACCURATE,
            f"joint_encoder: distortion {joint:.3e} but bound {bound:.3e}; poles too near the "
            "circle, or a rate too small or large, for float64",
        )
    return JointEncoder(
        measurement=measured,
        gain=gain,
        error=error,
        mmse=m,
        joint=joint,
        lower_bound=bound,
    )


def _bound(
    a: Array, w: Array, wanted: Array, root: Array, gain: Array, error: Array, bits: float
) -> float:
    """Upper bound of f' g: the certificate of the module docstring at B = lambda K."""
    inverse = np.linalg.pinv(root, rcond=1e-13)
    a, w, f = inverse @ a @ root, inverse @ w @ inverse.T, root.T @ wanted
    p, g = inverse @ error @ inverse.T, inverse @ gain
    slope = rate_slope(a, p, a @ p @ a.T + w)
    b = float(f @ g) / (2 * float(g @ slope @ g)) * slope
    weight = b - a.T @ b @ a
    values, vectors = np.linalg.eigh(0.5 * (weight + weight.T))
    weight = (vectors * np.maximum(values, 0.0)) @ vectors.T
    b = lyapunov(a.T, weight)
    free = 0.25 * float(f @ np.linalg.solve(b, f)) + float((b * w).sum())
    return free - rate_bound(a, w, weight, bits, p)


@dataclass(frozen=True, eq=False)
class Universality:
    """What a representation made for one loss gives under the other, in the steady state.

    Parameters
    ----------
    mmse_encoder : SteadyDistortion
        Distortions with the encoder that is best without a perception loss.
    joint_encoder : SteadyDistortion
        Distortions with the encoder that is best under perfect joint realism.
    lower_bound : float
        Least joint distortion of any encoder.
    """

    mmse_encoder: SteadyDistortion
    joint_encoder: SteadyDistortion
    lower_bound: float

    @property
    def penalty(self) -> float:
        """Share by which the MMSE encoder's joint distortion exceeds the best one's, >= 0."""
        return max(self.mmse_encoder.joint / self.joint_encoder.joint - 1, 0.0)

    @property
    def price(self) -> float:
        """Share by which the joint encoder's MMSE exceeds that of the MMSE encoder, >= 0."""
        return max(self.joint_encoder.mmse / self.mmse_encoder.mmse - 1, 0.0)


def steady_universality(source: LinearSource, rate: float) -> Universality:
    """Compare the MMSE encoder with the one made for perfect joint realism.

    For sources of first order both are the same. From second order on they differ.

    Parameters
    ----------
    source : LinearSource
        Scalar frames, all poles inside the unit circle.
    rate : float, > 0, finite, bits per frame

    Examples
    --------
    >>> from rdp.autoregressive import AutoRegressive
    >>> source = AutoRegressive.from_poles(0.95 * np.exp([0.3j, -0.3j]))
    >>> round(steady_universality(source, 0.5).penalty, 3)
    0.227
    """
    best = joint_encoder(source, rate)
    return Universality(
        steady_distortion(source, rate),
        steady_distortion(source, rate, best.measurement),
        best.lower_bound,
    )
