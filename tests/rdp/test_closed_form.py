"""Closed forms compared with a search over schemes, with 700 digits, and with each other."""

import math

import mpmath
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.optimize import minimize

from rdp import FMD, JD, SA, GaussMarkov
from rdp.closed_form import (
    framewise,
    joint_tradeoff,
    mmse,
    rate_for_distortion,
    smallest_sd,
    zero_perception_framewise,
    zero_perception_joint,
    zero_perception_self_adaptive,
)
from rdp.measure import perception_of
from tests.gaussian_schemes import Rows, brute_force, realism_errors
from tests.strategies import CORRELATIONS, LEVELS, RATES, SIGMAS, per_frame, sources_with_rates

ZERO_PERCEPTION = {
    FMD: zero_perception_framewise,
    JD: zero_perception_joint,
    SA: zero_perception_self_adaptive,
}
EVERY = [mmse, *ZERO_PERCEPTION.values()]


BRUTE_CASES = [
    (GaussMarkov([1.0, 1.0], [0.9]), [0.5, 0.5]),
    (GaussMarkov([1.0, 2.0], [-0.6]), [1.0, 0.2]),
    (GaussMarkov([1.0, 0.7], [0.8]), [0.1, 2.0]),
    (GaussMarkov([1.0, 1.5, 0.8], [0.7, 0.9]), [0.4, 1.2, 0.3]),
    (GaussMarkov([1.0, 1.0, 1.0], [0.9, 0.9]), [0.05, 3.0, 3.0]),
    (GaussMarkov([1.0, 1.0], [0.5]), [0.0, 1.0]),
    (GaussMarkov([1.0, 1.0], [0.5]), [1.0, 0.0]),
    (GaussMarkov([1.0, 1.0, 1.0], [1.0, 0.6]), [0.4, 0.8, 0.3]),
    (GaussMarkov([1.0, 1.0, 1.0], [0.6, 0.8]), [1.0, 0.0, 0.7]),
]


@pytest.mark.parametrize(("source", "rates"), BRUTE_CASES)
@pytest.mark.parametrize("plf", [None, FMD, JD, SA])
def test_no_gaussian_scheme_found_by_search_differs(source, rates, plf):
    closed = mmse if plf is None else ZERO_PERCEPTION[plf]
    assert_allclose(brute_force(source, rates, plf), closed(source, rates), rtol=1e-5)


@pytest.mark.parametrize(("source", "rates"), BRUTE_CASES[:4])
@pytest.mark.parametrize("level", [0.01, 0.2])
def test_no_scheme_at_a_positive_level_found_by_search_differs(source, rates, level):
    levels = level * source.variance
    found = brute_force(source, rates, levels=levels)
    assert_allclose(found, framewise(source, rates, levels), rtol=1e-5)


# The formulas of the definitions, evaluated with 700 digits


def precise(source, rates, plf=None, levels=0.0, metric="w2"):
    """D_t by the textbook formulas in mpmath."""
    frames = source.frames
    levels = np.broadcast_to(levels, frames)
    out = []
    with mpmath.workdps(700):
        sigma = [mpmath.mpf(value) for value in source.sigma]
        m = d = unused = mpmath.mpf(0)
        for t in range(frames):
            rho = mpmath.mpf(source.rho[t - 1]) if t else mpmath.mpf(0)
            a = rho * sigma[t] / sigma[t - 1] if t else mpmath.mpf(0)
            q = (1 - rho**2) * sigma[t] ** 2
            v = a**2 * m + q
            rest = mpmath.mpf(0) if rates[t] == math.inf else mpmath.mpf(4) ** -mpmath.mpf(rates[t])
            k, m = mpmath.sqrt(1 - rest), rest * v
            known = mpmath.sqrt(abs(sigma[t] ** 2 - m))
            level = mpmath.mpf(levels[t])
            if plf is None:
                d = m
            elif plf is JD:
                # a frame without innovation (q = 0) keeps what it receives for the next one
                known = k**2 * v + a**2 * unused
                d = a**2 * d + 2 * (q - mpmath.sqrt(q * known))
                unused = known if q == 0 else mpmath.mpf(0)
            elif plf is SA:
                d = 2 * v * (1 - k)
            elif metric == "w2":
                d = m + max(mpmath.mpf(0), sigma[t] - known - mpmath.sqrt(level)) ** 2
            else:
                u = -mpmath.lambertw(-mpmath.exp(-1 - 2 * level)).real
                d = m + max(mpmath.mpf(0), sigma[t] * mpmath.sqrt(u) - known) ** 2
            out.append(float(d))
    return np.array(out)


@given(sources_with_rates(), st.sampled_from([None, FMD, JD, SA]))
def test_twelve_digits_at_any_rate(pair, plf):
    source, rates = pair
    closed = mmse if plf is None else ZERO_PERCEPTION[plf]
    # below 1e-300 float64 itself has fewer digits
    assert_allclose(closed(source, rates), precise(source, rates, plf), rtol=1e-12, atol=1e-300)


@given(sources_with_rates(), st.data(), st.sampled_from(["w2", "kl"]))
def test_twelve_digits_at_any_level(pair, data, metric):
    source, rates = pair
    levels = data.draw(per_frame(LEVELS.filter(math.isfinite), source.frames))
    assert_allclose(
        framewise(source, rates, levels, metric),
        precise(source, rates, FMD, levels, metric),
        rtol=1e-12,
        atol=1e-300,
    )


# Identities


@given(sources_with_rates())
def test_weaker_demands_cost_less(pair):
    source, rates = pair
    least = mmse(source, rates)
    marginal, joint, adaptive = (loss(source, rates) for loss in ZERO_PERCEPTION.values())
    slack = 1 + 1e-12
    assert (least <= marginal * slack).all()
    assert (marginal <= joint * slack).all()
    assert (marginal <= adaptive * slack).all()


@given(sources_with_rates(), st.data())
def test_more_rate_never_hurts_but_for_joint_realism_later(pair, data):
    source, rates = pair
    t = data.draw(st.integers(0, source.frames - 1))
    richer = rates.copy()
    richer[t] += data.draw(st.floats(0, 3) | st.just(math.inf))
    slack = 1 + 1e-12
    for closed in (mmse, zero_perception_framewise, zero_perception_self_adaptive):
        assert (closed(source, richer) <= closed(source, rates) * slack + 1e-300).all()
    joint = zero_perception_joint(source, richer)[: t + 1]
    assert (joint <= zero_perception_joint(source, rates)[: t + 1] * slack + 1e-300).all()


def test_a_better_past_can_hurt_under_joint_realism():
    """Frame 2 must keep the correlation with a good frame 1, at a rate too low for it."""
    source = GaussMarkov.stationary(0.95, 2)
    rich, poor = zero_perception_joint(source, [[3.0, 0.05], [0.5, 0.05]])
    assert rich[0] < poor[0]
    better = joint_tradeoff(source, [3.0, 0.05], np.linspace(0, 1, 101))[:, 1]
    assert better.min() < better[-1] - 0.01


@given(sources_with_rates(), LEVELS, LEVELS, st.sampled_from(["w2", "kl"]))
def test_looser_levels_cost_less(pair, first, second, metric):
    source, rates = pair
    tight, loose = sorted([first, second])
    ceiling = framewise(source, rates, tight, metric)
    assert (framewise(source, rates, loose, metric) <= ceiling * (1 + 1e-12)).all()
    assert_allclose(framewise(source, rates, math.inf, metric), mmse(source, rates), rtol=1e-15)


@given(sources_with_rates(rates=st.floats(0, 12) | st.just(math.inf)), st.floats(1e-50, 1e50))
def test_units_do_not_matter(pair, factor):
    source, rates = pair
    for closed in EVERY:
        scaled = closed(source.scaled(factor), rates) / factor**2
        assert_allclose(scaled, closed(source, rates), rtol=1e-12, atol=1e-200)


@given(sources_with_rates(), st.integers(0, 2))
def test_the_sign_of_the_correlation_does_not_matter(pair, place):
    source, rates = pair
    assume(source.frames > 1)
    rho = source.rho.copy()
    rho[place % len(rho)] *= -1
    for closed in EVERY:
        assert_allclose(closed(GaussMarkov(source.sigma, rho), rates), closed(source, rates))


@given(SIGMAS, RATES)
def test_one_frame_is_the_same_for_all_losses(sigma, rate):
    source = GaussMarkov([sigma])
    values = [closed(source, [rate])[0] for closed in ZERO_PERCEPTION.values()]
    assert_allclose(values, precise(source, [rate], FMD)[0], rtol=1e-12, atol=1e-300)


@given(sources_with_rates(correlations=st.just(0.0)))
def test_independent_frames_are_coded_alone(pair):
    source, rates = pair
    for closed in EVERY:
        alone = [closed(GaussMarkov([s]), [r])[0] for s, r in zip(source.sigma, rates, strict=True)]
        assert_allclose(closed(source, rates), alone, rtol=1e-14)


@given(st.sampled_from([-1.0, 1.0]), st.lists(st.floats(0, 4), min_size=1, max_size=4))
def test_a_frozen_source_is_refined(sign, rates):
    """At |rho| = 1 rates add up; joint realism repeats frame 1."""
    source = GaussMarkov.stationary(sign, len(rates))
    assert_allclose(mmse(source, rates), 4.0 ** -np.cumsum(rates))
    total = np.cumsum(rates)
    assert_allclose(
        zero_perception_framewise(source, rates),
        [precise(GaussMarkov([1.0]), [rate], FMD)[0] for rate in total],
    )
    first = precise(GaussMarkov([1.0]), rates[:1], JD)[0]
    assert_allclose(zero_perception_joint(source, rates), np.full(len(rates), first))


@given(sources_with_rates(rates=st.just(0.0)))
def test_no_rate_costs_twice_the_variance(pair):
    source, rates = pair
    assert_allclose(mmse(source, rates), source.variance, rtol=1e-14)
    for closed in ZERO_PERCEPTION.values():
        assert_allclose(closed(source, rates), 2 * source.variance, rtol=1e-14)


@given(sources_with_rates(rates=st.just(math.inf)))
def test_infinite_rate_costs_nothing(pair):
    source, rates = pair
    for closed in EVERY:
        assert (closed(source, rates) == 0).all()


@given(CORRELATIONS, st.integers(2, 6), SIGMAS)
def test_error_permanence(rho, frames, sigma):
    """R_1 = 0, later rates infinite: only joint realism keeps the error, with gain rho^2."""
    source = GaussMarkov.stationary(rho, frames, sigma)
    rates = [0.0, *[math.inf] * (frames - 1)]
    assert (zero_perception_framewise(source, rates)[1:] == 0).all()
    assert (zero_perception_self_adaptive(source, rates)[1:] == 0).all()
    power = rho ** (2.0 * np.arange(frames - 1))
    kept = 2 * sigma**2 * power * (1 - math.sqrt((1 - rho) * (1 + rho)))
    joint = zero_perception_joint(source, rates)[1:]
    assert_allclose(joint, kept, rtol=1e-12, atol=1e-15 * sigma**2)


@given(st.floats(-0.95, 0.95), st.floats(0.05, 6))
@settings(max_examples=30)
def test_joint_realism_is_free_in_steady_state(rho, rate):
    frames = 400
    source, rates = GaussMarkov.stationary(rho, frames), np.full(400, rate)
    joint = zero_perception_joint(source, rates)[-1]
    assert_allclose(joint, zero_perception_framewise(source, rates)[-1], rtol=1e-9)
    if abs(rho) > 0.1 and rate < 3:
        assert zero_perception_self_adaptive(source, rates)[-1] > joint * (1 + 1e-6)


@given(sources_with_rates(), st.sampled_from(EVERY))
def test_leading_axes_broadcast(pair, closed):
    source, rates = pair
    stack = np.stack([rates, np.zeros_like(rates), rates + 1.0])
    batch = closed(source, stack[:, None].repeat(5000, axis=1))
    assert batch.shape == (3, 5000, source.frames)
    for row, given_rates in zip(batch, stack, strict=True):
        assert_allclose(row[0], closed(source, given_rates), rtol=1e-14)
        assert (row == row[0]).all()


@given(sources_with_rates(modes=3), st.sampled_from(EVERY))
def test_modes_are_coded_one_by_one(pair, closed):
    source, rates = pair
    together = closed(source, rates)
    for mode in range(3):
        assert_allclose(together[:, mode], closed(source.mode(mode), rates[:, mode]), rtol=1e-14)


def test_levels_broadcast_with_rates():
    source, rates = GaussMarkov.stationary(0.8, 3), np.linspace(0, 2, 15).reshape(5, 3)
    levels = np.linspace(0, 1, 4)[:, None, None]
    batch = framewise(source, rates, levels)
    assert batch.shape == (4, 5, 3)
    for i in range(4):
        assert_allclose(batch[i], framewise(source, rates, levels[i, 0, 0]))


# Rates for distortions


@given(sources_with_rates(rates=st.floats(0, 8), correlations=st.floats(-0.99, 0.99)))
def test_rates_come_back_from_their_distortions(pair):
    source, rates = pair
    back = rate_for_distortion(source, mmse(source, rates))
    assert_allclose(back, rates, rtol=1e-9, atol=1e-12)


@given(sources_with_rates(rates=st.floats(0, 3, allow_subnormal=False)))
def test_rates_reach_the_distortions(pair):
    """Any targets: the rates reach them where they bind, and are zero where they do not."""
    source, targets = pair
    rates = rate_for_distortion(source, targets)
    reached = mmse(source, rates)
    assert (reached <= targets * (1 + 1e-12)).all()
    assert_allclose(reached[rates > 0], targets[rates > 0], rtol=1e-12)


def test_zero_distortion_needs_an_infinite_rate_unless_nothing_is_new():
    source = GaussMarkov([1.0, 1.0, 1.0], [1.0, 0.5])
    assert rate_for_distortion(source, [0.0, 0.0, 0.0]).tolist() == [math.inf, 0.0, math.inf]


# The exchange between two frames, and the smallest deviation


@given(sources_with_rates(min_frames=2, max_frames=2), st.floats(0, 1))
def test_tradeoff_ends_at_the_sequential_scheme(pair, alpha):
    source, rates = pair
    ends = joint_tradeoff(source, rates, [1.0, alpha])
    assert_allclose(ends[0], zero_perception_joint(source, rates), rtol=1e-12, atol=1e-300)
    assert ends[1, 0] >= ends[0, 0] * (1 - 1e-12)


@given(sources_with_rates(min_frames=2, max_frames=2), st.floats(0, 1))
def test_twelve_digits_of_the_tradeoff(pair, alpha):
    source, rates = pair
    with mpmath.workdps(700):
        rho, share = mpmath.mpf(source.rho[0]), mpmath.mpf(alpha)
        rest = [mpmath.mpf(0) if r == math.inf else mpmath.mpf(4) ** -mpmath.mpf(r) for r in rates]
        first = 1 - rest[0]
        second = 1 - rest[1] * (rho**2 * rest[0] + 1 - rho**2)
        c1 = share * mpmath.sqrt(first)
        fresh = mpmath.sqrt(abs(second - (rho * c1) ** 2))
        c2 = rho**2 * c1 + mpmath.sqrt(1 - rho**2) * fresh
        expected = [float(2 * v * (1 - c)) for v, c in zip(source.variance, (c1, c2), strict=True)]
    found = joint_tradeoff(source, rates, alpha)
    assert_allclose(found, expected, rtol=1e-12, atol=1e-300)


@pytest.mark.parametrize("alpha", [0.0, 0.4, 0.9])
def test_tradeoff_is_what_search_finds(alpha):
    """The first frame as given, the second by brute force."""
    source, rates = GaussMarkov([1.0, 1.5], [0.8]), [2.0, 0.3]
    rows = Rows(source)
    unit = source.sigma[0] / math.sqrt(source.variance[0] - mmse(source, rates)[0])
    scale = mmse(source, rates)[0]  # X_1 + N with N such that the error is m_1
    weight = (source.variance[0] - scale) / source.variance[0]
    first = np.array([alpha * unit * weight, source.sigma[0] * math.sqrt(1 - alpha**2)])
    rows.u, rows.xhat = rows.extended(first, rates[0])
    assert_allclose(rows.xhat[0] @ rows.xhat[0], source.variance[0])

    def errors(variables):
        return realism_errors(JD, rows, rows.extended(variables, rates[1])[1])

    rng, found = np.random.default_rng(0), []
    for _ in range(6):
        result = minimize(
            lambda v: ((rows.x[1] - rows.extended(v, rates[1])[1][1]) ** 2).sum(),
            rows.start(rng),
            method="SLSQP",
            constraints=[{"type": "eq", "fun": errors}],
            options={"maxiter": 500, "ftol": 1e-13},
        )
        if np.abs(errors(result.x)).max() < 1e-8:
            found.append(result.fun)
    assert_allclose(min(found), joint_tradeoff(source, rates, alpha)[1], rtol=1e-5)


@given(SIGMAS, LEVELS)
def test_smallest_deviation_is_at_the_level(sigma, level):
    source = GaussMarkov([sigma])
    for metric in ("w2", "kl"):
        least = smallest_sd(sigma, level, metric)
        assert 0 <= least <= sigma
        found = perception_of(source, np.array([[least**2]]), np.zeros((1, 1)), FMD(metric=metric))
        if least > 0:
            assert_allclose(found, level, rtol=1e-6, atol=1e-14 * sigma**2)
        else:
            assert found <= level


# Bad input


@pytest.mark.parametrize("closed", EVERY)
def test_bad_rates_are_named(closed):
    source = GaussMarkov.stationary(0.9, 3)
    with pytest.raises(ValueError, match=r"rates: expected shape \(\.\.\., 3\) for 3 frames, got"):
        closed(source, [1.0, 1.0])
    with pytest.raises(ValueError, match=r"rates: expected values >= 0, got -1"):
        closed(source, [1.0, -1.0, 0.0])
    with pytest.raises(ValueError, match=r"rates: expected numbers, got NaN"):
        closed(source, [1.0, math.nan, 0.0])
    with pytest.raises(ValueError, match=r"rates: expected numbers, got"):
        closed(source, ["fast", 1.0, 1.0])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda s: framewise(s, [1, 1], -1.0), "levels: expected values >= 0, got -1"),
        (lambda s: framewise(s, [1, 1], math.nan), "levels: expected numbers, got NaN"),
        (lambda s: framewise(s, [1, 1], [1, 1, 1]), "levels: expected a shape that broadcasts"),
        (lambda s: framewise(s, [1, 1], 0.0, "js"), "metric: expected 'w2' or 'kl', got 'js'"),
        (lambda s: rate_for_distortion(s, [1.0]), r"distortion: expected shape \(\.\.\., 2\)"),
        (lambda s: rate_for_distortion(s, [1, -1]), "distortion: expected values >= 0, got -1"),
        (lambda s: joint_tradeoff(s, [1, 1], 1.5), r"alpha: expected values in \[0, 1\], got 1.5"),
        (lambda s: joint_tradeoff(s, [1, 1], -0.5), "alpha: expected values >= 0"),
        (
            lambda s: joint_tradeoff(GaussMarkov.stationary(0.5, 3), [1, 1, 1], 0.5),
            "source: expected two scalar frames",
        ),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call(GaussMarkov.stationary(0.9, 2))
