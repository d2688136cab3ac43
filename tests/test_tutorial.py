"""The tutorial notebook runs, from its first cell to its last."""

import os
import re

import nbformat
import pytest
from folders import ROOT
from nbclient import NotebookClient

SOURCE = ROOT / "docs/tutorial_notebook.py"


def cells():
    """The cells of the notebook's source, in jupytext's percent format."""
    for part in re.split(r"^# %%", SOURCE.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        kind, _, body = part.partition("\n")
        if "[markdown]" in kind:
            yield nbformat.v4.new_markdown_cell(re.sub(r"^# ?", "", body, flags=re.MULTILINE))
        else:
            yield nbformat.v4.new_code_cell(body.strip())


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.filterwarnings("ignore")  # what Jupyter's own packages say
def test_the_tutorial_notebook_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "src"), prepend=os.pathsep)
    notebook = nbformat.v4.new_notebook(cells=list(cells()))
    NotebookClient(notebook, timeout=150, kernel_name="python3").execute()
    printed = "".join(
        output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", [])
    )
    raw, denoised = map(float, re.findall(r"raw (-?[\d.]+), denoised (-?[\d.]+)", printed)[0])
    assert denoised > raw
    pictures = [
        output
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if "image/png" in output.get("data", {})
    ]
    assert len(pictures) == 2
    assert (tmp_path / "evaluation/report.html").is_file()
