"""Real clips: `read_luma` reads them, `fit_clip` fits a Gauss-Markov source to them."""

from rdp.clip.model import ClipFit, dct_modes, fit_clip, fit_luma, sample_clip
from rdp.clip.read import ClipError, luma_frames, read_luma

__all__ = [
    "ClipError",
    "ClipFit",
    "dct_modes",
    "fit_clip",
    "fit_luma",
    "luma_frames",
    "read_luma",
    "sample_clip",
]
