import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
TORCH_FREE = sorted(
    f"oodguard.models.{path.stem}"
    for path in (ROOT / "models").glob("*.py")
    if path.stem != "__init__"
)
PROBE = """
import importlib, sys
for module in sys.argv[1:]:
    importlib.import_module(module)
print(*sorted({"torch", "onnxruntime", "service", "training"} & set(sys.modules)))
"""


def loaded_with(*modules: str) -> list[str]:
    command = [sys.executable, "-c", PROBE, *modules]
    probe = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return probe.stdout.split()


def test_models_import_neither_a_runtime_nor_other_packages() -> None:
    assert {"oodguard.models.bundle", "oodguard.models.calibrated_model"} <= set(TORCH_FREE)
    assert loaded_with(*TORCH_FREE) == []


def test_import_probe_detects_torch() -> None:
    assert loaded_with("oodguard.models.scores") == ["torch"]
