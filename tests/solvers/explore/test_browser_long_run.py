"""The page in a real browser: the long run, points of the user, and updates that are overtaken."""

import json
import time

import numpy as np
import pytest

from rdp import GaussMarkov, OperatingPoint, save_points
from solvers.steady_state import steady_state
from tests import browser as driver
from tests.solvers.explore.page import SET, UPDATES, change, choose, curve

pytest.importorskip("flask")
pytest.importorskip("plotly")
pytest.importorskip("waitress")
pytestmark = pytest.mark.skipif(driver.missing() is not None, reason=str(driver.missing()))

OWN = "#own-text"


def text(page, selector):
    return page.run("return document.querySelector(arguments[0]).textContent", selector)


def test_the_long_run_of_a_pattern(page):
    choose(page, "ripple")
    rates = [0.25, 1.05, 0.25, 0.65, 0.25, 0.65, 0.25, 0.65]
    source = GaussMarkov.stationary(rho=0.97, frames=2)
    for plf in ("FMD", "JD", "SA"):
        frames, drawn = curve(page, "plot-steady", f"PLF-{plf}")
        np.testing.assert_array_equal(frames, np.arange(1, 9))
        np.testing.assert_allclose(drawn, steady_state(source, rates, plf).distortion, rtol=1e-9)
    table = text(page, "#schedule")
    assert "0.119" in table  # of PLF-JD
    assert "+110 %" in table
    change(page, "#frames", 3)
    change(page, "#window", 2)
    mean = steady_state(source, rates[:3], "JD(2)").mean
    assert f"{mean:.5g}" in text(page, "#schedule")
    change(page, "#rho-list", "0.9,0.5")
    assert "needs two frames or more" in text(page, "#steady-text")
    assert page.run("return document.getElementById('steady-result').hidden")
    assert page.complaints() == []


def stars(page, plot="plot-rate"):
    script = """
    const trace = document.getElementById(arguments[0]).data.find((t) => t.name === "own points");
    return trace ? [trace.x, trace.y] : null;
    """
    return page.run(script, plot)


def test_points_of_the_user_are_stars(page):
    updates = page.run(f"return {UPDATES}")
    page.run(SET, OWN, "bits, distortion, label\n0.5, 1.25, mine\n2;0.9;yours\n")
    assert stars(page) == [[0.5, 2], [1.25, 0.9]]
    assert text(page, "#own-status") == "2 points, drawn as stars"
    page.run(SET, OWN, "1 0.5 0.02")
    assert stars(page) == [[1], [0.5]]
    assert stars(page, "plot-perception") == [[0.02], [0.5]]
    page.run(SET, OWN, json.dumps([{"R": 1, "D": 0.25}]))
    assert stars(page) == [[1], [0.25]]
    assert page.run(f"return {UPDATES}") == updates  # nothing is computed for them
    for wrong, message in [
        ("bits, distortion\n0.5, x", "point 1: distortion: expected a number"),
        ("a, b\n1, 2", "points: expected columns bits and distortion"),
        ("{", "points: expected JSON or CSV"),
        ("{}", "points: expected a list"),
    ]:
        page.run(SET, OWN, wrong)
        assert text(page, "#own-status") == message
        assert stars(page) is None
    page.run(SET, OWN, "")
    assert text(page, "#own-status") == ""


def test_points_have_the_colour_of_their_loss_and_labels_of_several_words(page):
    page.run(
        SET, OWN, "bits, distortion, label, plf\n1, 0.5, codec A, PLF-JD\n2,0.4,b,\n3,0.3,c,FMD"
    )
    script = """
    const data = document.getElementById("plot-rate").data;
    const own = data.find((trace) => trace.name === "own points");
    const colour = (plf) => data.find((trace) => trace.name === plf).line.color;
    return [own.marker.color, own.text, colour("PLF-JD"), colour("PLF-FMD")];
    """
    colours, labels, joint, framewise = page.run(script)
    assert labels == ["codec A", "b", "c"]
    assert colours[0] == joint
    assert colours[2] == framewise
    assert colours[1] not in (joint, framewise)
    page.run(SET, OWN, json.dumps([{"rate": [1, 1], "distortion": [1, 1]}, {"r": 1, "d": 1}]))
    assert text(page, "#own-status") == "1 of 2 points drawn: the others do not have 4 frames"


def test_the_address_holds_points_and_the_setting_that_is_compared(page):
    mine = "bits, distortion, label, plf\n0.5, 1.25, a & b = c, JD\n"
    page.run(SET, OWN, mine)
    page.click("#keep")
    choose(page, "low")
    thin = curve(page, "plot-rate", "PLF-JD, kept")
    bold = curve(page, "plot-rate", "PLF-JD")
    address = page.run("return location.href")
    page.open("about:blank")
    page.open(address)
    page.wait(f"{UPDATES} > 1")
    assert page.run("return document.querySelector('#own-text').value") == mine
    assert stars(page) == [[0.5], [1.25]]
    np.testing.assert_allclose(curve(page, "plot-rate", "PLF-JD, kept"), thin, rtol=1e-5)
    np.testing.assert_allclose(curve(page, "plot-rate", "PLF-JD"), bold, rtol=1e-5)
    assert "R = (0.1, 4, 4, 4)" in text(page, "#kept")
    assert page.run("return location.href") == address
    page.click("#keep")
    page.run(SET, OWN, "\n".join(f"{x / 7}, {x / 11}" for x in range(1, 200)))
    assert "too many for the link" in text(page, "#own-status")
    after = page.run("return location.href")
    assert "kept=" not in after
    assert "points=" not in after


def test_an_address_whose_compared_setting_makes_no_sense(page, url):
    page.open("about:blank")
    page.open(f"{url}#frames=2&rho=0.5&rates=1,1&levels=0,0&kept=rho%3D7")
    page.wait(f"{UPDATES} > 0")
    assert text(page, "#kept") == ""
    assert page.run("return document.getElementById('error').hidden")
    assert "rho=[0.5" in text(page, "#code")


def test_the_legend_follows_the_colour_scheme(page):
    def colours():
        return page.run(
            "return [document.querySelectorAll('#legend line')[1].getAttribute('stroke'), "
            "document.getElementById('plot-rate').data[1].line.color]"
        )

    page.click("#legend label:nth-child(1) input")
    light = colours()
    try:
        page.devtools("Emulation.setEmulatedMedia", {
            "features": [{"name": "prefers-color-scheme", "value": "dark"}]
        })  # fmt: skip
        page.wait("document.querySelectorAll('#legend line')[1].getAttribute('stroke') !== "
                  f"{light[0]!r}", 5)  # fmt: skip
        boxes = page.run(
            "return [...document.querySelectorAll('#legend input')].map((b) => b.checked)"
        )
        assert boxes == [False, True, True, True]
    finally:
        page.devtools("Emulation.setEmulatedMedia", {"features": []})


def test_points_of_a_file_follow_the_axes(page, tmp_path):
    rate, distortion = [0.1, 4, 4, 4], [0.8, 0.4, 0.3, 0.2]
    mine = OperatingPoint("mine", "JD", rate, distortion, perception=[0.0, 0.1, 0.2, 0.3])
    save_points(tmp_path / "mine.json", [mine])
    page.run("document.getElementById('own').open = true")
    page.type("#own-file", str(tmp_path / "mine.json"))
    page.wait("document.getElementById('own-status').textContent.startsWith('1 point')")
    x, y = stars(page)
    np.testing.assert_allclose([*x, *y], [np.mean(rate), sum(distortion)])
    page.run(SET, "#quantity", "3")
    assert stars(page)[1] == [0.3]
    change(page, "#swept", "1")
    assert stars(page) == [[0.1], [0.3]]
    change(page, "#frames", 3)  # the point has four frames
    assert stars(page) is None


def test_an_update_that_takes_long_ends_when_the_setting_changes(page, monkeypatch):
    from solvers.explore.turns import PageGone, keep_going
    from solvers.explore.view import PARTS

    real, ended = PARTS["rate"], []

    def slow(request):
        if request.source.rho[0] == 0.3:
            end = time.monotonic() + 30
            try:
                while time.monotonic() < end:
                    keep_going()
                    time.sleep(0.02)
            except PageGone:
                ended.append(time.monotonic())
                raise
        return real(request)

    monkeypatch.setitem(PARTS, "rate", slow)
    page.run(SET, "#rho", "0.3")
    time.sleep(0.6)
    began = time.monotonic()
    change(page, "#rho", 0.5)
    assert time.monotonic() - began < 10
    assert len(ended) == 1
    assert ended[0] - began < 5
    assert page.run("return document.getElementById('error').hidden")
    assert "rho=[0.5" in text(page, "#code")


def test_both_widths_and_no_scrolling(page):
    page.run("document.getElementById('own').open = true")
    try:
        for width, height in [(1366, 768), (390, 844)]:
            page.resize(width, height)
            page.wait("document.documentElement.scrollWidth <= innerWidth", 5)
            if width > 1000:
                inner = "document.getElementById('schedule').parentElement"
                page.wait(f"{inner}.scrollWidth <= {inner}.clientWidth", 5)
    finally:
        page.resize(1280, 800)
