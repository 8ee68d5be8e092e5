import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.mark.slow
def test_serving_benchmark_command_measures_a_service(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.serving", "counters", "one-client"]
    command += ["--graph", "light", "--rounds", "2", "--seconds", "1", "--out", str(tmp_path)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert ended.returncode == 0, ended.stderr
    results = json.loads((tmp_path / "rounds.json").read_text(encoding="utf-8"))
    counters, one_client = sorted(results["measured"], key=lambda each: each["row"])
    # Seven forms of request, a hundred of each in every round.
    assert [each["requests"] for each in counters["rounds"]] == [700, 700]
    assert [each["counted differently"] for each in counters["rounds"]] == [0, 0]
    assert all(each["raw ms"] > each["bare run ms"] > 0 for each in one_client["rounds"])
    assert "over all loads | 0 | 0 ✓ |" in (tmp_path / "table.md").read_text(encoding="utf-8")
    assert ended.stdout.startswith("Median of the rounds")
