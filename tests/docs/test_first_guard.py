"""The notebook: a fresh kernel gives the decisions that the stored outputs show."""

import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat import NotebookNode

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "examples" / "first_guard.ipynb"

DECISIONS = [
    ("plain", "accept"),  # the ship
    ("plain", "reject"),  # the hand
    ("hardened", "accept"),
    ("hardened", "reject"),
    ("plain", "accept"),  # the hand, attacked
    ("hardened", "reject"),
    ("plain", "reject"),  # the hand, attacked for the hardened model
    ("hardened", "reject"),
    ("1.post2", "accept"),  # the calibrated bundle: the ship and the attacked hand
    ("1.post2", "reject"),
]


def read() -> NotebookNode:
    return nbformat.read(NOTEBOOK, nbformat.NO_CONVERT)  # type: ignore[no-untyped-call,no-any-return]


def printed(notebook: NotebookNode) -> str:
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert {output.output_type for output in outputs} == {"stream", "execute_result"}
    streams = [output for output in outputs if output.output_type == "stream"]
    assert {output.name for output in streams} == {"stdout"}
    return "".join(output.text for output in streams)


def decisions(text: str) -> list[tuple[str, str]]:
    return re.findall(r"^(plain|hardened|1\.post2) +(accept|reject)", text, re.MULTILINE)


def test_notebook_outputs_are_stored_without_paths_of_a_machine() -> None:
    notebook = read()
    text = printed(notebook)
    assert decisions(text) == DECISIONS
    assert "largest change: 1\n" in text
    assert not re.search(r"/(home|root|tmp|work|usr|Users)/", NOTEBOOK.read_text("utf-8"))
    counts = [cell.execution_count for cell in notebook.cells if cell.cell_type == "code"]
    assert counts == list(range(1, len(counts) + 1))


@pytest.mark.slow
def test_notebook_runs_and_the_guard_rejects_what_the_plain_model_accepts() -> None:
    notebook = read()
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = []
    folder = {"metadata": {"path": str(NOTEBOOK.parent)}}
    NotebookClient(notebook, timeout=900, startup_timeout=300, resources=folder).execute()
    assert decisions(printed(notebook)) == DECISIONS
