"""`rdp table`."""

import pytest

from rdp.asymptotics import extreme_rate_table
from tests.solvers.cli.commands import answer, parsed, refused, run


def test_table_prints_what_sympy_derives():
    result = run("table")
    assert result.exit_code == 0
    assert result.stdout == extreme_rate_table(2).text() + "\n"


def test_table_as_json_and_csv():
    found = answer("table", "--frames", "2", "--rho", "0.6")
    rows = {(row["rates"], row["plf"], row["frame"]): row for row in found["rows"]}
    assert len(rows) == 4 * 4 * 2
    # at (eps, inf) the joint loss keeps 2 (1 - sqrt(1 - rho^2)) - 2 rho^2 x
    assert rows["(eps, inf)", "JD", 2]["leading"] == "2/5"
    assert rows["(eps, inf)", "JD", 2]["first"] == "-18/25"
    rows = parsed(run("table", "--rho", "3/5", "--csv", "-").stdout)
    assert [row["leading"] for row in rows] == [row["leading"] for row in found["rows"]]


@pytest.mark.parametrize("rho", ["often", "1/0"])
def test_table_names_bad_input(rho):
    assert refused("table", "--rho", rho) == f"rho: expected a number or a fraction, got {rho!r}"


def test_table_of_an_impossible_correlation():
    assert refused("table", "--rho", "2").startswith("rho: ")
    assert run("table", "--frames", "0").exit_code == 2
