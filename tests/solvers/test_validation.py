import csv
from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rdp import bounds, closed_form
from rdp.codec.dithered import DitheredCodec
from rdp.codec.evaluation import measure_codec
from rdp.operating_point import OperatingPoint
from rdp.perception import perception
from rdp.problem import Problem
from rdp.source import GaussMarkov
from solvers import Check, solve, validate

TWO = GaussMarkov.stationary(rho=0.9, frames=2)
ZERO = {
    "MMSE": closed_form.mmse,
    "FMD": closed_form.zero_perception_framewise,
    "JD": closed_form.zero_perception_joint,
    "SA": closed_form.zero_perception_self_adaptive,
}


def point(plf, rate, distortion, perception=None, label="codec", **fields):
    kind = fields.pop("kind", "computed")
    return OperatingPoint(label, plf, rate, distortion, perception, kind=kind, **fields)


def verdicts(points, bound, source=TWO):
    return [check.verdict for check in validate(points, source) if check.bound == bound]


def on_the_curve(source, rates):
    """The sequential optimum at zero perception loss, for every loss function."""
    zero = np.zeros(source.frames)
    return [
        point(plf, rates, ZERO[plf](source, rates), None if plf == "MMSE" else zero) for plf in ZERO
    ]


@settings(max_examples=15)
@given(
    rho=st.floats(-0.95, 0.95),
    rates=st.lists(st.floats(0.05, 5), min_size=2, max_size=2),
    sigma=st.lists(st.floats(0.1, 10), min_size=2, max_size=2),
)
def test_points_on_the_curves_never_fail(rho, rates, sigma):
    source = GaussMarkov(sigma, [rho])
    report = validate(on_the_curve(source, rates), source)
    assert report.ok
    assert {check.bound for check in report} == {
        "rate-distortion",
        "rate-distortion-perception",
        "permanence",
        "one-shot rate",
        "split",
        "factor two",
    }


@settings(max_examples=15)
@given(
    plf=st.sampled_from(["MMSE", "FMD", "JD", "SA"]),
    rates=st.lists(st.floats(0.05, 5), min_size=2, max_size=2),
    short=st.floats(0.01, 0.5),
)
def test_points_below_the_least_distortion_of_frame_one_always_fail(plf, rates, short):
    below = ZERO[plf](TWO, rates) * [1 - short, 1.0]
    bad = point(plf, rates, below, None if plf == "MMSE" else [0.0, 0.0])
    bound = "rate-distortion" if plf == "MMSE" else "rate-distortion-perception"
    found = [c for c in validate([bad], TWO) if c.bound == bound and c.frame == 1]
    assert [check.verdict for check in found] == ["fail"]


@pytest.mark.parametrize("plf", ["FMD", "JD", "SA"])
def test_the_curve_at_positive_perception_is_a_limit(plf):
    """At the optimum of the sum, that check passes; a little below, it fails, and frames do not."""
    rates, levels = [0.5, 1.0], np.array([0.02, 0.05])
    best = solve(Problem(TWO, rates, perception(plf, levels), weights=[1, 1]))
    for factor, verdict in ((1 + 1e-4, "pass"), (1 - 1e-4, "fail")):
        report = validate([point(plf, rates, factor * best.distortion, levels)], TWO)
        curve = [c for c in report if c.bound == "rate-distortion-perception"]
        assert [c.verdict for c in curve if c.frame is None] == [verdict]
    alone = solve(Problem(TWO, rates, perception(plf, levels), weights=[0, 1]))
    assert curve[1].limit == pytest.approx(alone.objective, rel=1e-5)


def test_later_frames_are_held_against_their_own_optimum_with_lookahead():
    """JD, poor first frame: lookahead may go below the sequential D_3, but not below .514."""
    source = GaussMarkov.stationary(rho=0.9, frames=3)
    rates = [0.05, 8.0, 8.0]
    for third, verdict in ((0.52, "pass"), (0.51, "fail")):
        bold = point("JD", rates, [1.482, 0.947, third], np.zeros(3))
        found = [c for c in validate([bold], source) if c.frame == 3 and "perc" in c.bound]
        assert [check.verdict for check in found] == [verdict]
        assert found[0].limit == pytest.approx(0.514, abs=1e-3)


@pytest.mark.parametrize("plf", ["JD", "SA"])
def test_without_a_certificate_the_framewise_part_remains(plf):
    """A method that does not cover positive thresholds stands for one that misses its tolerance."""
    rates, levels = [0.3, 0.3], np.array([0.01, 0.02])
    limit = closed_form.framewise(TWO, rates, levels)
    for factor, verdict in ((1.001, "pass"), (0.999, "fail")):
        report = validate([point(plf, rates, factor * limit, levels)], TWO, "lookahead")
        found = [c for c in report if c.bound == "rate-distortion-perception, framewise part"]
        assert [check.verdict for check in found] == [verdict] * 3
    exact = Problem(TWO, rates, perception(plf, levels), weights=[1, 1])
    assert solve(exact).lower_bound > limit.sum()


def test_permanence_needs_exactly_zero_loss():
    rates = [0.05, 8.0]
    limit = bounds.permanence_bound(TWO, rates)
    assert verdicts([point("JD", rates, 1.01 * limit, [0, 0])], "permanence") == ["pass", "pass"]
    assert verdicts([point("JD", rates, 0.99 * limit, [0, 0])], "permanence") == ["fail", "fail"]
    assert verdicts([point("JD", rates, 0.99 * limit, [0, 0.1])], "permanence") == []


def test_intervals_decide_between_verdicts():
    limit = closed_form.mmse(TWO, [1.0, 1.0])
    for half, center, verdict in (
        (0.001, 1.01, "pass"),
        (0.05, 1.01, "inconclusive"),
        (0.05, 0.99, "inconclusive"),
        (0.001, 0.99, "fail"),
    ):
        d = center * limit
        ends = {"distortion": np.stack([d - half * limit, d + half * limit], axis=1)}
        assert verdicts([point("MMSE", [1, 1], d, intervals=ends)], "rate-distortion") == [
            verdict,
            verdict,
        ]


def test_an_uncertain_rate_makes_the_limit_uncertain():
    d = closed_form.mmse(TWO, [1.0, 1.0])
    ends = {"rate": [[0.9, 1.1], [0.9, 1.1]]}
    check = validate([point("MMSE", [1, 1], d, intervals=ends)], TWO).checks[0]
    assert check.verdict == "inconclusive"
    assert check.limit_low == pytest.approx(2**-2.2)
    assert check.limit_high == pytest.approx(2**-1.8)


def test_an_uncertain_perception_makes_the_limit_uncertain():
    rates = [0.3, 0.3]
    d = closed_form.zero_perception_framewise(TWO, rates)
    ends = {"perception": [[0.0, 0.01], [0.0, 0.01]]}
    bad = point("FMD", rates, d - 1e-3, [0.0, 0.0], intervals=ends)
    assert set(verdicts([bad], "rate-distortion-perception")) == {"inconclusive"}
    worse = replace(bad, distortion=closed_form.framewise(TWO, rates, 0.011))
    assert set(verdicts([worse], "rate-distortion-perception")) == {"fail"}


def test_one_shot_rate_fails_for_a_wasteful_codec():
    d = closed_form.mmse(TWO, [1.0, 1.0])
    assert verdicts([point("MMSE", [6.9, 6.9], d)], "one-shot rate") == ["pass", "pass"]
    assert verdicts([point("MMSE", [7.1, 6.9], d)], "one-shot rate") == ["fail", "pass"]


def test_factor_two_needs_the_mmse_point_of_the_same_bytes():
    d = np.array([0.3, 0.2])
    mmse = point("MMSE", [1, 1], d)
    for plf, expected in (("FMD", ["pass", "fail"]), ("SA", ["pass", "fail"]), ("JD", [])):
        poor = point(plf, [1, 1], [0.59, 0.41], [0.1, 0.1])
        assert verdicts([mmse, poor], "factor two") == expected
        assert verdicts([replace(mmse, rate=[1.0, 1.1]), poor], "factor two") == []
        assert verdicts([replace(mmse, label="other"), poor], "factor two") == []
        assert verdicts([replace(mmse, seed=3), poor], "factor two") == []


def test_split_holds_for_any_source():
    """Without a model: the estimate's own distance from the source is the limit."""
    mmse = point("MMSE", [1], [0.3], [0.04], source="video")
    for distortion, verdict in ((0.341, "pass"), (0.339, "fail")):
        decoded = point("FMD", [1], [distortion], [0.0], source="video")
        report = validate([mmse, decoded])
        found = {check.bound: check.verdict for check in report}
        assert found == {"split": verdict, "factor two": "pass"}
    relaxed = point("FMD", [1], [0.311], [0.01], source="video")
    assert validate([mmse, relaxed]).checks[0].verdict == "pass"


def test_split_uses_the_source_when_the_estimate_has_no_distance():
    d = closed_form.mmse(TWO, [1.0, 1.0])
    mmse = point("MMSE", [1, 1], d)
    limit = closed_form.zero_perception_framewise(TWO, [1.0, 1.0])
    assert verdicts([mmse, point("FMD", [1, 1], limit, [0, 0])], "split") == ["pass", "pass"]
    assert verdicts([mmse, point("FMD", [1, 1], 0.99 * limit, [0, 0])], "split") == [
        "fail",
        "fail",
    ]


def test_own_encoders_are_matched_by_the_rates_that_are_finite():
    about = [{"encoder": "shared"}, {"encoder": "own"}, {"encoder": "own"}]
    rates = [[np.inf, 2], [np.inf, 9], [np.inf, 3]]
    points = [
        point("FMD", rate, [0, 0.1], [0, 0], provenance=known)
        for rate, known in zip(rates, about, strict=True)
    ]
    found = [check for check in validate(points, TWO) if check.bound == "universality"]
    curve = [closed_form.framewise(TWO, rate, 0.0).sum() for rate in rates]
    assert [check.point for check in found] == [0]
    assert found[0].measured == pytest.approx(curve[2] - curve[0])


def test_universality_compares_the_excess_over_the_own_curve():
    rates, other = [1.0, 1.0], [1.2, 1.2]
    zero = np.zeros(2)
    own = point(
        "FMD", other, ZERO["FMD"](TWO, other) + 0.02, zero, "own", provenance={"encoder": "own"}
    )
    for extra, verdict in ((0.01, "pass"), (0.02, "pass"), (0.03, "fail")):
        shared = point(
            "FMD",
            rates,
            ZERO["FMD"](TWO, rates) + extra,
            zero,
            "shared",
            provenance={"encoder": "shared"},
        )
        assert verdicts([shared, own], "universality") == [verdict]


@pytest.mark.parametrize("lattice", ["Z", "E8", "BW16"])
@pytest.mark.parametrize(
    ("frames", "rates"), [(2, [0.3, 2.0]), (3, [3.0, 0.5, 1.0]), (2, [5.0, 5.0])]
)
def test_the_constructive_codec_is_on_the_right_side_of_every_bound(lattice, frames, rates):
    source = GaussMarkov.stationary(rho=0.9, frames=frames)
    codec = DitheredCodec.at_rates(source, rates, lattice)
    report = validate(measure_codec(codec, n=8000, seed=1, repeats=4))
    assert report.ok, report.to_dataframe()[lambda t: t.verdict == "fail"].to_string()
    curves = [c for c in report if c.bound.startswith("rate-distortion")]
    assert sum(c.verdict == "pass" for c in curves) > len(curves) / 2


def test_a_codec_that_lies_about_its_rate_is_caught():
    codec = DitheredCodec.at_rates(TWO, [1.0, 1.0], "BW16")
    points = measure_codec(codec, n=8000, seed=1, repeats=4)
    for honest in points:
        claim = replace(honest, rate=honest.rate / 2, intervals={})
        assert not validate([claim]).ok


def test_a_codec_that_lies_about_its_perception_is_caught():
    codec = DitheredCodec.at_rates(TWO, [0.1, 1.0], "BW16")
    mmse = measure_codec(codec, n=8000, seed=1, repeats=4)[0]
    for plf in ("FMD", "JD", "SA"):
        report = validate([replace(mmse, plf=plf, perception=[0, 0], intervals={})])
        assert {check.bound for check in report.with_verdict("fail")} >= {
            "rate-distortion-perception"
        }


def test_table_goes_to_csv_and_dataframe(tmp_path):
    report = validate(on_the_curve(TWO, [1.0, 1.0]), TWO)
    report.to_csv(tmp_path / "checks.csv")
    with open(tmp_path / "checks.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(report) == len(report.to_dataframe())
    assert list(rows[0]) == [field.name for field in fields(Check)]
    assert [row["verdict"] for row in rows] == list(report.to_dataframe().verdict)
    assert validate([]).to_dataframe().empty


def test_wrong_sources_are_refused():
    one = point("MMSE", [1.0], [0.5])
    with pytest.raises(ValueError, match="points: expected 2 frames like the source, got 1"):
        validate([one], TWO)
    with pytest.raises(ValueError, match="source: expected scalar frames, got 3 modes"):
        validate([one], GaussMarkov(np.ones((1, 3))))


def test_points_find_their_estimates_and_rivals_without_comparing_all_pairs(monkeypatch):
    compared = []
    monkeypatch.setattr(np, "array_equal", lambda *pair: compared.append(pair) or False)
    rates = np.linspace(0.1, 3, 40)
    points = []
    for number, rate in enumerate(rates):
        name, sd = f"codec {number}", np.sqrt(1 - 4**-rate)
        points.append(point("MMSE", [rate], [4**-rate], label=name))
        points.append(point("FMD", [rate], [2 - 2 * sd], [0.0], label=name))
    checks = validate(points, GaussMarkov.stationary(rho=0.9, frames=1))
    assert [check.label for check in checks if check.bound == "split"] == [
        f"codec {number}" for number in range(40)
    ]
    assert not compared


def test_points_may_be_a_single_point_and_nothing_else():
    point = OperatingPoint("a", "MMSE", rate=[1.0], distortion=[0.3])
    source = GaussMarkov.stationary(rho=0.9, frames=1)
    assert validate(point, source).points == (point,)
    for bad in (3, [3]):
        with pytest.raises(ValueError, match="points: expected"):
            validate(bad)
