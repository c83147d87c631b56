r"""Newton step of the barrier function by conjugate gradients.

A product with the matrix of the equations costs O(T^3) for each threshold.

The barrier function is sum_t w_t D_t - tau (log det S + sum_k log(P_k - f_k)), S = H - K K^T, in
which tau S^-1 (.) S^-1 is replaced by its Nesterov-Todd scaling and tau / (P_k - f_k) by mu_k, as
in :mod:`solvers._barrier.central_path`. Eliminating K and S leaves, for x = (dH, dc),

.. math::
    (\mathcal A^{-1} + \mathcal B + G \Lambda G^T)\, x = \text{right-hand side},

- A maps (dQ, d eta), eta = -2 omega, to the answer of the scheme,
  :math:`(Y K^T + K Y^T + V dQ V,\; \tilde L \circ Y)`,
  :math:`Y = R^{-T} \operatorname{tril}(R^{-1} (dQ K + \tfrac12 d\eta \tilde L))`, Q = R R^T;
- B is the curvature of the thresholds, G their gradients, Lambda = mu / slack.

No matrix of these is formed. Two ways to the same step:

- :func:`primal_step` preconditions with the exact inverse of the first and the last term, which is
  A itself and a correction of the rank of the number of thresholds (Woodbury). The vectors
  A^-1 p that conjugate gradients need are the ones kept, and p is made of them.
- :func:`dual_step`, one threshold of JD: there B^-1 is explicit,
  :math:`\mathcal E X = (\Phi X H + H X \Phi) / \mu`, and the system in dQ is
  (A + E) dQ + ... . Without the triangle A would be the Kronecker product of H and Q^-1; half of
  it, with E, is inverted in the basis in which H and Q^-1/2 + Phi / mu are diagonal.

Conjugate gradients stop when the error in the local norm of the barrier function is ETA.
Derived in this project.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.linalg import eigh, solve_triangular

from solvers._long_horizon.blocks import ColumnBlocks
from solvers._long_horizon.bound import reverse_cholesky
from solvers._long_horizon.program import Program
from solvers._long_horizon.transport import Block, Curvature, Pair, gradient

Array = np.ndarray

ETA = 0.3  # error of a step, in the local norm of the barrier function
MOST = 1000  # conjugate gradient steps
REFRESH = 10  # steps after which the residual is computed anew: rounding grows in recurrences


class State(NamedTuple):
    """Primal and dual iterate with what a step needs of it."""

    gains: Array  # K
    noise: Array  # S
    dual: Array  # Q
    mu: Array  # (k,)
    blocks: list[Block]
    slack: Array  # (k,)

    @property
    def cov(self) -> Array:
        """H = Cov Xhat."""
        return self.gains @ self.gains.T + self.noise


class Step(NamedTuple):
    """Direction in every variable, and the conjugate gradient steps it took."""

    gains: Array
    noise: Array
    dual: Array
    mu: Array
    cov: Array
    cross: Array
    products: int


def symmetric(matrix: Array) -> Array:
    """Sum of a matrix and its transpose."""
    return matrix + matrix.T


def nt_scaling(noise: Array, dual: Array) -> Array:
    """V with V Q V = S, the geometric mean of S and Q^-1."""
    root = np.linalg.cholesky(noise)
    values, vectors = np.linalg.eigh(root.T @ dual @ root)
    half = root @ vectors * np.maximum(values, 1e-300) ** -0.25
    return half @ half.T


class Linear:
    """The answer of the scheme to a change of the dual variables, at one iterate."""

    def __init__(self, program: Program, state: State, tau: float) -> None:
        self.program, self.state, self.tau = program, state, tau
        self.root = reverse_cholesky(state.dual)
        self.half = solve_triangular(self.root, np.eye(program.frames))  # R^-1
        self.half_t = np.ascontiguousarray(self.half.T)
        self.inverse = self.half_t @ self.half
        self.gains_t = np.ascontiguousarray(state.gains.T)
        self.scaling = nt_scaling(state.noise, state.dual)
        in_cov, in_cross = gradient(program, state.blocks, state.mu)
        self.omega = program.weights - 0.5 * in_cross
        self.residual = np.diag(program.weights) + in_cov - state.dual
        self.own = self.gains_of(self.omega[:, None] * program.estimate - state.dual @ state.gains)
        self.base = (
            symmetric(self.own @ self.gains_t) + tau * self.inverse - state.noise,
            self.cross_of(self.own),
        )

    def gains_of(self, matrix: Array) -> Array:
        """Solve tril(Q dK) = tril(matrix) for lower-triangular dK."""
        return self.half_t @ np.tril(self.half @ matrix)

    def cross_of(self, gains: Array) -> Array:
        """Change of the moments c with the gains."""
        return np.einsum("st,st->s", gains, self.program.estimate)

    def answer(self, pair: Pair) -> Pair:
        """A times (dQ, d eta)."""
        right = pair[0] @ self.state.gains
        if not self.program.joint:
            right = right + 0.5 * pair[1][:, None] * self.program.estimate
        made = self.gains_of(right)
        moved = symmetric(made @ self.gains_t) + self.scaling @ pair[0] @ self.scaling
        return moved, self.cross_of(made)

    def finish(self, dual: Array, eta: Array, mu: Array, products: int) -> Step:
        """Direction of the scheme from that of the dual variables."""
        dual = 0.5 * symmetric(dual)
        change = dual @ self.state.gains + 0.5 * eta[:, None] * self.program.estimate
        gains = self.own - self.gains_of(change)
        noise = self.tau * self.inverse - self.state.noise - self.scaling @ dual @ self.scaling
        noise = 0.5 * symmetric(noise)
        cov = noise + symmetric(gains @ self.gains_t)
        return Step(gains, noise, dual, mu, cov, self.cross_of(gains), products)


_ZERO: Pair = (np.zeros(()), np.zeros(()))


def _dot(a: Pair, b: Pair) -> float:
    return float(np.vdot(a[0], b[0]) + a[1] @ b[1])


def _add(a: Pair, factor: float, b: Pair) -> Pair:
    return a[0] + factor * b[0], a[1] + factor * b[1]


def primal_step(program: Program, state: State, tau: float) -> Step:
    """Newton step, any thresholds: preconditioned by A and the gradients of the thresholds."""
    linear = Linear(program, state, tau)
    n, count = program.frames, len(state.blocks)
    slopes_h, slopes_c = np.empty((count, n * n)), np.empty((count, n))
    moved_h, moved_c = np.empty((count, n * n)), np.empty((count, n))
    for k, block in enumerate(state.blocks):
        own = gradient(program, [block], np.ones(1))
        moved = linear.answer(own)
        slopes_h[k], slopes_c[k] = own[0].ravel(), own[1]
        moved_h[k], moved_c[k] = moved[0].ravel(), moved[1]
    small = np.diag(state.slack / state.mu) + slopes_h @ moved_h.T + slopes_c @ moved_c.T
    solve_small = np.linalg.inv(small)

    def precondition(r: Pair) -> tuple[Pair, Array]:
        """(A^-1 + G Lambda G^T)^-1 r and the multipliers of the gradients in it."""
        y = linear.answer(r)
        factors = solve_small @ (moved_h @ r[0].ravel() + moved_c @ r[1])
        return (y[0] - (factors @ moved_h).reshape(n, n), y[1] - factors @ moved_c), factors

    # the step without B, to which `precondition` of the carried image is added
    first = _add(linear.base, -1.0, linear.answer((linear.residual, np.zeros(n))))
    along = slopes_h @ first[0].ravel() + slopes_c @ first[1]
    start_mu = solve_small @ (along + tau / state.mu - state.slack)
    first = first[0] - (start_mu @ moved_h).reshape(n, n), first[1] - start_mu @ moved_c

    curvature = Curvature(program, state.blocks, state.mu)

    def bend(x: Pair) -> Pair:
        matrix, vector = curvature(x)
        return 0.5 * symmetric(matrix), vector

    carried, r = (np.zeros((n, n)), np.zeros(n)), _add(_ZERO, -1.0, bend(first))
    image, size = r, _dot(r, precondition(r)[0])
    products = 0
    while size > ETA**2 * tau and products < MOST:
        products += 1
        p = precondition(image)[0]
        applied = _add(image, 1.0, bend(p))
        bent = _dot(p, applied)
        if bent == 0:  # nothing but rounding is left
            break
        length = size / bent
        carried = _add(carried, length, image)
        if products % REFRESH == 0:
            moved = _add(first, 1.0, precondition(carried)[0])
            r = _add(_add(_ZERO, -1.0, bend(moved)), -1.0, carried)
        else:
            r = _add(r, -length, applied)
        fresh = _dot(r, precondition(r)[0])
        image, size = _add(r, fresh / size, image), fresh
    mu = start_mu + precondition(carried)[1]
    dual = linear.residual + (mu @ slopes_h).reshape(n, n) - carried[0]
    return linear.finish(dual, mu @ slopes_c - carried[1], mu, products)


def dual_step(program: Program, state: State, tau: float) -> Step:
    """Newton step, one threshold of JD that compares all frames: in dQ and d mu."""
    linear = Linear(program, state, tau)
    block, slack, mu = state.blocks[0], float(state.slack[0]), float(state.mu[0])
    cov, slope = state.cov, block.slope
    map_ = (block.back / (mu * block.singular)) @ block.back.T  # Phi / mu

    def explicit(matrix: Array) -> Array:
        """E, the inverse of the curvature of mu W2^2."""
        return symmetric(map_ @ (matrix @ cov))

    border = -explicit(slope)
    corner = slack / mu - float(np.vdot(slope, border))
    values, basis = eigh(cov, 0.5 * linear.inverse + map_)
    basis_t, divisor = np.ascontiguousarray(basis.T), values[:, None] + values

    def kronecker(matrix: Array) -> Array:
        return basis @ ((basis_t @ matrix @ basis) / divisor) @ basis_t

    lifted = kronecker(border)
    pivot = corner - float(np.vdot(border, lifted))

    columns = ColumnBlocks(linear.root, state.gains, linear.scaling, map_, cov)

    def precondition(r: tuple[Array, float]) -> tuple[Array, float]:
        y = kronecker(r[0])
        own = (r[1] - float(np.vdot(border, y))) / pivot
        return y - own * lifted + columns.solve(r[0]), own

    zero, curvature = np.zeros(program.frames), Curvature(program, state.blocks, state.mu)
    r = (
        explicit(linear.residual) + linear.base[0],
        tau / mu - slack + float(np.vdot(border, linear.residual)),
    )
    x, own = np.zeros_like(cov), 0.0
    y = precondition(r)
    p, size = y, float(np.vdot(r[0], y[0])) + r[1] * y[1]
    products = 0

    def inexact() -> bool:
        """Whether the scheme of the dual direction misses the step that it belongs to."""
        if size > ETA**2 * tau:
            return True
        bent = curvature((r[0], zero))[0]
        miss = float(np.vdot(slope, r[0]))
        error = float(np.vdot(r[0], bent)) + mu / slack * (miss**2 + r[1] ** 2)
        return error > ETA**2 * tau

    while products < MOST and inexact():
        products += 1
        image = linear.answer((p[0], zero))[0] + explicit(p[0]) + p[1] * border
        image_own = float(np.vdot(border, p[0])) + corner * p[1]
        length = size / (float(np.vdot(p[0], image)) + p[1] * image_own)
        x, own = x + length * p[0], own + length * p[1]
        r = r[0] - length * image, r[1] - length * image_own
        y = precondition(r)
        fresh = float(np.vdot(r[0], y[0])) + r[1] * y[1]
        ratio, size = fresh / size, fresh
        p = y[0] + ratio * p[0], y[1] + ratio * p[1]
    return linear.finish(x, zero, np.array([own]), products)
