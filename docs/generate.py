"""What the site computes when it is built: figures, tables, API pages, commands, notebooks.

All of it goes to docs/generated. A number on a page comes from here or from a tested example; none
is typed. ``python docs/generate.py`` writes the files without building the site.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import os
import pkgutil
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from rdp.operating_point import OperatingPoint

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
GENERATED = DOCS / "generated"
PARTS = GENERATED / "parts"  # what pages include
RESULTS = ROOT / "benchmarks" / "results"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

PACKAGES = ("rdp", "solvers", "neural", "figures")
COMMANDS = ("cli", "explore", "__main__")  # documented by their own --help
Rows = Iterator[Sequence[object]]  # of a table, the head first
# Benchmarks that say which solver to take, in the order of the page.
SOLVER_BENCHMARKS = ("newton", "agreement", "lookahead", "vector", "closed_form")


def generate() -> None:
    """Write everything anew."""
    shutil.rmtree(GENERATED, ignore_errors=True)
    PARTS.mkdir(parents=True)
    figures()
    (PARTS / "which_plf.md").write_text(which_plf())
    (PARTS / "solver_benchmarks.md").write_text("\n".join(benchmarks(SOLVER_BENCHMARKS)))
    (PARTS / "coding_benchmark.md").write_text("\n".join(benchmarks(["coding"])))
    for name, text in experiments():
        (PARTS / f"{name}.md").write_text(text)
    (GENERATED / "commands.md").write_text(commands())
    for package in PACKAGES:
        for name, text in module_pages(package):
            (GENERATED / f"{name}.rst").write_text(text)
    shutil.copytree(ROOT / "notebooks", GENERATED / "notebooks")


def figures() -> None:
    """Make the figures that pages show, and the tables behind them."""
    from figures import build

    pages = "".join(path.read_text() for path in sorted(DOCS.glob("**/*.md")))
    for name in sorted(set(re.findall(r"/generated/(\w+)\.svg", pages))):
        build(name, GENERATED, ["svg"])


def table(rows: Iterable[Sequence[object]]) -> str:
    """Return a Markdown table; the first row is its head."""
    head, *body = ([escaped(cell) for cell in row] for row in rows)
    lines = [head, ["---"] * len(head), *body]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def escaped(cell: object) -> str:
    """Return a cell's text; nothing for None."""
    return "" if cell is None else str(cell).replace("|", "\\|")


def number(value: object) -> object:
    """Return a float with three significant digits, anything else as it is."""
    if not isinstance(value, float):
        return value
    return f"{value:.3g}" if value == 0 or 1e-3 <= abs(value) < 1e4 else f"{value:.1e}"


def which_plf() -> str:
    """Table of distortions paid and correlations kept, from the numbers behind the figure."""
    import pandas as pd

    found = pd.read_csv(GENERATED / "which_plf.csv")
    losses = list(found.plf.unique())
    rows: list[Sequence[object]] = [["Situation", "bits", *losses, *losses]]
    for (situation, bits), part in found.groupby(["situation", "rates_bits"], sort=False):
        part = part.set_index("plf").loc[losses]
        paid = [f"{value:.3f}" for value in part.distortion_3]
        kept = [f"{value:.2f}" for value in part.correlation_23]
        rows.append([situation, bits.replace(" ", ", "), *paid, *kept])
    return table(rows)


def benchmarks(names: Sequence[str]) -> Iterator[str]:
    """Yield a section for each benchmark that was run: what it is, its table, its provenance."""
    for name in names:
        path = RESULTS / f"{name}.json"
        if not path.exists():
            continue
        found = json.loads(path.read_text())
        made = found["provenance"]
        versions = ", ".join(f"{lib} {version}" for lib, version in made["versions"].items())
        script = next(
            path for path in (ROOT / "benchmarks").glob("*.py") if path.stem.endswith(name)
        )
        title, _, text = docstring(script).partition("\n")
        yield f"### {title.rstrip('.?')}\n{text}\n"
        rows = [list(found["rows"][0])]
        rows += [[number(row[key]) for key in rows[0]] for row in found["rows"]]
        yield table(rows)
        where = f"-m benchmarks.{script.stem}"
        yield (
            f"`python {where}`, {made['date'][:10]}, {made['cores']} cores, "
            f"Python {made['python']}, {versions}.\n"
        )


def experiments() -> Iterator[tuple[str, str]]:
    """Yield name and text of the parts about video codecs: figures, and tables of results."""
    from figures import build
    from figures.build import MissingResults

    shown: dict[str, tuple[str | None, Callable[[], Rows] | None]] = {
        "runs": (None, video_runs),
        "cells": (None, video_cells),
        "targets": (None, video_targets),
        "rate": ("video_rate", video_distortion),
        "perception": ("video_perception", video_gap),
        "permanence": ("video_permanence", video_permanence),
        "recovery": ("video_recovery", video_recovery),
        "samples": ("video_samples", None),
        "theory": ("video_theory", None),
        "learning": (None, video_learning),
        "joint": (None, video_joint),
        "weight": ("video_weight", video_weight),
        "exact": (None, video_exact),
        "people": (None, video_people),
        "checks": (None, video_checks),
        "failures": (None, video_failures),
    }
    for name, (figure, rows) in shown.items():
        try:
            made = build(figure, GENERATED, ["svg"])[1:] if figure else []
            text = [f"![{path.stem}](/generated/{path.name})\n" for path in made]
            text += [table(rows())] if rows else []
        except MissingResults as error:
            text = [f"*Not here: {error}.*\n"]
        yield f"video_{name}", "\n".join(text)


def results() -> dict[str, pd.DataFrame]:
    """Tables of the experiments that have results."""
    from figures import _video
    from figures.build import MissingResults

    found = {}
    for name in _video.EXPERIMENTS:
        with suppress(MissingResults):
            found[name] = _video.table(name)
    if not found:
        raise MissingResults("no results of video codecs in neural/results")
    return found


def video_runs() -> Rows:
    """What was run, and on how many clips it was measured."""
    from figures import _video

    yield ["Experiment", "Size", "Cells", "Seed", "Held-out clips", "Device"]
    found = [point for name in results() for point in _video.points(name)]
    for experiment in dict.fromkeys(point.provenance["experiment"] for point in found):
        points = [point for point in found if point.provenance["experiment"] == experiment]
        first = points[0]
        yield [
            experiment, "reduced (CPU)" if first.kind == "reduced" else "full",
            ", ".join(dict.fromkeys(_video.cell(point) for point in points)),
            first.provenance["training_seed"], first.samples, first.provenance.get("device"),
        ]  # fmt: skip


def video_cells() -> Rows:
    """Cells of the full grid, and what of them there is."""
    found = results()
    yield ["Configuration", "Cell (bits)", "Full size", "Reduced (CPU)"]
    for name, experiment in (
        ("digits", "digits"), ("digits-inf-2", "exact"), ("digits-inf-2-recovery", "recovery"),
        ("people", "people"),
    ):  # fmt: skip
        config = tomllib.loads((ROOT / "neural" / "configs" / f"{name}.toml").read_text())
        for rates in config["rates"]:
            cell = "-".join(f"{rate:g}" for rate in rates)
            rows = found.get(experiment)
            kinds = set() if rows is None else set(rows[rows.cell == cell].kind)
            there = ["yes" if kind in kinds else "missing" for kind in ("measured", "reduced")]
            yield [f"`{name}.toml`", cell.replace("-", ", "), *there]


def spread(rows: pd.DataFrame, column: str = "distortion", digits: int = 4) -> str:
    """Mean over seeds, and the range of all their intervals."""
    if rows.empty or rows[column].isna().all():
        return ""
    low, high = rows[f"{column}_low"].min(), rows[f"{column}_high"].max()
    return f"{rows[column].mean():.{digits}f} ({low:.{digits}f}–{high:.{digits}f})"


def digits() -> pd.DataFrame:
    """Frame 2 of the decoders of shared encoders."""
    from figures import _video

    rows = _video.last_frame(_video.table("digits"))
    return rows[rows.series == _video.SHARED]


def video_distortion() -> Rows:
    """Distortion of frame 2, here and in the published runs."""
    from figures import _video

    rows, runs = digits(), _video.published()
    yield ["$R_2$ (bits)", *(who + plf for plf in _video.STYLES for who in ("", "published "))]
    for rate, here in rows.groupby("rate_bits"):
        line: list[object] = [f"{rate:g}"]
        for plf in _video.STYLES:
            run = runs[(runs.plf == plf) & (runs.rate2_bits == rate)].mse
            line += [spread(here[here.plf == plf]), f"{run.iloc[0]:.4f}" if len(run) else "–"]
        yield line


def verdict(margins: Sequence[tuple[float, float]]) -> str:
    """Whether margins, as intervals, one for each seed, are above zero: in all, in none, or so."""
    if all(low >= 0 for low, _ in margins):
        return "yes"
    return "no" if all(high < 0 for _, high in margins) else "open"


def video_targets() -> Rows:
    """What the experiments were to reach, and whether they did, in every seed."""
    from figures import _video

    rows, runs = digits(), _video.published()
    yield ["Expected", "$R_2$ (bits)", "Measured", "Compared with", "Holds"]
    for plf in _video.STYLES:
        for rate, here in rows[rows.plf == plf].groupby("rate_bits"):
            run = runs[(runs.plf == plf) & (runs.rate2_bits == rate)].mse
            if len(run):
                limit = run.iloc[0]
                margins = list(zip(limit - here.distortion_high, limit - here.distortion_low,
                                   strict=True))  # fmt: skip
                told = f"{_video.name(plf)} at or below the published run"
                yield [told, f"{rate:g}", spread(here), f"{limit:.4f}", verdict(margins)]
    lowest, highest = rows.rate_bits.min(), rows.rate_bits.max()
    if lowest == highest:  # no cell yet to compare a low rate with
        return
    for less, more, rate in (
        ("FMD", "JD", lowest), ("JD", "SA", lowest), ("FMD", "JD", highest), ("SA", "JD", highest),
    ):  # fmt: skip
        one, other = (
            rows[(rows.plf == plf) & (rows.rate_bits == rate)].set_index("seed")
            for plf in (less, more)
        )
        margins = list(zip(other.distortion_low - one.distortion_high,
                           other.distortion_high - one.distortion_low, strict=True))  # fmt: skip
        told = f"{_video.name(less)} not above {_video.name(more)}"
        yield [told, f"{rate:g}", spread(one), spread(other), verdict(margins)]


def video_gap() -> Rows:
    """Own encoders against the curve of the shared one, and their decoders as they are."""
    from figures import _video

    yield [
        "$R_2$ (bits)", "Loss", "Seed", "Gap to the curve", "Within the curve",
        "Gap of the decoders", "% of the shared one's $D_2$",
    ]  # fmt: skip
    points = [point for point in _video.points("digits") if "universal_gap" in point.provenance]
    for point in sorted(points, key=lambda p: (p.rate[-1], p.plf, p.provenance["training_seed"])):
        found = point.provenance["universal_gap"]
        gap, half, unmixed, unmixed_half = (
            found[key][-1] for key in ("gap", "half", "unmixed", "unmixed_half")
        )
        yield [
            f"{point.rate[-1]:g}", point.plf, point.provenance["training_seed"],
            f"{gap:+.4f} ± {half:.4f}", "no" if found["outside"] else "yes",
            f"{unmixed:+.4f} ± {unmixed_half:.4f}",
            f"{100 * unmixed / (point.distortion[-1] - unmixed):+.1f}",
        ]  # fmt: skip


def judged(rows: pd.DataFrame, frame: int) -> Rows:
    """Cost over the MMSE, and wrong digits that stay wrong."""
    yield [
        f"$R_{frame}$ (bits)", "Decoder", f"$D_{frame}$ / MMSE", f"wrong in frame {frame - 1}",
        f"of these wrong in frame {frame}",
    ]  # fmt: skip
    for (rate, plf), here in rows.groupby(["rate_bits", "plf"], sort=False):
        yield [
            f"{rate:g}", plf, f"{here.over_mmse.mean():.3f}", f"{here.wrong_before.mean():.3f}",
            spread(here, "stay_wrong", 2),
        ]  # fmt: skip


def video_permanence() -> Rows:
    """Frame 2: the first is poor."""
    from figures import video_permanence

    yield from judged(video_permanence.compute(), 2)


def video_recovery() -> Rows:
    """Frame 3: the second is starved."""
    from figures import _video, video_recovery

    yield from judged(_video.last_frame(video_recovery.compute()), 3)


def learning() -> pd.DataFrame:
    """What training saw, by octaves of its steps."""
    import pandas as pd

    from figures import _video
    from figures.build import MissingResults

    tables = sorted(_video.RESULTS.glob("*-learning.csv"))
    if not tables:
        raise MissingResults("no *-learning.csv in neural/results; python -m neural learning")
    return pd.concat([pd.read_csv(path) for path in tables])


def video_learning() -> Rows:
    """What more steps still gained codecs made for squared error."""
    yield ["Rates (bits)", "Stage", "Seed", "Frame", "Clips in it (thousands)", "Distortion"]
    found = learning()
    found = found[found.plf == "MMSE"]
    # stages that two experiments have in common are the same
    columns = ["rates", "stage", "seed", "frame", "clips", "distortion", "distortion_half"]
    for row in found[columns].drop_duplicates().itertuples():
        yield [
            row.rates.replace("-", ", "), row.stage, row.seed, row.frame,
            f"{row.clips / 1000:.0f}",
            f"{row.distortion:.4f} ± {row.distortion_half:.4f}",
        ]  # fmt: skip


def video_joint() -> Rows:
    """JD decoders of one encoder: like the others, and trained on with more of the critic."""
    from figures import _video
    from figures.build import MissingResults

    yield [
        "Stage", "Clips in it", "$D_2$", "Joint support", "Gelbrich distance under JD",
        "W1 in training",
    ]  # fmt: skip

    def jd(experiment: str) -> list[OperatingPoint]:
        points = _video.points(experiment)
        return [p for p in points if (p.plf, p.label) == ("JD", _video.SHARED)]

    longer = jd("joint")
    same = {(_video.cell(p), p.provenance["training_seed"], p.kind) for p in longer}
    usual = [
        p for p in jd("digits") if (_video.cell(p), p.provenance["training_seed"], p.kind) in same
    ]
    seen = learning().sort_values("to_steps")
    for point in (*usual, *longer):
        about = point.provenance
        lines = seen[
            (seen.experiment == about["experiment"]) & (seen.rates == _video.cell(point))
            & (seen.stage == about["stage"]) & (seen.seed == about["training_seed"])
            & (seen.plf == point.plf) & (seen.frame == point.frames)
        ]  # fmt: skip
        if lines.empty:
            raise MissingResults(f"no learning of {about['experiment']} in neural/results")
        last = lines.iloc[-1]
        yield [
            last.stage, f"{last.clips / 1000:.0f} thousand", f"{point.distortion[-1]:.4f}",
            f"{about['bounds']['joint_support'][-1]:.4f}", f"{point.perception[-1]:.5f}",
            f"{last.w1:.2f}",
        ]  # fmt: skip


def video_weight() -> Rows:
    """Frame 2 of shared encoders at either weight of realism."""
    from figures import video_weight

    found = video_weight.compute()
    weights = sorted(found.weight.unique())
    told = [
        f"{what}, weight {weight:g}"
        for what in ("$D_2$", "perception", "fresh W1", "stays wrong")
        for weight in weights
    ]
    yield ["$R_2$ (bits)", "Decoder", "Seeds", *told]
    for (rate, plf), here in found.groupby(["rate_bits", "plf"], sort=False):
        at = [here[here.weight == weight] for weight in weights]
        if plf != "MMSE":
            columns = (("distortion", 4), ("perception", 5), ("fresh_w1", 2), ("stay_wrong", 2))
            values = [spread(rows, *how) for how in columns for rows in at]
            yield [f"{rate:g}", plf, here.seed.nunique(), *values]


def video_exact() -> Rows:
    """Digits whose first frame is sent as it is: the second."""
    from figures import _video

    yield from measured(_video.last_frame(_video.table("exact")), 4)


def video_people() -> Rows:
    """Recordings of people: each frame and decoder."""
    from figures import _video

    yield from measured(_video.table("people"), 5)


def measured(rows: pd.DataFrame, places: int) -> Rows:
    """Distortion and perception of each frame and decoder."""
    yield ["Decoder", "Encoder", "Frame", "Bits", "Distortion", "Perception (Gelbrich)"]
    for (series, plf, frame, bits), one in rows.groupby(
        ["series", "plf", "frame", "rate_bits"], sort=False
    ):
        encoder = series.removeprefix("neural, ").removesuffix(" encoder")
        values = [spread(one, digits=places), spread(one, "perception", 5)]
        yield [plf, encoder, frame, f"{bits:g}", *values]


def checks() -> pd.DataFrame:
    """Verdicts on the points that the page shows."""
    import pandas as pd

    from figures import _video
    from figures.build import MissingResults

    path = _video.RESULTS / "checks.csv"
    if not path.is_file():
        raise MissingResults("no checks.csv in neural/results; python -m neural validate writes it")
    shown = {p.provenance["experiment"] for name in results() for p in _video.points(name)}
    found = pd.read_csv(path)
    # a cell that two experiments have in common counts once
    same = ["rates", "seed", "label", "plf", "frame", "bound", "measured", "limit"]
    return found[found.experiment.isin(shown)].drop_duplicates(same, keep="last")


def video_checks() -> Rows:
    """How many points pass each bound."""
    verdicts = ("pass", "inconclusive", "fail")
    yield ["Bound", "Decoder", *verdicts]
    for (bound, plf), rows in checks().groupby(["bound", "plf"], sort=False):
        yield [bound, plf, *(int((rows.verdict == found).sum()) for found in verdicts)]


def video_failures() -> Rows:
    """Every check that fails."""
    yield ["Experiment", "Bits", "Seed", "Decoder", "Frame", "Bound", "Measured", "", "Limit"]
    failed = checks()
    for row in failed[failed.verdict == "fail"].itertuples():
        yield [
            row.experiment, row.rates, row.seed, f"{row.plf}, {row.stage}", row.frame, row.bound,
            number(row.measured), row.relation, number(row.limit),
        ]  # fmt: skip


def docstring(path: Path) -> str:
    """Docstring of a module that is not imported."""
    return ast.get_docstring(ast.parse(path.read_text())) or ""


def commands() -> str:
    """Reference of the command lines, from the programs themselves."""
    told = os.environ | {"COLUMNS": "88"}
    python = [sys.executable, "-m"]

    def output(*arguments: str) -> str:
        run = subprocess.run(
            [*python, *arguments], cwd=ROOT, env=told, check=True, capture_output=True, text=True
        )
        return run.stdout

    typer = [
        re.sub(r"^#", "##", output("typer", module, "utils", "docs", "--name", name), flags=re.M)
        for module, name in (("solvers.cli", "rdp"), ("figures.__main__", "python -m figures"))
    ]
    typer = [re.sub(r"^(?=rdp |python )", "    ", text, flags=re.M) for text in typer]  # examples
    neural = [output("neural", "--help")]
    for command in re.search(r"\{([\w,]+)\}", neural[0])[1].split(","):
        neural.append(output("neural", command, "--help"))
    blocks = [f"```text\n{text}```\n" for text in neural]
    return "\n".join(["# Command line", *typer, "## `python -m neural`", *blocks])


def public_modules(package: str) -> list[str]:
    """Names of the modules of a package that users may import."""
    found = importlib.import_module(package)
    names = (module.name for module in pkgutil.iter_modules(found.__path__))
    return [f"{package}.{name}" for name in names if name[0] != "_" and name not in COMMANDS]


def members(module: ModuleType, exported: Iterable[object]) -> list[tuple[str, object]]:
    """Public functions and classes that a module defines and its package does not export."""
    hidden = {id(value) for value in exported}
    found = [
        (name, value)
        for name, value in vars(module).items()
        if name[0] != "_"
        and callable(value)
        and getattr(value, "__module__", None) == module.__name__
        and id(value) not in hidden
        and inspect.getdoc(value)
    ]
    return found


def describe(name: str, value: object) -> str:
    """Return the directive that shows a function or a class with its methods."""
    if not inspect.isclass(value):
        return f".. autofunction:: {name}\n"
    fields = ", ".join(getattr(value, "_fields", ()))  # of a named tuple: listed as parameters
    hidden = f"   :exclude-members: {fields}\n" if fields else ""
    return f".. autoclass:: {name}\n   :members:\n   :member-order: bysource\n{hidden}"


def module_pages(package: str) -> Iterator[tuple[str, str]]:
    """Yield name and text of the page of a package and of each of its public modules."""
    top = importlib.import_module(package)
    exported = {name: getattr(top, name) for name in getattr(top, "__all__", ())}
    modules = public_modules(package)
    parts = [heading(package), f".. automodule:: {package}\n"]
    parts += [describe(f"{package}.{name}", value) for name, value in exported.items()]
    parts.append(".. toctree::\n   :caption: Modules\n")
    parts.append("".join(f"   {name}\n" for name in modules))
    yield package, "\n".join(parts)
    for name in modules:
        yield name, module_page(name, exported)


def module_page(name: str, exported: dict[str, object]) -> str:
    """Text of the page of a module."""
    module = importlib.import_module(name)
    package, _, stem = name.rpartition(".")
    parts = [heading(name), f".. automodule:: {name}\n"]
    if stem in exported:  # a function of the same name owns the entry in the index
        parts[-1] += "   :no-index:\n"
    here = [key for key, value in exported.items() if getattr(value, "__module__", "") == name]
    if here:
        names = ", ".join(f":py:obj:`{package}.{key}`" for key in here)
        parts.append(f"Part of :doc:`{package}`: {names}.\n")
    parts.append(f".. py:currentmodule:: {name}\n")
    own = members(module, exported.values())
    parts += [describe(f"{name}.{key}", value) for key, value in own]
    return "\n".join(parts)


def heading(title: str) -> str:
    """Title of a reStructuredText page."""
    return f"{title}\n{'=' * len(title)}\n"


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    generate()
