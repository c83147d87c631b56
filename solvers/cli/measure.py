"""`rdp measure`: how far the statistics of a decoded clip are from those of its reference."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from solvers.cli import inputs, output

if TYPE_CHECKING:
    from rdp.clip import Comparison
    from rdp.operating_point import OperatingPoint

Block = Annotated[int, typer.Option(help="Side of a block, or of a cell of frequencies.")]
Transform = Annotated[
    str, typer.Option(metavar="block|frame", help="DCT of blocks, or of the whole frame.")
]
Memory = Annotated[int, typer.Option(min=1, help="Frames that JD and SA see at most.")]
Start = Annotated[int, typer.Option(help="Frames of the reference to skip.")]
Count = Annotated[
    int | None, typer.Option("--frames", help="Frames of the reference to use; all by default.")
]
Points = Annotated[
    str | None,
    typer.Option("--points", metavar="FILE", help="Write operating points for rdp validate."),
]


def measure(
    reference: Annotated[
        str, typer.Argument(help="Video file, folder of images, or .npy.", show_default=False)
    ],
    decoded: Annotated[
        list[str], typer.Argument(help="What one or several decoders made.", show_default=False)
    ],
    bits: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="CSV with a column bits or bytes, the coded video, or a file of rdp encode.",
        ),
    ] = None,
    plf: Annotated[
        str, typer.Option(metavar="MMSE,FMD,...", help="Loss that each decoder was made for.")
    ] = "MMSE",
    label: Annotated[
        str | None,
        typer.Option(
            help="Name of the codec; that of each file by default. rdp validate compares decoders "
            "of one name."
        ),
    ] = None,
    block: Block = 8,
    transform: Transform = "block",
    memory: Memory = 8,
    start: Start = 0,
    frames: Count = None,
    points: Points = None,
    json: inputs.Json = False,
    csv: inputs.Csv = None,
) -> None:
    """Measure decoded clips: error, distance under each perception loss, freezing and flicker.

    Distances are lower bounds on squared W2, without bias, in the units of the error of a pixel.
    DECODED may be the output of any codec. Several of them are decoders of one stream, of which
    --bits tells the rate. --csv writes rate, error and distance of each frame.

    rdp measure clip.mp4 x264.mp4 --bits x264.mp4

    rdp measure clip.mp4 joint.mp4 --plf JD --bits clip.rdp
    """
    from rdp.clip import compare, read_luma

    losses = inputs.losses(plf)
    if len(losses) != len(decoded):
        raise ValueError(f"plf: expected {len(decoded)} losses for as many clips, got {plf!r}")
    if points is not None and bits is None:
        raise ValueError("bits: expected --bits with --points, got none")
    source = read_luma(reference, start, frames)
    rates = None if bits is None else _bits(bits)
    if rates is not None and len(rates) != len(source):
        part = len(rates) < len(source) and frames is None and Path(str(bits)).suffix != ".csv"
        hint = f"; --frames {len(rates)} takes as many of it" if part else ""
        raise ValueError(
            f"{bits}: expected {len(source)} frames like the clip, got {len(rates)}{hint}"
        )
    layout: dict[str, Any] = {"block": block, "transform": transform, "memory": memory}
    found = [
        compare(source, read_luma(path), loss, **layout, name=path)
        for path, loss in zip(decoded, losses, strict=True)
    ]
    names = [label or Path(path).name for path in decoded]
    if points is not None and rates is not None:
        made = [
            one.point(name, rates, source=f"clip {Path(reference).name}", **environment_of_clips())
            for one, name in zip(found, names, strict=True)
        ]
        write_points(points, made)
    pixels = source[0].size
    if csv is not None:
        output.write_csv(_frames(found, names, rates), csv)
    if json:
        output.show_json(
            [
                {"label": name, "plf": one.plf, **_content(one, rates, pixels)}
                for one, name in zip(found, names, strict=True)
            ]
        )
    elif csv is None or csv != "-":
        shown = [f"{Path(path).name} ({label})" if label else Path(path).name for path in decoded]
        for one, name in zip(found, shown, strict=True):
            _report(one, name, None if rates is None else rates.mean() / pixels)


def _bits(path: str) -> Any:
    """Bits of each frame: of a stream of `rdp encode`, a CSV file, or a coded video."""
    from rdp.clip import frame_bits
    from rdp.clip_codec import stream_bits
    from rdp.codec.bitstream import MAGIC

    place = Path(path)
    if not place.is_file():
        return frame_bits(path)  # which says what is wrong
    with place.open("rb") as file:
        if file.read(len(MAGIC)) != MAGIC:
            return frame_bits(path)
    try:
        return stream_bits(place.read_bytes())
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def environment_of_clips() -> dict[str, Any]:
    """Commit and versions of what measures a clip."""
    from rdp.operating_point import environment

    return environment(("numpy", "scipy", "av"))


def write_points(path: str, points: list[OperatingPoint]) -> None:
    """Write operating points and say so on stderr."""
    from rdp.operating_point import save_points

    save_points(path, points)
    typer.echo(f"wrote {path}", err=True)


def _frames(found: list[Comparison], names: list[str], rates: Any) -> Any:
    """One row for each clip and frame."""
    import pandas as pd

    tables = [
        pd.DataFrame(
            {
                "label": name,
                "plf": one.plf,
                "frame": range(1, len(one.distortion) + 1),
                "bits": float("nan") if rates is None else rates,
                "mse": one.distortion,
                "mse_low": one.distortion_interval[:, 0],
                "mse_high": one.distortion_interval[:, 1],
                "perception": one.perception,
                "perception_low": one.perception_interval[:, 0],
                "perception_high": one.perception_interval[:, 1],
            }
        )
        for one, name in zip(found, names, strict=True)
    ]
    return pd.concat(tables, ignore_index=True)


def _content(one: Comparison, rates: Any, pixels: int) -> dict[str, Any]:
    return {
        "bits": rates,
        "bits_per_pixel": None if rates is None else rates.mean() / pixels,
        "mse": one.distortion,
        "perception": one.perception,
        **one.to_json(),
    }


def _report(one: Comparison, name: str, bits_per_pixel: float | None) -> None:
    """Print what was measured of one decoded clip."""
    frames, height, width = one.shape
    typer.echo(name)
    rate = "rate unknown" if bits_per_pixel is None else f"{bits_per_pixel:.4g} bits per pixel"
    typer.echo(
        f"{frames} frames of {width}x{height}; {rate}; "
        f"mean squared error {one.distortion.mean():.4g}, PSNR {one.psnr:.2f} dB"
    )
    typer.echo(
        f"variance {one.variance:.5g} became {one.decoded_variance:.5g}; variance lost over error: "
        f"{output.text(one.lost)} (1: conditional mean, 0: realism, -1: noise)"
    )
    rows = [
        (loss, value, f"{low:.5g} to {high:.5g}", f"{value / one.variance:.3%}")
        for loss, (value, low, high) in one.losses.items()
    ]
    output.show_table(
        ["loss", "distance", f"{one.confidence:.0%} interval", "of the variance"],
        rows,
        f"Distance of the distributions of up to {one.memory} frames, squared luma a pixel",
    )
    lags = [
        (lag, f"{before:.4f}", f"{after:.4f}", float(change))
        for lag, (before, after, change) in enumerate(
            zip(*one.correlation, one.change, strict=True), start=1
        )
    ]
    output.show_table(
        ["frames apart", "reference", "decoded", "change"],
        lags,
        "Correlation over time; change of decoded over reference (< 1 freezes, > 1 flickers)",
    )
    bands = [
        (
            band.name,
            f"{band.share:.2%}",
            band.variance,
            f"{band.reference:.4f}",
            f"{band.decoded:.4f}",
        )
        for band in one.bands
    ]
    output.show_table(
        ["frequencies", "share of variance", "variance kept", "lag 1 reference", "lag 1 decoded"],
        bands,
        "Bands of frequencies",
    )
