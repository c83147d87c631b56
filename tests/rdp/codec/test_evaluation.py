import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rdp import measure
from rdp.codec.dithered import DitheredCodec
from rdp.codec.evaluation import (
    assignment_w2,
    evaluate,
    measure_codec,
    perception_loss,
    sample_w2,
    sliced_w2,
)
from rdp.gaussian import bures
from rdp.operating_point import load_points, save_points
from rdp.perception import JD, LOSSES, perception
from rdp.source import GaussMarkov
from tests.strategies import CLOSED_FORMS

SOURCE = GaussMarkov(sigma=[1.0, 2.0, 0.5], rho=[0.9, -0.6])


@settings(max_examples=20)
@given(seed=st.integers(0, 10**6), plf=st.sampled_from(LOSSES), modes=st.sampled_from([None, 2]))
def test_perception_from_samples_is_that_of_their_second_moments(seed, plf, modes):
    """The other route: `measure.perception_of` with the moments of centred samples."""
    rng = np.random.default_rng(seed)
    shape = (50, 3) if modes is None else (50, 3, modes)
    x = rng.standard_normal(shape)
    xhat = x @ rng.standard_normal((3, 3)) if modes is None else rng.standard_normal(shape)
    xhat = xhat + rng.standard_normal(shape)
    x, xhat = x - x.mean(axis=0), xhat - xhat.mean(axis=0)
    source = GaussMarkov(np.ones(shape[1:]), np.full((2, *shape[2:]), 0.3))
    letters = "nt,ns->ts" if modes is None else "ntd,nsd->dts"
    cov = np.einsum(letters, xhat, xhat) / 50
    cross = np.einsum(letters, xhat, x) / 50
    if plf == "SA":  # the variance of X_t is that of the samples
        source = GaussMarkov(x.std(axis=0), source.rho)
    loss = perception("FMD" if plf == "MMSE" else plf)
    expected = measure.perception_of(source, cov, cross, loss)
    got = perception_loss(x, xhat, plf, source)
    np.testing.assert_allclose(got, expected, atol=1e-10)


def test_a_loss_may_be_given_in_any_form():
    x = SOURCE.sample(1000, rng=0)
    for loss in ("jd", JD(0.3)):
        np.testing.assert_array_equal(
            perception_loss(x, 0.5 * x, loss), perception_loss(x, 0.5 * x, "JD")
        )
        point = evaluate(x, 0.5 * x, [1.0, 1.0, 1.0], loss, "half")
        assert point.plf == "JD"


def test_a_shifted_mean_counts():
    x = SOURCE.sample(1000, rng=0)
    shift = np.array([1.0, 0.0, 2.0])
    np.testing.assert_allclose(perception_loss(x, x + shift, "FMD"), shift**2, atol=1e-9)
    np.testing.assert_allclose(perception_loss(x, x + shift, "JD"), np.cumsum(shift**2), atol=1e-9)


def test_intervals_cover_the_truth_as_often_as_they_say():
    """A test channel with known moments, two hundred times."""
    hits = {"distortion": [], "perception": [], "rate": []}
    distortion, loss = 0.25 + 0.04, (1 - np.sqrt(0.29)) ** 2
    for seed in range(200):
        rng = np.random.default_rng(seed)
        x = rng.standard_normal((400, 1))
        xhat = 0.5 * x + 0.2 * rng.standard_normal(x.shape)
        rates = 1 + 0.1 * rng.standard_normal((6, 1))
        point = evaluate(x, xhat, rates, "FMD", "channel", source=GaussMarkov([1.0]))
        for name, truth in (("distortion", distortion), ("perception", loss), ("rate", 1.0)):
            low, high = point.intervals[name][0]
            hits[name].append(low <= truth <= high)
    for name, inside in hits.items():
        assert 0.89 < np.mean(inside) <= 1.0, name


def test_distances_of_samples_between_gaussians():
    rng = np.random.default_rng(0)
    a = rng.standard_normal((4000, 2)) * [1.0, 2.0]
    b = rng.standard_normal((4000, 2)) * [3.0, 1.0]
    truth = float(bures(np.diag([1.0, 4.0]), np.diag([9.0, 1.0])))
    directions = rng.standard_normal((200, 2))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    assert sliced_w2(a, b, directions) < truth
    assert assignment_w2(a[:1000], b[:1000]) == pytest.approx(truth, rel=0.1)
    one = np.ones((1, 1))
    assert sliced_w2(a[:, :1], b[:, :1], one) == pytest.approx(4.0, rel=0.1)
    np.testing.assert_allclose(
        assignment_w2(a[:300, :1], b[:300, :1]), sliced_w2(a[:300, :1], b[:300, :1], one)
    )


def test_sample_distances_see_what_moments_do_not():
    rng = np.random.default_rng(1)
    x = rng.standard_normal((40_000, 2))
    coins = np.sign(rng.standard_normal(x.shape))  # mean 0, covariance I
    assert perception_loss(x, coins, "JD").max() < 1e-3
    found = sample_w2(x, coins, "JD", rng=2)
    truth = 2 * (1 - np.sqrt(2 / np.pi))  # per dimension: E(|N| - 1)^2
    assert found["sliced"][0] == pytest.approx(truth, rel=0.05)
    assert found["sliced_baseline"].max() < 1e-3
    assert found["assignment"][1] > 5 * found["assignment_baseline"][1]


def test_codec_points_agree_with_the_closed_forms_and_go_through_files(tmp_path):
    rates = [0.5, 2.0, 0.2]
    codec = DitheredCodec.at_rates(SOURCE, rates, "E8")
    points = measure_codec(codec, n=8000, seed=3, repeats=4)
    assert [point.plf for point in points] == list(LOSSES)
    for point in points:
        low, high = point.intervals["distortion"].T
        middle, half = point.distortion, (high - low) / 2
        assert (np.abs(middle - CLOSED_FORMS[point.plf](SOURCE, rates)) < 2 * half).all()
        assert (point.rate > rates).all()
        assert (point.rate < np.array(rates) + 0.2).all()
        assert point.samples == 32_000
        if point.plf != "MMSE":
            assert (point.perception < 5e-3).all()
    assert (points[0].perception > 0.05).any()
    save_points(tmp_path / "points.json", points)
    again = load_points(tmp_path / "points.json")
    assert [p.to_json() for p in again] == [p.to_json() for p in points]
    same = measure_codec(codec, n=8000, seed=3, repeats=4)
    assert [p.to_json() for p in same] == [p.to_json() for p in points]


def test_vector_frames_are_evaluated_as_a_sum_over_modes():
    source = GaussMarkov([[2.0, 0.5], [2.0, 0.5]], [[0.9, 0.1]])
    codec = DitheredCodec.at_rates(source, [[1.0, 0.0], [1.0, 0.5]])
    points = measure_codec(codec, n=10_000, seed=0, repeats=2, plfs=("MMSE", "JD"))
    assert points[0].distortion == pytest.approx(codec.mmse.sum(axis=1), rel=0.05)
    assert (points[1].perception < 0.01).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: evaluate(x, x[:, :1], [1.0, 1.0], "FMD", "a"), "xhat: expected shape"),
        (lambda x: evaluate(x, x * np.nan, [1.0, 1.0], "FMD", "a"), "xhat: expected numbers"),
        (lambda x: evaluate(x[:9], x[:9], [1.0, 1.0], "FMD", "a"), "x: expected at least 40"),
        (lambda x: evaluate(x, x, [1.0, 1.0], "GAN", "a"), "plf: expected one of"),
        (lambda x: evaluate(x, x, [1.0], "FMD", "a"), "expected shape"),
        (lambda x: sample_w2(x[:, :, None], x[:, :, None], "FMD", 0), "x: expected scalar frames"),
    ],
)
def test_wrong_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call(np.random.default_rng(0).standard_normal((100, 2)))


def test_one_stream_has_no_interval_for_the_rate():
    codec = DitheredCodec.at_rates(SOURCE, [1.0, 1.0, 1.0])
    with pytest.raises(ValueError, match="repeats: expected at least 2"):
        measure_codec(codec, n=100, seed=0, repeats=1)


@pytest.mark.parametrize(
    "bad", [{"batches": 0}, {"batches": 1}, {"confidence": 2}, {"confidence": 0}]
)
def test_options_out_of_range_are_refused_by_name(bad):
    x = np.random.default_rng(0).standard_normal((100, 2))
    with pytest.raises(ValueError, match=next(iter(bad))):
        evaluate(x, x, [1.0, 1.0], "FMD", "same", **bad)


@pytest.mark.parametrize("bad", [{"repeats": 2.5}, {"repeats": 1}, {"n": 1}, {"seed": -1}])
def test_a_measurement_refuses_bad_numbers_by_name(bad):
    codec = DitheredCodec.at_rates(GaussMarkov.stationary(rho=0.9, frames=2), [1.0, 1.0])
    with pytest.raises(ValueError, match=next(iter(bad))):
        measure_codec(codec, **{"n": 100, "seed": 0, "repeats": 2, **bad})
