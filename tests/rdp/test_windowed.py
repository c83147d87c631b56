"""PLF-JD(w): the recursion against a semidefinite program, simulation, and its two ends."""

import math
import warnings

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from rdp import GaussMarkov
from rdp.closed_form import zero_perception_framewise, zero_perception_joint
from rdp.gaussian import bures
from rdp.mmse import estimate_factor, mmse_recursion
from rdp.windowed import windowed_scheme, zero_perception_windowed
from tests.strategies import sources_with_rates

REGULAR = st.floats(-0.98, 0.98)  # each frame brings something new


def semidefinite(source, rates, window):
    """Least D_1, then D_2 given that, .., by one semidefinite program for each frame.

    The decoder's white variables are u_1..u_t and the noises so far. The new frame has second
    moments k with them, and its covariance with the last w - 1 reconstructions is the source's.
    """
    import cvxpy as cp

    frames, cov = source.frames, source.covariance()
    factor, m = estimate_factor(source, rates), mmse_recursion(source, rates).mmse
    rows, out = np.zeros((frames, 2 * frames)), np.zeros(frames)
    for t in range(frames):
        estimate = np.append(factor[t], np.zeros(frames)) / source.sigma[t]
        matrix = cp.Variable((2 * frames + 1, 2 * frames + 1), PSD=True)
        k = matrix[-1, :-1]
        constraints = [matrix[:-1, :-1] == np.eye(2 * frames), matrix[-1, -1] == 1]
        constraints.append(k[frames + t :] == 0)  # noise of this frame and later ones
        for s in range(max(0, t - window + 1), t):
            target = cov[s, t] / (source.sigma[s] * source.sigma[t])
            constraints.append(rows[s] @ k / source.sigma[s] == target)
        problem = cp.Problem(cp.Maximize(estimate @ k), constraints)
        accuracy = dict.fromkeys(("tol_gap_abs", "tol_gap_rel", "tol_feas"), 1e-9)
        with warnings.catch_warnings():  # the comparison says whether it is accurate enough
            warnings.simplefilter("ignore")
            problem.solve(cp.CLARABEL, **accuracy)
        row = k.value
        row[frames + t] = math.sqrt(max(1 - row @ row, 0.0))
        rows[t] = source.sigma[t] * row
        error = (1 - estimate @ estimate) if t == 0 else m[t] / source.variance[t]
        out[t] = source.variance[t] * (error + ((row - estimate) ** 2).sum())
    return out


@settings(max_examples=12)
@given(
    sources_with_rates(
        min_frames=2, max_frames=4, correlations=REGULAR, rates=st.floats(0.05, 5.0)
    ),
    st.data(),
)
def test_the_recursion_is_what_a_semidefinite_program_finds(drawn, data):
    source, rates = drawn
    window = data.draw(st.integers(1, source.frames))
    expected = semidefinite(source, rates, window) / source.variance
    found = zero_perception_windowed(source, rates, window) / source.variance
    assert_allclose(found, expected, atol=2e-6)


@given(sources_with_rates(min_frames=1, max_frames=7), st.data())
def test_the_scheme_keeps_every_window_and_has_the_distortion_of_the_recursion(drawn, data):
    source, rates = drawn
    window = data.draw(st.integers(1, source.frames))
    scheme = windowed_scheme(source, rates, window)
    unit = scheme.cov_xhat / np.outer(source.sigma, source.sigma)
    target = source.covariance() / np.outer(source.sigma, source.sigma)
    near = np.abs(np.subtract.outer(np.arange(source.frames), np.arange(source.frames))) < window
    assert_allclose(unit[near], target[near], atol=1e-9)
    # a row of noise in place of a residual below rounding changes no more than its square root
    assert_allclose(
        scheme.distortion / source.variance,
        zero_perception_windowed(source, rates, window) / source.variance,
        atol=1e-9,
    )
    assert (np.triu(scheme.decoder, 1) == 0).all()
    assert (np.triu(scheme.noise, 1) == 0).all()


@given(sources_with_rates(min_frames=1, max_frames=7))
def test_a_window_of_one_frame_is_framewise_and_of_all_frames_joint(drawn):
    source, rates = drawn
    one = zero_perception_windowed(source, rates, 1)
    every = zero_perception_windowed(source, rates, source.frames)
    assert_allclose(one, zero_perception_framewise(source, rates), rtol=1e-12)
    expected = zero_perception_joint(source, rates) if source.frames > 1 else one
    assert_allclose(every, expected, rtol=1e-11, atol=1e-300)


@given(sources_with_rates(min_frames=2, max_frames=7))
def test_every_window_lies_between_framewise_and_joint(drawn):
    source, rates = drawn
    each = np.array([zero_perception_windowed(source, rates, w + 1) for w in range(source.frames)])
    assert (each >= each[0] - 1e-9 * source.variance).all()
    assert (each <= each[-1] + 1e-9 * source.variance).all()


@given(
    sources_with_rates(
        min_frames=2,
        max_frames=7,
        correlations=REGULAR.filter(lambda rho: abs(rho) > 0.2),
        rates=st.sampled_from([0.0, math.inf]) | st.floats(0.05, 6.0),
    )
)
def test_the_first_frame_that_a_larger_window_changes_gets_worse(drawn):
    # the sets of schemes are nested, and the sequential objective compares frames in this order
    source, rates = drawn
    each = [zero_perception_windowed(source, rates, w + 1) for w in range(source.frames)]
    for change in np.diff(each, axis=0) / source.variance:
        changed = np.abs(change) > 1e-14
        first = change[changed.argmax()] if changed.any() else 0.0
        assert first > -1e-12  # rounding
        assume(not 0 < np.abs(first) < 1e-9)


def test_a_later_frame_may_gain_from_a_larger_window():
    # four frames of memory force frames 2 to 4 to keep what three forget, and frame 5 uses it
    source = GaussMarkov.stationary(rho=0.86, frames=5)
    rates = [0.0, 1.0, 0.1, 1.0, 0.0]
    for window, last in ((3, 0.8612), (4, 0.5414)):
        found = zero_perception_windowed(source, rates, window)
        assert_allclose(found[-1], last, atol=5e-5)
        assert_allclose(found, semidefinite(source, np.array(rates), window), atol=2e-6)


@given(sources_with_rates(min_frames=3, max_frames=7, correlations=REGULAR))
def test_two_frames_have_the_scalar_recursion_of_their_correlation(drawn):
    source, rates = drawn
    known = mmse_recursion(source, rates).variance / source.variance
    c = math.sqrt(known[0])
    out = [c]
    for t in range(1, source.frames):
        rho = source.rho[t - 1]
        rest = max(known[t] - rho**2 * c**2, 0.0)
        c = rho**2 * c + math.sqrt(1 - rho**2) * math.sqrt(rest)
        out.append(c)
    found = zero_perception_windowed(source, rates, 2) / source.variance
    assert_allclose(found, 2 * (1 - np.array(out)), atol=1e-7)  # the root of a rounding error


@pytest.mark.parametrize("window", [1, 2, 3, 4])
@pytest.mark.parametrize(
    ("sigma", "rho", "rates"),
    [
        ([1.0, 1.0, 1.0, 1.0], [0.9, 0.9, 0.9], [0.0, 3.0, 3.0, 3.0]),
        ([1.0, 2.0, 0.5, 1.0], [0.5, -0.9, 0.7], [1.0, 0.0, math.inf, 0.2]),
        ([1.0, 2.0, 2.0, 1.0], [1.0, 0.8, 0.0], [0.1, 4.0, 0.0, 1.0]),
    ],
)
def test_the_scheme_can_be_simulated(sigma, rho, rates, window):
    source, n = GaussMarkov(sigma, rho), 100_000
    x, xhat = windowed_scheme(source, rates, window).simulate(n, rng=1)
    error = (x - xhat) ** 2
    spread = error.std(axis=0) / math.sqrt(n) + 1e-12 * source.variance
    expected = zero_perception_windowed(source, rates, window)
    assert (np.abs(error.mean(axis=0) - expected) <= 4 * spread).all()
    last = slice(source.frames - window, source.frames)
    seen = np.cov(xhat[:, last].T).reshape(window, window)
    target = source.covariance()[last, last]
    assert bures(seen, target) <= 1e-3 * np.trace(target)


def test_values_after_a_lost_frame():
    source = GaussMarkov.stationary(rho=0.9, frames=4)
    last = [zero_perception_windowed(source, [0.05, 8, 8, 8], w)[-1] for w in (1, 2, 3, 4)]
    assert last[0] < 1e-4
    assert_allclose(last[1:], [0.0476, 0.1954, 0.4809], atol=5e-5)
    source = GaussMarkov.stationary(rho=0.9, frames=6)
    rates = [0.0, *[math.inf] * 5]
    two = [1.12822, 0.49196, 0.13817, 0.01598, 0.00026]
    joint = [1.12822, 0.91386, 0.74023, 0.59958, 0.48566]
    assert_allclose(zero_perception_windowed(source, rates, 2)[1:], two, atol=5e-6)
    assert_allclose(zero_perception_windowed(source, rates, 6)[1:], joint, atol=5e-6)


@given(sources_with_rates(min_frames=2, max_frames=4, modes=2), st.data())
def test_modes_and_leading_axes_are_points_of_their_own(drawn, data):
    source, rates = drawn
    window = data.draw(st.integers(1, source.frames))
    both = zero_perception_windowed(source, np.stack([rates, rates]), window)
    for mode in range(2):
        alone = zero_perception_windowed(source.mode(mode), rates[:, mode], window)
        assert_allclose(both[:, :, mode], [alone, alone], rtol=1e-12, atol=1e-300)


@given(sources_with_rates(min_frames=2, max_frames=5), st.floats(0.1, 10.0), st.data())
def test_units_of_the_source_scale_the_distortion(drawn, factor, data):
    source, rates = drawn
    window = data.draw(st.integers(1, source.frames))
    assume(np.isfinite(factor))
    scaled = zero_perception_windowed(source.scaled(factor), rates, window)
    assert_allclose(scaled, factor**2 * zero_perception_windowed(source, rates, window), rtol=1e-9)


@pytest.mark.parametrize(
    ("window", "message"), [(0, "integer >= 1"), (3, "at most 2"), (1.5, "integer"), (True, "got")]
)
def test_a_window_outside_the_frames_is_refused(window, message):
    source = GaussMarkov.stationary(rho=0.9, frames=2)
    for function in (zero_perception_windowed, windowed_scheme):
        with pytest.raises(ValueError, match=f"window: .*{message}"):
            function(source, [1, 1], window)


def test_a_scheme_is_for_one_point_of_scalar_frames():
    with pytest.raises(ValueError, match="source: expected scalar frames, got 2 modes"):
        windowed_scheme(GaussMarkov(np.ones((2, 2)), 0.5), np.ones((2, 2)), 1)
    with pytest.raises(ValueError, match=r"rates: expected shape \(2,\), got \(1, 2\)"):
        windowed_scheme(GaussMarkov.stationary(rho=0.9, frames=2), [[1, 1]], 1)
