"""`solve` chooses a method, recomputes what a method claims, and refuses what is off."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_allclose

from rdp import FMD, JD, SA, GaussMarkov, Problem, gaussian
from rdp.mmse import estimate_factor
from rdp.solution import Status
from solvers import SolverError, solve, sweep
from solvers.methods import barrier, closed_form
from solvers.methods.closed_form import solve_closed_form
from solvers.solve import finish

SOURCE = GaussMarkov.stationary(0.9, 3)
PROBLEM = Problem(SOURCE, [0.5, 1.0, 0.2], JD(0.0))


def test_solution_is_complete():
    solution = solve(PROBLEM)
    assert (solution.method, solution.status) == ("closed-form", "solved")
    assert solution.message
    assert solution.mode_rates is solution.mode_mmse is None
    assert abs(solution.gap) < 1e-12
    weighted = solve(Problem(SOURCE, [0.5, 1.0, 0.2], FMD(0.1), weights=[1.0, 0.0, 2.0]))
    assert_allclose(weighted.objective, weighted.distortion @ [1.0, 0.0, 2.0])


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="problem: expected a Problem, got str"):
        solve("JD")
    with pytest.raises(ValueError, match=r"method: expected one of auto, closed-form, .*'fast'"):
        solve(PROBLEM, method="fast")


# What a method returns is not believed


def scheme(**changes):
    return solve_closed_form(PROBLEM)._replace(**changes)


def test_a_true_scheme_passes():
    found = finish(PROBLEM, scheme(), "test").residuals
    assert set(found) == {"moments", "causality", "rate", "perception"}
    assert max(found.values()) < 1e-12


def test_an_impossible_joint_distribution_is_refused():
    true = scheme()
    with pytest.raises(SolverError, match="test: residual of moments") as info:
        finish(PROBLEM, true._replace(cross=1.2 * true.cross), "test")
    assert info.value.status == "inaccurate"


def test_a_scheme_that_knows_the_future_is_refused():
    """The first reconstruction made from the second estimate."""
    true = scheme()
    factor = estimate_factor(SOURCE, PROBLEM.rates)
    decoder = np.linalg.solve(factor, true.cross.T).T
    decoder[0] = [0.8, 0.6, 0.0]
    cov = decoder @ decoder.T + 0.01 * np.eye(3)
    with pytest.raises(SolverError, match="residual of causality"):
        finish(PROBLEM, true._replace(cross=decoder @ factor.T, cov_xhat=cov), "test")


def test_a_scheme_with_more_rate_is_refused():
    richer = solve_closed_form(Problem(SOURCE, [0.6, 1.0, 0.2], JD(0.0)))
    with pytest.raises(SolverError, match="residual of rate"):
        finish(PROBLEM, richer, "test")


def test_an_unrealistic_scheme_is_refused():
    estimate = solve_closed_form(Problem(SOURCE, [0.5, 1.0, 0.2]))
    with pytest.raises(SolverError, match="residual of perception"):
        finish(PROBLEM, estimate, "test")


def test_a_wrong_bound_is_refused():
    bound = scheme().lower_bound
    for claim in (0.9 * bound, 1.1 * bound):
        with pytest.raises(SolverError, match="certified gap"):
            finish(PROBLEM, scheme(lower_bound=claim), "test")


def test_nan_is_refused():
    true = scheme()
    with pytest.raises((SolverError, ValueError, np.linalg.LinAlgError)):
        finish(PROBLEM, true._replace(cov_xhat=true.cov_xhat * np.nan), "test")
    with pytest.raises(SolverError, match="certified gap"):
        finish(PROBLEM, true._replace(lower_bound=np.nan), "test")


def test_distortion_is_recomputed_not_believed():
    """A worse decoder is reported as worse, whatever the method says of itself."""
    true = scheme()
    noise = 0.1 * np.eye(3)
    assert true.frame_bounds is not None
    worse = true._replace(
        cov_xhat=true.cov_xhat + noise,
        lower_bound=true.lower_bound + 0.3,
        frame_bounds=true.frame_bounds + 0.1,
    )
    loose = PROBLEM.with_(perception=JD(1.0))
    solution = finish(loose, worse, "test")
    assert_allclose(solution.distortion, solve(PROBLEM).distortion + 0.1)
    cov = SOURCE.covariance()
    assert_allclose(solution.perception[-1], gaussian.bures(cov, cov + noise))


def test_errors_survive_the_way_back_from_a_worker():
    error = SolverError(Status.FAILED, "no progress")
    other = pickle.loads(pickle.dumps(error))
    assert (other.status, str(other)) == ("failed", "failed: no progress")


def test_solutions_survive_the_way_back_from_a_worker():
    solution = solve(PROBLEM)
    other = pickle.loads(pickle.dumps(solution))
    assert (other.distortion == solution.distortion).all()
    first, again = solution.simulate(3, rng=0), other.simulate(3, rng=0)
    assert all((a == b).all() for a, b in zip(first, again, strict=True))


def test_the_closed_form_of_jd_decomposes_no_matrix_per_frame(monkeypatch):
    calls = []
    bures = gaussian.bures
    monkeypatch.setattr(gaussian, "bures", lambda *pair: calls.append(pair) or bures(*pair))
    solve(Problem(GaussMarkov.stationary(rho=0.9, frames=60), np.ones(60), JD(0.0)))
    assert len(calls) <= 1


def counted(monkeypatch, owner, name):
    """Calls of a function from now on, as a list of their arguments."""
    calls, function = [], getattr(owner, name)
    monkeypatch.setattr(owner, name, lambda *given: calls.append(given) or function(*given))
    return calls


@pytest.mark.parametrize("loss", [JD(0.05), SA(0.05)])
@pytest.mark.parametrize("weights", [None, np.ones(6)])
def test_a_problem_of_few_frames_is_solved_without_doing_anything_twice(loss, weights, monkeypatch):
    problem = Problem(GaussMarkov.stationary(rho=0.9, frames=6), np.full(6, 0.3), loss, weights)
    assert solve(problem).method == "barrier"
    distances = counted(monkeypatch, gaussian, "bures")
    backbones = counted(monkeypatch, barrier, "mmse_recursion")
    asked = counted(monkeypatch, closed_form, "_estimate_meets")
    solve(problem, "barrier")
    assert (len(distances), len(backbones), len(asked)) == (1, 1, 0)
    solve(problem)
    assert (len(backbones), len(asked)) == (2, 1)
    assert solve(problem.with_(rates=np.full(6, 4.0))).method == "closed-form"
    sweep(problem, rates=[[0.3], [4.0]])
    assert len(asked) == 3


def test_a_frame_keeps_its_threshold_where_earlier_ones_have_less_distortion():
    """An excess that is little next to frame 3 is paid for by frame 2, which has less to give."""
    source = GaussMarkov(
        [0.03382610105393884, 0.033081409556112086, 2.4256807500092714],
        [0.9999999999999893, 0.9999999961832017],
    )
    problem = Problem(source, [15, 15, 1], JD(2.5825357969012915e-17))
    found = solve(problem)
    assert (found.perception <= problem.thresholds * (1 + 1e-4)).all()
    assert found.distortion == pytest.approx(solve(problem, "precise").distortion, rel=1e-6, abs=0)
