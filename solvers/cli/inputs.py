"""Options that several commands share, and what their texts mean."""

from __future__ import annotations

from typing import Annotated

import numpy as np
import typer

from rdp.perception import LOSSES
from rdp.source import GaussMarkov

Array = np.ndarray

LIST = "X or X1,X2,..."

Rho = Annotated[
    str, typer.Option(metavar=LIST, help="Correlation of each frame with the one before.")
]
Sigma = Annotated[str, typer.Option(metavar=LIST, help="Standard deviation of each frame.")]
Frames = Annotated[
    int | None, typer.Option(min=1, help="Number of frames, where no list says how many.")
]
Weights = Annotated[
    str | None,
    typer.Option(metavar=LIST, help="Weights of the distortions; without, frame after frame."),
]
Rates = Annotated[str, typer.Option(metavar=LIST, help="Bits of each frame; inf allowed.")]
Loss = Annotated[str, typer.Option(metavar="MMSE|FMD|JD|SA", help="Perception loss; MMSE is none.")]
Losses = Annotated[str, typer.Option(metavar="all|MMSE,FMD,...", help="Perception losses.")]
Levels = Annotated[str, typer.Option(metavar=LIST, help="Thresholds: 0 perfect realism, inf free.")]
OptionalLevels = Annotated[
    str | None,
    typer.Option(metavar=LIST, help="Thresholds: 0 (perfect realism) if not given, inf is free."),
]
Metric = Annotated[str, typer.Option(metavar="w2|kl", help="Divergence; kl (nats) for FMD only.")]
Encoder = Annotated[
    str,
    typer.Option(
        metavar="optimal|mmse", help="Encoder made for the loss, or for mean squared error."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON; what is undefined is null.")]
Csv = Annotated[
    str | None, typer.Option("--csv", metavar="FILE", help="Write CSV; - is standard output.")
]
Plot = Annotated[
    str | None, typer.Option("--plot", metavar="FILE", help="Draw to a png, pdf or svg file.")
]


def numbers(name: str, text: str) -> float | Array:
    """Return one number, or an array where the text has commas.

    Parameters
    ----------
    name : str
        Option that holds the text.
    text : str
        "0.9", "inf" or "0.9,0.8".

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


def span(name: str, text: str) -> Array:
    """Return the values of FROM:TO:N, evenly spaced, or one number.

    Parameters
    ----------
    name : str
        Option that holds the text.
    text : str
        "0.5" or "0:4:5".

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
    """Return numbers and where "x" stands for the value that a curve sweeps.

    Parameters
    ----------
    name : str
        Option that holds the text.
    text : str
        As in :func:`numbers`, with "x" for any of them.

    Returns
    -------
    float or array, and bool array of the same shape
        0 stands in for "x".

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
    """Build the source; the number of frames is that of --frames or of the first list given.

    Parameters
    ----------
    rho, sigma : str
        Options of the source.
    frames : int or None
        Option --frames.
    **lists : float, array or None
        Other options with one value for each frame.

    Raises
    ------
    ValueError
        Nothing says how many frames there are, or a list does not fit.
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


def losses(text: str) -> list[str]:
    """Return the losses that "all", or names separated by commas, stand for.

    Parameters
    ----------
    text : str
        Option --plf.

    Examples
    --------
    >>> losses("fmd,JD")
    ['FMD', 'JD']
    """
    names = [part.strip().upper() for part in text.split(",")]
    if names == ["ALL"]:
        return list(LOSSES)
    for name in names:
        if name not in LOSSES:
            raise ValueError(f"plf: expected all or any of {', '.join(LOSSES)}, got {text!r}")
    return names
