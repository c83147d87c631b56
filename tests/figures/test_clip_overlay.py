"""`clip_overlay`: predictions that agree with theory, and what is drawn without encoders."""

import numpy as np
import pytest

from figures import clip_overlay
from rdp.clip import compare, encode_peer, fit_luma
from rdp.clip.peers import missing_encoder


@pytest.fixture
def small(monkeypatch):
    """A short clip, few rates, and one codec at one quality."""
    monkeypatch.setattr(clip_overlay, "clip", lambda whole=clip_overlay.clip: whole()[:6])
    monkeypatch.setattr(clip_overlay, "BITS_PER_PIXEL", np.array([0.02, 0.1]))
    monkeypatch.setattr(clip_overlay, "PICTURE", 3)
    monkeypatch.setattr(clip_overlay, "STEPS", range(1, 3))


def one_run():
    luma = clip_overlay.clip()
    coded = encode_peer(luma, "x264", 38)
    return (clip_overlay.Run("x264", 38, coded.bits, coded.luma, compare(luma, coded.luma)),)


def drawn(table):
    from matplotlib.figure import Figure

    figure = Figure(figsize=clip_overlay.SIZE)
    clip_overlay.draw(table, figure)
    return [text.get_text() for ax in figure.get_axes() for text in (*ax.texts, ax.title)]


@pytest.mark.skipif(missing_encoder("x264") is not None, reason="PyAV here lacks libx264")
def test_theory_and_codec_are_in_one_table(small, monkeypatch):
    monkeypatch.setattr(clip_overlay, "MEASURED", [one_run])
    table = clip_overlay.compute()
    mmse = table[(table.series == "predicted") & (table.plf == "MMSE")]
    found = fit_luma(clip_overlay.clip())
    # an MMSE reconstruction lacks as much variance as it errs
    np.testing.assert_allclose((1 - mmse.variance) * found.variance, mmse.mse)
    assert (mmse.FMD < mmse.mse).all()
    source = (found.rho * found.sigma**2).sum() / (found.sigma**2).sum()
    assert (mmse.correlation > source).all()
    (run,) = table[table.series == "x264"].itertuples()
    assert run.FMD_low < run.FMD < run.FMD_high
    texts = drawn(table)
    assert any(text.startswith("x264\n0.") for text in texts)


def test_without_encoders_the_figure_says_so(small, monkeypatch):
    monkeypatch.setattr(clip_overlay, "MEASURED", [lambda: ()])
    monkeypatch.setattr(clip_overlay, "installed", list)
    table = clip_overlay.compute()
    assert set(table.series) == {"predicted"}
    texts = drawn(table)
    assert "without x264, vp9: not installed" in texts
    assert "source" in texts
