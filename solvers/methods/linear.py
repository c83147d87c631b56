r"""Method "linear": sources of any order, at the losses whose decoders are explicit or a chain.

Covered are scalar frames with no loss, PLF-FMD at any thresholds, and PLF-JD, PLF-JD(w) and PLF-SA
at threshold 0; and at any thresholds with weights, the encoder "mmse" and up to 12 frames
(`linear_program`), PLF-SA without weights too (`linear_sequential`).

**Sequential objective.** Frame t has at most R_t bits, so :math:`m_t \ge 2^{-2R_t} v_t`, and the
measurement of the frame itself is the only one that reaches it. It gives the least :math:`D_1`,
then the least :math:`D_2`, and so on, under each loss (`solvers.linear.decoder`). The bound of a
frame holds for the earlier frames as they are: by Cauchy and Schwarz, from second moments alone,

.. math:: E[\tilde X_t \hat X_t] \le E[\tilde X_t \mu_t]
          + \sqrt{\operatorname{Var}(\hat X_t - \mu_t)\,
                  \operatorname{Var}(\tilde X_t | \hat X^{t-1})},

with :math:`\mu_t` the part of :math:`\hat X_t` that the loss prescribes given the past.

**Weights.** With the encoder "mmse", which measures the frame itself, PLF-JD at threshold 0 takes
the best decoder of `solvers.linear.lookahead` with the bound of its dual program; positive
thresholds, PLF-JD(w) and PLF-SA take a semidefinite program; the other decoders serve all weights
at once.

With the encoder "optimal", the program of `solvers.linear.budget` bounds every encoder whose bits
may also wait for later frames. The bound is the value that its solver reports, less 1e-7 of the
variance for the solver's accuracy; unlike the other bounds it is not rebuilt from multipliers. Its
directions of measurement, the frame itself, and the best decoder of each make the scheme. What is
left between the two is open, and the status of the solution is "achievable". The encoder sees the
state: for an autoregressive source, the last p frames, those before the first one too.
"""

from __future__ import annotations

import numpy as np

from rdp.closed_form import smallest_sd
from rdp.gaussian import psd_cholesky
from rdp.linear_source import LinearFrames, scalar
from rdp.perception import JD
from rdp.problem import Problem
from rdp.solution import Status
from solvers.errors import SolverError
from solvers.linear.budget import budget_encoder, budget_joint_encoder
from solvers.linear.decoder import Reconstruction, reconstruct
from solvers.linear.lookahead import plan
from solvers.linear.measurement import Representation, represent
from solvers.linear.scheme import MeasuredScheme
from solvers.methods.linear_program import decode_within
from solvers.methods.linear_sequential import decode_in_turn
from solvers.scheme import Scheme

Array = np.ndarray

_ROUNDING = 1e-9  # by which an estimate may exceed the variance of its frame
_PROGRAM = 1e-7  # accuracy of the budget programs, relative to the weighted variance


def solve_linear(problem: Problem) -> Scheme:
    """Scheme and bound of a problem whose source has any order."""
    source = linear_frames(problem)
    sent = represent(source.source, problem.rates)
    known = (sent.factor**2).sum(axis=1)
    if (known > source.variance * (1 + _ROUNDING)).any():
        raise SolverError(
            Status.INACCURATE, "linear: poles too near the unit circle for float64 at these rates"
        )
    if problem.weights is None or problem.encoder == "mmse":
        made, bound, message = _decoded(problem, sent)
        return _scheme(sent, made, bound, message)
    return _searched(problem, source, sent)


def linear_frames(problem: Problem) -> LinearFrames:
    """Return the source of a problem as the frames of a linear source.

    Parameters
    ----------
    problem : Problem
        A source of higher order.

    Raises
    ------
    ValueError
        A GaussMarkov.
    """
    source: object = problem.source
    if not isinstance(source, LinearFrames):
        raise ValueError(f"source: expected a LinearFrames, got {type(source).__name__}")
    return source


def _scheme(sent: Representation, made: Reconstruction, bound: float, message: str) -> Scheme:
    return Scheme(
        made.cov_xhat,
        made.cross,
        made.mmse,
        bound,
        message,
        distortion=sent.mmse + made.excess,  # without cancellation at high rates
        coefficients=MeasuredScheme(sent, made),
    )


def _decoded(problem: Problem, sent: Representation) -> tuple[Reconstruction, float, str]:
    """Best decoder of a representation, its bound, and what it is."""
    source, perception = problem.source, problem.perception
    if perception is None or np.isinf(problem.thresholds).all():
        cov, factor = source.covariance(), sent.factor
        made = Reconstruction(cov, factor, factor, np.zeros_like(factor))
        return made, _bound_of(problem, made.mmse), "the MMSE estimate"
    if problem.plf == "FMD":
        made = _framewise(problem, sent)
        floor = smallest_sd(source.sigma, problem.thresholds, perception.metric)
        spread = np.sqrt((sent.factor**2).sum(axis=1))
        lowest = made.mmse + np.maximum(floor - spread, 0.0) ** 2
        return made, _bound_of(problem, lowest), "the MMSE estimate, scaled"
    if problem.weights is not None and not _planned(problem):
        made, bound = decode_within(problem, sent.factor)
        return made, bound, "semidefinite program"
    if problem.weights is not None:
        found = plan(sent, problem.weights)
        return found.reconstruction, found.lower_bound, "chain of matrix inequalities"
    if (problem.thresholds > 0).any() and not _planned(problem):
        made, bound = decode_in_turn(problem, sent.factor)
        return made, bound, "a program for each frame"
    window = perception.window if isinstance(perception, JD) else None
    name = "JD" if isinstance(perception, JD) else perception.name
    made = reconstruct(source.covariance(), sent.factor, name, window)
    return made, _bound_of(problem, frame_bounds(problem, made)), "sequential rule"


def _planned(problem: Problem) -> bool:
    """Whether the joint distribution of all frames is kept: threshold 0 at the last one."""
    return problem.plf == "JD" and problem.thresholds[-1] == 0


def _bound_of(problem: Problem, distortion: Array) -> float:
    """Weighted sum of the least distortions of the frames, less what rounding may add."""
    spare = 64 * np.finfo(np.float64).eps * problem.source.variance
    return float(problem.frame_weights @ (distortion - spare))


def _framewise(problem: Problem, sent: Representation) -> Reconstruction:
    """The estimate scaled to the smallest deviation that the threshold allows."""
    source, perception = problem.source, problem.perception
    assert perception is not None
    floor = smallest_sd(source.sigma, problem.thresholds, perception.metric)
    spread = np.sqrt((sent.factor**2).sum(axis=1))
    known = spread > 1e-9 * source.sigma
    scale = np.where(known, np.maximum(floor / np.where(known, spread, 1.0), 1.0), 0.0)
    noise = np.diag(np.where(known, 0.0, floor))
    return Reconstruction(source.covariance(), sent.factor, scale[:, None] * sent.factor, noise)


def frame_bounds(problem: Problem, made: Reconstruction) -> Array:
    """Least distortion of each frame, given the earlier frames of a scheme, (T,).

    Parameters
    ----------
    problem : Problem
        PLF-JD, with or without a window, or PLF-SA, at threshold 0.
    made : Reconstruction
        Its decoder, used through its second moments alone.
    """
    cov, moments, cross = made.covariance, made.cov_xhat, made.cross
    power = (made.factor**2).sum(axis=1)
    best = np.empty(len(cov))
    window = problem.perception.window if isinstance(problem.perception, JD) else None
    if window is None:
        known = _whitened(psd_cholesky(moments), cross)  # E[e_s Xtil_t], e the innovations of Xhat
        past = np.triu(known, 1)
        rest = np.maximum(power - (past**2).sum(axis=0), 0.0)
        if problem.plf == "SA":
            inside = (past**2).sum(axis=0)
            left = np.maximum(np.diag(cov) - inside, 0.0)
        else:
            factor = psd_cholesky(cov)
            inside = (factor.T * np.triu(_whitened(factor, cross), 1)).sum(axis=0)
            left = np.diag(factor) ** 2
        best = inside + np.sqrt(left * rest)
    else:
        for t in range(len(cov)):
            seen = slice(problem.first_seen(t), t)
            at = cross[seen, t]
            slope = np.linalg.lstsq(cov[seen, seen], cov[seen, t], rcond=1e-13)[0]
            fit = np.linalg.lstsq(moments[seen, seen], at, rcond=1e-13)[0]
            left = max(float(cov[t, t] - slope @ cov[seen, t]), 0.0)
            best[t] = slope @ at + np.sqrt(left * max(float(power[t] - at @ fit), 0.0))
    return np.maximum(2 * (np.diag(cov) - best), made.mmse)


def _whitened(factor: Array, columns: Array) -> Array:
    """Solve a lower-triangular system; rows without a pivot are zero."""
    out = np.zeros_like(columns)
    for s in range(len(factor)):
        pivot = factor[s, s]
        if pivot > 0:
            out[s] = (columns[s] - factor[s, :s] @ out[:s]) / pivot
    return out


def _searched(problem: Problem, source: LinearFrames, plain: Representation) -> Scheme:
    """Best of some encoders, and the bound of all that spend the same bits or spend them later."""
    joint = problem.plf == "JD" and not np.isinf(problem.thresholds).all()
    program = budget_joint_encoder if joint else budget_encoder
    found = program(source.source, problem.rates, problem.weights)
    spare = _PROGRAM * float(problem.frame_weights @ source.variance)
    bound = found.objective - spare
    h = scalar(source.source)[2]
    rows = np.array([row[0] if len(row) else h for row in found.measurement])
    best: tuple[float, Representation, Reconstruction] | None = None
    for sent in (plain, represent(source.source, problem.rates, rows)):
        made, own, _ = _decoded(problem, sent)
        value = float(problem.frame_weights @ made.distortion)
        if best is None or value < best[0]:
            best = value, sent, made
        if sent is plain and source.order == 1:
            bound = max(bound, own)  # of first order no encoder is better than this one
    assert best is not None
    _, sent, made = best
    message = "best of the encoders tried; the bound holds for all, and lets bits wait"
    return _scheme(sent, made, min(bound, best[0]), message)
