"""The CPUs that all processes share, and the facts about the machine."""

import os
import platform
import subprocess
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import psutil

from benchmarks.serving.service import ROOT

CPUS, LOAD_BEFORE, BUNDLE = "CPUs", "load before", "bundle"
"""Names of facts that the report reads."""


def pin(cpus: int) -> int:
    """Restrict this process and its children to at most `cpus` CPUs; return their number."""
    chosen = sorted(os.sched_getaffinity(0))[:cpus]
    os.sched_setaffinity(0, chosen)
    return len(chosen)


def facts(cpus: int) -> Mapping[str, str]:
    """Return the facts that a reader needs to compare figures."""
    return {
        CPUS: str(cpus),
        "CPU": _cpu_model(),
        "system": f"{platform.system()} {platform.release()}",
        "Python": platform.python_version(),
        "ONNX Runtime": version("onnxruntime"),
        "commit": commit(ROOT),
        LOAD_BEFORE: f"{psutil.getloadavg()[0]:.2f}",
    }


def _cpu_model() -> str:
    # psutil does not know the model's name.
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def commit(checkout: Path) -> str:
    """Return the commit of a checkout."""
    command = ["git", "-C", str(checkout), "describe", "--always", "--dirty"]
    described = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    return described.stdout.strip() or "unknown"
