"""Values with as many digits as mpmath is set to."""

import math

import mpmath
import sympy as sp


def gain_of(rate):
    """k = sqrt(1 - 2^(-2R)) to the working precision of mpmath."""
    return (
        mpmath.mpf(1) if rate == math.inf else mpmath.sqrt(1 - mpmath.mpf(4) ** -mpmath.mpf(rate))
    )


def value_of(expr, values):
    """Evaluate a sympy expression with mpmath at the working precision."""
    symbols = sorted(expr.free_symbols, key=str)
    return mpmath.mpf(sp.lambdify(symbols, expr, "mpmath")(*(values[s.name] for s in symbols)))
