"""The block program against water-filling, the scalar solvers, published rates and symmetries."""

import numpy as np
import pytest

from rdp import FMD, JD, SA, GaussMarkov, Problem, gaussian
from rdp.vector_source import VectorGaussMarkov
from solvers import solve
from solvers.methods.block_sdp import solve_block
from solvers.methods.waterfilling import waterfill


def general_source(seed=0, frames=2, size=2):
    """Matrices that do not commute."""
    rng = np.random.default_rng(seed)
    roots = rng.normal(size=(frames, size, size))
    noise = roots @ np.swapaxes(roots, 1, 2) + 0.2 * np.eye(size)
    return VectorGaussMarkov(0.6 * rng.normal(size=(frames - 1, size, size)), noise)


def rotated(source, angle):
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return VectorGaussMarkov(turn @ source.transition @ turn.T, turn @ source.noise @ turn.T)


def test_published_rates_of_output_constrained_coding():
    """Table I of arXiv:2503.03744, and the closed form of its rates."""
    spectrum, wanted = np.array([2.0, 3.0, 1.0]), np.array([3.0, 1.0, 1.0])
    source = VectorGaussMarkov([], [np.diag(spectrum)])
    found = solve_block(source, 2.1, FMD(0.0), marginals=[np.diag(wanted)])
    rates = 0.5 * np.log2(spectrum / np.diag(found.mmse[0]))
    np.testing.assert_allclose(rates, [0.929, 0.726, 0.445], atol=6e-4)
    theta = np.sqrt(1 - np.exp2(-2 * rates))
    slopes = np.sqrt(spectrum * wanted) * (1 - theta**2) / theta  # equal to one water level
    np.testing.assert_allclose(slopes, slopes[0], rtol=1e-3)
    np.testing.assert_allclose(found.cov_xhat, np.diag(wanted), atol=1e-6)


@pytest.mark.parametrize(
    ("plf", "perception"), [("MMSE", None), ("FMD", FMD(0.0)), ("FMD", FMD(0.3)), ("JD", JD(0.0))]
)
def test_one_frame_of_modes_is_water_filling(plf, perception):
    source = GaussMarkov([[2.0, 1.0, 0.5]])
    levels = perception.levels if plf == "FMD" else None
    expected = waterfill(source, 1.0, plf, levels)
    # a basis in which nothing is diagonal
    basis = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    turned = VectorGaussMarkov([], [basis @ np.diag([4.0, 1.0, 0.25]) @ basis.T])
    found = solve_block(turned, 1.0, perception)
    assert found.objective == pytest.approx(expected.distortion[0], rel=2e-6)
    kept = np.linalg.eigvalsh(found.mmse[0])
    np.testing.assert_allclose(kept, np.sort(expected.mode_mmse[0]), atol=2e-3)


@pytest.mark.parametrize(
    "perception", [None, FMD(0.05), JD(0.0), JD([0.05, 0.1, 0.2]), SA(0.0), SA(0.05)]
)
def test_scalar_frames_agree_with_the_scalar_solver_at_the_rates_chosen(perception):
    scalar = GaussMarkov([1.0, 1.5, 0.8], [0.9, 0.6])
    vector = GaussMarkov(scalar.sigma[:, None], scalar.rho[:, None])
    weights = [1.0, 0.5, 2.0]
    found = solve_block(VectorGaussMarkov.from_modes(vector), 0.7, perception, weights)
    assert (np.cumsum(found.rates) <= np.cumsum([0.7] * 3) + 1e-6).all()
    same = solve(Problem(scalar, np.maximum(found.rates, 0), perception, weights), method="sdp")
    assert found.objective == pytest.approx(same.objective, rel=1e-5)


@pytest.mark.parametrize("perception", [None, FMD(0.3), JD(0.0), JD(0.4), SA(0.0), SA(0.3)])
def test_the_answer_is_feasible_and_does_not_depend_on_the_basis(perception):
    source = general_source()
    rates, weights = [1.0, 0.8], [1.0, 2.0]
    found = solve_block(source, rates, perception, weights)
    other = solve_block(rotated(source, 0.7), rates, perception, weights)
    assert other.objective == pytest.approx(found.objective, rel=2e-6)
    scale = np.trace(source.variance[-1])
    assert np.cumsum(found.rates)[-1] == pytest.approx(1.8, abs=1e-5)
    if perception is not None:
        assert (found.perception <= perception.thresholds(2) + 1e-5 * scale).all()
    assert -1e-7 * scale <= found.gap <= 1e-5 * found.objective
    assert np.array_equal(found.cov_xhat, found.cov_xhat.T)


def test_perception_is_measured_between_the_distributions_of_the_definition():
    source = general_source(seed=3)
    found = solve_block(source, [1.0, 0.8], JD([0.2, 0.4]))
    whole = gaussian.bures(source.covariance(), found.cov_xhat)
    first = gaussian.bures(source.variance[0], found.cov_xhat[:2, :2])
    np.testing.assert_allclose(found.perception, [first, whole], rtol=1e-9)


def test_order_of_the_losses_and_of_the_budgets():
    source = general_source(seed=1)
    free, fmd, jd, sa = (
        solve_block(source, 0.8, loss).objective for loss in (None, FMD(0.0), JD(0.0), SA(0.0))
    )
    assert free < fmd < min(jd, sa)
    total = solve_block(source, 0.8, JD(0.0), budget="total")
    assert total.objective <= jd + 1e-6
    assert total.rates.sum() == pytest.approx(1.6, abs=1e-5)


def test_the_bound_holds_for_schemes_that_others_find():
    """A greedy allocation in the same commuting basis cannot beat the certified bound."""
    modes = GaussMarkov([[2.0, 1.0], [1.5, 1.2]], [[0.8, 0.3]])
    block = solve_block(VectorGaussMarkov.from_modes(modes), [1.0, 1.0], JD(0.0))
    greedy = waterfill(modes, [1.0, 1.0], "JD").distortion.sum()
    assert block.lower_bound <= greedy
    assert block.objective <= greedy * (1 + 1e-6)


def test_bad_input_is_named():
    source = general_source()
    for match, arguments in {
        "rates: expected shape": {"rates": [1.0]},
        "rates: expected values > 0": {"rates": 0.0},
        "budget: expected": {"rates": 1.0, "budget": "each"},
        "perception: expected metric": {"rates": 1.0, "perception": FMD(0.1, metric="kl")},
        "marginals: expected None": {"rates": 1.0, "marginals": source.variance},
        "weights: expected at least one": {"rates": 1.0, "weights": 0.0},
        "weights: expected > 0 at frame 2": {
            "rates": 1.0, "weights": [1.0, 0.0], "perception": SA([0.1, np.inf]),
        },
    }.items():
        with pytest.raises(ValueError, match=match):
            solve_block(source, **arguments)
