"""Changes that turn a good input into a hostile one: of bytes, and of nested values."""

from __future__ import annotations

import copy
import json
import math
from random import Random
from typing import Any

# What a reader may not expect where it reads a number.
EXTREMES = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2, 3, 1000, 2**31, 2**63, 10**40, -(2**63), 0.0, -0.0, 1e-320,
    1e-170, 1e-9, 0.5, 1e9, 1e170, 1e308, -1e308, math.nan, math.inf, -math.inf, "", "nan", "inf",
    "1", "a" * 1000, "../../x", "/etc/passwd", "\x00", "[/x]", "\x1b[31m", "é", [], {}, [[]],
    [None], [1], [1, 2], [0, 0, 0], [1e308, 1e308], ["a"], [[1, 2], [3, 4]], {"a": 1}, {"": {}},
    "JD", "SA", "MMSE", "FMD", "JD(2)",
)  # fmt: skip


def changed_bytes(rng: Random, content: bytes) -> tuple[str, bytes]:
    """Return bytes with one to three changes, and the name of the change: "cut" if only cut."""
    names = rng.choices(list(BYTES), k=rng.choice((1, 1, 1, 2, 3)))
    data = bytearray(content)
    for name in names:
        if data:
            BYTES[name](rng, data)
    return (names[0] if len(names) == 1 else "several"), bytes(data)


def _flip(rng: Random, data: bytearray) -> None:
    data[_place(rng, data)] ^= 1 << rng.randrange(8)


def _set(rng: Random, data: bytearray) -> None:
    for _ in range(rng.choice((1, 2, 8))):
        data[_place(rng, data)] = rng.choice((0, 255, rng.randrange(256)))


def _cut(rng: Random, data: bytearray) -> None:
    del data[rng.randrange(len(data)) :]


def _drop(rng: Random, data: bytearray) -> None:
    at = _place(rng, data)
    del data[at : at + rng.choice((1, 4, rng.randrange(1, 200)))]


def _insert(rng: Random, data: bytearray) -> None:
    at = _place(rng, data)
    data[at:at] = rng.randbytes(rng.choice((1, 4, rng.randrange(1, 200))))


def _copy(rng: Random, data: bytearray) -> None:
    start, at = rng.randrange(len(data)), _place(rng, data)
    part = bytes(data[start : start + rng.randrange(1, 200)])
    data[at : at + rng.choice((0, len(part)))] = part


def _number(rng: Random, data: bytearray) -> None:
    size, at = rng.choice((1, 2, 4, 8)), _place(rng, data)
    value = rng.choice((*EXTREMES, rng.getrandbits(64))) % (1 << 8 * size)
    data[at : at + size] = value.to_bytes(size, rng.choice(("little", "big")))


def _place(rng: Random, data: bytearray) -> int:
    """Place of a byte; half of them are in the header."""
    return rng.randrange(len(data) if rng.random() < 0.5 else min(len(data), 128))


BYTES = {
    "flip": _flip,
    "set": _set,
    "cut": _cut,
    "drop": _drop,
    "insert": _insert,
    "copy": _copy,
    "number": _number,
}


def changed_value(rng: Random, value: Any, values: tuple[Any, ...] = VALUES) -> Any:
    """Return nested dicts and lists with one to three changes anywhere."""
    out = [copy.deepcopy(value)]  # in a list, so that the whole can be replaced
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        holder, key = rng.choice(list(_places(out)))
        kind = rng.randrange(8)
        if kind == 0 and holder is not out:
            del holder[key]
        elif kind == 1 and isinstance(holder, dict):
            holder[rng.choice(("", "x", key + "s", "Infinity"))] = holder.pop(key)
        elif kind == 2 and isinstance(holder[key], list):
            holder[key] = holder[key] * rng.choice((0, 2, 3))
        elif kind == 3:
            holder[key] = [holder[key]]
        elif kind == 4 and isinstance(holder[key], (int, float)):
            holder[key] = holder[key] * rng.choice((-1, 1e-300, 1e-12, 1e12, 1e300))
        else:
            holder[key] = copy.deepcopy(rng.choice(values))
    return out[0]


def _places(value: Any) -> Any:
    """Yield every (container, key) in nested dicts and lists."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in list(items):
        yield value, key
        if isinstance(item, (dict, list)):
            yield from _places(item)


def json_text(rng: Random, value: Any) -> bytes:
    """Return changed JSON: most often of other values, else of other bytes."""
    kind = rng.randrange(10)
    if kind == 0:
        return changed_bytes(rng, json.dumps(value).encode())[1]
    if kind == 1:
        depth = rng.choice((10, 500, 100_000))
        return json.dumps(value).replace("1", "[" * depth, 1).encode()
    text = json.dumps(changed_value(rng, value))
    if kind == 2:
        text = text.replace("1", "9" * rng.choice((30, 5000)), 1)
    return text.encode("utf-8", "surrogatepass")
