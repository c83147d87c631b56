"""Every figure builds, with its numbers, and twice the same."""

import errno
import os
from importlib import import_module

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from figures import FigureError, build, names
from figures.__main__ import app
from figures.build import MissingResults
from rdp import GaussMarkov, closed_form


@pytest.fixture(scope="module")
def gallery(tmp_path_factory):
    return tmp_path_factory.mktemp("gallery")


COLUMN, PAGE, SMALLEST = 88 / 25.4, 7.0, 6  # widths in print, inches; points


def text_sizes(figure, size):
    """Points of each text of a figure as it is printed: over one column, or over both."""
    from matplotlib.text import Text

    scale = min(1.0, (COLUMN if size[0] < 4 else PAGE) / size[0])
    shown = [t for t in figure.findobj(Text) if t.get_visible() and t.get_text().strip()]
    return {text.get_text(): scale * text.get_fontsize() for text in shown}


@pytest.mark.parametrize("name", names())
def test_a_figure_has_its_numbers_beside_it(name, gallery, monkeypatch):
    from matplotlib.figure import Figure

    saved, usual = [], Figure.savefig
    monkeypatch.setattr(
        Figure, "savefig", lambda self, *a, **more: saved.append(self) or usual(self, *a, **more)
    )
    try:
        table_path, image, *_ = build(name, gallery)
    except MissingResults as error:
        pytest.skip(str(error))
    table = pd.read_csv(table_path)
    assert len(table) > 1
    assert not table.isna().all().any()
    assert image.read_bytes().startswith(b"\x89PNG")
    module = import_module(f"figures.{name}")
    assert module.TITLE
    assert module.__doc__
    assert min(text_sizes(saved[0], module.SIZE).values()) >= SMALLEST


def test_the_same_numbers_give_the_same_files(tmp_path):
    formats = ("png", "pdf", "svg")
    first = build("factor_two", tmp_path / "a", formats)
    second = build("factor_two", tmp_path / "b", formats)
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes(), one.name


def test_axes_are_labelled(gallery):
    from matplotlib.figure import Figure

    module = import_module("figures.error_permanence")
    figure = Figure(figsize=module.SIZE)
    module.draw(module.compute(), figure)
    (ax,) = figure.axes
    assert ax.get_xlabel()
    assert ax.get_ylabel()
    assert len(ax.get_legend().get_texts()) >= 4


def test_error_permanence_shows_in_the_numbers():
    table = import_module("figures.error_permanence").compute()
    last = table[table.frame == table.frame.max()].set_index("curve").distortion
    assert last["JD"] > 20 * last["FMD"]
    assert last["JD"] >= last["bound"]
    assert last["SA"] < 2 * last["MMSE"]


def test_steady_state_ends_the_joint_penalty_and_not_the_self_adaptive_one():
    table = import_module("figures.joint_penalty").compute()
    end = table[(table.panel == "steady") & (table.x == table.x.max()) & (table.rho == 0.9)]
    extra = end.set_index("plf").over_fmd_percent
    assert extra["JD"] < 1e-6
    assert extra["SA"] > 5


def test_numbers_of_factor_two_obey_it():
    table = import_module("figures.factor_two").compute()
    bounded = table[table.plf != "JD"].over_mmse
    assert (bounded <= 2 + 1e-12).all()
    assert (table.over_mmse >= 1 - 1e-12).all()
    assert np.max(table[table.plf == "JD"].over_mmse) > 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["nothing"], "name: expected one of"), (["factor_two", "--format", "gif"], "got 'gif'")],
)
def test_unknown_names_and_formats_are_refused(arguments, message, tmp_path):
    result = CliRunner().invoke(app, [*arguments, "--out", str(tmp_path)])
    assert result.exit_code == 2
    assert message in result.output
    assert "Traceback" not in result.output


def test_build_refuses_an_unknown_name(tmp_path):
    with pytest.raises(FigureError, match="got 'x'"):
        build("x", tmp_path)


def test_the_command_makes_one_figure(tmp_path):
    result = CliRunner().invoke(app, ["factor_two", "--out", str(tmp_path), "--format", "svg"])
    assert result.exit_code == 0, result.output
    assert {path.name for path in tmp_path.iterdir()} == {"factor_two.csv", "factor_two.svg"}


def test_the_command_lists_figures():
    result = CliRunner().invoke(app, ["--list"])
    assert result.output.split() == names()


def test_a_figure_takes_another_correlation_and_other_rates(tmp_path):
    from figures import error_permanence

    arguments = ["error_permanence", "--rho", "0.8", "--rates", "0.5,2", "--out", str(tmp_path)]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    found = pd.read_csv(tmp_path / "error_permanence.csv")
    source = GaussMarkov.stationary(rho=0.8, frames=12)
    expected = closed_form.zero_perception_joint(source, [0.5, *[2] * 11])
    np.testing.assert_allclose(found[found.curve == "JD"].distortion, expected, rtol=1e-9)
    assert (error_permanence.RHO, error_permanence.FIRST_RATE) == (0.95, 0.0)


def test_a_figure_of_several_correlations_takes_others(tmp_path):
    arguments = ["pareto_front", "--rho", "0.5", "--rho", "0.6", "--rho", "0.7"]
    result = CliRunner().invoke(app, [*arguments, "--out", str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert set(pd.read_csv(tmp_path / "pareto_front.csv").rho) == {0.5, 0.6, 0.7}


def test_the_colour_of_a_loss_stands_for_nothing_else():
    """What is not a loss has no colour of one, and variants of a loss are shades of its colour."""
    from matplotlib.colors import to_hex
    from matplotlib.figure import Figure

    from figures import joint_penalty, pareto_front, solver_comparison
    from solvers.plotting import STYLES, shades

    joint = {*shades("JD", 3), STYLES["JD"]["color"].lower()}
    adaptive = {*shades("SA", 3), STYLES["SA"]["color"].lower()}
    for module, expected in (
        (pareto_front, joint),
        (solver_comparison, joint),
        (joint_penalty, joint | adaptive),
    ):
        figure = Figure()
        module.draw(module.compute(), figure)
        drawn = {to_hex(line.get_color()) for ax in figure.axes for line in ax.lines}
        assert drawn <= expected, module.__name__


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["which_plf", "--rates", "1"], "rates: which_plf has no rates to change"),
        (["extreme_rates", "--rho", "0.9"], "rho: extreme_rates has no correlation to change"),
        (["factor_two", "--rho", "2"], "rho: expected |rho| <= 1, got 2"),
        (["factor_two", "--rho", "0.1", "--rho", "0.2"], "rho: factor_two takes one value, got 2"),
        (["distortion_rate", "--rho", "0.9"], "rho: distortion_rate takes 2 to 3 values, got 1"),
        (["pareto_front", "--rho", "0.9"], "rho: pareto_front takes 3 values, got 1"),
        (["pareto_front", "--rates", "1"], "rates: pareto_front takes one list of 3 values"),
        (["distortion_perception", "--rates", "1,1"], "takes 3 lists of 2 values"),
        (["error_permanence", "--rates", "1"], "takes the first rate and later rate"),
        (["error_permanence", "--rates=-1,1"], "rates: expected values >= 0"),
        (["error_permanence", "--rates", "one"], "rates: expected numbers"),
        (["--rho", "0.9"], "rho, rates: expected the name of one figure"),
    ],
)
def test_parameters_that_a_figure_does_not_have_are_refused(arguments, message, tmp_path):
    result = CliRunner().invoke(app, [*arguments, "--out", str(tmp_path)])
    assert result.exit_code == 2
    assert message in result.stderr


@pytest.mark.parametrize("room", [0, 1])
def test_a_full_disk_leaves_each_old_file_whole(tmp_path, monkeypatch, room):
    """The table comes first, then the picture; what cannot be written stays as it was."""
    old = {path: path.read_bytes() + b"old" for path in build("factor_two", tmp_path)}
    for path, content in old.items():
        path.write_bytes(content)
    sync, calls = os.fsync, []

    def full(handle):
        calls.append(handle)
        if len(calls) > 2 * room:  # a file, and its folder
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(handle)

    monkeypatch.setattr(os, "fsync", full)
    torn = list(old)[room]
    with pytest.raises(OSError, match=rf"No space left on device: '.*{torn.name}'"):
        build("factor_two", tmp_path)
    for number, (path, content) in enumerate(old.items()):
        assert (path.read_bytes() == content) == (number >= room)
    assert set(tmp_path.iterdir()) == set(old)


def test_a_figure_without_its_results_writes_nothing(tmp_path, monkeypatch):
    def missing():
        raise MissingResults("factor_two: no points")

    monkeypatch.setattr("figures.factor_two.compute", missing)
    with pytest.raises(MissingResults, match="no points"):
        build("factor_two", tmp_path / "out")
    assert not (tmp_path / "out").exists()
