"""Closed forms as long tables: one row per curve point."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from rdp import closed_form
from rdp.source import GaussMarkov

Array = np.ndarray

ZERO_PERCEPTION: dict[str, Callable[[GaussMarkov, object], Array]] = {
    "MMSE": closed_form.mmse,
    "FMD": closed_form.zero_perception_framewise,
    "JD": closed_form.zero_perception_joint,
    "SA": closed_form.zero_perception_self_adaptive,
}
