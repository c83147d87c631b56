"""Texts that `fuzz_inputs` attacks: JSON, TOML, requests to the explorer, the command line."""

from __future__ import annotations

import io
import json
import math
from pathlib import Path
from random import Random
from typing import Any, ClassVar

from benchmarks.fuzz_families import Clips, Family, Wrong
from benchmarks.fuzz_mutations import VALUES, changed_bytes, changed_value, json_text
from rdp.operating_point import SCHEMA, SCHEMA_VERSION, load_points, save_points


class Documents(Family):
    """JSON of measured codecs, and the log of a training."""

    solves = True

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        point = {
            "label": "a", "plf": "JD", "rate": [1.0, "inf"], "distortion": [0.5, 0.4],
            "perception": [0.0, 0.1], "metric": "w2", "kind": "measured", "samples": 100, "seed": 1,
            "source": {"sigma": [1.0, 1.0], "rho": [0.9]},
            "intervals": {"distortion": [[0.4, 0.6], [0.3, 0.5]]},
        }  # fmt: skip
        estimate = {"label": "a", "plf": "MMSE", "rate": [1, "inf"], "distortion": [0.3, 0.1]}
        self.points = {
            "schema": SCHEMA,
            "version": SCHEMA_VERSION,
            "points": [estimate | {"source": point["source"]}, point],
        }
        self.log = [{"step": 50 * k, "seconds": 1.0 * k, "distortion": [0.1]} for k in (1, 2, 3)]

    def originals(self) -> list[Any]:
        """Return both files."""
        lines = "".join(json.dumps(line) + "\n" for line in self.log)
        return [("points.json", json.dumps(self.points).encode()), ("log.jsonl", lines.encode())]

    def changed(self, rng: Random) -> Any:
        """Return points or a log with other values, or other bytes."""
        if rng.random() < 0.7:
            return "points.json", json_text(rng, self.points)
        return "log.jsonl", b"\n".join(json_text(rng, line) for line in self.log)

    def read(self, given: Any) -> None:
        """Read a file; points are compared with theory and come back from a file as they are."""
        from neural.training.log import read_log, trained_seconds
        from solvers import validate

        path = self.file(*given)
        if given[0] == "log.jsonl":
            if not math.isfinite(trained_seconds(read_log(self.folder))):
                raise Wrong("seconds that are not finite")
            return
        points = load_points(path)
        again = self.folder / "again.json"
        save_points(again, points)
        if [point.to_json() for point in load_points(again)] != [p.to_json() for p in points]:
            raise Wrong("points change on their way through a file")
        for check in validate(points):
            if math.isnan(check.limit) or math.isnan(check.measured):
                raise Wrong(f"{check.bound}: NaN")


class Configurations(Family):
    """TOML files of experiments."""

    BASE: ClassVar[dict[str, Any]] = {
        "task": "blocks", "seed": 1, "rates": [[0.7, 0.9]],
        "options": {
            "source": {"sigma": [1.0, 2.0], "rho": [0.8]},
            "codec": {"block": 2, "latents": 2, "hidden": 8},
            "critic": {"hidden": 8},
            "evaluation": {"n": 400, "repeats": 2, "seed": 5},
        },
        "stage": [
            {"name": "mmse", "steps": 20, "batch": 16},
            {"name": "own", "start": "mmse", "plfs": ["JD"], "encoder": "frozen", "steps": 10,
             "batch": 16, "lr": 1e-3},
        ],
    }  # fmt: skip
    CLIPS: ClassVar[dict[str, Any]] = BASE | {
        "task": "clips", "rates": [[12, 2]],
        "options": {
            "data": {"kind": "digits"}, "codec": {"width": 4, "noise": 2}, "critic": {"width": 4},
            "evaluation": {"clips": 40, "critic_steps": 4},
        },
        "stage": [
            {"name": "first", "frames": [1], "steps": 2, "batch": 4},
            {"name": "mmse", "start": "first", "frames": [2], "steps": 2, "batch": 4},
        ],
    }  # fmt: skip

    def originals(self) -> list[Any]:
        """Return one experiment with blocks and one with clips."""
        return [toml(self.BASE).encode(), toml(self.CLIPS).encode()]

    def changed(self, rng: Random) -> Any:
        """Return an experiment with other values, or other bytes."""
        content = rng.choice((self.BASE, self.CLIPS))
        if rng.random() < 0.2:
            return changed_bytes(rng, toml(content).encode())[1]
        more = (*VALUES, "e.toml", "mmse", "clips", "blocks", "kth", "frozen")
        changed = changed_value(rng, content, more)
        if rng.random() < 0.1 and isinstance(changed, dict):
            changed["base"] = rng.choice(("e.toml", "../e.toml", "other.toml", 3))
        return toml(changed).encode("utf-8", "surrogatepass")

    def read(self, given: Any) -> None:
        """Read an experiment; its folders stay inside the folder of all runs."""
        from neural.experiment import Experiment

        path = self.file("e.toml", given)
        try:
            experiment = Experiment.load(path)
        except OSError as error:
            if error.filename is None:
                raise
            raise ValueError(str(error)) from None
        root = (self.folder / "runs").resolve()
        for stage in experiment.stages:
            for cell in range(len(experiment.cells)):
                if root not in experiment.folder(root, stage, cell).resolve().parents:
                    raise Wrong(f"folder {experiment.folder(root, stage, cell)}")


def toml(value: Any) -> str:
    """Return nested values as TOML; what TOML has no word for becomes a text."""
    if not isinstance(value, dict):
        return f"value = {_toml_value(value)}\n"
    return "".join(f"{json.dumps(str(k))} = {_toml_value(v)}\n" for k, v in value.items())


def _toml_value(value: Any) -> str:
    if isinstance(value, dict):
        items = ", ".join(f"{json.dumps(str(k))} = {_toml_value(v)}" for k, v in value.items())
        return "{" + items + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml_value, value)) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)):
        return repr(value)
    return json.dumps("" if value is None else str(value))


class Refused(Exception):
    """The explorer answered with an error in words."""


class Requests(Family):
    """Requests to the explorer: changed JSON, headers and forms."""

    refusal = (Refused,)
    limit = Clips.limit
    solves = True
    ASKED: ClassVar[dict[str, Any]] = {
        "frames": 3, "rho": [0.9, 0.8], "sigma": [1, 2, 1], "rates": [0.5, 1, 1],
        "levels": [0, 0.1, 0], "weights": None, "swept": 1, "seed": 0, "window": 2,
    }  # fmt: skip

    def __init__(self, folder: Path) -> None:
        from solvers.explore.app import create_app
        from solvers.explore.view import PARTS

        super().__init__(folder)
        self.app, self.parts = create_app(), list(PARTS)
        self.clips = Clips(folder)

    def originals(self) -> list[Any]:
        """Return a question to each view, and a clip."""
        asked = [self._question(part, json.dumps(self.ASKED).encode()) for part in self.parts]
        return [*asked, self._clip("5", "a.npy", self.clips.good["a.npy"])]

    def _question(self, part: str, data: bytes, **headers: str) -> Any:
        options = {"data": data, "content_type": "application/json", "headers": headers}
        return f"/view/{part}", options

    def _clip(self, frames: str, name: str, content: bytes) -> Any:
        return "/clip", {"data": {"frames": frames, "clip": (content, name)}}

    def changed(self, rng: Random) -> Any:
        """Return a question with other values or other bytes, a changed clip, or odd headers."""
        kind, good = rng.randrange(8), json.dumps(self.ASKED).encode()
        if kind == 0:
            name, _, content = self.clips.changed(rng)
            frames = rng.choice(("5", "5", "5", "", "-1", "1e3", "\u0663", "9" * 5000))
            return self._clip(frames, rng.choice((name, "", "../x", "\x00")), content)
        if kind == 1:
            names = ("Host", "Origin", "Content-Length", "Content-Type", "Transfer-Encoding")
            values = ("", "[", "[::1", "localhost:99999", "-1", "9" * 30, "chunked", "null", "a@b")
            chosen = {rng.choice(names): rng.choice(values)}
            return self._question(rng.choice(self.parts), good, **chosen)
        part = rng.choice(self.parts)
        return self._question(part, json_text(rng, self.ASKED))

    def read(self, given: Any) -> None:
        """Send a request; an answer is strict JSON, and an error is none of the server's own."""
        path, options = given
        options = dict(options)
        if isinstance(options["data"], dict):
            content, name = options["data"]["clip"]
            options["data"] = options["data"] | {"clip": (io.BytesIO(content), name)}
        answer = self.app.test_client().post(path, **options)
        if answer.status_code in (400, 403, 404, 411, 413, 415, 422, 501):
            raise Refused(answer.json["error"])
        if answer.status_code != 200:
            raise AssertionError(f"status {answer.status_code}")
        json.loads(answer.text, parse_constant=_no_constant)


def _no_constant(name: str) -> None:
    raise Wrong(f"{name} in JSON")


class Commands(Family):
    """Options of the command line."""

    refusal = (Refused,)
    solves = True
    GOOD: ClassVar[dict[str, dict[str, str]]] = {
        "solve": {
            "rho": "0.9", "sigma": "1,2", "rates": "0.5,1", "plf": "JD", "levels": "0,0.1",
            "weights": "1,1", "frames": "2", "window": "2", "method": "auto", "metric": "w2",
        },
        "curve": {
            "rho": "0.9", "rates": "0.5,x", "levels": "0,0", "from": "0", "to": "2", "points": "3",
            "plf": "all", "frame": "2",
        },
        "steady": {
            "rho": "0.9", "sigma": "1", "rates": "1,2", "plf": "FMD,JD", "levels": "0",
            "approach": "2",
        },
        "minimum-rate": {
            "rho": "0.9", "sigma": "1", "distortion": "0.5,0.4", "plf": "JD", "levels": "0",
            "objective": "sequential",
        },
    }  # fmt: skip
    TEXTS = (
        "0.5", "1e-9", "1e-6", "0.001", "0.3", "2", "20", "60", "0.999999", "-0.5", "0.5,0",
        "2,1e-6", "0,inf", "1e-3,1e3", "inf,0", "1e9,1e-9", "", " ", ",", "x", "nan", "inf", "-inf",
        "1e400", "1e-170", "1e-320", "-1", "0", "-0", "1", "0,0", "1,2,3", "1,,2", "0x10", "1_000",
        "9" * 400, "\u0663", "[/x]", "\x1b[31m", "1:2", "0:1:-1", "0:nan:3", "MMSE", "jd(2)",
        "JD(0)", "JD(99999999999999999999)", "SA", "CP", "all",
    )  # fmt: skip

    def originals(self) -> list[Any]:
        """Return one call of each command."""
        return [[name, *_options(options)] for name, options in self.GOOD.items()]

    def changed(self, rng: Random) -> Any:
        """Return a call with one or two other values."""
        name = rng.choice(list(self.GOOD))
        options = dict(self.GOOD[name])
        for _ in range(rng.choice((1, 1, 2))):
            options[rng.choice(list(options))] = rng.choice(self.TEXTS)
        return [name, *_options(options)]

    def read(self, given: Any) -> None:
        """Run a command: answer, or an error in words and a status of 1 or 2."""
        from typer.testing import CliRunner

        from solvers.cli import app

        found = CliRunner().invoke(app, given)
        if found.exit_code == 0:
            if "nan" in found.stdout.lower():
                raise Wrong("nan in the answer")
            return
        if found.exception is not None and not isinstance(found.exception, SystemExit):
            raise found.exception
        if found.stderr.startswith("Usage:"):  # of the command line itself, in a frame
            raise Refused("usage")
        raise Refused(found.stderr.rstrip("\n"))


def _options(options: dict[str, str]) -> list[str]:
    return [f"--{name}={value}" for name, value in options.items()]
