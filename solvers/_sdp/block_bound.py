"""General vector sources: certified bound from the multipliers of the program."""

from __future__ import annotations

from typing import Any

import numpy as np

from rdp.perception import JD, SA
from solvers._sdp.block_program import BlockProgram

Array = np.ndarray


def block_bound(
    program: BlockProgram, x: Array, prices: Array, multipliers: list[Any]
) -> float:
    """Minimum of the Lagrangian over the unknowns, at multipliers projected on their cones.

    Linear in all but the errors and floors, where it is <G, m> - (price / 2) ln det m. What
    is left of the coefficients of the others, which should vanish, is charged at its worst.
    """
    value, slope = float(program.cost.base), program.cost.map[0].copy()
    items = [*program.semidefinite, *program.zero, *program.positive]
    for i, (item, raw) in enumerate(zip(items, multipliers, strict=True)):
        dual = np.asarray(raw, dtype=np.float64).reshape(item.base.shape)
        if i < len(program.semidefinite):
            dual = _positive_part(0.5 * (dual + dual.T))
        elif i >= len(program.semidefinite) + len(program.zero):
            dual = np.maximum(dual, 0.0)
        else:
            dual = -dual  # cvxpy adds the multiplier of an equality, we subtract it
        value -= float((dual * item.base).sum())
        slope -= item.map.T @ dual.ravel()
    weight = dict.fromkeys(program.places, 0.0)
    for k, price in zip(program.checkpoints, np.maximum(prices, 0.0), strict=True):
        constant, names = program.rate_terms(k)
        value += price * (constant - program.bits[: k + 1].sum() * np.log(2))
        for name in names:
            weight[name] += 0.5 * price
    largest = _largest_entry(program, x)
    for name, (place, side) in program.places.items():
        if name.startswith(("mmse", "floor")):
            t = int(name.split()[1])
            gradient = _gradient(slope[place], side)
            value += _least(gradient, weight[name], float(np.trace(program.variance[t])))
        else:
            value -= largest * float(np.abs(slope[place]).sum())
    return value


def _gradient(coefficients: Array, side: int) -> Array:
    """Matrix G with <G, m> for the upper triangle's coefficients."""
    out = np.zeros((side, side))
    out[np.triu_indices(side)] = coefficients
    return 0.5 * (out + out.T)


def _largest_entry(program: BlockProgram, x: Array) -> float:
    """Bound on the entries of H, C and Z over all schemes as good as this one.

    |Xhat_t| is at most |X_t| plus the root of the distortion, or of the threshold. A frame
    with neither weight nor threshold can as well be set to zero.
    """
    objective = program.objective(x)
    largest = 0.0
    levels = program.levels
    if isinstance(program.perception, JD):
        levels = np.minimum.accumulate(levels[::-1])[::-1]
    for t, weight in enumerate(program.weights):
        distance = min(levels[t], objective / weight if weight > 0 else np.inf)
        if np.isinf(distance) and isinstance(program.perception, SA):
            raise ValueError(
                f"weights: expected > 0 at frame {t + 1}, which has no threshold under SA"
            )
        size = float(max(np.trace(program.variance[t]), np.trace(program.targets[t])))
        reach = 0.0 if np.isinf(distance) else np.sqrt(distance)
        largest = max(largest, (np.sqrt(size) + reach) ** 2)
    return largest


def _positive_part(matrix: Array) -> Array:
    """Projection on the positive semidefinite cone."""
    values, vectors = np.linalg.eigh(matrix)
    return (vectors * np.maximum(values, 0.0)) @ vectors.T


def _least(gradient: Array, weight: float, trace: float) -> float:
    """Lower bound of <G, m> - weight ln det m over positive m with tr m <= trace.

    At m = weight G^-1 it is weight (d + ln det(G / weight)). Eigenvalues of G below a floor are
    raised to it, which costs at most the difference times the trace.
    """
    values = np.linalg.eigvalsh(gradient)
    if weight == 0:
        return min(0.0, float(values.min())) * trace
    floor = max(1e-3 * weight / trace, 1e-12)
    raised = np.maximum(values, floor)
    cost = float((raised - values).max()) * trace
    return weight * (len(values) + float(np.log(raised / weight).sum())) - cost
