r"""Method "waterfilling": the best split of a frame's bits over independent modes.

Vector frames of d modes, sequential objective. Given the representation of the past, frame t
chooses rates :math:`r_i \ge 0`, :math:`\sum_i r_i = R_t`, and the decoder:

.. math:: \min D_t = \sum_i m_i + E_i, \qquad m_i = v_i 2^{-2 r_i}, \quad
          y_i = \sqrt{h_i + v_i - m_i}.

v_i is the prediction error and h_i what earlier frames left over for the decoder to follow. Derived
in this project: all losses ask for the least squared distance of y from an aim c,

==== =============================== ================ ============================
PLF  excess                          aim c            h
==== =============================== ================ ============================
MMSE 0                               --               --
FMD  (\|c - y\| - sqrt P)_+^2        s                a^2 Var Xtil_{t-1}
JD   a^2 (past excess) + (c - y)^2   sqrt q           a^2 (held at t-1)
SA   (c - y)^2                       sqrt v           0
==== =============================== ================ ============================

JD holds back only what frames with q = 0, which have no innovation, receive. With y concave in
r, each excess is convex in the rates, so the problem is convex whatever v and s are (it need not
be in the correlation theta of the test channel, since r is not a linear function of it). One
multiplier, the water level, prices the rate: every mode solves

.. math:: m_i \big((1-\beta) + \beta c_i / y_i\big) = \text{level}, \qquad m_i \le v_i,

beta = 0 for MMSE, 1 for perfect realism, and in between :math:`1 - \beta = \sqrt{P} / \|c - y\|`
for a threshold, since :math:`(n - \sqrt P)_+^2 = \max_\beta \beta n^2 - P \beta/(1-\beta)`. The
total rate is convex and decreasing in the logarithm of the level, hence every tangent gives a
lower bound of the root and Newton's method converges from the left. The value of the Lagrangian
at the level found is the certificate. Each pass is O(d) and runs on as many threads as given;
sums are taken in chunks of fixed size, so the result does not depend on their number.

Modes with c = 0 get no rate under JD. A mode of FMD gets none while v <= level (1 - v/s^2)^(1/2):
perfect realism gives every mode a positive rate only where nothing is known before the frame.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from rdp import _check
from rdp.mmse import estimate_factor, mmse_recursion
from rdp.perception import Perception, loss_name
from rdp.perception import perception as as_perception
from rdp.problem import Problem
from rdp.solution import Status
from rdp.source import GaussMarkov
from solvers._lookahead.decoder import moments
from solvers.acceptance import check_frames
from solvers.errors import SolverError
from solvers.scheme import Scheme

Array = np.ndarray

_CHUNK = 1 << 16  # modes in one task
_TOLERANCE = 1e-8  # relative; the certified gap is of second order in it
_FAR = 30.0  # of log levels: a tangent that leads so far says little
_PASSES = 200


@dataclass(frozen=True, eq=False)
class WaterFilling:
    """Rates of all modes and frames, and what they reach.

    Parameters
    ----------
    mode_rates : (T, d) array
        Bits of each frame and mode.
    mode_mmse : (T, d) array
        m_t of each mode, squared units of the source.
    mode_distortion : (T, d) array
        D_t of each mode.
    mode_perception : (T, d) array
        Squared W2 distance between the marginal distributions of each mode under MMSE and FMD;
        the loss of JD and SA, which is 0.
    distortion : (T,) array
        Sum over the modes.
    perception : (T,) array
        Sum over the modes.
    lower_bound : (T,) array
        Dual value of each frame, given the representation of the frames before.
    problem : Problem
        Source, rates, perception loss and encoder.
    """

    mode_rates: Array
    mode_mmse: Array
    mode_distortion: Array
    mode_perception: Array
    distortion: Array
    perception: Array
    lower_bound: Array
    problem: Problem

    @property
    def gap(self) -> Array:
        """Distortion minus lower bound of each frame, (T,) array."""
        return self.distortion - self.lower_bound


def waterfill(
    source: GaussMarkov,
    rates: object,
    plf: Perception | str | None,
    levels: object = None,
    encoder: str = "optimal",
    threads: int | None = None,
) -> WaterFilling:
    r"""Least distortion of each frame over the rates of its modes, frame after frame.

    .. math:: \min_{r \ge 0,\ \sum_i r_i = R_t} D_t \quad\text{subject to the perception loss}
              \le P_t, \text{ given the representation of frames } 1..t-1.

    Parameters
    ----------
    source : GaussMarkov
        T frames of d modes.
    rates : float or (T,) array, >= 0, bits per frame
        Rate of each frame, summed over modes; inf allowed.
    plf : FMD, JD, SA, {"MMSE", "FMD", "JD", "SA"} or None
        Perception loss on squared W2. JD and SA are solved for perfect realism.
    levels : float or (T,) array, >= 0, or None
        Thresholds P_t, for FMD; None is those of the loss, 0 for a name.
    encoder : {"optimal", "mmse"}
        "optimal" allocates for this loss function, "mmse" by reverse water-filling; the decoder is
        the best one for the loss in both.
    threads : int or None
        Threads for frames of many modes; None takes the processor's.

    Returns
    -------
    WaterFilling

    Raises
    ------
    ValueError
        Scalar frames, bad rates or levels, unknown plf or encoder, levels for another loss.

    Notes
    -----
    Derived in this project (module docstring). Loss functions: Salehkalaibar et al.,
    arXiv:2305.19301 and arXiv:2502.10628. The sequential optimum is greedy: a frame takes no
    account of what its representation is worth to later frames. Where the loss leaves a frame
    indifferent (JD, all q_i = 0), bits go where they reduce the mean squared error most.

    Examples
    --------
    Perfect realism wants other bits than least distortion does:

    >>> source = GaussMarkov([[2.0, 1.0, 0.5]])
    >>> waterfill(source, 1.0, "MMSE").distortion
    array([2.25])
    >>> waterfill(source, 1.0, "FMD").distortion.round(3)
    array([2.928])
    >>> waterfill(source, 1.0, "FMD", encoder="mmse").distortion.round(3)
    array([3.572])
    """
    if source.modes is None:
        raise ValueError("source: expected vector frames of d modes, got scalar frames")
    loss_name(plf)  # refuses an unknown one by the name of this argument
    loss = as_perception(plf, levels)  # type: ignore[arg-type]
    problem = Problem(source, rates, loss, encoder=encoder)  # type: ignore[arg-type]
    if problem.plf in ("JD", "SA") and problem.thresholds.any():
        raise ValueError(f"levels: expected 0 for {problem.plf} with vector frames, got {loss!r}")
    if loss is None and levels is not None and _check.nonnegative("levels", levels).any():
        raise ValueError(f"levels: expected none without a perception loss, got {levels!r}")
    if loss is not None and loss.metric != "w2":
        raise ValueError(f"plf: expected thresholds on squared W2, got {loss!r}")
    return _filled(problem, _check.count("threads", threads or os.cpu_count() or 1))


def solve_waterfilling(problem: Problem) -> Scheme:
    """Scheme of a problem with vector frames; its matrices take d T^2 numbers each."""
    if np.isinf(problem.thresholds).all():
        problem = problem.with_(perception=None)
    found = _filled(problem, os.cpu_count() or 1)
    cov_xhat, cross = _moments(found)
    return Scheme(
        cov_xhat=cov_xhat,
        cross=cross,
        mmse=found.mode_mmse,
        lower_bound=float(found.lower_bound.sum()),
        message=f"water-filling for {problem.plf}, encoder {problem.encoder}",
        mode_rates=found.mode_rates,
        distortion=found.distortion,
        frame_bounds=found.lower_bound,
    )


def _filled(problem: Problem, workers: int) -> WaterFilling:
    shape = problem.source.sigma.shape
    out = WaterFilling(
        mode_rates=np.empty(shape),
        mode_mmse=np.empty(shape),
        mode_distortion=np.empty(shape),
        mode_perception=np.empty(shape),
        distortion=np.empty(shape[0]),
        perception=np.empty(shape[0]),
        lower_bound=np.empty(shape[0]),
        problem=problem,
    )
    parallel = workers > 1 and shape[1] > _CHUNK
    with ThreadPoolExecutor(workers) if parallel else nullcontext() as pool:
        for t, frame in enumerate(_frames(problem, pool)):
            _store(out, t, frame)
    variance = problem.source.variance.sum(axis=1)
    bound = check_frames("waterfilling", variance, out.distortion, out.lower_bound)
    return replace(out, lower_bound=bound)


def _moments(found: WaterFilling) -> tuple[Array, Array]:
    """Covariance of the reconstruction and its covariance with the estimate, (d, T, T)."""
    source, plf = found.problem.source, found.problem.plf
    backbone = mmse_recursion(source, found.mode_rates)
    v = backbone.prediction_error
    power = backbone.gain**2 * v
    if plf == "SA":
        return moments(source, v, power, np.sqrt(power), np.zeros_like(power), plf)
    if plf == "JD":
        held = np.empty_like(power)
        before = np.zeros_like(power[0])
        for t, new in enumerate(power):
            held[t] = new + source.gain[t] ** 2 * before
            before = np.where(source.innovation[t] > 0, 0.0, held[t])
        determined = source.innovation == 0
        followed = np.where(determined, 0.0, np.sqrt(held))
        return moments(source, v, power, followed, np.where(determined, held, 0.0), plf)
    # FMD and MMSE: the estimate, scaled to the variance that the threshold asks for
    factor = estimate_factor(source, found.mode_rates)
    estimate = factor @ np.swapaxes(factor, -1, -2)
    sd = np.sqrt(backbone.variance).T
    target = sd if plf == "MMSE" else (source.sigma - np.sqrt(found.mode_perception)).T
    scale = np.divide(target, sd, out=np.zeros_like(sd), where=sd > 0)
    cross = scale[..., :, None] * estimate
    cov_xhat = cross * scale[..., None, :]
    frames = np.arange(source.frames)
    cov_xhat[..., frames, frames] = target**2  # decoder noise where nothing is known
    return cov_xhat, cross


def _store(out: WaterFilling, t: int, frame: _Frame) -> None:
    """Write one frame, in bits and in the units of the source."""
    unit = frame.unit
    np.multiply(frame.rates, 1 / np.log(2), out=out.mode_rates[t])
    np.multiply(frame.mmse, unit, out=out.mode_mmse[t])
    np.multiply(frame.distortion, unit, out=out.mode_distortion[t])
    np.multiply(frame.perception, unit, out=out.mode_perception[t])
    out.distortion[t] = out.mode_distortion[t].sum()
    out.perception[t] = out.mode_perception[t].sum()
    out.lower_bound[t] = frame.bound * unit


class _Frame(NamedTuple):
    """One frame of an allocation: rates in nats, variances in units of `unit`."""

    rates: Array
    mmse: Array
    distortion: Array
    perception: Array
    bound: float
    unit: float


def _frames(problem: Problem, pool: ThreadPoolExecutor | None) -> Iterator[_Frame]:
    """Run the recursion over frames; yields one _Frame each."""
    source, plf, encoder = problem.source, problem.plf, problem.encoder
    budget, allowed = problem.rates * np.log(2), problem.thresholds
    # relative to the largest variance, so that no unit over- or underflows
    scale = float(source.sigma.max())
    zero = np.zeros(source.sigma.shape[1])
    mmse, left, excess = zero, zero, zero
    level: dict[str, float] = {}
    for t in range(source.frames):
        sigma, a2 = source.sigma[t] / scale, source.gain[t] ** 2
        q = sigma**2 if t == 0 else (1 - source.rho[t - 1]) * (1 + source.rho[t - 1]) * sigma**2
        v, held, past = a2 * mmse + q, a2 * left, a2 * excess
        aim = np.sqrt(q) if plf == "JD" else np.sqrt(v) if plf == "SA" else sigma
        modes = _Modes(v, held, aim, pool, level)
        threshold = allowed[t] / scale**2
        rates, value = modes.allocate(budget[t], threshold, encoder)
        captured, mmse = -np.expm1(-2 * rates) * v, np.exp(-2 * rates) * v
        spread = np.sqrt(held + captured)  # of the reconstruction before it is stretched
        short = aim - spread
        size = float(np.sqrt(short @ short))
        share = min(1.0, np.sqrt(threshold) / size) if size > 0 else 1.0
        distortion = mmse + past + ((1 - share) * short) ** 2
        perception = (share * short) ** 2
        bound = distortion.sum() if value is None else value + past.sum()
        yield _Frame(rates, mmse, distortion, perception, float(bound), scale**2)
        if plf == "JD":
            left, excess = np.where(q > 0, 0.0, spread**2), past + np.where(q > 0, short**2, 0.0)
        elif plf == "SA":
            left = zero
        else:
            left = spread**2


class _Modes:
    """The modes of one frame, and the search for its water level and its realism weight beta."""

    def __init__(
        self, v: Array, held: Array, aim: Array, pool: ThreadPoolExecutor | None, last: dict
    ) -> None:
        self.arrays = tuple(np.ascontiguousarray(x) for x in (v, held, aim))
        self.pool = pool
        self.last = last  # log water levels of the frame before, and its n: where to start

    def allocate(self, budget: float, threshold: float, encoder: str) -> tuple[Array, float | None]:
        """Return the rates in nats and the dual value; None where there is nothing to choose."""
        v, _, aim = self.arrays
        if budget == 0 or not v.any():
            return np.zeros_like(v), None
        if np.isinf(budget):
            return np.where(v > 0, np.inf, 0.0), None
        fixed = threshold < np.inf and (encoder == "mmse" or not (aim * v).any())
        beta = 0.0 if fixed else self.realism(budget, np.sqrt(threshold))
        log_level = self.level(beta, budget)
        rates = np.empty_like(v)
        lagrangian = sum(self.passes("fill", beta, log_level, out=rates))
        value = lagrangian - 2 * np.exp(log_level) * budget
        if 0 < beta < 1:
            value -= threshold * beta / (1 - beta)
        # the level meets the budget to rounding; what is left over is shared out
        return rates * (budget / rates.sum()), None if fixed else value

    def realism(self, budget: float, radius: float) -> float:
        """Weight beta with (1 - beta) n = sqrt(P), n the norm of c - y at the best rates.

        n falls as beta grows, so delta n - sqrt(P) increases in delta = 1 - beta: Newton's method
        inside a bracket. Each pass also moves the level to where its tangent meets the budget.
        """
        if radius == 0 or np.isinf(radius):
            return float(radius == 0)
        least = z = self.level(0.0, budget)
        farthest = np.sqrt(self.sums("shortfall", 0.0, z)[3])
        if farthest <= radius:
            return 0.0
        low, high = radius / farthest, 1.0
        delta = max(low, min(low * self.last.get("farthest over n", 1.0), high))
        z += self.last.get("rise", 0.0)
        for _ in range(_PASSES):
            rate, rate_z, rate_b, n2, n2_z, n2_b = self.sums("shortfall", 1 - delta, z)
            if rate_z == 0:
                z = self.leftmost(1 - delta, budget)
                continue
            move = (budget - rate) / rate_z
            off = abs(rate / budget - 1)
            n = np.sqrt(max(n2 + n2_z * move, (radius / high) ** 2))
            if off > 0.1:
                z += move
                continue
            value = delta * n - radius
            if off < 1e-3:
                low, high = (delta, high) if value < 0 else (low, delta)
            follow = rate_b / rate_z  # d ln(level) / d delta at the same rate
            before, delta = delta, delta - value / (n + delta * (n2_z * follow - n2_b) / (2 * n))
            if not low <= delta <= high:
                delta = 0.5 * (low + high)
            z += move + follow * (delta - before)
            if max(off, abs(delta / before - 1)) <= _TOLERANCE:
                break
        else:
            raise SolverError(Status.FAILED, f"waterfilling: no realism weight in {_PASSES} passes")
        self.last |= {"realism": z, "rise": z - least, "farthest over n": farthest / n}
        return float(1 - delta)

    def level(self, beta: float, budget: float) -> float:
        """Log water level at which the rates sum to the budget.

        The tangent of a convex decreasing function meets the budget left of the root, from either
        side. While few bits are spent the total decays like a power of the level; a Newton step on
        its logarithm is then nearly exact, and is kept unless it jumps too far.
        """
        kind = "realism" if beta > 0 else "mmse"
        z = self.last.get(kind, np.nan)
        if np.isnan(z):
            z = self.leftmost(beta, budget)
        left, bold = -np.inf, beta > 0
        for _ in range(_PASSES):
            rate, slope = self.sums("totals", beta, z)
            if abs(rate - budget) <= _TOLERANCE * budget:
                break
            bold = bold and rate > 0.5 * budget
            tangent = z - (rate - budget) / slope if slope < 0 else -np.inf
            if tangent < z - _FAR and left == -np.inf:  # the level before was that of other modes
                left = self.leftmost(beta, budget)
            left = max(left, tangent)
            before, z = z, z - np.log(rate / budget) * rate / slope if bold else left
            if abs(z - before) <= 4e-16 * max(1.0, abs(z)):
                break
        else:
            raise SolverError(Status.FAILED, f"waterfilling: no water level in {_PASSES} passes")
        self.last[kind] = z
        return z

    def leftmost(self, beta: float, budget: float) -> float:
        """A log level at which the rates sum to the budget or more."""
        total, count = self.sums("start", beta)
        return float((total - 2 * budget) / count)

    def sums(self, kernel: str, *scalars: float) -> Array:
        """Sum what a kernel returns over all modes."""
        return np.sum(self.passes(kernel, *scalars), axis=0)

    def passes(self, kernel: str, *scalars: float, out: Array | None = None) -> list[Any]:
        """Run a kernel over the chunks of modes, in order."""
        from solvers._compiled import announced

        function = getattr(_kernels(), kernel)
        arrays = self.arrays if out is None else (*self.arrays, out)

        def one(first: int) -> Any:
            chunk = slice(first, first + _CHUNK)
            inputs = [x[chunk] for x in arrays]
            return function(*inputs[:3], *scalars, *inputs[3:])

        firsts = range(0, len(self.arrays[0]), _CHUNK)
        with announced(function, "vector frames", "a few seconds"):
            return list((self.pool.map if self.pool else map)(one, firsts))


def _kernels() -> Any:
    """Load the compiled kernels when they are first used."""
    from solvers.methods import _waterfilling_kernels

    return _waterfilling_kernels
