"""Trained codecs: networks, their training, their bytes and their evaluation (needs torch).

>>> import neural, torch
>>> codec, frames = neural.load_codec("digits-12-16"), torch.zeros(5, 2, 64, 64)
>>> stream = neural.encode(codec, frames, seed=0)
>>> neural.decode(codec, stream, "JD").shape
torch.Size([5, 2, 64, 64])
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from neural.codecs.bitstream import decode, encode
    from neural.model_files import codec_names, load_codec

__all__ = ["codec_names", "decode", "encode", "load_codec"]

NEEDS_TORCH = "neural needs torch; install the extra: pip install '.[neural]' in a clone"

_HOME = {
    "codec_names": "neural.model_files",
    "decode": "neural.codecs.bitstream",
    "encode": "neural.codecs.bitstream",
    "load_codec": "neural.model_files",
}


def __getattr__(name: str) -> Any:
    """Import what a user of a trained codec needs when it is first used: training needs less."""
    if name in _HOME:
        try:
            return getattr(import_module(_HOME[name]), name)
        except ModuleNotFoundError as error:
            if error.name != "torch":
                raise
            raise ImportError(NEEDS_TORCH, name="torch") from None
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
