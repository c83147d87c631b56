"""A clip to bytes and back under the loss you choose: `encode_clip`, `decode_clip`."""

from rdp.clip_codec.stream import (
    ClipStream,
    about,
    decode_clip,
    decode_frames,
    encode_clip,
    stream_bits,
)

__all__ = ["ClipStream", "about", "decode_clip", "decode_frames", "encode_clip", "stream_bits"]
