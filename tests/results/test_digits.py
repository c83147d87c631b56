"""Findings of the committed codecs of moving digits, which the pages about experiments state."""

from pathlib import Path

import numpy as np
import pytest

from figures import _video
from figures.build import MissingResults
from neural.evaluation.record import record_of, trained
from neural.evaluation.validation import validate_codecs
from rdp.operating_point import load_points
from tests.figures.toy_video import computed

RESULTS = Path(__file__).resolve().parents[2] / "neural" / "results"
LOSSES = ["FMD", "SA"]  # whose decoders need at most twice the MMSE distortion


@pytest.fixture(scope="module")
def committed():
    """Frame 2 of the committed reduced codecs of moving digits, and their points."""
    try:
        rows = _video.table("digits")
    except MissingResults as error:
        pytest.skip(str(error))
    if set(rows.kind) != {"reduced"}:
        pytest.skip("the page speaks of the reduced experiments")
    rows = rows.assign(over_mmse=_video.over_mmse(rows))
    return rows[rows.frame == 2], _video.points("digits")


def test_factor_two_holds_and_the_gaussian_model_is_an_upper_bound(committed):
    rows, _ = committed
    assert (rows.over_mmse < 2).all()  # of JD too, which no bound says
    mmse = rows[rows.plf == "MMSE"]
    assert (mmse.distortion_high < mmse.gaussian_reference).all()


def test_sharing_the_encoder_costs_little(committed):
    _, points = committed
    own = [point for point in points if point.label == _video.OWN]
    assert {point.plf for point in own} == set(_video.PLFS)
    for point in own:
        gap = record_of(point).universal_gap.unmixed[-1]
        assert (-0.11 if point.plf == "JD" else -0.06) < gap / (point.distortion[-1] - gap) < 0


def test_mixtures_keep_perception_and_lower_distortion(committed):
    _, points = committed
    for point in points:
        if mixed := record_of(point).mixtures:
            three_quarters = mixed.share.index(0.75)
            assert mixed.distortion[three_quarters][-1] < 0.9 * point.distortion[-1]
            start, there = (mixed.perception[k][-1] for k in (0, three_quarters))
            assert there - point.perception[-1] < 0.2 * (start - point.perception[-1])


def test_joint_realism_is_not_reached_and_its_bound_says_so(committed):
    rows, points = committed
    joint = rows[(rows.plf == "JD") & (rows.series == _video.SHARED)]
    joint = joint[joint.rate_bits >= 8]
    assert (joint.distortion_high < joint.joint_support).all()
    loss = {}
    for point in points:
        if point.label == _video.SHARED:
            key = trained(point).seed, _video.cell(point), point.plf
            loss[key] = record_of(point).losses["JD"].value[-1]
    for seed, cell, plf in loss:
        if plf == "JD":
            assert loss[seed, cell, "JD"] > 0.5 * loss[seed, cell, "FMD"]


def test_wrong_digits_stay_wrong_at_low_rates_and_fewer_do_at_high_ones(committed):
    rows, _ = committed
    for _, here in rows[rows.series == _video.SHARED].groupby(["seed", "plf"]):
        by_rate = here.set_index("rate_bits").stay_wrong
        assert (by_rate[by_rate.index <= 4] > 0.8).all()
        assert (by_rate[by_rate.index >= 16] < 0.7).all()


def test_the_committed_curves_go_through_the_reference_of_the_points(committed):
    """Both are of the Gaussian model, one computed with the codecs and one for the figure."""
    rows, _ = committed
    table = computed("video_theory")
    curve = table[(table.series == "Gauss-Markov model") & (table.plf == "MMSE")]
    curve = curve.set_index("rate_bits").distortion
    np.testing.assert_allclose(rows.gaussian_reference, rows.rate_bits.map(curve), rtol=1e-6)


def test_jd_and_sa_make_more_wrong_digits_and_bits_correct_them():
    try:
        rows = _video.last_frame(_video.table("recovery"))
    except MissingResults as error:
        pytest.skip(str(error))
    if set(rows.kind) == {"reduced"}:
        for _, here in rows.groupby("seed"):
            wrong = here.groupby("plf").wrong_before.max()
            assert max(wrong["FMD"], wrong["MMSE"]) < min(wrong["JD"], wrong["SA"])
        for _, here in rows.groupby(["seed", "plf"]):
            by_rate = here.set_index("rate_bits").stay_wrong
            assert by_rate[16] < by_rate[2]
        bounded = rows.plf.isin(LOSSES)
        assert (_video.over_mmse(rows)[bounded] < 2).all()


def test_at_the_larger_weight_jd_costs_most_at_24_bits():
    try:
        table = computed("video_weight")
    except MissingResults as error:
        pytest.skip(str(error))
    if set(table.kind) == {"reduced"}:
        highest = table[(table.weight == _video.WEIGHTS["strict"]) & (table.rate_bits == 24)]
        assert not highest.empty
        for _, here in highest.groupby("seed"):
            by_loss = here.set_index("plf")
            others = by_loss.loc[LOSSES].distortion_high
            assert by_loss.distortion_low["JD"] > others.max()
            assert by_loss.distortion["JD"] < by_loss.joint_support["JD"]


def test_distortion_of_people_is_almost_all_distance_between_distributions():
    try:
        rows = _video.table("people")
    except MissingResults as error:
        pytest.skip(str(error))
    if set(rows.kind) == {"reduced"}:
        mmse = rows[rows.plf == "MMSE"]
        assert (mmse.perception > 0.9 * mmse.distortion).all()


def test_the_loss_that_costs_most_depends_on_the_rate(committed):
    rows, _ = committed
    shared = rows[(rows.series == _video.SHARED) & (rows.plf != "MMSE")]
    for (_, rate), here in shared.groupby(["seed", "rate_bits"]):
        by_loss = here.set_index("plf")
        dearest = {2: "SA", 16: "JD", 24: "JD"}.get(rate)
        if dearest:
            assert by_loss.distortion.idxmax() == dearest
            others = by_loss.drop(index=dearest)
            assert by_loss.distortion_low[dearest] < others.distortion_high.max()  # overlap


def test_a_larger_weight_costs_distortion_and_improves_perception_at_low_rates_only():
    table = computed("video_weight")
    if set(table.kind) == {"reduced"}:
        keys = ["plf", "cell", "seed", "rate_bits"]
        small, large = (
            table[(table.weight == weight) & (table.plf != "MMSE")].set_index(keys)
            for weight in sorted(table.weight.unique())
        )
        assert (large.distortion_low > small.distortion_high).all()
        change = (large.perception - small.perception).reset_index()
        assert (change[change.rate_bits == 2].perception < 0).all()
        assert (change[(change.rate_bits == 24) & change.plf.isin(LOSSES)].perception > 0).all()


def test_lossless_frames_fail_no_bound_by_rounding():
    points = load_points(RESULTS / "digits-reduced-recovery.json")
    checks = [check for check in validate_codecs(points).checks if check.frame == 1]
    assert checks
    assert not [check for check in checks if check.verdict == "fail"]
