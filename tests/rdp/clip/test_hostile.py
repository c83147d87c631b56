"""Clips from elsewhere: bombs cost no memory, cut files are noticed, names are only names."""

import os
import struct
import subprocess
import sys
import zlib
from contextlib import suppress
from pathlib import Path

import av
import numpy as np
import pytest

from rdp.clip import ClipError, read_luma
from tests.rdp.clip.test_read import SIZE, pictures, write_images, write_video  # noqa: F401

# -- bombs ---------------------------------------------------------------------------------------

READ = """
import resource, sys
import av, numpy
from rdp.clip import ClipError, read_luma
numpy.linalg.svd(numpy.eye(50))  # its buffers
size = 1024 * int(open("/proc/self/status").read().split("VmSize:")[1].split()[0])
resource.setrlimit(resource.RLIMIT_AS, (size + (128 << 20),) * 2)
try:
    read_luma(sys.argv[1])
except ClipError as error:
    print(error)
"""


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(side, colour=2):
    """A black picture, RGB or grey, whose rows are compressed to a few KB."""
    packer = zlib.compressobj(9)
    row = bytes(1 + side * (3 if colour == 2 else 1))
    rows = b"".join(packer.compress(row) for _ in range(200)) + packer.flush()
    head = struct.pack(">IIBBBBB", side, side, 8, colour, 0, 0, 0)
    parts = chunk(b"IHDR", head), chunk(b"IDAT", rows), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def gif(side):
    head = b"GIF89a" + struct.pack("<HHBBB", side, side, 0x80, 0, 0) + bytes(6)
    picture = b"\x2c" + struct.pack("<HHHHB", 0, 0, side, side, 0) + b"\x02\x02\x4c\x01\x00"
    return head + picture + picture + b";"


def texts(kind, count=3):
    """A small picture with texts, or colour profiles, of 64 MiB each."""
    packed = kind + b"\0\0" + zlib.compress(bytes(64 << 20), 9)
    small = png(16)
    return small[:33] + count * chunk(kind, packed) + small[33:]


def avi_of_texts(path):
    """An AVI whose pictures have such texts: they follow the header of each packet."""
    write_video(path, np.zeros((2, 16, 16), np.uint8), "png", "gray")
    content, one = path.read_bytes(), texts(b"zTXt")
    start = content.find(b"00dc") + 8
    head = bytearray(content[:start])
    head[start - 4 : start] = struct.pack("<I", len(one))
    return bytes(head) + one + bytes(len(one) & 1) + content[content.find(b"00dc", start) :]


def avi_of(side, path):
    """A small AVI of PNG pictures whose headers are then changed to a large size."""
    write_video(path, np.zeros((2, 16, 16), np.uint8), "png", "gray")
    content = path.read_bytes()
    old, new = png_head(16), png_head(side)
    assert content.count(old) == 2
    return content.replace(old, new)


def png_head(side):
    return chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0))


BOMBS = {
    "text.png": lambda path: texts(b"zTXt"),
    "profile.png": lambda path: texts(b"iCCP"),
    "text.apng": lambda path: texts(b"zTXt"),
    "text.avi": avi_of_texts,
    "a.png": lambda path: png(16000),
    "grey.png": lambda path: png(30000, 0),
    "a.gif": lambda path: gif(32000),
    "a.avi": lambda path: avi_of(16000, path),
    "a.ppm": lambda path: b"P6\n40000 40000\n255\n" + bytes(1000),
    "a.y4m": lambda path: b"YUV4MPEG2 W40000 H40000 F25:1 Cmono\nFRAME\n" + bytes(1000),
    "a.bmp": lambda path: (
        b"BM" + struct.pack("<IIIIiiHHIIiiII", 54, 0, 54, 40, 30000, 30000, 1, 24, 0, 0, 0, 0, 0, 0)
    ),
}


@pytest.mark.skipif(sys.platform != "linux", reason="limits memory as Linux does")
@pytest.mark.parametrize("name", BOMBS)
@pytest.mark.parametrize("inside", [False, True], ids=["file", "folder"])
def test_a_bomb_is_refused_before_memory_is_taken(tmp_path, name, inside):
    """128 MiB are enough to refuse pictures of a gigabyte and more."""
    path = tmp_path / name
    path.write_bytes(BOMBS[name](path))
    assert path.stat().st_size < 1 << 20
    if inside and path.suffix not in (".png", ".ppm", ".bmp"):
        pytest.skip("not a picture of a folder")
    run = subprocess.run(
        [sys.executable, "-c", READ, str(tmp_path if inside else path)],
        cwd=Path(__file__).parents[3],
        env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr[-500:]
    assert run.stdout.startswith(f"{path}: ")
    assert run.stdout.count("\n") == 1
    assert "memory" not in run.stdout  # it was not even asked for


@pytest.mark.parametrize("name", ["a.y4m", "a.ppm"])
def test_the_refusal_says_what_is_wrong(tmp_path, name):
    (tmp_path / name).write_bytes(BOMBS[name](tmp_path / name))
    with pytest.raises(ClipError, match="not a video, or truncated or damaged"):
        read_luma(tmp_path / name)


TAKEN = """
import sys
import av, numpy
from rdp.clip import ClipError, read_luma
def largest():
    return int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0])
before = largest()
try:
    read_luma(sys.argv[1])
except ClipError:
    print((largest() - before) >> 10)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads memory as Linux tells it")
@pytest.mark.parametrize("name", ["a.png", "a.avi"])
def test_the_decoders_know_the_limit(tmp_path, name):
    """Without it they decode a picture of 256 million samples, only to find its size."""
    path = tmp_path / name
    path.write_bytes(BOMBS[name](path))
    run = subprocess.run(
        [sys.executable, "-c", TAKEN, str(path)],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(run.stdout) < 100  # MiB; 240 and 730 without the limit


def test_a_picture_is_converted_some_rows_at_a_time(tmp_path, pictures, monkeypatch):  # noqa: F811
    rgb = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    np.save(tmp_path / "a.npy", rgb)
    monkeypatch.setattr("rdp.clip.read._ROWS", 5)
    np.testing.assert_array_equal(
        read_luma(tmp_path / "a.npy"), rgb @ np.array([0.299, 0.587, 0.114])
    )


# -- cut files -----------------------------------------------------------------------------------

KINDS = {
    "a.mkv": ("ffv1", "gray"),
    "a.avi": ("ffv1", "gray"),
    "b.avi": ("mjpeg", "yuvj420p"),
    "a.gif": ("gif", "gray"),
    "a.webm": ("libvpx-vp9", "yuv420p"),
    "a.ts": ("mpeg2video", "yuv420p"),
    "a.mp4": ("mpeg4", "yuv420p"),
    "a.flv": ("flv", "yuv420p"),
    "a.apng": ("apng", "gray"),
    "a.asf": ("mpeg4", "yuv420p"),
    "a.swf": ("mjpeg", "yuvj420p"),
    "a.mxf": ("mpeg2video", "yuv420p"),
    "a.ismv": ("mpeg4", "yuv420p"),
    "a.mov": ("mjpeg", "yuvj420p"),
}


def count_or_refused(path):
    """Number of frames; None if the file is refused, with a message that names it."""
    message = f"{path}: "
    try:
        return len(read_luma(path))
    except ClipError as error:
        message = str(error)
    assert message.startswith(f"{path}: ")
    return None


@pytest.mark.parametrize("name", KINDS)
def test_every_cut_is_noticed(tmp_path, pictures, name):  # noqa: F811
    many = np.concatenate([pictures, 255 - pictures[::-1], pictures // 2])
    path = write_video(tmp_path / name, many, *KINDS[name])
    whole = path.read_bytes()
    assert len(read_luma(path)) == len(many)
    step = len(whole) / 60
    for size in sorted({int(k * step) for k in range(1, 60)}):
        if name == "a.ts" and size % 188 == 0:
            continue  # nothing in the file says that packets are missing
        path.write_bytes(whole[:size])
        frames = count_or_refused(path)
        if frames is not None:  # what is missing comes after the frames, such as an index
            assert frames == len(many)
            assert name in ("a.mp4", "a.mov", "a.apng", "a.flv", "a.mxf", "a.asf", "a.ismv")


def test_bytes_that_look_like_texts_inside_one_another(tmp_path):
    """They would be read again and again; a picture with an ordinary profile is read."""
    nested = b"".join(
        struct.pack(">I", 12 * (2000 - k)) + b"zTXt" + bytes(4) for k in range(2000)
    )
    small = png(16)
    write = (tmp_path / "a.png").write_bytes
    write(small[:33] + chunk(b"tEXt", b"a\0" + nested) + small[33:])
    with pytest.raises(ClipError, match="unpack to more than 16 MiB"):
        read_luma(tmp_path / "a.png")
    write(small[:33] + chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(1 << 20))) + small[33:])
    with pytest.raises(ClipError, match="expected at least 2 frames, got 1"):
        read_luma(tmp_path / "a.png")


def test_a_file_without_stated_length_is_read(tmp_path, pictures):  # noqa: F811
    """A recording that was not finished with a header has nothing to compare with."""
    path = write_video(tmp_path / "a.mkv", pictures)
    content = bytearray(path.read_bytes())
    segment = content.find(b"\x18\x53\x80\x67")
    content[segment + 4 : segment + 12] = b"\x01" + b"\xff" * 7  # unknown size
    duration = content.find(b"\x44\x89\x88")
    content[duration + 1] = 0x8A  # some other element
    tag = content.find(b"DURATION")
    content[tag : tag + 8] = b"DURATIOM"
    path.write_bytes(content)
    assert len(read_luma(path)) == SIZE[0]


def test_a_cut_jpeg_is_noticed(tmp_path, pictures):  # noqa: F811
    folder = write_images(tmp_path / "images", pictures, ".jpg")
    path = folder / "frame9.jpg"
    whole = path.read_bytes()
    for share in (0.5, 0.8, 0.99):
        path.write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(ClipError, match=r"frame9\.jpg: .*truncated"):
            read_luma(folder)
    path.write_bytes(whole + b"some bytes of a camera")
    assert len(read_luma(folder)) == SIZE[0]


def test_places_out_of_range_print_nothing(tmp_path, pictures, capfd):  # noqa: F811
    """FFmpeg asks for a place before the file; PyAV would print the error of the system."""
    path = write_video(tmp_path / "a.asf", pictures, *KINDS["a.asf"])
    whole, printed = path.read_bytes(), 0
    for place in (46, 301, 302, 472, 477, 478):
        path.write_bytes(whole[:place] + b"\xff" + whole[place + 1 :])
        with path.open("rb") as file, suppress(OSError, ValueError), av.open(file) as container:
            sum(1 for _ in container.decode(video=0))
        printed += "Traceback" in capfd.readouterr().err
        count_or_refused(path)
        assert not capfd.readouterr().err
    assert printed  # by PyAV, if it has the file itself


# -- names ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["12:30.mp4", "http:a.mp4", "-i.mp4", "a%d.mp4", "pipe:0.mp4"])
def test_a_name_is_no_address(tmp_path, pictures, name, monkeypatch):  # noqa: F811
    content = write_video(tmp_path / "a.mp4", pictures, "mpeg4", "yuv420p").read_bytes()
    (tmp_path / name).write_bytes(content)
    monkeypatch.chdir(tmp_path)
    np.testing.assert_array_equal(read_luma(name), read_luma("a.mp4"))


def test_a_name_is_no_pattern(tmp_path, pictures):  # noqa: F811
    """`a%d.png` is one picture, although a1.png and a2.png lie beside it."""
    folder = write_images(tmp_path / "images", pictures[:3], first=1)
    (folder / "frame1.png").rename(folder / "frame%d.png")
    with pytest.raises(ClipError, match=r"frame%d\.png: expected at least 2 frames, got 1"):
        read_luma(folder / "frame%d.png")
    assert len(read_luma(folder)) == 3


LISTS = {
    "a.ffconcat": "ffconcat version 1.0\nfile clip.avi\nfile clip.avi\n",
    "a.mp4": "ffconcat version 1.0\nfile clip.avi\n",
    "a.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:3\n#EXTINF:2.4,\nclip.avi\n#EXT-X-ENDLIST\n",
    "a.mpd": "<?xml version='1.0'?>\n<MPD><Period><BaseURL>clip.avi</BaseURL></Period></MPD>\n",
    "a.sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\n",
}


@pytest.mark.parametrize("name", LISTS)
def test_lists_of_other_files_are_refused(tmp_path, pictures, name):  # noqa: F811
    write_video(tmp_path / "clip.avi", pictures)
    (tmp_path / name).write_text(LISTS[name])
    with pytest.raises(ClipError, match=f"{name}: a list of other files, not a video"):
        read_luma(tmp_path / name)


def test_no_reader_opens_another_file(tmp_path, pictures):  # noqa: F811
    """Even a reader that was asked for by name gets the one file."""
    write_video(tmp_path / "clip.avi", pictures)
    path = tmp_path / "a.txt"
    path.write_text("# a list\nffconcat version 1.0\nfile clip.avi\n")
    with av.open(str(path), format="concat") as container:
        assert sum(1 for _ in container.decode(video=0)) == SIZE[0]
    with pytest.raises(ClipError):
        read_luma(path, kind="concat")


# -- .npy ----------------------------------------------------------------------------------------


def test_arrays_of_python_objects_are_refused_without_advice_to_run_them(tmp_path):
    path = tmp_path / "a.npy"
    np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(ClipError, match=r"a\.npy: expected numbers, got Python objects$"):
        read_luma(path)


def npy(text):
    head = text.encode()
    head += b" " * (-(len(head) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head + bytes(512)


def described(shape, kind="'<f8'"):
    return f"{{'descr': {kind}, 'fortran_order': False, 'shape': {shape}}}"


@pytest.mark.parametrize(
    "header",
    [
        described((10**23, 4, 4)),
        described((10**9, 10**9, 10**9)),
        described((-2,)),
        described((-2, -4, 8)),
        described((True,)),
        described((True, 2, 2)),
        described((10**9, 0, 10**9)),
        described((2, 2, 2), "'O'"),
        described((2, 2, 2), "'|V0'"),
        described((2, 2, 2), "[('a', '<f8')]"),
        "(" * 3000 + ")" * 3000,
        "[" * 9000,
        "{'a': 1",
        "\x00",
        "",
    ],
    ids=lambda text: text[:70],
)
def test_headers_that_describe_no_frames(tmp_path, header):
    path = tmp_path / "a.npy"
    path.write_bytes(npy(header))
    with pytest.raises(ClipError, match=r"a\.npy: ") as caught:
        read_luma(path)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


def test_an_npz_that_was_renamed(tmp_path):
    np.savez(tmp_path / "a.npz", frames=np.zeros((3, 4, 4)))
    (tmp_path / "a.npz").rename(tmp_path / "a.npy")
    with pytest.raises(ClipError, match=r"a\.npy: not a \.npy array"):
        read_luma(tmp_path / "a.npy")


def test_any_flipped_byte_is_read_or_refused(tmp_path, pictures):  # noqa: F811
    """Never another kind of error; texts in the file that are no Unicode are among the damage."""
    rng = np.random.default_rng(0)
    np.save(tmp_path / "a.npy", pictures)
    paths = [write_video(tmp_path / name, pictures, *KINDS[name]) for name in KINDS]
    for path in (*paths, tmp_path / "a.npy"):
        whole = path.read_bytes()
        for _ in range(25):
            damaged = bytearray(whole)
            damaged[rng.integers(min(len(whole), 600))] = rng.integers(256)
            path.write_bytes(damaged)
            count_or_refused(path)
