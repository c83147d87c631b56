"""Frames that a weighted objective does not feel, and that it leaves to chance otherwise.

A frame of no weight, or one whose distortion is far below that of the others, may be anything
within the certified gap. Ties are broken by a little more weight on such frames.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

import numpy as np

Array = np.ndarray

_UNFELT = 1e-7  # share of the objective below which a solver does not feel a frame
_AT_LEAST = 1e-6  # a distortion this near to the MMSE, relative to it, is the least there is
SHARES = (1e-2, 1e-4, 1e-7)  # of the objective: what such a frame is worth in the next attempt
_ROUNDS = 4  # attempts with the same share, while they halve a distortion


class _Answer(Protocol):
    @property
    def distortion(self) -> Array: ...


Answer = TypeVar("Answer", bound=_Answer)


def unfelt(weights: Array, least: Array, distortion: Array) -> Array:
    """Return which frames matter next to nothing and could be better.

    Parameters
    ----------
    weights : (T,) array
        Weights of the frames.
    least, distortion : (..., T) arrays
        MMSE distortions, and those of the answers.

    Returns
    -------
    (..., T) bool array
    """
    worth = weights * distortion
    objective = worth.sum(axis=-1, keepdims=True)
    idle = (worth < _UNFELT * objective) & (distortion > least * (1 + _AT_LEAST))
    return np.asarray(idle)


def break_ties(
    weights: Array,
    least: Array,
    found: Answer,
    bound: float,
    again: Callable[[Array], Answer | None],
    lost: float = 1e-6,
    shares: tuple[float, ...] = SHARES,
) -> Answer:
    """Return an answer that is as good, and better at the frames that the objective does not feel.

    Parameters
    ----------
    weights : (T,) array
        Weights of the frames.
    least : (T,) array
        MMSE distortions.
    found : has a distortion, (T,) array
        The answer at these weights.
    bound : float
        Lower bound on the objective.
    again : callable
        Takes other weights, and returns an answer, or None if it finds none.
    lost : float
        How far from its bound an answer that breaks ties may be, relative to the objective.
    shares : tuple of float
        Shares of the objective that such a frame is worth in the attempts, one after the other.
    """
    objective = float(weights @ found.distortion)
    for share in shares:
        improved = False
        for _ in range(_ROUNDS):
            idle = unfelt(weights, least, found.distortion)
            raised = np.array(weights, dtype=np.float64)
            np.divide(share * objective, found.distortion, out=raised, where=idle)
            other = again(raised) if idle.any() else None
            if (
                other is None
                or weights @ other.distortion - bound > lost * objective
                or raised @ other.distortion >= raised @ found.distortion
            ):
                break
            improved = True
            halved = (other.distortion < 0.5 * found.distortion)[idle].any()
            found = other
            if not halved:
                break
        if improved:
            break
    return found
