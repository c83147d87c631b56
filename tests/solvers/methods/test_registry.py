"""One registry says which method covers what; `solve` and `sweep` take the same one."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rdp import FMD, JD, SA, AutoRegressive, GaussMarkov, LinearFrames, Problem, Status
from rdp.mmse import mmse_recursion
from solvers import SolverError, solve, sweep
from solvers.methods.registry import METHODS, method_for, methods_at, methods_for
from solvers.scheme import Scheme
from tests.strategies import CORRELATIONS, RATES, sources
from tests.test_architecture import ROOT, loaded_by

SOURCE = GaussMarkov.stationary(0.9, 3)
LONG = GaussMarkov.stationary(0.9, 16)
MODES = GaussMarkov.stationary([0.5, 0.9], 3)
INF = np.inf


@pytest.mark.parametrize(
    ("problem", "method"),
    [
        (Problem(SOURCE, 0.5), "closed-form"),
        (Problem(SOURCE, 0.5, FMD(0.1), weights=1.0), "closed-form"),
        (Problem(SOURCE, 0.5, JD(0.0)), "closed-form"),
        (Problem(SOURCE, 0.5, SA(9.0), weights=1.0), "closed-form"),  # the estimate meets it
        (Problem(SOURCE, 0.5, JD(0.0), weights=1.0), "lookahead"),
        (Problem(SOURCE, 0.5, SA(0.0), weights=1.0), "lookahead"),
        # threshold 0 at the last frame leaves no choice to the frames before
        (Problem(SOURCE, 0.5, JD([INF, 0.1, 0.0]), weights=1.0), "lookahead"),
        (Problem(SOURCE, 0.5, SA([INF, 0.1, 0.0]), weights=1.0), "barrier"),
        (Problem(SOURCE, 0.5, JD(0.1)), "barrier"),
        (Problem(MODES, 0.5, JD(0.0)), "waterfilling"),
        (Problem(MODES, 0.5, FMD(0.3)), "waterfilling"),
        (Problem(MODES, 0.5, SA(INF)), "waterfilling"),
    ],
)
def test_auto_takes_the_cheapest_method_that_covers_the_problem(problem, method):
    assert method_for(problem).name == method
    assert methods_for(problem)[0] is METHODS[method]
    assert all(found.covers(problem) for found in methods_for(problem))


@st.composite
def points(draw):
    """A template of any kind and several points: thresholds 0, positive and inf, weights or not."""
    modes = draw(st.sampled_from([None, None, 2]))
    source = draw(sources(max_frames=3, modes=modes, correlations=CORRELATIONS))
    frames, count = source.frames, draw(st.integers(1, 4))

    def grid(values):
        flat = draw(st.lists(values, min_size=count * frames, max_size=count * frames))
        return np.reshape(flat, (count, frames))

    loss = draw(st.sampled_from([None, FMD(), FMD(metric="kl"), JD(), SA()]))
    levels = grid(st.sampled_from([0.0, 0.0, 1e-3, 0.3, 50.0, INF, INF]))
    if draw(st.booleans()):
        levels = np.broadcast_to(levels[:, :1], levels.shape)  # the same at every frame
    weights = draw(st.sampled_from([None, np.arange(1.0, frames + 1)]))
    template = Problem(source, 1.0, loss, weights, draw(st.sampled_from(["optimal", "mmse"])))
    return template, grid(RATES), levels if loss is not None else np.full(levels.shape, INF)


def problem_at(template, rates, levels):
    loss = None if template.perception is None else template.perception.at(levels)
    return template.with_(rates=rates, perception=loss)


@given(points())
@settings(max_examples=200)
def test_a_point_of_a_sweep_goes_to_the_method_that_solve_takes(case):
    template, rates, levels = case
    names = methods_at(template, rates, levels)
    for name, *point in zip(names, rates, levels, strict=True):
        problem = problem_at(template, *point)
        if name:
            assert method_for(problem).name == name
        else:
            with pytest.raises(SolverError, match="no method covers the problem"):
                method_for(problem)
        for method in METHODS.values():
            one = method.covered(problem, problem.rates[None], problem.thresholds[None])
            assert one.tolist() == [method.covers(problem)]


@given(points().filter(lambda case: (methods_at(*case) != "barrier").all()))
@settings(max_examples=40)
def test_sweep_and_solve_find_the_same(case):
    template, rates, levels = case
    given_levels = None if template.perception is None else levels
    found = sweep(template, rates, given_levels)
    scale = template.source.variance.max()
    for index, point in enumerate(zip(rates, levels, strict=True)):
        problem = problem_at(template, *point)
        if found.status[index] != 0:
            with pytest.raises(SolverError) as info:
                solve(problem)
            assert found.status[index] == info.value.status.code
            continue
        alone = solve(problem)
        near = {"rtol": 1e-9, "atol": 1e-12 * scale}
        np.testing.assert_allclose(found.distortion[index], alone.distortion, **near)
        np.testing.assert_allclose(found.lower_bound[index], alone.lower_bound, **near)
        if template.perception is not None and template.perception.metric == "w2":
            np.testing.assert_allclose(
                found.perception[index], alone.perception, atol=1e-7 * scale * len(rates[0])
            )


@pytest.mark.parametrize("plf", [JD, SA])
def test_a_weighted_sweep_at_threshold_0_is_solved_by_lookahead(plf):
    """Its points once went to the barrier method, whose gap is a thousand times larger."""
    problem = Problem(SOURCE, 1.0, plf(0.0), [1.0, 2.0, 0.5])
    rates = np.array([[0.05, 8.0, 8.0], [0.5, 0.5, 0.5]])
    found = sweep(problem, rates)
    assert (np.abs(found.gap) <= 2e-10 * found.objective).all()
    for row, objective in zip(rates, found.objective, strict=True):
        barrier = solve(problem.with_(rates=row), "barrier")
        assert barrier.lower_bound <= objective <= barrier.objective * (1 + 1e-9)


@pytest.mark.parametrize("name", METHODS)
def test_every_method_solves_what_it_covers(name):
    general = LinearFrames(AutoRegressive([0.9]), SOURCE.frames)
    sources = {"waterfilling": MODES, "long-horizon": LONG, "linear": general}
    problem = Problem(sources.get(name, SOURCE), 0.5, JD(0.0))
    if name == "shared-bits":
        problem = problem.with_(common_randomness=1.0)
    method = METHODS[name]
    assert method.name == name
    scheme = method.solve(problem)
    assert isinstance(scheme, Scheme)
    if name != "waterfilling":
        markov = SOURCE if name == "linear" else problem.source
        mmse = mmse_recursion(markov, problem.rates).mmse
        np.testing.assert_allclose(scheme.mmse, mmse, rtol=1e-6)
    assert method.purpose
    assert "O(" in method.cost


@pytest.mark.parametrize(
    ("name", "problem", "message"),
    [
        ("closed-form", Problem(SOURCE, 0.5, JD(0.1)), "PLF-JD with the sequential objective"),
        ("closed-form", Problem(SOURCE, 0.5, SA(0.0), [1, 2, 3]), "PLF-SA with weights"),
        ("closed-form", Problem(MODES, 0.5), "vector frames; use method='waterfilling'"),
        ("waterfilling", Problem(SOURCE, 0.5), "scalar frames; use method='closed-form'"),
        ("waterfilling", Problem(MODES, 0.5, weights=1.0), "weights$"),
        ("waterfilling", Problem(MODES, 0.5, JD(0.1)), "positive JD thresholds$"),
        ("waterfilling", Problem(MODES, 0.5, FMD(0.1, metric="kl")), "KL thresholds$"),
        ("lookahead", Problem(SOURCE, 0.5, FMD(0.1)), "a loss other than PLF-JD and PLF-SA"),
        ("lookahead", Problem(SOURCE, 0.5, JD(0.1)), "positive thresholds of PLF-JD"),
        ("barrier", Problem(MODES, 0.5), "vector frames"),
        ("sdp", Problem(MODES, 0.5), "vector frames"),
        ("long-horizon", Problem(MODES, 0.5, JD(0.0)), "vector frames"),
        ("long-horizon", Problem(LONG, 0.5, FMD(0.1)), "a loss other than PLF-JD and PLF-SA"),
        ("long-horizon", Problem(LONG, 0.5, JD([0.0] + 15 * [1.0]), 1.0), "weights with a thresh"),
        (
            "long-horizon",
            Problem(LONG, 0.5, SA([INF] + 15 * [1.0]), [0.0] + 15 * [1.0]),
            "frames with neither weight nor threshold",
        ),
        (
            "long-horizon",
            Problem(GaussMarkov.stationary(rho=1.0, frames=16), 0.5, JD(0.1), 1.0),
            "weights with frames that repeat one another",
        ),
    ],
)
def test_a_refusal_says_why_and_what_to_take_instead(name, problem, message):
    with pytest.raises(SolverError, match=f"unsupported: {name}: does not cover {message}") as info:
        solve(problem, name)
    assert info.value.status is Status.UNSUPPORTED


@pytest.mark.parametrize("weights", [None, 1.0])
@pytest.mark.parametrize("plf", [JD, SA])
def test_many_frames_are_solved_and_certified(plf, weights):
    """At 32 frames the barrier method has no certificate for the sequential objective."""
    source = GaussMarkov.stationary(rho=0.9, frames=32)
    rates = np.random.default_rng(0).uniform(0.1, 2.0, 32)
    problem = Problem(source, rates, plf(0.05), weights)
    solution = solve(problem)
    assert solution.method == "long-horizon"
    assert 0 <= solution.gap <= 1e-6 * solution.objective
    found = sweep(problem, [rates, 1.1 * rates])
    assert found.objective[0] == pytest.approx(solution.objective, rel=1e-12)
    assert (found.status == 0).all()
    assert found.objective[1] < found.objective[0]


@pytest.mark.parametrize(
    "problem",
    [
        Problem(GaussMarkov.stationary(0.9, 2), 0.0, JD([0.1, 1.0])),
        Problem(GaussMarkov.stationary(0.9, 2), 0.0, JD([0.0, 1.0]), [1.0, 1.0]),
        Problem(GaussMarkov.stationary(1.0, 2), 0.0, JD([1e-6, 1.0]), [1.0, 1.0]),
        Problem(GaussMarkov.stationary(0.5, 2), [0.1, 0.0], SA([INF, 0.0]), [1.0, 1.0]),
    ],
    ids=str,
)
def test_where_the_barrier_stalls_another_method_answers(problem):
    with pytest.raises(SolverError, match="no certificate"):
        solve(problem, "barrier")
    solution = solve(problem)
    # the recursion of the sequential objective is exact; weights with zeros are not covered by it
    assert solution.method == ("long-horizon" if problem.weights is None else "precise")
    assert "barrier: objective" in solution.message
    assert solution.gap <= 1e-6 * solution.objective
    found = sweep(problem)
    assert found.status == 0
    np.testing.assert_allclose(found.distortion, solution.distortion, rtol=1e-12)


def test_frames_that_nearly_repeat_one_another_stall_no_more():
    """The barrier method once had no certificate here."""
    problem = Problem(GaussMarkov.stationary(0.999999, 4), 1.0, JD(0.01))
    found, other = solve(problem), solve(problem, "long-horizon")
    assert found.gap <= 1e-6 * found.objective
    np.testing.assert_allclose(found.distortion, other.distortion, rtol=1e-5)
    np.testing.assert_allclose(sweep(problem).distortion, found.distortion, rtol=1e-9)


def test_a_sweep_returns_no_point_beyond_its_thresholds():
    """The kernel once returned a loss of .222 where .1 was allowed, with gap 0."""
    problem = Problem(GaussMarkov.stationary(0.9, 2), [1.0, 0.0], SA([INF, 0.1]), [0.0, 1.0])
    found = sweep(problem)
    assert found.status == 0
    assert found.perception[1] <= 0.1 * (1 + 1e-6)
    assert found.objective == pytest.approx(solve(problem, "sdp").objective, rel=1e-5)


def test_a_method_without_a_certificate_hands_over(monkeypatch):
    def gives_up(problem):
        raise SolverError(Status.INACCURATE, "long-horizon: no certificate")

    monkeypatch.setattr("solvers.methods.long_horizon.solve_long_horizon", gives_up)
    solution = solve(Problem(LONG, 0.5, JD(0.1)))
    assert solution.method == "barrier"
    assert "long-horizon: no certificate" in solution.message


def test_a_problem_that_no_method_covers_is_refused_with_all_reasons():
    problem = Problem(MODES, 0.5, JD(0.1), weights=1.0)
    reasons = "waterfilling does not cover weights, positive JD thresholds; .*barrier does not"
    with pytest.raises(SolverError, match=f"no method covers the problem: .*{reasons}"):
        solve(problem)
    found = sweep(problem, [[0.5], [1.0]])
    assert found.status.tolist() == [Status.UNSUPPORTED.code] * 2


def test_asking_for_a_method_loads_none():
    code = (
        "from rdp import JD, GaussMarkov, Problem; from solvers.methods.registry import method_for;"
        "method_for(Problem(GaussMarkov([1.0, 1.0], [0.5]), 1.0, JD(0.1)))"
    )
    assert not {"numba", "cvxpy", "scipy"} & loaded_by(code)


def test_the_page_lists_the_methods_in_this_order_with_their_cost():
    page = (ROOT / "docs" / "which_solver.md").read_text()
    rows = re.findall(r"^\| `([\w-]+)` \|.*\| ([^|]+) \|$", page, re.MULTILINE)
    assert rows == [(method.name, method.cost) for method in METHODS.values()]
