"""Expansions compared with the closed forms they come from, and their known consequences."""

import math
from fractions import Fraction

import mpmath
import numpy as np
import pytest
import sympy as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from rdp import GaussMarkov, closed_form
from rdp.asymptotics import extreme_rate_table, high_rate_expansion, low_rate_expansion
from rdp.perception import LOSSES
from tests.precise import gain_of, value_of
from tests.strategies import CLOSED_FORMS

RHO, X, K, Y = (
    sp.Symbol("rho", real=True, nonzero=True),
    *(sp.Symbol(name, positive=True) for name in "xky"),
)
FRACTIONS = st.fractions(-1, 1, max_denominator=50)


def substituted(exact, rho, rate):
    """The closed form behind an expansion, evaluated at high precision."""
    values = {"rho": mpmath.mpf(float(rho)), "k": gain_of(rate)}
    values["y"] = mpmath.mpf(4) ** -mpmath.mpf(rate)
    return value_of(exact, values)


@pytest.mark.parametrize("plf", LOSSES)
@pytest.mark.parametrize("frames", [2, 3])
@pytest.mark.parametrize("rho", [0.9, -0.35])
def test_expansions_are_approached_by_the_closed_forms(plf, frames, rho):
    """(D - partial sum) / z^p tends to the last coefficient as z goes to 0."""
    low = [e for e in extreme_rate_table(frames).expansions if e.plf == plf]
    more = low_rate_expansion(plf, ("eps",) * frames, terms=3)
    with mpmath.workdps(80):
        for expansion in (*low, *more, *high_rate_expansion(plf, frames)):
            if expansion.variable == X:
                small, rate = mpmath.mpf(10) ** -12, None
                rate = small**2 / (2 * mpmath.log(2))
            else:
                rate = mpmath.mpf(40)
                small = mpmath.mpf(4) ** -rate
            rest = substituted(expansion.exact, rho, rate)
            rest -= value_of(expansion.leading, {"rho": mpmath.mpf(rho)})
            for power, coefficient in expansion.terms:
                value = value_of(coefficient, {"rho": mpmath.mpf(rho)})
                assert value != 0
                assert abs(rest / small**power - value) < 1e-8
                rest -= value * small**power
            # nothing of the order of the last term is left
            last = expansion.terms[-1][0] if expansion.terms else 0
            assert abs(rest) <= 1e-8 * small**last


def term(plf, rates, rho=None):
    """Leading constant and first coefficient of the last frame."""
    expansion = low_rate_expansion(plf, rates, rho)[-1]
    return expansion.leading, dict(expansion.terms)


def equal(first, second):
    return sp.simplify(first - second) == 0


def test_both_rates_small():
    for plf, slope in {
        "FMD": sp.sqrt(1 + RHO**2),
        "JD": RHO**2 + sp.sqrt(1 - RHO**2),
        "SA": sp.Integer(1),
    }.items():
        leading, terms = term(plf, ("eps", "eps"))
        assert equal(leading, 2)
        assert list(terms) == [1]
        assert equal(terms[1], -2 * slope)


def test_first_rate_infinite():
    exact = low_rate_expansion("FMD", ("inf", "eps"))[1].exact
    assert equal(exact, 2 * (1 - sp.sqrt(RHO**2 + (1 - RHO**2) * K**2)))
    for plf in ("JD", "SA"):
        exact = low_rate_expansion(plf, ("inf", "eps"))[1].exact
        assert equal(exact, 2 * (1 - RHO**2) * (1 - K))


def test_second_rate_infinite():
    for plf in ("MMSE", "FMD", "SA"):
        assert term(plf, ("eps", "inf")) == (0, {})
    leading, terms = term("JD", ("eps", "inf"))
    assert equal(leading, 2 * (1 - sp.sqrt(1 - RHO**2)))
    assert equal(terms[1], -2 * RHO**2)


@pytest.mark.parametrize("frames", [2, 3, 4])
def test_framewise_realism_adds_up_small_rates(frames):
    """D_T = 2 - 2 x sqrt(1 + rho^2 + ... + rho^(2(T-1)))."""
    _, terms = term("FMD", ("eps",) * frames)
    assert equal(terms[1] ** 2 / 4, sum(RHO ** (2 * t) for t in range(frames)))


def test_lost_first_frame_decays_with_the_square_of_the_correlation():
    rates = ("eps", "inf", "inf")
    for frame, leading in enumerate(low_rate_expansion("JD", rates)[1:]):
        expected = 2 * RHO ** (2 * frame) * (1 - sp.sqrt(1 - RHO**2))
        assert equal(leading.leading, expected)


def test_high_rates_cost_the_same_to_first_order():
    for frame in range(3):
        first = {plf: dict(high_rate_expansion(plf, 3)[frame].terms) for plf in LOSSES}
        assert all(equal(terms[1], first["MMSE"][1]) for terms in first.values())
        second = {plf: terms.get(2, 0) for plf, terms in first.items()}
        penalty = {plf: sp.sympify(c - second["MMSE"]) for plf, c in second.items()}
        at_half = {plf: p.subs(RHO, sp.Rational(1, 2)) for plf, p in penalty.items()}
        # framewise realism is the weakest demand; the other two imply it
        assert 0 < at_half["FMD"] <= min(at_half["JD"], at_half["SA"])


def test_coefficients_and_the_limit_of_independent_frames_do_not_commute():
    """(inf, eps), FMD: the coefficient of x^2 diverges as rho -> 0, where x itself appears."""
    leading, terms = term("FMD", ("inf", "eps"))
    assert equal(leading, 2 * (1 - sp.Abs(RHO)))
    assert equal(terms[2], -(1 - RHO**2) / sp.Abs(RHO))
    assert term("FMD", ("inf", "eps"), rho=0) == (2, {1: -2})


def test_coefficients_and_the_limit_of_a_frozen_source_do_not_commute():
    """At |rho| = 1 the frames are one, and n frames at rate R are one frame at rate n R."""
    assert sp.limit(dict(high_rate_expansion("JD", 2)[1].terms)[2], RHO, 1, "-") == sp.oo
    for plf in ("MMSE", "FMD"):
        assert dict(high_rate_expansion(plf, 3, rho=-1)[2].terms)[3] == 1
    assert equal(high_rate_expansion("JD", 3, rho=1)[2].exact, 2 - 2 * sp.sqrt(1 - Y))


@given(FRACTIONS)
@settings(max_examples=10)
def test_only_the_square_of_the_correlation_matters(rho):
    plus, minus = (extreme_rate_table(1, rho=sign * Fraction(rho)) for sign in (1, -1))
    assert plus.rows == minus.rows
    for plf in LOSSES:
        plus, minus = (
            low_rate_expansion(plf, ("inf", "eps"), s * sp.Rational(rho)) for s in (1, -1)
        )
        assert plus[1].series == minus[1].series


def test_a_number_of_bits_may_stand_among_the_rates():
    expansion = low_rate_expansion("JD", (0.5, "eps"), rho=sp.Rational(9, 10))[1]
    found = closed_form.zero_perception_joint(GaussMarkov.stationary(0.9, 2), [0.5, 0.0])[1]
    assert_allclose(float(expansion.leading), found, rtol=1e-12)


def test_table_has_every_combination_once_and_says_the_same_everywhere():
    table = extreme_rate_table(frames=2)
    rows = table.rows
    assert len({(row["rates"], row["plf"], row["frame"]) for row in rows}) == len(rows) == 4 * 4 * 2
    text = table.text()
    for row in rows:
        assert row["expression"] in text
        back = (
            sp.sympify(row["leading"]) + sp.sympify(row["first"]) * sp.Symbol("x") ** row["power"]
        )
        expression = row["expression"].replace("|rho|", "Abs(rho)").replace("^", "**")
        parsed = sp.parsing.sympy_parser.parse_expr(
            expression,
            transformations=(
                *sp.parsing.sympy_parser.standard_transformations,
                sp.parsing.sympy_parser.implicit_multiplication,
            ),
        )
        assert equal(parsed, back), row
    frame = table.to_dataframe()
    assert list(frame.columns) == list(rows[0])
    assert len(extreme_rate_table(frames=3).rows) == 8 * 4 * 3


def test_latex_is_what_matplotlib_can_draw():
    from matplotlib.mathtext import MathTextParser

    parser = MathTextParser("path")
    for expansion in extreme_rate_table(frames=2).expansions:
        assert parser.parse(f"${expansion.latex()}$").width > 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: low_rate_expansion("WD", ("eps",)), "plf: expected one of MMSE, FMD, JD, SA"),
        (lambda: low_rate_expansion("JD", ()), "rates: expected at least one frame"),
        (lambda: low_rate_expansion("JD", ("epsilon",)), "rates: expected 'eps', 'inf' or bits"),
        (lambda: low_rate_expansion("JD", (-1,)), "rates: expected 'eps', 'inf' or bits"),
        (lambda: low_rate_expansion("JD", (math.nan,)), "rates: expected 'eps', 'inf' or bits"),
        (lambda: low_rate_expansion("JD", ("eps",), terms=0), "terms: expected an integer >= 1"),
        (lambda: low_rate_expansion("JD", ("eps",), rho=1.5), "rho: expected |rho| <= 1"),
        (lambda: high_rate_expansion("JD", frames=0), "frames: expected an integer >= 1"),
        (lambda: extreme_rate_table(frames=1.5), "frames: expected an integer >= 1"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message.replace("|", r"\|")):
        call()


def test_numeric_closed_forms_reach_the_table_at_tiny_rates():
    """The same table from float64 closed forms: a second route to every leading constant."""
    rho, eps = 0.8, 1e-15
    values = {"eps": eps, "inf": np.inf}
    for row in extreme_rate_table(frames=3, rho=sp.Rational(4, 5)).rows:
        rates = [values[name] for name in row["rates"].strip("()").split(", ")]
        found = CLOSED_FORMS[row["plf"]](GaussMarkov.stationary(rho, 3), rates)[row["frame"] - 1]
        x = math.sqrt(2 * eps * math.log(2))
        expected = (
            float(sp.sympify(row["leading"])) + float(sp.sympify(row["first"])) * x ** row["power"]
        )
        assert_allclose(found, expected, rtol=1e-13, atol=1e-14)
