"""Do the compiled solver and the semidefinite program agree? Random problems, hard ones included.

    python -m benchmarks.agreement --problems 500

One to five frames, all losses, thresholds from 0 to beyond what the MMSE estimate meets, |rho| up
to 1, rates from 0 to 10 bits, frame variances spread over 10^4, both objectives. A solver that
refuses a problem is counted; one that reports a wrong number shows in the worst error.
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


def _thresholds(rng: np.random.Generator, source: GaussMarkov, rates: Array, loss: Any) -> Array:
    """Shares of the loss of the MMSE estimate: 0, some of it, all and more, none at all."""
    factor = estimate_factor(source, rates)
    cov = factor @ factor.T
    slack = perception_of(source, cov, cov, loss())
    if rng.random() < 0.3:  # one level for all frames
        return np.full(source.frames, rng.choice([0.0, 1e-3, 0.3, 1.2]) * slack.max())
    shares = rng.choice([0.0, 1e-4, *rng.uniform(0, 1, 5), 1.0, 1.5, np.inf], source.frames)
    return np.where(np.isinf(shares), np.inf, np.where(np.isinf(shares), 0, shares) * slack)


def compare(problem: Problem) -> dict[str, Any]:
    """Solve one problem both ways."""
    row: dict[str, Any] = {
        "frames": problem.source.frames,
        "plf": problem.plf,
        "objective": "sequential" if problem.weights is None else "weighted",
        "singular": bool((np.abs(problem.source.rho) == 1).any()),
    }
    found = {}
    for method in METHODS:
        try:
            found[method] = solve(problem, method)
            row[f"{method} status"] = "solved"
            row[f"{method} gap"] = found[method].gap / found[method].objective
        except SolverError as error:
            row[f"{method} status"] = error.status
            row[f"{method} message"] = str(error)
    if len(found) == len(METHODS):
        values = [found[method].objective for method in METHODS]
        row["difference"] = (values[0] - values[1]) / min(values)
        # a bound above what another solver reaches would be a gap below the true error
        bounds = [found[method].lower_bound for method in METHODS]
        row["bound above"] = max(bounds) / min(values) - 1
    return row


def rows(problems: int, seed: int) -> Iterator[dict[str, Any]]:
    """Comparisons of problems with seeds seed, seed + 1, ..."""
    for index in range(problems):
        rng = np.random.default_rng([seed, index])
        yield {"problem": index, **compare(random_problem(rng))}


def summary(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
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
        for method in METHODS:
            line[f"{method} refused"] = sum(row[f"{method} status"] != "solved" for row in part)
        line["worst difference"] = max((abs(row["difference"]) for row in both), default=np.nan)
        line["above 1e-6"] = sum(abs(row["difference"]) > 1e-6 for row in both)
        line["worst bound above"] = max((row["bound above"] for row in both), default=np.nan)
        table.append(line)
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--problems", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    from tqdm.auto import tqdm

    from benchmarks.report import RESULTS, report

    found = list(tqdm(rows(options.problems, options.seed), total=options.problems))
    report("agreement", summary(found), ["cvxpy", "clarabel", "numba"])
    path = RESULTS / "agreement.json"
    content = json.loads(path.read_text())
    odd = [row for row in found if abs(row.get("difference", 1.0)) > NOTEWORTHY]
    content |= {"seed": options.seed, "refused": dict(_refusals(found)), "noteworthy": odd}
    path.write_text(json.dumps(content, indent=1) + "\n")


def _refusals(found: list[dict[str, Any]]) -> Counter[str]:
    states = (f"{method}: {row[f'{method} status']}" for row in found for method in METHODS)
    return Counter(state for state in states if not state.endswith("solved"))


if __name__ == "__main__":
    main()
