"""FMD and SA of an observed source: realism of the scheme, scalar cases, bounds."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from rdp.autoregressive import AutoRegressive
from rdp.gaussian import bures
from rdp.state_space import StateSpace
from solvers.linear.decoder import reconstruct
from solvers.linear.measurement import represent
from solvers.linear.observed_losses import framewise_filter, self_adaptive_filter
from solvers.linear.perceptual_filter import Observed, block_factor, perceptual_filter

OSCILLATOR = Observed(
    StateSpace([[1, 0.005], [-0.01, 1]], 1.001 * np.eye(2), np.eye(2), 0.8008 * np.eye(2)),
    [[1.0, -0.5]],
    [[1.001]],
)
LOSSES = {"FMD": framewise_filter, "SA": self_adaptive_filter}


@pytest.mark.parametrize("loss", LOSSES)
def test_scalar_frames_are_a_measured_source(loss):
    source = AutoRegressive([0.9])
    seen = Observed(StateSpace(*source.realisation()), [[1.0]], [[0.5]])
    _, errors = seen.estimate(5)
    ahead = np.concatenate([[1.0], 0.81 * errors[:-1, 0, 0] + 0.19])
    rates = 0.5 * np.log2(ahead / errors[:, 0, 0])
    same = reconstruct(source.covariance(5), represent(source, rates).factor, loss)
    assert_allclose(LOSSES[loss](seen, 5).distortion, same.distortion, rtol=1e-8)


def test_framewise_realism_at_the_transport_distance():
    answer, source = framewise_filter(OSCILLATOR, 5), OSCILLATOR.source
    estimate = block_factor(source, OSCILLATOR.estimate(5)[0])
    for t, target in enumerate(source.state_covariances(5)):
        rows = slice(2 * t, 2 * t + 2)
        assert_allclose(answer.cov_xhat[rows, rows], target, atol=1e-9)
        known = estimate[rows] @ estimate[rows].T
        assert_allclose(answer.distortion[t], answer.mmse[t] + bures(known, target), rtol=1e-7)


def test_self_adaptive_realism():
    """(Xhat_1..Xhat_{t-1}, X_t) and (Xhat_1..Xhat_t) have the same covariance."""
    answer, source = self_adaptive_filter(OSCILLATOR, 5), OSCILLATOR.source
    estimate = block_factor(source, OSCILLATOR.estimate(5)[0])
    cross = estimate @ answer.decoder.T  # E[X_t Xhat_s'] for s < t
    for t, target in enumerate(source.state_covariances(5)):
        rows, past = slice(2 * t, 2 * t + 2), slice(0, 2 * t)
        assert_allclose(answer.cov_xhat[rows, rows], target, atol=1e-9)
        assert_allclose(answer.cov_xhat[rows, past], cross[rows, past], atol=1e-9)


def test_losses_are_ordered():
    framewise = framewise_filter(OSCILLATOR, 8)
    assert (framewise.mmse <= framewise.distortion + 1e-12).all()
    for other in (self_adaptive_filter(OSCILLATOR, 8), perceptual_filter(OSCILLATOR, 8)):
        assert (framewise.distortion <= other.distortion + 1e-9).all()
    assert (self_adaptive_filter(OSCILLATOR, 8).distortion <= 2 * framewise.mmse + 1e-9).all()


@pytest.mark.parametrize("loss", LOSSES)
def test_exact_and_useless_observations(loss):
    source = OSCILLATOR.source
    exact = LOSSES[loss](Observed(source, np.eye(2), np.zeros((2, 2))), 4)
    assert_allclose(exact.distortion, 0, atol=1e-6)
    blind = LOSSES[loss](Observed(source, [[0.0, 0.0]], [[1.0]]), 3)
    assert_allclose(blind.objective, 2 * np.trace(source.covariance(3)))
    with pytest.raises(ValueError, match="frames: expected an integer"):
        LOSSES[loss](OSCILLATOR, 0)
