import re
from pathlib import Path

import pytest

import oodguard

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "python-api.md").read_text()


def test_python_api_examples_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    names: dict[str, object] = {}
    for example in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        exec(example, names)  # noqa: S102 - our own page
    known, unknown, policy, error = capsys.readouterr().out.splitlines()
    assert known.startswith("ship ")
    assert known.endswith(" accept")
    assert unknown.endswith(" reject")
    assert policy.startswith("Policy(score=")
    assert error.startswith("README.md: ")


def test_python_api_page_names_every_error_of_the_api() -> None:
    errors = {name for name in oodguard.__all__ if name.endswith("Error")}
    assert errors <= set(re.findall(r"`(\w+)`", PAGE))
