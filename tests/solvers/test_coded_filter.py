"""A noisily observed source with a limit on the rate."""

import dataclasses
import importlib

import numpy as np
import pytest
from numpy.testing import assert_allclose

from rdp import CP, FMD, JD, SA, AutoRegressive, Problem, StateSpace
from rdp.measure import perception_of
from solvers import SolverError, solve
from solvers.coded_filter import coded_filter
from solvers.linear.observed_losses import framewise_filter, self_adaptive_filter
from solvers.linear.perceptual_filter import Observed, perceptual_filter

PAIR = StateSpace(*AutoRegressive.from_poles(0.95 * np.exp([0.3j, -0.3j])).realisation())
SEEN = Observed(PAIR, [[1.0, -0.5]], [[0.3]])
CLEAR = Observed(PAIR, np.eye(2), np.zeros((2, 2)))
LOSSES = [
    None, FMD(0.0), FMD(0.02), JD(0.0), JD(0.0, window=2), SA(0.0), JD(0.05), SA(0.02),
    JD([0.0, 0.1, 0.3, 0.2, 0.2]),
]  # fmt: skip
RATES = [0.5, 1.0, 0.0, 0.3, 2.0]


@pytest.mark.parametrize("loss", LOSSES, ids=repr)
def test_without_noise_it_is_the_codec_of_the_source(loss):
    found = coded_filter(CLEAR, RATES, loss)
    same = solve(Problem(PAIR, RATES, loss, encoder="mmse"))
    assert_allclose(found.distortion, same.distortion, atol=1e-9)
    assert_allclose(found.mmse, same.mmse, atol=1e-9)


@pytest.mark.parametrize(
    ("loss", "filtered"),
    [
        (FMD(0.0), framewise_filter(SEEN, 6)),
        (SA(0.0), self_adaptive_filter(SEEN, 6)),
        (JD(0.0), perceptual_filter(SEEN, 6)),
    ],
    ids=["FMD", "SA", "JD"],
)
def test_without_a_limit_it_is_the_perceptual_filter(loss, filtered):
    found = coded_filter(SEEN, [np.inf] * 6, loss)
    assert_allclose(found.distortion, filtered.distortion, atol=1e-9)
    # the first bits that are missing cost most
    less = coded_filter(SEEN, [3.0] * 6, loss)
    assert (less.distortion >= found.distortion).all()
    assert (less.distortion <= found.distortion * 1.2).all()


def test_weights_of_both_limits():
    for seen, rates, same in (
        (CLEAR, RATES, solve(Problem(PAIR, RATES, JD(0.0), np.arange(1.0, 6.0), "mmse")).objective),
        (SEEN, [np.inf] * 5, perceptual_filter(SEEN, 5, np.arange(1.0, 6.0)).objective),
    ):
        found = coded_filter(seen, rates, JD(0.0), np.arange(1.0, 6.0))
        assert_allclose(found.objective, same, rtol=1e-7)
        assert found.gap <= 1e-7
    both = coded_filter(SEEN, RATES, JD(0.0), np.ones(5))
    assert both.gap <= 1e-7
    assert both.objective <= coded_filter(SEEN, RATES, JD(0.0)).objective + 1e-9
    assert_allclose(both.cov_xhat, PAIR.covariance(5), atol=1e-7)


@pytest.mark.parametrize("loss", LOSSES, ids=repr)
def test_simulation_of_observation_encoder_and_decoder(loss):
    """Kalman filter of the encoder, test channel, decoder: moments to 4 standard errors."""
    n, rates = 20_000, np.array(RATES)
    found = coded_filter(SEEN, rates, loss)
    rng = np.random.default_rng(7)
    states, x = PAIR.sample_states(n, 5, rng)
    y = states @ SEEN.observation.T + rng.standard_normal((n, 5, 1)) * np.sqrt(0.3)
    a, h, c = PAIR.transition, PAIR.output[0], SEEN.observation
    ahead, estimate, decoded = PAIR.initial, np.zeros((n, 2)), np.zeros((n, 2))
    spread = np.zeros((2, 2))  # of the estimate given the bits
    u = np.zeros((n, 5))
    for t in range(5):
        cross = ahead @ c.T / (c @ ahead @ c.T + 0.3).item()
        estimate = estimate @ a.T
        estimate = estimate + (y[:, t] - estimate @ c.T) @ cross.T
        spread = a @ spread @ a.T + cross @ cross.T * (c @ ahead @ c.T + 0.3).item()
        ahead = a @ (ahead - cross @ c @ ahead) @ a.T + PAIR.noise
        decoded = decoded @ a.T
        k, size = np.sqrt(1 - 4 ** -rates[t]), float(h @ spread @ h)
        u[:, t] = k * (estimate - decoded) @ h / np.sqrt(size)
        u[:, t] += np.sqrt(1 - k * k) * rng.standard_normal(n)
        gain = k * spread @ h / np.sqrt(size)
        decoded = decoded + u[:, t, None] * gain
        spread = spread - np.outer(gain, gain)
    noise = rng.standard_normal((n, found.decoder_noise.shape[1]))
    xhat = u @ found.decoder.T + noise @ found.decoder_noise.T
    error = (x - xhat) ** 2
    assert (abs(error.mean(axis=0) - found.distortion) < 4 * error.std(axis=0) / n**0.5).all()
    if isinstance(loss, JD):
        moved = perception_of(PAIR, found.cov_xhat, found.cov_xhat, loss)
        assert (moved <= loss.thresholds(5) + 1e-9).all()


def test_what_is_not_covered_is_refused():
    two = Observed(StateSpace(0.5 * np.eye(2), np.eye(2), np.eye(2)), np.eye(2), np.eye(2))
    with pytest.raises(ValueError, match="expected scalar frames, got 2 outputs"):
        coded_filter(two, [1.0])
    for loss in (CP(0.0), JD(0.1, window=2)):
        with pytest.raises(ValueError, match="expected FMD, JD, SA, or JD with a window at thr"):
            coded_filter(SEEN, [1.0, 1.0], loss)
    with pytest.raises(ValueError, match="weights: expected None with PLF-JD above threshold 0"):
        coded_filter(SEEN, [1.0], JD(0.1), [1.0])
    with pytest.raises(ValueError, match="weights: expected None with PLF-SA"):
        coded_filter(SEEN, [1.0], SA(0.0), [1.0])
    with pytest.raises(ValueError, match=r"weights: expected shape \(1,\)"):
        coded_filter(SEEN, [1.0], JD(0.0), [1.0, 1.0])


@pytest.mark.parametrize("off", [1e-3, -1e-3])
def test_a_bound_that_does_not_fit_is_refused(monkeypatch, off):
    """A bound above the objective is an error of the certificate, not a gap of 0."""
    module = importlib.import_module("solvers.coded_filter")
    other = importlib.import_module("solvers.linear.perceptual_filter")

    for home, ask in (
        (module, lambda: coded_filter(SEEN, RATES, JD(0.0), np.ones(5))),
        (other, lambda: perceptual_filter(SEEN, 5, np.ones(5))),
    ):
        solve_right = home.hold_back

        def moved(*given, solve_right=solve_right):
            found = solve_right(*given)
            return dataclasses.replace(found, upper_bound=found.value * (1 + off))

        monkeypatch.setattr(home, "hold_back", moved)
        with pytest.raises(SolverError, match="certified bound"):
            ask()
