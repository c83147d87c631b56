"""Steady state: matrix inequality, spectra, long horizons, and programs over all encoders agree."""

import cvxpy as cp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from rdp.autoregressive import AutoRegressive
from rdp.linear_source import lyapunov, scalar, steady_innovations
from rdp.state_space import StateSpace
from solvers import SolverError
from solvers.linear.decoder import reconstruct
from solvers.linear.joint_encoder import joint_encoder, steady_universality
from solvers.linear.lookahead import plan
from solvers.linear.measurement import represent
from solvers.linear.spectral import spectral_joint
from solvers.linear.steady_decoder import steady_distortion
from solvers.linear.steady_encoder import steady_encoder, steady_gain

PAIR = AutoRegressive.from_poles(0.95 * np.exp([0.3j, -0.3j]))
OTHER = AutoRegressive.from_poles(0.9 * np.exp([0.5j, -0.5j]))
FIRST = AutoRegressive([0.9])
RADII, ANGLES, BITS = st.floats(0.3, 0.95), st.floats(0.1, 3.0), st.floats(0.05, 3.0)


@pytest.mark.parametrize(
    ("source", "values", "digits"),
    [
        (PAIR, (0.0558, 0.0566, 0.1199), 4),
        (OTHER, (0.153229, 0.159596, 0.220218), 6),
        (FIRST, (0.159664, 0.166603, 0.166603), 6),
    ],
    ids=["pair", "other", "first order"],
)
def test_known_values_by_two_routes(source, values, digits):
    answer = steady_distortion(source, 0.5)
    found = (answer.mmse, answer.framewise, answer.joint)
    assert tuple(round(value, digits) for value in found) == values
    assert 0 <= answer.gap <= 1e-8
    by_spectra = spectral_joint(source, 0.5)
    assert by_spectra.distortion - by_spectra.lower_bound <= 1e-8
    assert_allclose(by_spectra.distortion, answer.joint, atol=1e-8)


@pytest.mark.parametrize("measurement", [[1.0, 0.0], [1.0, -0.2], [0.0, 1.0], [1.0, -0.7]])
def test_two_routes_agree_where_the_sequential_decoder_is_not_optimal(measurement):
    answer = steady_distortion(OTHER, 0.5, measurement)
    by_spectra = spectral_joint(OTHER, 0.5, measurement)
    assert 0 <= answer.gap <= 1e-8
    # the grid cuts the filter off, and |M + H| has zeros between its points
    assert_allclose(by_spectra.distortion, answer.joint, atol=1e-6)
    assert answer.joint <= answer.joint_sequential


@pytest.mark.parametrize(("angle", "rate"), [(1.0, 0.5), (0.3, 0.25)])
def test_near_the_circle_the_best_decoder_holds_back_at_constant_rate_too(angle, rate):
    source = AutoRegressive.from_poles(0.98 * np.exp([1j * angle, -1j * angle]))
    answer = steady_distortion(source, rate)
    assert answer.joint < 0.75 * answer.joint_sequential
    assert 0 <= answer.gap <= 1e-8
    by_spectra = spectral_joint(source, rate, gap=1e-6)
    assert_allclose(by_spectra.distortion, answer.joint, atol=1e-5)


def test_a_long_horizon_reaches_the_steady_state():
    measurement = steady_encoder(PAIR, 0.5).measurement
    sent = represent(PAIR, np.full(200, 0.5), measurement)
    made = reconstruct(PAIR.covariance(200), sent.factor, "JD")
    answer = steady_distortion(PAIR, 0.5)
    assert_allclose(made.distortion[-1], answer.joint_sequential, rtol=1e-6)
    assert_allclose(sent.mmse[-1], answer.mmse, rtol=1e-6)
    framewise = reconstruct(PAIR.covariance(200), sent.factor, "FMD").distortion[-1]
    assert_allclose(framewise, answer.framewise, rtol=1e-6)


def test_simulation_of_the_steady_scheme():
    frames, n = 60, 20_000
    sent = represent(OTHER, np.full(frames, 0.5), steady_encoder(OTHER, 0.5).measurement)
    made = reconstruct(OTHER.covariance(frames), sent.factor, "JD")
    x, u = sent.simulate(n, rng=5)
    error = (x[:, -1] - made.decode(u, rng=6)[:, -1]) ** 2
    assert abs(error.mean() - steady_distortion(OTHER, 0.5).joint) < 4 * error.std() / n**0.5


@pytest.mark.parametrize(
    ("rates", "values"),
    [
        ([0.5] * 8, (0.05580, 0.05660, 0.05660)),
        (0.5 + 0.1 * (np.array([0, 8, 0, 4, 0, 4, 0, 4]) - 2.5), (0.05917, 0.06013, 0.11900)),
        ([2.25] + [0.25] * 7, (0.08272, 0.08487, 0.18251)),
    ],
    ids=["constant", "ripple", "one large frame"],
)
def test_periodic_rates_of_first_order(rates, values):
    """Means over the period of the sequential decoder; the best decoder is far below it."""
    answer = steady_distortion(AutoRegressive([0.97]), rates)
    assert_allclose(
        (answer.mmse, answer.framewise, answer.joint_sequential), values, atol=5.1e-6
    )
    assert answer.gap <= 1e-8
    # a horizon of many periods costs no less per frame than the ring, up to its two ends
    sent = represent(AutoRegressive([0.97]), np.tile(rates, 40))
    weights = np.zeros(320)
    weights[80:240] = 1 / 160
    assert_allclose(plan(sent, weights).objective, answer.joint, rtol=0.02)


@settings(max_examples=20)
@given(RADII, ANGLES, BITS)
def test_order_of_the_losses_and_of_the_encoders(radius, angle, rate):
    source = AutoRegressive.from_poles(radius * np.exp([1j * angle, -1j * angle]))
    answer = steady_distortion(source, rate)
    assert answer.mmse <= answer.framewise <= answer.joint + 1e-9
    assert answer.joint <= answer.joint_sequential + 1e-12
    assert -1e-12 <= answer.gap <= 1e-7
    best = joint_encoder(source, rate)
    assert 0 <= best.joint - best.lower_bound <= 1e-3 * best.joint + 1e-9
    assert best.lower_bound <= answer.joint
    assert best.mmse >= answer.mmse - 1e-9


@settings(max_examples=20)
@given(st.floats(-0.98, 0.98), BITS)
def test_first_order_pays_nothing_in_the_steady_state(rho, rate):
    answer = steady_distortion(AutoRegressive(rho), rate)
    assert_allclose(answer.joint, answer.framewise, atol=1e-9)
    assert_allclose(joint_encoder(AutoRegressive(rho), rate).joint, answer.joint, atol=1e-9)


def joint_program(source, rate):
    """Encoder and decoder in one semidefinite program, with Z and P of their own."""
    a, w, h = scalar(source)
    sigma = lyapunov(a, w)
    wanted = lyapunov(a.T, np.outer(h, h)) @ steady_innovations(source)[0]
    root = np.linalg.cholesky(sigma)
    inverse = np.linalg.inv(root)
    a, w, f = inverse @ a @ root, inverse @ w @ inverse.T, root.T @ wanted
    n = len(a)
    values, vectors = np.linalg.eigh(w)
    drive = vectors[:, -1:] * np.sqrt(values[-1])  # the noise of a companion form has rank one
    p, z = (cp.Variable((n, n), symmetric=True) for _ in range(2))
    g = cp.Variable((n, 1))
    ahead = a @ p @ a.T + w
    least = np.linalg.det(a) ** 2 * 4.0**-rate
    constraints = [
        cp.bmat([[a @ z @ a.T + w - z, g], [g.T, np.ones((1, 1))]]) >> 0,
        z - p >> 0,
        p >> 0,
        ahead - p >> 0,
        cp.bmat([[np.full((1, 1), 1 - least), drive.T], [drive, ahead]]) >> 0,
    ]
    best = cp.Problem(cp.Maximize(f @ g[:, 0]), constraints).solve(solver=cp.CLARABEL)
    return 2 * float(h @ sigma @ h) - 2 * best


@pytest.mark.filterwarnings("ignore:Solution may be inaccurate")
@pytest.mark.parametrize("rate", [0.1, 0.5, 2.0])
@pytest.mark.parametrize(
    "source",
    [PAIR, OTHER, FIRST, AutoRegressive.from_poles([*0.95 * np.exp([0.3j, -0.3j]), 0.6])],
    ids=["pair", "other", "first order", "third order"],
)
def test_joint_encoder_against_the_program_over_all_encoders(source, rate):
    best = joint_encoder(source, rate)
    assert_allclose(best.joint, joint_program(source, rate), atol=1e-6)
    assert 0 <= best.joint - best.lower_bound <= 1e-8
    # and the representation, with its best decoder, gives this distortion
    again = steady_distortion(source, rate, best.measurement)
    assert_allclose(again.joint, best.joint, atol=1e-7)
    assert_allclose(again.mmse, best.mmse, atol=1e-7)


def test_universality_penalty_against_a_scan_of_directions():
    answer = steady_universality(PAIR, 0.5)
    assert round(answer.mmse_encoder.joint, 4) == 0.1199
    assert round(answer.joint_encoder.joint, 4) == 0.0977
    wanted = lyapunov(scalar(PAIR)[0].T, np.diag([1.0, 0.0])) @ steady_innovations(PAIR)[0]
    scan = [
        2 - 2 * abs(wanted @ steady_gain(PAIR, 0.5, [np.cos(angle), np.sin(angle)])[0])
        for angle in np.linspace(-0.9, 0, 91)
    ]
    assert answer.lower_bound <= min(scan) <= answer.joint_encoder.joint * 1.002
    assert answer.penalty == pytest.approx(0.2275, abs=1e-3)
    assert answer.price > 0
    assert steady_universality(FIRST, 0.5).penalty < 1e-9


def test_edges():
    nothing = steady_distortion(PAIR, 0.0)
    assert_allclose((nothing.mmse, nothing.framewise, nothing.joint), (1, 2, 2), atol=1e-9)
    everything = steady_distortion(PAIR, np.inf)
    assert_allclose((everything.mmse, everything.joint), 0, atol=1e-9)
    moving = steady_distortion(StateSpace.arma([0.9], [0.5]), 0.5)
    assert moving.gap < 1e-8
    triple = AutoRegressive.from_poles([0.9, 0.9, 0.9])
    assert steady_distortion(triple, 0.3).gap < 1e-6
    near = steady_distortion(AutoRegressive([0.9999]), 0.5)
    assert_allclose(near.joint, near.framewise, rtol=1e-6)


def test_errors():
    walk = StateSpace([[1.0]], [[1.0]], [1.0], [[1.0]])
    for solve in (steady_distortion, joint_encoder, spectral_joint):
        with pytest.raises(ValueError, match="poles inside the unit circle"):
            solve(walk, 0.5)
    with pytest.raises(ValueError, match="rate: expected values > 0"):
        joint_encoder(PAIR, 0.0)
    with pytest.raises(ValueError, match="measurement: expected a direction"):
        steady_distortion(PAIR, 0.5, [1.0])
    with pytest.raises(SolverError, match="steady_distortion"):
        spectral_joint(AutoRegressive([0.99999]), 0.5)
