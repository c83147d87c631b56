"""The public face: what `solvers` exports, how losses are given, and what answers keep."""

import dataclasses

import numpy as np
import pytest

import solvers
from rdp import JD, SA, GaussMarkov, OperatingPoint, Problem
from rdp.vector_source import VectorGaussMarkov
from solvers.methods.block_sdp import solve_block
from solvers.methods.lookahead import lookahead
from solvers.methods.waterfilling import waterfill
from solvers.prediction import predict

SOURCE = GaussMarkov.stationary(0.9, 2)
MODES = GaussMarkov.stationary([0.9, 0.5], 2)
BLOCK = VectorGaussMarkov.from_modes(MODES)
WAYS = {
    "solve": lambda loss: solvers.solve(Problem(SOURCE, 0.5, loss)).distortion,
    "sweep": lambda loss: solvers.sweep(Problem(SOURCE, 0.5, loss), [[1.0]]).distortion,
    "minimum_rate": lambda loss: solvers.minimum_rate(SOURCE, 0.5, loss).rates,
    "minimum_rate, sequential": lambda loss: solvers.minimum_rate(
        SOURCE, 0.9, loss, "sequential"
    ).rates,
    "allocate": lambda loss: solvers.allocate(SOURCE, 1.0, loss).rates,
    "waterfill": lambda loss: waterfill(MODES, 1.0, loss).mode_rates,
    "lookahead": lambda loss: lookahead(SOURCE, 1.0, [1, 2], loss).distortion,
    "solve_block": lambda loss: solve_block(BLOCK, 1.0, loss).rates,
    "OperatingPoint": lambda loss: OperatingPoint("a", loss, [1.0], [0.5]).plf,
    "psnr": lambda loss: predict(MODES, [1.0]).psnr(loss),
    "penalty": lambda loss: predict(MODES, [1.0]).penalty(loss),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("loss", [JD(0.0), SA(0.0)], ids=lambda loss: loss.name)
def test_a_loss_may_be_given_by_its_name_wherever_one_is_asked_for(way, loss):
    ask = WAYS[way]
    for name in (loss.name, loss.name.lower(), loss.name.title()):
        np.testing.assert_array_equal(ask(name), ask(loss))
    with pytest.raises(ValueError, match="expected one of MMSE, FMD, JD, SA, got 'JDD'"):
        ask("JDD")


def test_every_answer_with_a_bound_has_a_gap_and_keeps_what_was_asked():
    problem = Problem(SOURCE, 0.5, "JD", weights=[1, 2])
    answers = {
        "problem": [
            solvers.solve(problem),
            solvers.sweep(problem, [[0.5], [1.0]]),
            solvers.pareto(problem, (1, 2), points=3),
            solvers.universality(problem),
            waterfill(MODES, 1.0, "FMD"),
            lookahead(SOURCE, 0.5, [1, 2]),
        ],
        "source": [
            solvers.minimum_rate(SOURCE, 0.5, "JD"),
            solve_block(BLOCK, 1.0, "JD"),
            predict(MODES, [1.0]),
        ],
        "solution": [solvers.allocate(SOURCE, 1.0, "JD")],
        "points": [solvers.validate([OperatingPoint("a", "MMSE", [1, 1], [0.5, 0.5])], SOURCE)],
    }
    for kept, found in answers.items():
        for answer in found:
            assert getattr(answer, kept) is not None
            assert dataclasses.is_dataclass(answer)
            if hasattr(answer, "lower_bound"):
                assert (np.abs(answer.gap) <= 1e-5).all()


def test_what_is_exported_can_be_imported():
    for name in solvers.__all__:
        assert getattr(solvers, name).__name__ == name
    assert solvers.validate.__module__ == "solvers.validation"
