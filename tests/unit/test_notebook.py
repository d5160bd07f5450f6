"""The notebook of the examples runs, and says what it promises."""

import json
from pathlib import Path
from typing import Any

import pytest

NOTEBOOK = Path(__file__).parents[2] / "examples/notebook.ipynb"


@pytest.fixture
def notebook() -> Any:
    import nbformat

    return nbformat.read(NOTEBOOK, as_version=4)


def test_it_is_kept_without_outputs_so_that_a_run_changes_no_file(notebook: Any) -> None:
    import nbformat

    nbformat.validate(notebook)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert cells
    assert all(not cell.outputs and cell.execution_count is None for cell in cells)


@pytest.mark.slow
def test_it_runs_and_fine_tuning_beats_the_frozen_baseline(notebook: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import nbformat
    from nbclient import NotebookClient

    monkeypatch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    notebook.cells.append(nbformat.v4.new_code_cell("import json; print(json.dumps(accuracy))"))
    notebook.cells.append(nbformat.v4.new_code_cell("print(sorted({'tfx', 'apache_beam'} & set(sys.modules)))"))
    resources = {"metadata": {"path": str(NOTEBOOK.parent)}}
    NotebookClient(notebook, timeout=600, kernel_name="python3", resources=resources).execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    pictures = [output for output in outputs if "image/png" in output.get("data", {})]
    assert len(pictures) == 2, "the digits and the curves"
    text = "".join(output.get("text", "") for output in outputs)
    assert "head: 165 of 15,709 parameters train" in text
    assert "all found unchanged" in text
    assert text.splitlines()[-1] == "[]"
    accuracy = json.loads(text.splitlines()[-2])
    assert accuracy["fine-tuned"] > accuracy["frozen baseline"] + 0.03
