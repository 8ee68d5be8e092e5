"""Where and by which command a figure was made."""

import platform
import shlex
import sys
from importlib.metadata import version
from pathlib import Path

import torch

WATCHING = -1  # in place of an epoch's number: what is watched is attacked alike after every epoch


def drawn_from(seed: int, epoch: int, device: torch.device | str = "cpu") -> torch.Generator:
    """Return the generator of one epoch, so that a checkpoint needs no generator's state."""
    return torch.Generator(device).manual_seed(seed * 100_003 + epoch + 1)


LIBRARIES = ("torch", "numpy", "datasets", "pillow", "onnx")


def hardware() -> str:
    """Name the processor and the threads that torch uses on it."""
    threads = torch.get_num_threads()
    return f"{_processor()}, {threads} thread{'s' if threads > 1 else ''}"


def command() -> str:
    """Return the command line that runs, without the folder of its program."""
    return shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])


def libraries() -> dict[str, str]:
    """Return the versions of the libraries that a result depends on."""
    return {name: version(name) for name in LIBRARIES}


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())
