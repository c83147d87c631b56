r"""The closed forms on symbols, for a stationary source with unit variance.

.. math::
    v_t = \rho^2 m_{t-1} + q, \quad m_t = (1 - k_t^2) v_t, \quad q = 1 - \rho^2, \quad v_1 = 1,

.. math::
    \text{MMSE } m_t, \quad \text{FMD } 2 - 2\sqrt{1 - m_t}, \quad
    \text{JD } \rho^2 D_{t-1} + 2(q - k_t \sqrt{q v_t}), \quad \text{SA } 2 v_t (1 - k_t).

Here are also the simplifications that `rdp.asymptotics` needs. sympy is imported when a function is
called.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rdp.perception import Perception, zero_loss_name

Expr = Any  # a sympy expression


def symbolic_distortion(
    plf: Perception | str | None, gains: Sequence[Expr], rho: Expr | None = None
) -> tuple[Expr, ...]:
    r"""Return the closed forms D_1..D_T at zero perception loss as sympy expressions.

    Parameters
    ----------
    plf : {"MMSE", "FMD", "JD", "SA"}, FMD(0), JD(0), SA(0) or None
        Perception loss; "MMSE" and None are no perception loss.
    gains : sequence of sympy expressions
        k_t = sqrt(1 - 2^(-2 R_t)) of each frame, in [0, 1].
    rho : sympy expression or number, optional
        Correlation of consecutive frames, in [-1, 1]; by default a nonzero real symbol "rho".

    Notes
    -----
    They are the recursions of :mod:`rdp.closed_form`, written as the papers define them. The
    functions there evaluate other forms, without cancellation.

    Examples
    --------
    >>> import sympy as sp
    >>> symbolic_distortion("SA", [sp.Symbol("k")])
    (2 - 2*k,)
    """
    name = zero_loss_name(plf)
    return tuple(in_rho(expr, rho) for expr in closed_forms(name, gains, rho_squared(rho)))


def _rho() -> Expr:
    import sympy as sp

    return sp.Symbol("rho", real=True, nonzero=True)


def rho_squared(rho: Expr | None) -> Expr:
    """Return rho^2, on which alone the closed forms depend: a positive symbol, or a number."""
    import sympy as sp

    if rho is None or sp.sympify(rho).free_symbols:
        return sp.Symbol("u", positive=True)
    if not abs(sp.sympify(rho)) <= 1:
        raise ValueError(f"rho: expected |rho| <= 1, got {rho}")
    return sp.sympify(rho) ** 2


def in_rho(expr: Expr, rho: Expr | None) -> Expr:
    """Replace the symbol of rho^2 by rho^2."""
    return expr.subs(rho_squared(rho), (_rho() if rho is None else rho) ** 2)


def closed_forms(plf: str, gains: Sequence[Expr], square: Expr) -> tuple[Expr, ...]:
    """Return D_1..D_T in the gains and rho^2, for the name of a loss."""
    import sympy as sp

    new = 1 - square
    # 1 - rho^2 is a positive symbol while roots are taken, so that sqrt(q^2) is q
    q = sp.Symbol("q", positive=True) if square.free_symbols else new
    out: list[Expr] = []
    m = distortion = sp.Integer(0)
    for t, k in enumerate(gains):
        a2, innovation = (square, q) if t else (sp.Integer(0), sp.Integer(1))
        v = a2 * m + innovation
        m = (1 - k**2) * v
        if plf == "MMSE":
            distortion = m
        elif plf == "FMD":
            distortion = 2 - 2 * sp.sqrt(sp.factor((1 - m).subs(q, new)))
        elif plf == "JD":
            lost = innovation - k * sp.sqrt(sp.factor(innovation * v))
            distortion = a2 * distortion + 2 * lost
        else:
            distortion = 2 * v * (1 - k)
        out.append(distortion.subs(q, new))
    return tuple(out)


def vanishes(expr: Expr) -> bool:
    """Return whether an expression is zero for all values of its symbols."""
    import sympy as sp

    values = {symbol: sp.Rational(2, 7 + n) for n, symbol in enumerate(expr.free_symbols)}
    if abs(expr.subs(values).evalf(40)) > 1e-30:
        return False
    return bool(sp.simplify(expr) == 0)


def shortest_form(expr: Expr) -> Expr:
    """Return the shortest of three equivalent forms of an expression."""
    import sympy as sp

    if vanishes(expr):
        return sp.Integer(0)
    flat = sp.expand(expr)
    forms = (flat, sp.factor_terms(flat), sp.factor(sp.radsimp(flat)))
    return min(forms, key=lambda form: (sp.count_ops(form), len(str(form))))


def sign_number_rest(expr: Expr) -> tuple[str, Expr, Expr]:
    """Return the sign, a positive number and the rest of a coefficient.

    A sum in the rest is positive at rho = 1/2.
    """
    import sympy as sp

    number, rest = expr.as_content_primitive()
    factors = []
    for factor in sp.Mul.make_args(rest):
        if factor == -1:
            number = -number
            continue
        base, exponent = factor.as_base_exp()
        half = {symbol: sp.Rational(1, 2) for symbol in base.free_symbols}
        if isinstance(base, sp.Add) and exponent.is_odd and base.subs(half).is_negative:
            number, factor = -number, (-base) ** exponent
        factors.append(factor)
    return ("-" if number < 0 else "+"), abs(number), sp.Mul(*factors)
