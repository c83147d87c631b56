"""`rdp measure` and `rdp peers`."""

import re

import numpy as np
import pytest

from rdp.clip import compare, rate_difference, read_luma, sample_clip
from rdp.clip.peers import PEERS, Peer, missing_encoder
from rdp.operating_point import load_points
from tests.solvers.cli.commands import answer, parsed, refused, run

FRAMES = 6
needs_x264 = pytest.mark.skipif(missing_encoder("x264") is not None, reason="no libx264 here")
PEER_RUN = ["peers", "--sample", "--frames", FRAMES, "--codec", "x264,x264-psnr", "--quality"]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A reference, two decoders of one stream, and their bits."""
    folder = tmp_path_factory.mktemp("clips")
    rng = np.random.default_rng(0)
    luma = read_luma(sample_clip(), frames=FRAMES)[:, :64, :64].round().astype(np.uint8)
    np.save(folder / "reference.npy", luma)
    for name, noise in (("mmse", 2), ("joint", 2.5)):
        spoiled = np.clip(luma + noise * rng.standard_normal(luma.shape), 0, 255)
        np.save(folder / f"{name}.npy", spoiled.round().astype(np.uint8))
    lines = [f"{t},{100 * t}" for t in range(1, FRAMES + 1)]
    (folder / "bits.csv").write_text("\n".join(["frame,bytes", *lines]) + "\n")
    return folder


def test_measure_prints_three_tables(files):
    result = run(
        "measure", files / "reference.npy", files / "mmse.npy", "--bits", files / "bits.csv"
    )
    assert result.exit_code == 0, result.output
    for words in ("6 frames of 64x64", "bits per pixel", "JD(2)", "frames apart", "variance kept"):
        assert words in result.stdout
    unknown = run("measure", files / "reference.npy", files / "mmse.npy")
    assert "rate unknown" in unknown.stdout


def test_measure_as_json_is_what_compare_says(files):
    (found,) = answer(
        "measure", files / "reference.npy", files / "mmse.npy", "--bits", files / "bits.csv"
    )
    truth = compare(*(read_luma(files / f"{name}.npy") for name in ("reference", "mmse")))
    np.testing.assert_allclose(found["mse"], truth.distortion)
    assert found["losses"]["JD"]["value"] == pytest.approx(truth.losses["JD"].value)
    assert found["bits"] == [800 * t for t in range(1, FRAMES + 1)]
    assert found["bits_per_pixel"] == pytest.approx(sum(found["bits"]) / FRAMES / 64**2)


def test_measure_of_the_same_clip_is_zero(files):
    (found,) = answer("measure", files / "reference.npy", files / "reference.npy")
    assert found["bits"] is None
    assert found["psnr_db"] is None
    assert max(found["mse"]) == 0
    assert max(loss["value"] for loss in found["losses"].values()) < 1e-9


def test_decoders_of_one_stream_are_validated_together(files, tmp_path):
    decoded = [files / "mmse.npy", files / "joint.npy"]
    result = run(
        "measure", files / "reference.npy", *decoded, "--plf", "mmse,fmd", "--label", "mine",
        "--bits", files / "bits.csv", "--points", tmp_path / "points.json", "--csv", "-",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    rows = parsed(result.stdout)
    assert len(rows) == 2 * FRAMES
    points = load_points(tmp_path / "points.json")
    assert [point.plf for point in points] == ["MMSE", "FMD"]
    for point, row in zip(points, rows[::FRAMES], strict=True):
        assert point.distortion[0] == pytest.approx(float(row["mse"]))
        assert point.perception[0] == pytest.approx(float(row["perception"]))
        assert point.rate[0] == float(row["bits"]) == 800
    named = ["--plf", "mmse,fmd", "--label", "mine"]
    printed = run("measure", files / "reference.npy", *decoded, *named).stdout
    assert "mmse.npy (mine)\n" in printed
    assert "joint.npy (mine)\n" in printed
    checks = answer("validate", tmp_path / "points.json")
    assert {check["bound"] for check in checks["checks"]} == {"split", "factor two"}
    assert checks["ok"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--plf", "MMSE,FMD"], "plf: expected 1 losses for as many clips"),
        (["--points", "points.json"], "bits: expected --bits with --points"),
        (["--block", "128"], "mmse.npy: .*smaller than a block"),
        (["--frames", "2"], "mmse.npy: expected 2 frames"),
        (["--bits", "gone.csv"], "gone.csv: cannot be read"),
    ],
)
def test_measure_refuses(options, message, files):
    line = refused("measure", files / "reference.npy", files / "mmse.npy", *options)
    assert re.search(message, line), line


def test_bits_of_another_number_of_frames_are_refused(files, tmp_path):
    (tmp_path / "short.csv").write_text("bits\n1\n2\n")
    line = refused(
        "measure", files / "reference.npy", files / "mmse.npy", "--bits", tmp_path / "short.csv"
    )
    assert line.endswith("short.csv: expected 6 frames like the clip, got 2")


def test_a_stream_of_a_part_of_the_clip_says_how_to_measure_it(files, tmp_path):
    stream = tmp_path / "part.rdp"
    coded = run("encode", files / "reference.npy", "--frames", "2", "--bpp", "1", "-o", stream)
    assert coded.exit_code == 0, coded.output
    line = refused("measure", files / "reference.npy", files / "mmse.npy", "--bits", stream)
    assert line.endswith("expected 6 frames like the clip, got 2; --frames 2 takes as many of it")


@needs_x264
def test_peers_measures_each_quality_and_compares_rates(tmp_path):
    options = ["28,38,48", "--points", tmp_path / "points.json", "--save", tmp_path / "coded"]
    found = answer(*PEER_RUN, *options)
    points = found["points"]
    assert [(p["codec"], p["quality"]) for p in points] == [
        (codec, quality) for codec in ("x264", "x264-psnr") for quality in (28, 38, 48)
    ]
    (row,) = found["rate_differences"]
    assert (row["codec"], row["reference"]) == ("x264-psnr", "x264")
    for name, curve in (
        ("psnr", lambda p: p["psnr_db"]),
        ("FMD", lambda p: -10 * np.log10(p["FMD"])),
    ):
        rates, quality = ([f(p) for p in points] for f in (lambda p: p["bits_per_pixel"], curve))
        expected = rate_difference(rates[3:], quality[3:], rates[:3], quality[:3])
        assert row[name] == pytest.approx(expected)
    assert row["psnr"] < 0  # tuned for it
    stored = load_points(tmp_path / "points.json")
    for point, one in zip(stored, points, strict=True):
        file = tmp_path / "coded" / f"{one['codec']}-{one['quality']}.h264"
        assert point.rate.sum() == 8 * file.stat().st_size
        assert point.rate.sum() == pytest.approx(one["bits_per_pixel"] * FRAMES * 320 * 176)
        assert point.provenance["settings"]["encoder"] == "libx264"


@needs_x264
def test_peers_prints_tables_and_writes_csv(tmp_path):
    result = run(*PEER_RUN, "28,38", "--csv", tmp_path / "peers.csv")
    assert result.exit_code == 0, result.output
    for words in ("x264-psnr", "bits/pixel", "equal FMD", "lag 1 of the clip"):
        assert words in result.stdout
    assert len(parsed((tmp_path / "peers.csv").read_text())) == 4


@needs_x264
def test_a_missing_encoder_is_said_and_left_out(monkeypatch):
    monkeypatch.setitem(PEERS, "h267", Peer("libh267", {}, (30,), 51, "h264"))
    arguments = ["peers", "--sample", "--frames", 3, "--quality", 40, "--codec"]
    result = run(*arguments, "h267,x264")
    assert result.exit_code == 0
    assert "left out: h267 needs the encoder libh267" in result.stderr
    alone = run(*arguments, "h267")
    assert alone.exit_code == 2
    assert "codec: expected an encoder that is installed" in alone.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "clip: expected a path or --sample, got none"),
        (["clip.mp4", "--sample"], "clip: expected a path or --sample, got both"),
        (["--sample", "--codec", "h263"], "codec: expected one of x264"),
        (["--sample", "--quality", "a"], "quality: expected whole numbers, got 'a'"),
    ],
)
def test_peers_refuses(arguments, message):
    assert refused("peers", *arguments).startswith(message)


def test_any_kind_of_decoded_clip_gives_the_same_numbers(files, tmp_path):
    """Frames as .npy, as a folder of pictures, and as a video without loss."""
    import av
    from PIL import Image

    luma = np.load(files / "mmse.npy")
    (tmp_path / "pictures").mkdir()
    with av.open(str(tmp_path / "video.mkv"), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "gray"
        for t, picture in enumerate(luma):
            Image.fromarray(picture).save(tmp_path / "pictures" / f"{t}.png")
            frame = av.VideoFrame.from_ndarray(picture, "gray")
            frame.pts = t
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    found = [
        answer("measure", files / "reference.npy", path)[0]
        for path in (files / "mmse.npy", tmp_path / "pictures", tmp_path / "video.mkv")
    ]
    for other in found[1:]:
        assert other["mse"] == found[0]["mse"]
        assert other["losses"] == found[0]["losses"]
    (sized,) = answer(
        "measure", files / "reference.npy", tmp_path / "video.mkv", "--bits", tmp_path / "video.mkv"
    )
    assert sum(sized["bits"]) < 8 * (tmp_path / "video.mkv").stat().st_size
