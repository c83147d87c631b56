r"""Low-rate and high-rate behaviour of the closed forms, derived by computer algebra.

`rdp.symbolic` has the closed forms on symbols, for a stationary source with unit variance. Here
they are expanded at low rates :math:`\varepsilon \to 0` in :math:`x = \sqrt{2 \varepsilon \ln 2}`,
where :math:`k = \sqrt{1 - e^{-x^2}} = x - x^3/4 + \dots`, and at high rates in
:math:`y = 2^{-2R}`.

An infinite rate is k = 1 from the start. So the order of the limits is: first the infinite rates,
then the small rates, at fixed rho. The coefficients need not have limits as rho goes to 0 or to 1.
For those cases pass ``rho=0`` or ``rho=1``, which is inserted before the expansion.

Values out of range raise ValueError. sympy is imported when a function is called.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import Any

from rdp import _check
from rdp.perception import LOSSES, Perception, zero_loss_name
from rdp.symbolic import (
    Expr,
    closed_forms,
    in_rho,
    rho_squared,
    shortest_form,
    sign_number_rest,
    vanishes,
)

MEANING = {"x": "x = sqrt(2 eps ln 2)", "y": "y = 2^(-2 R)"}
_HIGHEST = 8  # highest power that is searched; every closed form has a term of lower power


@dataclass(frozen=True)
class Expansion:
    r"""Distortion of one frame, expanded in a small parameter.

    .. math:: D_t = \text{leading} + \sum_i c_i\, z^{p_i} + \dots

    Parameters
    ----------
    plf : {"MMSE", "FMD", "JD", "SA"}
        Loss, at zero perception loss.
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

        def write(expr: Expr) -> str:
            text = sp.sstr(expr, order="rev-lex").replace("**", "^").replace("*", " ")
            return text.replace("Abs(rho)", "|rho|")

        return self._joined(write, "({})", fraction="({})")

    def latex(self) -> str:
        r"""Return the expansion in LaTeX.

        Examples
        --------
        >>> print(low_rate_expansion("FMD", ("eps", "eps"))[1].latex())
        2 - 2 \sqrt{1 + \rho^{2}} x
        """
        import sympy as sp

        def write(expr: Expr) -> str:
            return sp.latex(expr, order="rev-lex")

        return self._joined(write, r"\left({}\right)", fraction="{}")

    def _joined(self, write: Callable[[Expr], str], bracket: str, fraction: str) -> str:
        """Join the terms with their signs, lowest power first; sympy would sort them by name."""
        import sympy as sp

        out = ""
        for power, coefficient in ((0, self.leading), *self.terms):
            if coefficient == 0:
                continue
            sign, number, rest = sign_number_rest(coefficient)
            factors = [write(number)] if number != 1 else []
            if rest != 1:
                alone = not factors and not power
                wrap = bracket if isinstance(rest, sp.Add) and not alone else "{}"
                wrap = fraction if sp.denom(rest) != 1 and power else wrap
                factors.append(wrap.format(write(rest)))
            if power:
                factors.append(write(self.variable**power))
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
        """One dict of texts and numbers for each expansion, for a data frame, JSON or CSV.

        Keys: rates, plf, frame, expression, latex, leading; first, the coefficient of the first
        term that depends on eps; power, that of x in this term, or 0 if there is none.
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
        """Return the rates of all frames in the row of the expansion at `place`."""
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
        text = ["  ".join(map(str.ljust, line, width)).rstrip() for line in lines]
        return "\n".join([*text, f"{MEANING['x']}, unit variance, first term in x"])

    def to_dataframe(self) -> Any:
        """Return the rows as a pandas DataFrame."""
        import pandas as pd

        return pd.DataFrame(self.rows)


def low_rate_expansion(
    plf: Perception | str | None,
    rates: Sequence[object],
    rho: Expr | None = None,
    terms: int = 1,
) -> tuple[Expansion, ...]:
    r"""Expand D_t of every frame in :math:`x = \sqrt{2 \varepsilon \ln 2}`; some rates are eps.

    Parameters
    ----------
    plf : "MMSE", "FMD", "JD", "SA", or a loss at threshold 0 such as ``JD(0)``
    rho : number in [-1, 1], sympy expression, or None for a real symbol "rho"
    rates : sequence of "eps", "inf" or numbers of bits >= 0
        Rate of each frame; all "eps" are the same small rate.
    terms : int
        Number of terms after the leading constant.

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
    loss, count = zero_loss_name(plf), _check.count("terms", terms)
    return tuple(_low(loss, names[: t + 1], rho, count) for t in range(len(names)))


def high_rate_expansion(
    plf: Perception | str | None, frames: int = 2, rho: Expr | None = None, terms: int = 2
) -> tuple[Expansion, ...]:
    r"""Expand D_t of every frame in :math:`y = 2^{-2R}`; all frames have the same high rate R.

    The first term is the same for all losses. The second has the price of realism.

    Parameters
    ----------
    plf : "MMSE", "FMD", "JD", "SA", or a loss at threshold 0 such as ``JD(0)``
    frames : int, number of frames T
    rho : number in [-1, 1], sympy expression, or None for a real symbol "rho"
    terms : int, number of terms after the leading constant

    Examples
    --------
    >>> high_rate_expansion("FMD", frames=1)[0].text()
    'y + 1/4 y^2'
    """
    total = _check.count("frames", frames)
    loss, count = zero_loss_name(plf), _check.count("terms", terms)
    return tuple(_high(loss, t + 1, rho, count) for t in range(total))


def extreme_rate_table(frames: int = 2, rho: Expr | None = None) -> ExtremeRateTable:
    r"""Distortions of T frames at all rates in {eps, inf}^T, to the first term in :math:`x`.

    Parameters
    ----------
    frames : int, number of frames T
    rho : number in [-1, 1], sympy expression, or None for a real symbol "rho"

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


def _rate_name(rate: object) -> str:
    """Return a rate as text: "eps", "inf", or an exact number."""
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
    """Return the expansion of the last frame of `rates`."""
    import sympy as sp

    k, x = sp.Symbol("k", positive=True), sp.Symbol("x", positive=True)
    gains = {"eps": k, "inf": sp.Integer(1)}
    values = [
        gains[rate] if rate in gains else sp.sqrt(1 - sp.Integer(4) ** -sp.Rational(rate))
        for rate in rates
    ]
    exact = closed_forms(plf, values, rho_squared(rho))[-1]
    return _expansion(plf, rates, exact, rho, k, x, _gain_in_x(x), count)


@cache
def _high(plf: str, frame: int, rho: Expr | None, count: int) -> Expansion:
    """Return the expansion of frame `frame`, where all rates are R."""
    import sympy as sp

    y = sp.Symbol("y", positive=True)
    exact = closed_forms(plf, [sp.sqrt(1 - y)] * frame, rho_squared(rho))[-1]
    return _expansion(plf, ("R",) * frame, exact, rho, y, y, y, count)


@cache
def _gain_in_x(x: Expr) -> Expr:
    """Return k = x sqrt((1 - exp(-z)) / z), z = x^2, as a polynomial up to power _HIGHEST."""
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
    """Return the Taylor expansion of `exact`(symbol) in `variable`; symbol = substitute(variable).

    The closed forms are analytic in `symbol` at fixed rho: every root is of a function that is not
    zero there, or of a square times such a function.
    """
    import sympy as sp

    powers = [sp.Integer(0)] * (_HIGHEST + 1)  # coefficients in `variable`
    derivative, inner = exact, sp.Integer(1)
    leading = shortest_form(exact.subs(symbol, 0))
    found: list[tuple[int, Expr]] = []
    for n in range(1, _HIGHEST + 1):
        derivative = sp.diff(derivative, symbol)
        if len(found) == count or vanishes(derivative):
            break
        inner = sp.expand(inner * substitute)
        coefficient = derivative.subs(symbol, 0) / sp.factorial(n)
        for power in range(n, _HIGHEST + 1):
            powers[power] += coefficient * inner.coeff(variable, power)
        if not vanishes(powers[n]):  # later n do not reach this power
            found.append((n, in_rho(shortest_form(powers[n]), rho)))
    return Expansion(
        plf=plf,
        frame=len(rates),
        rates=rates,
        exact=in_rho(exact, rho),
        variable=variable,
        leading=in_rho(leading, rho),
        terms=tuple(found),
    )
