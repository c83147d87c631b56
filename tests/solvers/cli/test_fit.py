"""`rdp fit`."""

import numpy as np
import pytest

from rdp import AutoRegressive
from rdp.clip import fit_clip, sample_clip
from solvers.cli.fit import STEPS, _finer
from tests.solvers.cli.commands import answer, parsed, refused, run

FIT = ["fit", "--sample", "--frames", "12", "--horizon", "4", "--bpp", "0.1,1"]


def test_fit_as_json():
    found = answer(*FIT)
    fit = fit_clip(sample_clip(), frames=12)
    assert found["clip"]["frames"] == 12
    np.testing.assert_allclose(found["modes"]["sigma"], fit.sigma)
    np.testing.assert_allclose(found["modes"]["rho"], fit.rho)
    assert found["failing"] == {"level": 0.01, **fit.failing(0.01)}
    curves = found["prediction"]
    assert curves["bits_per_pixel"] == [0.1, 1]
    assert np.shape(curves["mse"]["JD"]) == (2, 4)
    mean = np.mean(curves["mse"]["SA"], axis=1)
    np.testing.assert_allclose(curves["psnr_db"]["SA"], 10 * np.log10(255**2 / mean))
    ratio = np.mean(curves["mse_mmse_encoder"]["FMD"], axis=1) / np.mean(
        curves["mse"]["FMD"], axis=1
    )
    np.testing.assert_allclose(curves["penalty"]["FMD"], ratio)


def test_fit_prints_a_report():
    result = run(*FIT)
    assert result.exit_code == 0
    for words in ("12 frames of 320x176", "64 modes", "excess kurtosis", "bits/pixel", "JD dB"):
        assert words in result.stdout
    fit = fit_clip(sample_clip(), frames=12)
    assert f"{fit.rho[0]:.4f} +- {fit.rho_se[0]:.4f}" in result.stdout


def test_a_model_that_does_not_hold_is_said_on_top(tmp_path):
    first = run(*FIT).stdout.splitlines()[0]
    assert first.startswith("warning: in ")
    assert "are not Gaussian" in first
    rng = np.random.default_rng(0)
    scenes = [128 + 40 * rng.normal(size=(32, 32)) for _ in range(3)]
    cut = np.repeat(scenes, 4, axis=0) + rng.normal(size=(12, 32, 32))
    np.save(tmp_path / "cut.npy", cut.clip(0, 255).astype(np.uint8))
    words = ["fit", tmp_path / "cut.npy", "--bpp", "1", "--horizon", "2"]
    assert run(*words).stdout.startswith("warning: 2 of 12 frames begin a new scene")
    assert answer(*words)["clip"]["warnings"][0].startswith("2 of 12 frames")


def test_a_clip_of_the_model_has_no_warning(tmp_path):
    rng, luma = np.random.default_rng(0), np.zeros((40, 32, 32))
    for t in range(1, 40):
        luma[t] = 0.9 * luma[t - 1] + 8 * rng.normal(size=(32, 32))
    np.save(tmp_path / "model.npy", ((128 + luma[10:]) / 255).clip(0, 1))
    words = ["fit", tmp_path / "model.npy", "--bpp", "1", "--horizon", "2"]
    assert answer(*words)["clip"]["warnings"] == []


def test_fit_of_a_clip_without_innovations_reports_null(tmp_path):
    picture = np.random.default_rng(0).integers(0, 256, (1, 16, 16), dtype=np.uint8)
    np.save(tmp_path / "still.npy", np.repeat(picture, 3, axis=0))
    arguments = ["fit", tmp_path / "still.npy", "--bpp", "1", "--horizon", "2"]
    found = answer(*arguments)
    assert found["modes"]["whiteness"] == [None] * 64
    assert found["failing"]["either"] is None
    assert "nan" not in run(*arguments).stdout.split("\n", 1)[1]  # the first line is the path


def test_fit_writes_csv_and_plot(tmp_path):
    result = run(*FIT, "--csv", tmp_path / "fit.csv", "--plot", tmp_path / "fit.svg")
    assert result.exit_code == 0, result.output
    rows = parsed((tmp_path / "fit.csv").read_text())
    assert len(rows) == 2 * 2 * 4 * 4
    assert set(rows[0]) == {
        *("bits_per_pixel", "plf", "encoder", "frame", "rate", "mse", "psnr_db")
    }
    assert (tmp_path / "fit.svg").stat().st_size > 2000
    assert "big_buck_bunny_320x180.mp4" in (tmp_path / "fit.svg").read_text()


def test_the_plot_has_rates_between_and_keeps_those_that_were_asked_for():
    asked = np.geomspace(0.02, 2, 13)
    drawn = _finer(asked)
    assert len(drawn) == STEPS + 1
    np.testing.assert_allclose(drawn[::4], asked)
    assert drawn[len(drawn) // 2] == pytest.approx(asked[6])  # that of the panel of frames
    assert np.ptp(np.diff(np.log(drawn))) < 1e-9
    assert len(_finer(np.array([0.1, 1.0]))) == STEPS + 1
    for few in ([0.2], [0.0, 1.0], list(np.linspace(1, 2, STEPS + 1))):
        np.testing.assert_array_equal(_finer(np.array(few)), few)


def test_fit_takes_a_range_of_rates_and_a_frame_transform():
    found = answer(*FIT[:-2], "--bpp", "0.1:10:3", "--transform", "frame", "--first", "3")
    assert found["prediction"]["bits_per_pixel"] == pytest.approx([0.1, 1, 10])
    assert np.ptp(found["prediction"]["rates"][0][1:]) == pytest.approx(0)
    assert found["prediction"]["rates"][0][0] == pytest.approx(
        3 * found["prediction"]["rates"][0][1]
    )
    assert len(found["modes"]["sigma"]) == 22 * 40


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "clip: expected a path or --sample, got none"),
        (["a.mp4", "--sample"], "clip: expected a path or --sample, got both"),
        (["absent.mp4"], "absent.mp4: no such file or folder"),
        (["--sample", "--bpp", "0:1:3"], "bpp: expected FROM:TO:N with 0 < FROM, got '0:1:3'"),
        (["--sample", "--bpp", "0,1"], "bits_per_pixel: expected values > 0, got 0"),
        (["--sample", "--block", "0"], "block: expected an integer >= 1, got 0"),
        (["--sample", "--transform", "dwt"], "transform: expected one of block, frame, got 'dwt'"),
        (["--sample", "--level", "2"], "level: expected a number in (0, 1), got 2.0"),
        (["--sample", "--start", "131"], f"{sample_clip()}: expected at least 2 frames, got 1"),
        (
            ["--sample", "--plot", "x.gif"],
            "plot: expected a file ending in .png, .pdf, .svg, got 'x.gif'",
        ),
    ],
)
def test_fit_names_bad_input(arguments, message):
    assert refused("fit", *arguments) == message


def test_fit_of_a_damaged_file(tmp_path):
    path = tmp_path / "cut.mp4"
    path.write_bytes(sample_clip().read_bytes()[:100_000])
    assert refused("fit", path) == f"{path}: not a video, or truncated or damaged"


def test_fit_with_an_order(tmp_path):
    rng = np.random.default_rng(0)
    moving = AutoRegressive([1.6, -0.8], 30.0).sample(64, 60, rng)
    clip = 128 + np.tile(moving.reshape(8, 8, 60).transpose(2, 0, 1), (1, 1, 2))
    np.save(tmp_path / "moving.npy", np.clip(clip, 0, 255).round().astype(np.uint8))
    arguments = ["fit", tmp_path / "moving.npy", "--block", "2", "--bpp", "0.3", "--horizon", "2"]
    assert "orders" not in answer(*arguments)
    found = answer(*arguments, "--order", "2")["orders"]
    assert found["order"] == [2] * 4
    assert [gain["order"] for gain in found["gains"]] == [1, 2]
    assert found["gains"][1]["innovation"] < 0.5
    first, chosen = found["long_run_mse"]["order 1"], found["long_run_mse"]["chosen"]
    assert chosen["JD"][0] > 1.2 * chosen["FMD"][0]
    assert first["JD"] == pytest.approx(first["FMD"], rel=0.02)
    assert "(try --order auto)" in run(*arguments).stdout
    shown = run(*arguments, "--order", "2").stdout
    assert "(try --order auto)" not in shown
    assert "What each order buys" in shown
    assert "in the long run" in shown
    left = f"These orders leave {gain_of(found, 2):.0%} of the innovation variance of order 1"
    assert left in shown
    most = abs(10 * np.log10(chosen["JD"][0] / first["JD"][0]))
    assert f"{most:.2f} dB (JD)" in " ".join(shown.split())


def gain_of(orders, order):
    return next(gain["innovation"] for gain in orders["gains"] if gain["order"] == order)


@pytest.mark.parametrize(
    ("order", "message"),
    [("0", "order: expected an integer >= 1 or auto, got '0'"), ("x", "or auto, got 'x'"),
     ("12", "order: expected an order below the 12 frames")],
)  # fmt: skip
def test_orders_that_fit_refuses(order, message):
    assert message in refused(*FIT, "--order", order)


def test_a_window_is_added(tmp_path):
    assert "JD(2) dB" in run(*FIT, "--window", "2").stdout
    found = answer(*FIT, "--window", "2")["prediction"]
    shared = found["psnr_db_mmse_encoder"]
    order = np.array([shared[plf] for plf in ("JD", "JD(2)", "FMD")])
    assert (np.diff(order, axis=0) >= 0).all()
    assert "JD(2)" not in found["psnr_db"]
    run(*FIT, "--window", "2", "--plot", str(tmp_path / "curves.svg"))
    assert "PLF-JD(2)" in (tmp_path / "curves.svg").read_text()
    assert "window: expected at most 4" in refused(*FIT, "--window", "5")
