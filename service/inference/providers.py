"""Which of ONNX Runtime's execution providers are asked for, and what is said of those that came.

ONNX Runtime lists a provider that it was built with and falls back in silence when the libraries
or the device are missing: what a session runs on is known only after it was made.
"""

from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias

from oodguard.models.errors import GuardError

Device: TypeAlias = Literal["auto", "cpu", "cuda", "tensorrt"]

Asked: TypeAlias = list[tuple[str, dict[str, str]]]
"""Providers with their options, the first choice first; the CPU takes what the others do not."""

CPU = "CPUExecutionProvider"

CUDA = "CUDAExecutionProvider"

TENSORRT = "TensorrtExecutionProvider"

OPTIONS: Mapping[str, Mapping[str, str]] = {
    # The exhaustive search would be paid again for every size of batch.
    CUDA: {"cudnn_conv_algo_search": "HEURISTIC", "enable_cuda_graph": "1"},
    TENSORRT: {"trt_engine_cache_enable": "0", "trt_cuda_graph_enable": "1"},
    CPU: {},
}

CHAINS: Mapping[Device, tuple[str, ...]] = {
    "cpu": (CPU,),
    "cuda": (CUDA, CPU),
    "tensorrt": (TENSORRT, CUDA, CPU),
}


class DeviceError(GuardError):
    """The device that was asked for is not there."""


def asked(device: Device, available: Sequence[str]) -> Asked:
    """Return the providers to ask a session for.

    `auto` is CUDA where the runtime was built with it: TensorRT compiles for minutes, which nobody
    should meet who did not ask for it.

    Args:
        device: What the operator wants.
        available: What the runtime was built with.

    Raises:
        DeviceError: The runtime was not built with the device's provider.
    """
    if device == "auto":
        device = "cuda" if CUDA in available else "cpu"
    chain = CHAINS[device]
    if chain[0] not in available:
        raise DeviceError(
            f"OODGUARD_DEVICE={device} wants {chain[0]}; this ONNX Runtime has"
            f" {', '.join(available)}: install ood-guard[gpu], or set OODGUARD_DEVICE=cpu"
        )
    return [(name, dict(OPTIONS[name])) for name in chain if name in available]


def without_graphs(wanted: Asked) -> Asked:
    """Return the same providers with nothing recorded as a CUDA graph."""
    return [
        (name, {key: value for key, value in options.items() if "cuda_graph" not in key})
        for name, options in wanted
    ]


def check(device: Device, wanted: Asked, got: Sequence[str]) -> None:
    """Refuse a session that fell back from what was explicitly asked for.

    Raises:
        DeviceError: The first choice is not what the session runs on, and it was not left open.
    """
    first = wanted[0][0]
    if device != "auto" and got[0] != first:
        raise DeviceError(
            f"OODGUARD_DEVICE={device} wants {first}; the session fell back to {got[0]}: its"
            " libraries or the device are missing (the log of ONNX Runtime says which)"
        )
