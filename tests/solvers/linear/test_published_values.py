"""Numbers that others published, with their sources; tolerances follow from the printed inputs."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.linalg import solve_discrete_are

from rdp import GaussMarkov, scalar_distortion, scalar_rate
from rdp.autoregressive import AutoRegressive
from rdp.bounds import limited_common_randomness
from rdp.linear_source import scalar
from solvers.linear.decoder import reconstruct
from solvers.linear.information import attention, minimum_information
from solvers.linear.measurement import represent

# Tanaka, Esfahani, Mitter, arXiv:1510.04214, LQG control with minimum directed information.
A = [
    [0.12, 0.63, -0.52, 0.33],
    [0.26, -1.28, 1.57, 1.13],
    [-1.77, -0.30, 0.77, 0.25],
    [-0.16, 0.20, -0.58, 0.56],
]
B = [
    [0.66, -0.58, 0.03, -0.20],
    [2.61, -0.91, 0.87, -0.07],
    [-0.64, -1.12, -0.19, 0.61],
    [0.93, 0.58, -1.18, -1.21],
]
W = [
    [4.94, -0.10, 1.29, 0.35],
    [-0.10, 5.55, 2.07, 0.31],
    [1.29, 2.07, 2.02, 1.43],
    [0.35, 0.31, 1.43, 3.10],
]


@pytest.mark.parametrize(
    ("cost", "bits", "tolerance", "directions"),
    [(33, 6.133, 0.01, 3), (40, 3.266, 0.003, 2), (80, 1.602, 0.001, 1)],
)
def test_control_over_a_rate_limited_channel(cost, bits, tolerance, directions):
    a, b, w = np.array(A), np.array(B), np.array(W)
    value = solve_discrete_are(a, b, np.eye(4), np.eye(4))
    inner = b.T @ value @ b + np.eye(4)
    feedback = np.linalg.solve(inner, b.T @ value @ a)
    answer = minimum_information(
        a, w, feedback.T @ inner @ feedback, cost - np.trace(w @ value)
    )
    assert_allclose(answer.rate, bits, rtol=tolerance)
    assert answer.measurement.shape == (directions, 4)


def test_the_rate_below_which_nothing_is_stable():
    a = np.array(A)
    bound = np.log2(np.maximum(np.abs(np.linalg.eigvals(a)), 1)).sum()
    assert_allclose(bound, 1.169, rtol=0.001)
    answer = minimum_information(a, W, np.eye(4), 1e5)
    assert_allclose(answer.rate, bound, rtol=0.01)


@pytest.mark.parametrize(
    ("discount", "posterior"),
    [(0.9, [0.359213, -0.177025, 0.794584]), (1.0, [0.337666, -0.178019, 0.799701])],
)
def test_rational_inattention_of_two_states(discount, posterior):
    """Sims (2010), tracking problem, as printed in the documentation of DRIPs.jl; omega = 1."""
    answer = attention(
        np.diag([0.95, 0.4]), np.diag([0.0975, 0.86]), np.ones((2, 2)), 1.0, discount
    )
    assert_allclose(answer.error[[0, 0, 1], [0, 1, 1]], posterior, atol=2e-4)
    assert answer.measurement.shape == (1, 2)


def test_rational_inattention_of_order_three():
    """Mackowiak, Matejka, Wiederholt (2018), in the documentation of DRIPs.jl, example 5."""
    a, _, _ = scalar(AutoRegressive([1.5, -0.9, 0.1]))
    answer = attention(a, np.diag([1.0, 0.0, 0.0]), np.diag([1.0, 0.0, 0.0]), 10.8)
    (direction,) = answer.measurement
    assert_allclose(direction / direction[0], [1.0, -0.475, 0.053], atol=5e-3)


@pytest.mark.parametrize(
    ("distortion", "level", "rate"),
    [(0.5, 0.0, 0.59632254), (0.5, 0.04, 0.51113108), (1.0, 0.0, 0.20751875)],
)
def test_scalar_rate_of_distortion_and_perception(distortion, level, rate):
    """Zhang et al., arXiv:2106.10311, formula evaluated; unit variance, squared W2."""
    assert_allclose(scalar_rate(distortion, level), rate, atol=1e-8)
    if level == 0:  # the general decoder at one frame
        made = reconstruct([[1.0]], represent(AutoRegressive([0.0]), [rate]).factor, "FMD")
        assert_allclose(made.distortion, distortion, atol=1e-7)


@pytest.mark.parametrize(
    ("rate", "common", "distortion"),
    [(1, 0, 0.5), (1, 1, 0.322949), (0.5, 0, 1.0), (2, 0, 0.125)],
)
def test_limited_common_randomness(rate, common, distortion):
    """Saldi, Linder, Yuksel; Xie et al., arXiv:2403.14849: (R, R_c, D) at perfect realism."""
    assert_allclose(limited_common_randomness(rate, common), distortion, atol=1e-6)


def test_scalar_distortion_is_the_first_frame_of_any_source():
    source = GaussMarkov.stationary(0.9, 3)
    sent = represent(AutoRegressive([0.9]), [0.7, 0.1, 0.1])
    for loss in ("FMD", "JD", "SA"):
        first = reconstruct(source.covariance(), sent.factor, loss).distortion[0]
        assert_allclose(first, scalar_distortion(0.7, 0.0), rtol=1e-9)
