"""What importing the service costs and does not need."""

import os
import subprocess
import sys

import pytest


def test_the_app_leaves_torch_and_the_training_side_out() -> None:
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


def test_the_command_s_help_does_not_load_the_runtime() -> None:
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
@pytest.mark.parametrize(("set_to", "found"), [(None, "1"), ("0", "0")])
def test_the_runtime_is_told_to_send_no_telemetry_before_it_is_loaded(
    module: str, set_to: str | None, found: str
) -> None:
    probe = f"""
import os, sys

class Watch:
    def find_spec(self, name, *_):
        if name == "onnxruntime":
            print(os.environ.get("ORT_DISABLE_TELEMETRY"))

sys.meta_path.insert(0, Watch())
import {module}
"""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("ORT_")}
    if set_to is not None:
        environment["ORT_DISABLE_TELEMETRY"] = set_to
    result = subprocess.run(
        [sys.executable, "-c", probe], capture_output=True, text=True, check=True, env=environment
    )
    assert result.stdout.split() == [found]
