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


def squared_w2(first: Array, second: Array) -> float:
    """Squared W2 of the Gaussians with these factors, as a sum of squares."""
    left, _, right = np.linalg.svd(first.T @ second, full_matrices=False)
    return float(((first @ (left @ right) - second) ** 2).sum())


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


def curvature(program: Program, blocks: list[Block], factors: Array, step: Pair) -> Pair:
    """Hessian of sum_k factors_k W2^2_k, slopes aside, times a step in (H, c)."""
    d_cov, d_cross = step
    n = program.frames
    in_cov, in_cross = np.zeros((n, n)), np.zeros(n)
    for block, factor in zip(blocks, factors, strict=True):
        m, t = block.size, block.size - 1
        part = -(block.inverse @ d_cov[:m, :m] @ block.inverse.T)
        if not program.joint:
            moved = d_cov[:m, :m].copy()
            moved[t, :t] = moved[:t, t] = program.transition[t, :t] * d_cross[:t]
            moved[t, t] = 0.0
            scaled = block.back / block.singular
            part += scaled.T @ moved @ scaled
        part *= factor * block.weight
        in_cov[:m, :m] -= block.inverse.T @ part @ block.inverse
        if not program.joint:
            moved = scaled @ part @ scaled.T
            in_cov[:t, :t] += moved[:t, :t]
            in_cross[:t] += 2 * program.transition[t, :t] * moved[t, :t]
    return in_cov, in_cross
