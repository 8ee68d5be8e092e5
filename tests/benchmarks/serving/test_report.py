import json
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from benchmarks.serving import plot, report
from benchmarks.serving.__main__ import resume
from benchmarks.serving.audit import DIFFERENCE
from benchmarks.serving.report import LIGHT, SHIPPED, Measured, Results

SINGLE = {"litserve": 50.0, "bentoml": 100.0, "mlserver": 80.0, "mosec": 400.0, "starlette": 1e4}


def measured(**changed: float) -> Results:
    rounds = [
        {
            "ours": 300.0,
            "ours, one worker": 200.0,
            **SINGLE,
            "failed ours": 0.0,
            DIFFERENCE: 0.0,
            **changed,
        }
    ]
    batches = [
        {
            "served images/s": 85.0,
            "images/s of one worker": 70.0,
            "bare images/s": 100.0,
            DIFFERENCE: 0.0,
        }
    ]
    return Results(
        machine={"bundle": "cifar", "CPUs": "2", "CPU": "Z80", "load before": "0.60"},
        measured=[
            Measured(row="raw64", graph=SHIPPED, rounds=batches),
            Measured(row="raw64", graph=LIGHT, rounds=batches),
            Measured(row="single", graph=SHIPPED, rounds=rounds),
            Measured(row="single", graph=LIGHT, missing="wrk is not installed"),
        ],
    )


def test_serving_report_marks_goals_for_each_graph() -> None:
    lines = report.markdown(measured()).splitlines()
    assert lines[2] == "| measurement | goal | cifar | light graph |"
    batch, one_worker = (line for line in lines if "64 raw images" in line)
    # The goal does not apply to the light graph.
    assert batch.endswith("| ≥ 0.90 | 0.85 ✗ | 0.85 |")
    assert one_worker.endswith("one worker |  | 0.70 | 0.70 |")
    best, best_of_one = (line for line in lines if "the best of" in line)
    assert best.endswith("| ≥ 3.00 | 3.00 ✓ | not available: wrk is not installed |")
    assert best_of_one.endswith("one worker |  | 2.00 | not available: wrk is not installed |")
    assert any("mosec | ≥ 1.20, light ≥ 0.75 | 0.75 ✗ |" in line for line in lines)
    assert "- CPU: Z80" in lines
    assert not any("SIGTERM" in line for line in lines)  # of a row that was not selected
    assert not any("baseline" in line for line in lines)


def test_serving_report_states_the_light_graphs_own_goal() -> None:
    on_light = [replace(one, graph=LIGHT) for one in measured().measured if one.row == "single"]
    lines = report.markdown(Results(machine={}, measured=on_light[:1])).splitlines()
    assert lines[2] == "| measurement | goal | light graph |"
    # 300 / 400
    assert any(line.endswith("| ≥ 1.20, light ≥ 0.75 | 0.75 ✓ |") for line in lines)


def test_serving_report_compares_with_a_baseline_if_there_is_one() -> None:
    text = report.markdown(measured(baseline=100.0))
    assert "relative to the baseline with its bundle | ≥ 2.20 | 3.00 ✓ |" in text


def test_serving_benchmark_resumes_a_run_of_the_same_machine_only(tmp_path: Path) -> None:
    file = tmp_path / "rounds.json"
    new = Results(machine={**measured().machine, "load before": "0.10"}, measured=[])
    assert resume(new, file) == new
    report.write(measured(), file)
    kept = {(one.row, one.graph) for one in resume(new, file).measured}
    # The row that was not available is measured again.
    assert kept == {("raw64", SHIPPED), ("raw64", LIGHT), ("single", SHIPPED)}
    with pytest.raises(SystemExit, match="with CPU Z80, expected 6502"):
        resume(replace(new, machine={**new.machine, "CPU": "6502"}), file)


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
    assert medians == [300, 200, 50, 100, 80, 400, 1e4]
