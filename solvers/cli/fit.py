"""`rdp fit`: statistics of a real clip, and the curves that they predict."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from solvers.cli import inputs, output

if TYPE_CHECKING:
    from rdp.clip import ClipFit, ModeOrders
    from solvers.prediction import Prediction
    from solvers.steady_prediction import SteadyPrediction

ROWS = 8  # modes in the report
STEPS = 48  # between the first and the last rate of a plot, at least


def fit(
    clip: Annotated[
        str | None,
        typer.Argument(help="Video file, folder of images, or .npy frames.", show_default=False),
    ] = None,
    sample: Annotated[
        bool, typer.Option("--sample", help="Use the sample clip of the package.")
    ] = False,
    block: Annotated[int, typer.Option(help="Side of a block, or of a cell of frequencies.")] = 8,
    transform: Annotated[
        str, typer.Option(metavar="block|frame", help="DCT of blocks, or of the whole frame.")
    ] = "block",
    start: Annotated[int, typer.Option(help="Number of frames to skip.")] = 0,
    frames: Annotated[
        int | None, typer.Option(help="Number of frames to read; all by default.")
    ] = None,
    level: Annotated[
        float, typer.Option(help="Significance level of the tests of the model.")
    ] = 0.01,
    bpp: Annotated[
        str,
        typer.Option(
            metavar="X1,X2,... or FROM:TO:N",
            help="Bits per pixel; a range has even steps in the log.",
        ),
    ] = "0.02:2:13",
    horizon: Annotated[int, typer.Option(min=1, help="Number of frames to predict.")] = 30,
    first: Annotated[
        float, typer.Option(help="Bits of the first frame over those of a later frame.")
    ] = 1.0,
    order: Annotated[
        str,
        typer.Option(
            metavar="auto|1|2|...",
            help="Order of each mode, and the long run it predicts; auto is by BIC, up to 4.",
        ),
    ] = "1",
    window: Annotated[
        int | None,
        typer.Option(min=1, metavar="W", help="Add JD of W frames, with the MMSE encoder."),
    ] = None,
    json: inputs.Json = False,
    csv: inputs.Csv = None,
    plot: inputs.Plot = None,
) -> None:
    """Fit a Gauss-Markov source to the DCT modes of a clip and predict its curves.

    The curves are those of MMSE, and of FMD, JD and SA at perfect realism, each with its best
    encoder. The penalty is the extra distortion with the MMSE encoder. --csv writes the curves.

    With --order, each mode gets an autoregressive source of that order too: the report says how
    much innovation variance and whiteness each order buys, and predicts the long run with it.

    rdp fit --sample --plot curves.png

    rdp fit --sample --order 2 --bpp 0.1,0.3,1
    """
    from rdp.clip import fit_clip, sample_clip
    from solvers.prediction import predict

    output.check_plot(plot)
    if sample == (clip is not None):
        raise ValueError("clip: expected a path or --sample, got " + ("both" if sample else "none"))
    rates = _rates(bpp)
    path = sample_clip() if clip is None else clip
    chosen = _order(order)
    with output.counted("frame", frames) as count:
        found = fit_clip(path, block, transform, start, frames, chosen, count)
    shares = found.failing(level)
    windows = [] if window is None else [window]
    prediction = predict(found.source(horizon), rates, found.modes, first, windows=windows)
    if csv is not None:
        output.write_csv(prediction.to_dataframe(), csv)
    if plot is not None:
        drawn = predict(found.source(horizon), _finer(rates), found.modes, first, windows=windows)
        output.write_plot(plot, 7.0, 2.6, lambda figure: _draw(figure, found, drawn))
    long_run = None if found.orders is None else _long_run(found, found.orders, rates)
    if json:
        content = _content(found, level, shares, prediction)
        output.show_json(content | _orders_content(found.orders, long_run))
    elif csv is None or csv != "-":
        _report(found, level, shares)
        _predicted(prediction)
        if found.orders is not None and long_run is not None:
            _show_orders(found.orders, long_run)


def _order(text: str) -> int | str | None:
    """The order of --order: None for 1, which the model of the clip is already."""
    if text == "auto":
        return text
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise ValueError(f"order: expected an integer >= 1 or auto, got {text!r}")
    return None if number == 1 else number


def _long_run(found: ClipFit, orders: ModeOrders, rates: Any) -> dict[str, SteadyPrediction]:
    """Curves in the long run, by the first-order model of each mode and by the chosen orders."""
    from rdp import GaussMarkov
    from solvers.steady_prediction import predict_steady

    fits = [fit for fit in orders.fits if fit is not None]
    used = [fit is not None for fit in orders.fits]
    pairs = zip(found.rho[used], [fit.source.sigma for fit in fits], strict=True)
    first = [GaussMarkov.stationary(rho, 2, sigma) for rho, sigma in pairs]
    bar = sys.stderr.isatty()
    if not bar:
        typer.echo(f"predicting the long run of {len(fits)} modes, order 1 and then p", err=True)
    return {
        "order 1": predict_steady(first, rates, found.modes, progress=bar),
        "chosen": predict_steady(orders.sources, rates, found.modes, progress=bar),
    }


def _show_orders(orders: ModeOrders, long_run: dict[str, SteadyPrediction]) -> None:
    """Print what each order buys, and the long run."""
    rows = [
        (str(gain.order), f"{gain.innovation:.1%}", f"{gain.whiteness:.3f}", str(gain.modes))
        for gain in orders.gains()
    ]
    heads = ["order", "innovation variance", "median lag-1 correlation", "modes"]
    output.show_table(heads, rows, "What each order buys, over order 1")
    losses = list(long_run["chosen"].distortion)
    curves: list[tuple[str, ...]] = []
    for i, rate in enumerate(long_run["chosen"].bits_per_pixel):
        row = [f"{rate:.3g}"]
        for plf in losses:
            row += [f"{long_run[which].psnr(plf)[i]:.2f}" for which in ("order 1", "chosen")]
        curves.append(tuple(row))
    heads = ["bits/pixel", *(f"{plf} {which}" for plf in losses for which in ("1", "p"))]
    title = "Predicted PSNR (dB) in the long run: by order 1, and by the order p of each mode"
    output.show_table(heads, curves, title)
    apart = {
        plf: np.abs(long_run["chosen"].psnr(plf) - long_run["order 1"].psnr(plf)).max()
        for plf in losses
    }
    typer.echo(
        f"These orders leave {orders.innovation:.0%} of the innovation variance of order 1. "
        "Order 1 misjudges the long run by up to "
        + ", ".join(f"{decibels:.2f} dB ({plf})" for plf, decibels in apart.items())
    )


def _orders_content(
    orders: ModeOrders | None, long_run: dict[str, SteadyPrediction] | None
) -> dict[str, object]:
    if orders is None or long_run is None:
        return {}
    fits = [fit for fit in orders.fits if fit is not None]
    return {
        "orders": {
            "gains": [gain._asdict() for gain in orders.gains()],
            "order": orders.order,
            "phi": [fit.source.phi for fit in fits],
            "phi_se": [fit.phi_se for fit in fits],
            "sigma": [fit.source.sigma for fit in fits],
            "long_run_mse": {name: run.distortion for name, run in long_run.items()},
        }
    }


def _rates(text: str) -> Any:
    """Rates of a list or of FROM:TO:N."""
    if ":" not in text:
        return np.atleast_1d(inputs.numbers("bpp", text))
    try:
        low, high, count = text.split(":")
        return np.geomspace(float(low), float(high), int(count))
    except ValueError:
        raise ValueError(f"bpp: expected FROM:TO:N with 0 < FROM, got {text!r}") from None


def _finer(rates: np.ndarray) -> np.ndarray:
    """Add rates between, even in the log, for a plot: curves turn where a mode begins."""
    steps = -(-STEPS // max(len(rates) - 1, 1))
    if not (rates > 0).all() or steps == 1:
        return rates
    near = np.geomspace(rates[:-1], rates[1:], steps, endpoint=False)
    return np.append(near.T.ravel(), rates[-1])


def _report(found: ClipFit, level: float, shares: dict[str, float]) -> None:
    """Print what was measured."""
    for warning in _warnings(found, level, shares):
        typer.echo(f"warning: {warning}")
    frames, height, width = found.shape
    kind = "block DCT" if found.transform == "block" else "frequencies of the frame DCT in a cell"
    typer.echo(found.name)
    typer.echo(
        f"{frames} frames of {width}x{height}, luma {found.mean:.1f} +- {found.variance**0.5:.1f}; "
        f"{found.repeated} repeat the previous frame, {found.cuts} cuts"
    )
    typer.echo(
        f"{found.modes} modes ({found.block}x{found.block} {kind}), {found.samples} samples each; "
        f"{found.innovation / found.variance:.2%} of the variance is innovation"
    )
    order = np.argsort(-(found.sigma**2), kind="stable")[:ROWS]
    across = found.block if found.transform == "block" else width // found.block
    total = (found.sigma**2).sum()
    rows = [
        (
            f"({i // across}, {i % across})",
            f"{found.sigma[i] ** 2 / total:.1%}",
            _measured(found.sigma[i], found.sigma_se[i], 2),
            _measured(found.rho[i], found.rho_se[i], 4),
            _measured(found.whiteness[i], found.whiteness_se[i], 3),
            _measured(found.kurtosis[i], found.kurtosis_se, 2),
        )
        for i in order
    ]
    heads = ["mode", "variance", "sigma", "rho", "innovation lag 1", "excess kurtosis"]
    output.show_table(heads, rows, f"The {len(rows)} largest modes, with standard errors")
    output.show_table(
        ["innovations", "Gauss-Markov", "median size", f"modes failing at {level:g}"],
        [
            ("lag-1 autocorrelation", 0, _median(found.whiteness), _share(shares, "whiteness")),
            ("excess kurtosis", 0, _median(found.kurtosis), _share(shares, "kurtosis")),
            ("either", "", "", _share(shares, "either")),
        ],
        "How Gauss-Markov the clip is",
    )


def _warnings(found: ClipFit, level: float, shares: dict[str, float]) -> list[str]:
    """Say where the model does not hold, so that its curves are a guide and no bound."""
    words = []
    if found.cuts:
        words.append(
            f"{found.cuts} of {found.shape[0]} frames begin a new scene, and a Gauss-Markov source "
            "has none: fit each scene (--start, --frames)"
        )
    hint = " (try --order auto)" if found.orders is None else " under order 1"
    wrong = [
        f"in {shares[name]:.0%} of the modes the innovations {what}"
        for name, what in (
            ("kurtosis", "are not Gaussian"),
            ("whiteness", "depend on the frames before" + hint),
        )
        if shares[name] > max(0.05, 5 * level)
    ]
    if wrong:
        words.append(
            f"{', and '.join(wrong)}: the curves are those of the model, and a codec for this clip "
            "may be above or below them"
        )
    return words


def _measured(value: float, error: float, digits: int) -> str:
    """Value and standard error, or a dash for nan."""
    return "-" if np.isnan(value) else f"{value:.{digits}f} +- {error:.{digits}f}"


def _share(shares: dict[str, float], name: str) -> str:
    return "-" if np.isnan(shares[name]) else f"{shares[name]:.1%}"


def _median(values: Any) -> float:
    """Median absolute value over the modes without nan; nan if there is none."""
    known = np.abs(values[np.isfinite(values)])
    return float(np.median(known)) if known.size else float("nan")


def _predicted(prediction: Prediction) -> None:
    """Print the predicted curves."""
    losses = list(prediction.distortion)
    psnr = [prediction.psnr(plf) for plf in losses]
    penalty = [prediction.penalty(plf) for plf in losses[1:]]
    windowed = [plf for plf in prediction.shared if plf not in losses]
    psnr += [prediction.psnr(plf, "mmse") for plf in windowed]
    rows = []
    for i, rate in enumerate(prediction.bits_per_pixel):
        decibels = [f"{curve[i]:.2f}" for curve in psnr]
        above = [output.percent(ratio[i] - 1) for ratio in penalty]
        rows.append([f"{rate:.3g}", *decibels, *above])
    names = losses + windowed
    heads = ["bits/pixel", *(f"{plf} dB" for plf in names), *(f"{plf} pen." for plf in losses[1:])]
    frames = prediction.rates.shape[1]
    output.show_table(heads, rows, f"Predicted PSNR over {frames} frames, and universality penalty")


def _draw(figure: Any, found: ClipFit, prediction: Prediction) -> None:
    from solvers.clip_plots import predicted_frames, predicted_losses, predicted_rates

    table = prediction.to_dataframe()
    left, middle, right = figure.subplots(1, 3)
    predicted_rates(table, left).set_title(f"{prediction.rates.shape[1]} frames")
    predicted_losses(table, middle).set_title("thin: MMSE encoder")
    predicted_frames(table, right)
    left.legend()
    figure.suptitle(f"{Path(found.name).name}: Gauss-Markov model of its modes")


def _content(
    found: ClipFit, level: float, shares: dict[str, float], prediction: Prediction
) -> dict[str, object]:
    losses = list(prediction.distortion)
    return {
        "clip": {
            "name": found.name,
            "frames": found.shape[0],
            "height": found.shape[1],
            "width": found.shape[2],
            "mean": found.mean,
            "variance": found.variance,
            "innovation": found.innovation,
            "repeated": found.repeated,
            "cuts": found.cuts,
            "warnings": _warnings(found, level, shares),
        },
        "modes": {
            "transform": found.transform,
            "block": found.block,
            "samples": found.samples,
            "sigma": found.sigma,
            "sigma_se": found.sigma_se,
            "rho": found.rho,
            "rho_se": found.rho_se,
            "whiteness": found.whiteness,
            "whiteness_se": found.whiteness_se,
            "kurtosis": found.kurtosis,
            "kurtosis_se": found.kurtosis_se,
        },
        "failing": {"level": level, **shares},
        "prediction": {
            "bits_per_pixel": prediction.bits_per_pixel,
            "rates": prediction.rates,
            "psnr_db": {plf: prediction.psnr(plf) for plf in losses},
            "psnr_db_mmse_encoder": {
                plf: prediction.psnr(plf, "mmse") for plf in prediction.shared
            },
            "mse": prediction.distortion,
            "mse_mmse_encoder": prediction.shared,
            "penalty": {plf: prediction.penalty(plf) for plf in losses},
        },
    }
