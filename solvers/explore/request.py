"""A request of the page. Every field that comes from a browser is checked here."""

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

MOST_FRAMES = 8  # an update then takes less than 100 ms
MOST_BITS = 20.0  # per frame
FIELDS = ("frames", "rho", "sigma", "rates", "levels", "weights", "swept", "seed", "window")


@dataclass(frozen=True, eq=False)
class Request:
    """A source, rates and thresholds for all perception losses, and the frames that curves sweep.

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
    swept : (T,) bool array
        Frames whose rate, or threshold, the curves sweep.
    seed : int
        Seed of the sample paths.
    window : int or None
        Number of frames that PLF-JD sees; None is all.
    """

    source: GaussMarkov
    rates: Array
    levels: Array
    weights: Array | None
    swept: Array
    seed: int
    window: int | None = None

    def problem(self, plf: str) -> Problem:
        """Return the problem of one loss, by its name; the window is for JD."""
        window = self.window if plf == "JD" else None
        loss = perception(plf, self.levels, window=window)
        return Problem(self.source, self.rates, loss, self.weights)

    def problems(self) -> list[Problem]:
        """Return the problems of all losses."""
        return [self.problem(plf) for plf in LOSSES]


def parse(data: object) -> Request:
    """Return the request in a JSON value.

    Parameters
    ----------
    data : dict
        "frames": T. "rho", "sigma": a number, or one for each step or frame. "rates", "levels",
        "weights": one number for each frame; weights may be None. "swept": a frame, numbered
        from 1, or None for all frames. "seed": an integer. "window": frames that PLF-JD sees, or
        None for all.

    Raises
    ------
    ValueError
        A field is missing, unknown or malformed. The message names it.

    Examples
    --------
    >>> parse({"frames": 2, "rho": 0.9, "rates": [1, 2], "levels": [0, 0]}).source.rho
    array([0.9])
    """
    if not isinstance(data, Mapping):
        raise ValueError("request: expected an object with named fields")
    if unknown := sorted(set(map(str, data)) - set(FIELDS)):
        raise ValueError(f"{unknown[0]}: unknown field, expected any of {', '.join(FIELDS)}")
    frames = _check.count("frames", data.get("frames"))
    if frames > MOST_FRAMES:
        raise ValueError(f"frames: expected at most {MOST_FRAMES}, got {frames}")
    sigma = _each("sigma", data.get("sigma", 1.0), frames)
    source = GaussMarkov(sigma, _numbers("rho", data.get("rho")))
    rates = _each("rates", data.get("rates"), frames)
    if rates.max() > MOST_BITS:
        raise ValueError(f"rates: expected at most {MOST_BITS:g} bits, got {rates.max():g}")
    weights, window = data.get("weights"), data.get("window")
    request = Request(
        source=source,
        rates=rates,
        levels=_each("levels", data.get("levels"), frames),
        weights=None if weights is None else _each("weights", weights, frames),
        swept=_swept(data.get("swept"), frames),
        seed=_seed(data.get("seed", 0)),
        window=None if window is None else _check.count("window", window),
    )
    request.problems()  # a Problem checks the other fields
    return request


def _numbers(name: str, value: object) -> Array:
    """A finite number, or a list of finite numbers; texts and nested lists are refused."""
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


def _swept(value: Any, frames: int) -> Array:
    if value is None:
        return np.ones(frames, dtype=bool)
    frame = _check.count("swept", value)
    if frame > frames:
        raise ValueError(f"swept: expected a frame from 1 to {frames}, got {frame}")
    return np.arange(1, frames + 1) == frame


def _seed(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**32:
        raise ValueError("seed: expected an integer, 0 <= seed < 2^32")
    return value
