"""Benchmarks state errors of the user's files and options in one line."""

import argparse
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.error_lines import at_least, error_lines, positive
from oodguard.models.errors import RecipeError

ROOT = Path(__file__).parents[2]


def test_error_lines_end_the_program_with_the_message() -> None:
    with pytest.raises(SystemExit) as found, error_lines():
        raise RecipeError("networks.toml cannot be read")
    assert found.value.code == "error: networks.toml cannot be read"


def test_error_lines_do_not_hide_other_errors() -> None:
    with pytest.raises(ZeroDivisionError), error_lines():
        raise ZeroDivisionError


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "", "many"])
def test_positive_refuses_other_numbers(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=f"received '{text}', expected a whole"):
        positive(text)


def test_positive_is_the_number() -> None:
    assert positive("12") == 12


def test_at_least_refuses_numbers_below_its_limit() -> None:
    parse = at_least(2000)
    assert parse("2000") == 2000
    with pytest.raises(argparse.ArgumentTypeError, match="'1999', expected a whole number from"):
        parse("1999")


@pytest.mark.slow
@pytest.mark.parametrize(
    "words", [("leaderboard", "none.toml"), ("detectors", "measure", "none"), ("ablation",)]
)
def test_benchmarks_state_a_missing_file_in_one_line(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    command = [sys.executable, "-m", f"benchmarks.{words[0]}", *words[1:]]
    environment = {"PYTHONPATH": f"{ROOT}:{ROOT / 'src'}", "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("error: ")
    assert "Traceback" not in done.stderr
