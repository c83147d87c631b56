"""Findings of the committed codecs of moving digits, which the pages about experiments state."""

from pathlib import Path

import numpy as np
import pytest

from figures import _video
from figures.build import MissingResults
from neural.evaluation.record import record_of
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
    assert (rows.over_mmse[rows.plf != "JD"] < 2).all()
    mmse = rows[rows.plf == "MMSE"]
    assert (mmse.distortion_high < mmse.gaussian_reference).all()


def test_sharing_the_encoder_costs_little(committed):
    _, points = committed
    own = [point for point in points if point.label == _video.OWN]
    assert {point.plf for point in own} >= set(LOSSES)
    for point in own:
        gap = record_of(point).universal_gap.unmixed[-1]
        assert -0.06 < gap / (point.distortion[-1] - gap) < 0


def test_mixtures_keep_perception_and_lower_distortion(committed):
    _, points = committed
    for point in points:
        if mixed := record_of(point).mixtures:
            three_quarters = mixed.share.index(0.75)
            assert mixed.distortion[three_quarters][-1] < 0.9 * point.distortion[-1]
            start, there = (mixed.perception[k][-1] for k in (0, three_quarters))
            share = 0.25 if point.plf == "JD" else 0.2
            assert there - point.perception[-1] < share * (start - point.perception[-1])


@pytest.fixture(scope="module")
def joint():
    """Frame 2 of committed codecs whose decoders include one for JD, of one encoder a rate."""
    rows = _video.last_frame(_video.table(_video.with_jd()))
    assert set(rows[rows.rate_bits == 16].seed) == {1, 2}
    assert set(rows[rows.seed == 1].rate_bits) == {2, 4, 8, 12, 16, 24}
    return rows


def test_every_jd_decoder_is_joint_and_no_other_is(joint):
    defect = joint.groupby("plf").shift_defect
    assert joint[joint.plf == "JD"].shift_defect_high.max() < 0.0001
    assert defect.min()[LOSSES].min() > 100 * defect.max()["JD"]
    blurred = joint[(joint.plf == "MMSE") & (joint.shift_defect < 0.002)]
    assert blurred.rate_bits.max() == 8
    assert (blurred.distortion < joint.joint_support.min()).all()
    checks = validate_codecs(_video.points(_video.with_jd())).checks
    found = {
        bound: {check.verdict for check in checks if check.bound == bound}
        for bound in ("joint realism", "joint support")
    }
    assert found["joint realism"] == {"pass"}
    assert "fail" not in found["joint support"]


def test_fresh_critics_find_the_jd_decoder_near_the_joint_distribution():
    records = [(p.plf, record_of(p).fresh_w1) for p in _video.points(_video.with_jd())]
    w1 = {plf: [found["JD"].value for name, found in records if name == plf]
          for plf in ("JD", "MMSE")}  # fmt: skip
    assert len(w1["JD"]) == len(w1["MMSE"]) == 7
    assert 0.1 < min(w1["JD"]) < max(w1["JD"]) < 0.4
    assert 5.8 < min(w1["MMSE"]) < max(w1["MMSE"]) < 7.7


def half_of_joint_support():
    """Half the width of the interval of the bound of joint support at frame 2, by rate."""
    return {
        point.rate[1]: record_of(point).bounds.joint_support_half[1]
        for point in _video.points(_video.with_jd()) if point.plf == "JD"
    }


def test_jd_comes_down_to_the_bound_of_joint_support(joint):
    """The bound takes the shift nearest to the source, which few bits do not name."""
    jd = joint[joint.plf == "JD"]
    ratio = jd.distortion / jd.joint_support
    assert ratio[jd.rate_bits >= 12].between(0.975, 1.09).all()
    assert ratio[jd.rate_bits == 8].between(1, 1.11).all()
    assert ratio[jd.rate_bits < 8].between(1.15, 1.26).all()
    high = jd[jd.rate_bits >= 16]
    assert (high.distortion < 1.06 * high.joint_support).all()
    limit = high.rate_bits.map(half_of_joint_support()) + high.joint_support
    at_the_bound = high.distortion_low < limit
    assert set(zip(high.rate_bits[at_the_bound], high.seed[at_the_bound], strict=True)) == {
        (16, 2), (24, 1),
    }  # fmt: skip
    assert jd.joint_support.max() < 1.01 * jd.joint_support.min()  # at every rate


def test_from_12_bits_on_jd_falls_a_third_as_much_as_the_others(joint):
    one = joint[joint.seed == 1].set_index(["plf", "rate_bits"]).distortion
    fall = {plf: 1 - one[plf, 24] / one[plf, 12] for plf in ("MMSE", *_video.PLFS)}
    assert fall["JD"] < 0.06
    assert min(fall[plf] for plf in LOSSES) > 0.21
    assert fall["MMSE"] > 0.17


def test_under_jd_wrong_digits_stay_wrong(committed, joint):
    """Under FMD and SA fewer do."""
    assert joint[joint.plf == "JD"].stay_wrong.min() > 0.97
    others = joint[joint.plf.isin(LOSSES) & (joint.rate_bits >= 16)]
    assert others.stay_wrong.max() < 0.6
    rows, _ = committed
    grid = rows[(rows.series == _video.SHARED) & rows.plf.isin(LOSSES) & (rows.rate_bits == 16)]
    assert set(grid.seed) == {1, 2}
    assert grid.stay_wrong.max() < 0.6


def test_wrong_digits_stay_wrong_at_low_rates_and_fewer_do_at_high_ones(committed):
    rows, _ = committed
    for _, here in rows[rows.series == _video.SHARED].groupby(["seed", "plf"]):
        by_rate = here.set_index("rate_bits").stay_wrong
        assert (by_rate[by_rate.index <= 4] > 0.8).all()
        if here.plf.iloc[0] != "JD":
            assert (by_rate[by_rate.index >= 16] < 0.7).all()


def test_the_committed_curves_go_through_the_reference_of_the_points(committed):
    """Both are of the Gaussian model, one computed with the codecs and one for the figure."""
    rows, _ = committed
    table = computed("video_theory")
    curve = table[(table.series == "Gauss-Markov model") & (table.plf == "MMSE")]
    curve = curve.set_index("rate_bits").distortion
    np.testing.assert_allclose(rows.gaussian_reference, rows.rate_bits.map(curve), rtol=1e-6)


@pytest.fixture
def recovery():
    try:
        rows = _video.last_frame(_video.table("recovery"))
    except MissingResults as error:
        pytest.skip(str(error))
    if set(rows.kind) != {"reduced"}:
        pytest.skip("measured at full size")
    return rows


def test_jd_keeps_the_digit_of_a_lossless_frame_and_what_is_wrong_after_it(recovery):
    for _, here in recovery.groupby("seed"):
        wrong = here.groupby("plf").wrong_before.max()
        assert wrong["JD"] < 0.02 < 0.04 < wrong.drop("JD").min()
    assert recovery[recovery.plf == "JD"].stay_wrong.min() > 0.9
    others = recovery[(recovery.plf != "JD") & (recovery.rate_bits == 16)]
    assert others.stay_wrong.max() < 0.6
    assert recovery[recovery.plf == "JD"].shift_defect_high.max() < 0.0001


def test_in_the_recovery_jd_costs_least_unless_the_last_frame_has_many_bits(recovery):
    for (_, rate), here in recovery.groupby(["seed", "rate_bits"]):
        distortion = here.set_index("plf").distortion
        if rate < 16:
            assert distortion["JD"] < distortion[LOSSES].min()
        assert distortion[[*LOSSES, "JD"]].max() < 2 * distortion["MMSE"]


def test_distortion_of_people_is_almost_all_distance_between_distributions():
    try:
        rows = _video.table("people")
    except MissingResults as error:
        pytest.skip(str(error))
    if set(rows.kind) == {"reduced"}:
        mmse = rows[rows.plf == "MMSE"]
        assert (mmse.perception > 0.9 * mmse.distortion).all()


def test_jd_costs_most_from_8_bits_on(joint):
    """Beyond the intervals, in every seed; below, all losses cost about the same."""
    realistic = joint[joint.plf != "MMSE"]
    for (_, rate), here in realistic.groupby(["seed", "rate_bits"]):
        by_loss = here.set_index("plf")
        if rate >= 8:
            assert by_loss.distortion_low["JD"] > by_loss.distortion_high[LOSSES].max()
        else:
            assert by_loss.distortion.max() < 1.06 * by_loss.distortion.min()


def test_after_a_lossless_frame_jd_costs_less_than_sa_and_its_own_encoder_changes_nothing():
    rows = _video.last_frame(_video.table("exact"))
    for _, here in rows.groupby("seed"):
        by_loss = here[here.series == _video.SHARED].set_index("plf").distortion
        assert 0.86 < by_loss["JD"] / by_loss["SA"] < 0.91
        own = here[here.series == _video.OWN].set_index("plf").distortion
        assert abs(own["JD"] / by_loss["JD"] - 1) < 0.01


def test_lossless_frames_fail_no_bound_by_rounding():
    points = load_points(RESULTS / "digits-reduced-recovery.json")
    checks = [check for check in validate_codecs(points).checks if check.frame == 1]
    assert checks
    assert not [check for check in checks if check.verdict == "fail"]
