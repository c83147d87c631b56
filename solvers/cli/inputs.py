"""Options that several commands share, and the parsers of their texts."""

from __future__ import annotations

from typing import Annotated

import numpy as np
import typer

from rdp.autoregressive import AutoRegressive
from rdp.linear_source import LinearFrames
from rdp.perception import LOSSES, loss_name
from rdp.source import GaussMarkov

Array = np.ndarray

LIST = "X or X1,X2,..."

Rho = Annotated[
    str, typer.Option(metavar=LIST, help="Correlation of each frame with the previous one.")
]
Ar = Annotated[
    str | None,
    typer.Option(metavar="PHI1,PHI2,...", help="Coefficients of a source of higher order."),
]
Sigma = Annotated[str, typer.Option(metavar=LIST, help="Standard deviation of each frame.")]
Frames = Annotated[
    int | None, typer.Option(min=1, help="Number of frames; needed if no option is a list.")
]
Weights = Annotated[
    str | None,
    typer.Option(metavar=LIST, help="Weights of the distortions; without them, sequential."),
]
Rates = Annotated[str, typer.Option(metavar=LIST, help="Bits of each frame; inf allowed.")]
Loss = Annotated[
    str, typer.Option(metavar="MMSE|FMD|JD|SA|CP", help="Perception loss; MMSE means none.")
]
Window = Annotated[
    int | None, typer.Option(min=1, metavar="W", help="Frames that JD sees; all by default.")
]
Losses = Annotated[str, typer.Option(metavar="all|MMSE,FMD,...", help="Perception losses.")]
Levels = Annotated[
    str,
    typer.Option(metavar=LIST, help="Perception thresholds; 0 is perfect realism, inf is free."),
]
OptionalLevels = Annotated[
    str | None,
    typer.Option(metavar=LIST, help="Perception thresholds, 0 by default; inf is free."),
]
Metric = Annotated[
    str, typer.Option(metavar="w2|kl", help="Metric of the threshold; kl (nats) is for FMD only.")
]
Encoder = Annotated[
    str,
    typer.Option(
        metavar="optimal|mmse", help="Encoder designed for the loss, or for mean squared error."
    ),
]
Shared = Annotated[
    str,
    typer.Option(
        metavar=LIST, help="Random bits of each frame that encoder and decoder share; inf is free."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON; undefined values are null.")]
Csv = Annotated[
    str | None, typer.Option("--csv", metavar="FILE", help="Write CSV; - is standard output.")
]
Plot = Annotated[
    str | None, typer.Option("--plot", metavar="FILE", help="Draw to a png, pdf or svg file.")
]


def numbers(name: str, text: str) -> float | Array:
    """Return one number, or an array if the text of option `name` has commas.

    Examples
    --------
    >>> numbers("rho", "0.9,0.8")
    array([0.9, 0.8])
    """
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        raise ValueError(f"{name}: expected numbers separated by commas, got {text!r}") from None
    return np.array(values) if "," in text else values[0]


def optional_numbers(name: str, text: str | None) -> float | Array | None:
    """Return the numbers of an option, or None if it is not given."""
    return None if text is None else numbers(name, text)


def span(name: str, text: str) -> Array:
    """Return the values of "FROM:TO:N", evenly spaced, or one number.

    Examples
    --------
    >>> span("rates", "0:4:5")
    array([0., 1., 2., 3., 4.])
    """
    parts = text.split(":")
    try:
        if len(parts) == 1:
            return np.array([float(text)])
        low, high, count = parts
        return np.linspace(float(low), float(high), max(1, int(count)))
    except ValueError:
        raise ValueError(f"{name}: expected a number or FROM:TO:N, got {text!r}") from None


def swept(name: str, text: str) -> tuple[float | Array, Array]:
    """Return the numbers, with 0 for each "x", and a mask of the same shape that is true at "x".

    "x" is the value that a curve sweeps.

    Examples
    --------
    >>> swept("rates", "0.5,x,x")
    (array([0.5, 0. , 0. ]), array([False,  True,  True]))
    """
    parts = [part.strip() for part in text.split(",")]
    mask = np.array([part == "x" for part in parts])
    values = numbers(name, ",".join("0" if part == "x" else part for part in parts))
    return values, mask if "," in text else mask[0]


def source(rho: str, sigma: str, frames: int | None, **lists: float | Array | None) -> GaussMarkov:
    """Return the source that the options --rho, --sigma and --frames describe.

    Parameters
    ----------
    **lists : float, array or None
        Other options that have one value for each frame. Without --frames, the first list among
        them, --sigma and --rho sets the number of frames.

    Raises
    ------
    ValueError
        No option sets the number of frames, or a list has another length.
    """
    sd, corr = numbers("sigma", sigma), numbers("rho", rho)
    lengths = [len(value) for value in (*lists.values(), sd) if isinstance(value, np.ndarray)]
    if isinstance(corr, np.ndarray):
        lengths.append(len(corr) + 1)
    count = frames or (lengths[0] if lengths else None)
    if count is None:
        raise ValueError(f"frames: expected --frames, or a list of {next(iter(lists))}, got none")
    if isinstance(sd, np.ndarray) and len(sd) != count:
        raise ValueError(f"sigma: expected shape ({count},) for {count} frames, got {sd.shape}")
    return GaussMarkov(np.broadcast_to(sd, (count,)), corr)


def autoregressive(
    ar: str, sigma: str, frames: int | None, **lists: float | Array | None
) -> LinearFrames:
    """Return the source that the options --ar, --sigma and --frames describe.

    Parameters
    ----------
    **lists : float, array or None
        Other options that have one value for each frame. Without --frames, the first list among
        them sets the number of frames.

    Raises
    ------
    ValueError
        No option sets the number of frames, --sigma is a list, or the source is not stationary.
    """
    sd = numbers("sigma", sigma)
    if isinstance(sd, np.ndarray):
        raise ValueError(f"sigma: expected one number with --ar, got {sigma!r}")
    lengths = [len(value) for value in lists.values() if isinstance(value, np.ndarray)]
    count = frames or (lengths[0] if lengths else None)
    if count is None:
        raise ValueError(f"frames: expected --frames, or a list of {next(iter(lists))}, got none")
    return LinearFrames(AutoRegressive(numbers("ar", ar), sd), count)


def losses(text: str, window: int | None = None) -> list[str]:
    """Return the names of losses in the option --plf: "all", or names separated by commas.

    A window holds for JD among them.

    Examples
    --------
    >>> losses("fmd,JD"), losses("fmd,JD", window=2), losses("JD(2),JD(3)")
    (['FMD', 'JD'], ['FMD', 'JD(2)'], ['JD(2)', 'JD(3)'])
    """
    names = [part.strip().upper() for part in text.split(",")]
    if names == ["ALL"]:
        names = list(LOSSES)
    try:
        names = [loss_name(name, windows=True, conditional=True) for name in names]
    except ValueError as error:
        if str(error).startswith("window"):
            raise
        known = ", ".join(LOSSES)
        raise ValueError(f"plf: expected all or any of {known}, got {text!r}") from None
    if window is None:
        return names
    if "JD" not in names:
        raise ValueError(f"window: expected JD among the losses, got {text!r}")
    return [f"JD({window})" if name == "JD" else name for name in names]
