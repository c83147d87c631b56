"""Tables and figures of the pages about experiments on video."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import pandas as pd

from figures import _video, build, video_joint, video_permanence, video_recipes, video_recovery
from figures.build import MissingResults
from generate.paths import ROOT
from generate.tables import Rows, number, spread, table
from neural.evaluation.record import record_of, trained


def results() -> dict[str, pd.DataFrame]:
    """Tables of the experiments that have results."""
    found = {}
    for name in _video.EXPERIMENTS:
        with suppress(MissingResults):
            found[name] = _video.table(name)
    if not found:
        raise MissingResults("no results of video codecs in neural/results")
    return found


def runs_table() -> Rows:
    """The experiments that were run, and the number of clips behind the measurements."""
    yield ["Experiment", "Size", "Cells", "Seed", "Held-out clips", "Device"]
    found = [point for name in results() for point in _video.points(name)]
    for experiment in dict.fromkeys(trained(point).experiment for point in found):
        points = [point for point in found if trained(point).experiment == experiment]
        first, training = points[0], trained(points[0])
        yield [
            experiment, "reduced (CPU)" if first.kind == "reduced" else "full",
            ", ".join(dict.fromkeys(_video.cell(point) for point in points)),
            training.seed, first.samples, training.device,
        ]  # fmt: skip


def cells_table() -> Rows:
    """Cells of the full grid, and those that have results."""
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


def digits() -> pd.DataFrame:
    """Frame 2 of the decoders of shared encoders."""
    rows = _video.last_frame(_video.table("digits"))
    return rows[rows.series == _video.SHARED]


def distortion_table() -> Rows:
    """Distortion of frame 2 by rate and loss."""
    yield ["$R_2$ (bits)", *(_video.name(plf) for plf in _video.STYLES)]
    for rate, here in digits().groupby("rate_bits"):
        yield [f"{rate:g}", *(spread(here[here.plf == plf]) for plf in _video.STYLES)]


def verdict(margins: Sequence[tuple[float, float]]) -> str:
    """Say whether the margins of all seeds are above zero, by their intervals.

    "yes" if all intervals are, "no" if all are below zero, else "open".
    """
    if all(low >= 0 for low, _ in margins):
        return "yes"
    return "no" if all(high < 0 for _, high in margins) else "open"


def targets_table() -> Rows:
    """What was expected of the experiments, and whether it holds in every seed."""
    rows, runs = digits(), _video.published()
    yield ["Expected", "$R_2$ (bits)", "Measured", "Compared with", "Holds"]
    for plf in _video.STYLES:
        for rate, here in rows[rows.plf == plf].groupby("rate_bits"):
            run = runs[(runs.plf == plf) & (runs.rate2_bits == rate)].mse
            if len(run):
                limit = run.iloc[0]
                margins = list(zip(limit - here.distortion_high, limit - here.distortion_low,
                                   strict=True))  # fmt: skip
                claim = f"{_video.name(plf)} at or below the published run"
                yield [claim, f"{rate:g}", spread(here), f"{limit:.4f}", verdict(margins)]
    lowest, highest = rows.rate_bits.min(), rows.rate_bits.max()
    if lowest == highest:  # one rate alone
        return
    for less, more, rate in (
        ("FMD", "JD", lowest), ("JD", "SA", lowest), ("FMD", "JD", highest), ("SA", "JD", highest),
    ):  # fmt: skip
        one, other = (
            rows[(rows.plf == plf) & (rows.rate_bits == rate)].set_index("seed")
            for plf in (less, more)
        )
        seeds = one.index.intersection(other.index)
        if seeds.empty:
            continue
        margins = list(zip((other.distortion_low - one.distortion_high)[seeds],
                           (other.distortion_high - one.distortion_low)[seeds],
                           strict=True))  # fmt: skip
        claim = f"{_video.name(less)} not above {_video.name(more)}"
        yield [claim, f"{rate:g}", spread(one), spread(other), verdict(margins)]


def gap_table() -> Rows:
    """Encoders trained for a loss, compared with the shared encoder: its curve and its decoder."""
    yield [
        "$R_2$ (bits)", "Loss", "Seed", "Gap to the curve", "Within the curve",
        "Gap of the decoders", "% of $D_2$ of the shared encoder",
    ]  # fmt: skip
    points = sorted(_video.points("digits"), key=lambda p: (p.rate[-1], p.plf, trained(p).seed))
    for point in points:
        found = record_of(point).universal_gap
        if found is None:
            continue
        unmixed = found.unmixed[-1]
        yield [
            f"{point.rate[-1]:g}", point.plf, trained(point).seed,
            f"{found.gap[-1]:+.4f} ± {found.half[-1]:.4f}", "no" if found.outside else "yes",
            f"{unmixed:+.4f} ± {found.unmixed_half[-1]:.4f}",
            f"{100 * unmixed / (point.distortion[-1] - unmixed):+.1f}",
        ]  # fmt: skip


def by_rate(rows: pd.DataFrame) -> Iterator[tuple[float, str, pd.DataFrame]]:
    """Yield rate, loss and rows, with the losses in their usual order."""
    for rate, here in rows.groupby("rate_bits"):
        for plf in _video.STYLES:
            if len(found := here[here.plf == plf]):
                yield rate, plf, found


def wrong_digits(rows: pd.DataFrame, frame: int) -> Rows:
    """Distortion over the MMSE, and wrong digits that stay wrong."""
    yield [
        f"$R_{frame}$ (bits)", "Decoder", f"$D_{frame}$ / MMSE", f"wrong in frame {frame - 1}",
        f"of these wrong in frame {frame}",
    ]  # fmt: skip
    for rate, plf, here in by_rate(rows):
        yield [
            f"{rate:g}", plf, f"{here.over_mmse.mean():.3f}", f"{here.wrong_before.mean():.3f}",
            spread(here, "stay_wrong", 2),
        ]  # fmt: skip


def permanence_table() -> Rows:
    """Frame 2, after a first frame of few bits."""
    yield from wrong_digits(video_permanence.compute(), 2)


def recovery_table() -> Rows:
    """Frame 3, after a second frame of few bits."""
    yield from wrong_digits(_video.last_frame(video_recovery.compute()), 3)


def learning() -> pd.DataFrame:
    """Distortion during training, by octaves of its steps."""
    tables = sorted(_video.RESULTS.glob("*-learning.csv"))
    if not tables:
        raise MissingResults("no *-learning.csv in neural/results; python -m neural learning")
    return pd.concat([pd.read_csv(path) for path in tables])


def learning_table() -> Rows:
    """What codecs for squared error still gained from more steps."""
    yield [
        "Experiment", "Rates (bits)", "Stage", "Seed", "Frame", "Clips (thousands)", "Distortion",
    ]  # fmt: skip
    found = learning()
    found = found[found.plf == "MMSE"]
    for row in found.itertuples():
        yield [
            row.experiment, row.rates.replace("-", ", "), row.stage, row.seed, row.frame,
            f"{row.clips / 1000:.0f}",
            f"{row.distortion:.4f} ± {row.distortion_half:.4f}",
        ]  # fmt: skip


def joint_table() -> Rows:
    """Distortion, shift defect and lasting errors of each decoder of shared encoders."""
    yield [
        "$R_2$ (bits)", "Decoder", "Seeds", "$D_2$", "Joint support", "Perfect JD with these bits",
        "Nearest shift known", "Shift defect", "Wrong digits stay wrong",
    ]  # fmt: skip
    found = video_joint.compute()
    for rate, plf, here in by_rate(found[found.series == _video.SHARED]):
        bounds = here[["joint_support", "known_shift", "nearest_known"]].mean()
        limits = [
            "" if pd.isna(value) else f"{value:.{digits}f}"
            for value, digits in zip(bounds, (4, 4, 2), strict=True)
        ]
        yield [
            f"{rate:g}", _video.name(plf), here.seed.nunique(), spread(here), *limits,
            spread(here, "shift_defect", 5),
            spread(here, "stay_wrong", 2),
        ]  # fmt: skip


def search_table() -> Rows:
    """JD decoders with the bits of the shared encoder, and with bits chosen for them."""
    yield [
        "$R_2$ (bits)", "Seed", "Bits of", "Bits in the file", "$D_2$", "Joint support",
        "Perfect JD with these bits", "Nearest shift known", "Shift defect",
        "Wrong digits stay wrong",
    ]  # fmt: skip
    path = _video.RESULTS / video_joint.FILE
    if not path.is_file():
        raise MissingResults(
            f"no {video_joint.FILE} in neural/results; python -m benchmarks.bench_shift_search "
            "writes it"
        )
    encoders = {"shared": "the shared encoder", "search": "the search"}
    found = pd.read_csv(path).sort_values(["rate_bits", "seed"], kind="stable")
    for k, row in enumerate(found.itertuples()):
        yield [
            f"{row.rate_bits:g}", row.seed, encoders[row.encoder], f"{row.coded_bits:.1f}",
            f"{row.distortion:.4f} ± {row.distortion_half:.4f}",
            f"{row.joint_support:.4f} ± {row.joint_support_half:.4f}", f"{row.known_shift:.4f}",
            f"{row.nearest_known:.2f}", f"{row.shift_defect:.5f}",
            spread(found.iloc[k : k + 1], "stay_wrong", 2),
        ]  # fmt: skip


def recipes_table() -> Rows:
    """Recipes for a JD decoder of one frozen codec: where it ends, and the way there."""
    found = video_recipes.recipes()
    yield [
        "Recipe", "Seed", "Steps", "$D_2$ on the way", "Shift defect on the way",
        "W1 of the critic on the way", "$D_2$", "Joint support", "Shift defect", "Fresh W1",
        "Wrong digits stay wrong",
    ]  # fmt: skip
    for (recipe, seed), rows in found.groupby(["recipe", "seed"], sort=False):
        end = rows.iloc[-1]

        def way(column: str, digits: int, rows: pd.DataFrame = rows) -> str:
            return ", ".join(f"{value:.{digits}f}" for value in rows[column])

        def last(column: str, digits: int, end: pd.Series = end) -> str:
            return f"{end[column]:.{digits}f} ± {end[f'{column}_half']:.{digits}f}"

        yield [
            recipe, seed, ", ".join(str(step) for step in rows.step), way("distortion", 4),
            way("shift_defect", 5), way("critic_w1", 2), last("distortion", 4),
            last("joint_support", 4), last("shift_defect", 5), last("fresh_w1", 2),
            spread(rows.tail(1), "stay_wrong", 2),
        ]  # fmt: skip


def effort_table() -> Rows:
    """The JD decoder against its training steps, by the weight of realism."""
    yield [
        "Weight", "Steps", "$D_2$ of training digits", "$D_2$", "Perfect JD with these bits",
        "Joint support", "Shift defect", "W1 of the critic", "Wrong digits stay wrong",
    ]  # fmt: skip
    found = video_recipes.recipes(video_recipes.EFFORT)
    for _, rows in found.groupby(["recipe", "seed", "steps"], sort=False):
        first, last = rows.weight.iloc[0], rows.weight.iloc[-1]
        for row in rows.itertuples():
            yield [
                f"{first:g}" if first == last else f"{first:g} to {last:g}",
                f"{row.step} of {row.steps}", f"{row.training_distortion:.4f}",
                f"{row.distortion:.4f} ± {row.distortion_half:.4f}", f"{row.known_shift:.4f}",
                f"{row.joint_support:.4f} ± {row.joint_support_half:.4f}",
                f"{row.shift_defect:.5f}", f"{row.critic_w1:.2f}",
                "" if pd.isna(row.stay_wrong) else spread(rows.tail(1), "stay_wrong", 2),
            ]  # fmt: skip


def exact_table() -> Rows:
    """Frame 2 of digits whose first frame is lossless."""
    yield from measured(_video.last_frame(_video.table("exact")), 4)


def people_table() -> Rows:
    """Each frame and decoder of recordings of people."""
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
    """Verdicts on the points on the page."""
    path = _video.RESULTS / "checks.csv"
    if not path.is_file():
        raise MissingResults("no checks.csv in neural/results; python -m neural validate writes it")
    measured_here = {trained(p).experiment for name in results() for p in _video.points(name)}
    found = pd.read_csv(path)
    # a cell that is part of two experiments counts once
    same = ["rates", "seed", "label", "plf", "frame", "bound", "measured", "limit"]
    return found[found.experiment.isin(measured_here)].drop_duplicates(same, keep="last")


def checks_table() -> Rows:
    """Number of points that pass each bound."""
    verdicts = ("pass", "inconclusive", "fail")
    yield ["Bound", "Decoder", *verdicts]
    for (bound, plf), rows in checks().groupby(["bound", "plf"], sort=False):
        yield [bound, plf, *(int((rows.verdict == found).sum()) for found in verdicts)]


def failures_table() -> Rows:
    """Every check that fails."""
    yield ["Experiment", "Bits", "Seed", "Decoder", "Frame", "Bound", "Measured", "", "Limit"]
    failed = checks()
    for row in failed[failed.verdict == "fail"].itertuples():
        yield [
            row.experiment, row.rates, row.seed, f"{row.plf}, {row.stage}", row.frame, row.bound,
            number(row.measured), row.relation, number(row.limit),
        ]  # fmt: skip


def experiments(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield name and text of the parts about video codecs; figures are written to a folder."""
    parts: dict[str, tuple[str | None, Callable[[], Rows] | None]] = {
        "runs": (None, runs_table),
        "cells": (None, cells_table),
        "targets": (None, targets_table),
        "distortion": (None, distortion_table),
        "rate": ("video_rate", None),
        "perception": ("video_perception", gap_table),
        "permanence": ("video_permanence", permanence_table),
        "recovery": ("video_recovery", recovery_table),
        "samples": ("video_samples", None),
        "theory": ("video_theory", None),
        "learning": (None, learning_table),
        "joint": ("video_joint", joint_table),
        "recipes": ("video_recipes", recipes_table),
        "search": (None, search_table),
        "effort": (None, effort_table),
        "exact": (None, exact_table),
        "people": (None, people_table),
        "checks": (None, checks_table),
        "failures": (None, failures_table),
    }
    for name, (figure, rows) in parts.items():
        try:
            made = build(figure, folder, ["svg"])[1:] if figure else []
            text = [f"![{path.stem}](/generated/{path.name})\n" for path in made]
            text += [table(rows())] if rows else []
        except MissingResults as error:
            text = [f"*Not here: {error}.*\n"]
        yield f"video_{name}", "\n".join(text)
