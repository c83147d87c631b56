"""A clip from the browser: its bytes are checked, fitted and deleted.

The file is kept in a temporary folder for the time of the fit.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any

import numpy as np

from rdp import _check
from rdp.clip import ClipFit, fit_luma, sample_clip
from rdp.clip.read import ClipError, read_luma

MOST_BYTES = 64 << 20
MOST_FRAMES = 300
BITS_PER_PIXEL = np.geomspace(0.02, 2, 9)
HORIZON = 8  # frames to predict
MODES = 12  # in the table of the page

# First bytes of a file of each kind: (offset, bytes) -> name of the format in FFmpeg. FFmpeg alone
# would also accept files that name other files, such as playlists.
SIGNATURES = {
    (0, b"\x93NUMPY"): None,
    (4, b"ftyp"): "mov",
    (0, b"\x1a\x45\xdf\xa3"): "matroska",
    (0, b"YUV4MPEG2 "): "yuv4mpegpipe",
    (8, b"AVI "): "avi",
}
KINDS = "mp4, mov, mkv, webm, avi, y4m or npy"


def fit_upload(file: IO[bytes], frames: object = 60) -> dict[str, Any]:
    """Return the :func:`report` on the first `frames` frames of an uploaded clip.

    The name of the uploaded file plays no role.

    Raises
    ------
    ValueError
        The file is not a clip of a known kind, is damaged, or is too large.
    """
    start = file.read(16)
    kinds = [kind for (at, mark), kind in SIGNATURES.items() if start.startswith(mark, at)]
    if not kinds:
        raise ValueError(f"clip: expected a video file, {KINDS}")
    kind = kinds[0]
    with TemporaryDirectory(prefix="rdp-explore-") as folder:
        path = Path(folder) / ("clip.npy" if kind is None else "clip")
        with path.open("wb") as copy:
            copy.write(start)
            while part := file.read(1 << 20):
                copy.write(part)
        return _fit(path, frames, kind)


def fit_sample(frames: object = 60) -> dict[str, Any]:
    """Return the :func:`report` on the first `frames` frames of the sample clip."""
    return _fit(sample_clip(), frames, None)


def _fit(path: Path, frames: object, kind: str | None) -> dict[str, Any]:
    count = _check.count("frames", frames)
    if not 2 <= count <= MOST_FRAMES:
        raise ValueError(f"frames: expected 2 to {MOST_FRAMES}, got {count}")
    try:
        return report(fit_luma(read_luma(path, frames=count, kind=kind)))
    except ClipError as error:
        raise ValueError(f"clip: {error.reason}") from error  # the path is left out


def report(fit: ClipFit) -> dict[str, Any]:
    """Return a fit and its predicted curves as a dict for JSON.

    "summary" has numbers of the clip, "modes" the columns of a table of the largest modes, and
    "curves" the columns bits_per_pixel, plf, psnr_db (of the mean over the frames) and penalty.
    """
    from solvers.prediction import predict

    prediction = predict(fit.source(HORIZON), BITS_PER_PIXEL, fit.modes)
    order = np.argsort(-(fit.sigma**2), kind="stable")[:MODES]
    losses = list(prediction.distortion)
    count = len(prediction.bits_per_pixel)
    penalty = [np.ones(count) if plf == "MMSE" else prediction.penalty(plf) for plf in losses]
    frames, height, width = fit.shape
    failing = fit.failing()["either"]
    return {
        "summary": {
            "frames": frames,
            "height": height,
            "width": width,
            "modes": fit.modes,
            "samples": fit.samples,
            "horizon": HORIZON,
            "innovation": fit.innovation / fit.variance,
            "failing": None if np.isnan(failing) else failing,
        },
        "modes": {
            "row": (order // fit.block).tolist(),
            "column": (order % fit.block).tolist(),
            "sigma": fit.sigma[order].tolist(),
            "rho": fit.rho[order].tolist(),
        },
        "curves": {
            "bits_per_pixel": prediction.bits_per_pixel.tolist() * len(losses),
            "plf": [plf for plf in losses for _ in range(count)],
            "psnr_db": np.concatenate([prediction.psnr(plf) for plf in losses]).tolist(),
            "penalty": np.concatenate(penalty).tolist(),
        },
    }
