"""Real clips: read them, fit Gauss-Markov sources to them, and compare decoded clips with them."""

from rdp.clip.bjontegaard import rate_difference
from rdp.clip.compare import Comparison, compare
from rdp.clip.model import ClipFit, dct_modes, fit_clip, fit_luma, sample_clip
from rdp.clip.orders import ModeOrders, OrderGain
from rdp.clip.peers import MissingEncoder, encode_peer
from rdp.clip.read import ClipError, frame_rate, luma_frames, read_luma
from rdp.clip.sizes import frame_bits

__all__ = [
    "ClipError",
    "ClipFit",
    "Comparison",
    "MissingEncoder",
    "ModeOrders",
    "OrderGain",
    "compare",
    "dct_modes",
    "encode_peer",
    "fit_clip",
    "fit_luma",
    "frame_bits",
    "frame_rate",
    "luma_frames",
    "rate_difference",
    "read_luma",
    "sample_clip",
]
