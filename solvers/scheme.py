"""What a method returns to `solve`: the second moments of a scheme and a certified bound."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rdp.solution import Coefficients

Array = np.ndarray


class Scheme(NamedTuple):
    """A scheme by its second moments, and a lower bound on the objective.

    Fields mean what they mean in :class:`rdp.Solution`; `mmse` has an axis of modes for vector
    frames, and `message` says how the method got there. `distortion` is D_t, (T,), where a method
    computes it without cancellation: at high rates the second moments do not hold its digits.
    `perception` are the losses, (T,), of a method that computes them with more digits than second
    moments hold, nan where it has none; `rounding` is the error of their roots, relative to the
    deviation of the frames that they compare.
    `frame_bounds` are those of the sequential objective, (T,), each given the frames before.
    `coefficients` is the encoder and decoder of a source of higher order.
    """

    cov_xhat: Array
    cross: Array
    mmse: Array
    lower_bound: float
    message: str = ""
    mode_rates: Array | None = None
    distortion: Array | None = None
    coefficients: Coefficients | None = None
    frame_bounds: Array | None = None
    perception: Array | None = None
    rounding: float = 0.0
