"""`rdp encode` and `rdp decode`: a clip to bytes, and back under the loss you choose."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from solvers.cli import inputs, output

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np

_NO_RATE = Fraction(25)  # frames a second of a clip that says none


def encode(
    clip: Annotated[
        str | None,
        typer.Argument(help="Video file, folder of images, or .npy frames.", show_default=False),
    ] = None,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="File to write.", show_default=False)
    ] = Path("out.rdp"),
    bpp: Annotated[float, typer.Option(help="Most bits per pixel, mean over all frames.")] = 0.1,
    first_bpp: Annotated[
        float | None,
        typer.Option(help="Bits per pixel of the first frame; its quality is that of the others."),
    ] = None,
    sample: Annotated[
        bool, typer.Option("--sample", help="Use the sample clip of the package.")
    ] = False,
    start: Annotated[int, typer.Option(help="Number of frames to skip.")] = 0,
    frames: Annotated[
        int | None, typer.Option(help="Number of frames to encode; all by default.")
    ] = None,
    fps: Annotated[
        str | None,
        typer.Option(
            metavar="25 or 30000/1001",
            help="Frames a second of the decoded videos; by default those of the clip, or 25.",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the dither, which the file carries.")] = 0,
    json: inputs.Json = False,
) -> None:
    """Encode the luma of a clip at a mean rate: one file for the decoders of all losses.

    The rate is that of the file, header included. The clip is read several times.

    rdp encode --sample --bpp 0.1 -o out.rdp
    """
    from rdp._files import replacing
    from rdp.clip import frame_rate, luma_frames, sample_clip
    from rdp.clip_codec import encode_clip

    if sample == (clip is not None):
        raise ValueError("clip: expected a path or --sample, got " + ("both" if sample else "none"))
    path = sample_clip() if clip is None else clip
    rate = (frame_rate(path) or _NO_RATE) if fps is None else _rate(fps)
    with output.counted("frame") as count:
        found = encode_clip(
            lambda: luma_frames(path, start, frames), bpp, first_bpp, seed, rate, count
        )
    with replacing(out, "wb") as file:
        file.write(found.data)
    content = {
        "file": str(out),
        "bytes": len(found.data),
        "frames": len(found.frame_bits),
        "width": found.size[1],
        "height": found.size[0],
        "fps": float(rate),
        "bits_per_pixel": found.bits_per_pixel,
        "first_bits_per_pixel": float(found.frame_bits[0] / (found.size[0] * found.size[1])),
    }
    pixels = found.size[0] * found.size[1]
    if first_bpp is not None:
        _say_missed("first_bpp", first_bpp, found.first_bits / pixels, found.finest[0])
    _say_missed("bpp", bpp, found.bits_per_pixel, found.finest[1])
    if json:
        output.show_json(content)
        return
    typer.echo(
        f"{out}: {content['frames']} frames of {found.size[1]}x{found.size[0]}, "
        f"{content['bytes']:,} bytes, {found.bits_per_pixel:.4g} bits per pixel "
        f"(first frame {content['first_bits_per_pixel']:.4g})"
    )


def _say_missed(name: str, asked: float, taken: float, finest: bool) -> None:
    """Say on stderr that no quality takes as few bits per pixel, or as many, as were asked for."""
    missed = "few: the coarsest" if taken > asked else "many: the finest" if finest else None
    if missed is not None:
        typer.echo(f"{name}: {asked:g} is too {missed} quality takes {taken:.4g}", err=True)


def decode(
    stream: Annotated[Path, typer.Argument(help="File that `rdp encode` wrote.")],
    out: Annotated[
        Path,
        typer.Option("--out", "-o", help=".mp4, .mkv, .mov, .npy, or a folder for PNG files."),
    ],
    plf: Annotated[
        str, typer.Option(metavar="MMSE|FMD|JD|SA", help="Perception loss of the decoder.")
    ] = "MMSE",
) -> None:
    """Decode a clip under the loss you choose; every loss reads the same file.

    rdp decode out.rdp --plf JD -o joint.mp4
    """
    from rdp.clip_codec import about, decode_frames
    from rdp.clip_codec.write import write_frames

    if not stream.exists():
        raise ValueError(f"{stream}: no such file")
    data = stream.read_bytes()
    try:
        size, rate, total = about(data)
        with output.counted("frame", total) as count:
            written = write_frames(out, _each(decode_frames(data, plf), count), rate)
    except ValueError as error:
        if str(error).startswith(("stream:", "chunk:")):
            raise ValueError(f"{stream}: {error}") from error
        raise
    typer.echo(f"{out}: {written} frames of {size[1]}x{size[0]}, decoder of {plf.upper()}")


def _each(frames: Iterator[np.ndarray], count: Any) -> Iterator[np.ndarray]:
    for frame in frames:
        count()
        yield frame


def _rate(text: str) -> Fraction:
    try:
        rate = Fraction(text)
    except (ValueError, ZeroDivisionError):
        rate = Fraction(0)
    if not 0 < rate <= 1000:
        raise ValueError(f"fps: expected a number above 0, at most 1000, got {text!r}")
    return rate.limit_denominator(1001)
