r"""Method "linear": sources of any order, at the losses whose decoders are explicit or a chain.

Covered are scalar frames with no loss and PLF-FMD at any thresholds; PLF-JD, PLF-JD(w) and PLF-SA
at threshold 0; and these at any thresholds, with weights (`linear_program`) or without
(`linear_sequential`), where the registry limits the frames of what needs semidefinite programs.

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

With the encoder "optimal", the programs of `solvers.linear.budget` bound every encoder whose bits
may also wait for later frames: with no loss, under PLF-FMD, and under PLF-JD at threshold 0
together with the decoder. PLF-SA, PLF-JD(w) and positive thresholds have the bound of PLF-FMD at
the same thresholds, whose program is convex where theirs is not. The scheme is the best of two: the
frame itself is measured, or the directions that the program leads to, each with its best decoder.
What is left between scheme and bound is open, and the status of the solution is then "achievable".
The encoder sees the state: for an autoregressive source, the last p frames, those before the first
one too. Of first order no encoder is better than "mmse", and there is nothing to search.
"""

from __future__ import annotations

import numpy as np

from rdp.closed_form import smallest_sd
from rdp.gaussian import psd_cholesky
from rdp.linear_source import LinearFrames
from rdp.measure import perception_of
from rdp.perception import JD
from rdp.problem import Problem
from rdp.solution import Status
from rdp.state_space import StateSpace
from solvers.errors import SolverError
from solvers.linear.budget import budget_encoder, budget_joint_encoder
from solvers.linear.decoder import Reconstruction, reconstruct
from solvers.linear.lookahead import plan
from solvers.linear.measurement import Representation, represent
from solvers.linear.scheme import MeasuredScheme
from solvers.methods.linear_program import FEW_FRAMES, decode_many, decode_within
from solvers.methods.linear_sequential import decode_in_turn
from solvers.scheme import Scheme
from solvers.ties import break_ties

Array = np.ndarray

_OPEN = 1e-3  # relative gap that is worth another bound
_ROUNDING = 1e-9  # by which an estimate may exceed the variance of its frame


def solve_linear(problem: Problem) -> Scheme:
    """Scheme and bound of a problem whose source has any order."""
    source = _observable(linear_frames(problem))
    sent = represent(source.source, problem.rates)
    known = (sent.factor**2).sum(axis=1)
    if (known > source.variance * (1 + _ROUNDING)).any():
        raise SolverError(
            Status.INACCURATE, "linear: poles too near the unit circle for float64 at these rates"
        )
    no_choice = source.order == 1 or not problem.rates.any() or np.isinf(problem.rates).all()
    if problem.weights is None or problem.encoder == "mmse" or no_choice:
        made, bound, message = _decoded(problem, sent)
        return _scheme(sent, made, bound, message)
    return _searched(problem, source, sent)


def _observable(frames: LinearFrames) -> LinearFrames:
    """The same frames, without directions of the state that none of them shows."""
    source = frames.source
    if isinstance(source, StateSpace) and source.observable() is not source:
        return LinearFrames(source.observable(), frames.frames)
    return frames


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
        sent.mmse,
        bound,
        message,
        distortion=sent.mmse + made.excess,  # without cancellation at high rates
        coefficients=MeasuredScheme(sent, made),
    )


def _decoded(problem: Problem, sent: Representation) -> tuple[Reconstruction, float, str]:
    """Best decoder of a representation, its bound, and what it is."""
    source, perception = problem.source, problem.perception
    if perception is None or _within(problem, sent):
        cov, factor = source.covariance(), sent.factor
        made = Reconstruction(cov, factor, factor, np.zeros_like(factor))
        return made, _bound_of(problem, made.mmse), "the MMSE estimate"
    if problem.plf == "FMD":
        made = _framewise(problem, sent)
        floor = smallest_sd(source.sigma, problem.thresholds, perception.metric)
        spread = np.sqrt((sent.factor**2).sum(axis=1))
        lowest = made.mmse + np.maximum(floor - spread, 0.0) ** 2
        return made, _bound_of(problem, lowest), "the MMSE estimate, scaled"
    if problem.weights is not None:
        return _weighted(problem, sent)
    if (problem.thresholds > 0).any() and not _planned(problem):
        made, bound = decode_in_turn(problem, sent)
        return made, bound, "a program for each frame"
    window = perception.window if isinstance(perception, JD) else None
    name = "JD" if isinstance(perception, JD) else perception.name
    made = reconstruct(source.covariance(), sent.factor, name, window)
    return made, _bound_of(problem, frame_bounds(problem, made)), "sequential rule"


def _weighted(problem: Problem, sent: Representation) -> tuple[Reconstruction, float, str]:
    """Best decoder at weights, its bound and what it is; ties are broken (`solvers.ties`)."""
    planned, positive = _planned(problem), bool((problem.thresholds > 0).all())

    def found(weights: Array) -> tuple[Reconstruction, float]:
        if planned:
            answer = plan(sent, weights)
            return answer.reconstruction, answer.lower_bound
        weighed = problem.with_(weights=weights)
        if problem.plf == "JD" and problem.source.frames > FEW_FRAMES and positive:
            return decode_many(weighed, sent)
        decoded, least = decode_within(weighed, sent.factor)
        if problem.thresholds.any():
            return decoded, least
        return _or_in_turn(weighed, sent, decoded, least)

    def again(weights: Array) -> Reconstruction | None:
        try:
            return found(weights)[0]
        except SolverError:
            return None  # the answer that was found stays

    made, bound = found(problem.frame_weights)
    made = break_ties(problem.frame_weights, made.mmse, made, bound, again)
    return made, bound, "chain of matrix inequalities" if planned else "semidefinite program"


def _or_in_turn(
    problem: Problem, sent: Representation, made: Reconstruction, bound: float
) -> tuple[Reconstruction, float]:
    """What a program found at thresholds 0, or the sequential decoder and FMD's bound if better.

    At high rates the program has no digits left, and these meet.
    """
    weights, cov = problem.frame_weights, problem.source.covariance()
    window = problem.perception.window if isinstance(problem.perception, JD) else None
    other = reconstruct(cov, sent.factor, "JD" if window else "SA", window)
    if weights @ other.excess < weights @ made.excess:
        made = other
    known = np.sqrt((sent.factor**2).sum(axis=1))
    sigma = problem.source.sigma
    # sigma - known without cancellation
    total = np.where(sigma > 0, sigma + known, 1.0)
    least = sent.mmse + (np.minimum(sent.mmse, sigma**2) / total) ** 2
    spare = 64 * np.finfo(np.float64).eps
    return made, max(bound, float(weights @ least) * (1 - spare))


def _within(problem: Problem, sent: Representation) -> bool:
    """Whether the MMSE estimate keeps all thresholds."""
    levels, loss = problem.thresholds, problem.perception
    if loss is None or np.isinf(levels).all():
        return True
    if not (levels > 0).all():
        return False
    moments = sent.factor @ sent.factor.T
    return bool((perception_of(problem.source, moments, moments, loss) <= levels).all())


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
    """Better of two encoders, and the bound of all that spend the same bits or spend them later."""
    joint = _planned(problem)
    given = source.source, problem.rates, problem.weights
    try:
        found = budget_joint_encoder(*given) if joint else budget_encoder(*given, _floors(problem))
    except SolverError:  # the bound of PLF-FMD needs no solver
        found, joint = budget_encoder(*given, _floors(problem)), False
    best: tuple[float, Representation, Reconstruction] | None = None
    for sent in (plain, represent(source.source, problem.rates, found.directions)):
        made, _, _ = _decoded(problem, sent)
        value = float(problem.frame_weights @ (sent.mmse + made.excess))
        if best is None or value < best[0]:
            best = value, sent, made
    assert best is not None
    value, sent, made = best
    bound = found.lower_bound
    if joint and value - bound > _OPEN * value:  # at high rates that program has no digits left
        bound = max(bound, budget_encoder(*given, _floors(problem)).lower_bound)
    message = "best of the encoders tried; the bound holds for all, and lets bits wait"
    return _scheme(sent, made, min(bound, value), message)


def _floors(problem: Problem) -> Array:
    """Smallest deviations that PLF-FMD allows at these thresholds; 0 where there is none."""
    if problem.perception is None:
        return np.zeros(len(problem.thresholds))
    return np.asarray(
        smallest_sd(problem.source.sigma, problem.thresholds, problem.perception.metric)
    )
