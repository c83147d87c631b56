r"""Distance of a frame from the shifts of the frame before it.

The next frame of a moving digit is a shift of the frame before. So under perfect JD realism the
shift defect :math:`E \min_s \|\hat X_t - s(\hat X_{t-1})\|^2` is zero. It needs no critic.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from neural.codecs.shifts import nearest_shift, shifts
from neural.evaluation.intervals import half_width
from neural.evaluation.record import Distance

Array = np.ndarray
Tensor = torch.Tensor

ROUNDING = 1e-7  # of a mean squared error in single precision


def shift_defect(frames: Tensor) -> Distance:
    """Shift defect of clips (n, T, 64, 64), per pixel; that of the first frame is zero."""
    return mean_distance_to_shifts(frames, frames)


def mean_distance_to_shifts(frames: Tensor, before: Tensor) -> Distance:
    """Mean squared error of frame t of ``frames`` and the nearest shift of frame t-1 of ``before``.

    Both are (n, T, 64, 64). The value of the first frame is zero.
    """
    found = [
        np.zeros(len(frames)),
        *(
            distance_to_shifts(frames[:, t], before[:, t - 1])
            for t in range(1, frames.shape[1])
        ),
    ]
    return Distance(
        tuple(float(value.mean()) for value in found),
        tuple(float(half_width(value)) for value in found),
    )


class KnownShift(NamedTuple):
    """What decoders know of the shift that is nearest to the source.

    Parameters
    ----------
    distortion : Distance
        Of the shift that is nearest to the MMSE reconstruction.
    share : tuple of float
        Share of clips in which that shift is also the nearest one to the source.
    """

    distortion: Distance
    share: tuple[float, ...]


def known_shift(source: Tensor, own: Tensor, mmse: Tensor, chunk: int = 500) -> KnownShift:
    """Return the distortion of the best exactly joint decoder, if the MMSE decoder is optimal.

    It reconstructs the shift of its frame before that is nearest to the MMSE reconstruction. The
    values of the first frame are zero and one.

    Parameters
    ----------
    source, own, mmse : (n, T, 64, 64) tensors
        Source, reconstructions of the decoder, of which only frames before the last count, and
        reconstructions of the MMSE decoder of the same bytes.
    chunk : int
        Clips that are computed at a time.
    """
    value, half, share = [0.0], [0.0], [1.0]
    for t in range(1, source.shape[1]):
        now, before = source[:, t], own[:, t - 1 : t]
        pairs = zip(before.split(chunk), mmse[:, t : t + 1].split(chunk), strict=True)
        moved = torch.cat([nearest_shift(*pair)[:, 0] for pair in pairs])
        error = (now - moved).square().mean((1, 2)).double().cpu().numpy()
        value.append(float(error.mean()))
        half.append(float(half_width(error)))
        share.append(float((error <= distance_to_shifts(now, before[:, 0]) + ROUNDING).mean()))
    return KnownShift(Distance(tuple(value), tuple(half)), tuple(share))


def distance_to_shifts(x: Tensor, before: Tensor, chunk: int = 500) -> Array:
    """Mean squared error of each frame (n, h, w) and the nearest shift of the frame before it.

    Parameters
    ----------
    x, before : (n, h, w) tensors
        On the device where the distances are computed.
    chunk : int
        Samples that are computed at a time.

    Returns
    -------
    (n,) array
        Squared units of the frames; `rdp.bounds.joint_support_bound` of the shifts, a pixel.
    """
    return np.concatenate([
        _nearest(now, known).double().cpu().numpy()
        for now, known in zip(x.split(chunk), before.split(chunk), strict=True)
    ])  # fmt: skip


def _nearest(x: Tensor, before: Tensor) -> Tensor:
    """Least mean squared error over the shifts, (n,)."""
    nearest = torch.full((len(x),), torch.inf, device=x.device)
    for moved in shifts(before):
        nearest = torch.minimum(nearest, (x - moved).square().mean((1, 2)))
    return nearest
