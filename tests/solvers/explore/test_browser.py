"""The page in a real browser: controls, plots, downloads, errors; no request to another site."""

import csv
import io
import time

import numpy as np
import pytest

from rdp import GaussMarkov, closed_form
from tests import browser as driver
from tests.solvers.explore.page import SET, UPDATES, change, choose, curve

pytest.importorskip("flask")
pytest.importorskip("plotly")
pytest.importorskip("waitress")
pytestmark = pytest.mark.skipif(driver.missing() is not None, reason=str(driver.missing()))


def test_the_page_draws_without_errors(page):
    assert page.complaints() == []
    for plot in ("rate", "perception", "frames"):
        names = page.run(f"return document.getElementById('plot-{plot}').data.map((t) => t.name)")
        assert names == ["MMSE", "PLF-FMD", "PLF-JD", "PLF-SA"]
    assert page.run("return document.querySelectorAll('.plot .main-svg').length") >= 4
    assert page.run("return document.getElementById('error').hidden")
    assert page.run("return document.querySelectorAll('#notes li').length") == 0


def test_nothing_is_loaded_from_other_sites(page, url):
    loaded = page.run("return performance.getEntriesByType('resource').map((entry) => entry.name)")
    assert len(loaded) > 4
    assert all(name.startswith((url, "data:")) for name in loaded)


def test_controls_redraw_the_curves(page):
    for selector, value in {
        "#rho": 0.5,
        "#frame-table .rate[data-frame='1']": 0.7,
        "#frame-table .rate-slider[data-frame='2']": 2,
        "#frames": 2,
    }.items():
        change(page, selector, value)
    frame, distortion = curve(page, "plot-frames", "PLF-JD")
    source = GaussMarkov.stationary(rho=0.5, frames=2)
    np.testing.assert_array_equal(frame, [1, 2])
    expected = closed_form.zero_perception_joint(source, [0.7, 2])
    np.testing.assert_allclose(distortion, expected, rtol=1e-9)
    change(page, "#frame-table .all .threshold", 0.1)
    expected = closed_form.framewise(source, [0.7, 2], 0.1)
    np.testing.assert_allclose(curve(page, "plot-frames", "PLF-FMD")[1], expected, rtol=1e-9)
    assert "levels = [0.1, 0.1]" in page.run("return document.getElementById('code').textContent")


def test_the_first_screen_shows_the_message(page):
    assert page.run("return document.getElementById('preset').value") == "starved"
    assert "its error remains" in page.run("return document.getElementById('message').textContent")
    joint, framewise = (curve(page, "plot-frames", f"PLF-{plf}")[1] for plf in ("JD", "FMD"))
    assert joint[-1] > 100 * framewise[-1]


def test_every_preset_is_drawn_without_errors(page):
    options = "[...document.querySelectorAll('#preset option')]"
    presets = page.run(f"return {options}.map((option) => option.value)")
    for preset in presets[1:]:
        choose(page, preset)
        assert page.run("return document.getElementById('error').hidden"), preset
        assert page.run("return document.getElementById('message').textContent")
    assert page.complaints() == []
    change(page, "#rho", 0.5)
    assert page.run("return document.getElementById('preset').value") == ""


def test_the_address_holds_the_setting(page):
    choose(page, "lookahead")
    change(page, "#rho-list", "0.9,0.5")
    change(page, "#frame-table .threshold[data-frame='3']", 0.2)
    page.run(SET, "#quantity", "3")
    address = page.run("return location.href")
    before = [curve(page, f"plot-{name}", "PLF-JD") for name in ("rate", "frames", "paths")]
    page.open("about:blank")
    page.open(address)
    page.wait(f"{UPDATES} > 0")
    for name, drawn in zip(("rate", "frames", "paths"), before, strict=True):
        np.testing.assert_allclose(curve(page, f"plot-{name}", "PLF-JD"), drawn, rtol=1e-5)
    assert page.run("return location.href") == address


def test_two_settings_are_compared(page):
    before = curve(page, "plot-frames", "PLF-SA")
    page.click("#keep")
    choose(page, "low")
    np.testing.assert_array_equal(curve(page, "plot-frames", "PLF-SA, kept"), before)
    assert "R = (0.1, 4, 4, 4)" in page.run("return document.getElementById('kept').textContent")
    page.click("#keep")
    assert page.run("return document.getElementById('plot-frames').data.length") == 4


def test_pictures_have_a_title_and_a_legend(page):
    page.click("[data-png='rate'][data-format='svg']")
    file = page.folder / "downloads" / "rdp-rate.svg"
    for _ in range(200):
        if file.exists():
            break
        time.sleep(0.05)
    text = file.read_text()
    assert all(word in text for word in ("R = (0.1, 4, 4, 4) bits", "PLF-JD", "PLF-SA", "MMSE"))


def test_every_control_says_what_it_is(page):
    controls = "#controls input, #controls select, #controls button, .tools button"
    script = "return [...document.querySelectorAll(arguments[0])].filter((e) => !e.title).length"
    assert page.run(script, controls) == 0


def test_weights_appear_for_the_weighted_objective(page):
    weight = "#frame-table .weight[data-frame='4']"
    visible = "return document.querySelector(arguments[0]).offsetWidth > 0"
    assert not page.run(visible, weight)
    before = curve(page, "plot-frames", "PLF-JD")[1]
    change(page, "#objective", "weighted")
    assert page.run(visible, weight)
    change(page, weight, 100)
    after = curve(page, "plot-frames", "PLF-JD")[1]
    assert after[3] < before[3] - 0.01  # the decoder looks ahead for frame 4


def test_axes_of_the_curves(page):
    total = curve(page, "plot-rate", "PLF-SA")[1]
    page.run(SET, "#quantity", "1")
    first = curve(page, "plot-rate", "PLF-SA")[1]
    assert (first < total).all()
    change(page, "#swept", "2")
    swept = curve(page, "plot-rate", "PLF-SA")[1]
    assert np.ptp(swept) == 0  # frame 1 does not depend on the rate of frame 2
    page.run(SET, "#log", "log")
    assert page.run("return document.getElementById('plot-rate').layout.yaxis.type") == "log"


def test_a_loss_can_be_hidden(page):
    page.click("#legend label:nth-child(2) input")
    names = page.run("return document.getElementById('plot-frames').data.map((t) => t.name)")
    assert names == ["MMSE", "PLF-JD", "PLF-SA"]


def test_another_sample_path(page):
    before = curve(page, "plot-paths", "source X")[1]
    updates = page.run(f"return {UPDATES}")
    page.click("#redraw")
    page.wait(f"{UPDATES} > {updates}")
    assert not np.allclose(curve(page, "plot-paths", "source X")[1], before)


def test_bad_input_gives_an_error_until_it_is_corrected(page):
    for selector, value, message in [
        ("#frame-table .rate[data-frame='1']", "-1", "rates: expected values >= 0, got -1"),
        ("#frame-table .rate[data-frame='1']", "", "rate of frame 1: expected a number"),
        ("#rho-list", "0.9, 2, 0.9", "rho: expected |rho| <= 1, got 2"),
        ("#rho-list", "0.9, 0.9", "rho: expected shape (3,) for 4 frames, got (2,)"),
        ("#sigma-list", "one", "sigma: expected numbers separated by commas"),
    ]:
        good = page.run("return document.querySelector(arguments[0]).value", selector)
        page.run(SET, selector, value)
        error = "document.getElementById('error')"
        assert page.wait(f"!{error}.hidden && {error}.textContent") == message
        change(page, selector, good)
        assert page.run(f"return {error}.hidden")


def test_numbers_table(page):
    text = page.run("return document.getElementById('numbers').innerText")
    source = GaussMarkov.stationary(rho=0.9, frames=4)
    for distortion in closed_form.zero_perception_joint(source, [0.1, 4, 4, 4]):
        assert f"{distortion:.4g}" in text or f"{distortion:.5g}" in text


def test_csv_has_the_numbers_of_the_plot(page):
    for name in ("rate", "perception", "frames", "paths"):
        rows = downloaded(page, f"[data-csv='{name}']", f"rdp-{name}.csv")
        if name == "paths":
            found = [float(row["JD"]) for row in rows]
        else:
            column = "distortion" if name == "frames" else "distortion_sum"
            found = [float(row[column]) for row in rows if row["plf"] == "JD"]
        np.testing.assert_array_equal(found, curve(page, f"plot-{name}", "PLF-JD")[1])


def downloaded(page, button, name):
    """Return the rows of the CSV file that a button saves."""
    file = page.folder / "downloads" / name
    page.click(button)
    for _ in range(200):
        if file.exists():
            return list(csv.DictReader(io.StringIO(file.read_text())))
        time.sleep(0.05)
    raise AssertionError(f"{name} was not saved")


def test_a_clip_is_uploaded_and_fitted(page, tmp_path):
    frames = np.random.default_rng(0).random((5, 32, 32)).cumsum(axis=0) / 5
    np.save(tmp_path / "my clip.npy", frames)
    page.type("#clip-file", str(tmp_path / "my clip.npy"))
    page.click("#clip-fit")
    page.wait("!document.getElementById('clip-result').hidden")
    summary = page.run("return document.getElementById('clip-summary').textContent")
    assert summary.startswith("my clip.npy: 5 frames of 32×32, 64 modes")
    assert (np.diff(curve(page, "plot-clip", "PLF-JD")[1]) > 0).all()
    updates = page.run(f"return {UPDATES}")
    page.run("document.querySelector('#clip-modes tbody button').click()")
    page.wait(f"{UPDATES} > {updates}")
    rho = page.run("return document.getElementById('rho-number').value")
    assert f"rho=[{rho}, {rho}, {rho}]" in page.run(
        "return document.getElementById('code').textContent"
    )


def test_a_file_that_is_not_a_clip(page, tmp_path):
    (tmp_path / "list.mp4").write_text("#EXTM3U\n/etc/passwd\n")
    page.type("#clip-file", str(tmp_path / "list.mp4"))
    page.click("#clip-fit")
    page.wait("document.getElementById('clip-status').textContent.startsWith('clip: expected a')")
    assert page.run("return document.getElementById('clip-result').hidden")


def test_all_controls_fit_into_the_window(page):
    try:
        for width, height in [(1280, 800), (390, 844)]:
            page.resize(width, height)
            page.wait("document.documentElement.scrollWidth <= innerWidth", 5)
            boxes = page.run(
                "return [...document.querySelectorAll('#controls input, #controls select')]"
                ".map((e) => e.getBoundingClientRect()).map((r) => [r.left, r.right])"
            )
            assert all(left >= 0 and right <= width for left, right in boxes)
    finally:
        page.resize(1280, 800)


def test_a_stopped_server_gives_an_error():
    from solvers.explore.app import Server

    server = Server()
    with driver.browsing() as opened:
        opened.open(server.url)
        opened.wait(f"{UPDATES} > 0", 300)
        server.close()
        opened.run(SET, "#rho", "0.3")
        opened.wait("document.getElementById('error').textContent.includes('still running')")
