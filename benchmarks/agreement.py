"""Do two methods agree? Random problems, hard ones included.

    python -m benchmarks.agreement --problems 500
    python -m benchmarks.agreement --problems 300 --family rates --methods auto precise

The first compares the compiled solver with the semidefinite program. One to five frames, all
losses, thresholds from 0 to beyond what the MMSE estimate meets, |rho| up to 1, rates from 0 to 10
bits, frame variances spread over 10^4, both objectives. The family "rates" has one to six frames,
JD and SA, rates from 0 to 20 bits, |rho| up to .999999, and thresholds that are 0 or at least 1e-9
of the variance; "precise" has 140 digits. A method that refuses a problem is counted; one that
reports a wrong number shows in the worst error.
"""

import argparse
import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np

from rdp import FMD, JD, SA, GaussMarkov, Problem
from rdp.measure import perception_of
from rdp.mmse import estimate_factor
from solvers import SolverError, solve

Array = np.ndarray

METHODS = ("barrier", "sdp")
MOST_BITS = 20.0
LEAST_THRESHOLD = 1e-9  # of the variance of all frames
NOTEWORTHY = 1e-7  # relative difference from which a problem is listed by itself


def random_problem(rng: np.random.Generator) -> Problem:
    """Draw one problem."""
    frames = int(rng.integers(1, 6))
    sigma = 10 ** rng.uniform(-1, 1, frames)
    near = rng.choice([-1, 1]) * (1 - 10 ** rng.uniform(-4, -1))
    rho = rng.choice([1.0, -1.0, 0.0, near, *rng.uniform(-1, 1, 6)], frames - 1)
    source = GaussMarkov(sigma, rho)
    rates = rng.choice([0.0, 10.0, *rng.uniform(0, 10, 3), *rng.uniform(0, 2, 5)], frames)
    loss = (FMD, JD, SA)[rng.integers(3)]
    weights = rng.uniform(0.05, 1, frames) if rng.random() < 0.5 else None
    encoder = ("optimal", "mmse")[rng.integers(2)]
    perception = loss(_thresholds(rng, source, rates, loss))
    return Problem(source, rates, perception, weights, encoder)


def rates_problem(rng: np.random.Generator) -> Problem:
    """Draw a problem of the family "rates"."""
    frames = int(rng.integers(1, 7))
    sigma = 10 ** rng.uniform(-1, 1, frames) if rng.random() < 0.5 else np.ones(frames)
    near = rng.choice([-1, 1]) * (1 - 10 ** rng.uniform(-6, -1))
    source = GaussMarkov(sigma, rng.choice([near, *rng.uniform(-1, 1, 4)], frames - 1))
    rates = rng.uniform(0, MOST_BITS, frames)
    if rng.random() < 0.5:  # the same rate in all frames, or frames without bits
        rates = (
            np.full(frames, rates[0]) if rng.random() < 0.5 else rates * rng.integers(0, 2, frames)
        )
    loss = (JD, SA)[rng.integers(2)]
    least = LEAST_THRESHOLD * float(source.variance.sum())
    levels = np.maximum(_thresholds(rng, source, rates, loss), least)
    if rng.random() < 0.3:
        levels = np.zeros(frames)
    elif rng.random() < 0.5:
        levels = np.exp(rng.uniform(np.log(least), np.log(source.variance.sum()), frames))
    weights = rng.uniform(0.05, 1, frames) if rng.random() < 0.5 else None
    return Problem(source, rates, loss(levels), weights)


FAMILIES = {"mixed": random_problem, "rates": rates_problem}


def _thresholds(rng: np.random.Generator, source: GaussMarkov, rates: Array, loss: Any) -> Array:
    """Shares of the loss of the MMSE estimate: 0, some of it, all and more, none at all."""
    factor = estimate_factor(source, rates)
    cov = factor @ factor.T
    slack = perception_of(source, cov, cov, loss())
    if rng.random() < 0.3:  # one level for all frames
        return np.full(source.frames, rng.choice([0.0, 1e-3, 0.3, 1.2]) * slack.max())
    shares = rng.choice([0.0, 1e-4, *rng.uniform(0, 1, 5), 1.0, 1.5, np.inf], source.frames)
    return np.where(np.isinf(shares), np.inf, np.where(np.isinf(shares), 0, shares) * slack)


def compare(problem: Problem, methods: tuple[str, str] = METHODS) -> dict[str, Any]:
    """Solve one problem both ways."""
    row: dict[str, Any] = {
        "frames": problem.source.frames,
        "plf": problem.plf,
        "objective": "sequential" if problem.weights is None else "weighted",
        "singular": bool((np.abs(problem.source.rho) == 1).any()),
    }
    found = {}
    for method in methods:
        try:
            found[method] = solve(problem, method)
            row[f"{method} status"] = "solved"
            row[f"{method} gap"] = found[method].gap / found[method].objective
            row["gap"] = max(row.get("gap", 0.0), row[f"{method} gap"])
        except SolverError as error:
            row[f"{method} status"] = error.status
            row[f"{method} message"] = str(error)
    if len(found) == len(methods):
        values = [found[method].objective for method in methods]
        row["difference"] = (values[0] - values[1]) / min(values)
        # a bound above what another solver reaches would be a gap below the true error
        bounds = [found[method].lower_bound for method in methods]
        row["bound above"] = max(bounds) / min(values) - 1
    return row


def rows(
    problems: int, seed: int, family: str = "mixed", methods: tuple[str, str] = METHODS
) -> Iterator[dict[str, Any]]:
    """Comparisons of problems with seeds seed, seed + 1, ..."""
    for index in range(problems):
        rng = np.random.default_rng([seed, index])
        yield {"problem": index, **compare(FAMILIES[family](rng), methods)}


def summary(
    found: list[dict[str, Any]], methods: tuple[str, str] = METHODS
) -> list[dict[str, Any]]:
    """Worst errors and counts, by loss function, objective and whether some |rho| is 1."""
    keys = sorted({(row["plf"], row["objective"], row["singular"]) for row in found})
    table = []
    for plf, objective, singular in keys:
        part = [
            row
            for row in found
            if (row["plf"], row["objective"], row["singular"]) == (plf, objective, singular)
        ]
        both = [row for row in part if "difference" in row]
        line: dict[str, Any] = {
            "loss": plf,
            "objective": objective,
            "|rho| = 1": "yes" if singular else "no",
            "problems": len(part),
            "compared": len(both),
        }
        for method in methods:
            line[f"{method} refused"] = sum(row[f"{method} status"] != "solved" for row in part)
        line["worst gap"] = max((row["gap"] for row in part if "gap" in row), default=np.nan)
        line["worst difference"] = max((abs(row["difference"]) for row in both), default=np.nan)
        line["above 1e-6"] = sum(abs(row["difference"]) > 1e-6 for row in both)
        line["worst bound above"] = max((row["bound above"] for row in both), default=np.nan)
        table.append(line)
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--problems", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--family", choices=list(FAMILIES), default="mixed")
    parser.add_argument("--methods", nargs=2, default=METHODS)
    options = parser.parse_args()
    from tqdm.auto import tqdm

    from benchmarks.report import RESULTS, report

    methods = tuple(options.methods)
    found = list(
        tqdm(rows(options.problems, options.seed, options.family, methods), total=options.problems)
    )
    name = "agreement" if options.family == "mixed" else f"agreement_{options.family}"
    if methods != METHODS:
        name += "_" + "_".join(methods)
    report(name, summary(found, methods), ["cvxpy", "clarabel", "numba"])
    path = RESULTS / f"{name}.json"
    content = json.loads(path.read_text())
    odd = [row for row in found if abs(row.get("difference", 1.0)) > NOTEWORTHY]
    refused = dict(_refusals(found, methods))
    content |= {"seed": options.seed, "refused": refused, "noteworthy": odd}
    path.write_text(json.dumps(content, indent=1) + "\n")


def _refusals(found: list[dict[str, Any]], methods: tuple[str, str]) -> Counter[str]:
    states = (f"{method}: {row[f'{method} status']}" for row in found for method in methods)
    return Counter(state for state in states if not state.endswith("solved"))


if __name__ == "__main__":
    main()
