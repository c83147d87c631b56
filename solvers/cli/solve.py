"""`rdp solve`: one problem."""

from __future__ import annotations

from typing import Annotated

import typer

from rdp.autoregressive import AutoRegressive
from rdp.linear_source import LinearFrames
from rdp.perception import perception
from rdp.problem import Problem
from rdp.solution import Solution, Status
from rdp.source import GaussMarkov
from solvers.cli import inputs, output
from solvers.methods.registry import METHODS


def solve(
    rates: inputs.Rates,
    rho: inputs.Rho = "0.9",
    ar: inputs.Ar = None,
    sigma: inputs.Sigma = "1",
    frames: inputs.Frames = None,
    plf: inputs.Loss = "MMSE",
    window: inputs.Window = None,
    levels: inputs.OptionalLevels = None,
    metric: inputs.Metric = "w2",
    weights: inputs.Weights = None,
    encoder: inputs.Encoder = "optimal",
    method: Annotated[
        str,
        typer.Option(help=f"{', '.join(METHODS)}, or auto: the cheapest that covers the problem."),
    ] = "auto",
    common_randomness: inputs.Shared = "inf",
    json: inputs.Json = False,
) -> None:
    """Least distortion at given rates and perception thresholds, with a certificate.

    rdp solve --rho 0.9 --rates 0.1,4,4 --plf JD

    rdp solve --ar 1.72,-0.81 --rates 0.5,0.5,0.5 --plf JD
    """
    from solvers import solve as run

    given = inputs.numbers("rates", rates)
    if levels is not None and plf.upper() == "MMSE":
        raise ValueError("levels: expected none without a perception loss; choose one by --plf")
    allowed = inputs.numbers("levels", levels or "0")
    shares = inputs.optional_numbers("weights", weights)
    lists = {"rates": given, "levels": allowed, "weights": shares}
    source: GaussMarkov | LinearFrames
    if ar is None:
        source = inputs.source(rho, sigma, frames, **lists)
    elif rho != "0.9":
        raise ValueError("ar: expected --rho or --ar, got both")
    else:
        source = inputs.autoregressive(ar, sigma, frames, **lists)
    loss = perception(plf, allowed, metric, window)
    shared = inputs.numbers("common_randomness", common_randomness)
    problem = Problem(source, given, loss, shares, encoder, shared)
    solution = run(problem, method)
    if json:
        output.show_json(content(solution))
        return
    rows = zip(
        range(1, source.frames + 1),
        solution.rates.tolist(),
        solution.distortion.tolist(),
        solution.mmse.tolist(),
        solution.perception.tolist(),
        problem.thresholds.tolist(),
        strict=True,
    )
    output.show_table(["frame", "bits", "distortion", "MMSE", "perception", "threshold"], rows)
    if problem.limited or solution.status == Status.ACHIEVABLE:
        met = solution.status == Status.SOLVED
        typer.echo(
            f"objective {solution.objective:.6g} "
            f"{'is that of a scheme that meets the bound' if met else 'is achievable'}; no code "
            f"reaches less than {solution.lower_bound:.6g}, gap {max(solution.gap, 0):.1e} "
            f"({solution.method}: {solution.message})"
        )
        return
    typer.echo(
        f"objective {solution.objective:.6g}, certified within {max(solution.gap, 0):.1e} "
        f"({solution.method}: {solution.message})"
    )


def content(solution: Solution) -> dict[str, object]:
    """Return a solution and its problem as a dict for JSON."""
    problem = solution.problem
    source: object = problem.source
    of_order: dict[str, object] = {"rho": problem.source.rho} if problem.first_order else {}
    if isinstance(source, LinearFrames) and isinstance(source.source, AutoRegressive):
        of_order["phi"] = source.source.phi
    return {
        "problem": {
            "sigma": problem.source.sigma,
            **of_order,
            "rates": problem.rates,
            "plf": problem.plf,
            "levels": problem.thresholds,
            "window": getattr(problem.perception, "window", None),
            "metric": None if problem.perception is None else problem.perception.metric,
            "weights": problem.weights,
            "common_randomness": problem.common_randomness,
            "encoder": problem.encoder,
        },
        "distortion": solution.distortion,
        "perception": solution.perception,
        "mmse": solution.mmse,
        "objective": solution.objective,
        "lower_bound": solution.lower_bound,
        "gap": solution.gap,
        "method": solution.method,
        "status": solution.status,
        "message": solution.message,
        "cov_xhat": solution.cov_xhat,
        "cross": solution.cross,
    }
