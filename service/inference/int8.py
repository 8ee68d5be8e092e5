"""Detect whether the CPU computes INT8 products fast and exactly."""

from pathlib import Path

CPU_INFO = Path("/proc/cpuinfo")

DOT_PRODUCT_FLAGS = frozenset({"avx512_vnni", "avx_vnni", "asimddp"})
"""Linux's names of the instructions: VNNI of x86, the dot products of ARM."""


INT8_WARNING = (
    "The CPU has no INT8 dot products: the scores of an INT8 model can differ from its"
    " calibration, and it is hardly faster than float32. Serve its float32 bundle."
)


def has_int8_dot_products(cpu_info: str) -> bool:
    """Return whether the CPU has instructions that add INT8 products in 32 bits.

    Without them, ONNX Runtime adds pairs of products in 16 bits on x86, which saturates: the scores
    then differ from those of the calibration, and the graph is hardly faster than in float32
    (https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html).

    Args:
        cpu_info: The content of /proc/cpuinfo. True if it lists no features.
    """
    lines = (line.partition(":") for line in cpu_info.splitlines())
    features = {word for key, _, words in lines for word in words.split() if _is_features(key)}
    return not features or not features.isdisjoint(DOT_PRODUCT_FLAGS)


def read_cpu_info() -> str:
    """Return the content of /proc/cpuinfo; empty where it does not exist."""
    return CPU_INFO.read_text(encoding="utf-8") if CPU_INFO.exists() else ""


def _is_features(key: str) -> bool:
    return key.strip() in {"flags", "Features"}
