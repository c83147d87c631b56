"""The path of the barrier method: merit function, Newton step, step lengths, number of steps.

Certificates make any path give a right answer. What goes wrong on the way costs only time, so it is
tested here, against formulas from other modules.
"""

import numpy as np
import pytest

from rdp import JD, SA, GaussMarkov
from rdp.measure import perception_of
from solvers._barrier import central_path, constants, line_search, newton_step, weighted
from solvers._barrier.reduction import reduce_frames
from solvers._barrier.source import set_backbone
from solvers._barrier.workspace import Dim, Index, Matrix, Vector, new_work
from solvers.methods.barrier import _kernel_source

RATES = np.array([0.3, 1.0, 0.6])
WEIGHTS = np.array([1.0, 0.5, 2.0])
LEVELS = np.array([0.05, 0.1, 0.3])
SOURCE = GaussMarkov([1.0, 1.5, 0.7], [0.9, -0.5])
LOSSES = pytest.mark.parametrize("plf", [JD, SA])


class Path:
    """A point on the path of one problem, in the workspace of the kernels."""

    def __init__(self, plf, levels=LEVELS, rates=RATES, source=SOURCE):
        self.plf, self.source, self.levels = plf, source, levels
        code = constants.JD if plf is JD else constants.SA
        given = _kernel_source(source, plf.name)
        self.ints, self.mats, self.vecs, self.big = new_work(source.frames)
        set_backbone(given, rates, self.mats, self.vecs)
        chosen = WEIGHTS[: source.frames]
        n, exact = reduce_frames(given, levels, chosen, *self.work[:3])
        assert (n, exact) == (source.frames, 0)
        weighted.set_program(code, n, exact, *self.work[:3])
        weighted.set_start(code, n, exact, constants.SHRINK, *self.work[:3])
        self.nu = n + self.ints[Index.DIMS, Dim.THRESHOLDS]
        self.total = float(chosen @ source.variance)
        self.inside = float(chosen @ self.vecs[Vector.MMSE, :n])
        self.tau = constants.START * self.total / self.nu
        assert central_path.start_dual(*self.work[:3], self.tau)

    @property
    def work(self):
        return self.ints, self.mats, self.vecs, self.big

    def matrix(self, slot):
        return self.mats[slot].copy()

    def merit(self, gains, noise):
        """The merit function by its formula, with the losses of `rdp.measure`."""
        estimate = self.matrix(Matrix.ESTIMATE)
        cov_xhat, cross = gains @ gains.T + noise, gains @ estimate.T
        slack = self.levels - perception_of(self.source, cov_xhat, cross, self.plf())
        weights = WEIGHTS[: len(gains)]
        objective = weights @ (((gains - estimate) ** 2).sum(axis=1) + np.diag(noise))
        return objective - self.tau * (np.linalg.slogdet(noise)[1] + np.log(slack).sum())

    def value(self):
        found = line_search.objective_of(*self.work[:3], Matrix.GAINS, Matrix.NOISE)
        return found + self.tau * line_search.log_barrier(*self.work[:3], Matrix.NOISE)

    def direct(self):
        """Newton direction; its slope and the merit along it."""
        assert central_path.nesterov_todd(self.mats, self.vecs, len(self.source.sigma))
        slope = newton_step.newton_direction(*self.work, self.tau)
        gains, noise = self.matrix(Matrix.GAINS), self.matrix(Matrix.NOISE)
        d_gains, d_noise = self.matrix(Matrix.STEP_GAINS), self.matrix(Matrix.STEP_NOISE)

        def along(step):
            curved = noise + step * d_noise - step**2 * d_gains @ d_gains.T
            return self.merit(gains + step * d_gains, curved)

        return slope, along


@LOSSES
def test_the_merit_function_is_its_formula(plf):
    path = Path(plf)
    gains, noise = path.matrix(Matrix.GAINS), path.matrix(Matrix.NOISE)
    assert path.value() == pytest.approx(path.merit(gains, noise), rel=1e-12)


@LOSSES
def test_the_dual_point_at_the_start_is_central(plf):
    """S Q = tau I and mu slack = tau: all products that vanish at the optimum are tau."""
    path = Path(plf)
    products = path.mats[Matrix.NOISE] @ path.mats[Matrix.DUAL]
    np.testing.assert_allclose(products, path.tau * np.eye(3), atol=1e-12)
    assert central_path.complementarity(*path.work[:3]) == pytest.approx(path.tau, rel=1e-12)


@LOSSES
def test_the_newton_step_is_that_of_the_merit_function(plf):
    """Slope and curvature along it by finite differences; at the start Newton's method is exact."""
    path = Path(plf)
    slope, along = path.direct()
    assert slope < 0
    h = 1e-4
    assert (along(h) - along(-h)) / (2 * h) == pytest.approx(slope, rel=1e-5)
    # the minimum of the quadratic model is at step one: its curvature is minus its slope
    curvature = (along(h) - 2 * along(0.0) + along(-h)) / h**2
    assert curvature == pytest.approx(-slope, rel=1e-3)


@LOSSES
def test_steps_of_the_dual_variables_solve_the_linearised_equations(plf):
    """Q + dQ + V dS V = tau S^-1, with V S V = Q."""
    path = Path(plf)
    path.direct()
    scaling, noise, dual = (
        path.matrix(slot) for slot in (Matrix.SCALING, Matrix.NOISE, Matrix.DUAL)
    )
    np.testing.assert_allclose(scaling @ noise @ scaling, dual, rtol=1e-9, atol=1e-12)
    moved = dual + path.mats[Matrix.STEP_DUAL] + scaling @ path.mats[Matrix.STEP_NOISE] @ scaling
    np.testing.assert_allclose(moved, path.tau * np.linalg.inv(noise), rtol=1e-8, atol=1e-10)


@LOSSES
def test_the_line_search_asks_for_a_share_of_the_slope(plf):
    """It takes the first step that falls by 1e-4 of what the slope promises, and no other."""
    path = Path(plf)
    _, along = path.direct()
    first = line_search.primal_length(*path.work[:2])
    before = along(0.0)
    fall = before - along(first)
    assert fall > 0
    for share, taken in ((0.9, True), (1.1, False)):  # of the slope that this fall just allows
        slope = -share * fall / (1e-4 * first)
        step, objective = line_search.line_search(
            *path.work[:3], path.tau, before, slope, 0.0
        )
        assert (step == first) == taken
        if step > 0:
            assert along(step) <= before + 1e-4 * step * slope
            gains, noise = path.mats[Matrix.TRIAL_GAINS], path.matrix(Matrix.TRIAL_NOISE)
            estimate = path.mats[Matrix.ESTIMATE]
            exact = WEIGHTS @ (((gains - estimate) ** 2).sum(axis=1) + np.diag(noise))
            assert objective == pytest.approx(exact, rel=1e-12)


@LOSSES
def test_without_descent_there_is_no_step(plf):
    path = Path(plf)
    slope, along = path.direct()
    slack = path.vecs[Vector.SLACK, :3].copy()
    found = line_search.line_search(*path.work[:3], path.tau, along(0.0) - 1e6, slope, 0.0)
    assert found == (0.0, np.inf)
    np.testing.assert_allclose(path.vecs[Vector.SLACK, :3], slack, rtol=1e-9)  # of the iterate


@LOSSES
def test_steps_stay_inside_and_go_as_far_as_they_may(plf):
    path = Path(plf, levels=0.2 * LEVELS)
    path.direct()
    noise, d_noise, d_gains = (
        path.matrix(slot) for slot in (Matrix.NOISE, Matrix.STEP_NOISE, Matrix.STEP_GAINS)
    )

    def inside(step):
        moved = noise + step * d_noise - step**2 * d_gains @ d_gains.T
        return np.linalg.eigvalsh(moved)[0] > 0

    step = line_search.primal_length(*path.work[:2])
    assert inside(step / 0.98)
    assert step == 1.0 or not inside(step / 0.9 / 0.98)
    dual, d_dual = path.matrix(Matrix.DUAL), path.matrix(Matrix.STEP_DUAL)
    mu, d_mu = path.vecs[Vector.MU, :3], path.vecs[Vector.STEP_MU, :3]
    step = line_search.dual_length(*path.work[:3])
    assert (mu + step * d_mu > 0).all()
    assert np.linalg.eigvalsh(dual + step / 0.995 * d_dual)[0] > 0
    limits = [1.0, *(-0.995 * mu[d_mu < 0] / d_mu[d_mu < 0])]
    longer = step / 0.7 / 0.995
    blocked = np.linalg.eigvalsh(dual + longer * d_dual)[0] <= 0
    assert step == pytest.approx(min(limits), rel=1e-12) or blocked


def test_multipliers_that_fall_limit_the_step():
    path = Path(JD)
    path.mats[Matrix.STEP_DUAL] = 0.0
    path.vecs[Vector.MU, :3] = [1.0, 2.0, 3.0]
    path.vecs[Vector.STEP_MU, :3] = [-4.0, 1.0, -6.0]
    assert line_search.dual_length(*path.work[:3]) == pytest.approx(0.995 / 4)
    path.vecs[Vector.STEP_MU, :3] = [-0.5, 1.0, 6.0]
    assert line_search.dual_length(*path.work[:3]) == 1.0


def test_the_next_barrier_parameter():
    """A long step leads to a small one; after a short step it hardly falls."""
    assert central_path.next_tau(2.0, 1.0) == pytest.approx(0.06)
    assert central_path.next_tau(2.0, 0.98) == pytest.approx(0.06)
    assert central_path.next_tau(2.0, 0.25) == pytest.approx(1.5)


def steps_to_the_end(plf, levels, rates, source):
    """Least number of steps after which the path has reached its gap."""
    for limit in range(1, 60):
        path = Path(plf, levels, rates, source)
        floor = 0.1 * constants.FLOOR * path.total
        status = central_path.minimise(
            *path.work, path.tau, path.inside, constants.TOLERANCE, floor, limit
        )
        if status == constants.SOLVED:
            mean = central_path.complementarity(*path.work[:3])
            gains, noise = path.mats[Matrix.GAINS], path.mats[Matrix.NOISE]
            estimate = path.mats[Matrix.ESTIMATE]
            excess = ((gains - estimate) ** 2).sum(axis=1) + np.diag(noise)
            objective = path.inside + WEIGHTS[: len(excess)] @ excess
            assert path.nu * mean <= constants.TOLERANCE * objective + floor
            return limit
        assert status == constants.LIMIT
    raise AssertionError("no end within 60 steps")


@pytest.mark.parametrize(("plf", "usual"), [(JD, 12.6), (SA, 11.3)])
def test_the_number_of_steps(plf, usual):
    """A slip in a step length or in the barrier parameter costs more steps, or saves some."""
    rng = np.random.default_rng(0)
    counts = []
    for _ in range(12):
        source = GaussMarkov(rng.uniform(0.5, 2, 3), rng.uniform(-0.9, 0.9, 2))
        levels = rng.uniform(0.02, 0.1, 3).cumsum() * source.variance.min()
        counts.append(steps_to_the_end(plf, levels, rng.uniform(0.2, 1.0, 3), source))
    assert np.mean(counts) == pytest.approx(usual, abs=0.4), counts
