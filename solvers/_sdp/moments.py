"""Programs over second moments: positive semidefinite matrices, with constraints as rows.

The unknowns are the second moments of a few random vectors, the parts, and a few numbers >= 0.
Every moment E[p q] of linear forms p, q is linear in them, so that objective and constraints are
rows:

    minimise c.y   subject to   A y = b,   Y_k >= 0,   y_pos >= 0,

and some numbers u_j > 0 meet one of these: "kl", ln u_j >= slope_j u_j - bound_j; "reward", the
objective gets - sum_j ln u_j; "budget", sum_j ln u_j >= - bound_1.

A, b and c are cvxpy parameters: a program is compiled once for each shape and then only filled in.
A large one is given as it is: as a parameter, each entry of A takes hundreds of bytes.
"""

from __future__ import annotations

import warnings
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from rdp.solution import Status
from solvers.errors import SolverError

Array = np.ndarray

MOST_ENTRIES = 100_000_000  # of the matrix of rows, 0.8 GB
PARAMETERS = 20_000  # entries of the largest matrix that is a parameter


class Answer(NamedTuple):
    """Primal and dual of one program: a multiplier for each row, `price` for the budget."""

    parts: list[Array]
    positive: Array
    multipliers: Array
    price: float
    status: str


class Moments:
    """Rows over parts of given sizes, `positive` numbers >= 0 and `logs` numbers under a log."""

    def __init__(self, sizes: list[int], positive: int, logs: int = 0, use: str = "kl") -> None:
        self.sizes, self.positive, self.logs, self.use = tuple(sizes), positive, logs, use
        lengths = [n * (n + 1) // 2 for n in sizes]
        self.start = np.concatenate([[0], np.cumsum([*lengths, positive, logs])]).astype(int)
        self.rows: list[Array] = []
        self.values: list[float] = []
        self.slopes, self.bounds = np.zeros(logs), np.zeros(logs)

    def blank(self) -> Array:
        return np.zeros(self.start[-1])

    def moment(self, part: int, p: Array, q: Array) -> Array:
        """Row of E[p q] in a part."""
        row = self.blank()
        upper = np.triu_indices(self.sizes[part])
        outer = np.outer(p, q)
        both = outer + outer.T
        both[np.diag_indices(len(p))] *= 0.5
        row[self.start[part] : self.start[part + 1]] = both[upper]
        return row

    def number(self, index: int | slice, coefficient: float | Array = 1.0) -> Array:
        """Row of a number >= 0, or of a combination of several."""
        row = self.blank()
        row[self.start[len(self.sizes)] : self.start[len(self.sizes) + 1]][index] = coefficient
        return row

    def log(self, index: int) -> Array:
        """Row of a number under a logarithm."""
        row = self.blank()
        row[self.start[len(self.sizes) + 1] + index] = 1.0
        return row

    def require(self, row: Array, value: float) -> int:
        """Ask for row . y = value; return the index of its multiplier.

        Raises
        ------
        SolverError
            The program would not fit into memory.
        """
        self.rows.append(row)
        if len(self.rows) * len(row) > MOST_ENTRIES:
            raise SolverError(
                Status.UNSUPPORTED,
                f"sdp: a program of {len(row):,} unknowns and more than {len(self.rows):,} rows "
                "takes too much memory; solve fewer frames",
            )
        self.values.append(value)
        return len(self.rows) - 1

    def minimise(self, cost: Array) -> Answer:
        """Solve by Clarabel; rows are scaled to largest coefficient 1."""
        matrix, values = np.array(self.rows), np.array(self.values)
        size = np.abs(matrix).max(axis=1)
        size[size == 0] = 1.0
        shape = self.sizes, self.positive, self.logs, self.use, len(values)
        matrix /= size[:, None]
        compiled = _compiled(*shape) if matrix.size <= PARAMETERS else _Compiled(*shape, matrix)
        found = compiled.solve(matrix, values / size, cost, (self.slopes, self.bounds))
        return found._replace(multipliers=found.multipliers / size)


class _Compiled:
    """A program of one shape, with its matrix as a parameter unless it is given."""

    def __init__(
        self,
        sizes: tuple[int, ...],
        positive: int,
        logs: int,
        use: str,
        rows: int,
        matrix: Array | None = None,
    ) -> None:
        import cvxpy as cp
        from scipy.sparse import csr_matrix

        lengths = [n * (n + 1) // 2 for n in sizes]
        self.variables = [cp.Variable(n) for n in lengths]
        self.spread = [_spread(n) for n in sizes]
        self.positive: Any = cp.Variable(positive, nonneg=True) if positive else None
        self.logs: Any = cp.Variable(logs) if logs else None
        parts = [*self.variables, *(v for v in (self.positive, self.logs) if v is not None)]
        everything = cp.hstack(parts)
        shape = rows, sum(lengths) + positive + logs
        self.given = matrix is not None
        self.matrix: Any = cp.Parameter(shape) if matrix is None else csr_matrix(matrix)
        self.values = cp.Parameter(rows)
        self.cost = cp.Parameter(shape[1])
        self.slopes, self.bounds = (
            cp.Parameter(max(logs, 1), nonneg=True),
            cp.Parameter(max(logs, 1)),
        )
        self.equations: Any = self.matrix @ everything == self.values
        constraints: list[Any] = [self.equations]
        for n, spread, variable in zip(sizes, self.spread, self.variables, strict=True):
            constraints.append(cp.reshape(spread @ variable, (n, n), order="C") >> 0)
        objective: Any = self.cost @ everything
        self.budget: Any = None
        if logs and use == "kl":
            line = cp.multiply(self.slopes, self.logs) - self.bounds
            constraints.append(cp.log(self.logs) >= line)
        elif logs and use == "budget":
            self.budget = cp.sum(cp.log(self.logs)) >= -self.bounds[0]
            constraints.append(self.budget)
        elif logs:
            objective = objective - cp.sum(cp.log(self.logs))
        self.problem = cp.Problem(cp.Minimize(objective), constraints)

    def solve(
        self, matrix: Array, values: Array, cost: Array, curve: tuple[Array, Array]
    ) -> Answer:
        import cvxpy as cp

        if not self.given:
            self.matrix.value = matrix
        self.values.value, self.cost.value = values, cost
        if self.logs is not None:
            self.slopes.value, self.bounds.value = curve
        for options in _ATTEMPTS:
            try:
                with warnings.catch_warnings():  # the status says it; the certificate decides
                    warnings.simplefilter("ignore")
                    self.problem.solve(cp.CLARABEL, warm_start=False, **options)
                break
            except cp.SolverError:
                continue
        else:
            raise SolverError(Status.FAILED, "sdp: Clarabel did not converge")
        if self.problem.status in (Status.INFEASIBLE, "infeasible_inaccurate"):
            raise SolverError(Status.INFEASIBLE, "sdp: no scheme meets the thresholds")
        if self.variables[0].value is None:
            raise SolverError(Status.FAILED, f"sdp: Clarabel says {self.problem.status}")
        parts = [
            (spread @ variable.value).reshape(int(np.sqrt(spread.shape[0])), -1)
            for spread, variable in zip(self.spread, self.variables, strict=True)
        ]
        positive = np.zeros(0) if self.positive is None else self.positive.value
        price = 0.0 if self.budget is None else float(self.budget.dual_value)
        return Answer(parts, positive, self.equations.dual_value, price, self.problem.status)


def _options(accuracy: float, **others: object) -> dict[str, object]:
    names = ("tol_gap_abs", "tol_gap_rel", "tol_feas")
    tolerances = {name: accuracy for name in names} | {f"reduced_{name}": 1e-6 for name in names}
    return tolerances | others


# Where double precision does not reach the first accuracy, Clarabel fails and is asked for less.
# The last attempt takes another way: rows and columns as they are.
_ATTEMPTS = (
    _options(1e-11),
    _options(1e-9),
    _options(1e-8),
    _options(1e-8, equilibrate_enable=False),
)


_compiled = lru_cache(maxsize=64)(_Compiled)


def _spread(n: int) -> Any:
    """Sparse matrix from the upper triangle of a symmetric matrix to all of it."""
    from scipy.sparse import csr_matrix

    place = np.zeros((n, n), dtype=int)
    place[np.triu_indices(n)] = np.arange(n * (n + 1) // 2)
    place = np.maximum(place, place.T)
    ones = np.ones(n * n)
    return csr_matrix((ones, (np.arange(n * n), place.ravel())), shape=(n * n, n * (n + 1) // 2))
