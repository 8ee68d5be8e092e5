import json
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np

from benchmarks.serving import plot, report
from benchmarks.serving.audit import DIFFERENCE
from benchmarks.serving.report import LIGHT, SHIPPED, Measured, Results

SINGLE = {"litserve": 50.0, "bentoml": 100.0, "mlserver": 80.0, "mosec": 400.0, "starlette": 1e4}


def measured(**changed: float) -> Results:
    rounds = [{"ours": 300.0, **SINGLE, "failed ours": 0.0, DIFFERENCE: 0.0, **changed}]
    batches = [{"served images/s": 85.0, "bare images/s": 100.0, DIFFERENCE: 0.0}]
    return Results(
        machine={"CPUs": "2", "CPU": "Z80", "load before": "0.60"},
        measured=[
            Measured(row="raw64", graph=SHIPPED, rounds=batches),
            Measured(row="raw64", graph=LIGHT, rounds=batches),
            Measured(row="single", graph=SHIPPED, rounds=rounds),
            Measured(row="single", graph=LIGHT, missing="wrk is not installed"),
        ],
    )


def test_serving_report_marks_goals_for_each_graph() -> None:
    lines = report.markdown(measured()).splitlines()
    batch = next(line for line in lines if "64 raw images" in line)
    # The goal does not apply to the light graph.
    assert batch.endswith("| ≥ 0.90 | 0.85 ✗ | 0.85 |")
    best = next(line for line in lines if "the best of" in line)
    assert best.endswith("| ≥ 2.00 | 3.00 ✓ | not available: wrk is not installed |")
    assert any("relative to mosec | ≥ 1.00 | 0.75 ✗ |" in line for line in lines)
    assert "- CPU: Z80" in lines
    assert not any("SIGTERM" in line for line in lines)  # of a row that was not selected


def test_serving_report_lists_differences_failures_and_a_busy_machine_as_doubtful() -> None:
    clean = report.markdown(measured())
    assert "over all loads | 0 | 0 ✓ |" in clean
    assert "Doubtful" not in clean
    doubtful = report.markdown(measured(**{DIFFERENCE: 2.0, "failed ours": 7.0}))
    assert "over all loads | 0 | 2 ✗ |" in doubtful
    assert "- single, shipped, round 1: 2 counted differently" in doubtful
    assert "- single, shipped, round 1: 7 failed ours" in doubtful
    busy = report.markdown(replace(measured(), machine={"CPUs": "2", "load before": "0.61"}))
    assert "- the machine was busy before the run: its load was 0.61" in busy


def test_serving_results_are_restored_from_their_file(tmp_path: Path) -> None:
    report.write(measured(), tmp_path / "rounds.json")
    restored = report.read(tmp_path / "rounds.json")
    assert report.markdown(restored) == report.markdown(measured())
    content = json.loads((tmp_path / "rounds.json").read_text(encoding="utf-8"))
    assert content["measured"][2]["rounds"][0]["mosec"] == 400


def test_plot_has_a_dot_for_every_server() -> None:
    assert plot.svg_of(Results(machine={}, measured=[])) is None
    drawn = plot.svg_of(measured())
    assert drawn is not None
    ET.fromstring(drawn)  # noqa: S314
    figure = plot.figure_of(measured())
    assert figure is not None
    (axes,) = figure.axes
    assert axes.get_xscale() == "log"
    assert [label.get_text() for label in axes.get_yticklabels()] == list(plot.NAMES.values())
    medians = [np.ravel(dot.get_xdata())[0] for dot in axes.lines]
    assert medians == [300, 50, 100, 80, 400, 1e4]
