"""Imports: the service does not load torch, and help does not load the runtime."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image


def output_of(code: str, **environment: str) -> str:
    """Run Python code, without variables of ONNX Runtime and OpenTelemetry; return its output."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("ORT_", "OTEL_"))}
    command = [sys.executable, "-c", f"import os, sys\n{code}"]
    env = {**inherited, **environment}
    return subprocess.run(command, capture_output=True, text=True, check=True, env=env).stdout


@pytest.mark.parametrize(
    ("modules", "absent"),
    [
        (
            "oodguard.service.serve, oodguard.service.cli",
            "torch onnx oodguard.training oodguard.models.networks scipy pandas httpx",
        ),
        ("oodguard.service.cli", "onnxruntime fastapi uvicorn"),
    ],
    ids=["service", "command"],
)
def test_import_does_not_load_unused_packages(modules: str, absent: str) -> None:
    code = f"import {modules}; print([name for name in {absent.split()} if name in sys.modules])"
    assert output_of(code) == "[]\n"


@pytest.mark.parametrize("command", ["serve --bundle", "predict a.png --bundle", "verify"])
def test_missing_runtime_is_reported_with_the_extra_to_install(
    bundle_folder: Path, command: str
) -> None:
    code = "sys.modules['onnxruntime'] = None; from oodguard.service.cli import app; app()"
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; {code}", *command.split(), str(bundle_folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (4, "")
    assert done.stderr == (
        'oodguard: onnxruntime is not installed. Install the "cpu" extra:'
        " pip install -e '.[cpu]' in the clone of OOD Guard, or the \"gpu\" extra\n"
    )


def test_tracing_and_s3_packages_are_not_imported_by_default(bundle_folder: Path) -> None:
    code = f"""
from pathlib import Path
from oodguard.service.app import create_app
from oodguard.service.settings import Settings

create_app(Settings(bundle=Path({str(bundle_folder)!r})))
optional = (
    "opentelemetry.sdk", "opentelemetry.exporter", "obstore",
    "oodguard.service.telemetry.tracing", "oodguard.service.sampling.s3_store",
)
print([name for name in optional if name in sys.modules])
"""
    assert output_of(code) == "[]\n"


@pytest.mark.parametrize(
    "module", ["oodguard.service.inference.session", "oodguard.training.scoring.parity"]
)
@pytest.mark.parametrize("configured", [None, "0"])
def test_runtime_telemetry_is_disabled_before_the_runtime_is_imported(
    module: str, configured: str | None
) -> None:
    code = f"""
class Finder:
    def find_spec(self, name, *_):
        if name == "onnxruntime":
            print(os.environ.get("ORT_DISABLE_TELEMETRY"))

sys.meta_path.insert(0, Finder())
import {module}
"""
    environment = {} if configured is None else {"ORT_DISABLE_TELEMETRY": configured}
    assert output_of(code, **environment) == f"{configured or 1}\n"


def test_sources_read_folders_without_pyarrow_and_name_its_extra_for_tables(tmp_path: Path) -> None:
    Image.new("RGB", (2, 2)).save(tmp_path / "a.png")
    (tmp_path / "table.csv").write_text("image\na.png\n")
    code = f"""
import sys
from pathlib import Path
sys.modules['pyarrow'] = None
from oodguard.models.errors import RecipeError
from oodguard.sources.reader import list_source, source_at
folder = Path({str(tmp_path)!r})
print(len(list_source(source_at(folder), labelled=False)), 'torch' in sys.modules)
try:
    list_source(source_at(folder / 'table.csv'), labelled=False)
except RecipeError as error:
    print(error)
"""
    assert output_of(code).splitlines() == [
        "1 False",
        "pyarrow is not installed. Install the \"tables\" extra: pip install -e '.[tables]' in the"
        " clone of OOD Guard",
    ]
