"""Parts of the pages about experiments, made from invented results."""

import importlib
import re
import sys
from pathlib import Path

import pytest

from tests.figures.toy_video import results, toy

__all__ = ["results", "toy"]  # fixtures

DOCS = Path(__file__).resolve().parents[2] / "docs"
sys.path.insert(0, str(DOCS))  # as the configuration of the site does
page = importlib.import_module("generate.experiments")


@pytest.mark.parametrize(
    ("margins", "said"),
    [
        ([(0.1, 0.2), (0.0, 0.3)], "yes"),
        ([(-0.3, -0.1), (-0.2, -0.1)], "no"),
        ([(0.1, 0.2), (-0.1, 0.3)], "open"),
        ([(0.1, 0.2), (-0.2, -0.1)], "open"),
    ],
)
def test_seeds_have_to_agree_with_their_intervals(margins, said):
    assert page.verdict(margins) == said


@pytest.mark.usefixtures("toy")
def test_the_page_says_what_holds():
    _, *rows = page.targets_table()
    held = {(claim, rate): verdict for claim, rate, _, _, verdict in rows}
    assert held["PLF-FMD at or below the published run", "2"] == "yes"
    assert held["MMSE at or below the published run", "2"] == "yes"  # 0.0142 at most, and 0.0143
    assert held["PLF-FMD not above PLF-JD", "2"] == "yes"
    assert held["PLF-JD not above PLF-SA", "2"] == "no"
    assert held["PLF-SA not above PLF-JD", "16"] == "yes"


@pytest.mark.usefixtures("toy")
def test_the_page_shows_means_and_the_range_of_all_intervals():
    _, first, *_ = page.distortion_table()
    assert first[:3] == ["2", "0.0140 (0.0138–0.0142)", "0.0224 (0.0222–0.0226)"]


@pytest.mark.usefixtures("toy")
def test_the_page_shows_the_shift_defect_of_every_decoder():
    _, *rows = page.joint_table()
    assert [row[:3] for row in rows[:4]] == [
        ["2", name, 2] for name in ("MMSE", "PLF-FMD", "PLF-JD", "PLF-SA")
    ]
    assert rows[1][3:] == [
        "0.0224 (0.0222–0.0226)", "", "", "", "0.01400 (0.01260–0.01540)", "0.40 (0.33–0.47)"
    ]  # fmt: skip
    assert rows[2][4:8] == ["0.0150", "0.0170", "0.25", "0.00010 (0.00009–0.00011)"]


@pytest.mark.usefixtures("toy")
def test_the_page_lists_missing_cells():
    rows = {(config, cell): there for config, cell, *there in page.cells_table()}
    assert rows["`digits.toml`", "12, 8"] == ["missing", "yes"]
    assert rows["`digits.toml`", "12, 24"] == ["missing", "missing"]
    assert rows["`digits-inf-2-recovery.toml`", "inf, 2, 16"] == ["missing", "yes"]
    assert rows["`people.toml`", "16, 16"] == ["missing", "missing"]


@pytest.mark.usefixtures("toy")
def test_the_page_shows_what_was_still_being_learnt():
    _, *rows = page.learning_table()
    assert rows == [
        ["toy", "12, 8", "mmse", 1, 2, "6", "0.0125 ± 0.0001"],
        ["toy", "12, 8", "mmse", 1, 2, "3", "0.0130 ± 0.0002"],
        ["toy", "12, 8", "mmse", 1, 2, "0", "0.5000 ± 0.1000"],
    ]


def test_the_page_shows_the_way_of_each_recipe(toy):
    columns = ("distortion", "joint_support", "shift_defect", "critic_w1", "fresh_w1")
    (toy / "joint-recipes.csv").write_text(
        "recipe,seed,step," + ",".join(f"{name},{name}_half" for name in columns)
        + ",stay_wrong,stay_wrong_low,stay_wrong_high\n"
        "start,1,0,.02,.001,.018,.002,0,0,0,.1,,,,,\n"
        "start,1,50,.018,.001,.018,.002,.0003,.00001,.7,.1,.2,.1,.95,.92,.97\n"
    )  # fmt: skip
    _, row = page.recipes_table()
    assert row == [
        "start", 1, "0, 50", "0.0200, 0.0180", "0.00000, 0.00030", "0.00, 0.70", "0.0180 ± 0.0010",
        "0.0180 ± 0.0020", "0.00030 ± 0.00001", "0.20 ± 0.10", "0.95 (0.92–0.97)",
    ]  # fmt: skip


def test_the_page_shows_the_jd_decoder_against_its_steps(toy):
    (toy / "joint-effort.csv").write_text(
        "recipe,seed,step,steps,weight,distortion,distortion_half,training_distortion,known_shift,"
        "joint_support,joint_support_half,shift_defect,critic_w1,"
        "stay_wrong,stay_wrong_low,stay_wrong_high\n"
        "falling,1,0,50,.1,.02,.001,.021,.0195,.018,.002,0,0,,,\n"
        "falling,1,50,50,.03,.018,.001,.019,.0195,.018,.002,.0003,.7,.95,.92,.97\n"
    )
    _, *rows = page.effort_table()
    assert rows[1] == [
        "0.1 to 0.03", "50 of 50", "0.0190", "0.0180 ± 0.0010", "0.0195", "0.0180 ± 0.0020",
        "0.00030", "0.70", "0.95 (0.92–0.97)",
    ]  # fmt: skip
    assert rows[0][-1] == ""


def test_the_page_shows_jd_decoders_whose_bits_were_chosen(toy):
    numbers = ",.002,.001,.00001,.000001,.009,.8,.95,.92,.97\n"
    (toy / "joint-search.csv").write_text(
        "experiment,seed,encoder,rate_bits,coded_bits,distortion,distortion_half,joint_support,"
        "known_shift,nearest_known,joint_support_half,known_shift_half,"
        "shift_defect,shift_defect_half,mmse,"
        "wrong_before,stay_wrong,stay_wrong_low,stay_wrong_high\n"
        f"toy,1,shared,8,8.2,.02,.001,.018,.0195,.2{numbers}"
        f"toy,1,search,8,8.3,.0182,.001,.018,.0181,.9{numbers}"
    )
    _, *rows = page.search_table()
    assert rows[1] == [
        "8", 1, "the search", "8.3", "0.0182 ± 0.0010", "0.0180 ± 0.0020", "0.0181", "0.90",
        "0.00001", "0.95 (0.92–0.97)",
    ]  # fmt: skip
    _, *shared = page.joint_table()
    assert [row[2] for row in shared] == [2] * len(shared)  # seeds: without those of the search


@pytest.mark.usefixtures("toy")
def test_every_part_of_the_pages_is_a_table_or_says_what_is_missing(tmp_path):
    parts = dict(page.experiments(tmp_path))
    pages = "".join(path.read_text() for path in DOCS.glob("experiments*.md"))
    included = re.findall(r"parts/(video_\w+)\.md", pages)
    assert len(included) == len(set(included))
    included = set(included)
    assert included == set(parts)
    assert parts.pop("video_people").startswith("*Not here: no results of people")
    for name, what in (
        ("recipes", "joint-recipes.csv"), ("effort", "joint-effort.csv"),
        ("search", "joint-search.csv"), ("exact", "results of exact"),
    ):  # fmt: skip
        assert parts.pop(f"video_{name}").startswith(f"*Not here: no {what}")
    pictures = "".join(parts.pop(f"video_{name}") for name in ("rate", "samples", "theory"))
    for name in ("rate.svg", "samples.svg", "samples.gif", "theory.svg"):
        assert f"(/generated/video_{name})" in pictures
    for name, text in parts.items():
        assert "| --- |" in text, name
    assert "| factor two | FMD | 1 | 0 | 0 |" in parts["video_checks"]
    assert "split" in parts["video_failures"]
    assert "factor two" not in parts["video_failures"]
    assert "another page" not in parts["video_checks"] + parts["video_failures"]
    assert "generated/video_recovery.svg" in parts["video_recovery"]


@pytest.mark.usefixtures("results")
def test_a_page_without_results_says_so(tmp_path):
    parts = dict(page.experiments(tmp_path))
    for name in ("runs", "cells", "targets", "distortion", "recovery"):
        assert parts[f"video_{name}"].startswith("*Not here: no results of")
