"""The commands, code and tables of the README are true."""

import re

import pytest

from tests.readme_examples import README, examples


@pytest.mark.parametrize("example", examples())
def test_examples_run(example, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(compile(example, "README.md", "exec"), {"__name__": "__main__"})


def test_make_targets_exist():
    makefile = README.with_name("Makefile").read_text()
    used = set(re.findall(r"\bmake ([a-z]+)\b", README.read_text()))
    assert used
    assert used <= set(re.findall(r"^([a-z]+):", makefile, flags=re.MULTILINE))


def test_the_table_of_losses_holds_the_numbers_of_the_figure():
    from figures import which_plf

    table = which_plf.compute().set_index(["situation", "plf"])
    for situation, rates in which_plf.SITUATIONS.items():
        row = table.loc[situation]
        distortions = " | ".join(f"{d:.3f}" for d in row.distortion_3)
        correlations = " / ".join(f"{row.correlation_23[plf]:.2f}" for plf in ("FMD", "JD", "SA"))
        bits = ", ".join(f"{rate:g}" for rate in rates)
        assert f"| {situation} ({bits}) | {distortions} | {correlations} |" in README.read_text()


def test_the_table_of_figures_names_them_all():
    from figures import names

    listed = re.findall(r"^\| `(\w+)` \|", README.read_text(), flags=re.MULTILINE)
    assert sorted(listed) == sorted(names())


def test_the_first_example_prints_the_output_below_it(capsys):
    exec(compile(examples()[0], "README.md", "exec"), {"__name__": "__main__"})
    output = re.search(r"^```text\n(.*?)^```", README.read_text(), flags=re.MULTILINE | re.DOTALL)
    assert capsys.readouterr().out == output[1]
