r"""Low-rate and high-rate behaviour of the closed forms, derived by computer algebra.

The recursions of the theory are run on symbols for a stationary source with unit variance,

.. math::
    v_t = \rho^2 m_{t-1} + q, \quad m_t = (1 - k_t^2) v_t, \quad q = 1 - \rho^2, \quad v_1 = 1,

.. math::
    \text{MMSE } m_t, \quad \text{FMD } 2 - 2\sqrt{1 - m_t}, \quad
    \text{JD } \rho^2 D_{t-1} + 2(q - k_t \sqrt{q v_t}), \quad \text{SA } 2 v_t (1 - k_t),

and expanded in :math:`x = \sqrt{2 \varepsilon \ln 2}` at rates :math:`\varepsilon \to 0`, where
:math:`k = \sqrt{1 - e^{-x^2}} = x - x^3/4 + \dots`, and in :math:`y = 2^{-2R}` at high rates. An
infinite rate is k = 1 from the start, so the limits are taken in this order: first the infinite
rates, then the small ones, at fixed rho. The coefficients need not have limits as rho goes to 0 or
to 1; for those cases pass ``rho=0`` or ``rho=1``, which is set before anything is expanded.

sympy is imported when a function is called.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import Any

from rdp import _check
from rdp.perception import LOSSES

Expr = Any  # a sympy expression

MEANING = {"x": "x = sqrt(2 eps ln 2)", "y": "y = 2^(-2 R)"}
_HIGHEST = 8  # power at which the search for a term ends; every closed form has one before


@dataclass(frozen=True)
class Expansion:
    r"""Distortion of one frame, expanded in a small parameter.

    .. math:: D_t = \text{leading} + \sum_i c_i\, z^{p_i} + \dots

    Parameters
    ----------
    plf : {"MMSE", "FMD", "JD", "SA"}
        Perception loss, at zero perception loss.
    frame : int
        Frame t, from 1.
    rates : tuple of str
        Rates of frames 1..t: "eps", "inf", "R", or a number of bits.
    exact : sympy expression
        The closed form in rho and in k (low rates; k^2 = 1 - 2^(-2 eps)) or y (high rates).
    variable : sympy symbol
        The small parameter z: x = sqrt(2 eps ln 2), or y = 2^(-2 R).
    leading : sympy expression
        Value at z = 0.
    terms : tuple of (int, expression)
        Powers p_i and coefficients c_i of the first terms that do not vanish; empty if D_t does
        not depend on z.
    """

    plf: str
    frame: int
    rates: tuple[str, ...]
    exact: Expr
    variable: Expr
    leading: Expr
    terms: tuple[tuple[int, Expr], ...]

    @property
    def series(self) -> Expr:
        """The expansion as one sympy expression, without the remainder."""
        return self.leading + sum(c * self.variable**power for power, c in self.terms)

    def text(self) -> str:
        """Return the expansion as plain text.

        Examples
        --------
        >>> low_rate_expansion("FMD", ("inf", "eps"))[1].text()
        '2 (1 - |rho|) - ((1 - rho^2)/|rho|) x^2'
        """
        import sympy as sp

        def show(expr: Expr) -> str:
            shown = sp.sstr(expr, order="rev-lex").replace("**", "^").replace("*", " ")
            return shown.replace("Abs(rho)", "|rho|")

        return self._joined(show, "({})", fraction="({})")

    def latex(self) -> str:
        r"""Return the expansion in LaTeX.

        Examples
        --------
        >>> print(low_rate_expansion("FMD", ("eps", "eps"))[1].latex())
        2 - 2 \sqrt{1 + \rho^{2}} x
        """
        import sympy as sp

        def show(expr: Expr) -> str:
            return sp.latex(expr, order="rev-lex")

        return self._joined(show, r"\left({}\right)", fraction="{}")

    def _joined(self, show: Callable[[Expr], str], bracket: str, fraction: str) -> str:
        """Terms in rising order with their signs; sympy alone would sort them by name."""
        import sympy as sp

        out = ""
        for power, coefficient in ((0, self.leading), *self.terms):
            if coefficient == 0:
                continue
            sign, number, rest = _split(coefficient)
            factors = [show(number)] if number != 1 else []
            if rest != 1:
                alone = not factors and not power
                wrap = bracket if isinstance(rest, sp.Add) and not alone else "{}"
                wrap = fraction if sp.denom(rest) != 1 and power else wrap
                factors.append(wrap.format(show(rest)))
            if power:
                factors.append(show(self.variable**power))
            out += (f" {sign} " if out else sign.replace("+", "")) + (" ".join(factors) or "1")
        return out or "0"


@dataclass(frozen=True)
class ExtremeRateTable:
    """Distortions at zero perception loss when every rate is either very small or infinite.

    Parameters
    ----------
    frames : int
        Number of frames T.
    expansions : tuple of Expansion
        One for each of the 2^T combinations of rates, each loss and each frame, in this order.
    """

    frames: int
    expansions: tuple[Expansion, ...]

    @property
    def rows(self) -> list[dict[str, Any]]:
        """One dict per expansion, of texts and numbers; ready for a data frame, JSON or CSV.

        Keys: rates, plf, frame, expression, latex, leading, first (coefficient of the first term
        that depends on eps), power (of x in that term; 0 if there is none).
        """
        import sympy as sp

        out = []
        for place, expansion in enumerate(self.expansions):
            power, first = expansion.terms[0] if expansion.terms else (0, 0)
            out.append(
                {
                    "rates": self._rates(place),
                    "plf": expansion.plf,
                    "frame": expansion.frame,
                    "expression": expansion.text(),
                    "latex": expansion.latex(),
                    "leading": sp.sstr(expansion.leading),
                    "first": sp.sstr(first),
                    "power": power,
                }
            )
        return out

    def _rates(self, place: int) -> str:
        """Rates of all frames behind the expansion at `place`; frame T names them all."""
        last = self.expansions[place - place % self.frames + self.frames - 1]
        return f"({', '.join(last.rates)})"

    def text(self) -> str:
        """Return the table as plain text, one line for each combination of rates and loss.

        Examples
        --------
        >>> print(extreme_rate_table(frames=1).text())
        rates  plf   D_1
        (eps)  MMSE  1 - x^2
               FMD   2 - 2 x
               JD    2 - 2 x
               SA    2 - 2 x
        (inf)  MMSE  0
               FMD   0
               JD    0
               SA    0
        x = sqrt(2 eps ln 2), unit variance, first term in x
        """
        lines = [["rates", "plf", *(f"D_{t + 1}" for t in range(self.frames))]]
        for place in range(0, len(self.expansions), self.frames):
            group = self.expansions[place : place + self.frames]
            rates = "" if place % (len(LOSSES) * self.frames) else self._rates(place)
            lines.append([rates, group[0].plf, *(expansion.text() for expansion in group)])
        width = [max(map(len, column)) for column in zip(*lines, strict=True)]
        shown = ["  ".join(map(str.ljust, line, width)).rstrip() for line in lines]
        return "\n".join([*shown, f"{MEANING['x']}, unit variance, first term in x"])

    def to_dataframe(self) -> Any:
        """Return the rows as a pandas DataFrame.

        Returns
        -------
        pandas.DataFrame
        """
        import pandas as pd

        return pd.DataFrame(self.rows)


def symbolic_distortion(
    plf: str, gains: Sequence[Expr], rho: Expr | None = None
) -> tuple[Expr, ...]:
    r"""Closed forms at zero perception loss on symbols, for a stationary source, unit variance.

    Parameters
    ----------
    plf : {"MMSE", "FMD", "JD", "SA"}
        Perception loss; "MMSE" is none.
    gains : sequence of sympy expressions
        k_t = sqrt(1 - 2^(-2 R_t)) of each frame, in [0, 1].
    rho : sympy expression or number, optional
        Correlation of consecutive frames; a nonzero real symbol "rho" by default.

    Returns
    -------
    tuple of sympy expressions
        D_1..D_T.

    Raises
    ------
    ValueError
        Unknown loss, |rho| > 1.

    Notes
    -----
    The recursions of :mod:`rdp.closed_form`, written as in the papers' definitions rather than as
    the cancellation-free forms evaluated there.

    Examples
    --------
    >>> import sympy as sp
    >>> symbolic_distortion("SA", [sp.Symbol("k")])
    (2 - 2*k,)
    """
    return tuple(_in_rho(expr, rho) for expr in _closed_form(plf, gains, _square(rho)))


def low_rate_expansion(
    plf: str, rates: Sequence[object], rho: Expr | None = None, terms: int = 1
) -> tuple[Expansion, ...]:
    r"""Expand every D_t in :math:`x = \sqrt{2 \varepsilon \ln 2}`, some rates being eps.

    Parameters
    ----------
    plf : {"MMSE", "FMD", "JD", "SA"}
        Perception loss, at zero perception loss.
    rates : sequence of "eps", "inf" or numbers of bits >= 0
        Rate of each frame; all "eps" are the same small rate.
    rho : sympy expression or number, optional
        Correlation of consecutive frames; a nonzero real symbol "rho" by default.
    terms : int
        How many terms after the leading constant.

    Returns
    -------
    tuple of Expansion
        One for each frame.

    Raises
    ------
    ValueError
        Unknown loss or rate, |rho| > 1, terms < 1.

    Examples
    --------
    >>> for plf in ("FMD", "JD", "SA"):
    ...     print(low_rate_expansion(plf, ("eps", "eps"))[1].text())
    2 - 2 sqrt(1 + rho^2) x
    2 - 2 (sqrt(1 - rho^2) + rho^2) x
    2 - 2 x
    """
    names = tuple(_rate_name(rate) for rate in rates)
    if not names:
        raise ValueError("rates: expected at least one frame, got none")
    count = _check.count("terms", terms)
    return tuple(_low(plf, names[: t + 1], rho, count) for t in range(len(names)))


def high_rate_expansion(
    plf: str, frames: int = 2, rho: Expr | None = None, terms: int = 2
) -> tuple[Expansion, ...]:
    r"""Expand every D_t in :math:`y = 2^{-2R}`, all frames having the same high rate R.

    Parameters
    ----------
    plf : {"MMSE", "FMD", "JD", "SA"}
        Perception loss, at zero perception loss.
    frames : int
        Number of frames T.
    rho : sympy expression or number, optional
        Correlation of consecutive frames; a nonzero real symbol "rho" by default.
    terms : int
        How many terms; the first is the same for all losses, the second is the price of realism.

    Returns
    -------
    tuple of Expansion
        One for each frame.

    Raises
    ------
    ValueError
        Unknown loss, |rho| > 1, frames or terms < 1.

    Examples
    --------
    >>> high_rate_expansion("FMD", frames=1)[0].text()
    'y + 1/4 y^2'
    """
    total = _check.count("frames", frames)
    count = _check.count("terms", terms)
    return tuple(_high(plf, t + 1, rho, count) for t in range(total))


def extreme_rate_table(frames: int = 2, rho: Expr | None = None) -> ExtremeRateTable:
    r"""Distortions at rates in {eps, inf}^T, to the first term in :math:`x`.

    .. math:: x = \sqrt{2 \varepsilon \ln 2}, \qquad \varepsilon \to 0.

    Parameters
    ----------
    frames : int
        Number of frames T.
    rho : sympy expression or number, optional
        Correlation of consecutive frames; a nonzero real symbol "rho" by default.

    Returns
    -------
    ExtremeRateTable

    Raises
    ------
    ValueError
        frames < 1, |rho| > 1.

    Examples
    --------
    >>> table = extreme_rate_table(frames=2)
    >>> [row["expression"] for row in table.rows if row["rates"] == "(eps, inf)"][-4:]
    ['2 - 2 x', '2 (1 - sqrt(1 - rho^2)) - 2 rho^2 x', '2 - 2 x', '0']
    """
    total = _check.count("frames", frames)
    expansions = [
        expansion
        for rates in product(("eps", "inf"), repeat=total)
        for plf in LOSSES
        for expansion in low_rate_expansion(plf, rates, rho)
    ]
    return ExtremeRateTable(total, tuple(expansions))


def _rho() -> Expr:
    import sympy as sp

    return sp.Symbol("rho", real=True, nonzero=True)


def _square(rho: Expr | None) -> Expr:
    """rho^2, all that the closed forms depend on: a positive symbol unless it is a number."""
    import sympy as sp

    if rho is None or sp.sympify(rho).free_symbols:
        return sp.Symbol("u", positive=True)
    if not abs(sp.sympify(rho)) <= 1:
        raise ValueError(f"rho: expected |rho| <= 1, got {rho}")
    return sp.sympify(rho) ** 2


def _in_rho(expr: Expr, rho: Expr | None) -> Expr:
    """Put rho^2 back in place of its symbol."""
    return expr.subs(_square(rho), (_rho() if rho is None else rho) ** 2)


def _closed_form(plf: str, gains: Sequence[Expr], square: Expr) -> tuple[Expr, ...]:
    """D_1..D_T in the gains and rho^2."""
    import sympy as sp

    if plf not in LOSSES:
        raise ValueError(f"plf: expected one of {', '.join(LOSSES)}, got {plf!r}")
    new = 1 - square
    # roots are taken with a positive symbol in place of 1 - rho^2, so that sqrt(q^2) is q
    q = sp.Symbol("q", positive=True) if square.free_symbols else new
    out: list[Expr] = []
    m = distortion = sp.Integer(0)
    for t, k in enumerate(gains):
        a2, fresh = (square, q) if t else (sp.Integer(0), sp.Integer(1))
        v = a2 * m + fresh
        m = (1 - k**2) * v
        if plf == "MMSE":
            distortion = m
        elif plf == "FMD":
            distortion = 2 - 2 * sp.sqrt(sp.factor((1 - m).subs(q, new)))
        elif plf == "JD":
            distortion = a2 * distortion + 2 * (fresh - k * sp.sqrt(sp.factor(fresh * v)))
        else:
            distortion = 2 * v * (1 - k)
        out.append(distortion.subs(q, new))
    return tuple(out)


def _rate_name(rate: object) -> str:
    """Return "eps", "inf", or an exact number as text."""
    import sympy as sp

    if rate in ("eps", "inf", float("inf")):
        return str(rate)
    try:
        value = sp.nsimplify(rate, rational=True) if not isinstance(rate, str) else None
        if value is not None and value.is_number and value >= 0:
            return str(value)
    except (TypeError, ValueError, AttributeError):
        pass
    raise ValueError(f"rates: expected 'eps', 'inf' or bits >= 0, got {rate!r}")


@cache
def _low(plf: str, rates: tuple[str, ...], rho: Expr | None, count: int) -> Expansion:
    """Expansion of the last frame of `rates`."""
    import sympy as sp

    k, x = sp.Symbol("k", positive=True), sp.Symbol("x", positive=True)
    gains = {"eps": k, "inf": sp.Integer(1)}
    values = [
        gains[rate] if rate in gains else sp.sqrt(1 - sp.Integer(4) ** -sp.Rational(rate))
        for rate in rates
    ]
    exact = _closed_form(plf, values, _square(rho))[-1]
    return _expansion(plf, rates, exact, rho, k, x, _gain_in_x(x), count)


@cache
def _high(plf: str, frame: int, rho: Expr | None, count: int) -> Expansion:
    """Expansion of frame `frame`, all rates being R."""
    import sympy as sp

    y = sp.Symbol("y", positive=True)
    exact = _closed_form(plf, [sp.sqrt(1 - y)] * frame, _square(rho))[-1]
    return _expansion(plf, ("R",) * frame, exact, rho, y, y, y, count)


@cache
def _gain_in_x(x: Expr) -> Expr:
    """Gain k = x sqrt((1 - exp(-z)) / z), z = x^2, as a polynomial up to power _HIGHEST."""
    import sympy as sp

    z = sp.Symbol("z")
    ratio = sum((-z) ** n / sp.factorial(n + 1) for n in range(_HIGHEST))
    return x * sp.series(sp.sqrt(ratio), z, 0, _HIGHEST // 2).removeO().subs(z, x**2)


def _expansion(
    plf: str,
    rates: tuple[str, ...],
    exact: Expr,
    rho: Expr | None,
    symbol: Expr,
    variable: Expr,
    substitute: Expr,
    count: int,
) -> Expansion:
    """Taylor expansion of `exact`(symbol) in `variable`, where symbol = substitute(variable).

    The closed forms are analytic in `symbol` at fixed rho, as every root is of a function that is
    not zero there, or of a square times such a function.
    """
    import sympy as sp

    powers = [sp.Integer(0)] * (_HIGHEST + 1)  # coefficients in `variable`
    derivative, inner = exact, sp.Integer(1)
    leading = _tidy(exact.subs(symbol, 0))
    found: list[tuple[int, Expr]] = []
    for n in range(1, _HIGHEST + 1):
        derivative = sp.diff(derivative, symbol)
        if len(found) == count or _vanishes(derivative):
            break
        inner = sp.expand(inner * substitute)
        coefficient = derivative.subs(symbol, 0) / sp.factorial(n)
        for power in range(n, _HIGHEST + 1):
            powers[power] += coefficient * inner.coeff(variable, power)
        if not _vanishes(powers[n]):  # later n do not reach this power
            found.append((n, _in_rho(_tidy(powers[n]), rho)))
    return Expansion(
        plf=plf,
        frame=len(rates),
        rates=rates,
        exact=_in_rho(exact, rho),
        variable=variable,
        leading=_in_rho(leading, rho),
        terms=tuple(found),
    )


def _vanishes(expr: Expr) -> bool:
    """Whether an expression is zero for all values of its symbols."""
    import sympy as sp

    values = {symbol: sp.Rational(2, 7 + n) for n, symbol in enumerate(expr.free_symbols)}
    if abs(expr.subs(values).evalf(40)) > 1e-30:
        return False
    return bool(sp.simplify(expr) == 0)


def _tidy(expr: Expr) -> Expr:
    """Shortest of a few equivalent forms."""
    import sympy as sp

    if _vanishes(expr):
        return sp.Integer(0)
    flat = sp.expand(expr)
    forms = (flat, sp.factor_terms(flat), sp.factor(sp.radsimp(flat)))
    return min(forms, key=lambda form: (sp.count_ops(form), len(str(form))))


def _split(expr: Expr) -> tuple[str, Expr, Expr]:
    """Sign, positive number and rest of a coefficient; sums are positive where rho = 1/2."""
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
