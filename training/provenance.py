"""The reproducibility of results: seeded generators, hardware, command and library versions."""

import platform
import shlex
import sys
from importlib.metadata import version
from pathlib import Path

import torch

from oodguard.models.counts import count_of
from oodguard.models.names import text_of

LIBRARIES = ("torch", "numpy", "datasets", "pillow", "onnx")
OPTIONAL_LIBRARIES = ("timm",)

VALIDATION = -1
"""Replaces the number of the epoch: validation uses the same random numbers after every epoch."""


def epoch_generator(seed: int, epoch: int, device: torch.device | str = "cpu") -> torch.Generator:
    """Return the generator of one epoch.

    It depends on the seed and the epoch only, so checkpoints hold no generator state.
    """
    return torch.Generator(device).manual_seed(seed * 100_003 + epoch + 1)


def seed_layers(seed: int, epoch: int, *, process: int = 0) -> None:
    """Seed torch's own generators, which layers such as dropout use, for one epoch of a process."""
    own = process << 32  # the images of the processes differ, and so do their random numbers
    torch.manual_seed(epoch_generator(seed, epoch).initial_seed() + own)


def hardware() -> str:
    """Return the name of the CPU and the number of threads that torch uses."""
    threads = torch.get_num_threads()
    return f"{cpu_name()}, {count_of(threads, 'thread')}"


def command() -> str:
    """Return the command line of this process, without the folder of its program."""
    return text_of(shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]))


def libraries() -> dict[str, str]:
    """Return the versions of the libraries that a result depends on; timm's if it was used."""
    used = (*LIBRARIES, *(name for name in OPTIONAL_LIBRARIES if name in sys.modules))
    return {name: version(name) for name in used}


def cpu_name() -> str:
    """Return the name of the CPU by the system, or its architecture."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())
