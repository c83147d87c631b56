"""Configuration files of experiments: TOML files, which may extend one another."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

LONGEST = 1 << 14  # bytes of a file
DEEPEST = 32  # parts of a key: tomllib takes memory with the square of their number


def read_configuration(path: Path) -> dict[str, Any]:
    """Return the content of a TOML file, together with that of the file it extends.

    A file extends another one in its folder with the key "base", and contains only what differs.
    Its stages under "then" follow those of the base. The key "after" names the last stage of the
    base that is kept.

    Raises
    ------
    ValueError
        The file is longer than `LONGEST`, is not TOML, extends itself or a file of another folder,
        or its stages do not fit together; the message names the field.
    KeyError
        The base has no stages.
    OSError
        A file cannot be read.

    Examples
    --------
    >>> from importlib.resources import files
    >>> folder = files("neural") / "configs"
    >>> found = read_configuration(folder / "digits-12-16.toml")
    >>> found["rates"]
    [[12, 16]]
    >>> found["stage"] == read_configuration(folder / "digits.toml")["stage"]
    True
    """
    return _read(path, [])


def _read(path: Path, extended_by: list[str]) -> dict[str, Any]:
    """Read a file, extended by files of these names in the same folder."""
    try:
        content = tomllib.loads(_text(path))
    except RecursionError:
        raise ValueError("expected TOML, got values nested too deep") from None
    if "base" in content:
        name, names = content.pop("base"), [*extended_by, path.name]
        if not isinstance(name, str) or Path(name).name != name or name in ("", ".", ".."):
            raise ValueError(f"base: expected the name of a file in the same folder, got {name!r}")
        if name in names:
            raise ValueError(f"base: expected files that do not extend themselves, got {name!r}")
        base = _read(path.parent / name, names)
        more, last = content.pop("then", []), content.pop("after", None)
        content = base | content
        content["stage"] = [*_up_to(content["stage"], last), *more]
    for key in ("then", "after"):
        if key in content:
            raise ValueError(f"{key}: expected only together with a base")
    return content


def _text(path: Path) -> str:
    """Text of a file that is short enough, and has keys that are."""
    with path.open("rb") as file:
        content = file.read(LONGEST + 1)
    if len(content) > LONGEST:
        raise ValueError(f"expected a TOML file of at most {LONGEST:,} bytes, got more")
    text = content.decode("utf-8").replace("\r\n", "\n")
    if any(part.count(".") > DEEPEST for part in re.split(r"[=,{}\[\]\n]", text)):
        raise ValueError(f"expected TOML, got a key of more than {DEEPEST} parts")
    return text


def _up_to(stages: list[dict[str, Any]], last: str | None) -> list[dict[str, Any]]:
    if last is None:
        return stages
    names = [stage["name"] for stage in stages]
    if last not in names:
        raise ValueError(f"after: expected one of {', '.join(names)}, got {last!r}")
    return stages[: names.index(last) + 1]


def variables(path: Path) -> list[str]:
    """Return the names of the environment variables that stand in the values of a file.

    Raises
    ------
    ValueError, KeyError, OSError
        As `read_configuration`.

    Examples
    --------
    >>> from importlib.resources import files
    >>> variables(files("neural") / "configs" / "crops-reduced.toml")
    ['VIDEO_FOLDER']
    """
    found: list[str] = []
    waiting: list[Any] = [read_configuration(path)]
    for value in waiting:
        if isinstance(value, dict):
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)
        elif isinstance(value, str):
            found.extend(re.findall(r"\$\{?(\w+)", value))
    return sorted(set(found))
