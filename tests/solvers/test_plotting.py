"""Plots have the numbers of their table, in the style of each loss."""

import io

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

from rdp import GaussMarkov, OperatingPoint
from rdp.perception import LOSSES
from solvers.clip_plots import predicted_frames, predicted_losses, predicted_rates
from solvers.plotting import FILLINGS, STYLES, curves, legend, measured, new_figure, settings
from solvers.prediction import predict


@pytest.fixture(scope="module")
def prediction():
    return predict(GaussMarkov.stationary([0.9, 0.5], frames=3, sigma=[2.0, 1.0]), [0.2, 0.5, 2.0])


def test_losses_differ_in_colour_and_without_colour():
    assert list(STYLES) == list(LOSSES)
    for trait in ("color", "linestyle", "marker"):
        assert len({str(style[trait]) for style in STYLES.values()}) == len(LOSSES)


def test_curves_hold_the_table_and_take_axes():
    table = pd.DataFrame({"plf": ["JD", "JD", "SA", "SA"], "x": [0, 1, 0, 1], "y": [3, 2, 5, 4]})
    ax = curves(table, "x", "y")
    assert curves(table, "x", "y", ax) is ax
    joint, adaptive, *_ = ax.lines
    np.testing.assert_array_equal(joint.get_ydata(), [3, 2])
    np.testing.assert_array_equal(adaptive.get_ydata(), [5, 4])
    assert joint.get_label() == "PLF-JD"
    assert joint.get_color() == STYLES["JD"]["color"]


def test_codecs_of_one_loss_differ_in_the_filling_of_their_markers():
    points = [
        OperatingPoint(label, plf, rate=[1], distortion=[0.5])
        for label in ("a", "b")
        for plf in ("FMD", "JD")
    ]
    ax, other = new_figure().subplots(1, 2)
    measured(ax, points, 1, [True])
    looks = [(drawn.get_color(), drawn.get_fillstyle(), drawn.get_markerfacecolor())
             for drawn in ax.lines]  # fmt: skip
    assert len(set(looks)) == 4
    measured(other, points[2:], 1, [True], labels=["a", "b"])  # as in the panel beside it
    assert [drawn.get_markerfacecolor() for drawn in other.lines] == [look[2] for look in looks[2:]]
    assert len(set(FILLINGS)) == len(FILLINGS)


@pytest.mark.parametrize("count", [5, 6])
def test_a_long_legend_is_below_the_axes_and_covers_nothing(count):
    with mpl.rc_context(settings()):
        figure = new_figure(3.5, 2.6)
        axes = figure.subplots(1, 2)
        for number in range(count):
            axes[number % 2].plot([0, 1], [0, number], label=f"a long label of codec {number}")
        legend(axes)
        figure.draw_without_rendering()
    if count == 5:
        assert axes[0].get_legend() is not None
        assert figure.get_figheight() == 2.6
        return
    [below] = figure.legends
    assert len(below.get_texts()) == count
    box = below.get_window_extent()
    assert box.x0 >= 0
    assert box.x1 <= figure.bbox.width
    for ax in axes:
        assert ax.get_tightbbox().y0 >= box.y1 - 1
        assert ax.get_window_extent().height > 1.5 * figure.dpi


def test_a_pdf_has_no_bitmap_fonts():
    with mpl.rc_context(settings()):
        figure = new_figure()
        figure.subplots().set_title("text")
        file = io.BytesIO()
        figure.savefig(file, format="pdf")
    assert b"/Type3" not in file.getvalue()
    assert b"/CIDFontType2" in file.getvalue() or b"/TrueType" in file.getvalue()


def test_predicted_rates_are_those_of_the_prediction(prediction):
    ax = predicted_rates(prediction.to_dataframe())
    assert len(ax.lines) == 4 + 3  # MMSE has one encoder
    for drawn, plf in zip(ax.lines, LOSSES, strict=False):
        np.testing.assert_allclose(drawn.get_ydata(), prediction.psnr(plf))
    np.testing.assert_allclose(ax.lines[4].get_ydata(), prediction.psnr("FMD", "mmse"))


def test_predicted_losses_are_differences_of_the_prediction(prediction):
    ax = predicted_losses(prediction.to_dataframe())
    assert ax.get_ylabel() == "dB below MMSE"
    drawn = {curve.get_label(): curve.get_ydata() for curve in ax.get_lines()}
    best = prediction.psnr("MMSE")
    for plf in ("FMD", "JD", "SA"):
        np.testing.assert_allclose(drawn[f"PLF-{plf}"], best - prediction.psnr(plf), atol=1e-9)
    thin = [curve.get_ydata() for curve in ax.get_lines() if curve.get_linewidth() < 1]
    expected = [best - prediction.psnr(plf, "mmse") for plf in ("FMD", "JD", "SA")]
    np.testing.assert_allclose(thin, expected, atol=1e-9)


def test_predicted_frames_are_those_at_the_middle_rate(prediction):
    ax = predicted_frames(prediction.to_dataframe())
    assert ax.get_title() == "0.5 bits per pixel"
    mse = prediction.distortion["JD"][1]
    np.testing.assert_allclose(ax.lines[2].get_ydata(), 10 * np.log10(255**2 / mse))
