"""Validation of user input, with messages that name the argument."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np

Array = np.ndarray

_DEEPEST = 64  # dimensions of a numpy array
_MOST = 1 << 40  # of what is counted
_LONGEST = 500  # characters of a message


def array(name: str, value: object, *, ndim: int | Sequence[int] | None = None) -> Array:
    """Return `value` as a float64 array without NaN, or raise ValueError naming `name`.

    What numpy would turn into numbers with a loss is refused: masked values, dates and complex
    numbers.
    """
    _refuse_lossy(name, value)
    try:
        out = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"{name}: expected numbers, got {value!r}") from None
    allowed = (ndim,) if isinstance(ndim, int) else ndim
    if allowed is not None and out.ndim not in allowed:
        wanted = " or ".join(str(n) for n in allowed)
        raise ValueError(f"{name}: expected {wanted} dimension(s), got shape {out.shape}")
    if np.isnan(out).any():
        raise ValueError(f"{name}: expected numbers, got NaN")
    return out


def _refuse_lossy(name: str, value: object, depth: int = 0) -> None:
    """Raise ValueError for what `numpy.asarray` converts to numbers with a loss."""
    if np.ma.is_masked(value):
        raise ValueError(f"{name}: expected numbers, got masked values")
    if isinstance(value, np.ndarray) and value.dtype == object:
        value = value.ravel().tolist()
    if isinstance(value, (list, tuple)):
        if depth > _DEEPEST:
            raise ValueError(f"{name}: expected numbers, got lists nested too deep")
        for item in value:
            if not isinstance(item, (int, float)):
                _refuse_lossy(name, item, depth + 1)
    elif hasattr(value, "__array__"):
        try:
            dtype = np.asarray(value).dtype
        except (TypeError, ValueError, OverflowError):
            return  # no numbers at all, as the conversion will say
        if dtype.kind in "Mmc":
            raise ValueError(f"{name}: expected numbers, got {dtype}")


def nonnegative(name: str, value: object, **kwargs: int | Sequence[int] | None) -> Array:
    """Return `value` as an array >= 0 (inf allowed), or raise ValueError naming `name`."""
    out = array(name, value, **kwargs)
    if (out < 0).any():
        raise ValueError(f"{name}: expected values >= 0, got {out.min():g}")
    return out


def positive(name: str, value: object, **kwargs: int | Sequence[int] | None) -> Array:
    """Return `value` as a finite array > 0, or raise ValueError naming `name`."""
    out = array(name, value, **kwargs)
    if not (out > 0).all():
        raise ValueError(f"{name}: expected values > 0, got {out.min():g}")
    return finite(name, out)


def finite(name: str, value: Array) -> Array:
    """Return `value` if it is finite, or raise ValueError naming `name`."""
    if not np.isfinite(value).all():
        raise ValueError(f"{name}: expected finite values, got inf")
    return value


def per_frame(name: str, value: Array, frames: int) -> Array:
    """Return a number or (frames,) array as a (frames,) array, or raise ValueError."""
    if not value.ndim:
        return np.full(frames, value)
    if value.shape != (frames,):
        raise ValueError(
            f"{name}: expected shape ({frames},) for {frames} frames, got {value.shape}"
        )
    return value


def count(name: str, value: object) -> int:
    """Return `value` as an int from 1 to 2^40, or raise ValueError naming `name`."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)) or value < 1:
        raise ValueError(f"{name}: expected an integer >= 1, got {value!r}")
    if value > _MOST:
        raise ValueError(f"{name}: expected at most 2^40, got more")
    return int(value)


def seed(name: str, value: object) -> int:
    """Return `value` as an int, 0 <= value < 2**63, or raise ValueError naming `name`."""
    whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if not whole or not 0 <= value < 1 << 63:  # type: ignore[operator]
        raise ValueError(f"{name}: expected 0 <= {name} < 2**63, an integer, got {value!r}")
    return int(value)  # type: ignore[call-overload]


def instance(name: str, value: object, kind: type) -> None:
    """Raise ValueError naming `name` unless `value` is of the type `kind`."""
    if not isinstance(value, kind):
        article = "an" if kind.__name__[0] in "AEIOU" else "a"
        raise ValueError(
            f"{name}: expected {article} {kind.__name__}, got {type(value).__name__}"
        )


def generator(name: str, value: object) -> np.random.Generator:
    """Return `value` as a numpy Generator; an int is taken as a seed."""
    if isinstance(value, np.random.Generator):
        return value
    if isinstance(value, (int, np.integer)) and not isinstance(value, bool) and value >= 0:
        return np.random.default_rng(int(value))
    raise ValueError(f"{name}: expected a numpy.random.Generator or a seed >= 0, got {value!r}")


def frozen(value: Array) -> Array:
    """Return a read-only view-free copy, for the fields of inert data types."""
    out = np.array(value, dtype=np.float64)
    out.setflags(write=False)
    return out


def one_line(error: Exception) -> str:
    """Return the message of an error on one line, shortened, without control characters."""
    text = "".join(letter if letter.isprintable() else " " for letter in str(error))
    return " ".join(text.split())[:_LONGEST] or type(error).__name__


@contextmanager
def warnings_of_one_line() -> Iterator[None]:
    """Print warnings without the place in the code, for the commands."""
    before = warnings.formatwarning
    warnings.formatwarning = lambda message, *_: f"warning: {one_line(Warning(str(message)))}\n"
    try:
        yield
    finally:
        warnings.formatwarning = before
