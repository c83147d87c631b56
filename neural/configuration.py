"""Configuration files of experiments: TOML, where one may go on from another."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any


def read_configuration(path: Path) -> dict[str, Any]:
    """Read a file, and what it takes over from others.

    Parameters
    ----------
    path : Path
        TOML file. It may name another file beside it as "base", and holds then what differs; stages
        under "then" come after those of the other file, or after the one of them that "after"
        names, the last that is kept.

    Returns
    -------
    dict
        Content, as if it stood in one file.

    Raises
    ------
    ValueError
        Not TOML, or stages that do not fit together; the message names the field.
    KeyError
        A base has no stages.
    OSError
        The file, or a base of it, cannot be read.

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
            raise ValueError(f"{key}: expected only beside a base")
    return content


def _up_to(stages: list[dict[str, Any]], last: str | None) -> list[dict[str, Any]]:
    if last is None:
        return stages
    names = [stage["name"] for stage in stages]
    if last not in names:
        raise ValueError(f"after: expected one of {', '.join(names)}, got {last!r}")
    return stages[: names.index(last) + 1]
