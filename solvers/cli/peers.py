"""`rdp peers`: classical codecs on a clip, measured like any other codec."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from solvers.cli import inputs, output
from solvers.cli.measure import (
    Block,
    Count,
    Memory,
    Points,
    Start,
    Transform,
    environment_of_clips,
    write_points,
)

if TYPE_CHECKING:
    from rdp.clip import Comparison
    from rdp.clip.peers import Coded

QUALITIES = ("psnr", "FMD", "JD", "SA")  # at which rates are compared
SUFFIXES = {"h264": ".h264", "hevc": ".hevc", "ivf": ".ivf"}


def peers(
    clip: Annotated[
        str | None,
        typer.Argument(help="Video file, folder of images, or .npy frames.", show_default=False),
    ] = None,
    sample: Annotated[
        bool, typer.Option("--sample", help="Use the sample clip of the package.")
    ] = False,
    codec: Annotated[
        str, typer.Option(metavar="X264,...", help="x264, x264-psnr, x265, av1, vp9.")
    ] = "x264,x265,av1,vp9",
    quality: Annotated[
        str | None,
        typer.Option(metavar="Q1,Q2,...", help="Constant rate factors; by default five of each."),
    ] = None,
    block: Block = 8,
    transform: Transform = "block",
    memory: Memory = 8,
    start: Start = 0,
    frames: Count = None,
    save: Annotated[
        str | None, typer.Option("--save", metavar="FOLDER", help="Write the coded files here.")
    ] = None,
    points: Points = None,
    json: inputs.Json = False,
    csv: inputs.Csv = None,
) -> None:
    """Code a clip with classical codecs and measure what comes out, as rdp measure does.

    All codecs have low delay: one key frame, no frames out of order, no lookahead, one thread. Only
    luma is coded. A codec that is not installed is named on stderr and left out. The last table
    compares rates at equal PSNR and at equal distance under each loss.

    rdp peers --sample --codec x264,x265 --quality 28,33,38
    """
    from rdp.clip import compare, read_luma, sample_clip
    from rdp.clip.peers import PEERS, encode_peer, even_crop, missing_encoder

    if sample == (clip is not None):
        raise ValueError("clip: expected a path or --sample, got " + ("both" if sample else "none"))
    names = [name.strip().lower() for name in codec.split(",")]
    missing = {name: reason for name in names if (reason := missing_encoder(name)) is not None}
    for reason in missing.values():
        typer.echo(f"left out: {reason}", err=True)
    names = [name for name in dict.fromkeys(names) if name not in missing]
    if not names:
        raise ValueError(f"codec: expected an encoder that is installed, got {codec!r}")
    chosen = None if quality is None else _qualities(quality)
    path = sample_clip() if clip is None else clip
    luma = even_crop(read_luma(path, start, frames), block)
    found: list[tuple[Coded, Comparison]] = []
    for name in names:
        for level in chosen or PEERS[name].qualities:
            coded = encode_peer(luma, name, level)
            measured = compare(
                luma, coded.luma, block=block, transform=transform, memory=memory, name=name
            )
            found.append((coded, measured))
            if save is not None:
                _save(Path(save), coded, SUFFIXES[PEERS[name].container])
    if points is not None:
        made = [
            measured.point(
                coded.codec,
                coded.bits,
                source=f"clip {Path(path).name}",
                provenance={"quality": coded.quality, "settings": dict(coded.settings)},
                **environment_of_clips(),
            )
            for coded, measured in found
        ]
        write_points(points, made)
    table = peer_table(found)
    if csv is not None:
        output.write_csv(table, csv)
    savings = _savings(table)
    if json:
        output.show_json({"points": table.to_dict("records"), "rate_differences": savings})
    elif csv is None or csv != "-":
        _report(table, list(found[0][1].losses), savings)


def _qualities(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise ValueError(f"quality: expected whole numbers, got {text!r}") from None


def _save(folder: Path, coded: Coded, suffix: str) -> None:
    from rdp._files import replacing

    folder.mkdir(parents=True, exist_ok=True)
    with replacing(folder / f"{coded.codec}-{coded.quality}{suffix}") as file:
        file.write(coded.content)


def peer_table(found: list[tuple[Coded, Comparison]]) -> Any:
    """Return one row for each codec and quality: a pandas.DataFrame.

    The columns are codec, quality, bits_per_pixel, first_frame (its bits over the mean of the later
    frames), mse, psnr_db; each loss with its value, low and high; variance (decoded over
    reference); lost, as in `rdp.clip.Comparison`; correlation_reference, correlation_decoded and
    change over one frame, change_longest over the longest lag; the variance and the correlations
    of each band of frequencies.
    """
    import pandas as pd

    rows = []
    for coded, one in found:
        pixels = coded.luma.size
        later = coded.bits[1:].mean()
        row = {
            "codec": coded.codec,
            "quality": coded.quality,
            "bits_per_pixel": coded.bits.sum() / pixels,
            "first_frame": coded.bits[0] / later if later else float("nan"),
            "mse": one.distortion.mean(),
            "psnr_db": one.psnr,
        }
        for loss, (value, low, high) in one.losses.items():
            row |= {loss: value, f"{loss}_low": low, f"{loss}_high": high}
        row |= {
            "variance": one.decoded_variance / one.variance,
            "lost": one.lost,
            "correlation_reference": one.correlation[0, 0],
            "correlation_decoded": one.correlation[1, 0],
            "change": one.change[0],
            "change_longest": one.change[-1],
        }
        for band in one.bands:
            row |= {
                f"variance_of_{band.name}": band.variance,
                f"correlation_reference_of_{band.name}": band.reference,
                f"correlation_decoded_of_{band.name}": band.decoded,
            }
        rows.append(row)
    return pd.DataFrame(rows)


def _savings(table: Any) -> list[dict[str, Any]]:
    """BD-rate of each codec over the first one, at equal PSNR and at equal distances."""
    from rdp.clip import rate_difference

    first, *others = (rows for _, rows in table.groupby("codec", sort=False))
    found = []
    for rows in others:
        row: dict[str, Any] = {"codec": rows.codec.iloc[0], "reference": first.codec.iloc[0]}
        for name in QUALITIES:
            curves = [
                (one.bits_per_pixel.to_numpy(), _decibels(name, one[name_of(name)].to_numpy()))
                for one in (rows, first)
            ]
            row[name] = rate_difference(*curves[0], *curves[1]) if _rising(curves) else float("nan")
        found.append(row)
    return found


def name_of(quality: str) -> str:
    """Column of `peer_table` that holds a quality."""
    return "psnr_db" if quality == "psnr" else quality


def _decibels(name: str, values: Any) -> Any:
    """Quality that rises: PSNR as it is, a distance as -10 log10."""
    if name == "psnr":
        return values
    with np.errstate(divide="ignore"):
        return -10 * np.log10(values)


def _rising(curves: list[tuple[Any, Any]]) -> bool:
    """Whether BD-rate is defined: two points or more, finite, quality rising with the rate."""
    return all(
        len(rates) > 1
        and np.isfinite(quality).all()
        and (np.diff(quality[np.argsort(rates)]) > 0).all()
        and (np.diff(np.sort(rates)) > 0).all()
        for rates, quality in curves
    )


def _report(table: Any, losses: list[str], savings: list[dict[str, Any]]) -> None:
    rows = [
        (
            row.codec,
            row.quality,
            f"{row.bits_per_pixel:.4f}",
            f"{row.psnr_db:.2f}",
            *(f"{row[loss]:.4g}" for loss in losses),
            f"{row.lost:.2f}",
            f"{row.correlation_decoded:.4f}",
            f"{row.change:.3f}",
        )
        for _, row in table.iterrows()
    ]
    output.show_table(
        ["codec", "crf", "bits/pixel", "PSNR dB", *losses, "lost", "lag 1", "change"],
        rows,
        "Low-delay codecs: distance under each loss, squared luma a pixel; "
        f"lag 1 of the clip: {table.correlation_reference.iloc[0]:.4f}",
    )
    if savings:
        output.show_table(
            ["codec", "over", *(f"equal {name.upper()}" for name in QUALITIES)],
            [
                (
                    row["codec"],
                    row["reference"],
                    *("-" if np.isnan(row[n]) else output.percent(row[n]) for n in QUALITIES),
                )
                for row in savings
            ],
            "Mean difference in rate (BD-rate)",
        )
