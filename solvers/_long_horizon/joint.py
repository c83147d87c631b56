r"""Newton step of PLF-JD over many frames: corrections of the dual variables.

In x = dH the equations of :mod:`solvers._long_horizon.direction` are

.. math::
    x = x_0 - \mathcal A\, dQ, \qquad dQ = r_0 + G\, d\mu + \mathcal B x, \qquad
    \Lambda^{-1} d\mu = \tau / \mu - s + G^T x .

B is a sum over the thresholds and has no explicit inverse. :class:`Explicit` replaces it by one
that has; with it the equations in (dQ, d mu) are solved by conjugate gradients, whose products need
no threshold. What is left of the true equations is handed to the same solver as a correction, by
conjugate gradients again. One threshold needs no correction, sixty-four two or three.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.linalg import eigh, solve_triangular

from solvers._long_horizon.blocks import ColumnBlocks
from solvers._long_horizon.direction import (
    ETA,
    MOST,
    Linear,
    State,
    Step,
    add_pair,
    dot,
    symmetric,
)
from solvers._long_horizon.program import Program
from solvers._long_horizon.transport import Curvature, Pair

Array = np.ndarray

# squared errors of the parts of a step, each in the local norm of the barrier function
FIRST = 3.0  # of the step with the explicit curvature, in ETA^2 tau
LEAST = 0.3  # of a correction, in ETA^2 tau
SHARE = 0.1  # of a correction, in what it corrects
FORCED = 0.01  # of a step, in its curvature: far from the path no step is worth more
CHECK = 4  # products between two looks at the error


def joint_step(program: Program, state: State, tau: float) -> Step:
    """Newton step of JD, any thresholds."""
    linear = Linear(program, state, tau)
    zero, stiff = np.zeros(program.frames), state.mu / state.slack
    model, curvature = Explicit(program, state, linear), Curvature(program, state.blocks, state.mu)

    def apply(matrix: Array) -> Array:
        """A times a dual change."""
        return 0.5 * symmetric(linear.answer((matrix, zero))[0])

    def bend(x: Array) -> Array:
        """B times a change of H."""
        return 0.5 * symmetric(curvature((x, zero))[0])

    alone = len(stiff) == 1  # the explicit curvature is exact
    enough, room = ETA**2 * tau, tau / state.mu - state.slack
    start = model.inverse(linear.residual)
    first = model.solve(
        (start + linear.base[0], room - model.slopes.across(start)),
        apply,
        lambda moved: enough if alone else FIRST * enough,
    )
    dual, mu, products = first.dual, first.mu, first.products
    if alone:
        return linear.finish(dual, zero, mu, products)
    x = linear.base[0] - apply(dual)
    crossed, bent = model.slopes.across(x), bend(x)
    enough = max(enough, FORCED * float(np.vdot(x, bent) + stiff @ crossed**2))
    rest = dual - linear.residual - model.slopes.along(mu) - bent, mu / stiff - room - crossed
    last, size = rest, np.inf
    p, image, factors = np.zeros_like(x), np.zeros_like(x), np.zeros_like(mu)
    while products < MOST:
        right = apply(rest[0])

        def allowed(moved: Array, right: Array = right, rest: Pair = rest) -> float:
            return max(SHARE * float(np.vdot(rest[0], right - moved)), LEAST * enough)

        found = model.solve((right, -rest[1]), apply, allowed)
        products += found.products + 1
        z = right - found.moved
        crossed = model.slopes.across(z)
        fresh = float(np.vdot(rest[0], z) + (stiff * rest[1]) @ crossed)
        if fresh <= enough:
            break
        # the corrections are inexact: the ratio is that of Polak and Ribiere
        change = add_pair(rest, -1.0, last)
        turned = float(np.vdot(change[0], z) + (stiff * change[1]) @ crossed)
        ratio = turned / size
        p, image = z + ratio * p, rest[0] - found.dual + ratio * image
        factors = found.mu + ratio * factors
        crossed, bent = model.slopes.across(p), bend(p)
        length = float(np.vdot(rest[0], p) + (stiff * rest[1]) @ crossed) / float(
            np.vdot(p, image + bent) + stiff @ crossed**2
        )
        dual, mu = dual - length * image, mu + length * factors
        last, size = rest, fresh
        left = image + model.slopes.along(factors) + bent, crossed - factors / stiff
        rest = add_pair(rest, -length, left)
    return linear.finish(dual, zero, mu, products)


class Solved(NamedTuple):
    """Answer of :meth:`Explicit.solve`."""

    dual: Array
    mu: Array
    moved: Array  # A times `dual`
    products: int


class Slopes:
    """The slopes of the thresholds, symmetric matrices kept as lower triangles."""

    def __init__(self, frames: int, matrices: list[Array]) -> None:
        self.frames = frames
        rows, columns = np.tril_indices(frames)
        self.places, self.times = rows * frames + columns, np.where(rows == columns, 1.0, 2.0)
        self.packed = np.zeros((len(matrices), len(rows)))
        for row, matrix in zip(self.packed, matrices, strict=True):
            own = matrix[np.tril_indices(len(matrix))]
            row[: len(own)] = own  # rows come one after the other, in smaller matrices too

    def pack(self, matrix: Array) -> Array:
        """Lower triangle of a matrix."""
        return matrix.ravel()[self.places]

    def whole(self, packed: Array) -> Array:
        """Symmetric matrix with this lower triangle."""
        out = np.zeros((self.frames, self.frames))
        out.ravel()[self.places] = packed
        return out + out.T - np.diag(np.diag(out))

    def along(self, factors: Array) -> Array:
        """Sum of the slopes times these factors."""
        return self.whole(factors @ self.packed)

    def across(self, matrix: Array) -> Array:
        """Inner product of each slope with a symmetric matrix."""
        return self.packed @ (self.times * self.pack(matrix))


class Explicit:
    r"""A curvature whose inverse is explicit, and solves with A added to the inverse.

    :math:`\mathcal E X = M X H + H X M`, :math:`M = F c^{-1} F^T`, where :math:`F F^T` is the map
    of the last threshold, F lower triangular, and :math:`c_t` the sum of :math:`\mu_k` over the
    thresholds that see frame t. It is exact for one threshold, and for several whose maps are
    leading blocks of one another.

    Without the triangle A would be the Kronecker product of H and Q^-1; half of it, with E, is
    inverted in the basis in which H and Q^-1 / 2 + M are diagonal. That and the column blocks
    precondition the conjugate gradients.
    """

    def __init__(self, program: Program, state: State, linear: Linear) -> None:
        n, block = program.frames, state.blocks[-1]
        self.cov, self.stiff = state.cov, state.mu / state.slack
        seen = np.zeros(n)
        seen[program.compared] = state.mu
        seen = np.cumsum(seen[::-1])[::-1]
        _, upper = np.linalg.qr((block.back / np.sqrt(block.singular)).T)
        root = upper.T / np.sqrt(seen)
        self.map_ = root @ root.T
        self.slopes = Slopes(n, [one.slope for one in state.blocks])
        half = solve_triangular(root, np.eye(n), lower=True)
        values, vectors = np.linalg.eigh(half @ self.cov @ half.T)
        self.frame, self.sums = half.T @ vectors, values[:, None] + values
        values, self.basis = eigh(self.cov, 0.5 * linear.inverse + self.map_)
        self.basis_t, self.divisor = np.ascontiguousarray(self.basis.T), values[:, None] + values
        self.columns = ColumnBlocks(linear.root, state.gains, linear.scaling, self.map_, self.cov)
        small, lifted = np.diag(1 / self.stiff), []
        for k, row in enumerate(self.slopes.packed):
            border = self.inverse(self.slopes.whole(row))
            image = self._kronecker(border)
            small[k] += self.slopes.across(border)
            lifted.append(self.slopes.pack(image))
            small[k] -= self.slopes.across(self.inverse(image))
        self.pivot = np.linalg.inv(0.5 * symmetric(small))
        self.lifted = np.array(lifted, dtype=np.float32)  # half the memory to read

    def inverse(self, matrix: Array) -> Array:
        """E times a matrix."""
        return symmetric(self.map_ @ (matrix @ self.cov))

    def solve(
        self, r: Pair, apply: Callable[[Array], Array], allowed: Callable[[Array], float]
    ) -> Solved:
        """Solve (A + E) X - E G own = r[0] and G^T E (G own - X) + own / Lambda = r[1].

        Stops when the energy of the error of A X is what `allowed` says of A X.
        """
        x, own, answer = np.zeros_like(self.cov), np.zeros_like(self.stiff), np.zeros_like(self.cov)
        y = self._precondition(r)
        p, size, products = y, dot(r, y), 0
        while products < MOST:
            if products % CHECK == 0 and self._error(r) <= allowed(answer):
                break
            products += 1
            moved = apply(p[0])
            bent = self.inverse(p[0] - self.slopes.along(p[1]))
            image = moved + bent, p[1] / self.stiff - self.slopes.across(bent)
            curvature = dot(p, image)
            if not (size > 0 and curvature > 0):  # rounding has left nothing to go along
                break
            length = size / curvature
            x, own, answer = x + length * p[0], own + length * p[1], answer + length * moved
            r = add_pair(r, -length, image)
            y = self._precondition(r)
            fresh = dot(r, y)
            p, size = add_pair(y, fresh / size, p), fresh
        return Solved(x, own, answer, products)

    def _error(self, r: Pair) -> float:
        """Bound on the energy of the error of a step from its residual."""
        spread = self.frame.T @ r[0] @ self.frame
        misses = self.slopes.across(r[0]) ** 2 + r[1] ** 2
        return float((spread**2 / self.sums).sum() + self.stiff @ misses)

    def _precondition(self, r: Pair) -> Pair:
        right = (self.slopes.times * self.slopes.pack(r[0])).astype(np.float32)
        own = self.pivot @ (r[1] + self.lifted @ right)
        moved = self.slopes.whole(own.astype(np.float32) @ self.lifted)
        return self._kronecker(r[0]) + moved + self.columns.solve(r[0]), own

    def _kronecker(self, matrix: Array) -> Array:
        return self.basis @ ((self.basis_t @ matrix @ self.basis) / self.divisor) @ self.basis_t
