"""Predicted curves: each by another route, and what must hold between them."""

import numpy as np
import pytest
from scipy.optimize import minimize

from rdp import GaussMarkov, closed_form
from rdp.clip import fit_clip, sample_clip
from solvers.errors import SolverError
from solvers.prediction import decibels, predict

SIGMA = np.array([8.0, 3.0, 2.0, 0.7, 0.1])
RHO = np.array([0.99, 0.95, 0.8, 0.5, 0.2])
SOURCE = GaussMarkov.stationary(RHO, frames=12, sigma=SIGMA)
RATES = [0.05, 0.3, 1.0, 3.0]


@pytest.fixture(scope="module")
def prediction():
    return predict(SOURCE, RATES)


def test_mmse_is_reverse_water_filling_by_bisection(prediction):
    for i, rate in enumerate(RATES):
        m = np.zeros(5)
        for t in range(SOURCE.frames):
            v = SOURCE.gain[t] ** 2 * m + SOURCE.innovation[t]
            low, high = 0.0, v.max()
            for _ in range(200):
                level = (low + high) / 2
                spent = 0.5 * np.log2(v / np.minimum(v, max(level, 1e-300))).sum()
                low, high = (level, high) if spent > 5 * rate else (low, level)
            m = np.minimum(v, high)
            assert prediction.distortion["MMSE"][i, t] == pytest.approx(m.mean(), rel=1e-9)


@pytest.mark.parametrize("plf", ["FMD", "JD", "SA"])
def test_the_first_frame_is_the_best_over_all_allocations(prediction, plf):
    zero = {
        "FMD": closed_form.zero_perception_framewise,
        "JD": closed_form.zero_perception_joint,
        "SA": closed_form.zero_perception_self_adaptive,
    }[plf]
    frame = GaussMarkov(SIGMA[None])
    for i, rate in enumerate(RATES):
        free = minimize(
            lambda r: zero(frame, np.abs(r)[None]).sum(),
            np.full(5, rate),
            constraints={"type": "eq", "fun": lambda r, rate=rate: np.abs(r).sum() - 5 * rate},
            options={"ftol": 1e-14, "maxiter": 1000},
        )
        assert prediction.distortion[plf][i, 0] == pytest.approx(free.fun / 5, rel=1e-5)


def test_the_shared_encoder_is_the_closed_form_at_the_rates_of_reverse_water_filling(prediction):
    from solvers.methods.waterfilling import waterfill

    rates = waterfill(SOURCE, 5 * 0.3, "MMSE").mode_rates
    for plf, zero in (
        ("FMD", closed_form.zero_perception_framewise),
        ("JD", closed_form.zero_perception_joint),
        ("SA", closed_form.zero_perception_self_adaptive),
    ):
        np.testing.assert_allclose(prediction.shared[plf][1], zero(SOURCE, rates).mean(axis=1))


def test_the_order_of_the_losses(prediction):
    best, shared = prediction.distortion, prediction.shared
    for plf in ("FMD", "JD", "SA"):
        assert (best[plf] >= best["MMSE"] - 1e-12).all()
        assert (best[plf][:, 0] <= shared[plf][:, 0] + 1e-12).all()  # the first frame has no past
    assert (best["FMD"] <= 2 * best["MMSE"] + 1e-9)[:, 0].all()
    np.testing.assert_array_equal(prediction.penalty("MMSE"), 1.0)


def test_joint_realism_costs_nothing_more_than_framewise_in_steady_state():
    long = predict(GaussMarkov.stationary(RHO[:3], frames=1200, sigma=SIGMA[:3]), [1.0])
    assert long.distortion["JD"][0, -1] == pytest.approx(long.distortion["FMD"][0, -1], rel=1e-9)
    assert long.distortion["JD"][0, 1] > 1.02 * long.distortion["FMD"][0, 1]
    assert long.distortion["SA"][0, -1] > 1.02 * long.distortion["FMD"][0, -1]


def test_serving_each_frame_in_turn_is_not_best_over_many():
    # what a frame's representation is worth to later frames is no concern of the greedy encoder
    long = predict(GaussMarkov.stationary(RHO[:3], frames=200, sigma=SIGMA[:3]), [0.2])
    assert long.penalty("FMD")[0] < 1 < long.shared["FMD"][0, 0] / long.distortion["FMD"][0, 0]


def test_rates_are_per_pixel_and_their_mean_is_kept():
    found = predict(SOURCE, [0.5], first=4.0)
    assert found.rates[0, 0] == pytest.approx(4 * found.rates[0, 1])
    assert found.rates.mean() == pytest.approx(0.5)
    with_dead = predict(SOURCE, [0.25], pixels=10, first=4.0)  # half the pixels carry nothing
    for plf, values in with_dead.distortion.items():
        np.testing.assert_allclose(values, found.distortion[plf] / 2)


def test_psnr():
    found = predict(SOURCE, [1.0], peak=1.0)
    mse = found.distortion["FMD"].mean()
    assert found.psnr("FMD")[0] == pytest.approx(-10 * np.log10(mse))
    assert found.psnr("FMD", "mmse")[0] < found.psnr("FMD")[0]
    assert decibels(1.0) == pytest.approx(48.1308, abs=1e-4)


def test_the_table_holds_every_number(prediction):
    table = prediction.to_dataframe()
    assert len(table) == 2 * 4 * len(RATES) * SOURCE.frames
    row = table[
        (table.plf == "JD")
        & (table.encoder == "mmse")
        & (table.frame == 3)
        & (table.bits_per_pixel == 0.3)
    ]
    assert row.mse.item() == prediction.shared["JD"][1, 2]


def test_the_sample_clip():
    fit = fit_clip(sample_clip())
    found = predict(fit.source(10), [0.05, 0.2, 1.0], fit.modes)
    for plf in ("MMSE", "FMD", "JD", "SA"):
        assert (np.diff(found.psnr(plf)) > 0).all()
    assert (found.penalty("FMD") > 1).all()
    assert (found.distortion["MMSE"][:, 0] < fit.variance).all()


@pytest.mark.parametrize(
    ("source", "arguments", "message"),
    [
        (GaussMarkov([1.0]), {}, "source: expected vector frames of d modes, got scalar frames"),
        (SOURCE, {"bits_per_pixel": [0.0]}, "bits_per_pixel: expected values > 0, got 0"),
        (SOURCE, {"bits_per_pixel": 1.0}, r"bits_per_pixel: expected 1 dimension\(s\)"),
        (SOURCE, {"pixels": 4}, "pixels: expected at least 5 for as many modes, got 4"),
        (SOURCE, {"first": 0}, "first: expected values > 0, got 0"),
        (SOURCE, {"peak": -1}, "peak: expected values > 0, got -1"),
    ],
)
def test_bad_input_is_named(source, arguments, message):
    with pytest.raises(ValueError, match=message):
        predict(source, **{"bits_per_pixel": [1.0], **arguments})


def test_an_allocation_without_a_certificate_is_refused(monkeypatch):
    import dataclasses

    from solvers import prediction as module

    def worse(*arguments, **options):
        found = module_waterfill(*arguments, **options)
        return dataclasses.replace(found, distortion=1.001 * found.distortion)

    module_waterfill = module.waterfill
    monkeypatch.setattr(module, "waterfill", worse)
    with pytest.raises(SolverError, match="relative gap 1"):
        predict(SOURCE, [1.0])


def test_windows_of_jd_have_the_closed_form_at_the_rates_of_mmse():
    from rdp.windowed import zero_perception_windowed
    from solvers.methods.waterfilling import waterfill

    found = predict(SOURCE, RATES, windows=(1, 2, 12))
    rates = waterfill(SOURCE, 5 * 0.3, "MMSE").mode_rates
    expected = zero_perception_windowed(SOURCE, rates, 2).mean(axis=1)
    np.testing.assert_allclose(found.shared["JD(2)"][1], expected, rtol=1e-12)
    for window, plf in ((1, "FMD"), (12, "JD")):
        np.testing.assert_allclose(found.shared[f"JD({window})"], found.shared[plf], rtol=1e-9)
    order = [found.psnr(plf, "mmse") for plf in ("FMD", "jd(2)", "JD")]
    assert (np.diff(order, axis=0) <= 1e-9).all()
    assert set(found.to_dataframe().plf) == {"MMSE", "FMD", "JD", "SA", "JD(1)", "JD(2)", "JD(12)"}
    with pytest.raises(ValueError, match="plf: expected one of MMSE, FMD, JD, SA, got 'JD"):
        found.psnr("JD(2)")
    with pytest.raises(ValueError, match="window: expected at most 12"):
        predict(SOURCE, RATES, windows=[13])
