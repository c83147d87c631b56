"""`encode_peer` codes a clip with a classical codec, through the encoders that PyAV ships.

All peers code with low delay: the first frame is a key frame, no later one is, no frame is coded
out of order, and the packet of a frame is there before the next frame comes. One thread. Only luma
is coded: the chroma planes are grey, and cost next to nothing. All bytes count, those of headers
too, except for the message with which x264 and x265 name themselves.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from rdp import _check
from rdp.clip.read import PEAK, ClipError, luma_plane

Array = np.ndarray

GREY = 128  # chroma without colour
RATE = 25  # frames a second, for the header


@dataclass(frozen=True)
class Peer:
    """A codec and its settings for low delay.

    Parameters
    ----------
    encoder : str
        FFmpeg's name of the encoder.
    options : dict
        Its options, except for the quality.
    qualities : tuple of int
        Quality parameters (CRF) that span low to high rates; a larger one is a lower rate.
    worst : int
        Largest quality parameter.
    container : str
        Name of FFmpeg's format for the file.
    filters : str
        FFmpeg's bitstream filter for the packets; empty for none.
    """

    encoder: str
    options: Mapping[str, str]
    qualities: tuple[int, ...]
    worst: int
    container: str
    filters: str = ""


_X264 = {"preset": "medium", "bf": "0", "g": "99999", "sc_threshold": "0", "threads": "1"}
_X265 = (
    "keyint=99999:scenecut=0:bframes=0:pools=none:frame-threads=1:info=0:"
    "log-level=error"
)
_NO_NAME = "filter_units=remove_types=6"  # the encoder's name and options, 700 bytes
_RANGE = (23, 28, 33, 38, 43)
_WIDE = (35, 43, 51, 57, 63)

PEERS: dict[str, Peer] = {
    "x264": Peer("libx264", {**_X264, "tune": "zerolatency"}, _RANGE, 51, "h264", _NO_NAME),
    "x264-psnr": Peer(
        "libx264", {**_X264, "tune": "psnr,zerolatency"}, _RANGE, 51, "h264", _NO_NAME
    ),
    "x265": Peer(
        "libx265",
        {"preset": "medium", "tune": "zerolatency", "x265-params": _X265},
        _RANGE,
        51,
        "hevc",
    ),
    "av1": Peer(
        "libsvtav1",
        {"preset": "8", "svtav1-params": "pred-struct=1:lp=1:keyint=-1:scd=0"},
        _WIDE,
        63,
        "ivf",
    ),
    "vp9": Peer(
        "libvpx-vp9",
        {
            "deadline": "good",
            "cpu-used": "4",
            "b": "0",
            "lag-in-frames": "0",
            "auto-alt-ref": "0",
            "g": "99999",
            "threads": "1",
        },
        _WIDE,
        63,
        "ivf",
    ),
}


class MissingEncoder(ValueError):
    """The installed PyAV has no encoder for a codec."""


@dataclass(frozen=True, eq=False)
class Coded:
    """A clip that a peer coded.

    Parameters
    ----------
    codec : str
        Name of the peer.
    quality : int
        Its quality parameter.
    settings : dict
        Encoder and options.
    content : bytes
        The file: a bare stream for x264 and x265, an IVF file for av1 and vp9.
    bits : (T,) array
        Bits of the packet of each frame.
    luma : (T, H, W) uint8 array
        The decoded clip.
    """

    codec: str
    quality: int
    settings: Mapping[str, str]
    content: bytes
    bits: Array
    luma: Array


def missing_encoder(codec: str) -> str | None:
    """Return why a codec cannot be used here, or None if it can.

    Parameters
    ----------
    codec : str
        One of `PEERS`.

    Raises
    ------
    ValueError
        Unknown codec.
    """
    import av

    encoder = _peer(codec).encoder
    try:
        av.Codec(encoder, "w")
    except ValueError:
        return f"{codec} needs the encoder {encoder}, which PyAV {av.__version__} here lacks"
    return None


def even_crop(luma: Array, block: int = 8) -> Array:
    """Crop frames (T, H, W) to whole blocks, and to even sides, which video codecs ask for.

    Parameters
    ----------
    luma : (T, H, W) array
        Frames.
    block : int
        Side of a block.

    Raises
    ------
    ClipError
        The frames are smaller than that.
    """
    side = _check.count("block", block) * (1 + block % 2)
    height, width = (length - length % side for length in luma.shape[1:])
    if not height or not width:
        raise ClipError("luma", f"expected frames of at least {side}x{side}, got {luma.shape}")
    return luma[:, :height, :width]


def encode_peer(luma: object, codec: str, quality: int) -> Coded:
    """Code the luma of a clip with a classical codec, and decode it.

    Parameters
    ----------
    luma : (T, H, W) array
        Luma, 0 to 255, rounded to integers; H and W are even.
    codec : {"x264", "x264-psnr", "x265", "av1", "vp9"}
        Peer. "x264-psnr" is x264 without its psychovisual options.
    quality : int
        Constant rate factor: 0 to 51 for x264 and x265, 0 to 63 for av1 and vp9.

    Raises
    ------
    MissingEncoder
        PyAV has no such encoder here.
    ValueError
        Unknown codec, bad luma or quality.

    Examples
    --------
    >>> from rdp.clip import read_luma, sample_clip
    >>> coded = encode_peer(even_crop(read_luma(sample_clip(), frames=4)), "x264", 40)
    >>> bool(coded.bits.sum() == 8 * len(coded.content)), coded.luma.shape
    (True, (4, 176, 320))
    """
    peer = _peer(codec)
    pixels = _check.finite("luma", _check.array("luma", luma, ndim=3))
    if pixels.shape[1] % 2 or pixels.shape[2] % 2 or not pixels.size:
        raise ValueError(f"luma: expected frames of even sides, got shape {pixels.shape}")
    if isinstance(quality, bool) or not isinstance(quality, int) or not 0 <= quality <= peer.worst:
        raise ValueError(f"quality: expected 0 to {peer.worst} for {codec}, got {quality!r}")
    if (reason := missing_encoder(codec)) is not None:
        raise MissingEncoder(f"codec: {reason}")
    frames = np.clip(np.rint(pixels), 0, PEAK).astype(np.uint8)
    settings = {**peer.options, "crf": str(quality)}
    with _quiet():
        content, bits = _encode(frames, peer, settings)
    decoded = _decode(content, peer.container)
    if len(decoded) != len(frames) or len(bits) != len(frames):
        raise ValueError(f"{codec}: expected {len(frames)} frames back, got {len(decoded)}")
    return Coded(
        codec=codec,
        quality=quality,
        settings={"encoder": peer.encoder, **settings},
        content=content,
        bits=_check.frozen(bits),
        luma=np.stack(decoded),
    )


def _peer(codec: str) -> Peer:
    if codec not in PEERS:
        raise ValueError(f"codec: expected one of {', '.join(PEERS)}, got {codec!r}")
    return PEERS[codec]


def _encode(frames: Array, peer: Peer, settings: dict[str, str]) -> tuple[bytes, Array]:
    """The file and the bits of each packet; raise if a packet comes late."""
    import av
    from av.bitstream import BitStreamFilterContext

    height, width = frames.shape[1:]
    file = io.BytesIO()
    bits = []
    with av.open(file, "w", format=peer.container) as container:
        stream: Any = container.add_stream(peer.encoder, rate=RATE, options=settings)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.thread_count = 1
        filters = BitStreamFilterContext(peer.filters, stream) if peer.filters else None
        for number, frame in enumerate(frames):
            picture = _picture(frame)
            picture.pts = number
            packets = stream.encode(picture)
            if len(packets) != 1:
                late = f"expected the packet of frame {number + 1} at once"
                raise ValueError(f"{peer.encoder}: {late}, got {len(packets)} packets")
            for packet in packets if filters is None else filters.filter(packets[0]):
                bits.append(8.0 * packet.size)
                container.mux(packet)
        container.mux(stream.encode(None))
    return file.getvalue(), np.array(bits)


def _picture(luma: Array) -> Any:
    """A frame whose chroma is grey."""
    import av

    frame = av.VideoFrame(luma.shape[1], luma.shape[0], "yuv420p")
    for plane, pixels in zip(frame.planes, (luma, None, None), strict=True):
        rows = np.full((plane.height, plane.line_size), GREY, np.uint8)
        if pixels is not None:
            rows[:, : plane.width] = pixels
        plane.update(rows.tobytes())
    return frame


def _decode(content: bytes, container: str) -> list[Array]:
    import av

    with av.open(io.BytesIO(content), "r", format=container) as file:
        return [luma_plane(frame) for frame in file.decode(video=0)]


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep SVT-AV1 from writing its settings to stderr."""
    before = os.environ.get("SVT_LOG")
    os.environ["SVT_LOG"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["SVT_LOG"]
        else:
            os.environ["SVT_LOG"] = before
