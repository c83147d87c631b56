"""Exact distortions of a vector Gauss-Markov source that a codec of clips was trained on."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from neural.evaluation.record import Exact
from rdp.source import GaussMarkov


@lru_cache(maxsize=64)  # the codecs of a cell share it
def exact_curves(source: GaussMarkov, rates: tuple[float, ...], plf: str) -> Exact:
    """What long codes reach on a source at the rates of a codec, by water-filling over the modes.

    Parameters
    ----------
    source : GaussMarkov
        T frames of d modes.
    rates : (T,) tuple of float
        Bits of each frame, finite.
    plf : {"MMSE", "FMD", "JD", "SA"}
        Loss of the decoder, at perfect realism.
    """
    from solvers.methods.waterfilling import waterfill

    own, shared = (
        waterfill(source, rates, plf, encoder=encoder).distortion.tolist()
        for encoder in ("optimal", "mmse")
    )
    return Exact(tuple(own), tuple(shared), least_error(source, rates))


def least_error(source: GaussMarkov, rates: Sequence[float]) -> tuple[float, ...]:
    """Least error of each frame by itself, for which all bits up to that frame are spent.

    It bounds every causal code, whatever it does to the other frames.
    """
    from solvers.methods.waterfilling import waterfill

    spent = np.cumsum(rates)
    alone = [
        GaussMarkov(source.sigma[t : t + 1], np.empty((0, source.sigma.shape[1])))
        for t in range(source.frames)
    ]
    return tuple(
        float(waterfill(frame, [bits], "MMSE").distortion[0])
        for frame, bits in zip(alone, spent, strict=True)
    )
