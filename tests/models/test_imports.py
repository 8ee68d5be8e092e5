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


def test_the_contract_loads_no_runtime_and_none_of_its_users() -> None:
    assert {"oodguard.models.bundle", "oodguard.models.calibrated_model"} <= set(TORCH_FREE)
    assert loaded_with(*TORCH_FREE) == []


def test_the_probe_sees_torch_where_it_is() -> None:
    assert loaded_with("oodguard.models.scores") == ["torch"]
