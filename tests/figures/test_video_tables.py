"""Each figure of video codecs: its table and its panels, from invented results."""

import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from figures import _video, build
from figures.build import STEP_MS, MissingResults
from neural.evaluation.record import Permanence, record_of, to_provenance
from rdp.operating_point import load_points, save_points
from tests.figures import toy_video
from tests.figures.toy_video import computed, drawn

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.usefixtures("toy")
def test_rate_shows_all_seeds_bounds_and_runs_of_one_weight():
    table = computed("video_rate").set_index("series")
    shared = table.loc[_video.SHARED]
    assert set(shared.seed) == {1, 2}
    assert set(shared.rate_bits) == set(toy_video.MMSE)
    twice = table.loc["twice the MMSE"]
    assert set(twice.plf) == {"FMD", "SA"}
    np.testing.assert_allclose(twice.distortion, 2 * twice.rate_bits.map(toy_video.MMSE))
    assert set(table.loc["joint support"].plf) == {"JD"}
    assert set(table.loc["Gaussian model, long codes"].plf) == {"MMSE"}
    runs = table.loc["published"]
    assert sorted(zip(runs.plf, runs.distortion, strict=True)) == [("FMD", 0.024), ("MMSE", 0.0143)]


@pytest.mark.usefixtures("toy")
def test_caveats_of_published_runs_are_on_the_figure():
    _, text = drawn("video_rate")
    for caveat in ("training digits", "BatchNorm", "weight 0.01", "50 epochs", "held-out"):
        assert caveat in text


@pytest.mark.usefixtures("toy")
def test_joint_realism_is_shown_for_every_decoder():
    table = computed("video_joint")
    assert set(table.seed) == {1, 2}
    assert set(table.rate_bits) == set(toy_video.MMSE)
    np.testing.assert_allclose(table.shift_defect, table.plf.map(toy_video.DEFECT))
    np.testing.assert_allclose(table.shift_defect_high, 1.1 * table.shift_defect)
    assert set(table[table.joint_support.notna()].plf) == {"JD"}
    assert set(table[table.known_shift.notna()].plf) == {"JD"}
    figure, _ = drawn("video_joint")
    assert figure.axes[1].get_yscale() == "log"


def test_points_without_a_shift_defect_are_left_out(toy):
    points = load_points(toy / "digits-reduced.json")
    for k, point in enumerate(points):
        if point.rate[1] != 8:
            record = replace(record_of(point), shift_defect=None)
            points[k] = replace(point, provenance=to_provenance(record))
    save_points(toy / "digits-reduced.json", points)
    table = computed("video_joint")
    assert set(table[table.seed == 1].rate_bits) == {8}
    save_points(toy / "digits-reduced.json", [points[0]])
    (toy / "digits-reduced-seed2.json").unlink()
    with pytest.raises(MissingResults, match="no shift defect"):
        computed("video_joint")


def test_jd_decoders_of_an_experiment_of_their_own_stand_in(toy):
    """The grid has none: they are compared with the MMSE decoder of their own bytes."""
    for path in toy.glob("digits-reduced*.json"):
        if "recovery" not in path.name:
            save_points(path, [point for point in load_points(path) if point.plf != "JD"])
    assert "JD" not in set(computed("video_rate").query("series != 'published'").plf)
    cells = [(12.0, 8.0), (12.0, 16.0)]
    made = [p for c in cells for p in toy_video.cell(c, own=False, weight=1.1)]
    save_points(toy / "digits-reduced-joint.json", made)
    np.savez_compressed(toy / "digits-reduced-joint-samples.npz", **toy_video.pictures(cells[0]))
    stays = computed("video_permanence")
    jd = stays[stays.plf == "JD"]
    assert set(jd.rate_bits) == {8, 16}
    np.testing.assert_allclose(jd.over_mmse, 1.1 * toy_video.FACTOR["JD"])
    np.testing.assert_allclose(stays[stays.plf == "SA"].over_mmse, toy_video.FACTOR["SA"])
    assert set(computed("video_joint").rate_bits) == {8, 16}  # every decoder of the same bytes
    assert set(computed("video_samples").experiment) == {"joint", "recovery"}
    assert len(drawn("video_samples")[0].axes) == 1


def test_the_weight_is_that_of_the_configurations():
    pytest.importorskip("torch")
    from neural.experiment import Experiment

    for pattern in _video.EXPERIMENTS["digits"]:
        name = re.sub(r"\(.*", "", pattern)  # without the files of one cell
        stages = Experiment.load(ROOT / "neural" / "configs" / f"{name}.toml").stages
        shared = [s for s in stages if s.encoder == "frozen" and set(s.plfs) == {"FMD", "SA"}]
        assert [stage.realism for stage in shared] == [_video.WEIGHT]


@pytest.mark.usefixtures("toy")
def test_perception_starts_and_ends_at_decoders():
    table = computed("video_perception")
    mixed = table[table.series == "mixture of decoders"]
    assert len(mixed) == 3 * 3 * 3 * 2  # shares, losses, rates, seeds
    end = mixed[mixed.share == 1].set_index(["plf", "cell", "seed"]).sort_index()
    keys = ["plf", "cell", "seed"]
    shared = table[table.series == _video.SHARED].set_index(keys).sort_index()
    np.testing.assert_allclose(end.distortion, shared.distortion)
    assert (table[table.series != "mixture of decoders"].perception_high > 0).all()


@pytest.mark.usefixtures("toy")
def test_panels_that_do_not_fit_a_row_take_another(monkeypatch):
    monkeypatch.setattr("figures.video_perception.COLUMNS", 2)
    figure, _ = drawn("video_perception")
    titles = [ax.get_title() for ax in figure.axes]
    assert titles == ["$R_2$ = 2 bits", "$R_2$ = 8 bits", "$R_2$ = 16 bits"]
    places = [ax.get_subplotspec().get_gridspec().get_geometry() for ax in figure.axes]
    assert places == [(2, 2)] * 3


@pytest.mark.usefixtures("toy")
def test_permanence_is_over_the_mmse_of_the_same_bytes():
    table = computed("video_permanence")
    np.testing.assert_allclose(table.over_mmse, table.plf.map(toy_video.FACTOR))
    np.testing.assert_allclose(table.stay_wrong_low, 0.3346, atol=1e-4)  # 80 of 200
    np.testing.assert_allclose(table.stay_wrong_high, 0.4691, atol=1e-4)


def test_the_interval_of_a_share_ends_at_one():
    row = _video._permanence(Permanence(0.95, 0.1, 0.1, stay_wrong=1.0), 300)
    assert row["stay_wrong_high"] == 1
    assert row["stay_wrong_low"] == pytest.approx(30 / (30 + 1.96**2))
    assert _video._permanence(Permanence(0.95, 0.0, 0.0), 300)["stay_wrong_low"] is None


@pytest.mark.usefixtures("toy")
def test_recovery_has_two_frames_and_reads_the_last():
    table = computed("video_recovery")
    assert set(table.frame) == {2, 3}
    assert set(table.cell) == {"inf-2-2", "inf-2-16"}
    assert table[table.frame == 3].stay_wrong.notna().all()
    assert table[table.frame == 2].stay_wrong.isna().all()
    last = table[(table.frame == 3) & (table.cell == "inf-2-16")].set_index("plf").distortion
    assert last["JD"] == pytest.approx(toy_video.MMSE[16.0] * toy_video.FACTOR["JD"])


@pytest.mark.usefixtures("toy")
def test_samples_are_beside_their_source():
    table = computed("video_samples")
    steps = {"source": 0, "MMSE": 5, "FMD": 10, "JD": 15, "SA": 20}
    np.testing.assert_allclose(table.mse, (table.decoder.map(steps) / 255) ** 2)
    figure, _ = drawn("video_samples")
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels == ["source", "MMSE", "PLF-FMD", "PLF-JD", "PLF-SA"]
    image = figure.axes[0].images[0].get_array()
    rows = np.split(np.asarray(image), len(labels))
    assert [row[1, 1] for row in rows] == [100 + steps[key] for key in _video.PICTURES]


@pytest.mark.parametrize(("recovery", "frames"), [(True, 3), (False, 2)])
def test_the_animation_has_every_frame_of_the_longest_clips(recovery, frames, results, tmp_path):
    toy_video.write(results, recovery=recovery)
    path = build("video_samples", tmp_path)[-1]
    with Image.open(path) as film:
        assert film.format == "GIF"
        assert film.info["loop"] == 0
        assert film.info["duration"] == STEP_MS
        assert film.n_frames == 4 * frames  # no clip is like the next
    assert build("video_samples", tmp_path / "again")[-1].read_bytes() == path.read_bytes()


def test_a_rate_without_wrong_digits_is_left_out(results):
    toy_video.write(results, seeds=(1,))
    points = load_points(results / "digits-reduced.json")
    for k, point in enumerate(points):
        if point.rate[1] == 16:
            record = record_of(point)
            record = replace(record, digits=replace(record.digits, stay_wrong=None))
            points[k] = replace(point, provenance=to_provenance(record))
    save_points(results / "digits-reduced.json", points)
    table = computed("video_permanence")
    assert table[table.rate_bits == 16].stay_wrong.isna().all()
    figure, _ = drawn("video_permanence")
    lines = [line for line in figure.axes[1].lines if len(line.get_xdata()) > 1]
    assert all(max(line.get_xdata()) == 8 for line in lines)


@pytest.mark.usefixtures("toy")
def test_theory_has_points_and_curves():
    table = computed("video_theory").set_index("series")
    for series in ("Gauss-Markov model", _video.SHARED):
        rows = table.loc[series]
        np.testing.assert_allclose(rows.over_mmse, rows.plf.map(toy_video.FACTOR))


def test_recipes_are_drawn_by_steps_for_every_seed(toy):
    with pytest.raises(MissingResults, match="bench_joint"):
        computed("video_recipes")
    shutil.copy(ROOT / "neural" / "results" / "joint-recipes.csv", toy)
    table = computed("video_recipes")
    figure, _ = drawn("video_recipes")
    runs = table[["recipe", "seed"]].drop_duplicates()
    assert len(figure.axes[1].lines) == len(runs) + 1  # and the bound of joint support
    assert len(figure.legends[0].texts) == runs.recipe.nunique() + 1
