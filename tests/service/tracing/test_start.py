"""Traces cost nothing where they are off, and are refused in one line where they cannot be had."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from oodguard.service.errors import TracingError
from oodguard.service.telemetry.tracing_config import tracing_from

SERVING = "import sys; from pathlib import Path; from oodguard.service.app import create_app;"
ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}


def ask_process(code: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    plain = {name: text for name, text in os.environ.items() if not name.startswith("OTEL_")}
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**plain, **environment},
    )


def test_without_variables_that_ask_nothing_of_traces_or_of_s3_is_imported(
    bundle_folder: Path,
) -> None:
    probe = (
        "from oodguard.service.settings import Settings;"
        "create_app(Settings(bundle=Path(sys.argv[1])));"
        "print([each for each in sys.modules if each.startswith(('opentelemetry.sdk',"
        "'opentelemetry.exporter', 'obstore')) or each in"
        "('oodguard.service.telemetry.tracing', 'oodguard.service.sampling.s3_store')])"
    )
    result = ask_process(SERVING + probe, str(bundle_folder))
    assert result.stdout == "[]\n", result.stderr


@pytest.mark.parametrize("missing", ["opentelemetry.sdk", "opentelemetry.exporter"])
def test_packages_that_are_missing_are_named_with_the_variable_and_the_remedy(
    monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    for name in [*sys.modules]:
        if name == "oodguard.service.telemetry.tracing" or name.startswith(missing):
            monkeypatch.delitem(sys.modules, name)
    # How the import system says that there is no such module.
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(TracingError) as refused:
        tracing_from(ENDPOINT, "1")
    said = str(refused.value)
    assert said.startswith(f"OTEL_EXPORTER_OTLP_ENDPOINT asks for traces and {missing}")
    assert "ood-guard[otel]" in said


def test_the_command_refuses_what_it_cannot_send_in_one_line(bundle_folder: Path) -> None:
    result = ask_process(
        "from oodguard.service.cli import app; app()",
        "serve",
        "--bundle",
        str(bundle_folder),
        OTEL_TRACES_EXPORTER="zipkin",
    )
    assert result.returncode == 1
    assert result.stderr == ("oodguard: OTEL_TRACES_EXPORTER=zipkin came; otlp or none is wanted\n")
