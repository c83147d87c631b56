"""Measured points of codecs on a source whose curves are known.

The constructive codec is run here. The points of the neural codec are read from its results.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import as_file, files
from typing import TYPE_CHECKING, Any

import numpy as np

from neural.evaluation.record import trained
from rdp.codec.dithered import DitheredCodec, read
from rdp.codec.evaluation import evaluate
from rdp.operating_point import OperatingPoint, load_points
from rdp.source import GaussMarkov
from solvers.plotting import STYLES

if TYPE_CHECKING:
    from matplotlib.axes import Axes

RATES = (0.1, 0.25, 0.5, 1.0, 2.0)  # bits per frame on the MMSE curve
SAMPLES, SEED = 100_000, 0

# Markers of the points of each codec; the colour is that of the loss.
MARKERS: dict[str, dict[str, Any]] = {
    "dithered Z": {"marker": "o", "fillstyle": "none", "markersize": 4},
    "dithered E8": {"marker": "s", "fillstyle": "none", "markersize": 3.5},
    "neural, shared encoder": {"marker": "x", "markersize": 5},
    "neural, own encoder": {"marker": "+", "markersize": 6.5},
}


def constructive(source: GaussMarkov, rates: object, lattice: str = "Z") -> list[OperatingPoint]:
    """Run the constructive codec and return one point for each decoder."""
    codec = DitheredCodec.at_rates(source, rates, lattice)
    x = source.sample(SAMPLES, SEED)
    message = read(codec.encode(x, SEED))
    return [
        evaluate(x, message.decode(plf), message.rates, plf, f"dithered {lattice}", source=source)
        for plf in STYLES
    ]


@cache
def neural() -> tuple[OperatingPoint, ...]:
    """Return the points that ``python -m neural overlay`` measured."""
    with as_file(files("neural") / "results" / "overlay.json") as path:
        return tuple(load_points(path))


def neural_source() -> GaussMarkov:
    """Return the source of the points of the neural codec."""
    source = neural()[0].source
    assert isinstance(source, GaussMarkov)
    return source


def changing_rates() -> list[OperatingPoint]:
    """Neural points with a poor first frame and a good second one."""
    return [point for point in neural() if len(set(trained(point).rates)) > 1]


@cache
def at_equal_rates() -> tuple[OperatingPoint, ...]:
    """Return the points of all codecs with equal rates of the frames, on :func:`neural_source`."""
    source = neural_source()
    points = [point for point in neural() if len(set(trained(point).rates)) == 1]
    for lattice in ("Z", "E8"):
        for rate in RATES:
            points += constructive(source, np.full(source.frames, rate), lattice)
    return tuple(points)


def legend_handles(ax: Axes) -> list[Any]:
    """Return one black marker for each codec, without data, for a legend."""
    return [
        ax.plot([], [], color="black", linestyle="none", label=series, **style)[0]
        for series, style in MARKERS.items()
    ]
