"""Operating points: what a codec reached, with all that is needed to check and repeat it.

The file format is JSON with a schema version. Reading it parses data and nothing else, so a file
from elsewhere cannot run code, and every field is checked before a point exists.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from rdp import _check
from rdp._files import replacing
from rdp.perception import loss_name, perception
from rdp.source import GaussMarkov

Array = np.ndarray

SCHEMA = "gauss-markov-rdp/operating-points"
SCHEMA_VERSION = 1
KINDS = ("measured", "reduced", "simulated", "computed")
_MEASURED = ("rate", "distortion", "perception")


@dataclass(frozen=True, eq=False)
class OperatingPoint:
    """Rate, distortion and perception that one codec reached, frame by frame.

    Parameters
    ----------
    label : str
        Name of the codec or curve, for legends.
    plf : {"MMSE", "FMD", "JD", "SA"}
        Perception loss the codec was made for, "MMSE" for none. A name in any case, a loss such as
        JD(0) and None may be given too.
    rate : (T,) array, >= 0, bits per frame
        Rate of each frame; inf allowed. For one frame, rate, distortion and perception may be
        numbers.
    distortion : (T,) array, >= 0
        Mean squared error of each frame, in `units`.
    perception : (T,) array, >= 0, or None
        Perception loss of each frame under `metric`; None if it was not evaluated.
    metric : str
        Divergence behind `perception`: "w2" is squared Wasserstein-2 in `units`, "kl" is in nats;
        another name for an estimate of another kind.
    kind : {"measured", "reduced", "simulated", "computed"}
        "measured": a codec, at full size; "reduced": a codec, trained or tested at less than full
        size; "simulated": random draws of a scheme; "computed": a formula or solver.
    units : str
        Units of distortion, and of perception for "w2".
    source : GaussMarkov, str or None
        The source, or a description of the data.
    seed : int or None
        Seed of the run.
    samples : int or None
        Number of sequences behind the averages.
    intervals : dict
        Lower and upper ends (T, 2) of confidence intervals for any of "rate", "distortion",
        "perception".
    confidence : float, in (0, 1)
        Coverage of the intervals.
    commit : str or None
        Version of the code.
    versions : dict
        Library name -> version.
    provenance : dict
        Anything else on how the point was made that JSON can hold: configuration, data, command.

    Raises
    ------
    ValueError
        Any field missing, malformed or NaN; the message names it.

    Examples
    --------
    >>> point = OperatingPoint("scaled MMSE", "FMD", rate=[0.5], distortion=[0.59], samples=1000)
    >>> point.frames
    1
    """

    label: str
    plf: str
    rate: Array
    distortion: Array
    perception: Array | None = None
    metric: str = "w2"
    kind: str = "measured"
    units: str = "squared units of the source"
    source: GaussMarkov | str | None = None
    seed: int | None = None
    samples: int | None = None
    intervals: Mapping[str, Array] = field(default_factory=dict)
    confidence: float = 0.95
    commit: str | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Validate every field and freeze the arrays."""
        for name in ("label", "metric", "units"):
            _text(name, getattr(self, name))
        self._set("plf", self._loss())
        _choice("kind", self.kind, KINDS)
        if np.ndim(self.rate) == 0 and np.size(self.distortion) > 1:
            raise ValueError(f"rate: expected one number for each frame, got {self.rate!r}")
        self._set("rate", _frames("rate", self.rate))
        self._set("distortion", self._like_rate("distortion", self.distortion))
        if self.perception is not None:
            self._set("perception", self._like_rate("perception", self.perception))
        if isinstance(self.source, GaussMarkov):
            if self.source.frames != self.frames:
                raise ValueError(
                    f"source: expected {self.frames} frames like rate, got {self.source.frames}"
                )
        elif self.source is not None:
            _text("source", self.source)
        for name in ("seed", "samples"):
            self._set(name, _optional_count(name, getattr(self, name)))
        if self.commit is not None:
            _text("commit", self.commit)
        self._set("intervals", self._check_intervals())
        confidence = _check.array("confidence", self.confidence, ndim=0)
        if not 0 < confidence < 1:
            raise ValueError(f"confidence: expected a value in (0, 1), got {self.confidence!r}")
        self._set("confidence", float(confidence))
        for name, version in _mapping("versions", self.versions).items():
            _text(f"versions[{name!r}]", version)
        self._set("versions", dict(self.versions))
        self._set("provenance", _plain("provenance", _mapping("provenance", self.provenance)))

    def _loss(self) -> str:
        """Name of the loss; a window is at most the number of frames."""
        name = loss_name(self.plf, windows=True, conditional=True)
        if (loss := perception(name)) is not None:
            loss.thresholds(len(_frames("rate", self.rate)))
        return name

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)

    def _like_rate(self, name: str, value: object) -> Array:
        out = _frames(name, value)
        if out.shape != self.rate.shape:
            raise ValueError(f"{name}: expected shape {self.rate.shape} like rate, got {out.shape}")
        return out

    def _check_intervals(self) -> dict[str, Array]:
        out = {}
        for name, ends in _mapping("intervals", self.intervals).items():
            where = f"intervals[{name!r}]"
            _choice("intervals", name, _MEASURED)
            if getattr(self, name) is None:
                raise ValueError(f"{where}: expected none without {name}")
            array = _check.array(where, ends)
            if array.shape != (self.frames, 2):
                raise ValueError(f"{where}: expected shape ({self.frames}, 2), got {array.shape}")
            if (array[:, 0] > array[:, 1]).any():
                raise ValueError(f"{where}: expected lower <= upper ends, got {array.tolist()}")
            out[name] = _check.frozen(array)
        return out

    @property
    def frames(self) -> int:
        """Number of frames T."""
        return len(self.rate)

    def to_json(self) -> dict[str, Any]:
        """Return the point as what JSON can hold; infinite values become the text "inf".

        Returns
        -------
        dict
        """
        out = {f.name: getattr(self, f.name) for f in fields(self)}
        for name in _MEASURED:
            out[name] = None if out[name] is None else _numbers(out[name])
        out["intervals"] = {name: _numbers(ends) for name, ends in self.intervals.items()}
        if isinstance(self.source, GaussMarkov):
            out["source"] = {"sigma": self.source.sigma.tolist(), "rho": self.source.rho.tolist()}
        return out

    @classmethod
    def from_json(cls, data: object) -> OperatingPoint:
        """Build a point from what `to_json` returns.

        Parameters
        ----------
        data : dict
            Field name -> value.

        Raises
        ------
        ValueError
            A field is unknown, missing or malformed; the message names it.
        """
        values = dict(_mapping("point", data))
        known = {f.name for f in fields(cls)}
        if unknown := sorted(set(values) - known):
            raise ValueError(f"{unknown[0]}: unknown field of an operating point")
        for name in ("label", "plf", "rate", "distortion"):
            if values.get(name) is None:
                raise ValueError(f"{name}: missing from the operating point")
        source = values.get("source")
        if isinstance(source, Mapping):
            if set(source) != {"sigma", "rho"}:
                raise ValueError(f"source: expected sigma and rho, got {sorted(source)}")
            values["source"] = GaussMarkov(**source)
        return cls(**values)


def save_points(path: str | os.PathLike[str], points: Iterable[OperatingPoint]) -> None:
    """Write operating points to a JSON file, replacing it as a whole.

    Parameters
    ----------
    path : path
        File to write.
    points : iterable of OperatingPoint
        What to write.

    Examples
    --------
    >>> import tempfile
    >>> point = OperatingPoint("scaled MMSE", "FMD", rate=[0.5], distortion=[0.59])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_points(f"{folder}/points.json", [point])
    ...     load_points(f"{folder}/points.json")[0].distortion
    array([0.59])
    """
    content = {
        "schema": SCHEMA,
        "version": SCHEMA_VERSION,
        "points": [point.to_json() for point in points],
    }
    with replacing(path, "w", encoding="utf-8") as file:
        file.write(json.dumps(content, indent=1, allow_nan=False) + "\n")


def load_points(path: str | os.PathLike[str]) -> list[OperatingPoint]:
    """Read operating points from a JSON file.

    Parameters
    ----------
    path : path
        File to read.

    Returns
    -------
    list of OperatingPoint

    Raises
    ------
    ValueError
        Not such a file, an unknown schema version, or a malformed point; the message names the
        file, the number of the point (from 0) and the field.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except UnicodeDecodeError:
        raise ValueError(f"{path}: expected a JSON file, got bytes that are no text") from None
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise ValueError(f"{path}: expected a JSON file, got {error.msg!r} at {where}") from None
    except ValueError as error:  # an integer of thousands of digits
        raise ValueError(f"{path}: expected a JSON file, got {error}") from None
    except RecursionError:
        raise ValueError(f"{path}: expected a JSON file, got one nested too deeply") from None
    if not isinstance(content, dict) or content.get("schema") != SCHEMA:
        raise ValueError(f"{path}: schema: expected {SCHEMA!r}, as save_points writes it")
    version = content.get("version")
    if type(version) is not int or version != SCHEMA_VERSION:
        raise ValueError(f"{path}: version: expected {SCHEMA_VERSION}, got {version!r:.100}")
    if not isinstance(content.get("points"), list):
        raise ValueError(f"{path}: points: expected a list")
    points = []
    for number, data in enumerate(content["points"]):
        try:
            points.append(OperatingPoint.from_json(data))
        except ValueError as error:
            raise ValueError(f"{path}: point {number}: {_check.one_line(error)}") from None
    return points


def environment(libraries: Sequence[str] = ("numpy",)) -> dict[str, Any]:
    """Return commit and library versions, ready to be passed on as fields of a point.

    Parameters
    ----------
    libraries : sequence of str
        Distributions whose version matters.

    Returns
    -------
    dict
        "commit" (None outside a checkout, or without git; "-dirty" appended if files differ)
        and "versions".

    Examples
    --------
    >>> sorted(environment())
    ['commit', 'versions']
    """
    import shutil
    import subprocess
    from importlib.metadata import version

    here = Path(__file__).resolve().parents[1]
    commit = None
    if (here / ".git").exists() and shutil.which("git"):
        git = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
        run = subprocess.run(git, cwd=here, capture_output=True, text=True, check=False)
        commit = run.stdout.strip() or None
    return {"commit": commit, "versions": {name: version(name) for name in libraries}}


def _text(name: str, value: object) -> None:
    if not isinstance(value, str) or not value:
        raise ValueError(f"{name}: expected a text, got {value!r}")


def _choice(name: str, value: object, allowed: Sequence[str]) -> None:
    if value not in allowed:
        raise ValueError(f"{name}: expected one of {', '.join(allowed)}, got {value!r}")


def _mapping(name: str, value: object) -> Mapping[str, Any]:
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise ValueError(f"{name}: expected names with values, got {value!r}")
    return value


def _frames(name: str, value: object) -> Array:
    """Return one non-negative number per frame; a number is one frame."""
    out = np.atleast_1d(_check.nonnegative(name, value))
    if out.ndim > 1:
        raise ValueError(f"{name}: expected one number for each frame, got shape {out.shape}")
    if out.size == 0:
        raise ValueError(f"{name}: expected at least one frame, got none")
    return _check.frozen(out)


def _optional_count(name: str, value: object) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 0:
        raise ValueError(f"{name}: expected an integer >= 0, got {value!r}")
    return int(value)


def _numbers(array: Array) -> list[Any]:
    """Nested lists, with the text "inf" for what strict JSON has no number for."""
    if array.ndim > 1:
        return [_numbers(row) for row in array]
    return [value if np.isfinite(value) else str(value) for value in array.tolist()]


def _plain(name: str, value: object) -> Any:
    """Return a copy of `value` as strict JSON would give it back."""
    try:
        return json.loads(json.dumps(value, allow_nan=False))
    except (RecursionError, TypeError, ValueError) as error:
        raise ValueError(f"{name}: expected what JSON can hold, got {error}") from None
