"""What the figures on motion and noisy observation say is in their numbers."""

from importlib import import_module

import pytest

from solvers.linear.steady_decoder import steady_distortion


@pytest.fixture(scope="module")
def motion():
    return import_module("figures.motion_penalty").compute()


def test_realism_of_motion_costs_more_with_order_and_nothing_at_order_1(motion):
    table = motion[motion.panel == "order"].pivot(
        index="order", columns="curve", values="over_mmse"
    )
    assert table.JD[1] == pytest.approx(table.FMD[1], rel=1e-9)
    assert (table.JD.diff().dropna() > 0.5).all()
    assert (table.JD_own_encoder.loc[2:] < 0.85 * table.JD.loc[2:]).all()
    assert (table.FMD <= table.FMD[1]).all()
    assert motion.certified_gap.max() < 1e-7


def test_the_middle_of_the_angles_costs_nothing_and_a_second_route_agrees(motion):
    angles = motion[motion.panel == "angle"].pivot(index="x", columns="curve", values="over_mmse")
    assert angles.JD[1.5] < 1.01 * angles.FMD[1.5]
    assert angles.JD[0.3] > 2 * angles.FMD[0.3]
    module = import_module("figures.motion_penalty")
    source = module.AutoRegressive.from_poles(0.95 * module.np.exp([0.3j, -0.3j]))
    again = steady_distortion(source, module.RATE)
    assert angles.JD[0.3] == pytest.approx(again.joint / again.mmse, rel=1e-9)


def test_the_best_filter_is_no_worse_than_the_published_one():
    table = import_module("figures.noisy_observation").compute()
    total = table.groupby(["source", "filter"]).distortion.sum()
    for source in ("oscillator", "rotation"):
        mmse = table[(table.source == source) & (table["filter"] == "best")].mmse.sum()
        assert mmse < total[source, "FMD"] < total[source, "best"] < total[source, "published"]
        best = table[(table.source == source) & (table["filter"] == "best")]
        assert best.objective.iloc[0] - best.lower_bound.iloc[0] < 1e-7 * best.objective.iloc[0]
    assert total["rotation", "best"] < 0.7 * total["rotation", "published"]


def test_order_1_misjudges_the_lowest_frequencies_of_the_sample_clip():
    table = import_module("figures.clip_orders").compute()
    left = table[(table.panel == "innovation") & (table.dct == "frame")]
    assert left.value.iloc[0] < 0.5
    assert (left.value <= 1 + 1e-12).all()
    curve = table[(table.panel == "curve") & (table.rate_bits == 0.5)]
    value = curve.pivot(index="order", columns="plf", values="value")
    assert value.JD[1] == pytest.approx(value.FMD[1])
    assert value.JD[2] > 1.3 * value.FMD[2]
    assert value.MMSE[2] > 1.4 * value.MMSE[1]
