r"""Distortion-perception curves of one encoder, without training: decoders between two.

At frame t, given what was shown before, show :math:`(1-a) \tilde X_t + a \hat X_t`, between the
MMSE reconstruction and that of a decoder for realism. The straight path is optimal where
:math:`\tilde X_t` is the conditional mean and :math:`\hat X_t` as near to it as the law it has
allows (Freirich et al., arXiv:2107.02555), so that one encoder and two decoders give a whole curve.
An encoder trained end to end for one loss is held against that curve at the perception loss it
reached.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch

from neural.evaluation.fresh_critics import half_width
from neural.evaluation.gelbrich import gelbrich_interval, gelbrich_without, jackknife, laws
from neural.evaluation.reconstructions import Shown

Array = np.ndarray
Features = dict[str, Array]

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
BATCHES = 10


def mixtures(shown: Shown, features: Features, plf: str) -> dict[str, list[Any]]:
    """Distortion and perception of the decoders between MMSE and one for realism.

    Parameters
    ----------
    shown : Shown
        Clips, with the MMSE reconstructions.
    features : dict of (n, T, k) arrays
        Their DCT features.
    plf : {"FMD", "JD", "SA"}
        Which decoder, and loss.

    Returns
    -------
    dict
        "share" a of the decoder for realism; "distortion", and "perception" as the Gelbrich
        distance under its loss: for each share a list over frames. At each frame the frames before
        are those that the decoder for realism shows.
    """
    errors = _errors(shown, plf)
    frames = range(shown.x.shape[1])
    out: dict[str, list[Any]] = {"share": list(SHARES), "distortion": [], "perception": []}
    for share in SHARES:
        out["distortion"].append(_mixed_error(errors, share).mean(axis=0).tolist())
        out["perception"].append(
            [gelbrich_interval(*_mixed_laws(features, plf, t, share), BATCHES)[0] for t in frames]
        )
    return out


def universal_gap(
    own: Shown,
    features: Features,
    universal: Shown,
    path: Features,
    plf: str,
    frames: Iterable[int],
) -> dict[str, Any]:
    """Distortion of an encoder made for a loss, less that of a shared one at equal perception.

    Parameters
    ----------
    own : Shown
        Clips, and what the decoder of the encoder made for the loss shows.
    features : dict of (n, T, k) arrays
        Their DCT features.
    universal : Shown
        The same clips, and what the MMSE decoder and the one for the loss of a shared encoder show.
    path : dict of (n, T, k) arrays
        Their DCT features.
    plf : {"FMD", "JD", "SA"}
        Which loss.
    frames : iterable of int
        Which frames, from 1.

    Returns
    -------
    dict
        "frames"; for each of them the "gap" in distortion, below zero if the own encoder is better,
        and "half" the width of its interval, by a jackknife over clips, the same for both; whether
        its perception is "outside" the curve, whose nearer end is then taken, at any of them.
        Mixing takes out noise, which helps the curve and not the own encoder, so that the gap is
        also about decoders: "unmixed", with "unmixed_half", is the distortion less that of the
        decoder for the loss at the end of the curve, whatever the perception of both.
    """
    if not torch.equal(own.x, universal.x):
        raise ValueError("universal: expected what was shown for the same clips")
    error = (own.x - own.frames[plf]).square().mean((2, 3)).double().numpy()
    errors = _errors(universal, plf)
    chosen = list(frames)
    gaps, halves, outside = [], [], []
    for t in (frame - 1 for frame in chosen):
        level = gelbrich_without(*laws(plf, t, features["source"], features[plf]), BATCHES)
        levels = np.array(
            [gelbrich_without(*_mixed_laws(path, plf, t, share), BATCHES) for share in SHARES]
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
    return {
        "frames": chosen,
        "gap": gaps,
        "half": halves,
        "outside": any(outside),
        "unmixed": extra.mean(axis=0).tolist(),
        "unmixed_half": half_width(extra).tolist(),
    }


def _errors(shown: Shown, plf: str) -> tuple[Array, Array, Array]:
    """Squared errors of the MMSE frames and of the others, and between both, (n, T) each."""
    pairs = [("MMSE", shown.x), (plf, shown.x), ("MMSE", shown.frames[plf])]
    one, other, between = (
        (frames - shown.frames[name]).square().mean((2, 3)).double().numpy()
        for name, frames in pairs
    )
    return one, other, between


def _mixed_error(errors: tuple[Array, Array, Array], share: float) -> Array:
    """Squared error of a mixture, by the parallelogram law."""
    one, other, between = errors
    return (1 - share) * one + share * other - share * (1 - share) * between


def _mixed_laws(features: Features, plf: str, frame: int, share: float) -> tuple[Array, Array]:
    """Features of the laws compared at a frame, if it alone is a mixture."""
    xhat = features[plf].copy()
    xhat[:, frame] += (1 - share) * (features["MMSE"][:, frame] - xhat[:, frame])
    return laws(plf, frame, features["source"], xhat)


def _share_at(level: float, levels: Array) -> float:
    """Least share at which the path is as realistic as a level, the nearer end if none is."""
    # the root is nearly a straight line in the share, as the distance from the end is
    best = np.sqrt(np.maximum(np.minimum.accumulate(levels), 0.0))
    most = SHARES[int(levels.argmin())]
    return float(np.interp(np.sqrt(max(level, 0.0)), best[::-1], SHARES[::-1], left=most))


def _without(count: int) -> list[Array]:
    """Which clips are kept: all, then all but each batch, as `gelbrich_without` has them."""
    every = np.arange(count)
    return [every, *(np.setdiff1d(every, part) for part in np.array_split(every, BATCHES))]
