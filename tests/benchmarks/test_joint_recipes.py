"""Every recipe of the benchmark of JD decoders is a stage that can be trained."""

import pytest

pytest.importorskip("torch")

from benchmarks import bench_joint, bench_shift_search
from neural.experiment import Experiment


@pytest.mark.parametrize("name", [*bench_joint.RECIPES, *bench_joint.EFFORT])
def test_a_recipe_is_a_stage(name):
    start, stage = bench_joint.stage_of(name, seed=3, steps=100)
    assert start in ("mmse", "shift")
    assert stage.plfs == ("JD",)
    assert (stage.seed, stage.steps) == (3, 100)


def test_the_slow_decoder_is_that_of_the_configuration():
    wanted = Experiment.load(bench_shift_search.CONFIG).stage(bench_shift_search.STAGE)
    _, stage = bench_joint.stage_of("shift start, strong critic, slow decoder", 1, wanted.steps)
    for field in ("lr", "critic_lr", "critic_steps", "critic_betas", "critic_warmup", "realism",
                  "batch", "frames", "encoder", "precision"):  # fmt: skip
        assert getattr(stage, field) == getattr(wanted, field)
