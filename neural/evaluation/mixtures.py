r"""Distortion-perception curves of one encoder, from mixtures of two decoders.

A mixture reconstructs frame t as :math:`(1-a) \tilde X_t + a \hat X_t`, between the MMSE
reconstruction and that of a decoder for realism. It needs no training. The straight path is optimal
where :math:`\tilde X_t` is the conditional mean and :math:`\hat X_t` is the nearest reconstruction
with the required distribution (Freirich et al., arXiv:2107.02555). So one encoder and two decoders
give a whole curve. An encoder trained end to end for one loss is compared with that curve at equal
perception.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch

from neural.evaluation.gelbrich import (
    BATCHES,
    Features,
    compared_features,
    gelbrich_interval,
    gelbrich_without,
)
from neural.evaluation.intervals import half_width, jackknife
from neural.evaluation.reconstructions import Reconstructions, squared_error
from neural.evaluation.record import Mixtures, UniversalGap

Array = np.ndarray

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)


def mixtures(clips: Reconstructions, features: Features, plf: str) -> Mixtures:
    """Distortion and perception of the mixtures of the MMSE decoder and the one for ``plf``.

    Perception is the Gelbrich distance under that loss. At each frame, the frames before it are
    those of the decoder for realism.

    Parameters
    ----------
    clips : Reconstructions
        With those of the MMSE decoder.
    features : dict of (n, T, k) arrays
        DCT features of the same clips.
    plf : {"FMD", "JD", "SA"}
    """
    errors = _errors(clips, plf)
    frames = range(clips.source.shape[1])
    return Mixtures(
        SHARES,
        tuple(tuple(_mixed_error(errors, share).mean(axis=0).tolist()) for share in SHARES),
        tuple(
            tuple(gelbrich_interval(*_mixed_features(features, plf, t, share))[0] for t in frames)
            for share in SHARES
        ),
    )


def universal_gap(
    own: Reconstructions,
    features: Features,
    shared: Reconstructions,
    shared_features: Features,
    plf: str,
    frames: Iterable[int],
) -> UniversalGap:
    """Distortion of an encoder trained for a loss, minus that of a shared one at equal perception.

    The interval comes from a jackknife over clips, the same clips for both. Mixing removes noise,
    which helps the curve and not the encoder of its own. So the gap is also about decoders, and
    the record holds the difference between the unmixed decoders too.

    Parameters
    ----------
    own : Reconstructions
        By the codec trained for the loss.
    features : dict of (n, T, k) arrays
        DCT features of the same clips.
    shared : Reconstructions
        Of the same clips by the MMSE decoder and the decoder for the loss of a shared encoder.
    shared_features : dict of (n, T, k) arrays
        DCT features of these.
    plf : {"FMD", "JD", "SA"}
    frames : iterable of int
        Frames to compare, from 1.
    """
    if not torch.equal(own.source, shared.source):
        raise ValueError("shared: expected reconstructions of the same clips")
    error, errors = own.error(plf), _errors(shared, plf)
    chosen = tuple(frames)
    gaps, halves, outside = [], [], []
    for t in (frame - 1 for frame in chosen):
        level = gelbrich_without(*compared_features(plf, t, features["source"], features[plf]))
        levels = np.array(
            [gelbrich_without(*_mixed_features(shared_features, plf, t, share)) for share in SHARES]
        )
        found = [_share_at(level[b], levels[:, b]) for b in range(BATCHES + 1)]
        gap, half = jackknife(
            np.array(
                [
                    (error - _mixed_error(errors, share))[kept, t].mean()
                    for share, kept in zip(found, _without(len(error)), strict=True)
                ]
            )
        )
        gaps.append(gap)
        halves.append(half)
        outside.append(not levels[:, 0].min() <= level[0] <= levels[:, 0].max())
    extra = (error - errors[1])[:, [frame - 1 for frame in chosen]]
    return UniversalGap(
        chosen,
        tuple(gaps),
        tuple(halves),
        any(outside),
        unmixed=tuple(extra.mean(axis=0).tolist()),
        unmixed_half=tuple(half_width(extra).tolist()),
    )


def _errors(clips: Reconstructions, plf: str) -> tuple[Array, Array, Array]:
    """Squared errors (n, T) of the MMSE decoder and of the other one, and between both."""
    between = squared_error(clips.decoded[plf], clips.decoded["MMSE"])
    return clips.error("MMSE"), clips.error(plf), between


def _mixed_error(errors: tuple[Array, Array, Array], share: float) -> Array:
    """Squared error of a mixture, by the parallelogram identity."""
    one, other, between = errors
    return (1 - share) * one + share * other - share * (1 - share) * between


def _mixed_features(features: Features, plf: str, frame: int, share: float) -> tuple[Array, Array]:
    """Features that the loss compares at a frame, if that frame alone is a mixture."""
    xhat = features[plf].copy()
    xhat[:, frame] += (1 - share) * (features["MMSE"][:, frame] - xhat[:, frame])
    return compared_features(plf, frame, features["source"], xhat)


def _share_at(level: float, levels: Array) -> float:
    """Least share at which the path is as realistic as a level; the nearer end if none is."""
    # the root of the level is nearly linear in the share, as the distance from the end is
    best = np.sqrt(np.maximum(np.minimum.accumulate(levels), 0.0))
    most = SHARES[int(levels.argmin())]
    return float(np.interp(np.sqrt(max(level, 0.0)), best[::-1], SHARES[::-1], left=most))


def _without(count: int) -> list[Array]:
    """Clips that are kept: all, then all but each batch, in the order of `gelbrich_without`."""
    every = np.arange(count)
    return [every, *(np.setdiff1d(every, part) for part in np.array_split(every, BATCHES))]
