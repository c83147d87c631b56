"""Random sources, rates and problems, with many edge cases; the closed form of each loss."""

import math

import numpy as np
from hypothesis import strategies as st

from rdp import FMD, JD, SA, GaussMarkov, Problem, closed_form

PLFS = (FMD, JD, SA)
CLOSED_FORMS = {
    "MMSE": closed_form.mmse,
    "FMD": closed_form.zero_perception_framewise,
    "JD": closed_form.zero_perception_joint,
    "SA": closed_form.zero_perception_self_adaptive,
}

# |rho| = 1 and 0, no rate, infinite rate and rates at the ends of float64 are drawn on purpose.
CORRELATIONS = st.sampled_from([0.0, 1.0, -1.0, 1e-9]) | st.floats(-0.999, 0.999).map(
    lambda rho: rho if abs(rho) > 1e-9 else 0.0  # products of smaller ones leave float64
)
RATES = st.sampled_from([0.0, math.inf, 1e-12, 500.0]) | st.floats(0.001, 12.0)
LEVELS = st.sampled_from([0.0, math.inf, 1e-9, 10.0]) | st.floats(0.001, 2.0)
SIGMAS = st.floats(0.1, 10.0)


def per_frame(values, frames):
    """Lists with one value for each frame."""
    return st.lists(values, min_size=frames, max_size=frames)


@st.composite
def sources(draw, min_frames=1, max_frames=4, modes=None, correlations=CORRELATIONS, sigmas=SIGMAS):
    """Scalar sources, or sources with `modes` modes."""
    frames = draw(st.integers(min_frames, max_frames))
    core = (frames,) if modes is None else (frames, modes)
    number = math.prod(core)
    sigma = np.reshape(draw(per_frame(sigmas, number)), core)
    fewer = number - (modes or 1)
    rho = np.reshape(draw(per_frame(correlations, fewer)), (frames - 1, *core[1:]))
    return GaussMarkov(sigma, rho)


@st.composite
def sources_with_rates(draw, rates=RATES, **kwargs):
    """Pairs of a source and rates of its shape."""
    source = draw(sources(**kwargs))
    values = draw(per_frame(rates, source.sigma.size))
    return source, np.reshape(values, source.sigma.shape)


@st.composite
def problems(
    draw, plf=None, zero_perception=False, weighted=False, rates=RATES, levels=LEVELS, **kwargs
):
    """Problems with scalar frames; levels are in units of the variance of each frame.

    `plf` is FMD, JD, SA or None for any of them; `weighted` is True, False or None for either.
    """
    source, drawn = draw(sources_with_rates(rates=rates, **kwargs))
    loss = plf or draw(st.sampled_from(PLFS))
    level = 0.0 if zero_perception else draw(per_frame(levels, source.frames))
    perception = loss(0.0 if zero_perception else np.multiply(level, source.variance))
    weights = None
    if weighted or (weighted is None and draw(st.booleans())):
        weights = draw(per_frame(st.floats(0.0, 1.0), source.frames))
        weights[draw(st.integers(0, source.frames - 1))] = 1.0
    return Problem(source, drawn, perception, weights)
