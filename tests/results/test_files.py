"""Committed tables and figures are those of the committed points."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from figures import _video, build, names
from rdp.operating_point import load_points

ROOT = Path(__file__).resolve().parents[2]
VIDEO = [name for name in names() if name.startswith("video_")]


def test_committed_tables_are_those_of_the_committed_points(tmp_path):
    pytest.importorskip("torch")
    from neural.__main__ import main

    results = ROOT / "neural" / "results"
    paths = [str(path) for path in sorted(results.glob("*.json"))]
    for name, part in (("table", "points.csv"), ("validate", "checks.csv")):
        main([name, *paths, "--csv", str(tmp_path / part)])
        made, stored = (  # a shell may sort names in another order
            pd.read_csv(folder / part).sort_values(["experiment", "seed"], kind="stable")
            for folder in (tmp_path, results)
        )
        same = {"rtol": 1e-6, "atol": 1e-12, "check_exact": False}  # another processor rounds
        pd.testing.assert_frame_equal(
            made.reset_index(drop=True), stored.reset_index(drop=True), **same
        )


@pytest.mark.parametrize("name", VIDEO)
def test_committed_figures_are_of_the_committed_points(name, tmp_path):
    stored = ROOT / "figures" / "gallery" / f"{name}.csv"
    table, *_ = build(name, tmp_path)
    pd.testing.assert_frame_equal(pd.read_csv(stored), pd.read_csv(table))


@pytest.mark.slow
def test_committed_curves_are_those_of_the_model():
    pytest.importorskip("torch")
    if "MNIST_FOLDER" not in os.environ:
        pytest.skip("needs MNIST_FOLDER, the folder of all digits")
    from figures import video_theory

    stored = {
        (point.plf, point.rate[1]): point
        for point in load_points(ROOT / "neural" / "results" / video_theory.CURVES)
    }
    assert set(stored) == {(plf, rate) for plf in _video.STYLES for rate in video_theory.RATES}
    for point in video_theory.model(rates=(8.0,)):
        np.testing.assert_allclose(stored[point.plf, 8.0].distortion, point.distortion, rtol=1e-6)
