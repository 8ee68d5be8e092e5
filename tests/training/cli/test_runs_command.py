import json
from pathlib import Path

from typer.testing import CliRunner

from oodguard.training.cli.app import app
from oodguard.training.run_folder import RunFolder
from tests.training.recipes import RECIPE
from tests.training.report.example import REPORT
from tests.training.runs import save_run


def test_runs_command_compares_runs_side_by_side(tmp_path: Path) -> None:
    evaluated = save_run(tmp_path / "evaluated")
    text = REPORT.model_dump_json()
    (evaluated.folder / "evaluation.json").write_text(text, encoding="utf-8")
    save_run(tmp_path / "trained")
    RunFolder.create(tmp_path / "started", RECIPE)
    damaged = save_run(tmp_path / "damaged")
    (damaged.folder / "progress.json").write_text("{}", encoding="utf-8")
    result = CliRunner().invoke(app, ["runs", str(tmp_path)])
    assert result.exit_code == 0
    output = result.stdout
    assert "warning:" in result.stderr
    rows = {
        cells[0]: cells[1:]
        for line in output.splitlines()
        if (cells := [cell.strip() for cell in line.split("  ") if cell.strip()])
    }
    shared = ["aloe", "resnet8, width 4", "2/255"]
    trained = [*shared, "1/2", "3 s", "62.5%", "25%"]
    assert rows["started"] == [*shared, "0/2"]
    assert rows["trained"] == trained
    assert rows["evaluated"] == [*trained, "75%", ".875", ".375 at 2/255", "standard"]


def test_runs_command_prints_the_teachers_of_runs(tmp_path: Path) -> None:
    teacher = save_run(tmp_path / "teacher").folder
    assert "teacher" not in CliRunner().invoke(app, ["runs", str(teacher)]).stdout.split("\n")[1]
    save_run(tmp_path / "taught", f'{RECIPE}\n[teacher]\nweights = "{teacher}"\n')
    result = CliRunner().invoke(app, ["runs", str(tmp_path)])
    (line,) = [line for line in result.stdout.splitlines() if " taught " in line]
    assert "2/255 teacher 1/2" in " ".join(line.split())


def test_runs_command_without_runs_is_an_error(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["runs", str(tmp_path)])
    assert result.exit_code == 1
    assert "found no runs, expected the folder of a run or a folder" in result.stderr


def test_runs_command_cuts_no_name_in_a_pipe_and_prints_json(tmp_path: Path) -> None:
    name = "a-run-with-a-long-name-" * 5
    save_run(tmp_path / name)
    result = CliRunner().invoke(app, ["runs", str(tmp_path)], env={"COLUMNS": "80"})
    (line,) = [line for line in result.stdout.splitlines() if name in line]
    assert "resnet8, width 4" in line
    result = CliRunner().invoke(app, ["runs", str(tmp_path), "--json"])
    (cells,) = json.loads(result.stdout)
    assert (cells["run"], cells["epochs"]) == (name, "1/2")
