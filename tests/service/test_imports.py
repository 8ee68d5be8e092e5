"""What importing the service costs and does not need."""

import subprocess
import sys


def test_the_app_leaves_torch_and_the_training_side_out() -> None:
    probe = (
        "import sys, service.http.server, service.cli; "
        "print([name for name in ('torch', 'onnx', 'training', 'models.networks', 'scipy', "
        "'pandas', 'httpx') if name in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", probe], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


def test_the_command_s_help_does_not_load_the_runtime() -> None:
    probe = (
        "import sys, service.cli; "
        "print([name for name in ('onnxruntime', 'fastapi', 'uvicorn') if name in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", probe], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"
