"""Execution providers: a configured device is used or rejected; only `auto` may fall back."""

import pytest

from oodguard.models.errors import DeviceError
from oodguard.service.inference.providers import (
    CPU,
    CUDA,
    TENSORRT,
    check_fallback,
    requested_providers,
    without_cuda_graphs,
)

GPU_BUILD = (TENSORRT, CUDA, CPU)


@pytest.mark.parametrize(
    ("device", "available", "names"),
    [
        ("auto", (CPU,), [CPU]),
        ("auto", GPU_BUILD, [CUDA, CPU]),
        ("cpu", GPU_BUILD, [CPU]),
        ("cuda", GPU_BUILD, [CUDA, CPU]),
        ("tensorrt", GPU_BUILD, [TENSORRT, CUDA, CPU]),
    ],
)
def test_device_requests_its_providers_in_order(
    device: str, available: tuple[str, ...], names: list[str]
) -> None:
    assert [name for name, _ in requested_providers(device, available)] == names  # type: ignore[arg-type]


def test_device_without_its_provider_is_rejected() -> None:
    with pytest.raises(DeviceError, match=r"device 'cuda' requires CUDA.*install -e '\.\[gpu\]'"):
        requested_providers("cuda", (CPU,))


def test_unknown_device_is_rejected_with_the_known_ones() -> None:
    with pytest.raises(DeviceError) as raised:
        requested_providers("gpu", GPU_BUILD)  # type: ignore[arg-type]
    assert str(raised.value) == "device is 'gpu', expected one of: auto, cpu, cuda, tensorrt"


def test_fallback_is_rejected_unless_the_device_is_auto() -> None:
    requested = requested_providers("cuda", GPU_BUILD)
    check_fallback("cuda", requested, (CUDA, CPU))
    check_fallback("auto", requested, (CPU,))
    with pytest.raises(DeviceError, match="fell back to CPUExecutionProvider"):
        check_fallback("cuda", requested, (CPU,))


def test_without_cuda_graphs_keeps_other_options() -> None:
    plain = dict(without_cuda_graphs(requested_providers("cuda", GPU_BUILD)))
    assert plain == {CUDA: {"cudnn_conv_algo_search": "HEURISTIC"}, CPU: {}}
