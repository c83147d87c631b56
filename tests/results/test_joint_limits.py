"""Findings of the committed tables about what limits the JD decoder, which the pages state."""

from pathlib import Path

import pandas as pd
import pytest

RESULTS = Path(__file__).resolve().parents[2] / "neural" / "results"
KEYS = ["seed", "rate_bits"]


@pytest.fixture(scope="module")
def search():
    """Rows by encoder, seed and rate."""
    found = pd.read_csv(RESULTS / "joint-search.csv").set_index(["encoder", *KEYS]).sort_index()
    shared, chosen = found.loc["shared"], found.loc["search"]
    assert set(shared.index) == set(chosen.index)
    assert set(shared.index) == {*((1, rate) for rate in (2, 4, 8, 12, 16, 24)), (2, 16)}
    return shared, chosen


def test_the_shared_encoder_does_not_name_the_nearest_shift(search):
    shared, _ = search
    assert shared.nearest_known.max() < 0.27
    over = shared.known_shift / shared.joint_support
    assert over.loc[(1, 24)] == pytest.approx(1.071, abs=0.002)
    assert over.loc[(1, 16)] == pytest.approx(1.082, abs=0.002)
    assert (shared.distortion < shared.known_shift).all()
    # the points of the page are of the same bytes
    points = pd.read_csv(RESULTS / "points.csv")
    points = points[
        points.experiment.str.startswith("digits-reduced-joint")
        & (points.plf == "JD") & (points.frame == 2)
    ].set_index(KEYS).sort_index()  # fmt: skip
    pd.testing.assert_series_equal(
        shared.distortion, points.distortion, check_names=False, check_index_type=False, rtol=1e-6
    )


def test_bits_chosen_for_jd_reach_the_bound_from_12_bits_on(search):
    shared, chosen = search
    assert (chosen.joint_support == shared.joint_support).all()  # frame 1 is the same
    assert (chosen.coded_bits < shared.coded_bits + 0.4).all()
    perfect = chosen.known_shift / chosen.joint_support
    for key, value in {(1, 8): 1.039, (1, 12): 1.016, (1, 16): 1.006, (1, 24): 1.003,
                       (2, 16): 1.005}.items():  # fmt: skip
        assert perfect.loc[key] == pytest.approx(value, abs=0.001)
    high = chosen.index.get_level_values("rate_bits") >= 12
    low = chosen.known_shift - chosen.known_shift_half
    assert (low <= chosen.joint_support + chosen.joint_support_half)[high].all()
    assert 1 - chosen.known_shift.loc[(1, 24)] / chosen.known_shift.loc[(1, 12)] < 0.0125
    more = (shared.known_shift / chosen.known_shift).loc[
        [(1, 8), (1, 12), (1, 16), (1, 24), (2, 16)]
    ]
    assert more.between(1.065, 1.095).all()
    mmse = (chosen.mmse / shared.mmse).loc[[(1, 8), (1, 12), (1, 16), (2, 16)]]
    assert mmse.between(1.075, 1.11).all()


def test_the_trained_decoder_can_be_below_the_bound_with_them(search):
    _, chosen = search
    over = chosen.distortion / chosen.joint_support
    wanted = {(1, 8): 1.01, (1, 12): 0.99, (1, 16): 0.98, (1, 24): 0.955, (2, 16): 0.957}
    for key, value in wanted.items():
        assert over.loc[key] == pytest.approx(value, abs=0.003)
    high = chosen.distortion + chosen.distortion_half
    below = high < chosen.joint_support - chosen.joint_support_half
    assert set(below[below].index) == {(1, 24), (2, 16)}


def test_they_leave_the_decoder_joint_and_wrong_digits_wrong(search):
    _, chosen = search
    assert (chosen.shift_defect + chosen.shift_defect_half < 0.0001).all()
    assert chosen.stay_wrong_low.min() > 0.96


def test_more_training_leads_away_from_the_bound():
    found = pd.read_csv(RESULTS / "joint-effort.csv")
    assert found.recipe.nunique() == 2
    for _, rows in found.groupby("recipe"):
        way = rows.set_index("step")
        lowest = way.distortion.idxmin()
        assert lowest == 600
        assert way.distortion[lowest] < way.joint_support[lowest]
        later = way.loc[900:]
        assert later.distortion.is_monotonic_increasing
        assert later.shift_defect.iloc[-1] < 0.00005
        assert 1.045 < later.distortion.iloc[-1] / later.joint_support.iloc[-1] < 1.06
        assert later.distortion.iloc[-1] < later.known_shift.iloc[-1]
        ratio = way.training_distortion / way.distortion
        assert ((ratio - 1).abs() < 0.01).all()
