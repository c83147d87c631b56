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
  A^-1 p that conjugate gradients need are the ones kept, and p is made of them. Where noise is left
  in the scheme, A is of the order of 1 / tau, and the number of products grows.
- :func:`solvers._long_horizon.joint.joint_step`, JD, works in the dual variables.

Conjugate gradients stop when the error in the local norm of the barrier function is ETA.
Derived in this project.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.linalg import solve_triangular

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


def dot(a: Pair, b: Pair) -> float:
    """Inner product."""
    return float(np.vdot(a[0], b[0]) + a[1] @ b[1])


def add_pair(a: Pair, factor: float, b: Pair) -> Pair:
    """Return a + factor * b."""
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
    first = add_pair(linear.base, -1.0, linear.answer((linear.residual, np.zeros(n))))
    along = slopes_h @ first[0].ravel() + slopes_c @ first[1]
    start_mu = solve_small @ (along + tau / state.mu - state.slack)
    first = first[0] - (start_mu @ moved_h).reshape(n, n), first[1] - start_mu @ moved_c

    curvature = Curvature(program, state.blocks, state.mu)

    def bend(x: Pair) -> Pair:
        matrix, vector = curvature(x)
        return 0.5 * symmetric(matrix), vector

    carried, r = (np.zeros((n, n)), np.zeros(n)), add_pair(_ZERO, -1.0, bend(first))
    image, size = r, dot(r, precondition(r)[0])
    products = 0
    while size > ETA**2 * tau and products < MOST:
        products += 1
        p = precondition(image)[0]
        applied = add_pair(image, 1.0, bend(p))
        bent = dot(p, applied)
        if bent == 0:  # nothing but rounding is left
            break
        length = size / bent
        carried = add_pair(carried, length, image)
        if products % REFRESH == 0:
            moved = add_pair(first, 1.0, precondition(carried)[0])
            r = add_pair(add_pair(_ZERO, -1.0, bend(moved)), -1.0, carried)
        else:
            r = add_pair(r, -length, applied)
        fresh = dot(r, precondition(r)[0])
        image, size = add_pair(r, fresh / size, image), fresh
    mu = start_mu + precondition(carried)[1]
    dual = linear.residual + (mu @ slopes_h).reshape(n, n) - carried[0]
    return linear.finish(dual, mu @ slopes_c - carried[1], mu, products)
