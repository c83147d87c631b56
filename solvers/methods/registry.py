"""Which method covers which problem, and at what cost.

`solve`, `sweep`, the command line and the explorer ask this module. Methods are named, not
imported: numba and cvxpy load when a method is first used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module

import numpy as np

from rdp.perception import JD
from rdp.problem import Problem
from rdp.solution import Status
from solvers.errors import SolverError
from solvers.methods.closed_form import forms
from solvers.scheme import Scheme

Array = np.ndarray

# What a method does not cover: reason -> whether it holds at each of N points, or at all of them.
Refusals = dict[str, Array | np.bool | bool]

_HIGHER_ORDER = "sources of higher order"
_FIRST_ORDER = "sources given as a GaussMarkov"


@dataclass(frozen=True)
class Method:
    """One way to solve a problem.

    Parameters
    ----------
    name : str
        What `solve(method=...)` takes.
    purpose : str
        What it is for, in a phrase.
    cost : str
        Operations for one problem, in the number of frames T and of modes d.
    module, function : str
        Where it is implemented.
    refusals : callable
        (problem, rates, levels) -> what the method does not cover at points (N, T), by reason.
    checks_others : bool
        Whether the method is a second route: "auto" takes it only where the others do not cover or
        do not certify.
    preferred_from : int
        Frames from which "auto" takes it in its turn; with fewer, only where the methods that are
        not second routes do not certify.
    """

    name: str
    purpose: str
    cost: str
    module: str
    function: str
    refusals: Callable[[Problem, Array, Array], Refusals]
    checks_others: bool = False
    preferred_from: int = 1

    def _refusals(self, problem: Problem, rates: Array, levels: Array) -> Refusals:
        if not problem.first_order and self.name != "linear":
            return {_HIGHER_ORDER: True}
        limit = self.name == "shared-bits"
        what = f"{'un' if limit else ''}limited common randomness"
        return {
            what: problem.limited != limit,
            **self.refusals(problem.simplest(), rates, levels),
        }

    def covered(self, problem: Problem, rates: Array, levels: Array) -> Array:
        """Whether the method covers each of N points of a problem, (N,) bool array."""
        out = np.ones(len(rates), dtype=bool)
        for refused in self._refusals(problem, rates, levels).values():
            out &= ~np.asarray(refused)
        return out

    def refusal(self, problem: Problem) -> str | None:
        """Say what of a problem the method does not cover; None where it covers the problem."""
        found = self._refusals(problem, problem.rates[None], problem.thresholds[None])
        reasons = [reason for reason, refused in found.items() if np.any(refused)]
        return ", ".join(reasons) or None

    def covers(self, problem: Problem) -> bool:
        """Whether the method covers a problem."""
        return self.refusal(problem) is None

    def solve(self, problem: Problem) -> Scheme:
        """Return the scheme that the method finds.

        Raises
        ------
        SolverError
            The method does not cover the problem, and the message says which one does; or it
            found no answer.
        """
        reason = self.refusal(problem)
        if reason is not None:
            better = next((f"; use method={m.name!r}" for m in covering(problem)), "")
            raise SolverError(Status.UNSUPPORTED, f"{self.name}: does not cover {reason}{better}")
        return self.run(problem)

    def run(self, problem: Problem) -> Scheme:
        """Return the scheme that the method finds for a problem that it is known to cover.

        Raises
        ------
        SolverError
            It found no answer.
        """
        solve: Callable[[Problem], Scheme] = getattr(import_module(self.module), self.function)
        try:
            return solve(problem.simplest())
        except np.linalg.LinAlgError as error:  # a ValueError, though the input is not at fault
            reason = f"{self.name}: rounding makes a matrix singular ({error})"
            raise SolverError(Status.FAILED, reason) from error


def methods_for(problem: Problem) -> tuple[Method, ...]:
    """Return the methods that cover a problem, the cheapest first.

    Examples
    --------
    >>> from rdp import JD, GaussMarkov
    >>> problem = Problem(GaussMarkov.stationary(rho=0.9, frames=2), 0.5, JD(0.0), weights=[1, 2])
    >>> [method.name for method in methods_for(problem)]
    ['lookahead', 'barrier', 'precise', 'sdp']
    """
    return tuple(covering(problem))


def covering(problem: Problem) -> Iterator[Method]:
    """Yield the methods that cover a problem, the cheapest first.

    One after the other: to know whether a closed form covers a problem, say, takes as long as to
    solve it.
    """
    return (method for method in _in_turn(problem) if method.covers(problem))


def _in_turn(problem: Problem) -> list[Method]:
    """All methods, in the order in which "auto" asks them."""
    frames = problem.source.frames
    # it seldom certifies what the barrier method does not, and takes as long as "precise"
    few = problem.weights is not None and quick_in_decimals(problem)
    return sorted(
        METHODS.values(),
        key=lambda method: (
            method.checks_others,
            frames < method.preferred_from,
            few and method.name == "long-horizon",
        ),
    )


def quick_in_decimals(problem: Problem) -> bool:
    """Whether decimal arithmetic answers a problem of so many frames in a few seconds."""
    weighted = problem.weights is not None
    return problem.source.frames <= (QUICK_WEIGHTED if weighted else QUICK_SEQUENTIAL)


def method_for(problem: Problem) -> Method:
    """Return the cheapest method that covers a problem: what "auto" takes.

    Raises
    ------
    SolverError
        No method covers the problem; the message says why.
    """
    for method in covering(problem):
        return method
    refusals = {m.name: m.refusal(problem) for m in METHODS.values()}
    reasons = (
        f"{name} does not cover {reason}"
        for name, reason in refusals.items()
        if reason not in (_HIGHER_ORDER, _FIRST_ORDER)
    )
    raise SolverError(Status.UNSUPPORTED, f"no method covers the problem: {'; '.join(reasons)}")


def methods_at(problem: Problem, rates: Array, levels: Array) -> Array:
    """Name the cheapest method of each of N points: what "auto" takes there.

    Parameters
    ----------
    problem : Problem
        Source, loss function, objective and encoder.
    rates, levels : (N, T) arrays
        Rates and thresholds of the points.

    Returns
    -------
    (N,) array of texts
        "" where no method covers a point.
    """
    out = np.full(len(rates), "", dtype=f"<U{max(map(len, METHODS))}")
    for method in _in_turn(problem):
        left = np.flatnonzero(out == "")
        if left.size:
            out[left[method.covered(problem, rates[left], levels[left])]] = method.name
    return out


def _without_closed_form(problem: Problem, rates: Array, levels: Array) -> Refusals:
    objective = "the sequential objective" if problem.weights is None else "weights"
    what = "vector frames"
    if problem.source.modes is None:
        what = f"PLF-{problem.plf} with {objective} at these thresholds"
    return {what: forms(problem, rates, levels) == ""}


def _needs_zero_thresholds(problem: Problem, rates: Array, levels: Array) -> Refusals:
    return {"positive thresholds": (levels > 0).any(axis=1)}


def _needs_frames_that_the_loss_sees(problem: Problem, rates: Array, levels: Array) -> Refusals:
    return {
        "vector frames": problem.source.modes is not None,
        f"the window of PLF-{problem.plf}": _window(problem) is not None,
        "PLF-CP": problem.plf == "CP",
    }


def _needs_order(problem: Problem, rates: Array, levels: Array) -> Refusals:
    # a later threshold of PLF-JD(w) binds a part of what an earlier frame is compared with
    falls = (levels[:, 1:] < levels[:, :-1]).any(axis=1)
    ordered = _window(problem) is not None and problem.weights is None
    return {
        "vector frames": problem.source.modes is not None,
        "PLF-CP": problem.plf == "CP",
        f"thresholds of PLF-{problem.plf} that decrease, with the sequential objective": (
            ordered & falls
        ),
    }


def _window(problem: Problem) -> int | None:
    return problem.perception.window if isinstance(problem.perception, JD) else None


def _needs_zero_perception(problem: Problem, rates: Array, levels: Array) -> Refusals:
    # threshold 0 of PLF-JD at the last frame makes the distributions of all frames equal
    bound = levels[:, -1:] if problem.plf == "JD" else levels
    known = problem.plf in ("JD", "SA")
    return {
        "vector frames": problem.source.modes is not None,
        "a loss other than PLF-JD and PLF-SA": not known,
        f"positive thresholds of PLF-{problem.plf}": known & (bound > 0).any(axis=1),
    }


def _needs_bound_frames(problem: Problem, rates: Array, levels: Array) -> Refusals:
    source, weights = problem.source, problem.weights
    if source.modes is not None:
        return {"vector frames": True}
    weighted = weights is not None
    idle = np.isinf(levels) if weights is None else np.isinf(levels) & (weights == 0)
    repeats = problem.plf == "JD" and (source.innovation <= 1e-14 * source.variance).any()
    return {
        "a loss other than PLF-JD and PLF-SA": problem.plf not in ("JD", "SA"),
        "weights with a threshold 0": weighted & (levels == 0).any(axis=1),
        "weights with frames that repeat one another under PLF-JD": weighted and repeats,
        "frames with neither weight nor threshold": weighted & idle.any(axis=1),
    }


def _needs_few_frames(problem: Problem, rates: Array, levels: Array) -> Refusals:
    few = MOST_SEQUENTIAL if problem.weights is None else MOST_WEIGHTED
    return {
        "vector frames": problem.source.modes is not None,
        "a loss other than PLF-JD and PLF-SA": problem.plf not in ("JD", "SA"),
        f"the window of PLF-{problem.plf}": _window(problem) is not None,
        f"more than {few} frames": problem.source.frames > few,
        "problems without thresholds": np.isinf(levels).all(axis=1),
    }


def _needs_higher_order(problem: Problem, rates: Array, levels: Array) -> Refusals:
    if problem.first_order:
        return {_FIRST_ORDER: True}
    loss, window = problem.plf, _window(problem)
    bound = levels[:, -1:] if loss == "JD" else levels
    free = np.isinf(levels).all(axis=1)
    endless = np.isinf(rates)
    # an infinite rate after a finite one, and a finite one after that
    rises = np.cumsum(endless[:, 1:] & ~endless[:, :-1], axis=1) > 0
    later = (rises & ~endless[:, 1:]).any(axis=1)
    weighted = problem.weights is not None
    searched = problem.encoder == "optimal" and not problem.markov  # else "mmse" is optimal
    positive = (loss not in ("MMSE", "FMD")) & (bound > 0).any(axis=1) & ~free
    program = positive | (weighted & (loss == "SA" or window is not None) & ~free)
    # without a window, frame after frame or above threshold 0, the number of frames has no limit
    many = (window is None) & ((not weighted) | ((loss == "JD") & (levels > 0).all(axis=1)))
    wide = window is None or window > FEW_SEEN
    most = np.where(positive & wide, FEW_FRAMES, MORE_FRAMES if weighted else 2 * MORE_FRAMES)
    many |= problem.source.frames <= most
    limit = int(most.min())
    what = f"PLF-{loss} with sources of higher order"
    return {
        "PLF-CP with sources of higher order": (loss == "CP") & ~free,
        f"thresholds of {what} that decrease, with the sequential objective": (
            (window is not None and not weighted) & (levels[:, 1:] < levels[:, :-1]).any(axis=1)
        ),
        f"positive thresholds of {what} over more than {limit} frames": (
            positive & (loss != "CP") & ~many
        ),
        f"weights of {what} over more than {limit} frames": program & weighted & ~positive & ~many,
        "weights with encoder 'optimal' at infinite rates; take encoder 'mmse'": (
            (searched and weighted) & endless.any(axis=1) & ~endless.all(axis=1)
        ),
        # that frame could make good all earlier ones, which no measurement of one direction does
        "an infinite rate after a finite one with encoder 'optimal'; take encoder 'mmse'": (
            searched & later
        ),
    }


def _needs_modes(problem: Problem, rates: Array, levels: Array) -> Refusals:
    bound = ~np.isinf(levels).all(axis=1)
    metric = "w2" if problem.perception is None else problem.perception.metric
    exact_only = problem.plf in ("JD", "SA")
    return {
        "scalar frames": problem.source.modes is None,
        "weights": problem.weights is not None,
        "KL thresholds": (metric != "w2") & bound,
        f"positive {problem.plf} thresholds": exact_only & bound & (levels > 0).any(axis=1),
        f"the window of PLF-{problem.plf}": bound & (_window(problem) is not None),
        "PLF-CP": bound & (problem.plf == "CP"),
    }


# sources of higher order: frames for which semidefinite programs take seconds, if each threshold
# sees all frames so far, and if it sees a few or is 0; twice as many with a program for each frame
FEW_FRAMES, MORE_FRAMES = 16, 32
FEW_SEEN = 8  # frames of a window
# frames for which decimal arithmetic takes a few seconds, and up to which it takes a minute or two
QUICK_WEIGHTED, QUICK_SEQUENTIAL = 8, 12
MOST_WEIGHTED, MOST_SEQUENTIAL = 12, 32
MANY_FRAMES = 16  # from here on, products with the Newton matrix cost less than the matrix

NEVER = 1_000_000  # frames

# The cheapest first.
METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        Method(
            "closed-form",
            "no loss, PLF-FMD; other losses at thresholds 0 or inf, sequential objective",
            "O(T^2)",
            "solvers.methods.closed_form",
            "solve_closed_form",
            _without_closed_form,
        ),
        Method(
            "shared-bits",
            "limited common randomness: a scheme and a bound, PLF-FMD and PLF-JD at threshold 0",
            "O(T^2)",
            "solvers.methods.shared_bits",
            "solve_shared_bits",
            _needs_zero_thresholds,
        ),
        Method(
            "linear",
            "sources of any order: any loss but CP; JD(w) above 0, SA with weights: to 64 frames",
            "O(T^3)",
            "solvers.methods.linear",
            "solve_linear",
            _needs_higher_order,
        ),
        Method(
            "waterfilling",
            "frames of many independent modes, sequential objective",
            "O(T d)",
            "solvers.methods.waterfilling",
            "solve_waterfilling",
            _needs_modes,
        ),
        Method(
            "lookahead",
            "PLF-JD and PLF-SA at threshold 0, any weights",
            "O(T^2)",
            "solvers.methods.lookahead",
            "solve_lookahead",
            _needs_zero_perception,
        ),
        Method(
            "long-horizon",
            "PLF-JD and PLF-SA at positive thresholds; the first choice from 16 frames on",
            "about O(T^3)",
            "solvers.methods.long_horizon",
            "solve_long_horizon",
            _needs_bound_frames,
            preferred_from=MANY_FRAMES,
        ),
        Method(
            "barrier",
            "scalar frames, any loss without a window, thresholds and objective; compiled",
            "up to O(T^6)",
            "solvers.methods.barrier",
            "solve_barrier",
            _needs_frames_that_the_loss_sees,
        ),
        Method(
            "precise",
            "PLF-JD and PLF-SA, few frames: what the others do not certify to 1e-6; 140 digits",
            "O(T^4), with weights up to O(T^7); seconds to minutes",
            "solvers.methods.precise",
            "solve_precise",
            _needs_few_frames,
            preferred_from=NEVER,
        ),
        Method(
            "sdp",
            "scalar frames, any loss, thresholds and objective; independent, to check the others",
            "about O(T^6)",
            "solvers.methods.sdp",
            "solve_sdp",
            _needs_order,
            checks_others=True,
        ),
    )
}
