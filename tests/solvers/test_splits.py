"""Free rates at the ends of the scale: many bits, next to no error, frames that repeat others."""

import numpy as np
import pytest

from rdp import FMD, JD, SA, GaussMarkov, Problem
from rdp.closed_form import rate_for_distortion
from solvers import SolverError, allocate, minimum_rate, pareto, solve
from solvers.methods.explicit_split import split_alone, with_more_bits

LOSSES = [JD(0.0), JD(0.01), SA(0.01)]
TIED = GaussMarkov([1.0, 2.0, 1.0], [1.0, 0.5])
CHAINS = {
    "next is tied": TIED,
    "last is tied": GaussMarkov([1.0, 1.0, 3.0], [0.5, -1.0]),
    "none is tied": GaussMarkov.stationary(0.9, 3),
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("loss", LOSSES, ids=str)
@pytest.mark.parametrize("total", [90.0, 300.0, 1000.0])
@pytest.mark.parametrize("name", CHAINS)
def test_many_bits_are_split_as_if_there_were_no_loss(loss, total, name):
    """The MMSE split, found without the program, is a bound, and each loss comes to it."""
    source = CHAINS[name]
    found, free = allocate(source, total, loss), allocate(source, total)
    assert found.objective == pytest.approx(free.objective, rel=1e-9)
    assert 0 <= found.gap <= 1e-9 * found.objective
    assert found.rates.sum() == pytest.approx(total, rel=1e-12)
    # a frame that repeats the one before needs no bits
    assert (found.rates[1:][source.innovation[1:] == 0] == 0).all()


@pytest.mark.parametrize("loss", [None, FMD(0.0), JD(0.01)], ids=str)
@pytest.mark.parametrize("weights", [None, [0.2, 1.0, 3.0]])
def test_a_bit_more_for_each_frame_divides_the_distortion_by_four(loss, weights):
    """Also where the distortions are below the smallest number, which is then a number again."""
    source = GaussMarkov([1.0, 1e3, 1.0], [0.9, 0.3])
    few, many = (allocate(source, total, loss, weights) for total in (300.0, 900.0))
    receives = (few.rates > 10).sum()
    expected = few.objective * np.exp2(-1200 / receives)
    assert many.objective == pytest.approx(expected, rel=1e-6)
    beyond = allocate(source, 1e5, loss, weights)
    assert beyond.objective == beyond.lower_bound == 0
    assert beyond.rates.sum() == pytest.approx(1e5, rel=1e-12)


def test_a_frame_without_weight_gets_bits_where_its_realism_needs_them():
    """Perfect joint realism of frame 2 asks for frame 1, whose error would be permanent."""
    source = GaussMarkov.stationary(0.9, 2)
    few, many = (allocate(source, total, JD(0.0), [0, 1]) for total in (40.0, 120.0))
    assert (few.rates > 10).all()
    assert (many.rates > 30).all()
    assert many.objective == pytest.approx(few.objective * np.exp2(-80.0), rel=0.1)


def test_next_to_no_bits_over_six_frames_are_split():
    """The program fails, and decimals answer. At its rates another method finds the same."""
    source = GaussMarkov.stationary(0.9, 6)
    found = allocate(source, 1e-9, SA(0.05))
    assert 0 <= found.gap <= 1e-6 * found.objective
    at_rates = solve(Problem(source, found.rates, SA(0.05), weights=1.0), "long-horizon")
    assert found.objective == pytest.approx(at_rates.objective, rel=1e-6)
    none = solve(Problem(source, 0.0, SA(0.05), weights=1.0)).objective
    # a bit is worth its root: about that of one frame that gets all
    assert 0.1 < (none - found.objective) / np.sqrt(2 * np.log(2) * 1e-9) < 10


def test_more_bits_go_to_frames_that_receive():
    rates = with_more_bits(np.array([30.0, 0.0, 32.0]), 100.0)
    np.testing.assert_allclose(rates, [49, 0, 51])
    found = split_alone(TIED, 1e4, np.ones(3), FMD(np.inf))
    assert found.rates.sum() == pytest.approx(1e4, rel=1e-12)
    assert found.lower_bound == 0


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("loss", [JD(0.0), JD(0.01), SA(0.0), JD(0.0, window=2)], ids=str)
@pytest.mark.parametrize("share", [1e-12, 1e-30, 1e-100])
def test_least_rate_of_next_to_no_error_is_that_without_a_loss(loss, share):
    source = GaussMarkov([1.0, 2.0, 1.0], [0.9, -0.5])
    targets = share * source.variance
    found = minimum_rate(source, targets, loss)
    expected = rate_for_distortion(source, targets).sum()
    assert found.total == pytest.approx(expected, abs=1e-6)
    assert 0 <= found.gap <= 1e-6
    assert (found.distortion <= targets * (1 + 1e-6)).all()


@pytest.mark.parametrize("loss", [SA(0.0), SA(0.01), JD(0.01)], ids=str)
def test_least_rate_of_tied_frames_grows_by_the_same_bits(loss):
    """Half a bit for each factor of two, once errors are small.

    The program has too few digits of an error of 1e-16: its total was .2 bits below the optimum.
    """
    source = GaussMarkov.stationary(1.0, 2)
    totals = []
    for target in (1e-6, 1e-16, 1e-26, 1e-36):
        found = minimum_rate(source, target, loss)
        assert 0 <= found.gap <= 1e-6 * found.total
        totals.append(found.total)
    np.testing.assert_allclose(np.diff(totals), 5 * np.log2(10), atol=1e-5)


@pytest.mark.parametrize("target", [1e-3, 1e-16, 1e-30])
def test_least_rate_is_what_the_decoder_at_its_rates_needs(target):
    """PLF-SA asks a frame that repeats for new noise of the size of the error, or for bits."""
    source = GaussMarkov.stationary(1.0, 2)
    found = minimum_rate(source, target, SA(0.0))

    def least(weights, rates):
        return solve(Problem(source, rates, SA(0.0), weights=weights), "lookahead").objective

    fewer = found.rates - [1e-3, 0]
    for share in np.linspace(0.05, 0.95, 7):
        weights = np.array([share, 1 - share])
        assert least(weights, found.rates) <= target * (1 + 1e-6)
    assert max(least(np.array([w, 1 - w]), fewer) for w in np.linspace(0, 1, 41)) > target


def test_targets_that_mix_much_and_next_to_no_error_are_met():
    """The program left a frame no error at all, which ended in an error of types."""
    for rho in (1.0, -1.0):
        targets = np.array([0.9, 1e-8])
        found = minimum_rate(GaussMarkov.stationary(rho, 2), targets, JD(0.0))
        # what is perfect in frame 2 is perfect in frame 1
        alone = minimum_rate(GaussMarkov([1.0]), [1e-8], JD(0.0))
        assert found.total == pytest.approx(alone.total, abs=1e-6)
        assert (found.distortion <= targets * (1 + 1e-6)).all()


def test_a_frame_that_repeats_another_under_tiny_thresholds_has_its_least_rate():
    """It adds 1e-80 of the variance to the estimate, whose square 140 digits do not hold."""
    source = GaussMarkov([0.03, 2.0, 0.1], [1.0, 0.9])
    loss = JD([1e-9, 4e-6, 1e-8])
    found = allocate(source, 2.4, loss, [0.7, 0.7, 0.1])
    least = minimum_rate(source, found.solution.distortion, loss)
    assert least.total == pytest.approx(2.4, abs=1e-5)
    assert 0 <= least.gap <= 1e-6


@pytest.mark.parametrize("plf", [FMD, JD, SA])
def test_a_front_of_frames_that_are_known_exactly_is_a_point(plf):
    """Their distortions are 0: the weights were divided by their sum."""
    problem = Problem(GaussMarkov.stationary(-1.0, 2), [np.inf, 1e-9], plf([1e-14, 0.0]))
    front = pareto(problem, (1, 2), points=3)
    assert (front.distortion == 0).all()
    assert np.isfinite(front.weights).all()


def test_every_way_that_failed_is_named(monkeypatch):
    def fails(problem, targets):
        raise SolverError("failed", "no luck")

    for module in ("solvers.splits", "solvers.allocation"):
        monkeypatch.setattr(f"{module}.by_program", fails)
        monkeypatch.setattr(f"{module}.by_decimals", fails)
    with pytest.raises(SolverError, match=r"allocate: 1 bits over 3 frames: .*no luck"):
        allocate(TIED, 1.0, JD(0.0))
    with pytest.raises(SolverError, match=r"no luck.*; .*no luck.*; .*certified gap"):
        minimum_rate(TIED, 0.1, JD(0.0))
