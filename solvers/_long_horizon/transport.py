r"""Squared W2 of every compared block, its slopes and its curvature, from one SVD each.

With factors :math:`A = F F^T`, :math:`B = G G^T` and :math:`F^T G = U s V^T`,

.. math::
    W_2^2(A, B) = \|F U V^T - G\|_F^2, \qquad \Phi = Z s^{-1} Z^T, \qquad Z = G V,

:math:`\Phi` the optimal transport map from A to B. The slopes are :math:`I - \Phi^{-1}` in B and
:math:`I - \Phi` in A. The second derivative along (dA, dB) is a square,

.. math::
    \sum_{ij} \frac{r_{ij}^2}{1/s_i + 1/s_j}, \qquad
    r = s^{-1} Z^T dA\, Z s^{-1} - Z^{-1} dB\, Z^{-T} .

Nothing of size T^2 x T^2 is formed. Derived in this project.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.linalg import solve_triangular

from solvers._long_horizon.program import Program

Array = np.ndarray
Pair = tuple[Array, Array]

GROUP = 8  # thresholds that go through one matrix product


class Block(NamedTuple):
    """One threshold at one scheme."""

    size: int
    value: float  # squared W2
    singular: Array  # s
    back: Array  # Z
    inverse: Array  # Z^-1
    slope: Array  # I - Phi^-1
    target_slope: Array  # I - Phi
    weight: Array  # 1 / (1/s_i + 1/s_j)


def blocks_at(program: Program, cov: Array, cross: Array) -> list[Block] | None:
    """Evaluate every threshold; None where the scheme is not strictly inside the domain."""
    try:
        root = np.linalg.cholesky(cov)
    except np.linalg.LinAlgError:
        return None
    inverse = solve_triangular(root, np.eye(len(root)), lower=True)
    blocks = []
    for t in program.compared:
        size = int(t) + 1
        target = program.root[:size, :size]
        if not program.joint:
            made = _conditional_root(program, root, inverse, cross, int(t))
            if made is None:
                return None
            target = made
        blocks.append(_block(target, root[:size, :size], inverse[:size, :size]))
        if not blocks[-1].singular[-1] > 0:
            return None
    return blocks


def _conditional_root(
    program: Program, root: Array, inverse: Array, cross: Array, t: int
) -> Array | None:
    """Factor of Cov(Xhat^(t-1), X_t)."""
    out = np.zeros((t + 1, t + 1))
    out[:t, :t] = root[:t, :t]
    out[t, :t] = inverse[:t, :t] @ (program.transition[t, :t] * cross[:t])
    rest = program.variance[t] - float(out[t, :t] @ out[t, :t])
    if rest <= 0:
        return None
    out[t, t] = np.sqrt(rest)
    return out


def _block(target: Array, root: Array, inverse: Array) -> Block:
    left, singular, right = np.linalg.svd(target.T @ root)
    value = float(((target @ (left @ right) - root) ** 2).sum())
    back, forth = root @ right.T, right @ inverse
    own = np.eye(len(root))
    reciprocal = 1 / np.maximum(singular, 1e-300)
    return Block(
        size=len(root),
        value=value,
        singular=singular,
        back=back,
        inverse=forth,
        slope=own - (forth.T * singular) @ forth,
        target_slope=own - (back * reciprocal) @ back.T,
        weight=1 / (reciprocal[:, None] + reciprocal),
    )


def gradient(program: Program, blocks: list[Block], factors: Array) -> Pair:
    """Gradient of sum_k factors_k W2^2_k in (H, c)."""
    n = program.frames
    in_cov, in_cross = np.zeros((n, n)), np.zeros(n)
    for block, factor in zip(blocks, factors, strict=True):
        m, t = block.size, block.size - 1
        in_cov[:m, :m] += factor * block.slope
        if not program.joint:
            in_cov[:t, :t] += factor * block.target_slope[:t, :t]
            in_cross[:t] += 2 * factor * program.transition[t, :t] * block.target_slope[t, :t]
    return in_cov, in_cross


class Curvature:
    """Hessian of sum_k factors_k W2^2_k, slopes aside, as a map of steps in (H, c).

    Blocks of nearly the same size are padded with zeros and go through one matrix product.
    """

    def __init__(self, program: Program, blocks: list[Block], factors: Array) -> None:
        self.program = program
        pairs = list(zip(blocks, factors, strict=True))
        self.groups = [_group(program, pairs[k : k + GROUP]) for k in range(0, len(pairs), GROUP)]

    def __call__(self, step: Pair) -> Pair:
        """Return the product with a step."""
        d_cov, d_cross = step
        n = self.program.frames
        in_cov, in_cross = np.zeros((n, n)), np.zeros(n)
        for group in self.groups:
            count, m = group.inverse.shape[:2]
            own = d_cov[:m, :m]
            part = -np.matmul(
                (group.inverse.reshape(-1, m) @ own).reshape(count, m, m), group.inverse_t
            )
            if not self.program.joint:
                half = (group.scaled.reshape(-1, m) @ own).reshape(count, m, m)
                part += np.matmul(half, group.scaled_t)
                moved = np.matmul(group.scaled, (group.ratio * d_cross[:m])[:, :, None])
                cross = moved * group.last[:, None, :]
                part += cross + cross.transpose(0, 2, 1)
            part *= group.weight
            made = np.matmul(part, group.inverse).reshape(-1, m)
            in_cov[:m, :m] -= group.inverse.reshape(-1, m).T @ made
            if not self.program.joint:
                made = np.matmul(part, group.scaled).reshape(-1, m)
                in_cov[:m, :m] += group.scaled.reshape(-1, m).T @ made
                ends = np.matmul(group.scaled_t, np.matmul(part, group.last[:, :, None]))
                in_cross[:m] += 2 * (group.ratio * ends[:, :, 0]).sum(axis=0)
        return in_cov, in_cross


class _Group(NamedTuple):
    """Blocks padded to one size m; "scaled" is (Z / s)^T without the column of the last frame."""

    inverse: Array  # (count, m, m)
    inverse_t: Array
    weight: Array  # (count, m, m), times the factor
    scaled: Array
    scaled_t: Array
    last: Array  # (count, m), the column that "scaled" lacks
    ratio: Array  # (count, m), row of the transition


def _group(program: Program, pairs: list[tuple[Block, float]]) -> _Group:
    count, m = len(pairs), max(block.size for block, _ in pairs)
    inverse, weight = np.zeros((count, m, m)), np.zeros((count, m, m))
    shape = (0, 0, 0) if program.joint else (count, m, m)
    scaled, last, ratio = np.zeros(shape), np.zeros(shape[:2]), np.zeros(shape[:2])
    for k, (block, factor) in enumerate(pairs):
        size, t = block.size, block.size - 1
        inverse[k, :size, :size] = block.inverse
        weight[k, :size, :size] = factor * block.weight
        if not program.joint:
            whole = (block.back / block.singular).T
            scaled[k, :size, :t] = whole[:, :t]
            last[k, :size] = whole[:, t]
            ratio[k, :t] = program.transition[t, :t]
    turned = [np.ascontiguousarray(stack.transpose(0, 2, 1)) for stack in (inverse, scaled)]
    return _Group(inverse, turned[0], weight, scaled, turned[1], last, ratio)
