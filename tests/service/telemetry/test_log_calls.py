"""Every log call of the service has a constant sentence; variable parts are fields."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SERVICE = Path(__file__).parents[3] / "service"
METHODS = {"debug", "info", "warning", "error", "exception", "critical", "log"}


def log_calls() -> Iterator[tuple[str, ast.Call]]:
    for path in sorted(SERVICE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in METHODS
                and isinstance(node.func.value, ast.Name)
                and node.func.value.id == "logger"
            ):
                yield f"{path.relative_to(SERVICE)}:{node.lineno}", node


CALLS = [pytest.param(call, id=place) for place, call in log_calls()]


@pytest.mark.parametrize("call", CALLS)
def test_log_call_has_a_constant_message_and_fields(call: ast.Call) -> None:
    message, *arguments = call.args[1:] if call.func.attr == "log" else call.args  # type: ignore[attr-defined]
    # A subscript looks up a constant in a table; a name in capitals is a constant of the module.
    named = isinstance(message, ast.Name) and message.id.isupper()
    assert named or isinstance(message, ast.Constant | ast.Subscript), "the message is not constant"
    assert not arguments, "the message has arguments: use fields"
    assert {keyword.arg for keyword in call.keywords} <= {"extra", "exc_info"}
