"""Measured points on a known source: the constructive codec is run, the neural one read."""

from __future__ import annotations

from functools import cache
from importlib.resources import as_file, files
from typing import Any

import numpy as np

from neural.evaluation.record import trained
from rdp.codec.dithered import DitheredCodec, read
from rdp.codec.evaluation import evaluate
from rdp.operating_point import OperatingPoint, load_points
from rdp.source import GaussMarkov
from solvers.plotting import STYLES

RATES = (0.1, 0.25, 0.5, 1.0, 2.0)  # bits per frame on the MMSE curve
SAMPLES, SEED = 100_000, 0

# How the points of each codec look; the colour is that of the loss.
MARKERS: dict[str, dict[str, Any]] = {
    "dithered Z": {"marker": "o", "fillstyle": "none", "markersize": 4},
    "dithered E8": {"marker": "s", "fillstyle": "none", "markersize": 3.5},
    "neural, shared encoder": {"marker": "x", "markersize": 5},
    "neural, own encoder": {"marker": "+", "markersize": 6.5},
}


def constructive(source: GaussMarkov, rates: object, lattice: str = "Z") -> list[OperatingPoint]:
    """Run the constructive codec: one point for each decoder."""
    codec = DitheredCodec.at_rates(source, rates, lattice)
    x = source.sample(SAMPLES, SEED)
    message = read(codec.encode(x, SEED))
    return [
        evaluate(x, message.decode(plf), message.rates, plf, f"dithered {lattice}", source=source)
        for plf in STYLES
    ]


@cache
def neural() -> tuple[OperatingPoint, ...]:
    """Read what ``python -m neural overlay`` measured."""
    with as_file(files("neural") / "results" / "overlay.json") as path:
        return tuple(load_points(path))


def neural_source() -> GaussMarkov:
    """Return the source of the neural points."""
    source = neural()[0].source
    assert isinstance(source, GaussMarkov)
    return source


def changing_rates() -> list[OperatingPoint]:
    """Neural points with a poor first frame and a good second one."""
    return [point for point in neural() if len(set(trained(point).rates)) > 1]


@cache
def at_equal_rates() -> tuple[OperatingPoint, ...]:
    """Points of all codecs whose frames were given one rate, on the source of the neural codec."""
    source = neural_source()
    points = [point for point in neural() if len(set(trained(point).rates)) == 1]
    for lattice in ("Z", "E8"):
        for rate in RATES:
            points += constructive(source, np.full(source.frames, rate), lattice)
    return tuple(points)
