"""`rdp encode` and `rdp decode`."""

from fractions import Fraction

import numpy as np
import pytest

from rdp.clip import frame_rate, read_luma, sample_clip
from rdp.clip_codec import decode_clip
from rdp.clip_codec.write import write_frames
from tests.solvers.cli.commands import answer, refused, run, strict_json

ENCODE = ["encode", "--sample", "--frames", "6", "--bpp", "0.3"]


@pytest.fixture
def coded(tmp_path):
    path = tmp_path / "clip.rdp"
    assert run(*ENCODE, "-o", path).exit_code == 0
    return path


def test_encode_reports_the_rate_of_the_file(tmp_path):
    path = tmp_path / "clip.rdp"
    found = answer(*ENCODE, "-o", path)
    assert found["bytes"] == path.stat().st_size
    assert (found["frames"], found["width"], found["height"]) == (6, 320, 180)
    assert found["bits_per_pixel"] == pytest.approx(8 * found["bytes"] / (6 * 320 * 180))
    assert found["bits_per_pixel"] <= 0.3
    printed = run(*ENCODE, "-o", path).stdout
    assert f"{found['bytes']:,} bytes" in printed
    starved = answer(*ENCODE, "-o", path, "--first-bpp", "0.05")
    assert starved["first_bits_per_pixel"] < 0.06


@pytest.mark.parametrize("plf", ["MMSE", "FMD", "JD", "SA"])
def test_every_loss_decodes_the_same_file(coded, plf, tmp_path):
    out = tmp_path / "out.npy"
    result = run("decode", coded, "--plf", plf.lower(), "-o", out)
    assert result.exit_code == 0, result.output
    assert f"6 frames of 320x180, decoder of {plf}" in result.stdout
    expected = decode_clip(coded.read_bytes(), plf)
    np.testing.assert_array_equal(np.load(out), np.rint(expected).astype(np.uint8))
    error = (read_luma(sample_clip(), frames=6) - expected) ** 2
    assert error.mean() < 200


def test_a_rate_above_the_finest_quality_is_named(tmp_path):
    words = ["encode", "--sample", "--frames", "2", "-o", tmp_path / "x.rdp", "--json"]
    many = run(*words, "--bpp", "50")
    assert many.exit_code == 0
    taken = strict_json(many.stdout)["bits_per_pixel"]
    assert many.stderr == f"bpp: 50 is too many: the finest quality takes {taken:.4g}\n"
    both = run(*words, "--bpp", "50", "--first-bpp", "40")
    assert "first_bpp: 40 is too many: the finest quality takes " in both.stderr
    assert "too many" not in run(*words, "--bpp", "0.5", "--first-bpp", "0.1").stderr


def test_a_video_comes_out(coded, tmp_path):
    assert run("decode", coded, "-o", tmp_path / "out.mp4").exit_code == 0
    near = read_luma(tmp_path / "out.mp4") - decode_clip(coded.read_bytes())
    assert np.abs(near).mean() < 2


def test_the_file_tells_its_bits_to_measure(coded, tmp_path):
    rate = 8 * coded.stat().st_size / (6 * 320 * 180)
    run("decode", coded, "--plf", "JD", "-o", tmp_path / "joint.npy")
    decoded = [sample_clip(), tmp_path / "joint.npy", "--frames", "6", "--plf", "JD"]
    (found,) = answer("measure", *decoded, "--bits", coded)
    assert found["bits_per_pixel"] == pytest.approx(rate)
    damaged = tmp_path / "damaged.rdp"
    damaged.write_bytes(coded.read_bytes()[:-9])
    assert f"{damaged}: stream: damaged" in refused("measure", *decoded, "--bits", damaged)
    assert "none.rdp: " in refused("measure", *decoded, "--bits", tmp_path / "none.rdp")


def test_a_rate_that_no_quality_reaches_is_named(tmp_path):
    few = run("encode", "--sample", "--frames", "2", "--bpp", "1e-6", "-o", tmp_path / "few.rdp")
    assert few.exit_code == 0
    assert "bpp: 1e-06 is too few: the coarsest quality takes 0.0" in few.stderr
    enough = run("encode", "--sample", "--frames", "2", "--bpp", "0.5", "-o", tmp_path / "x.rdp")
    assert "too few" not in enough.stderr


def test_a_first_frame_that_no_quality_makes_so_small_is_named(tmp_path):
    words = ["encode", "--sample", "--frames", "2", "--bpp", "0.5", "-o", tmp_path / "x.rdp"]
    few = run(*words, "--first-bpp", "1e-5")
    assert few.exit_code == 0
    assert "first_bpp: 1e-05 is too few: the coarsest quality takes 0.0" in few.stderr
    assert "too few" not in run(*words, "--first-bpp", "0.1").stderr


@pytest.mark.parametrize("name", ["odd.mp4", "odd.mkv"])
def test_a_clip_with_odd_sides_keeps_size_and_rate(tmp_path, name):
    luma = np.random.default_rng(0).normal(128, 20, (3, 33, 41)).clip(0, 255)
    write_frames(tmp_path / "in.mkv", luma, Fraction(30000, 1001))
    assert frame_rate(tmp_path / "in.mkv") == Fraction(30000, 1001)
    assert answer("encode", tmp_path / "in.mkv", "-o", tmp_path / "x.rdp")["fps"] == 30000 / 1001
    assert run("decode", tmp_path / "x.rdp", "-o", tmp_path / name).exit_code == 0
    assert frame_rate(tmp_path / name) == Fraction(30000, 1001)
    assert read_luma(tmp_path / name).shape == luma.shape
    measured = answer("measure", tmp_path / "in.mkv", tmp_path / name, "--plf", "JD")
    assert measured[0]["plf"] == "JD"
    slow = answer("encode", tmp_path / "in.mkv", "-o", tmp_path / "x.rdp", "--fps", "10")
    assert slow["fps"] == 10
    np.save(tmp_path / "in.npy", luma.astype(np.uint8))
    assert frame_rate(tmp_path / "in.npy") is None
    assert answer("encode", tmp_path / "in.npy", "-o", tmp_path / "x.rdp")["fps"] == 25


def test_wrong_input_is_one_line(coded, tmp_path):
    assert "clip: expected a path or --sample, got none" in refused("encode")
    assert "clip: expected a path or --sample, got both" in refused("encode", "a.mp4", "--sample")
    assert "bpp: expected" in refused("encode", "--sample", "--bpp", "0", "-o", tmp_path / "x")
    assert "fps: expected a number above 0" in refused("encode", "--sample", "--fps", "1/0")
    assert "no such file" in refused("encode", tmp_path / "none.mp4", "-o", tmp_path / "x")
    assert not (tmp_path / "x").exists()
    assert "none.rdp: no such file" in refused("decode", "none.rdp", "-o", tmp_path / "x")
    assert "plf: expected" in refused("decode", coded, "--plf", "CP", "-o", tmp_path / "x.npy")
    assert "out: expected .mp4" in refused("decode", coded, "-o", tmp_path / "x.avi")
    damaged = tmp_path / "damaged.rdp"
    damaged.write_bytes(coded.read_bytes()[:-9])
    assert f"{damaged}: stream: damaged or cut" in refused("decode", damaged, "-o", tmp_path / "x")
    damaged.write_bytes(b"none of ours")
    assert f"{damaged}: stream: expected it to begin" in refused(
        "decode", damaged, "-o", tmp_path / "x"
    )
