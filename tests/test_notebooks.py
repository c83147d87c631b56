"""Every notebook runs from start to end, and is stored with its outputs."""

from pathlib import Path

import nbformat
import pytest

FOLDER = Path(__file__).resolve().parents[1] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path):
    nbclient = pytest.importorskip("nbclient")
    notebook = nbformat.read(path, as_version=4)
    if any("import torch" in cell.source for cell in notebook.cells):
        pytest.importorskip("torch")
    folder = {"metadata": {"path": str(FOLDER.parent)}}
    nbclient.NotebookClient(notebook, timeout=60, resources=folder).execute()


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_asks_answers_and_keeps_its_outputs(path):
    cells = nbformat.read(path, as_version=4).cells
    assert "**Question.**" in cells[0].source
    assert any("**Answer.**" in cell.source for cell in cells)
    code = [cell for cell in cells if cell.cell_type == "code"]
    assert code[-1].outputs, "the answer has no output"
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert not any(line.startswith("def ") for cell in code for line in cell.source.splitlines())


def test_there_are_notebooks():
    assert NOTEBOOKS
