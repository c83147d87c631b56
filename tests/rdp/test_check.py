"""Arguments: what would lose something when it becomes numbers is refused, and named."""

from datetime import date

import numpy as np
import pandas as pd
import pytest

from rdp import GaussMarkov, _check

LOSSY = {
    "masked array": np.ma.array([1.0, 2.0], mask=[False, True]),
    "masked array in a list": [np.ma.array([1.0, 2.0], mask=[False, True])],
    "masked value in a list": [1.0, np.ma.masked],
    "masked values in an object array": np.array([np.ma.masked, 1.0], dtype=object),
    "missing value": pd.array([1, None]),
    "dates": np.array(["2020-01-01"], dtype="M8[D]"),
    "dates in a list": [np.datetime64("2020-01-01")],
    "dates in an object array": np.array(np.datetime64("2020-01-01"), dtype=object),
    "dates of pandas": pd.Series(pd.to_datetime(["2020-01-01"])),
    "dates in a table": pd.DataFrame({"a": pd.to_datetime(["2020-01-01"])}),
    "dates of Python": [date(2020, 1, 1)],
    "durations": np.array([1], dtype="m8[s]"),
    "complex numbers": np.array([1 + 2j]),
    "complex numbers in a list": [np.complex128(1 + 2j)],
}


@pytest.mark.parametrize("value", LOSSY.values(), ids=LOSSY)
def test_what_would_lose_something_is_refused(value):
    with pytest.raises(ValueError, match="sigma: expected"):
        GaussMarkov(sigma=value, rho=0.5)


def test_lists_without_end_are_refused():
    endless: list = []
    endless.append(endless)
    with pytest.raises(ValueError, match="x: expected numbers, got lists nested too deep"):
        _check.array("x", endless)


def test_what_has_no_numbers_is_named():
    class Elsewhere:
        def __array__(self, *arguments, **options):
            raise TypeError("on another device")

    with pytest.raises(ValueError, match="x: expected numbers, got <"):
        _check.array("x", Elsewhere())


@pytest.mark.parametrize(
    "value",
    [[1, 2.5], np.ma.array([1.0, 2.5]), pd.Series([1, 2.5]), np.array([1, 2.5], dtype=object)],
)
def test_numbers_of_any_kind_are_taken(value):
    assert _check.array("x", value).tolist() == [1.0, 2.5]


@pytest.mark.parametrize("value", [1.5, "a", None, True, -1, 2**63])
def test_a_seed_is_an_integer_in_range(value):
    with pytest.raises(ValueError, match="seed: expected 0 <= seed < 2"):
        _check.seed("seed", value)
    assert _check.seed("seed", np.int64(3)) == 3
