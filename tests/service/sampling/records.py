"""Records of samples, and the command that reads them."""

from typing import Any

from typer.testing import CliRunner, Result

from oodguard.service.cli import app

STEM = "20260501T120000.00000{}Z-{}-0"


def run(*arguments: object) -> Result:
    """Run `oodguard samples` on an 80-column terminal."""
    return CliRunner().invoke(app, ["samples", *map(str, arguments)])


def record(number: int, **verdict: object) -> dict[str, Any]:
    """Return a record as the service writes it."""
    fields = {"label": "red", "class_id": 0, "p_value": 0.004, "decision": "reject", **verdict}
    return {
        "request_id": f"r{number}",
        "image": 0,
        "file": "../../../etc/passwd",
        "time": "2026-05-01T12:00:00Z",
        "model": {"name": "tiny", "version": "1", "sha256": "0"},
        "policy": {},
        "verdict": fields,
    }
