"""steady_state of sources of any order: limits of long problems, spectra, simulation, refusals."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from rdp import CP, FMD, JD, SA, AutoRegressive, GaussMarkov, LinearFrames, Problem, StateSpace
from solvers import SolverError, solve, steady_state
from solvers.linear.decoder import reconstruct
from solvers.linear.joint_encoder import joint_encoder
from solvers.linear.measurement import represent
from solvers.linear.spectral import spectral_joint

PAIR = AutoRegressive.from_poles(0.95 * np.exp([0.3j, -0.3j]))
OTHER = AutoRegressive.from_poles(0.9 * np.exp([0.5j, -0.5j]))
LOSSES = [None, FMD(0.0), FMD(0.01), FMD(0.02, "kl"), CP(0.0), CP(0.02), SA(0.0), JD(0.0)]
WINDOWS = [JD(0.0, window=1), JD(0.0, window=2), JD(0.0, window=3)]
PERIODS = st.lists(st.sampled_from([0.0]) | st.floats(0.05, 5.0), min_size=1, max_size=4)


@pytest.mark.parametrize(
    ("source", "values", "digits"),
    [
        (PAIR, (0.0558, 0.0566, 0.1199), 4),
        (OTHER, (0.153229, 0.159596, 0.220218), 6),
        (AutoRegressive([0.9]), (0.159664, 0.166603, 0.166603), 6),
    ],
    ids=["pair", "other", "first order"],
)
def test_printed_values_by_two_routes(source, values, digits):
    found = [steady_state(source, 0.5, loss) for loss in (None, FMD(0.0), JD(0.0))]
    assert tuple(round(state.mean, digits) for state in found) == values
    for state in found:
        assert -1e-12 <= state.mean - state.lower_bound <= 1e-8
    by_spectra = spectral_joint(source, 0.5, found[2].measurement)
    assert_allclose(by_spectra.distortion, found[2].mean, atol=1e-8)
    # the first frames, by the sequential decoder over a finite horizon, approach them
    for state in found:
        assert_allclose(state.approach(200)[-1], state.distortion, atol=1e-6)
    assert round(steady_state(PAIR, 0.5, JD(0.0), encoder="optimal").mean, 4) == 0.0977


@settings(max_examples=20)
@given(st.floats(-0.97, 0.97), st.floats(0.05, 5.0), st.sampled_from(LOSSES + WINDOWS))
def test_first_order_at_a_constant_rate_equals_the_closed_forms(rho, rate, loss):
    same = steady_state(GaussMarkov.stationary(rho, 2), rate, loss)
    for encoder in ("mmse", "optimal"):
        if encoder == "optimal" and (isinstance(loss, SA) or loss in WINDOWS):
            continue
        found = steady_state(AutoRegressive(rho), rate, loss, encoder=encoder)
        assert_allclose(found.distortion, same.distortion, atol=1e-9)
        assert_allclose(found.mmse, same.mmse, atol=1e-10)
    if loss not in WINDOWS:
        assert_allclose(found.contraction, same.contraction, atol=1e-6)


@settings(max_examples=15)
@given(st.floats(-0.9, 0.9), PERIODS, st.sampled_from(LOSSES))
def test_first_order_at_rates_that_repeat(rho, period, loss):
    same = steady_state(GaussMarkov.stationary(rho, 2), period, loss)
    found = steady_state(AutoRegressive(rho), period, loss)
    assert_allclose(found.distortion, same.distortion, atol=1e-9)
    if isinstance(loss, JD):  # the best mean over the period, not the sequential rule
        found = steady_state(AutoRegressive(rho), period, loss, objective="mean")
        assert found.mean <= same.mean + 1e-9
        assert found.lower_bound <= found.mean
        assert found.error < 1e-7


@pytest.mark.parametrize("loss", [*LOSSES[:-1], *WINDOWS])
@pytest.mark.parametrize("period", [[0.5], [1.5, 0.2, 0.4]])
def test_the_limit_is_the_end_of_a_long_sequence(loss, period):
    found = steady_state(OTHER, period, loss)
    first = found.approach(240 // len(period))
    assert first.shape == (240 // len(period), len(period))
    assert_allclose(first[-1], found.distortion, atol=2e-7)
    if loss is not None and not isinstance(loss, CP):
        name = "FMD" if isinstance(loss, FMD) or loss is WINDOWS[0] else loss.name[:2]
        if np.any(loss.levels):
            return
        sent = represent(OTHER, np.tile(period, 120 // len(period)), found.measurement)
        width = loss.window if name == "JD" else None
        made = reconstruct(OTHER.covariance(len(sent.rates)), sent.factor, name, width)
        assert_allclose(made.distortion, first.ravel()[: len(sent.rates)], atol=1e-9)


def test_each_frame_of_a_period_by_the_moments_of_its_own_decoder():
    """At rates that change the best decoder is not the sequential one; its frames add up."""
    period = [2.25] + 7 * [0.25]
    found = steady_state(PAIR, period, JD(0.0))
    assert found.mean < 0.9 * found.approach(60)[-1].mean()
    assert 0 <= found.mean - found.lower_bound <= 1e-8
    weights = np.zeros(8 * 40)
    weights[8 * 10 : 8 * 20] = 1 / 80
    problem = Problem(PAIR, np.tile(period, 40), JD(0.0), weights, encoder="mmse")
    finite = solve(problem)
    # another measurement (the frame itself), but the same shape over the period
    middle = finite.distortion[8 * 12 : 8 * 18].reshape(6, 8).mean(axis=0)
    assert np.argmax(middle) == np.argmax(found.distortion)
    assert_allclose(middle, found.distortion, rtol=0.5)


def test_an_encoder_made_for_the_loss():
    found = steady_state(PAIR, 0.5, JD(0.0), encoder="optimal")
    best = joint_encoder(PAIR, 0.5)
    assert_allclose(found.mean, best.joint, atol=1e-8)
    assert found.lower_bound == best.lower_bound
    assert found.mmse[0] > steady_state(PAIR, 0.5).mean
    for rate in (0.0, np.inf):
        edge = steady_state(PAIR, rate, JD(0.0), encoder="optimal")
        assert_allclose(edge.mean, 2.0 if rate == 0 else 0.0, atol=1e-9)


@pytest.mark.parametrize(
    "loss", [SA(0.0), SA(0.001), JD(0.0, window=2), JD(1e-5), JD(0.001), JD(0.1)], ids=repr
)
def test_the_better_of_two_encoders_where_no_program_is_known(loss):
    found, plain = steady_state(PAIR, 0.5, loss, encoder="optimal"), steady_state(PAIR, 0.5, loss)
    assert found.lower_bound <= found.mean <= plain.mean * (1 + 1e-12)
    assert_allclose(found.error, found.mean - found.lower_bound, atol=1e-12)
    framewise = steady_state(PAIR, 0.5, FMD(loss.levels))
    assert_allclose(found.lower_bound, framewise.lower_bound, rtol=1e-9)
    if loss.name.startswith("JD") and np.all(loss.levels < 1e-4):
        assert found.mean < 0.9 * plain.mean  # measured for JD
    if np.all(loss.levels == 0.1):
        assert found.error <= 1e-6  # the threshold does not bind


@pytest.mark.parametrize("encoder", ["mmse", "optimal"])
@pytest.mark.parametrize("loss", [FMD(0.0), JD(0.0), JD(0.0, window=2), SA(0.005)], ids=repr)
def test_the_start_and_what_no_frame_shows_do_not_matter(loss, encoder):
    a, w, h, first = PAIR.realisation()
    hidden = np.pad(first, (0, 1))
    hidden[2, 2] = 1 / (1 - 0.4**2)
    wide, noise = np.pad(a, (0, 1)), np.pad(w, (0, 1))
    wide[2, 2], noise[2, 2] = 0.4, 1.0
    same = steady_state(PAIR, 0.5, loss, encoder=encoder)
    for source in (StateSpace(a, w, h, np.zeros((2, 2))), StateSpace(a, w, h, 30 * first),
                   StateSpace(wide, noise, np.pad(h, ((0, 0), (0, 1))), hidden)):  # fmt: skip
        found = steady_state(source, 0.5, loss, encoder=encoder)
        assert_allclose(found.distortion, same.distortion, rtol=1e-8)
        assert_allclose(found.error, same.error, atol=1e-9)
        if not (loss is not None and np.any(loss.levels) and loss.name in ("SA", "JD")):
            first_frames = found.approach(2)  # from the start that the source has
            assert np.isfinite(first_frames).all()
            if not source.initial.any():
                assert first_frames[0, 0] == 0.0


@pytest.mark.parametrize("rate", [16.0, 20.0, 30.0])
@pytest.mark.parametrize("loss", [JD(0.0), SA(0.0), JD(0.01)], ids=repr)
def test_encoders_agree_at_high_rates(loss, rate):
    """Where float64 does not resolve the encoder made for PLF-JD, the other one has its bound."""
    found = steady_state(PAIR, rate, loss, encoder="optimal")
    plain = steady_state(PAIR, rate, loss)
    assert_allclose(found.mean, plain.mean, rtol=1e-6)
    assert 0 < found.lower_bound <= found.mean
    assert found.mean - found.lower_bound <= 1e-6 * found.mean


def test_simulation_of_the_self_adaptive_limit():
    frames, n = 40, 20_000
    found = steady_state(OTHER, 0.5, SA(0.0))
    sent = represent(OTHER, np.full(frames, 0.5), found.measurement)
    made = reconstruct(OTHER.covariance(frames), sent.factor, "SA")
    x, u = sent.simulate(n, rng=5)
    error = (x[:, -1] - made.decode(u, rng=6)[:, -1]) ** 2
    assert abs(error.mean() - found.mean) < 4 * error.std() / n**0.5


def test_edges():
    for loss in [*LOSSES, *WINDOWS]:
        nothing = steady_state(PAIR, 0.0, loss).mean
        everything = steady_state(PAIR, np.inf, loss).mean
        assert_allclose(everything, 0.0, atol=1e-9)
        if loss is None or (isinstance(loss, CP) and not loss.levels):
            assert_allclose(nothing, 1.0 if loss is None else 2.0)
        elif not np.any(loss.levels):
            assert_allclose(nothing, 2.0, atol=1e-9)
    hidden = StateSpace(np.diag([0.9, 1.2]), np.eye(2) * 0.19, [1.0, 0.0], np.eye(2))
    shown = steady_state(hidden, 0.5, JD(0.0))
    assert_allclose(shown.mean, 0.166603, atol=1e-6)
    same = steady_state(LinearFrames(OTHER, 3), 0.5, JD(0.0))
    assert_allclose(same.mean, 0.220218, atol=1e-6)
    for poles in ([0.9] * 3, [0.99, 0.99], 0.999 * np.exp([0.2j, -0.2j])):
        source = AutoRegressive.from_poles(poles)
        found = [steady_state(source, 0.5, loss).mean for loss in (None, FMD(0.0), JD(0.0))]
        assert found[0] <= found[1] <= found[2] <= 2
    moving = StateSpace.arma([0.9], [0.5], sigma=3.0)
    assert steady_state(moving, 0.5, JD(0.0)).error < 1e-8


def test_what_is_not_covered_is_refused_by_name():
    with pytest.raises(SolverError, match="P > 0 with thresholds of which some are inf"):
        steady_state(PAIR, [0.5, 1.0], JD([0.1, np.inf]))
    with pytest.raises(SolverError, match=r"PLF-JD\(2\) has not settled after"):
        steady_state(AutoRegressive.from_poles([0.999, 0.999]), 0.05, JD(0.0, window=2))
    walk = StateSpace([[1.0]], [[1.0]], [1.0], [[1.0]])
    with pytest.raises(ValueError, match="poles inside the unit circle"):
        steady_state(walk, 0.5)
    with pytest.raises(ValueError, match="encoder: expected 'mmse' or 'optimal'"):
        steady_state(PAIR, 0.5, encoder="best")
    with pytest.raises(ValueError, match="expected one number or one period"):
        steady_state(PAIR, [[0.5]])


def test_ill_conditioned_sources_are_certified_or_refused():
    """Nearly unit and repeated poles, rates from nothing to 8 bits."""
    sources = [[0.999, 0.999], [0.9999], 0.9999 * np.exp([0.01j, -0.01j])]
    certified, refusals = 0, set()
    for poles in sources:
        for rate in (1e-6, 0.5, 8.0):
            source = AutoRegressive.from_poles(poles)
            try:
                found = [steady_state(source, rate, loss) for loss in (None, FMD(0.0), JD(0.0))]
            except (SolverError, ValueError) as error:
                refusals.add(str(error))
                continue
            certified += 1
            least, framewise, joint = (state.mean for state in found)
            assert least <= framewise * (1 + 1e-9) <= 2 * least + 1e-9
            assert framewise <= joint * (1 + 1e-6) + 1e-9
            for state in found:
                assert state.mean - state.lower_bound <= 3e-3 * (state.mean + 1e-6)
    assert certified >= 5
    assert all("poles too near the" in text for text in refusals)


def test_the_start_of_the_search_reaches_the_optimum_at_high_rates():
    """The frame itself is nearly best there; the bound is 2^(-2R) times the innovation."""
    source = AutoRegressive.from_poles([0.86, 0.9 * np.exp(0.1j), 0.9 * np.exp(-0.1j)])
    for rate in (5.0, 8.0):
        found = steady_state(source, rate)
        assert_allclose(found.lower_bound, 4.0**-rate * source.innovation, rtol=0.1)


@pytest.mark.parametrize("phi", [[0.9], [1.8, -0.81]])
def test_sources_that_take_turns_cost_what_one_of_them_costs(phi):
    between = np.zeros(2 * len(phi))
    between[1::2] = phi
    for loss in (None, FMD(0.0), JD(0.0), SA(0.0)):
        alone, both = (
            steady_state(AutoRegressive(each), 0.5, loss).mean for each in (phi, between)
        )
        assert_allclose(both, alone, rtol=1e-7)
    for encoder in ("mmse", "optimal"):
        alone, both = (
            steady_state(AutoRegressive(each), 0.5, JD(0.0), encoder=encoder).mean
            for each in (phi, between)
        )
        assert_allclose(both, alone, rtol=1e-7)


@pytest.mark.parametrize("rate", [15.0, 20.0, 30.0])
def test_digits_stay_at_high_rates(rate):
    limit = PAIR.innovation * 2.0 ** (-2 * rate)
    for loss in (None, FMD(0.0), SA(0.0), JD(0.0), JD(0.0, window=2)):
        found = steady_state(PAIR, rate, loss)
        assert limit * (1 - 1e-12) <= found.mean <= limit * (1 + 1e-4)
        if found.lower_bound is not None:
            assert limit * (1 - 1e-12) <= found.lower_bound <= found.mean * (1 + 1e-12)
        solution = solve(Problem(PAIR, [rate] * 3, loss))
        exact = PAIR.prediction_variance * 2.0 ** (-2 * rate)
        assert_allclose(solution.distortion, exact, rtol=1e-5)
        assert (solution.distortion >= exact * (1 - 1e-12)).all()


def test_frames_without_variance_are_refused():
    with pytest.raises(ValueError, match="expected frames that vary"):
        steady_state(StateSpace([[0.5]], [[0.0]], [1.0]), 1.0, JD(0.0))
