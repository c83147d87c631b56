"""Measured codecs compared with theory: the committed points, and a run of the codec."""

from importlib import import_module

import numpy as np
import pytest

from figures._codecs import neural
from neural.evaluation.record import trained

PLFS = ("FMD", "JD", "SA")


@pytest.fixture(scope="module")
def gaps():
    return import_module("figures.gap_to_curve").compute()


@pytest.fixture(scope="module")
def overlay():
    return import_module("figures.codec_overlay").compute()


def gap(table, series, plf):
    return table[(table.series == series) & (table.plf == plf)]


@pytest.mark.parametrize("plf", ["MMSE", *PLFS])
def test_neural_points_are_as_near_to_the_curve_as_the_scalar_codec(gaps, plf):
    """At three rates or more, within 0.03 bit of dithered Z; no point is below theory."""
    scalar = gap(gaps, "dithered Z", plf)
    for series in ("neural, shared encoder", *["neural, own encoder"] * (plf != "MMSE")):
        points = gap(gaps, series, plf)
        assert len(points) >= 3
        reached = np.interp(points.rate_bits, scalar.rate_bits, scalar.gap_bits)
        assert (points.gap_bits < reached + 0.03).all()
        assert (points.gap_bits > 0).all()


@pytest.mark.parametrize("plf", PLFS)
def test_one_encoder_for_all_losses_costs_next_to_nothing(gaps, plf):
    """In theory the cost is zero; scalar quantisers, which are not Gaussian, need 0.02 bit."""
    shared, own = (gap(gaps, f"neural, {kind} encoder", plf) for kind in ("shared", "own"))
    cost = shared.gap_bits.to_numpy() - own.gap_bits.to_numpy()
    assert np.abs(cost).max() < 0.02


def test_lattices_are_where_their_gaps_say(gaps):
    for name, limit in (("Z", 0.26), ("E8", 0.16)):
        best = gap(gaps, f"dithered {name}", "MMSE").iloc[-1]
        assert 0.1 < best.gap_bits < limit


def permanence(table, panel, series, plf):
    rows = table[(table.panel == panel) & (table.series == series) & (table.plf == plf)]
    return rows.sort_values("frame")


def test_constructive_codec_keeps_the_early_error_under_jd_alone(overlay):
    late = {}
    for plf in ("MMSE", *PLFS):
        theory = permanence(overlay, "long", "theory", plf).distortion.to_numpy()
        measured = permanence(overlay, "long", "dithered Z", plf)
        late[plf] = measured.distortion.to_numpy()[-1]
        np.testing.assert_allclose(measured.distortion, theory, rtol=0.03)
    assert late["JD"] > 100 * late["FMD"]
    assert late["SA"] < 2 * late["MMSE"]


@pytest.mark.parametrize("kind", ["shared", "own"])
def test_neural_codec_keeps_the_early_error_under_jd_alone(overlay, kind):
    last = {}
    for plf in PLFS:
        measured = permanence(overlay, "neural", f"neural, {kind} encoder", plf)
        theory = permanence(overlay, "neural", "theory", plf)
        np.testing.assert_allclose(measured.distortion, theory.distortion, rtol=0.06)
        last[plf] = measured.distortion.iloc[-1]
    assert last["JD"] > 5 * last["FMD"]
    assert last["JD"] > 5 * last["SA"]


def test_committed_points_say_how_they_came_about():
    for point in neural():
        assert len(point.commit) == 40  # a clean checkout
        assert {"torch", "numpy", "constriction"} <= set(point.versions)
        assert point.seed is not None
        assert point.samples >= 100_000
        assert trained(point).seconds > 0
        assert set(point.intervals) == {"rate", "distortion", "perception"}
