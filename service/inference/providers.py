"""The execution providers of ONNX Runtime that a session requests, and the check of its choice.

ONNX Runtime lists every provider that it was built with, and falls back silently if libraries or
the device are missing. Which provider a session uses is known only after its creation.
"""

from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias, get_args

from oodguard.models.errors import DeviceError, install_hint

Device: TypeAlias = Literal["auto", "cpu", "cuda", "tensorrt"]

Providers: TypeAlias = list[tuple[str, dict[str, str]]]
"""Providers with their options, in order of preference; a node runs on the first that can."""

CPU = "CPUExecutionProvider"

CUDA = "CUDAExecutionProvider"

TENSORRT = "TensorrtExecutionProvider"

OPTIONS: Mapping[str, Mapping[str, str]] = {
    # The exhaustive search would be repeated for every batch size.
    CUDA: {"cudnn_conv_algo_search": "HEURISTIC", "enable_cuda_graph": "1"},
    TENSORRT: {"trt_engine_cache_enable": "0", "trt_cuda_graph_enable": "1"},
    CPU: {},
}

CHAINS: Mapping[Device, tuple[str, ...]] = {
    "cpu": (CPU,),
    "cuda": (CUDA, CPU),
    "tensorrt": (TENSORRT, CUDA, CPU),
}


def requested_providers(device: Device, available: Sequence[str]) -> Providers:
    """Return the providers to create a session with.

    `auto` is CUDA if ONNX Runtime was built with it. It is never TensorRT, which compiles the
    graph for minutes. `available` are the providers that ONNX Runtime was built with.

    Raises:
        DeviceError: The device is unknown, or ONNX Runtime was not built with its provider.
    """
    if device not in get_args(Device):
        raise DeviceError(f"device is {device!r}, expected one of: {', '.join(get_args(Device))}")
    if device == "auto":
        device = "cuda" if CUDA in available else "cpu"
    chain = CHAINS[device]
    if chain[0] not in available:
        raise DeviceError(
            f"device {device!r} requires {chain[0]}, but this ONNX Runtime has only"
            f" {', '.join(available)}. {install_hint('gpu')}, or use the device 'cpu'"
        )
    return [(name, dict(OPTIONS[name])) for name in chain if name in available]


def without_cuda_graphs(providers: Providers) -> Providers:
    """Return the same providers without the options that record CUDA graphs."""
    return [
        (name, {key: value for key, value in options.items() if "cuda_graph" not in key})
        for name, options in providers
    ]


def check_fallback(device: Device, requested: Providers, used: Sequence[str]) -> None:
    """Check that a session uses the provider of the configured device.

    Raises:
        DeviceError: The session fell back to another provider, and the device is not `auto`.
    """
    expected = requested[0][0]
    if device != "auto" and used[0] != expected:
        raise DeviceError(
            f"device {device!r} requires {expected}, but the session fell back to"
            f" {used[0]}: install the missing libraries or make the device available (ONNX"
            " Runtime logs which is missing)"
        )
