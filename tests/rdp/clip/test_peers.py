"""Classical codecs through PyAV: their bytes, their frames, and what happens without them."""

import io

import av
import numpy as np
import pytest
from av.video.frame import PictureType

from rdp.clip import MissingEncoder, compare, encode_peer, frame_bits, read_luma, sample_clip
from rdp.clip.peers import PEERS, Peer, even_crop, missing_encoder

AVAILABLE = [name for name in PEERS if missing_encoder(name) is None]
needs_x264 = pytest.mark.skipif("x264" not in AVAILABLE, reason="PyAV here lacks libx264")


@pytest.fixture(scope="module")
def clip():
    return even_crop(read_luma(sample_clip(), frames=10))[:, :96, :128]


@pytest.mark.parametrize("codec", AVAILABLE)
def test_a_better_quality_costs_more_and_errs_less(codec, clip):
    found = []
    for quality in PEERS[codec].qualities[1::2]:
        coded = encode_peer(clip, codec, quality)
        assert (coded.codec, coded.quality) == (codec, quality)
        assert coded.settings["encoder"] == PEERS[codec].encoder
        assert coded.settings["crf"] == str(quality)
        assert coded.luma.shape == clip.shape
        assert coded.bits.shape == (10,)
        assert coded.bits[0] > 2 * coded.bits[1:].mean()
        found.append((coded.bits.sum(), ((coded.luma - clip) ** 2).mean()))
    (rate, error), (less, more) = found
    assert less < rate
    assert error < more
    assert error < 0.05 * clip.var()


@pytest.mark.parametrize("codec", AVAILABLE)
def test_packets_sum_to_the_file_and_are_what_rdp_measure_counts(codec, clip, tmp_path):
    coded = encode_peer(clip, codec, 40)
    frame_header, file_header = (12, 32) if PEERS[codec].container == "ivf" else (0, 0)
    assert len(coded.content) == coded.bits.sum() / 8 + file_header + 10 * frame_header
    path = tmp_path / f"coded.{PEERS[codec].container}"
    path.write_bytes(coded.content)
    np.testing.assert_array_equal(frame_bits(path), coded.bits)
    np.testing.assert_array_equal(read_luma(path), coded.luma)


@pytest.mark.parametrize("codec", AVAILABLE)
def test_only_the_first_frame_is_a_key_frame_and_none_is_reordered(codec, clip):
    coded = encode_peer(clip, codec, 40)
    with av.open(io.BytesIO(coded.content), format=PEERS[codec].container) as file:
        kinds = [PictureType(frame.pict_type).name for frame in file.decode(video=0)]
    assert kinds[0] == "I"
    assert "B" not in kinds
    assert "I" not in kinds[1:]


@needs_x264
def test_bytes_are_the_same_each_time_and_hold_no_name(clip):
    one, other = (encode_peer(clip, "x264", 35) for _ in range(2))
    assert one.content == other.content
    assert b"x264" not in one.content


@needs_x264
def test_coarse_coding_loses_variance_and_motion(clip):
    coarse = compare(clip, encode_peer(clip, "x264-psnr", 45).luma)
    fine = compare(clip, encode_peer(clip, "x264-psnr", 25).luma)
    assert coarse.bands[-1].variance < 0.3 < 0.9 < fine.bands[-1].variance
    assert coarse.correlation[1, 0] > coarse.correlation[0, 0]
    assert coarse.change[0] < fine.change[0] < 1
    assert coarse.losses["FMD"].value > fine.losses["FMD"].value


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.zeros((2, 16, 16)), "h263", 30), "codec: expected one of x264, .*got 'h263'"),
        ((np.zeros((2, 16, 16)), "x264", 52), "quality: expected 0 to 51 for x264, got 52"),
        ((np.zeros((2, 16, 16)), "av1", 1.5), "quality: expected 0 to 63 for av1"),
        ((np.zeros((2, 15, 16)), "x264", 30), "luma: expected frames of even sides"),
    ],
)
def test_bad_input_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        encode_peer(*arguments)


def test_a_missing_encoder_is_named(monkeypatch):
    monkeypatch.setitem(PEERS, "h267", Peer("libh267", {}, (30,), 51, "h264"))
    with pytest.raises(MissingEncoder, match=r"codec: h267 needs the encoder libh267, which PyAV"):
        encode_peer(np.zeros((2, 16, 16)), "h267", 30)


@needs_x264
def test_an_encoder_that_waits_for_later_frames_is_refused(monkeypatch, clip):
    waiting = Peer("libx264", {"bf": "3", "threads": "1"}, (30,), 51, "h264")
    monkeypatch.setitem(PEERS, "waiting", waiting)
    with pytest.raises(ValueError, match="expected the packet of frame 1 at once, got 0 packets"):
        encode_peer(clip, "waiting", 30)


@pytest.mark.parametrize(("block", "shape"), [(8, (176, 320)), (5, (180, 320)), (7, (168, 308))])
def test_frames_are_cropped_to_even_sides_of_whole_blocks(block, shape):
    assert even_crop(np.zeros((1, 180, 320)), block).shape[1:] == shape


def test_frames_that_are_too_small_are_refused():
    with pytest.raises(ValueError, match="at least 8x8"):
        even_crop(np.zeros((1, 4, 320)))


def test_bits_of_a_csv_file(tmp_path):
    (tmp_path / "bits.csv").write_text("frame,bits\n1,80\n2,7.5\n")
    (tmp_path / "bytes.csv").write_text("bytes\n10\n2\n")
    assert frame_bits(tmp_path / "bits.csv").tolist() == [80, 7.5]
    assert frame_bits(tmp_path / "bytes.csv").tolist() == [80, 16]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("frame\n1\n", "a column bits or bytes"),
        ("bits\n", "a row for each frame"),
        ("frame,bits\n1,2\n2,x\n", "row 2: bits: not a number"),
        ("frame,bits\n1\n", "row 1: bits: not a number"),
        ("bytes\n-1\n", "row 1: bytes: expected at least 0, got -1"),
        ("bits\ninf\n", "row 1: bits: expected at least 0, got inf"),
    ],
)
def test_bad_csv_files_are_refused(text, message, tmp_path):
    (tmp_path / "sizes.csv").write_text(text)
    with pytest.raises(ValueError, match=message):
        frame_bits(tmp_path / "sizes.csv")


def test_other_bad_files_of_sizes_are_refused(tmp_path):
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00bits")
    (tmp_path / "video.mp4").write_bytes(b"no video at all")
    (tmp_path / "empty.mp4").write_bytes(b"")
    for name, message in [
        ("binary.csv", "not a CSV file"),
        ("gone.csv", "cannot be read"),
        ("gone.mp4", "no such file"),
        ("empty.mp4", "empty file"),
        ("video.mp4", "not a video"),
    ]:
        with pytest.raises(ValueError, match=message):
            frame_bits(tmp_path / name)


def test_frames_out_of_order_get_their_own_bits(tmp_path):
    """A file with B-frames: sizes come in the order in which frames are seen."""
    path = tmp_path / "reordered.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25, options={"bf": "2"})
        stream.width = stream.height = 64
        rng = np.random.default_rng(0)
        for t in range(9):
            luma = (rng.random((64, 64)) * 255).astype(np.uint8)
            frame = av.VideoFrame.from_ndarray(np.repeat(luma[..., None], 3, axis=2), "rgb24")
            frame.pts = t
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with av.open(str(path)) as container:
        packets = [(p.pts, p.size, p.dts) for p in container.demux(video=0) if p.size]
    assert [pts for pts, *_ in packets] != sorted(pts for pts, *_ in packets)
    assert frame_bits(path).tolist() == [8 * size for _, size, _ in sorted(packets)]
