"""Findings of the committed recipes for JD decoders, which the appendix states."""

from pathlib import Path

import pandas as pd
import pytest

PATH = Path(__file__).resolve().parents[2] / "neural" / "results" / "joint-recipes.csv"
NO_TRAINING = "shift start, no training"
LEAVING = (
    "MMSE start, old critic",
    "MMSE start, strong critic, mismatched pairs, falling weight",
    "shift start, old critic",
    "shift start, strong critic, low weight",
    "shift start, strong critic, mismatched pairs, falling weight",
)
STAYING = (
    "shift start, strong critic, falling weight",
    "shift start, strong critic, weight falling to 0.02",
)


@pytest.fixture(scope="module")
def ends():
    """Last row of each run."""
    return pd.read_csv(PATH).groupby(["recipe", "seed"], sort=False).tail(1)


def test_every_recipe_has_an_end(ends):
    assert set(ends.recipe) == {NO_TRAINING, *LEAVING, *STAYING}
    assert ends.commit.str.len().eq(40).all()
    assert (ends.mmse == ends.mmse.iloc[0]).all()  # one codec, the same clips


def test_without_training_the_decoder_is_joint(ends):
    found = ends[ends.recipe == NO_TRAINING].iloc[0]
    assert found.shift_defect < 1e-5
    assert found.stay_wrong > 0.98
    others = ends[~ends.recipe.isin((NO_TRAINING, STAYING[1]))]
    assert (found.fresh_w1 < others.fresh_w1).all()
    low = found.distortion - found.distortion_half
    assert low > found.joint_support + found.joint_support_half
    assert found.distortion - found.joint_support == pytest.approx(0.0014, abs=0.0001)


def test_two_recipes_stay_joint_and_the_others_do_not(ends):
    staying, leaving = (ends[ends.recipe.isin(names)] for names in (STAYING, LEAVING))
    assert (staying.shift_defect + staying.shift_defect_half < 0.0005).all()
    assert (staying.stay_wrong_low > 0.85).all()
    assert (leaving.shift_defect - leaving.shift_defect_half > 0.002).all()


def test_the_weight_decides_on_which_side_of_joint_support(ends):
    low, high = (ends[ends.recipe == name] for name in STAYING)
    assert set(low.seed) == {1, 2}
    assert (low.distortion < low.joint_support).all()
    assert (high.distortion > high.joint_support).all()
    assert high.shift_defect.max() < low.shift_defect.min()


def test_mismatched_pairs_occupy_the_critic(ends):
    by_recipe = ends[ends.seed == 1].set_index("recipe")
    plain, more = by_recipe.loc[STAYING[0]], by_recipe.loc[LEAVING[-1]]
    assert more.critic_w1 < 0.3 * plain.critic_w1
    assert more.fresh_w1 > 2.5 * plain.fresh_w1
