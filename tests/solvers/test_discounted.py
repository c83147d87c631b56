"""Discounted distortion over all frames."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from rdp import FMD, JD, GaussMarkov, Problem, closed_form
from rdp.steady_state import mmse
from solvers import discounted, solve, steady_state

SOURCE = GaussMarkov.stationary(rho=0.9, frames=2)


@pytest.mark.parametrize("loss", [None, FMD(0.0), FMD([0.1, 0.3])])
def test_what_is_optimal_for_all_frames_at_once_is_a_weighted_sum(loss):
    """No loss and PLF-FMD need no trade between frames: the sum of the sequential distortions."""
    discount, bits = 0.8, np.array([1.0, 0.25])
    found = discounted(SOURCE, bits, loss, discount)
    assert 0 <= found.gap <= 1e-6
    long = GaussMarkov.stationary(rho=0.9, frames=200)
    rates = np.tile(bits, 100)
    levels = None if loss is None else np.tile(loss.thresholds(2), 100)
    each = closed_form.mmse(long, rates)
    if levels is not None:
        each = closed_form.framewise(long, rates, levels)
    exact = (1 - discount) * (discount ** np.arange(200) @ each)
    assert found.lower_bound - 1e-12 <= exact <= found.objective + 1e-12


@given(
    discount=st.floats(0.0, 0.95), rate=st.floats(0.0, 3.0), plf=st.sampled_from(["JD", "SA"]),
    rho=st.floats(-0.99, 0.99),
)  # fmt: skip
@settings(max_examples=15)
def test_a_looser_tolerance_gives_a_wider_interval_around_the_same_value(discount, rate, plf, rho):
    source = GaussMarkov.stationary(rho=rho, frames=2, sigma=3.0)
    wide = discounted(source, rate, plf, discount, tolerance=1e-2)
    near = discounted(source, rate, plf, discount, tolerance=1e-6)
    assert wide.gap <= 9e-2 + 1e-9
    assert near.gap <= 9e-6 + 1e-9
    assert wide.lower_bound <= near.objective + 1e-9
    assert near.lower_bound <= wide.objective + 1e-9
    floor = discounted(source, rate, None, discount)
    assert floor.lower_bound <= near.objective + 1e-9


def test_discounting_leads_from_the_first_frame_to_the_long_run():
    """gamma = 0 is a problem of one frame; near 1 the mean of the steady state is approached."""
    one = solve(Problem(SOURCE.part(0, 1), 0.5, JD(0.0)))
    assert_allclose(discounted(SOURCE, 0.5, JD(0.0), 0.0).objective, one.objective)
    values = [
        discounted(SOURCE, 0.5, "JD", discount, tolerance=1e-3) for discount in (0, 0.5, 0.9, 0.98)
    ]
    assert (np.diff([value.objective for value in values]) < 0).all()
    limit = steady_state(SOURCE, 0.5, "JD").mean
    assert limit < values[-1].lower_bound < 1.2 * limit
    assert limit > mmse(SOURCE, [0.5]).mean()


def test_a_window_is_solved_over_few_frames():
    windows = [discounted(SOURCE, 0.5, JD(0.0, window=w), 0.3, tolerance=0.01) for w in (1, 2)]
    every = discounted(SOURCE, 0.5, JD(0.0), 0.3, tolerance=0.01)
    assert windows[0].lower_bound <= windows[1].lower_bound + 1e-6 <= every.lower_bound + 2e-6


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"discount": 1.0}, r"discount: expected a value in \[0, 1\), got 1"),
        ({"discount": -0.1}, "discount: expected"),
        ({"discount": 0.9999}, "discount: 0.9999 needs .* frames at tolerance 1e-06, more than"),
        ({"discount": 0.9, "perception": JD(0.0, window=2)}, "more than 24; allow a larger"),
        ({"tolerance": 0.0}, "tolerance: expected"),
        ({"rates": [[1.0]]}, "rates: expected one number or one period"),
        ({"perception": FMD([0.1, 0.2, 0.3])}, "levels: expected one number or shape"),
        ({"perception": FMD(0.1, metric="kl")}, "perception: expected W2, or threshold 0"),
        ({"source": GaussMarkov([1.0, 2.0], [0.5])}, "source: expected"),
    ],
)
def test_wrong_input_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        discounted(**{"source": SOURCE, "rates": 0.5, "perception": "JD", **arguments})
