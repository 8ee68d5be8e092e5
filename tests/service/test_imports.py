"""Imports: the service does not load torch, and help does not load the runtime."""

import os
import subprocess
import sys

import pytest


def test_service_import_does_not_load_torch_and_training() -> None:
    probe = (
        "import sys, oodguard.service.serve, oodguard.service.cli; "
        "print([name for name in ('torch', 'onnx', 'oodguard.training', "
        "'oodguard.models.networks', "
        "'scipy', 'pandas', 'httpx') if name in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", probe], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


def test_command_import_does_not_load_the_runtime() -> None:
    probe = (
        "import sys, oodguard.service.cli; "
        "print([name for name in ('onnxruntime', 'fastapi', 'uvicorn') if name in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", probe], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "module", ["oodguard.service.inference.session", "oodguard.training.scoring.parity"]
)
@pytest.mark.parametrize(("configured", "expected"), [(None, "1"), ("0", "0")])
def test_runtime_telemetry_is_disabled_before_the_runtime_is_imported(
    module: str, configured: str | None, expected: str
) -> None:
    probe = f"""
import os, sys

class Finder:
    def find_spec(self, name, *_):
        if name == "onnxruntime":
            print(os.environ.get("ORT_DISABLE_TELEMETRY"))

sys.meta_path.insert(0, Finder())
import {module}
"""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("ORT_")}
    if configured is not None:
        environment["ORT_DISABLE_TELEMETRY"] = configured
    result = subprocess.run(
        [sys.executable, "-c", probe], capture_output=True, text=True, check=True, env=environment
    )
    assert result.stdout.split() == [expected]
