"""The closed forms on symbols compared with the numeric ones, to 700 digits."""

import math

import mpmath
import pytest
import sympy as sp
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from rdp import JD, GaussMarkov
from rdp.perception import LOSSES
from rdp.symbolic import symbolic_distortion
from tests.precise import gain_of, value_of
from tests.strategies import CLOSED_FORMS

FRACTIONS = st.fractions(-1, 1, max_denominator=50)
BITS = st.sampled_from([0.0, math.inf, 1e-12, 500.0]) | st.floats(1e-9, 30.0)
SYMBOLIC = {
    (plf, frames): symbolic_distortion(plf, sp.symbols(f"k:{frames}"))
    for plf in LOSSES
    for frames in (1, 2, 3, 4)
}


@given(st.sampled_from(LOSSES), FRACTIONS.filter(bool), st.lists(BITS, min_size=1, max_size=4))
def test_recursion_agrees_with_the_closed_forms(plf, rho, rates):
    expressions = SYMBOLIC[plf, len(rates)]
    with mpmath.workdps(700):  # 2^-1000 is subtracted from 1
        correlation = float(rho)
        values = {f"k{t}": gain_of(rate) for t, rate in enumerate(rates)}
        values["rho"] = mpmath.mpf(correlation)
        expected = [float(value_of(expr, values)) for expr in expressions]
    found = CLOSED_FORMS[plf](GaussMarkov.stationary(correlation, len(rates)), rates)
    # below 1e-300 float64 itself has fewer digits
    assert_allclose(found, expected, rtol=1e-12, atol=1e-312)


def test_a_loss_may_be_given_in_any_form():
    gain = sp.Symbol("k", positive=True)
    expected = symbolic_distortion("JD", [gain, gain])
    assert symbolic_distortion("jd", [gain, gain]) == expected
    assert symbolic_distortion(JD(0), [gain, gain]) == expected


def test_bad_input_is_named():
    gain = sp.Symbol("k", positive=True)
    with pytest.raises(ValueError, match="plf: expected one of MMSE, FMD, JD, SA"):
        symbolic_distortion("WD", [gain])
    with pytest.raises(ValueError, match="plf: expected JD at threshold 0"):
        symbolic_distortion(JD(0.1), [gain])
    with pytest.raises(ValueError, match=r"rho: expected \|rho\| <= 1, got 2"):
        symbolic_distortion("JD", [gain], rho=2)
