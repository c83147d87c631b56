"""Method "closed-form": the closed forms and their schemes, for one problem or many points.

Covered are, for scalar frames: no perception loss; PLF-FMD at any thresholds, metric and
objective, and CP at any thresholds and objective (each frame is bound alone, so the optimum is
simultaneous for all frames); PLF-JD, PLF-JD(w) and PLF-SA under the sequential objective where
every threshold is 0 or inf, and a single frame at any threshold; and any loss whose thresholds the
MMSE estimate meets already.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rdp import closed_form as formulas
from rdp.conditional import conditional
from rdp.measure import distance, losses, losses_from_factors
from rdp.mmse import Backbone, factor_of_backbone, mmse_recursion
from rdp.perception import FMD, JD, SA
from rdp.problem import Problem
from rdp.source import GaussMarkov
from rdp.windowed import windowed_scheme, zero_perception_windowed
from solvers.acceptance import FACTORED, unresolved, with_losses, within_thresholds
from solvers.scheme import Scheme

Array = np.ndarray


def forms(problem: Problem, rates: Array, levels: Array) -> Array:
    """Name the closed form of each point: "MMSE", "FMD", ..., "CP", or "" for none."""
    out = _formulas(problem, levels)
    rest = np.flatnonzero(out == "")
    if rest.size and problem.source.modes is None:
        out[rest[_estimate_meets(problem, rates[rest], levels[rest])]] = "MMSE"
    return out


def _formulas(problem: Problem, levels: Array) -> Array:
    """Name the closed form of each point as far as the thresholds say it, "" elsewhere."""
    out = np.full(len(levels), "", dtype="<U5")
    if problem.source.modes is not None:
        return out
    out[np.isinf(levels).all(axis=1)] = "MMSE"
    if problem.perception is None:
        return out
    if problem.plf == "CP":
        out[out == ""] = "CP"
        return out
    if problem.plf == "FMD" or problem.source.frames == 1:
        out[out == ""] = "FMD"
        return out
    if problem.weights is None:
        exact = np.isin(levels, (0.0, np.inf)).all(axis=1)
        if isinstance(problem.perception, JD):
            # a joint distribution binds the past too: free frames are explicit only after the
            # bound ones, and a frame without innovation keeps what it receives for later
            exact &= (np.diff(np.isinf(levels).astype(int), axis=1) >= 0).all(axis=1)
            window = _window(problem)
            # with a window, what a frame without innovation cannot use is part of the recursion
            plain = window is not None and not np.isinf(levels).any()
            exact &= (problem.source.innovation > 0).all() | plain
        out[(out == "") & exact] = "JD(w)" if _window(problem) is not None else problem.plf
    return out


def _forms_of_covered(problem: Problem, levels: Array) -> Array:
    """Name the closed form of each point, where each has one: then no loss has to be measured."""
    out = _formulas(problem, levels)
    out[out == ""] = "MMSE"  # no formula: what covers the point is that the estimate meets it
    return out


def solve_closed_form(problem: Problem) -> Scheme:
    """Scheme of a problem that a closed form covers."""
    rates, levels = problem.rates[None], problem.thresholds[None]
    form = str(_forms_of_covered(problem, levels)[0])
    built = _build(form, problem, rates, levels)
    made = Scheme(
        cov_xhat=built.cov_xhat[0],
        cross=built.cross[0],
        mmse=built.backbone.mmse[0],
        lower_bound=float(problem.frame_weights @ built.distortion[0]),
        message=f"closed form of {form}",
        distortion=built.distortion[0],
        frame_bounds=None if problem.weights is not None else built.distortion[0],
    )
    if not isinstance(problem.perception, (JD, SA)):
        return made
    return with_losses(problem, made, built.decoder[0], built.noise[0])


def closed_form_points(problem: Problem, rates: Array, levels: Array) -> tuple[Array, Array]:
    """Distortion and perception loss of points that closed forms cover.

    Parameters
    ----------
    problem : Problem
        Source, loss function and objective.
    rates, levels : (N, T) arrays
        Rates and thresholds of the points.

    Returns
    -------
    distortion, perception : (N, T) arrays
        The perception loss is nan without a loss function.
    """
    distortion, perception = np.full(rates.shape, np.nan), np.full(rates.shape, np.nan)
    names = _forms_of_covered(problem, levels)
    for form in np.unique(names):
        chosen = names == form
        window = _window(problem)
        if window is not None and form == "JD(w)" and not levels[chosen].any():
            # no scheme is built for each point
            distortion[chosen] = zero_perception_windowed(problem.source, rates[chosen], window)
            perception[chosen] = 0.0
            continue
        built = _build(str(form), problem, rates[chosen], levels[chosen])
        distortion[chosen] = built.distortion
        perception[chosen] = _losses(problem, built, rates[chosen], levels[chosen])
    return distortion, perception


class _Built(NamedTuple):
    """Schemes Xhat = K u + N z of n points, u the white variables of the representation."""

    backbone: Backbone
    decoder: Array  # K, (n, T, T)
    noise: Array  # N, (n, T, T)
    factor: Array  # Xtil = factor u, (n, T, T)
    distortion: Array  # of the closed form, (n, T)

    @property
    def cov_xhat(self) -> Array:
        return _squared(self.decoder) + _squared(self.noise)

    @property
    def cross(self) -> Array:
        return self.decoder @ np.swapaxes(self.factor, -1, -2)


def _squared(matrix: Array) -> Array:
    return matrix @ np.swapaxes(matrix, -1, -2)


def _diagonal(values: Array) -> Array:
    return values[..., None] * np.eye(values.shape[-1])


def _build(form: str, problem: Problem, rates: Array, levels: Array) -> _Built:
    backbone = mmse_recursion(problem.source, rates)
    factor = factor_of_backbone(problem.source, backbone)
    build = {
        "MMSE": _mmse,
        "FMD": _framewise,
        "JD": _joint,
        "JD(w)": _windowed,
        "SA": _self_adaptive,
        "CP": _posterior,
    }[form]
    decoder, noise, distortion = build(problem, rates, levels, backbone, factor)
    if form in ("JD", "JD(w)", "SA"):  # frames without a constraint reconstruct the MMSE estimate
        free = np.isinf(levels)
        decoder = np.where(free[..., None], factor, decoder)
        noise = np.where(free[..., None], 0.0, noise)
        distortion = np.where(free, backbone.mmse, distortion)
    return _Built(backbone, decoder, noise, factor, distortion)


def _mmse(
    problem: Problem, rates: Array, levels: Array, backbone: Backbone, factor: Array
) -> tuple[Array, Array, Array]:
    return factor, np.zeros_like(factor), backbone.mmse


def _framewise(
    problem: Problem, rates: Array, levels: Array, backbone: Backbone, factor: Array
) -> tuple[Array, Array, Array]:
    metric = _metric(problem)
    least = formulas.smallest_sd(problem.source.sigma, levels, metric)
    known = np.sqrt(backbone.variance)
    scale = np.where(known > 0, np.maximum(least / np.where(known > 0, known, 1.0), 1.0), 0.0)
    noise = _diagonal(np.where(known > 0, 0.0, least))
    distortion = formulas.framewise(problem.source, rates, levels, metric)
    return scale[..., None] * factor, noise, distortion


def _joint(
    problem: Problem, rates: Array, levels: Array, backbone: Backbone, factor: Array
) -> tuple[Array, Array, Array]:
    whole = problem.source.factor()
    received = (backbone.gain > 0)[..., None, :]
    distortion = formulas.zero_perception_joint(problem.source, rates)
    return whole * received, whole * ~received, distortion


def _windowed(
    problem: Problem, rates: Array, levels: Array, backbone: Backbone, factor: Array
) -> tuple[Array, Array, Array]:
    width = _window(problem)
    assert width is not None
    schemes = [windowed_scheme(problem.source, point, width) for point in rates]
    decoder = np.reshape([scheme.decoder for scheme in schemes], factor.shape)
    noise = np.reshape([scheme.noise for scheme in schemes], factor.shape)
    return decoder, noise, zero_perception_windowed(problem.source, rates, width)


def _self_adaptive(
    problem: Problem, rates: Array, levels: Array, backbone: Backbone, factor: Array
) -> tuple[Array, Array, Array]:
    source = problem.source
    decoder = np.zeros_like(factor)
    decoder[..., 1:, :] = source.gain[1:, None] * factor[..., :-1, :]
    fresh = np.sqrt(backbone.prediction_error)
    received = backbone.gain > 0
    distortion = formulas.zero_perception_self_adaptive(source, rates)
    return decoder + _diagonal(fresh * received), _diagonal(fresh * ~received), distortion


def _posterior(
    problem: Problem, rates: Array, levels: Array, backbone: Backbone, factor: Array
) -> tuple[Array, Array, Array]:
    fresh = np.maximum(np.sqrt(backbone.mmse) - np.sqrt(levels), 0.0)
    return factor, _diagonal(fresh), conditional(problem.source, rates, levels)


def _window(problem: Problem) -> int | None:
    return problem.perception.window if isinstance(problem.perception, JD) else None


def _metric(problem: Problem) -> str:
    return problem.perception.metric if isinstance(problem.perception, FMD) else "w2"


def _losses(problem: Problem, built: _Built, rates: Array, levels: Array) -> Array:
    """Perception loss (n, T), by formulas that keep their digits where there are any."""
    source = problem.source
    if problem.perception is None:
        return np.full(levels.shape, np.nan)
    if problem.plf == "CP":
        return np.minimum(levels, built.backbone.mmse)
    if problem.plf == "FMD" or source.frames == 1:
        return _framewise_loss(problem, built.backbone, levels)
    found = np.zeros(levels.shape)
    free = np.isinf(levels) | (levels > 0)  # at a threshold of 0 the loss is exactly 0
    rows = free.any(axis=1)
    if rows.any():
        cov, cross = built.cov_xhat[rows], built.cross[rows]
        measured = losses(source.sigma[None], source.covariance(), cov, cross, problem.perception)
        parts = built.decoder[rows], built.noise[rows]
        measured = _told_apart(problem, rates[rows], *parts, measured, levels[rows])
        found[rows] = np.where(free[rows], measured, 0.0)
    return found


def _framewise_loss(problem: Problem, backbone: Backbone, levels: Array) -> Array:
    sigma, known = problem.source.sigma, np.sqrt(backbone.variance)
    least = formulas.smallest_sd(sigma, levels, _metric(problem))
    if _metric(problem) == "w2":
        return np.minimum(_short(problem.source, backbone), sigma - least) ** 2
    ratio = (np.maximum(least, known) / sigma) ** 2
    with np.errstate(divide="ignore"):  # a constant frame is infinitely far in KL
        return np.asarray(0.5 * (ratio - 1 - np.log(ratio)))


def _short(source: GaussMarkov, backbone: Backbone) -> Array:
    """What the deviation of the MMSE estimate is short of sigma (N, T), without cancellation."""
    return backbone.mmse / (source.sigma + np.sqrt(backbone.variance))


def _estimate_meets(problem: Problem, rates: Array, levels: Array) -> Array:
    """Whether the MMSE estimate meets the thresholds of each point, (N,) bool array.

    The marginal loss of a frame is part of every other. It is quickly computed, and with all its
    digits, where a difference of covariances is 0 by rounding: at threshold 0 it says no.
    """
    source, loss = problem.source, problem.perception
    assert loss is not None
    backbone = mmse_recursion(source, rates)
    met: Array = np.all(_short(source, backbone) ** 2 <= _felt(problem, levels), axis=1)
    if not met.any():
        return met
    factor = factor_of_backbone(source, backbone)
    # frames that are known exactly, as are those before, have the distribution of the source
    left = np.where(np.maximum.accumulate(backbone.mmse, axis=1) > 0, levels, np.inf)
    if isinstance(loss, JD) and loss.window is None:
        return _joint_loss_met(problem, rates, backbone.mmse, factor, left, met)
    chosen = np.flatnonzero(met)
    near = _squared(factor[chosen])
    found = losses(source.sigma[None], source.covariance(), near, near, loss)
    estimates = rates[chosen], backbone.mmse[chosen], factor[chosen]
    met[chosen] = _keeps(problem, *estimates, found, left[chosen])
    return met


def _keeps(
    problem: Problem, rates: Array, mmse: Array, factor: Array, found: Array, levels: Array
) -> Array:
    """Whether the MMSE estimates (n, T, T) keep thresholds (n, T), given losses from moments."""
    found = _told_apart(problem, rates, factor, np.zeros_like(factor), found, levels)
    certain = within_thresholds(problem, mmse, found, levels, FACTORED)
    return np.asarray((found <= levels).all(axis=1) & certain)


def _told_apart(
    problem: Problem, rates: Array, gains: Array, noise: Array, found: Array, levels: Array
) -> Array:
    """Losses (n, T) of schemes, from factors where moments cannot tell them from thresholds."""
    close = unresolved(problem, found, levels)
    out = found.copy()
    for n in np.flatnonzero(close.any(axis=1)).tolist():
        point = problem.with_(rates=rates[n])
        out[n, close[n]] = losses_from_factors(point, gains[n], noise[n], close[n])[close[n]]
    return out


def _felt(problem: Problem, levels: Array) -> Array:
    """Least threshold (N, T) of the losses that the distribution of each frame is a part of."""
    out = levels.copy()
    if isinstance(problem.perception, JD):
        for t in range(levels.shape[1]):
            seen = slice(problem.first_seen(t), t)
            out[:, seen] = np.minimum(out[:, seen], levels[:, t : t + 1])
    return out


def _joint_loss_met(
    problem: Problem, rates: Array, mmse: Array, factor: Array, levels: Array, met: Array
) -> Array:
    """Which of the points `met` keep PLF-JD, which grows with the frames.

    A threshold that a later one implies need not be measured; with one threshold for all frames a
    single distance is.
    """
    covariance, later = problem.source.covariance(), np.full(len(levels), np.inf)
    cov = _squared(factor)
    for t in reversed(range(levels.shape[1])):
        asked = np.flatnonzero(met & (levels[:, t] < later))
        if asked.size:
            near = cov[asked, : t + 1, : t + 1]
            target = np.broadcast_to(covariance[: t + 1, : t + 1], near.shape)
            found, only = np.zeros(levels[asked].shape), np.full(levels[asked].shape, np.inf)
            found[:, t], only[:, t] = distance(target, near), levels[asked, t]
            met[asked] = _keeps(problem, rates[asked], mmse[asked], factor[asked], found, only)
        later = np.minimum(later, levels[:, t])
    return met
