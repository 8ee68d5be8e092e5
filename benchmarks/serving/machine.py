"""The processors that everything shares, and what ran on them."""

import os
import platform
import subprocess
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

from benchmarks.serving.service import ROOT

PROCESSORS, LOAD_BEFORE = "processors", "load before"
"""Names of two facts that the report looks at."""


def pin(processors: int) -> int:
    """Keep this process and all that it starts on so many processors; how many there are."""
    chosen = sorted(os.sched_getaffinity(0))[:processors]
    os.sched_setaffinity(0, chosen)
    return len(chosen)


def facts(processors: int) -> Mapping[str, str]:
    """What a reader must know to compare figures."""
    return {
        PROCESSORS: str(processors),
        "processor": _processor(),
        "system": f"{platform.system()} {platform.release()}",
        "Python": platform.python_version(),
        "ONNX Runtime": version("onnxruntime"),
        "commit": _commit(),
        LOAD_BEFORE: f"{os.getloadavg()[0]:.2f}",
    }


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _commit() -> str:
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty"]
    described = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    return described.stdout.strip() or "unknown"
