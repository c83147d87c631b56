"""Outputs of the commands: whole files, and tables that print labels as they are."""

from pathlib import Path
from types import SimpleNamespace

import pandas
import pytest

from solvers.cli import output
from solvers.sweep import Sweep
from solvers.validation import Validation


def test_a_label_is_neither_markup_nor_a_command_to_the_terminal(capsys):
    output.show_table(("[b]a[/]",), [("[/x]",), ("\x1b[2J\x07",)], "[/y]")
    printed = capsys.readouterr().out
    assert "[/x]" in printed
    assert "[/y]" in printed
    assert "[b]a[/]" in printed
    assert "\\x1b[2J\\x07" in printed
    assert "\x1b[2J" not in printed


def stops(*_, **__):
    raise OSError(28, "No space left on device")


def test_a_failed_plot_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    path.write_text("old")

    def torn(self, file, **_):
        (open(file, "wb") if isinstance(file, str) else file).write(b"half")
        stops()

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", torn)
    with pytest.raises(OSError, match=r"a\.png"):
        output.write_plot(str(path), 3, 2, lambda figure: None)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def write_command(table, path):
    output.write_csv(table, str(path))


def write_sweep(table, path):
    Sweep.to_csv(SimpleNamespace(to_dataframe=lambda: table), path)


def write_validation(table, path):
    Validation(()).to_csv(path)


@pytest.mark.parametrize("write", [write_command, write_sweep, write_validation])
def test_a_failed_csv_leaves_the_old_file(tmp_path, monkeypatch, write):
    path = tmp_path / "a.csv"
    path.write_text("old")

    def torn(self, file, **_):
        (open(file, "w") if isinstance(file, str | Path) else file).write("half")
        stops()

    monkeypatch.setattr("pandas.DataFrame.to_csv", torn)
    monkeypatch.setattr("csv.DictWriter.writeheader", stops)
    with pytest.raises(OSError, match=r"a\.csv"):
        write(pandas.DataFrame({"a": [1]}), path)
    assert path.read_text() == "old"


def test_a_change_that_rounds_to_zero_has_no_minus():
    assert output.percent(-0.0004) == output.percent(0.0004) == "+0.0%"
    assert output.percent(-0.0006) == "-0.1%"
    assert output.percent(0.25) == "+25.0%"
