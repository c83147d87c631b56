"""What the page asks: every field that comes from a browser is checked here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from rdp import _check
from rdp.perception import LOSSES, perception
from rdp.problem import Problem
from rdp.source import GaussMarkov

Array = np.ndarray

MOST_FRAMES = 8  # what stays below 100 ms
MOST_BITS = 20.0  # per frame
FIELDS = ("frames", "rho", "sigma", "rates", "levels", "weights", "moved", "seed")


@dataclass(frozen=True, eq=False)
class Question:
    """A source, rates and thresholds, for every perception loss, and what the curves sweep.

    Parameters
    ----------
    source : GaussMarkov
        T scalar frames.
    rates : (T,) array
        Bits per frame.
    levels : (T,) array
        Perception thresholds.
    weights : (T,) array or None
        Weights of the distortions; None is the sequential objective.
    moved : (T,) bool array
        Frames whose rate, or threshold, the curves sweep.
    seed : int
        Seed of the sample paths.
    """

    source: GaussMarkov
    rates: Array
    levels: Array
    weights: Array | None
    moved: Array
    seed: int

    def problem(self, plf: str) -> Problem:
        """Return the problem of one loss.

        Parameters
        ----------
        plf : {"MMSE", "FMD", "JD", "SA"}
            Which loss.
        """
        return Problem(self.source, self.rates, perception(plf, self.levels), self.weights)

    def problems(self) -> list[Problem]:
        """Return the problems of all losses."""
        return [self.problem(plf) for plf in LOSSES]


def parse(data: object) -> Question:
    """Read a question from what JSON can hold.

    Parameters
    ----------
    data : dict
        "frames" T; "rho" and "sigma", a number or one for each step or frame; "rates", "levels"
        and "weights" (or null), one for each frame; "moved", a frame from 1 or null for all;
        "seed".

    Raises
    ------
    ValueError
        A field is missing, unknown or malformed; the message names it.

    Examples
    --------
    >>> parse({"frames": 2, "rho": 0.9, "rates": [1, 2], "levels": [0, 0]}).source.rho
    array([0.9])
    """
    if not isinstance(data, Mapping):
        raise ValueError("question: expected names with values")
    if unknown := sorted(set(map(str, data)) - set(FIELDS)):
        raise ValueError(f"{unknown[0]}: unknown, expected any of {', '.join(FIELDS)}")
    frames = _check.count("frames", data.get("frames"))
    if frames > MOST_FRAMES:
        raise ValueError(f"frames: expected at most {MOST_FRAMES}, got {frames}")
    sigma = _each("sigma", data.get("sigma", 1.0), frames)
    source = GaussMarkov(sigma, _numbers("rho", data.get("rho")))
    rates = _each("rates", data.get("rates"), frames)
    if rates.max() > MOST_BITS:
        raise ValueError(f"rates: expected at most {MOST_BITS:g} bits, got {rates.max():g}")
    weights = data.get("weights")
    question = Question(
        source=source,
        rates=rates,
        levels=_each("levels", data.get("levels"), frames),
        weights=None if weights is None else _each("weights", weights, frames),
        moved=_moved(data.get("moved"), frames),
        seed=_seed(data.get("seed", 0)),
    )
    question.problems()  # which check the rest
    return question


def _numbers(name: str, value: object) -> Array:
    """Finite numbers: one, or a list of them; neither texts nor deeper lists."""
    items = value if isinstance(value, list) else [value]
    if any(isinstance(item, bool) or not isinstance(item, (int, float)) for item in items):
        raise ValueError(f"{name}: expected numbers")
    return _check.finite(name, _check.array(name, value))


def _each(name: str, value: object, frames: int) -> Array:
    """One number for each frame."""
    out = _numbers(name, value)
    if out.ndim and out.shape != (frames,):
        raise ValueError(f"{name}: expected shape ({frames},) for {frames} frames, got {out.shape}")
    return np.array(np.broadcast_to(out, (frames,)))


def _moved(value: Any, frames: int) -> Array:
    if value is None:
        return np.ones(frames, dtype=bool)
    frame = _check.count("moved", value)
    if frame > frames:
        raise ValueError(f"moved: expected a frame from 1 to {frames}, got {frame}")
    return np.arange(1, frames + 1) == frame


def _seed(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**32:
        raise ValueError("seed: expected an integer, 0 <= seed < 2^32")
    return value
