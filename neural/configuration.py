"""Configuration files of experiments: TOML files, which may extend one another."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any


def read_configuration(path: Path) -> dict[str, Any]:
    """Return the content of a TOML file, together with that of the file it extends.

    A file extends another one in its folder with the key "base", and contains only what differs.
    Its stages under "then" follow those of the base. The key "after" names the last stage of the
    base that is kept.

    Raises
    ------
    ValueError
        The file is not TOML, or its stages do not fit together; the message names the field.
    KeyError
        The base has no stages.
    OSError
        A file cannot be read.

    Examples
    --------
    >>> from importlib.resources import files
    >>> folder = files("neural") / "configs"
    >>> found = read_configuration(folder / "digits-reduced-strict.toml")
    >>> [stage["name"] for stage in found["stage"]]
    ['first', 'first-realism', 'trunk', 'mmse', 'universal', 'strict']
    """
    content = tomllib.loads(path.read_text(encoding="utf-8"))
    if "base" in content:
        base = read_configuration(path.parent / content.pop("base"))
        more, last = content.pop("then", []), content.pop("after", None)
        content = base | content
        content["stage"] = [*_up_to(content["stage"], last), *more]
    for key in ("then", "after"):
        if key in content:
            raise ValueError(f"{key}: expected only together with a base")
    return content


def _up_to(stages: list[dict[str, Any]], last: str | None) -> list[dict[str, Any]]:
    if last is None:
        return stages
    names = [stage["name"] for stage in stages]
    if last not in names:
        raise ValueError(f"after: expected one of {', '.join(names)}, got {last!r}")
    return stages[: names.index(last) + 1]
