"""All figures of video codecs, from invented results."""

import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

import figures.__main__ as command
from figures import build, names
from figures.build import MissingResults
from tests.figures import toy_video
from tests.figures.toy_video import computed, drawn

ROOT = Path(__file__).resolve().parents[2]
# All but the recipes, which have a table of their own: see test_video_tables
VIDEO = [name for name in names() if name.startswith("video_") and name != "video_recipes"]


def test_there_are_seven():
    assert len(VIDEO) == 7


@pytest.mark.parametrize("name", VIDEO)
@pytest.mark.usefixtures("toy")
def test_results_of_a_cpu_are_marked(name):
    assert "reduced (CPU)" in drawn(name)[1]


@pytest.mark.parametrize("name", VIDEO)
def test_results_of_full_size_replace_reduced_ones(name, toy):
    toy_video.write(toy, kind="measured", seeds=(5,))
    _, text = drawn(name)
    assert "reduced" not in text
    table = computed(name)
    if "seed" in table:
        seeds = table[table.get("kind", "measured") == "measured"].seed.dropna()
        assert set(seeds) == {5}


@pytest.mark.parametrize("name", VIDEO)
@pytest.mark.usefixtures("toy")
def test_axes_of_numbers_are_labelled(name):
    figure, _ = drawn(name)
    if name != "video_samples":
        assert all(ax.get_xlabel() for ax in figure.axes)
        assert figure.axes[0].get_ylabel()
        assert figure.legends


@pytest.mark.parametrize("name", VIDEO)
def test_a_figure_without_results_is_refused_and_leaves_nothing(name, results, tmp_path):
    with pytest.raises(MissingResults, match="neural/results"):
        build(name, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("results")
def test_the_command_leaves_out_what_has_no_results(tmp_path, monkeypatch):
    monkeypatch.setattr(command, "names", lambda: ["factor_two", "video_rate"])
    run = CliRunner().invoke(command.app, ["--out", str(tmp_path)])
    assert run.exit_code == 0
    assert "1 figure in" in run.output
    assert "video_rate: left out: no results of digits" in run.output
    assert {path.name for path in tmp_path.glob("*.*")} == {"factor_two.csv", "factor_two.png"}


@pytest.mark.usefixtures("results")
def test_the_command_fails_if_a_figure_that_it_was_asked_for_has_no_results(tmp_path):
    run = CliRunner().invoke(command.app, ["video_rate", "--out", str(tmp_path)])
    assert run.exit_code == 1
    assert "left out" in run.output
    assert "Traceback" not in run.output


def test_nothing_needs_torch(toy, tmp_path):
    code = f"""
import sys
from pathlib import Path
sys.modules["torch"] = None  # an import fails as if it was not installed
from figures import _video, build
_video.RESULTS = Path({str(toy)!r})
for name in {VIDEO!r}:
    build(name, {str(tmp_path / "out")!r})
"""
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
    assert len(list((tmp_path / "out").glob("*.png"))) == len(VIDEO)


def test_figures_other_than_recovery_do_not_need_it(results, tmp_path):
    toy_video.write(results, recovery=False)
    for name in VIDEO:
        if name == "video_recovery":
            with pytest.raises(MissingResults, match="recovery"):
                build(name, tmp_path)
        else:
            build(name, tmp_path)
