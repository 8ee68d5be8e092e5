"""What was asked for is what is got, or it is refused; only `auto` takes what there is."""

import pytest

from oodguard.service.inference.providers import (
    CPU,
    CUDA,
    TENSORRT,
    DeviceError,
    asked,
    check,
    without_graphs,
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
def test_a_device_asks_for_its_providers_in_order(
    device: str, available: tuple[str, ...], names: list[str]
) -> None:
    assert [name for name, _ in asked(device, available)] == names  # type: ignore[arg-type]


def test_a_device_that_the_runtime_was_not_built_for_is_refused() -> None:
    with pytest.raises(DeviceError, match=r"OODGUARD_DEVICE=cuda wants CUDA.*ood-guard\[gpu\]"):
        asked("cuda", (CPU,))


def test_a_silent_fall_back_is_refused_unless_it_was_left_open() -> None:
    wanted = asked("cuda", GPU_BUILD)
    check("cuda", wanted, (CUDA, CPU))
    check("auto", wanted, (CPU,))
    with pytest.raises(DeviceError, match="fell back to CPUExecutionProvider"):
        check("cuda", wanted, (CPU,))


def test_without_graphs_all_else_stays() -> None:
    plain = dict(without_graphs(asked("cuda", GPU_BUILD)))
    assert plain == {CUDA: {"cudnn_conv_algo_search": "HEURISTIC"}, CPU: {}}
