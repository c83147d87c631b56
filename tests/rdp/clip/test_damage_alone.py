"""Damage that only one check can notice: each check is needed."""

import numpy as np
import pytest

from rdp.clip import ClipError, read_luma
from rdp.clip.read import MAX_PIXELS
from tests.rdp.clip.test_hostile import png
from tests.rdp.clip.test_read import write_video

FRAMES = np.random.default_rng(0).integers(0, 256, (10, 32, 48), dtype=np.uint8)


def test_frames_that_the_header_counts_and_the_file_lacks(tmp_path):
    """Nothing in the file is cut or damaged; only the number in its header says so."""
    path = write_video(tmp_path / "a.avi", FRAMES)
    content = bytearray(path.read_bytes())
    at = content.find(b"strh") + 8 + 32
    assert int.from_bytes(content[at : at + 4], "little") == len(FRAMES)
    content[at : at + 4] = (len(FRAMES) + 3).to_bytes(4, "little")
    path.write_bytes(content)
    with pytest.raises(ClipError, match=r"a\.avi: truncated, 10 of 13 frames"):
        read_luma(path)


def test_a_frame_that_the_decoder_calls_corrupt(tmp_path):
    """All frames are there, and the decoder raises no error: it fills in what it cannot read."""
    path = write_video(tmp_path / "a.avi", FRAMES, "mpeg4", "yuv420p")
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 6] = b"\xff\x00\xaa\x55\x00\xff"
    path.write_bytes(content)
    with pytest.raises(ClipError, match=r"a\.avi: not a video, or truncated or damaged"):
        read_luma(path)


def test_a_picture_that_the_decoder_takes_and_a_clip_cannot_hold_twice(tmp_path):
    """The decoder rounds sizes up, so its limit is a little larger than that of the reader."""
    side = 5900
    assert MAX_PIXELS // 2 < side**2 < MAX_PIXELS * 9 // 16
    (tmp_path / "a.png").write_bytes(png(side, 0))
    with pytest.raises(ClipError, match=rf"a\.png: pictures of {side}x{side}, more than"):
        read_luma(tmp_path / "a.png")
