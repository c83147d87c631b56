r"""Primal-dual path following for the weighted program; every iterate is a feasible scheme."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from solvers._long_horizon.bound import best_bound
from solvers._long_horizon.direction import MOST, State, Step, primal_step
from solvers._long_horizon.joint import joint_step
from solvers._long_horizon.program import Program
from solvers._long_horizon.transport import Block, blocks_at

Array = np.ndarray

CERTIFIED = 2e-7  # gap, relative to the objective, that ends the search
FLOOR = 1e-13  # of the weighted variance: what double precision resolves
LIMIT = 60  # Newton steps
ROOM = 0.99  # share of the way to a singular S that a step may take
LONG = 48  # frames from which PLF-JD takes its steps in the dual variables at once
MANY = 2  # products a frame after which it does so with fewer frames
PATIENCE = 5  # short steps from conjugate gradients that did not converge, before giving up


class Found(NamedTuple):
    """A scheme and its certificate."""

    gains: Array
    noise: Array
    objective: float
    bound: float
    steps: int
    products: int


def follow(program: Program, gains: Array, noise: Array, start: float) -> Found:
    """Follow the central path from an interior point until the certified gap is small.

    `start` is the first barrier parameter, relative to the weighted variance of a constraint.
    """
    total, order = program.total, program.frames + len(program.levels)
    blocks = blocks_at(program, gains @ gains.T + noise, program.cross(gains))
    if blocks is None:
        return Found(gains, noise, np.inf, -np.inf, 0, 0)
    slack = program.levels - np.array([block.value for block in blocks])
    if not (slack > 0).all():  # thresholds below the rounding of losses have no interior point
        return Found(gains, noise, np.inf, -np.inf, 0, 0)
    tau = start * total / order
    state = State(gains, noise, tau * np.linalg.inv(noise), tau / slack, blocks, slack)
    objective, bound, length = program.objective(gains, noise), -np.inf, 1.0
    direction = joint_step if program.joint and program.frames >= LONG else primal_step
    products = steps = wasted = 0
    while steps < LIMIT and wasted < PATIENCE:
        mean = (float(np.vdot(state.noise, state.dual)) + float(state.mu @ state.slack)) / order
        allowed = CERTIFIED * objective + FLOOR * total
        if order * mean <= 10 * allowed:
            found = best_bound(program, state.mu, state.dual, state.blocks, objective - allowed)
            bound = max(bound, found)
            if objective - bound <= allowed:
                break
        if steps > 0:
            aim = max(max(0.03, 1.0 - length) * mean, 0.1 * allowed / order)
            tau = min(aim, mean)
        step = direction(program, state, tau)
        moved = _search(program, state, step, tau, objective)
        steps, products = steps + 1, products + step.products
        if program.joint and step.products > MANY * program.frames:
            direction = joint_step
        if moved is None:
            break
        state, objective, length = moved
        wasted = wasted + 1 if step.products >= MOST and length < 0.5 else 0
    else:
        bound = max(bound, best_bound(program, state.mu, state.dual, state.blocks, objective))
    if not np.isfinite(bound):
        bound = best_bound(program, state.mu, state.dual, state.blocks, objective)
    return Found(state.gains, state.noise, objective, bound, steps, products)


def _search(
    program: Program, state: State, step: Step, tau: float, objective: float
) -> tuple[State, float, float] | None:
    """Backtrack until the barrier function falls; the new iterate, its objective and the length.

    None where the step overflowed, or where no length of it lowers the function.
    """
    if not all(np.isfinite(part).all() for part in (step.gains, step.noise, step.dual, step.mu)):
        return None
    shrinking = step.mu < 0
    dual_length = min(1.0, 0.995 * _reach(state.dual, step.dual))
    if shrinking.any():
        ratio = state.mu[shrinking] / step.mu[shrinking]
        dual_length = min(dual_length, float(-0.995 * ratio.max()))
    inverse = np.linalg.inv(state.noise)
    merit = objective + tau * _log_barrier(np.linalg.cholesky(state.noise), state.slack)
    pull = tau * inverse @ state.gains - program.weights[:, None] * program.estimate
    decrease = 2 * float(np.vdot(pull, step.gains)) + float(
        np.vdot(np.diag(program.weights) - tau * inverse, step.cov)
    )
    for block, slack in zip(state.blocks, state.slack, strict=True):
        decrease += tau / slack * _along(program, block, step)
    rounding = 1e-13 * abs(objective)
    spread, length = step.gains @ step.gains.T, 1.0

    def noise_at(length: float) -> Array:
        noise = state.noise + length * step.noise - length**2 * spread
        return 0.5 * (noise + noise.T)

    while length > 1e-8 and not _positive(noise_at(length / ROOM)):
        length *= 0.9
    while length > 1e-8:
        gains, noise = state.gains + length * step.gains, noise_at(length)
        root = np.linalg.cholesky(noise)
        blocks = blocks_at(program, gains @ gains.T + noise, program.cross(gains))
        if blocks is not None:
            slack = program.levels - np.array([block.value for block in blocks])
            if (slack > 0).all():
                value = program.objective(gains, noise)
                if value + tau * _log_barrier(root, slack) <= (
                    merit + 1e-4 * length * decrease + rounding
                ):
                    dual = state.dual + dual_length * step.dual
                    mu = state.mu + dual_length * step.mu
                    moved = State(gains, noise, dual, mu, blocks, slack)
                    return moved, value, min(length, dual_length)
        length *= 0.8
    return None


def _positive(matrix: Array) -> bool:
    try:
        np.linalg.cholesky(matrix)
    except np.linalg.LinAlgError:
        return False
    return True


def _log_barrier(root: Array, slack: Array) -> float:
    """-log det S - sum_k log slack_k, S = root root^T."""
    return float(-2 * np.log(np.diag(root)).sum() - np.log(slack).sum())


def _along(program: Program, block: Block, step: Step) -> float:
    """Derivative of one squared W2 along a step."""
    m, t = block.size, block.size - 1
    out = float(np.vdot(block.slope, step.cov[:m, :m]))
    if not program.joint:
        out += float(np.vdot(block.target_slope[:t, :t], step.cov[:t, :t]))
        moved = program.transition[t, :t] * step.cross[:t]
        out += 2 * float(moved @ block.target_slope[t, :t])
    return out


def _reach(matrix: Array, step: Array) -> float:
    """Longest length that keeps a positive definite matrix so."""
    half = np.linalg.inv(np.linalg.cholesky(matrix))
    least = float(np.linalg.eigvalsh(half @ step @ half.T)[0])
    return np.inf if least >= 0 else -1 / least
