"""Reading clips: all containers give the same luma, and messages name what is wrong."""

import pickle

import av
import numpy as np
import pytest

from rdp.clip import ClipError, read_luma, sample_clip

SIZE = (6, 32, 48)  # frames, height, width


@pytest.fixture
def pictures():
    """Smooth moving pictures, uint8."""
    t, y, x = np.indices(SIZE)
    return np.uint8(128 + 100 * np.sin(0.2 * x + 0.3 * t) * np.cos(0.1 * y)).copy()


def write_video(path, pictures, codec="ffv1", pix_fmt="gray", **options):
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream(codec, rate=25)
        stream.height, stream.width = pictures.shape[1:3]
        stream.pix_fmt = pix_fmt
        for picture in pictures:
            kind = "gray16le" if picture.dtype == np.uint16 else "gray"
            kind = "rgb24" if picture.ndim == 3 else kind
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format=kind)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def write_y4m(path, pictures):
    height, width = pictures.shape[1:]
    header = f"YUV4MPEG2 W{width} H{height} F25:1 Ip A1:1 Cmono\n".encode()
    path.write_bytes(header + b"".join(b"FRAME\n" + picture.tobytes() for picture in pictures))
    return path


def write_images(folder, pictures, suffix=".png", first=8):
    folder.mkdir()
    for number, picture in enumerate(pictures, start=first):  # frame8, frame9, frame10, ...
        codec = "png" if suffix == ".png" else "mjpeg"
        pix_fmt = "gray" if suffix == ".png" else "yuvj420p"
        path = folder / f"frame{number}{suffix}"
        with av.open(str(path), "w", format="image2") as container:
            stream = container.add_stream(codec, rate=1)
            stream.height, stream.width = picture.shape[:2]
            stream.pix_fmt = pix_fmt
            if codec == "mjpeg":
                stream.options = {"qmin": "1", "qmax": "1"}
            frame = av.VideoFrame.from_ndarray(picture, format="gray").reformat(format=pix_fmt)
            container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    return folder


def test_lossless_containers_give_the_luma_that_went_in(tmp_path, pictures):
    np.save(tmp_path / "a.npy", pictures)
    np.save(tmp_path / "b.npy", pictures / 255)
    paths = [
        write_video(tmp_path / "a.avi", pictures),
        write_video(tmp_path / "a.mkv", pictures),
        write_y4m(tmp_path / "a.y4m", pictures),
        write_images(tmp_path / "images", pictures),
        tmp_path / "a.npy",
        tmp_path / "b.npy",
    ]
    for path in paths:
        luma = read_luma(path)
        assert luma.dtype == np.float64
        np.testing.assert_allclose(luma, pictures, atol=1e-12, err_msg=str(path))


def test_lossy_video_and_images_come_close(tmp_path, pictures):
    lossy = write_video(tmp_path / "a.mp4", pictures, "mpeg4", "yuv420p")
    images = write_images(tmp_path / "images", pictures, ".jpg")
    assert np.abs(read_luma(images) - pictures).mean() < 2
    # mpeg4 keeps studio range: 16 to 235
    assert np.abs(read_luma(lossy) - (16 + pictures * (219 / 255))).mean() < 4


def test_ten_bit_luma_is_scaled_to_eight_bits(tmp_path, pictures):
    path = write_video(tmp_path / "a.mkv", pictures.astype(np.uint16) * 257, pix_fmt="gray10le")
    np.testing.assert_allclose(read_luma(path), pictures, atol=1)


def test_rgb_is_weighted(tmp_path):
    rgb = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    np.save(tmp_path / "rgb.npy", rgb)
    expected = rgb @ np.array([0.299, 0.587, 0.114])
    np.testing.assert_allclose(read_luma(tmp_path / "rgb.npy"), expected)
    coded = write_video(tmp_path / "rgb.mkv", rgb, pix_fmt="bgr0")
    np.testing.assert_allclose(read_luma(coded), expected)


def test_start_and_frames_cut_the_clip(tmp_path, pictures):
    np.save(tmp_path / "a.npy", pictures)
    paths = [
        write_video(tmp_path / "a.avi", pictures),
        write_images(tmp_path / "images", pictures),
        tmp_path / "a.npy",
    ]
    for path in paths:
        np.testing.assert_array_equal(read_luma(path, start=2, frames=3), pictures[2:5])


def test_the_sample_clip_is_what_its_attribution_says():
    assert read_luma(sample_clip()).shape == (132, 180, 320)
    text = (sample_clip().parent / "ATTRIBUTION.md").read_text()
    assert sample_clip().name in text
    assert "Blender Foundation" in text
    assert "www.bigbuckbunny.org" in text
    assert "CC BY 3.0" in text


def test_missing_and_empty(tmp_path):
    with pytest.raises(ClipError, match=r"absent\.mp4: no such file"):
        read_luma(tmp_path / "absent.mp4")
    (tmp_path / "empty.mp4").touch()
    with pytest.raises(ClipError, match=r"empty\.mp4: empty file"):
        read_luma(tmp_path / "empty.mp4")
    (tmp_path / "folder").mkdir()
    with pytest.raises(ClipError, match=r"folder: no images"):
        read_luma(tmp_path / "folder")
    (tmp_path / "folder" / "1.png").touch()
    with pytest.raises(ClipError, match=r"1\.png: empty file"):
        read_luma(tmp_path / "folder")


@pytest.mark.parametrize("name", ["a.txt", "a.mp4", "a.npy", "a.y4m", "folder/1.png"])
def test_a_text_is_not_a_video(tmp_path, name):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("A text, which FFmpeg reads as pictures of a terminal.\n" * 200)
    with pytest.raises(ClipError, match=rf"{path.name}: not a"):
        read_luma(path if path.parent == tmp_path else path.parent)


def test_sound_alone_is_not_a_video(tmp_path):
    path = tmp_path / "a.wav"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), "s16", "mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
    with pytest.raises(ClipError, match="not a video"):
        read_luma(path)


@pytest.mark.parametrize("kept", [0.2, 0.5, 0.9])
def test_truncated(tmp_path, pictures, kept):
    paths = [
        write_video(tmp_path / "a.mp4", pictures, "mpeg4", "yuv420p"),
        write_video(tmp_path / "b.mp4", pictures, "mpeg4", "yuv420p", movflags="faststart"),
        write_video(tmp_path / "a.avi", pictures, "rawvideo", "gray"),
        write_y4m(tmp_path / "a.y4m", pictures),
        tmp_path / "a.npy",
    ]
    np.save(paths[-1], pictures)
    for path in paths:
        content = path.read_bytes()
        path.write_bytes(content[: int(kept * len(content))])
        with pytest.raises(ClipError, match=rf"{path.name}: .*truncated"):
            read_luma(path)


def test_one_frame(tmp_path, pictures):
    np.save(tmp_path / "a.npy", pictures[:1])
    paths = [
        write_video(tmp_path / "a.avi", pictures[:1]),
        write_images(tmp_path / "images", pictures[:1]),
        tmp_path / "images" / "frame8.png",
        tmp_path / "a.npy",
    ]
    for path in paths:
        with pytest.raises(ClipError, match=rf"{path.name}: expected at least 2 frames, got 1"):
            read_luma(path)
    with pytest.raises(ClipError, match="expected at least 2 frames, got 0"):
        read_luma(paths[0], start=5)


def test_images_of_different_sizes(tmp_path, pictures):
    folder = write_images(tmp_path / "images", pictures)
    write_images(tmp_path / "other", pictures[:1, :16], first=20)
    (tmp_path / "other" / "frame20.png").rename(folder / "frame20.png")
    with pytest.raises(ClipError, match="images: frames of different sizes, 48x32 and later 48x16"):
        read_luma(folder)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((3, 4)), r"expected shape \(T, H, W\) or \(T, H, W, 3\), got \(3, 4\)"),
        (np.zeros((3, 4, 4, 4)), r"expected shape .* got \(3, 4, 4, 4\)"),
        (np.full((3, 4, 4), 2.0), r"expected float64 frames in \[0, 1\]"),
        (np.full((3, 4, 4), np.nan), r"expected float64 frames in \[0, 1\]"),
        (np.full((3, 4, 4), 256), r"expected int64 frames in \[0, 255\]"),
        (np.zeros((3, 0, 4)), r"expected float64 frames"),
        (np.array([[["a"]]]), "expected numbers"),
        (np.array([[[None]]]), "expected numbers, got Python objects"),
    ],
)
def test_arrays_that_are_not_frames(tmp_path, array, message):
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(ClipError, match=message):
        read_luma(tmp_path / "a.npy")


def test_too_large_a_clip_is_refused_before_memory_runs_out(tmp_path):
    large = np.zeros((65, 1024, 1024), dtype=np.uint8)  # a frame too many
    np.save(tmp_path / "a.npy", large)
    for path in (write_video(tmp_path / "a.avi", large), tmp_path / "a.npy"):
        with pytest.raises(ClipError, match="more than 67,108,864 luma samples; read fewer frames"):
            read_luma(path)
        assert read_luma(path, frames=4).shape == (4, 1024, 1024)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"start": -1}, "start: expected an integer >= 0, got -1"),
        ({"start": 1.5}, "start: expected an integer >= 0, got 1.5"),
        ({"frames": 0}, "frames: expected an integer >= 1, got 0"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        read_luma(sample_clip(), **arguments)


def test_the_error_survives_a_process_boundary():
    error = pickle.loads(pickle.dumps(ClipError("a.mp4", "empty file")))
    assert str(error) == "a.mp4: empty file"
