"""`texture_overlay`: what it draws of theory, and measured points beside it."""

import subprocess
import sys

import numpy as np
import pytest

from figures import texture_overlay
from figures.build import MissingResults
from neural.datasets.texture_source import spectrum, texture_model
from neural.evaluation.record import Distance, Record, to_provenance
from rdp.operating_point import OperatingPoint
from solvers.methods.waterfilling import waterfill


def test_distance_of_the_best_mmse_decoder_mode_by_mode():
    source = texture_model(*spectrum(), frames=2)
    rates = (16.0, 8.0)
    sigma = source.sigma[1].reshape(64, 64)
    kept = sigma**2 - waterfill(source, rates, "MMSE").mode_mmse[1].reshape(64, 64)
    framewise = ((sigma - np.sqrt(np.maximum(kept, 0))) ** 2)[:12, :12].sum()
    found = texture_overlay.mmse_distance(source, rates, "FMD")
    assert found == pytest.approx(framewise, rel=1e-6)
    assert texture_overlay.mmse_distance(source, rates, "JD") > found


def test_measured_points_are_beside_the_exact_curves(monkeypatch):
    def point(plf, distortion):
        losses = {loss: Distance((0.1, 0.2), (0.01, 0.3)) for loss in ("FMD", "JD", "SA")}
        return OperatingPoint(
            "toy", plf, [16, 16], distortion,
            intervals={"distortion": [[0, 1], [0.005, 0.02]]},
            provenance=to_provenance(Record(encoder="shared", losses=losses)),
        )  # fmt: skip

    made = [point("MMSE", [0.009, 0.008]), point("JD", [0.02, 0.019])]
    monkeypatch.setattr(texture_overlay, "points", lambda: made)
    monkeypatch.setattr(texture_overlay, "RATES", np.array([4.0, 16.0]))
    table = texture_overlay.compute()
    measured = table[(table.quantity == "distortion") & (table.series == "measured")]
    assert measured.value.tolist() == [0.008, 0.019]
    assert measured.low.tolist() == [0.005, 0.005]
    distances = table[(table.quantity == "JD") & (table.series == "measured")]
    assert distances[["value", "low", "high"]].to_numpy().tolist() == [[0.2, 0, 0.5]] * 2
    exact = table[(table.quantity == "distortion") & (table.series == "exact")]
    for _, curve in exact.groupby("plf"):
        assert curve.value.is_monotonic_decreasing


def test_without_results_nothing_is_drawn(monkeypatch):
    monkeypatch.setattr(texture_overlay, "RESULTS", ("nothing",))
    with pytest.raises(MissingResults, match="no results of codecs of textures"):
        texture_overlay.compute()


def test_the_figures_of_codecs_need_no_torch():
    """`make docs` draws them where torch is not installed."""
    code = (
        "import sys\n"
        "class Absent:\n"
        "    def find_spec(name, path=None, target=None):\n"
        "        if name.partition('.')[0] == 'torch':\n"
        "            raise ModuleNotFoundError(name, name='torch')\n"
        "sys.meta_path.insert(0, Absent)\n"
        "from importlib import import_module\n"
        "for name in ('texture_overlay', 'codec_overlay', 'video_joint', 'video_samples'):\n"
        "    module = import_module(f'figures.{name}')\n"
        "    if hasattr(module, 'RATES'):\n"
        "        module.RATES = module.RATES[:1]\n"
        "    assert len(module.compute()), name\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
