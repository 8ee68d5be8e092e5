"""The command `oodguard capacity`."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from oodguard.command_line.exit_codes import ExitCode
from oodguard.service.capacity.costs import PictureCost, read_costs
from oodguard.service.cli import app

COSTS = {
    "machine": {"CPU": "test CPU"},
    "command": "test command",
    "models": {
        "m": {
            "first_worker_bytes": 100 * 2**20,
            "each_worker_bytes": 50 * 2**20,
            "pictures": {
                # No saving by batches: an M/D/1-like worker of 1,000 requests per second.
                "png-32": {
                    "alone_s": 0.001,
                    "full_s": 0.001,
                    "full_batch": 8.0,
                    "bytes": 2000,
                    "width": 40,
                    "height": 30,
                }
            },
        }
    },
}

CHECKS = [
    {"picture": "png-32", "load": load, "predicted_p99_ms": 2.0, "measured_p99_ms": measured}
    for load, measured in ((0.3, 6.0), (0.5, 4.0), (0.7, 200.0), (0.8, 1.0))
]


@pytest.fixture
def costs(tmp_path: Path) -> Path:
    file = tmp_path / "costs.json"
    file.write_text(json.dumps(COSTS))
    return file


def run(*arguments: str, costs: Path, model: str = "m") -> tuple[int, str]:
    options = ["capacity", "--costs", str(costs), "--model", model, *arguments]
    done = CliRunner().invoke(app, options)
    return done.exit_code, done.output


def test_capacity_plans_replicas(costs: Path) -> None:
    code, output = run(
        *("--rate", "5000", "--p99-ms", "1000", "--cpus", "2", "--json"), costs=costs
    )
    assert code == 0, output
    found = json.loads(output)
    # 90 % of 1,000 per CPU: 5,000 need 5.6 CPUs, which are 3 replicas of 2 CPUs.
    assert (found["replicas"], found["cpus"]) == (3, 6)
    assert found["load"] == pytest.approx(5000 / 6000)
    assert found["cpu_s_per_million"] == pytest.approx(1000)
    assert found["cpu_hours_per_day"] == pytest.approx(5000 * 86400 * 0.001 / 3600)
    assert found["memory_bytes"] == 3 * 150 * 2**20
    assert found["machine"] == {"CPU": "test CPU"}


def test_capacity_plans_with_the_response_times_that_were_measured(
    tmp_path: Path, costs: Path
) -> None:
    _, output = run("--rate", "2000", "--p99-ms", "20", "--json", costs=costs)
    unchecked = json.loads(output)
    assert (unchecked["p99_factor"], unchecked["picture_bytes"]) == (None, 2000)
    assert unchecked["p99_ms"] == unchecked["model_p99_ms"]
    assert "at least" in run("--rate", "2000", costs=costs)[1]
    file = tmp_path / "checked.json"
    model = {**COSTS["models"]["m"], "checks": CHECKS}  # type: ignore[index]
    file.write_text(json.dumps({**COSTS, "models": {"m": model}}))
    code, output = run("--rate", "2000", "--p99-ms", "20", "--json", costs=file)
    assert code == 0, output
    checked = json.loads(output)
    # The factors are 3 up to half of the largest rate of 1,000, and 100 above it: 500 for each CPU.
    assert checked["rate_per_cpu"] == pytest.approx(500)
    assert (checked["cpus"], checked["p99_factor"]) == (4, 3)
    assert checked["p99_ms"] == pytest.approx(3 * checked["model_p99_ms"])
    assert checked["p99_ms"] < 20
    code, output = run("--rate", "2000", costs=file)
    assert "times 3.0, the largest ratio that a load test with png-32 measured" in output
    assert "png-32: 2,000 bytes, 40 x 30 pixels" in output
    # One request on an idle CPU takes 3 ms in the check, whose prediction was 1 ms.
    assert run("--rate", "1", "--p99-ms", "2", costs=file)[1].count("expected more than 3:")
    # No load above the last check is planned.
    _, output = run("--rate", "1", "--p99-ms", "1e6", "--json", costs=file)
    assert json.loads(output)["rate_per_cpu"] == pytest.approx(800)


def test_capacity_per_day_is_a_mean_rate(costs: Path) -> None:
    _, by_day = run("--per-day", "86400000", "--json", costs=costs)
    _, by_second = run("--rate", "1000", "--json", costs=costs)
    assert json.loads(by_day) == json.loads(by_second)
    assert json.loads(by_day)["per_day"] == 86_400_000


def test_capacity_text_states_what_was_measured(costs: Path) -> None:
    code, output = run("--rate", "100", costs=costs)
    assert code == 0
    assert "1 with 4 CPUs each" in output
    assert "test CPU" in output


def test_capacity_text_has_three_digits_of_a_small_rate(costs: Path) -> None:
    _, output = run("--rate", "0.5", costs=costs)
    assert "0.5 verdicts per second, 43,200 per day" in output
    assert "0.0125% of the largest rate" in output  # 4 CPUs of 1,000 per second


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ([], "expected one of --rate and --per-day"),
        (["--rate", "1", "--per-day", "1"], "expected one of --rate and --per-day"),
        (["--rate", "0"], "--rate is 0, expected a number above 0, at most 1e+09"),
        (["--rate", "nan"], "--rate is nan, expected a number above 0"),
        (["--rate", "1e10"], "--rate is 1e+10, expected a number above 0, at most 1e+09"),
        (["--per-day", "-1"], "--per-day is -1, expected a number above 0"),
        (["--rate", "1", "--p99-ms", "inf"], "--p99-ms is inf, expected a number above 0"),
        (["--rate", "1", "--p99-ms", "0.5"], "--p99-ms is 0.5, expected more than 1: a request"),
        (["--rate", "1", "--picture", "gif-1"], "--picture is gif-1, expected one of png-32"),
    ],
)
def test_capacity_refuses_bad_input(costs: Path, arguments: list[str], text: str) -> None:
    code, output = run(*arguments, costs=costs)
    # A limit below what was measured is a valid option that the costs do not support.
    assert code == (ExitCode.INVALID if "0.5" in arguments else ExitCode.USAGE)
    assert text in output


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (None, "does not exist, expected a file of `python -m benchmarks.capacity`"),
        ("[", "is not valid JSON"),
        ("{}", "machine is missing"),
        (json.dumps(COSTS).replace("8.0", "0.5"), "full_batch is 0.5, expected at least 1"),
        (json.dumps(COSTS).replace("8.0", "NaN"), "full_batch is nan, expected a finite number"),
        (
            json.dumps(COSTS).replace(
                '"pictures"', f'"checks": {json.dumps(CHECKS[::-1])}, "pictures"'
            ),
            "the loads of checks are [0.8, 0.7, 0.5, 0.3], expected ascending values",
        ),
    ],
)
def test_capacity_refuses_bad_costs(tmp_path: Path, content: str | None, text: str) -> None:
    file = tmp_path / "other.json"
    if content is not None:
        file.write_text(content)
    code, output = run("--rate", "1", costs=file)
    assert code == 1
    assert text in output


def test_capacity_costs_split_into_batch_and_picture() -> None:
    # a + b = 3 ms; a / 4 + b = 1.5 ms: a = 2 ms, b = 1 ms.
    server = PictureCost(alone_s=0.003, full_s=0.0015, full_batch=4).server()
    assert (server.fixed_s, server.each_s) == pytest.approx((0.002, 0.001))


def test_capacity_packaged_costs_cover_both_graphs_and_all_pictures() -> None:
    costs = read_costs(None)
    assert set(costs.models) == {"cifar10-aloe", "cifar10-aloe-int8"}
    for model in costs.models.values():
        assert set(model.pictures) == {"png-32", "jpeg-32", "png-224", "jpeg-224"}
