"""Options of an evaluation, from a table of a configuration file."""

import pytest

from neural.evaluation.options import BlockEvaluation, ClipEvaluation, read_options


def test_options_have_defaults():
    assert read_options(ClipEvaluation, {"clips": 40}) == ClipEvaluation(clips=40)


@pytest.mark.parametrize(
    ("kind", "table", "message"),
    [
        (ClipEvaluation, {"critic_step": 4}, "expected options clips, seed, .*got 'critic_step'"),
        (ClipEvaluation, {"clips": 1}, "evaluation: clips: expected an integer >= 2, got 1"),
        (ClipEvaluation, {"draws": 2.5}, "evaluation: draws: expected an integer >= 0, got 2.5"),
        (ClipEvaluation, {"kind": "small"}, "evaluation: kind: expected one of"),
        (BlockEvaluation, {"n": 100}, "evaluation: seed: missing"),
        (BlockEvaluation, {"n": 100, "seed": 0, "repeats": 1}, "repeats: expected an integer >= 2"),
    ],
)
def test_wrong_options_are_named(kind, table, message):
    with pytest.raises(ValueError, match=message):
        read_options(kind, table)
