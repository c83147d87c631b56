"""Exact curves of textures, and codecs of textures compared with them."""

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("numba")

from neural.datasets.textures import Textures  # noqa: E402
from neural.evaluation.clips import evaluate  # noqa: E402
from neural.evaluation.exact import exact_curves, least_error  # noqa: E402
from neural.evaluation.options import ClipEvaluation  # noqa: E402
from neural.evaluation.record import Record, record_of, to_provenance  # noqa: E402
from neural.evaluation.validation import validate_codecs  # noqa: E402
from neural.experiment import Experiment  # noqa: E402
from neural.tasks.clips import ClipTask  # noqa: E402
from rdp.operating_point import OperatingPoint  # noqa: E402
from rdp.source import GaussMarkov  # noqa: E402

CONFIGS = Path(__file__).resolve().parents[3] / "neural" / "configs"


def water_level(variance, bits):
    """Water level at which independent Gaussian modes take so many bits, by bisection."""
    low, high = 0.0, variance.max()
    for _ in range(200):
        level = (low + high) / 2
        spent = 0.5 * np.log2(np.maximum(variance / level, 1)).sum()
        low, high = (level, high) if spent > bits else (low, level)
    return high


def reverse_waterfilling(variance, bits):
    """Error of the best code of independent Gaussian modes."""
    return np.minimum(variance, water_level(variance, bits)).sum()


def test_exact_curves_agree_with_reverse_waterfilling():
    source, rates = Textures(frames=2).model(), (16.0, 8.0)
    sigma, rho = source.sigma[0], source.rho[0]
    found = exact_curves(source, rates, "MMSE")
    first = reverse_waterfilling(sigma**2, 16)
    assert found.optimal[0] == pytest.approx(first, rel=1e-6)
    assert found.bound[0] == pytest.approx(first, rel=1e-6)
    assert found.bound[1] == pytest.approx(reverse_waterfilling(sigma**2, 24), rel=1e-6)
    estimate = np.minimum(sigma**2, water_level(sigma**2, 16))
    later = rho**2 * estimate + (1 - rho**2) * sigma**2
    assert found.optimal[1] == pytest.approx(reverse_waterfilling(later, 8), rel=1e-6)


@pytest.mark.parametrize("rates", [(16.0, 4.0), (4.0, 64.0)])
def test_realism_costs_at_most_a_factor_two_and_a_shared_encoder_a_little(rates):
    source = Textures(frames=2).model()
    mmse = exact_curves(source, rates, "MMSE")
    for plf in ("FMD", "JD", "SA"):
        found = exact_curves(source, rates, plf)
        assert found.bound == mmse.bound
        assert found.optimal[0] <= found.shared[0]
        for least, error, shared in zip(found.bound, mmse.optimal, found.shared, strict=True):
            assert least <= error * (1 + 1e-9)
            assert error < shared
        assert found.shared[0] <= 2 * mmse.optimal[0]


def test_the_bound_of_scalar_frames_is_the_gaussian_curve():
    source = GaussMarkov.stationary(np.array([0.9]), 2, np.array([2.0]))
    assert least_error(source, (1.0, 0.5)) == pytest.approx((4 * 2**-2.0, 4 * 2**-3.0))


def test_a_codec_of_textures_is_compared_with_the_exact_curves(monkeypatch):
    monkeypatch.setattr("neural.codecs.video.COUNTED", 32)
    monkeypatch.setattr("neural.codecs.video.CHUNK", 32)
    task = ClipTask({"kind": "textures"}, {"width": 4, "noise": 2}, {"width": 4})
    codec = task.make_codec((12.0, 2.0))
    codec.decoders.prepare(("JD",))
    codec.count_tables(lambda n: task.batch(torch.Generator().manual_seed(0), n))
    options = ClipEvaluation(clips=40, draws=0, frequencies=4)
    points, clips = evaluate(codec.eval(), task, ("MMSE", "JD"), options, Record(encoder="shared"))
    assert clips.labels is None
    for point in points:
        record = record_of(point)
        assert record.exact == exact_curves(task.model(), (12.0, 2.0), point.plf)
        assert record.shift_defect is None
    checks = [check for check in validate_codecs(points) if check.bound == "exact bound"]
    assert [check.verdict for check in checks] == ["pass"] * 4


def test_an_error_below_the_exact_bound_fails():
    found = exact_curves(Textures(frames=2).model(), (16.0, 16.0), "MMSE")
    point = OperatingPoint(
        "toy", "MMSE", [16, 16], [0.9 * found.bound[0], 1.1 * found.bound[1]],
        intervals={"distortion": [[0, 0.95 * found.bound[0]], [0.0, 1.0]]},
        provenance=to_provenance(Record(encoder="shared", exact=found)),
    )  # fmt: skip
    first, second = (c for c in validate_codecs([point]) if c.bound == "exact bound")
    assert first.verdict == "fail"
    assert second.verdict != "fail"


@pytest.mark.parametrize("name", ["textures", "textures-reduced"])
def test_configurations_of_textures_load(name):
    experiment = Experiment.load(CONFIGS / f"{name}.toml")
    assert experiment.task.data["kind"] == "textures"
    assert all(experiment.task.make_codec(cell).frames == 2 for cell in experiment.cells[:1])
