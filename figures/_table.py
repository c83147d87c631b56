"""Closed forms and correlations that several figures share."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from rdp import closed_form
from rdp.source import GaussMarkov

Array = np.ndarray

# Distortion of each loss at zero perception loss.
ZERO_PERCEPTION: dict[str, Callable[[GaussMarkov, object], Array]] = {
    "MMSE": closed_form.mmse,
    "FMD": closed_form.zero_perception_framewise,
    "JD": closed_form.zero_perception_joint,
    "SA": closed_form.zero_perception_self_adaptive,
}

# Of panels, or of shades of the colour of a loss.
CORRELATIONS = (0.5, 0.9, 0.99)
